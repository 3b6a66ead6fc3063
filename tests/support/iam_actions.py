"""Which IAM actions an AWS call needs, and on which resource.

Knows the calls Sluiceway makes; any other raises, so that a new one has to be thought about here. Source: Service
Authorization Reference, "Actions, resources, and condition keys" of each service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

from local.calls import Call

ACCOUNT = "us-east-1:123456789012"
TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}

Needed = Iterator[tuple[str, str]]


def needed(call: Call) -> Needed:
    """(action, resource ARN) of everything the call needs. Raises ValueError for a call not known here."""
    match call.service:
        case "s3":
            return _s3(call)
        case "dynamodb":
            return _dynamodb(_operation(call), json.loads(call.body))
        case "events":
            return _events(_operation(call), json.loads(call.body))
        case "secretsmanager":
            return _secret(_operation(call), json.loads(call.body))
        case "lambda":
            return iter([("lambda:InvokeFunction", f"arn:aws:lambda:{ACCOUNT}:function:{call.path.split('/')[3]}")])
        case "states":
            # Task tokens have no resource.
            return iter([(f"states:{_operation(call)}", json.loads(call.body).get("executionArn", "*"))])
    raise ValueError(f"{call.caller} called {call.service}")


def _operation(call: Call) -> str:
    return call.headers["x-amz-target"].rpartition(".")[2]


def _s3(call: Call) -> Needed:
    bucket, _, key = unquote(call.path).lstrip("/").partition("/")
    asked = set(parse_qs(call.query, keep_blank_values=True))
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if call.method == "GET" and "list-type" in asked:
            return iter([("s3:ListBucket", arn)])
        if call.method == "GET" and "uploads" in asked:
            return iter([("s3:ListBucketMultipartUploads", arn)])
        if call.method == "POST" and "delete" in asked:
            return iter([("s3:DeleteObject", f"{arn}/*")])
        raise ValueError(f"{call.caller}: {call.method} {call.path}?{call.query}")
    match call.method:
        case "PUT" if "tagging" in asked:
            action = "s3:PutObjectTagging"
        case "GET" if "uploadId" in asked:
            action = "s3:ListMultipartUploadParts"
        case "GET" | "HEAD":
            action = "s3:GetObject"
        case "PUT" | "POST":
            action = "s3:PutObject"
        case "DELETE":
            action = "s3:AbortMultipartUpload" if "uploadId" in asked else "s3:DeleteObject"
        case _:
            raise ValueError(f"{call.caller}: {call.method} {call.path}")
    tagging = [("s3:PutObjectTagging", f"{arn}/{key}")] if "x-amz-tagging" in call.headers else []
    return iter([(action, f"{arn}/{key}"), *tagging])


def _dynamodb(operation: str, body: Any) -> Needed:
    match operation:
        case "TransactWriteItems":
            for item in body["TransactItems"]:
                for kind, write in item.items():
                    yield TRANSACTION[kind], _table(write["TableName"])
        case "BatchGetItem" | "BatchWriteItem":
            for name in body["RequestItems"]:
                yield f"dynamodb:{operation}", _table(name)
        case _:
            yield f"dynamodb:{operation}", _table(body["TableName"])


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:{ACCOUNT}:table/{name}"


def _events(operation: str, body: Any) -> Needed:
    for entry in body["Entries"]:
        yield f"events:{operation}", f"arn:aws:events:{ACCOUNT}:event-bus/{entry.get('EventBusName', 'default')}"


def _secret(operation: str, body: Any) -> Needed:
    # Secrets Manager adds six characters of its own to the name in the ARN.
    yield f"secretsmanager:{operation}", f"arn:aws:secretsmanager:{ACCOUNT}:secret:{body['SecretId']}-AbCdEf"
