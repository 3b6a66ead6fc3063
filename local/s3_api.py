"""S3 over HTTP: which request is which operation, and the operations on buckets and objects.

Knows the REST interface. Refuses signatures: who reaches this port is trusted. Operations on uploads in parts are
in s3_multipart.py.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from local import s3_checksums as checksums
from local import s3_listing as listing
from local import s3_xml as xml
from local.http import FileBody, Request, Response
from local.s3_errors import S3Error, of_disk
from local.s3_files import check_key
from local.s3_index import ObjectRecord
from local.s3_multipart import Multipart
from local.s3_receive import receiver
from local.s3_request import Call, conditions_of, described
from local.s3_store import NewObject, Store
from local.s3_uploads import Uploads, Written

_NOT_HERE = {
    "acl", "versioning", "versions", "policy", "lifecycle", "cors", "encryption", "notification", "website",
    "replication", "object-lock", "retention", "legal-hold", "select", "torrent", "restore", "versionId",
    "publicAccessBlock", "ownershipControls", "logging", "accelerate", "requestPayment", "inventory", "metrics",
    "analytics", "intelligent-tiering", "policyStatus", "attributes",
}  # fmt: skip
_OVERRIDES = ("content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding")


class S3:
    """One landed folder as S3. Call it with a Request; it never raises for what a caller did wrong."""

    def __init__(self, landed: Path) -> None:
        self.store = Store(landed)
        self.uploads = Uploads(self.store.scratch)
        self._multipart = Multipart(self.store, self.uploads)

    def close(self) -> None:
        self.store.close()

    def __call__(self, request: Request) -> Response:
        request_id = uuid.uuid4().hex[:16].upper()
        try:
            response = self._answer(request)
        except S3Error as error:
            body = b"" if error.status == 304 else error.xml(unquote(request.path), request_id)
            response = Response(error.status, [("Content-Type", "application/xml")], body)
        response.headers += [("x-amz-request-id", request_id), ("Date", formatdate(usegmt=True)), ("Server", "local")]
        return response

    def _answer(self, request: Request) -> Response:
        try:
            return self._dispatch(_call(request))
        except OSError as error:
            if refused := of_disk(error, self.store.root):
                raise refused from error
            raise

    def _dispatch(self, call: Call) -> Response:
        if alien := _NOT_HERE & call.query.keys():
            raise S3Error("NotImplemented", f"The embedded engine's S3 does not have ?{min(alien)}")
        operation = self._operation(call)
        if operation is None:
            raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")
        return operation(call)

    def _operation(self, call: Call) -> Callable[[Call], Response] | None:
        if not call.bucket:
            return self._list_buckets if call.method == "GET" else None
        if not call.key:
            return self._bucket_operation(call)
        if operation := self._multipart.operation(call):
            return operation
        if "tagging" in call.query:
            return {"GET": self._get_tags, "PUT": self._put_tags, "DELETE": self._delete_tags}.get(call.method)
        if call.method == "PUT" and "x-amz-copy-source" in call.headers:
            return self._copy
        table = {"GET": self._get, "HEAD": self._get, "PUT": self._put, "DELETE": self._delete}
        return table.get(call.method)

    def _bucket_operation(self, call: Call) -> Callable[[Call], Response] | None:
        if call.method == "GET":
            if "location" in call.query:
                return self._location
            if "uploads" in call.query:
                return self._multipart.list_uploads
            return lambda call: listing.list_objects(self.store, call)
        if call.method == "POST":
            return self._delete_many if "delete" in call.query else None
        return {"HEAD": self._head_bucket, "PUT": self._create_bucket, "DELETE": self._delete_bucket}.get(call.method)

    # buckets

    def _list_buckets(self, _call: Call) -> Response:
        buckets: list[tuple[str, object]] = [
            ("Bucket", [("Name", name), ("CreationDate", xml.iso(created))]) for name, created in self.store.buckets()
        ]
        owner = [("ID", "local"), ("DisplayName", "local")]
        return xml.reply("ListAllMyBucketsResult", [("Owner", owner), ("Buckets", buckets)])

    def _location(self, call: Call) -> Response:
        self.store.need_bucket(call.bucket)
        return xml.reply("LocationConstraint", [])

    def _head_bucket(self, call: Call) -> Response:
        self.store.need_bucket(call.bucket)
        return Response(200, [("x-amz-bucket-region", "us-east-1")])

    def _create_bucket(self, call: Call) -> Response:
        self.store.create_bucket(call.bucket)
        return Response(200, [("Location", f"/{call.bucket}")])

    def _delete_bucket(self, call: Call) -> Response:
        self.store.delete_bucket(call.bucket)
        return Response(204)

    def _delete_many(self, call: Call) -> Response:
        self.store.need_bucket(call.bucket)
        keys, quiet = xml.parse_delete(call.request.body.read())
        for key in keys:
            self.store.delete(call.bucket, key)
        deleted: list[tuple[str, object]] = [("Deleted", [("Key", key)]) for key in keys]
        return xml.reply("DeleteResult", [] if quiet else deleted)

    # objects

    def _put(self, call: Call) -> Response:
        self.store.need_bucket(call.bucket)
        check_key(call.key)
        about = described(call.headers)
        conditions = conditions_of(call.headers)
        self.store.check(call.bucket, call.key, conditions)
        stated = checksums.stated(call.headers)
        file = self.store.new_file()
        try:
            written = self._receive(call.request, file)
            keep = {name: written.checksums[name] for name in (*stated, checksums.DEFAULT_ALGORITHM)}
            new = NewObject(file, written.etag, about.headers, about.tags, keep)
            record = self.store.commit(call.bucket, call.key, new, conditions)
        finally:
            file.unlink(missing_ok=True)
        return Response(200, [("ETag", f'"{record.etag}"'), *_checksum_headers(record)])

    def _receive(self, request: Request, file: Path) -> Written:
        with open(file, "wb") as target:
            return receiver(request, [checksums.DEFAULT_ALGORITHM])(target.fileno(), 0)

    def _get(self, call: Call) -> Response:
        record, file = self.store.open(call.bucket, call.key)
        try:
            _judge_read(call, record)
            span = _part_asked(call, record) or _range(call.headers.get("range"), record.size)
            headers = self._object_headers(call, record)
        except BaseException:
            file.close()
            raise
        if span is None:
            return Response(200, headers, FileBody(file, 0, record.size))
        start, length = span
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{record.size}"))
        return Response(206, headers, FileBody(file, start, length))

    def _object_headers(self, call: Call, record: ObjectRecord) -> list[tuple[str, str]]:
        shown = {"content-type": "binary/octet-stream", **record.headers}
        shown |= {name: call.query[f"response-{name}"] for name in _OVERRIDES if f"response-{name}" in call.query}
        headers = [("ETag", f'"{record.etag}"'), ("Last-Modified", formatdate(record.modified, usegmt=True))]
        headers += [("Accept-Ranges", "bytes"), *shown.items()]
        if record.tags:
            headers.append(("x-amz-tagging-count", str(len(record.tags))))
        if record.parts and "partNumber" in call.query:
            headers.append(("x-amz-mp-parts-count", str(record.parts)))
        if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and "range" not in call.headers:
            headers += _checksum_headers(record)
        return headers

    def _delete(self, call: Call) -> Response:
        self.store.delete(call.bucket, call.key)
        return Response(204)

    def _copy(self, call: Call) -> Response:
        bucket, _, key = unquote(urlsplit(call.headers["x-amz-copy-source"]).path).lstrip("/").partition("/")
        source, stream = self.store.open(bucket, key)
        file = self.store.new_file()
        try:
            with stream, open(file, "wb") as target:
                while block := stream.read(1 << 20):
                    target.write(block)
            about = described(call.headers)
            fresh = call.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
            retag = call.headers.get("x-amz-tagging-directive", "COPY").upper() == "REPLACE"
            new = NewObject(
                file, source.etag, about.headers if fresh else source.headers, about.tags if retag else source.tags,
                source.checksums, source.checksum_type, source.parts,
            )  # fmt: skip
            record = self.store.commit(call.bucket, call.key, new, conditions_of(call.headers))
        finally:
            file.unlink(missing_ok=True)
        fields = [("LastModified", xml.iso(record.modified)), ("ETag", f'"{record.etag}"')]
        return xml.reply("CopyObjectResult", fields)

    # tags

    def _get_tags(self, call: Call) -> Response:
        tags = self.store.head(call.bucket, call.key).tags
        fields: list[tuple[str, object]] = [("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()]
        return xml.reply("Tagging", [("TagSet", fields)])

    def _put_tags(self, call: Call) -> Response:
        tags = xml.parse_tags(call.request.body.read())
        self.store.update(call.bucket, call.key, lambda record: replace(record, tags=tags))
        return Response(200)

    def _delete_tags(self, call: Call) -> Response:
        self.store.update(call.bucket, call.key, lambda record: replace(record, tags={}))
        return Response(204)


def _call(request: Request) -> Call:
    """Path style, or virtual-host style under localhost."""
    host = request.headers.get("host", "").partition(":")[0]
    path = unquote(request.path)
    if host.endswith(".localhost"):
        bucket, key = host.removesuffix(".localhost"), path.removeprefix("/")
    else:
        bucket, _, key = path.lstrip("/").partition("/")
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    return Call(request.method, bucket, key, query, request.headers, request)


def _checksum_headers(record: ObjectRecord) -> list[tuple[str, str]]:
    headers = [(f"x-amz-checksum-{name}", value) for name, value in record.checksums.items()]
    return [*headers, ("x-amz-checksum-type", record.checksum_type)] if headers else []


def _judge_read(call: Call, record: ObjectRecord) -> None:
    match = call.headers.get("if-match")
    if match is not None and match.strip('"') not in ("*", record.etag):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    none_match = call.headers.get("if-none-match")
    if none_match is not None and none_match.strip('"') in ("*", record.etag):
        raise S3Error("NotModified", "Not Modified")


def _part_asked(call: Call, record: ObjectRecord) -> tuple[int, int] | None:
    """(start, length) of the part that the query names: the only one, for where others lay nobody knows any more."""
    number = call.query.get("partNumber")
    if number is None or (record.size == 0 and number == "1"):
        return None
    if record.parts > 1:
        raise S3Error("NotImplemented", "The embedded engine's S3 does not have the single parts of an object")
    if number != "1":
        raise S3Error("InvalidRange", "The requested partnumber is not satisfiable", ActualPartCount=1)
    return 0, record.size


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, length). A header S3 does not understand means the whole object, None. Raises S3Error InvalidRange."""
    match = re.fullmatch(r"bytes=(\d{,19})-(\d{,19})", header or "")
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        length = min(int(last) + 1 if last else size, size) - start
    if length <= 0:
        raise S3Error("InvalidRange", "The requested range is not satisfiable", ActualObjectSize=size)
    return start, length
