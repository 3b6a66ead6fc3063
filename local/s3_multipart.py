"""The operations on uploads in parts: create, upload a part, complete, abort and the two lists.

Knows what Complete must refuse: parts out of order, unknown, changed or too small, a size or checksum other than
stated, a condition that does not hold. Where the bytes lie is s3_uploads.py's affair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from local import s3_checksums as checksums
from local import s3_xml as xml
from local.http import Response
from local.s3_errors import S3Error
from local.s3_files import check_key
from local.s3_receive import content_length, receiver
from local.s3_request import Call, conditions_of, described, whole_number
from local.s3_store import NewObject, Store
from local.s3_uploads import LAST_UPLOAD, MIN_PART_BYTES, PART_NUMBER, Part, Upload, Uploads, assemble

MAX_LISTED = 1000  # S3 API reference, ListParts and ListMultipartUploads
MAX_COMPLETE_BYTES = 8 * 1024 * 1024


class Multipart:
    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store = store
        self._uploads = uploads

    def operation(self, call: Call) -> Callable[[Call], Response] | None:
        if call.method == "POST" and "uploads" in call.query:
            return self._create
        if "uploadId" not in call.query:
            return None
        table = {"PUT": self._upload_part, "POST": self._complete, "DELETE": self._abort, "GET": self._list_parts}
        return table.get(call.method)

    def list_uploads(self, call: Call) -> Response:
        self._store.need_bucket(call.bucket)
        encoding = call.query.get("encoding-type")
        prefix = call.query.get("prefix", "")
        # Without the id of an upload the marker is past all uploads of its key.
        marker = (call.query.get("key-marker", "").encode(), call.query.get("upload-id-marker") or LAST_UPLOAD)
        found = [u for u in self._uploads.of_bucket(call.bucket, prefix) if (u.key.encode(), u.upload_id) > marker]
        limit = _page_size(call, "max-uploads")
        page = found[:limit]
        fields: list[tuple[str, object]] = [("Bucket", call.bucket), ("Prefix", xml.encoded(prefix, encoding))]
        fields += [("EncodingType", encoding), ("MaxUploads", limit), ("IsTruncated", len(found) > limit)]
        if len(found) > limit:
            fields += [
                ("NextKeyMarker", xml.encoded(page[-1].key, encoding)),
                ("NextUploadIdMarker", page[-1].upload_id),
            ]
        for upload in page:
            about = [("Key", xml.encoded(upload.key, encoding)), ("UploadId", upload.upload_id)]
            fields.append(("Upload", [*about, ("Initiated", xml.iso(upload.initiated))]))
        return xml.reply("ListMultipartUploadsResult", fields)

    def _create(self, call: Call) -> Response:
        self._store.need_bucket(call.bucket)
        check_key(call.key)
        about = described(call.headers)
        declared = call.headers.get("x-amz-checksum-algorithm", "").lower()
        algorithm = declared or checksums.DEFAULT_ALGORITHM
        kind = call.headers.get("x-amz-checksum-type", "").upper() or (
            "FULL_OBJECT" if algorithm == checksums.DEFAULT_ALGORITHM else "COMPOSITE"
        )
        _check_declared(algorithm, kind)
        upload = self._uploads.create(
            call.bucket, call.key, headers=about.headers, tags=about.tags, algorithm=algorithm, checksum_type=kind,
            declared=bool(declared),
        )  # fmt: skip
        headers = [("x-amz-checksum-algorithm", algorithm.upper()), ("x-amz-checksum-type", kind)] if declared else []
        fields = [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.upload_id)]
        return xml.reply("InitiateMultipartUploadResult", fields, headers)

    def _upload_part(self, call: Call) -> Response:
        if "x-amz-copy-source" in call.headers:
            raise S3Error("NotImplemented", "The embedded engine's S3 does not have UploadPartCopy")
        upload = self._upload(call)
        stated = checksums.stated(call.headers)
        if upload.declared and stated and upload.algorithm not in stated:
            raise S3Error(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, "
                f"actual checksum Type: {min(stated)}",
            )
        # A caller that sends the strong checksum has no need of the part's MD5, half of what a part costs here.
        write = receiver(call.request, [upload.algorithm], md5_needed="crc64nvme" not in stated)
        number = whole_number(call.query.get("partNumber", ""), PART_NUMBER)
        part = self._uploads.write_part(upload, number, content_length(call.request), write)
        headers = [(f"x-amz-checksum-{name}", part.checksums[name]) for name in (stated or part.checksums)]
        return Response(200, [("ETag", f'"{part.etag}"'), *headers])

    def _complete(self, call: Call) -> Response:
        upload = self._upload(call)
        stated = xml.parse_complete(call.request.body.read(MAX_COMPLETE_BYTES))
        conditions = conditions_of(call.headers)
        self._uploads.end(upload)
        try:
            parts = _select(upload, stated)
            _check_size(call, parts)
            value = _check_whole(call, upload, parts)
            self._store.check(call.bucket, call.key, conditions)
            etag = f"{hashlib.md5(b''.join(bytes.fromhex(p.etag) for p in parts)).hexdigest()}-{len(parts)}"
            new = NewObject(
                assemble(upload, parts), etag, upload.headers, upload.tags, {upload.algorithm: value},
                upload.checksum_type, len(parts),
            )  # fmt: skip
            self._store.commit(call.bucket, call.key, new, conditions)
        except BaseException:
            self._uploads.reopen(upload)
            raise
        self._uploads.remove(upload)
        fields: list[tuple[str, object]] = [("Location", f"/{call.bucket}/{call.key}"), ("Bucket", call.bucket)]
        fields += [("Key", call.key), ("ETag", f'"{etag}"')]
        fields += [(f"Checksum{upload.algorithm.upper()}", value), ("ChecksumType", upload.checksum_type)]
        return xml.reply("CompleteMultipartUploadResult", fields)

    def _abort(self, call: Call) -> Response:
        upload = self._upload(call)
        self._uploads.end(upload)
        self._uploads.remove(upload)
        return Response(204)

    def _list_parts(self, call: Call) -> Response:
        upload = self._upload(call)
        after = whole_number(call.query.get("part-number-marker", "0"), "part-number-marker must be a whole number")
        limit = _page_size(call, "max-parts")
        with upload.lock:
            found = sorted((p for p in upload.parts.values() if p.number > after), key=lambda part: part.number)
        page = found[:limit]
        fields: list[tuple[str, object]] = [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.upload_id)]
        fields += [("PartNumberMarker", after), ("MaxParts", limit), ("IsTruncated", len(found) > limit)]
        fields += [("NextPartNumberMarker", page[-1].number if page else 0)]
        fields += [("ChecksumAlgorithm", upload.algorithm.upper()), ("ChecksumType", upload.checksum_type)]
        fields += [("Part", _listed(part)) for part in page]
        return xml.reply("ListPartsResult", fields)

    def _upload(self, call: Call) -> Upload:
        self._store.need_bucket(call.bucket)
        return self._uploads.get(call.bucket, call.key, call.query["uploadId"])


def _listed(part: Part) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [("PartNumber", part.number), ("LastModified", xml.iso(part.modified))]
    fields += [("ETag", f'"{part.etag}"'), ("Size", part.size)]
    return fields + [(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()]


def _page_size(call: Call, name: str) -> int:
    refusal = f"Argument {name} must be an integer between 1 and {MAX_LISTED}"
    size = whole_number(call.query.get(name, str(MAX_LISTED)), refusal)
    if not size:
        raise S3Error("InvalidArgument", refusal)
    return min(size, MAX_LISTED)


def _check_declared(algorithm: str, kind: str) -> None:
    if algorithm not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    if kind not in ("FULL_OBJECT", "COMPOSITE"):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if (kind == "FULL_OBJECT" and not checksums.has_whole(algorithm)) or (
        kind == "COMPOSITE" and algorithm == "crc64nvme"
    ):
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.",
        )


def _select(upload: Upload, stated: list[xml.StatedPart]) -> list[Part]:
    """The parts Complete names, each as uploaded. Raises InvalidPartOrder, InvalidPart, EntityTooSmall."""
    numbers = [part.number for part in stated]
    if numbers != sorted(set(numbers)):
        raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
    parts = []
    for wanted in stated:
        part = upload.parts.get(wanted.number)
        agreed = part is not None and all(part.checksums.get(n) == v for n, v in wanted.checksums.items())
        if part is None or part.etag != wanted.etag or not agreed:
            raise S3Error(
                "InvalidPart",
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
                "specified entity tag may not match the part's entity tag.",
                UploadId=upload.upload_id, PartNumber=wanted.number, ETag=wanted.etag,
            )  # fmt: skip
        if upload.declared and upload.checksum_type == "COMPOSITE" and upload.algorithm not in wanted.checksums:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {upload.algorithm} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {wanted.number} in the request.",
            )
        parts.append(part)
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            raise S3Error(
                "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size",
                ProposedSize=part.size, MinSizeAllowed=MIN_PART_BYTES, PartNumber=part.number, ETag=part.etag,
            )  # fmt: skip
    return parts


def _check_size(call: Call, parts: list[Part]) -> None:
    stated = call.headers.get("x-amz-mp-object-size")
    total = sum(part.size for part in parts)
    if stated is not None and whole_number(stated, "The object's size must be a whole number") != total:
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {stated} does not match what was computed: {total}",
        )


def _check_whole(call: Call, upload: Upload, parts: list[Part]) -> str:
    """The checksum of the object, compared with the one stated. Raises BadDigest, InvalidRequest."""
    kind = call.headers.get("x-amz-checksum-type", upload.checksum_type).upper()
    if kind != upload.checksum_type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.checksum_type} checksum mode. The complete request must use "
            "the same checksum mode.",
        )
    stated = checksums.stated(call.headers)
    if stated.keys() - {upload.algorithm}:
        raise S3Error("InvalidRequest", f"The upload was created using a {upload.algorithm} checksum.")
    values = [part.checksums[upload.algorithm] for part in parts]
    if upload.checksum_type == "COMPOSITE":
        value = checksums.of_parts(upload.algorithm, values)
    else:
        value = checksums.of_whole(upload.algorithm, [(v, p.size) for v, p in zip(values, parts, strict=True)])
    if stated and stated[upload.algorithm] != value:
        raise S3Error("BadDigest", f"The {upload.algorithm} you specified did not match the calculated checksum.")
    return value
