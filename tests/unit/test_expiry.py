"""What signed links say of their end."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from sluiceway.errors import LinkExpiredError, SourceStatusError
from sluiceway.source import expiry
from sluiceway.source.expiry import SKEW_SECONDS, expires_at, may_have_expired, refuse_expired

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


def link(**query: str) -> str:
    return "https://h/a.csv?" + urlencode({name.replace("_", "-"): value for name, value in query.items()})


S3 = {"X_Amz_Date": "20261123T110000Z", "X_Amz_Expires": "3600", "X_Amz_Signature": "ab"}
S3_LINK = link(X_Amz_Algorithm="AWS4-HMAC-SHA256", X_Amz_Credential="k/20261123/eu-west-1/s3/aws4_request", **S3)


@pytest.mark.parametrize(
    "url",
    [
        S3_LINK,
        S3_LINK.lower().replace("t110000z", "T110000Z"),
        link(X_Goog_Date="20261123T110000Z", X_Goog_Expires="3600", X_Goog_Signature="ab", X_Goog_Credential="me"),
        link(AWSAccessKeyId="k", Signature="a/b=", Expires=f"{NOON:.0f}"),
        link(GoogleAccessId="me", Signature="a+b", Expires=f"{NOON:.0f}"),
        link(Expires=f"{NOON:.0f}", Signature="a~b", Key_Pair_Id="k"),
        link(sv="2024-11-04", sr="b", sig="a/b=", se="2026-11-23T12:00:00Z"),
        link(sig="a", se="2026-11-23T12:00Z"),
        link(sig="a", se="2026-11-23T12:00:00.0000000Z"),
    ],
)
def test_the_end_of_a_link_is_read_as_its_store_writes_it(url: str) -> None:
    assert expires_at(url) == NOON


def test_a_day_ends_before_it_begins_in_utc() -> None:
    assert expires_at(link(sig="a", se="2026-11-24")) == NOON + 12 * 3600


@pytest.mark.parametrize(
    "url",
    [
        "https://h/a",
        "https://h/a?Expires=1700000000",
        "https://h/a?sig=x",
        "https://h/a?sig=x&se=soon",
        link(**{**S3, "X_Amz_Date": "yesterday"}),
        link(**{**S3, "X_Amz_Expires": "-1"}),
        link(**{**S3, "X_Amz_Expires": "9" * 5000}),
        link(X_Amz_Signature="ab", X_Amz_Date="20261123T110000Z"),
        link(Signature="a", Expires="never"),
        link(Policy="eyJ9", Signature="a", Key_Pair_Id="k"),
        "https://[broken?Signature=a&Expires=1",
        "",
    ],
)
def test_of_a_link_that_does_not_tell_nothing_is_known(url: str) -> None:
    assert expires_at(url) is None
    refuse_expired(url)
    assert not may_have_expired(url)


@pytest.mark.parametrize(
    ("seconds", "for_sure", "maybe"),
    [
        (-SKEW_SECONDS - 1, False, False),
        (-SKEW_SECONDS + 1, False, True),
        (SKEW_SECONDS - 1, False, True),
        (SKEW_SECONDS + 1, True, True),
    ],
)
def test_clocks_may_differ(monkeypatch: pytest.MonkeyPatch, seconds: float, for_sure: bool, maybe: bool) -> None:
    monkeypatch.setattr(expiry.time, "time", lambda: NOON + seconds)
    assert may_have_expired(S3_LINK) is maybe
    if not for_sure:
        refuse_expired(S3_LINK)
        return
    with pytest.raises(LinkExpiredError) as caught:
        refuse_expired(S3_LINK)
    assert isinstance(caught.value, SourceStatusError) and caught.value.link_died
    said = "https://h/a.csv?redacted: the link expired at 2026-11-23T12:00:00Z; its server was not asked"
    assert str(caught.value) == said


def test_the_end_of_a_session_is_not_told_by_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry.time, "time", lambda: NOON - 3000)
    assert may_have_expired(f"{S3_LINK}&X-Amz-Security-Token=t")
    refuse_expired(f"{S3_LINK}&X-Amz-Security-Token=t")
