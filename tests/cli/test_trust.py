"""What --allow-source would have to name, told from what the URL policy itself says."""

from __future__ import annotations

import pytest

from cli.trust import hint
from sluiceway.errors import PolicyError
from sluiceway.source.policy import UrlPolicy


def refusal(url: str, address: str = "10.0.0.5", asked: str | None = None) -> tuple[str, str]:
    """What the policy says of `url`; `asked` is what stands in the list, where that led to it."""
    policy = UrlPolicy(resolver=lambda host, port: [address])
    with pytest.raises(PolicyError) as caught:
        origin = policy.check(url)
        policy.addresses(origin.host, origin.port)
    return asked or url, str(caught.value)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (refusal("http://files.internal:8080/a?sig=1"), "--allow-source files.internal:8080"),
        (refusal("http://files.internal/a"), "--allow-source files.internal"),
        (refusal("https://files.internal:8443/a"), "--allow-source files.internal:8443"),
        (refusal("https://[fd00::1]:8443/a", "fd00::1"), "--allow-source [fd00::1]:8443"),
        (refusal("https://[fd00::1]/a", "fd00::1", "https://example.org/a"), "--allow-source [fd00::1]"),
        (refusal("https://files.internal/a", asked="https://example.org/a"), "--allow-source files.internal"),
        (refusal("http://files.internal:81/a", asked="http://example.org/a"), "--allow-source files.internal:81"),
    ],
)
def test_a_host_is_named_as_the_option_has_it(refused: tuple[str, str], told: str) -> None:
    assert hint([refused, refused]) == f"(if you trust that host: {told})"


@pytest.mark.parametrize(
    "refused",
    [
        refusal("https://files.internal/a", "169.254.169.254"),
        refusal("https://me:pw@example.org/a"),
        refusal("https://example.org/a#b"),
        ("https://example.org/a", "status 404"),
    ],
)
def test_what_no_option_lifts_has_no_hint(refused: tuple[str, str]) -> None:
    assert hint([refused]) is None


def test_of_many_hosts_a_few_are_named() -> None:
    assert hint(refusal(f"http://h{n}/a") for n in range(2)) == (
        "(if you trust those hosts: --allow-source h0 --allow-source h1)"
    )
    told = hint(refusal(f"http://h{n}/a") for n in range(100))
    assert told is not None
    assert told.count("--allow-source") == 5 and told.endswith("--allow-source h4 …)")
