"""Signature Version 4 against the example S3's documentation works out, and against botocore's own signer."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from sluiceway.sink.signing import authorization

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_the_published_example_of_a_put_object_has_the_published_signature() -> None:
    # S3 API Reference, "Signature Calculations for the Authorization Header: Single Chunk", example PUT Object.
    headers = {
        "Date": "Fri, 24 May 2013 00:00:00 GMT",
        "Host": "examplebucket.s3.amazonaws.com",
        "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    found = authorization(
        "PUT", "/test%24file.text", headers, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="us-east-1"
    )
    assert found == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


@pytest.mark.parametrize("path", ["/b/k", "/b/a%20b/%C3%BC~", "/", "/b/a//b"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/csv", "x-amz-meta-source-url": "https://example.org/a?b=c", "x-amz-tagging": "a=b&c="},
        {"x-amz-meta-spaces": "  two  words ", "User-Agent": "not signed", "X-Amz-Security-Token": "token=="},
    ],
)
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("query", ["", "partNumber=10&uploadId=a%2Bb%2Fc%3D"])
def test_a_signature_is_the_one_botocore_computes(path: str, query: str, headers: dict[str, str], region: str) -> None:
    token = headers.get("X-Amz-Security-Token")
    url = f"https://landing.s3.amazonaws.com{path}?{query}"
    request = AWSRequest("PUT", url, headers=dict(headers), data=b"")
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    credentials: Any = Credentials(ACCESS_KEY, SECRET_KEY, token)
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    sent = {
        **headers,
        "Host": "landing.s3.amazonaws.com",
        "X-Amz-Date": request.headers["X-Amz-Date"],
        "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
    }
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    found = authorization("PUT", path, sent, **keys, region=region, query=query)
    assert found == request.headers["Authorization"]
