"""The errors of S3 as S3 spells them.

Knows each code's status and sentence. Source: the S3 API reference, "Error responses".
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from xml.sax.saxutils import escape

DENIED = "AccessDenied"
FULL = "InsufficientStorage"
TAKEN = "BucketAlreadyExists"
_STATUS = {
    DENIED: 403,
    "BadDigest": 400,
    TAKEN: 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IncompleteBody": 400,
    FULL: 507,  # not of S3, which is never full; no SDK sends such a request again
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
}


# No space, no quota, or a file larger than the process may write.
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The mode of a folder, a mark of the file system on it, or a file system that is only read.
_DENIED_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class S3Error(Exception):
    """`code` is S3's; the extra keywords become elements of the XML answer."""

    def __init__(self, code: str, message: str, **extra: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.extra = extra

    @property
    def status(self) -> int:
        return _STATUS[self.code]

    def xml(self, resource: str, request_id: str) -> bytes:
        fields = {"Code": self.code, "Message": self.message, **self.extra}
        fields |= {"Resource": resource, "RequestId": request_id}
        inside = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'.encode()


def no_such_bucket(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)


def bucket_taken(path: Path) -> S3Error:
    return S3Error(TAKEN, f"a file is where the folder of the bucket would be: {path}", BucketName=path.name)


def bucket_elsewhere(path: Path) -> S3Error:
    told = f"the folder of the bucket is on another file system than the folder that it lies in: {path}"
    return S3Error(TAKEN, told, BucketName=path.name)


def no_such_key(key: str) -> S3Error:
    return S3Error("NoSuchKey", "The specified key does not exist.", Key=key)


def no_such_upload(upload_id: str) -> S3Error:
    return S3Error(
        "NoSuchUpload",
        "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been "
        "aborted or completed.",
        UploadId=upload_id,
    )


def of_disk(error: OSError, landed: Path) -> S3Error | None:
    """What a write to a disk that takes no more comes to, and one to where none may write; None for any other error."""
    if error.errno in _FULL_ERRNOS:
        return S3Error(FULL, f"{os.strerror(error.errno).lower()}: {landed}")
    if error.errno in _DENIED_ERRNOS:
        return S3Error(DENIED, f"{os.strerror(error.errno).lower()}: {_denied_at(error, landed)}")
    return None


def _denied_at(error: OSError, landed: Path) -> Path:
    """The folder in which something could not be made, or the very thing that is there and cannot be used."""
    named = error.filename2 or error.filename  # of a rename, where it would have led
    if named is None:
        return landed
    path = Path(named)
    return path if not error.filename2 and os.path.exists(path) else path.parent


def precondition_failed(condition: str) -> S3Error:
    return S3Error(
        "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", Condition=condition
    )
