"""When a signed link expires, by what the link itself says.

Knows how the stores write it that sign links: S3 and Google (versions 2 and 4), CloudFront with a canned policy, Azure.
Of any other link nothing is known. Refuses to know what becomes of a file whose link has expired.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from sluiceway.errors import LinkExpiredError
from sluiceway.redact import redact_url

# By how much the signer's or the server's clock may differ from ours.
SKEW_SECONDS = 60.0
_NUMBER = re.compile(r"[0-9]{1,12}")


def expires_at(url: str) -> float | None:
    """Seconds since 1970; None where the link does not tell."""
    asked = _asked(url)
    for kind in ("x-amz", "x-goog"):
        if f"{kind}-signature" in asked:
            signed, lasts = _moment(asked.get(f"{kind}-date", "")), _number(asked.get(f"{kind}-expires", ""))
            return signed + lasts if signed is not None and lasts is not None else None
    if "signature" in asked:
        return _number(asked.get("expires", ""))
    if "sig" in asked:
        return _moment(asked.get("se", ""))
    return None


def refuse_expired(url: str) -> None:
    """Raises LinkExpiredError for a link that has expired whatever the clocks say."""
    moment = expires_at(url)
    if moment is not None and moment < time.time() - SKEW_SECONDS:
        when = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise LinkExpiredError(f"{redact_url(url)}: the link expired at {when}; its server was not asked")


def may_have_expired(url: str) -> bool:
    """Whether the link's time is over as far as the clocks can tell; or the credentials of a session have signed it, of
    whose end a link does not tell."""
    moment = expires_at(url)
    return (moment is not None and moment < time.time() + SKEW_SECONDS) or "x-amz-security-token" in _asked(url)


def _asked(url: str) -> Mapping[str, str]:
    try:
        return {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    except ValueError:  # no URL
        return {}


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    """From ISO 8601 in its long or short form; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
