"""What a file must turn out to be, and the comparison with what it was.

Knows the stated size and digests and who stated them ("caller" or "source"). The comparison happens before the
object is completed: a disagreement leaves nothing visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluiceway.errors import DigestMismatchError, LengthMismatchError, TooLargeError


@dataclass(frozen=True, slots=True)
class Expectation:
    """`stated`: for each author a map of algorithm to lower-case hex. `size` is the caller's, in bytes."""

    size: int | None = None
    stated: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @property
    def algorithms(self) -> set[str]:
        return {name for digests in self.stated.values() for name in digests}

    def check_announced(self, length: int | None) -> None:
        """Raises LengthMismatchError at once when the source announces another length than the caller stated."""
        if self.size is not None and length is not None and length != self.size:
            raise LengthMismatchError(
                f"expected {self.size} bytes as stated by the caller, the source announces {length}"
            )

    def verify(self, count: int, digests: Mapping[str, str]) -> tuple[str, ...]:
        """Names what agreed, as `caller:size` or `source:crc32c`. Raises LengthMismatchError or DigestMismatchError
        with both values."""
        agreed: list[str] = []
        if self.size is not None:
            if count != self.size:
                raise LengthMismatchError(f"expected {self.size} bytes as stated by the caller, received {count}")
            agreed.append("caller:size")
        for author, stated in self.stated.items():
            for name, expected in stated.items():
                if digests[name] != expected:
                    raise DigestMismatchError(
                        f"expected {name} {expected} as stated by the {author}, received {digests[name]}"
                    )
                agreed.append(f"{author}:{name}")
        return tuple(agreed)


def check_size(count: int, max_bytes: int) -> None:
    """Raises TooLargeError for a file of which `count` bytes are announced or have come."""
    if count > max_bytes:
        raise TooLargeError(f"the file has {count} bytes or more; max_file_bytes is {max_bytes}")
