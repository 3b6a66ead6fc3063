"""The one place where botocore's errors become Sluiceway's.

Texts name the operation, the bucket and key, and what S3 said. Nothing here is retried: botocore has done that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
)

from sluiceway.errors import (
    FileExistsInSinkError,
    ObjectMissingError,
    SendAgainError,
    SinkDeniedError,
    SinkError,
    SinkIntegrityError,
    UploadGoneError,
)

DENIED = frozenset(
    {"AccessDenied", "AllAccessDisabled", "NoSuchBucket", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch",
     "ExpiredToken", "KMS.DisabledException", "KMS.NotFoundException"}
)  # fmt: skip

# AWS is never full; stores of one's own answer so.
FULL = 507

# How stores refuse a checksum they do not know, and the operations that declare one. Landing without it, unasked,
# would drop a check that was promised, so only the text tells the way out.
UNKNOWN_CHECKSUM = frozenset({"InvalidRequest", "NotImplemented"})
DECLARES_CHECKSUM = frozenset({"put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"})


@contextmanager
def sink_errors(operation: str, bucket: str, key: str) -> Iterator[None]:
    """Turns botocore's errors of `operation` on s3://bucket/key into SinkErrors."""
    try:
        yield
    except ClientError as error:
        raise _translated(error, operation, f"s3://{bucket}/{key}") from error
    except (NoCredentialsError, CredentialRetrievalError) as error:
        raise SinkDeniedError(f"{operation} s3://{bucket}/{key}: no credentials for AWS: {error}") from error
    except HTTPClientError as error:
        raise SinkError(f"{operation} s3://{bucket}/{key}: no answer from S3: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise SinkError(f"{operation} s3://{bucket}/{key}: not sent: {error}") from error


def _translated(error: ClientError, operation: str, target: str) -> SinkError:
    code, status = error_code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))[:300]
    text = f"{operation} {target}: {code}: {message}"
    if status == 412:
        return FileExistsInSinkError(text)
    if code == "NoSuchKey":
        return ObjectMissingError(text)
    if code == "NoSuchUpload":
        return UploadGoneError(text)
    if status == 409:
        return SendAgainError(text)
    if code in {"BadDigest", "XAmzContentChecksumMismatch", "InvalidDigest"}:
        return SinkIntegrityError(text)
    if code in DENIED or status in {403, FULL}:
        return SinkDeniedError(text)
    if code in UNKNOWN_CHECKSUM and operation in DECLARES_CHECKSUM:
        text += " (if the store does not know the checksum, set part_checksum to crc32 or none)"
    return SinkError(text)


def retries_of(error: BaseException | None) -> int:
    """How often botocore sent a request again before it raised `error`."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
    # No reply, no count: but each attempt says in a header which one it is.
    request = getattr(error, "request", None) if isinstance(error, HTTPClientError) else None
    sent = str(request.headers.get("amz-sdk-request", "")) if request is not None else ""
    found = re.search(r"attempt=(\d+)", sent)
    return int(found[1]) - 1 if found else 0


def error_code(error: ClientError) -> tuple[str, int]:
    """S3's error code and the HTTP status of an answer."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
