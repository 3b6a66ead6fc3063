"""A deployment for tests: the buckets, the table and the bus in moto, and the functions called as the state machine
calls them.

Knows the payloads of ARCHITECTURE.md. Refuses to interpret the state machine itself: tests/features does.
"""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
import pytest

from local import tables
from local.http import Request, Response, Server
from local.patches import Patches
from sluiceway import control_wiring, redact, wiring
from sluiceway.aws import clients
from sluiceway.aws.file_table import FileTable
from sluiceway.aws.table import JobTable
from sluiceway.jobs.files import FileTask
from sluiceway.wiring import Services
from tests.conftest import AwsServer

MACHINE = "arn:aws:states:us-east-1:123456789012:execution:jobs"


@dataclass(frozen=True)
class LambdaContext:
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@dataclass
class Deployment:
    endpoint: str
    jobs_bucket: str
    landing_bucket: str
    table: str
    bus: str
    queue: str
    executions: int = field(default=0)

    def client(self, service: str) -> Any:
        return _client(service, self.endpoint)

    @property
    def services(self) -> Services:
        """Those of the control functions; whoever moves files has others: `movers`."""
        return control_wiring.services()

    @property
    def movers(self) -> Services:
        return wiring.services()

    @property
    def jobs(self) -> JobTable:
        return self.services.jobs

    @property
    def files(self) -> FileTable:
        return self.services.files

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """The function's answer, through JSON both ways, as Lambda would have it."""
        handler = importlib.import_module(f"{function}.handler").handler
        answer: dict[str, Any] = json.loads(json.dumps(handler(json.loads(json.dumps(event)), LambdaContext(function))))
        return answer

    def new_execution(self) -> str:
        self.executions += 1
        return f"{MACHINE}:execution-{self.executions}"

    def start(self, document: Any, execution: str, **more: str) -> dict[str, Any]:
        request = {"job": document, **more}
        name = execution.rpartition(":")[2]
        return self.invoke("start_export", {"input": request, "execution": execution, "execution_name": name})

    def transfer(self, document: Mapping[str, Any]) -> dict[str, str]:
        """From StartExport to the end of TransferFiles. Answers with what names the job to the states that follow."""
        execution = self.new_execution()
        owner = {"execution": execution, "job_id": str(self.start(document, execution)["job_id"])}
        state = self.invoke("dispatch_files", owner)
        for unit in json.loads(self.read(state["units_key"])):
            self.process(owner, unit)
        return owner

    def commit(self, owner: Mapping[str, str]) -> dict[str, Any]:
        return self.invoke("commit_files", owner)

    def send_again(self, owner: Mapping[str, str], committed: Mapping[str, Any]) -> None:
        """TransferFiles once more, where CommitFiles answered so."""
        if committed["action"] == "SEND_AGAIN":
            assert committed["commit"] == "per-file"
            for unit in json.loads(self.read(committed["units_key"])):
                self.process(owner, unit)

    def complete_upload(self, *, bucket: str, key: str, upload_id: str) -> None:
        """Completes a multipart upload behind the functions' back."""
        s3 = self.client("s3")
        parts = s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id)["Parts"]
        listed = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": listed})

    def run(self, document: Mapping[str, Any], execution: str | None = None) -> dict[str, Any]:
        """From StartExport to CompleteJob, one unit after the other. Errors go to CompleteJob, as the Catch does it."""
        execution = execution or self.new_execution()
        owner = {"execution": execution}
        try:
            state = self.start(document, execution)
            owner["job_id"] = state["job_id"]
            while True:
                while state["action"] == "POLL":
                    state = self.invoke("poll_export", owner)
                state = self.invoke("dispatch_files", owner)
                for unit in json.loads(self.read(state["units_key"])):
                    self.process(owner, unit)
                if state["commit"] == "all-or-nothing":
                    self.send_again(owner, self.commit(owner))
                answer = self.invoke("complete_job", owner)
                if answer["status"] != "EXPORTING":
                    return answer
                state = self.invoke("poll_export", owner)
        except Exception as error:
            return self.invoke("complete_job", owner | {"error": caught(error)})

    def process(self, owner: Mapping[str, str], unit: Mapping[str, Any]) -> None:
        try:
            answer = self.invoke("process_file", {**owner, "unit": unit})
            while answer["action"] == "CONTINUE":
                answer = self.invoke("process_file", answer)
        except Exception as error:
            self.invoke("record_failure", {**owner, "unit": unit, "error": caught(error)})

    def read(self, key: str, bucket: str | None = None) -> bytes:
        body: bytes = self.client("s3").get_object(Bucket=bucket or self.jobs_bucket, Key=key)["Body"].read()
        return body

    def lines(self, job_id: str, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(f"jobs/{job_id}/{name}").splitlines()]

    def tasks(self, job_id: str) -> list[FileTask]:
        return [FileTask.from_line(line) for line in self.read(f"jobs/{job_id}/manifest.jsonl").splitlines()]

    def landed(self) -> dict[str, bytes]:
        listed = self.client("s3").list_objects_v2(Bucket=self.landing_bucket).get("Contents", [])
        return {each["Key"]: self.read(each["Key"], self.landing_bucket) for each in listed}

    def unfinished_uploads(self) -> list[str]:
        found = []
        for bucket in (self.jobs_bucket, self.landing_bucket):
            found += self.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]

    def rows(self) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        return [item for page in pages for item in page["Items"]]

    def events(self) -> list[dict[str, Any]]:
        """The events since the last call, in order: `detail-type` and `detail`."""
        sqs, found = self.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


def caught(error: Exception) -> dict[str, str]:
    """As Step Functions hands on what a Lambda function raised."""
    cause = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
    return {"Error": type(error).__name__, "Cause": json.dumps(cause)}


@contextmanager
def deploy(aws: AwsServer, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[Deployment]:
    """`settings` are environment variables of the functions, without their prefix and in lower case."""
    tag = uuid.uuid4().hex[:12]
    endpoint = aws.env["AWS_ENDPOINT_URL_S3"]
    functions = Server(_run_function, name="functions")
    names = {name: f"{name.replace('_', '-')}-{tag}" for name in ("jobs_bucket", "landing_bucket", "table", "bus")}
    environment = {
        **aws.env,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_LAMBDA": functions.url,
        "SLUICEWAY_TOKEN_FUNCTION": "issue_token",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "SLUICEWAY_JOBS_BUCKET": names["jobs_bucket"],
        "SLUICEWAY_JOBS_TABLE": names["table"],
        "SLUICEWAY_EVENT_BUS": names["bus"],
        "SLUICEWAY_LANDING_BUCKET": names["landing_bucket"],
        **{f"SLUICEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _forget_clients(endpoint)
    clients.functions.cache_clear()
    forget_services()
    patches = Patches()
    # Without it every transaction copies the whole table, once for each of its items, and two conditional writes at
    # once may both find their condition true.
    tables.install(patches)
    deployment = Deployment(endpoint, queue="", **names)
    _create(deployment, tag)
    try:
        yield deployment
    finally:
        forget_services()
        patches.close()
        functions.close()


def forget_services() -> None:
    """The environment of the functions has changed, and with it the processes they would run in."""
    redact.IN_MIND.clear()
    wiring.services.cache_clear()
    control_wiring.services.cache_clear()


def _run_function(request: Request) -> Response:
    """Lambda's Invoke, of a function named after its folder."""
    folder = request.path.split("/")[3]
    handler = importlib.import_module(f"{folder}.handler").handler
    answer = handler(json.loads(request.body.read()), LambdaContext(function_name=folder))
    return Response(200, [("Content-Type", "application/json")], json.dumps(answer).encode())


def _create(deployment: Deployment, tag: str) -> None:
    s3, dynamodb = deployment.client("s3"), deployment.client("dynamodb")
    for bucket in (deployment.jobs_bucket, deployment.landing_bucket):
        s3.create_bucket(Bucket=bucket)
    keys = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName=deployment.table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
    )
    sqs, events = deployment.client("sqs"), deployment.client("events")
    deployment.queue = sqs.create_queue(QueueName=f"events-{tag}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=deployment.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name=deployment.bus)
    pattern = json.dumps({"source": ["sluiceway"]})
    events.put_rule(Name="all", EventBusName=deployment.bus, EventPattern=pattern)
    events.put_targets(Rule="all", EventBusName=deployment.bus, Targets=[{"Id": "queue", "Arn": arn}])


# A client costs half a second to make, and every test would make ten.
@cache
def _client(service: str, endpoint: str) -> Any:
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@cache
def _forget_clients(endpoint: str) -> None:
    """What the functions keep of AWS belongs to one endpoint; there is one a test run."""
    for client in (clients.s3, clients.dynamodb, clients.events, clients.secretsmanager, clients.stepfunctions):
        client.cache_clear()
    clients._session.cache_clear()
