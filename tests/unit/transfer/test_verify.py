"""What a file must turn out to be: every agreement is named, every disagreement shows both values."""

from __future__ import annotations

import pytest

from sluiceway.errors import DigestMismatchError, LengthMismatchError
from sluiceway.transfer.verify import Expectation


@pytest.mark.parametrize(
    ("expectation", "agreed"),
    [
        (Expectation(), ()),
        (Expectation(size=3), ("caller:size",)),
        (Expectation(size=None, stated={"caller": {"sha256": "aa"}}), ("caller:sha256",)),
        (
            Expectation(3, {"caller": {"sha256": "aa", "md5": "bb"}, "source": {"md5": "bb"}}),
            ("caller:size", "caller:sha256", "caller:md5", "source:md5"),
        ),
    ],
)
def test_what_agrees_is_named_with_who_stated_it(expectation: Expectation, agreed: tuple[str, ...]) -> None:
    assert expectation.verify(3, {"sha256": "aa", "md5": "bb", "sha1": "cc"}) == agreed


@pytest.mark.parametrize(
    ("expectation", "error", "text"),
    [
        (Expectation(size=4), LengthMismatchError, "expected 4 bytes as stated by the caller, received 3"),
        (Expectation(size=0), LengthMismatchError, "expected 0 bytes as stated by the caller, received 3"),
        (
            Expectation(3, {"caller": {"sha256": "ab"}}),
            DigestMismatchError,
            "expected sha256 ab as stated by the caller, received aa",
        ),
        (
            Expectation(3, {"caller": {"sha256": "aa"}, "source": {"md5": "bc"}}),
            DigestMismatchError,
            "expected md5 bc as stated by the source, received bb",
        ),
    ],
)
def test_a_disagreement_shows_both_values_and_who_stated_the_first(
    expectation: Expectation, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as raised:
        expectation.verify(3, {"sha256": "aa", "md5": "bb"})
    assert str(raised.value) == text


@pytest.mark.parametrize(("size", "announced"), [(None, None), (None, 5), (5, None), (5, 5), (0, 0)])
def test_an_announced_length_passes_where_nobody_said_otherwise(size: int | None, announced: int | None) -> None:
    Expectation(size).check_announced(announced)


@pytest.mark.parametrize(("size", "announced"), [(5, 4), (5, 6), (0, 1), (1, 0)])
def test_an_announced_length_other_than_the_stated_is_refused_before_a_byte_is_read(size: int, announced: int) -> None:
    with pytest.raises(LengthMismatchError, match=f"expected {size} bytes .* the source announces {announced}"):
        Expectation(size).check_announced(announced)


def test_the_algorithms_to_compute_are_those_anyone_stated() -> None:
    stated = {"caller": {"sha256": "aa"}, "source": {"md5": "bb", "sha256": "aa"}}
    assert Expectation(None, stated).algorithms == {"sha256", "md5"}
