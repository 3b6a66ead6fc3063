"""The engine as a whole: what it deploys, what it refuses to start with, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from local.asl import UnsupportedAslError
from local.engine import Engine, EngineBusyError
from tests.local.support import CODE, Lab, code_of, template


def test_buckets_are_called_after_their_outputs_and_there_is_one_s3(lab: Lab) -> None:
    assert lab.engine.outputs == {"DataBucket": "data", "JobsBucket": "jobs"}
    lab.engine.client("s3").put_object(Bucket="data", Key="a/b", Body=b"1")
    assert (lab.engine.store / "data/a/b").read_bytes() == b"1"


def test_only_the_jobs_bucket_is_kept_from_other_users(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "any").mkdir()
    (tmp_path / "any/file").touch()
    for bucket in ("data", "jobs"):
        lab.engine.client("s3").put_object(Bucket=bucket, Key="file", Body=b"1")
    found = [lab.engine.store / "data", lab.engine.store / "data/file", tmp_path / "any", tmp_path / "any/file"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in found]
    assert modes[:2] == modes[2:]
    private = [lab.engine.store / "jobs", lab.engine.store / "jobs/file"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o700, 0o600]


def test_a_resource_the_engine_does_not_have_is_named(lab: Lab) -> None:
    assert lab.engine.ignored == ["AWS::Sluice::Gate (Odd)"]


def test_a_second_engine_in_one_process_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(EngineBusyError), Engine(tmp_path, template=template(tmp_path), code=CODE):
        pass


def test_nobody_is_served_before_the_stack_is_deployed(lab: Lab) -> None:
    # moto, asked for a stack while it creates it, creates it twice.
    assert [str(error) for error in lab.early] == ["the engine is still starting; try again in a few seconds"]
    (stack,) = lab.engine.client("cloudformation").describe_stacks()["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="max_concurrency: expected"),
        Engine(tmp_path, settings={"max_concurrency": "x"}),
    ):
        pass


def test_transactions_put_back_what_they_touched_and_nothing_else(lab: Lab) -> None:
    client = lab.engine.client("dynamodb")
    client.create_table(
        TableName="t", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )  # fmt: skip

    def key(sk: str) -> dict[str, dict[str, str]]:
        return {"pk": {"S": "p"}, "sk": {"S": sk}}

    client.put_item(TableName="t", Item=key("old") | {"n": {"N": "1"}})
    add = {"TableName": "t", "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    fails = {"TableName": "t", "Item": key("third"), "ConditionExpression": "attribute_exists(pk)"}
    transaction = [
        {"Update": add | {"Key": key("old")}},
        {"Update": add | {"Key": key("new")}},
        {"Put": fails},
    ]
    assert code_of(lambda: client.transact_write_items(TransactItems=transaction)) == "TransactionCanceledException"
    assert client.scan(TableName="t")["Items"] == [key("old") | {"n": {"N": "1"}}]
    client.transact_write_items(TransactItems=transaction[:2])
    assert {item["sk"]["S"]: item["n"]["N"] for item in client.scan(TableName="t")["Items"]} == {"old": "2", "new": "1"}


SCRIPT = """
    import json, sys
    from pathlib import Path
    from local.engine import Engine
    from tests.local.support import CODE, single, task, template
    folder = Path(sys.argv[1])
    secrets = {"plain": "text", "nested": {"a": 1}}
    made = template(folder / "heard.jsonl")
    if sys.argv[2] == "refused":
        made["Resources"]["Machine"] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {
            "RoleArn": "arn:aws:iam::123456789012:role/any",
            "DefinitionString": json.dumps(single({"Type": "Pass", "End": True, "Assign": {"a": 1}}))}}
    with Engine(folder / "landed", template=made, code=CODE, secrets=secrets) as engine:
        read = engine.client("secretsmanager").get_secret_value
        print(json.dumps([read(SecretId=name)["SecretString"] for name in ("plain", "nested")]), flush=True)
        steps = engine.client("stepfunctions")
        machine = steps.create_state_machine(name="m", roleArn="arn:aws:iam::123456789012:role/any",
                                             definition=json.dumps(single(task("sleep"))))["stateMachineArn"]
        steps.start_execution(stateMachineArn=machine, name="watched-last",
                              input=json.dumps({"seconds": 60, "mark": str(folder / "mark")}))
        print(engine.endpoint_url, flush=True)
        if sys.argv[2] == "wait":
            sys.stdin.read()
        while not (folder / "mark").exists() or not (folder / "mark").read_text():
            pass
    print("out", flush=True)
"""


def start(folder: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def is_open(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_leaving_stops_executions_tells_the_rules_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with start(tmp_path, "leave") as process:
        out, err = process.communicate(timeout=120)
    lines = out.splitlines()
    assert process.returncode == 0 and lines[-1] == "out", err
    assert json.loads(lines[0]) == ["text", '{"a": 1}']
    (event,) = [json.loads(line) for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    assert (event["detail"]["name"], event["detail"]["status"]) == ("watched-last", "ABORTED")
    assert not is_open(lines[1])
    assert not psutil.pid_exists(int((tmp_path / "mark").read_text()))
    assert list((tmp_path / "landed/.sluiceway").glob("scratch-*")) == []


def test_functions_die_with_an_engine_that_is_killed(tmp_path: Path) -> None:
    with start(tmp_path, "wait") as process:
        deadline = time.monotonic() + 60
        while not ((tmp_path / "mark").exists() and (tmp_path / "mark").read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = int((tmp_path / "mark").read_text())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_template_the_engine_cannot_honour_does_not_start(tmp_path: Path) -> None:
    with start(tmp_path, "refused") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert UnsupportedAslError.__name__ in err and "Only: field Assign" in err
