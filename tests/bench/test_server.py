"""What nginx tells of the clients: how many files it was sending at once."""

from __future__ import annotations

import pytest

from bench.server import most_at_once


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2), (2, 3)], 1),
        ([(0, 3), (1, 2), (2, 4)], 2),
        ([(0, 10), (1, 9), (2, 8), (9.5, 11)], 3),
    ],
)
def test_files_move_at_once_where_they_have_a_moment_in_common(spans: list[tuple[float, float]], most: int) -> None:
    assert most_at_once(spans) == most
