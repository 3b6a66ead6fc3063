"""The state machine in its account: what starts it, when it ends and who hears of it, what it logs and may do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra.functions import folder_of
from tests.infra.names import TASKS
from tests.infra.template import Template, text


def test_an_event_and_a_schedule_start_the_machine(synth: Callable[..., Template]) -> None:
    plain = synth()
    _, rule = plain.the("AWS::Events::Rule", "JobRequested")
    assert rule["Properties"]["EventPattern"] == {"detail-type": ["Sluiceway Job Requested"]}
    (target,) = rule["Properties"]["Targets"]
    machine_id, _ = plain.the("AWS::StepFunctions::StateMachine")
    assert (target["InputPath"], text(target["Arn"])) == ("$.detail", f"${{{machine_id}}}")
    assert not [name for name in plain.of_type("AWS::Events::Rule") if "JobScheduled" in name]

    timed = synth(schedule="rate(1 day)", schedule_job="requests/daily.json")
    _, rule = timed.the("AWS::Events::Rule", "JobScheduled")
    assert rule["Properties"]["ScheduleExpression"] == "rate(1 day)"
    assert "requests/daily.json" in text(rule["Properties"]["Targets"][0]["Input"])


@pytest.mark.parametrize(("settings", "seconds"), [({}, 43_200), ({"deadline_minutes": "5"}, 300)])
def test_the_machine_ends_at_the_deadline(
    synth: Callable[..., Template], settings: dict[str, str], seconds: int
) -> None:
    assert synth(**settings).machine()["TimeoutSeconds"] == seconds


def test_ends_that_no_catch_sees_invoke_complete_job(template: Template) -> None:
    machine_id, _ = template.the("AWS::StepFunctions::StateMachine")
    rule_id, rule = template.the("AWS::Events::Rule", "ExecutionEnded")
    assert "EventBusName" not in rule["Properties"]  # Step Functions speaks on the default bus
    pattern = rule["Properties"]["EventPattern"]
    assert pattern["source"] == ["aws.states"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert pattern["detail"]["status"] == ["FAILED", "ABORTED", "TIMED_OUT"]
    assert [text(arn) for arn in pattern["detail"]["stateMachineArn"]] == [f"${{{machine_id}}}"]
    complete_job, _ = template.function("complete_job")
    assert [text(target["Arn"]) for target in rule["Properties"]["Targets"]] == [f"${{{complete_job}.Arn}}"]
    _, permission = template.the("AWS::Lambda::Permission", "ExecutionEnded")
    assert text(permission["Properties"]["SourceArn"]) == f"${{{rule_id}.Arn}}"


def test_an_end_that_complete_job_could_not_be_told_of_is_kept(template: Template) -> None:
    queue, resource = template.the("AWS::SQS::Queue", "UnheardEnds")
    assert resource["Properties"]["SqsManagedSseEnabled"] is True
    assert resource["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
    _, rule = template.the("AWS::Events::Rule", "ExecutionEnded")
    (target,) = rule["Properties"]["Targets"]
    assert text(target["DeadLetterConfig"]["Arn"]) == f"${{{queue}.Arn}}"


def test_the_machine_is_traced_and_logs_failures_without_what_states_carry(template: Template) -> None:
    _, machine = template.the("AWS::StepFunctions::StateMachine")
    assert machine["Properties"]["TracingConfiguration"] == {"Enabled": True}
    logging = machine["Properties"]["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)


def test_the_machines_role_is_limited_to_itself_its_functions_and_the_jobs_bucket(template: Template) -> None:
    machine_id, machine = template.the("AWS::StepFunctions::StateMachine")
    role = machine["Properties"]["RoleArn"]["Fn::GetAtt"][0]
    jobs_bucket = f"${{{template.the('AWS::S3::Bucket', 'JobsBucket')[0]}}}"
    own = f"${{Select:6:${{{machine_id}}}}}"
    executions = f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:execution:{own}"
    functions = {f"${{{template.function(folder_of(name))[0]}.Arn}}" for name in TASKS}
    allowed = {
        "states:StartExecution": {f"${{{machine_id}}}"},
        "states:DescribeExecution": {f"{executions}:*"},
        "states:StopExecution": {f"{executions}:*"},
        "states:RedriveExecution": {f"{executions}/*:*"},
        "lambda:InvokeFunction": functions | {f"{arn}:*" for arn in functions},
        **{
            f"s3:{action}": {f"arn:${{AWS::Partition}}:s3:::{jobs_bucket}/*"}
            for action in ("GetObject", "PutObject", "ListMultipartUploadParts", "AbortMultipartUpload")
        },
    }
    # IAM knows no resource for delivering logs and writing traces.
    everywhere = ("logs:", "xray:")
    found: dict[str, set[str]] = {}
    for statement in template.statements_of_role(role):
        for action in statement.actions:
            if statement.resources == ("*",) and action.startswith(everywhere):
                continue
            found.setdefault(action, set()).update(statement.resources)
    assert found == allowed
