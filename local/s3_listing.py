"""ListObjectsV2 and its older sister: pages of keys and common prefixes."""

from __future__ import annotations

import base64

from local import s3_xml as xml
from local.http import Response
from local.s3_errors import S3Error
from local.s3_index import ObjectRecord, Page
from local.s3_request import Call, whole_number
from local.s3_store import Store

MAX_KEYS = 1000  # S3 API reference, ListObjectsV2: never more in one reply


def list_objects(store: Store, call: Call) -> Response:
    store.need_bucket(call.bucket)
    query = call.query
    is_v2 = query.get("list-type") == "2"
    limit = _limit(query.get("max-keys"))
    after = query.get("start-after", "") if is_v2 else query.get("marker", "")
    if is_v2 and "continuation-token" in query:
        after = _decode(query["continuation-token"])
    page = store.index.list(call.bucket, query.get("prefix", ""), query.get("delimiter", ""), after, limit)
    fields = _common(call, page, limit)
    encoding = query.get("encoding-type")
    if is_v2:
        fields.append(("KeyCount", len(page.records) + len(page.prefixes)))
        fields.append(("ContinuationToken", query.get("continuation-token")))
        fields.append(("StartAfter", xml.encoded(query.get("start-after"), encoding)))
        fields.append(("NextContinuationToken", _encode(page.next_start)))
    else:
        fields += [("Marker", xml.encoded(after, encoding)), ("NextMarker", xml.encoded(page.next_start, encoding))]
    return xml.reply("ListBucketResult", fields)


def _common(call: Call, page: Page, limit: int) -> list[tuple[str, object]]:
    encoding = call.query.get("encoding-type")
    fields: list[tuple[str, object]] = [
        ("Name", call.bucket),
        ("Prefix", xml.encoded(call.query.get("prefix", ""), encoding)),
        ("Delimiter", xml.encoded(call.query.get("delimiter"), encoding)),
        ("MaxKeys", limit),
        ("EncodingType", encoding),
        ("IsTruncated", page.next_start is not None),
    ]
    fields += [("Contents", _contents(record, encoding)) for record in page.records]
    fields += [("CommonPrefixes", [("Prefix", xml.encoded(prefix, encoding))]) for prefix in page.prefixes]
    return fields


def _contents(record: ObjectRecord, encoding: str | None) -> list[tuple[str, object]]:
    return [
        ("Key", xml.encoded(record.key, encoding)),
        ("LastModified", xml.iso(record.modified)),
        ("ETag", f'"{record.etag}"'),
        ("Size", record.size),
        ("StorageClass", record.headers.get("x-amz-storage-class", "STANDARD")),
    ]


def _limit(text: str | None) -> int:
    if text is None:
        return MAX_KEYS
    return min(whole_number(text, "Provided max-keys not an integer or within integer range"), MAX_KEYS)


def _encode(start: str | None) -> str | None:
    return None if start is None else base64.urlsafe_b64encode(start.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None
