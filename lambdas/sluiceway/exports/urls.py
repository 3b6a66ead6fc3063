"""Files listed in the job document itself."""

from __future__ import annotations

from collections.abc import Iterator

from sluiceway.spec import Entry
from sluiceway.spec.document import UrlsSource


def entries(source: UrlsSource) -> Iterator[Entry]:
    for n, file in enumerate(source.files):
        yield Entry(file, f"source.files[{n}]")
