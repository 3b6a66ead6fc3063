"""What the engine's tests share: a client, and the error code of a call that must fail."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.stack import StackError
from local.engine import Engine
from local.s3_api import S3

MIB = 1024 * 1024
# Of functions, at once.
MAX_PROCESSES = 4


@dataclass
class Running:
    """S3 alone, on a port."""

    client: Any
    url: str
    landed: Path
    s3: S3


def client_of(service: str, url: str, **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


CODE = Path(__file__).with_name("functions")


def function(handler: str, *, memory_mb: int = 256, timeout_seconds: int = 30, **environment: str) -> dict[str, Any]:
    """A resource of a template: a function of tests/local/functions/handlers.py, by the handler's name."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": handler,
            "Handler": f"handlers.{handler}",
            "Runtime": "python3.13",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"S3Bucket": "assets", "S3Key": "none.zip"},
            "MemorySize": memory_mb,
            "Timeout": timeout_seconds,
            "Environment": {"Variables": environment},
        },
    }


def template(mark: Path) -> dict[str, Any]:
    """A stack of two buckets, the test functions, and rules that write what they hear of to `mark`."""
    handlers = ("echo", "about", "sleep", "fail", "fail_some", "leave", "long", "call")
    resources = {name.replace("_", ""): function(name) for name in handlers}
    resources["fill"] = function("fill", memory_mb=128)
    resources["short"] = function("sleep", timeout_seconds=1)
    resources["short"]["Properties"]["FunctionName"] = "short"
    resources["write"] = function("write", MARK=str(mark))
    target = {"Id": "t", "Arn": {"Fn::GetAtt": ["write", "Arn"]}}
    resources["OnOrder"] = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": ["shop"], "detail": {"kind": ["order"]}},
            "State": "ENABLED",
            "Targets": [target],
        },
    }
    resources["OnEnd"] = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {"status": ["ABORTED", "FAILED", "TIMED_OUT"], "name": [{"prefix": "watched-"}]},
            },
            "State": "ENABLED",
            "Targets": [target],
        },
    }
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "*"}}]}
    resources["Role"] = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    for name in ("Data", "Jobs"):
        resources[name] = {"Type": "AWS::S3::Bucket", "Properties": {}}
    resources["Odd"] = {"Type": "AWS::Sluice::Gate", "Properties": {}}
    return {"Resources": resources, "Outputs": {f"{name}Bucket": {"Value": {"Ref": name}} for name in ("Data", "Jobs")}}


def task(name: str, **fields: Any) -> dict[str, Any]:
    """A Task state that invokes a function and passes on what it returns."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": name, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
        **fields,
    }


def single(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state}, **fields}


@dataclass
class Lab:
    """An engine with the stack of `template`; state machines come and go with the tests. `early` is what somebody was
    told who asked for the stack while it was deployed."""

    engine: Engine
    mark: Path
    early: list[StackError]

    def machine(self, definition: dict[str, Any]) -> str:
        made = self.engine.client("stepfunctions").create_state_machine(
            name=f"m-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::123456789012:role/any",
        )
        return str(made["stateMachineArn"])

    def start(self, definition: dict[str, Any], document: Any = None, name: str | None = None) -> str:
        named = {} if name is None else {"name": name}
        started = self.engine.client("stepfunctions").start_execution(
            stateMachineArn=self.machine(definition), input=json.dumps(document or {}), **named
        )
        return str(started["executionArn"])

    def wait(self, execution: str) -> dict[str, Any]:
        """How it ended. Step Functions answers questions and calls nobody, so it is asked again."""
        client = self.engine.client("stepfunctions")
        deadline = time.monotonic() + 120
        while (found := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution never ended"
            time.sleep(0.05)
        return dict(found)

    def run(self, definition: dict[str, Any], document: Any = None) -> dict[str, Any]:
        return self.wait(self.start(definition, document))

    def heard(self, count: int) -> list[dict[str, Any]]:
        """The events that rules delivered, once there are `count`."""
        deadline = time.monotonic() + 60
        while len(lines := self.mark.read_text().splitlines() if self.mark.exists() else []) < count:
            assert time.monotonic() < deadline, f"heard {len(lines)} of {count}"
            time.sleep(0.05)
        return [json.loads(line) for line in lines]
