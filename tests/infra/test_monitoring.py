"""What operators see: what is emitted is shown, what is shown is emitted, and every alarm says what to do."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from awslambdaric import bootstrap

from sluiceway import telemetry
from tests.infra.template import Template, text

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"


def emitted() -> set[str]:
    """The metric names that the functions' code hands to add_metric, by the constants of telemetry."""
    found: set[str] = set()
    for path in LAMBDAS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in CONSTANTS:
                found.add(CONSTANTS[node.id])
    return found


# Names in capitals that hold a text in CamelCase: BYTES_TRANSFERRED = "BytesTransferred".
CONSTANTS: dict[str, str] = {
    name: value
    for name, value in vars(telemetry).items()
    if name.isupper() and isinstance(value, str) and name not in ("NAMESPACE", "SERVICE")
}


@pytest.fixture(scope="session")
def dashboard(template: Template) -> list[dict[str, Any]]:
    _, resource = template.the("AWS::CloudWatch::Dashboard")
    widgets: list[dict[str, Any]] = json.loads(text(resource["Properties"]["DashboardBody"]))["widgets"]
    return widgets


def metrics_of(widget: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(namespace, name, dimensions) of each metric behind a widget."""
    for line in widget["properties"].get("metrics", []):
        if isinstance(line[0], str):
            values = [each for each in line if isinstance(each, str)]
            yield values[0], values[1], tuple(values[2:])


def test_what_is_shown_is_what_is_emitted(dashboard: list[dict[str, Any]]) -> None:
    shown = {name for widget in dashboard for namespace, name, _ in metrics_of(widget) if namespace == "Sluiceway"}
    assert shown == emitted() == set(CONSTANTS.values())


def test_metrics_are_asked_for_by_the_dimension_the_functions_give(
    synth: Callable[..., Template], dashboard: list[dict[str, Any]]
) -> None:
    for widget in dashboard:
        for namespace, _, dimensions in metrics_of(widget):
            assert namespace != "Sluiceway" or dimensions == ("service", "sluiceway")
    test = synth(stage="test")
    _, properties = test.function("process_file")
    assert properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "sluiceway-test"
    _, resource = test.the("AWS::CloudWatch::Dashboard")
    assert '"service","sluiceway-test"' in text(resource["Properties"]["DashboardBody"])


def test_the_dashboard_answers_in_the_order_questions_are_asked(dashboard: list[dict[str, Any]]) -> None:
    placed = sorted(dashboard, key=lambda widget: (widget["y"], widget["x"]))
    titles = [widget["properties"]["markdown"] for widget in placed if widget["type"] == "text"]
    assert [title.removeprefix("## ").split("?")[0] for title in titles] == [
        "Is anything wrong",
        "What is moving",
        "Where is the time going",
        "What does it cost",
    ]


def test_no_graph_is_empty_and_no_widget_overlaps_another(dashboard: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard:
        if widget["type"] == "metric":
            assert widget["properties"]["metrics"]
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return {
        resource["Properties"]["AlarmName"].removeprefix("sluiceway-"): resource["Properties"]
        for resource in template.of_type("AWS::CloudWatch::Alarm").values()
    }


def test_each_trouble_has_its_alarm(template: Template) -> None:
    assert set(alarms(template)) == {
        *("ExecutionsFailed", "ExecutionsTimedOut", "UnheardEnds"),
        *("FilesFailing", "SlowFiles", "SourceUnreachable", "PoolExhausted", "StaleUploads"),
        "CallbacksRejected",
        *("MemoryHigh", "FunctionErrors", "Throttles"),
    }


def test_every_alarm_tells_why_and_what_to_do_first_and_is_heard(template: Template) -> None:
    topic, _ = template.the("AWS::SNS::Topic")
    for name, alarm in alarms(template).items():
        why, first = alarm["AlarmDescription"].split(" First: ")
        assert len(why) > 20 and why.endswith("."), name
        assert len(first) > 20 and first.endswith("."), name
        assert alarm["AlarmActions"] == [{"Ref": topic}]
        assert alarm["TreatMissingData"] == "notBreaching"


def test_every_alarm_is_on_the_dashboard(template: Template, dashboard: list[dict[str, Any]]) -> None:
    (status,) = [widget for widget in dashboard if widget["type"] == "alarm"]
    shown = {arn.split(":alarm:")[1] for arn in status["properties"]["alarms"]}
    assert shown == {f"sluiceway-{name}" for name in alarms(template)}


@pytest.mark.parametrize(
    ("alarm", "metric", "statistic", "threshold"),
    [
        ("MemoryHigh", "PeakMemoryPercent", "Maximum", 50),
        ("SlowFiles", "SlowFiles", "Sum", 1),
        ("StaleUploads", "StaleUploads", "Maximum", 1),
        ("PoolExhausted", "PoolWaits", "Sum", 1),
        ("ExecutionsFailed", "ExecutionsFailed", "Sum", 1),
        ("ExecutionsTimedOut", "ExecutionsTimedOut", "Sum", 1),
    ],
)
def test_an_alarm_watches_its_metric(
    template: Template, alarm: str, metric: str, statistic: str, threshold: float
) -> None:
    found = alarms(template)[alarm]
    assert (found["MetricName"], found["Statistic"], found["Threshold"]) == (metric, statistic, threshold)
    assert found["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_no_alarm_adds_up_more_metrics_than_cloudwatch_takes(template: Template) -> None:
    # CloudWatch user guide, "Create an alarm based on a metric math expression": ten at most.
    for name, alarm in alarms(template).items():
        assert sum("MetricStat" in each for each in alarm.get("Metrics", [])) <= 10, name


def test_the_share_of_failing_files_is_of_all_that_ended(template: Template) -> None:
    found = alarms(template)["FilesFailing"]
    (expression,) = [each["Expression"] for each in found["Metrics"] if "Expression" in each]
    assert expression == "100 * SUM([failed, rejected]) / SUM([failed, rejected, stored, skipped])"
    ids = {each["Id"]: each["MetricStat"]["Metric"]["MetricName"] for each in found["Metrics"] if "MetricStat" in each}
    assert ids == {
        "failed": "FilesFailed",
        "rejected": "FilesRejected",
        "stored": "FilesStored",
        "skipped": "FilesSkipped",
    }
    assert found["Threshold"] == 5


def test_alarms_reach_the_topic_from_this_account_alone_and_over_tls(template: Template) -> None:
    _, policy = template.the("AWS::SNS::TopicPolicy")
    allow, deny = sorted(policy["Properties"]["PolicyDocument"]["Statement"], key=lambda each: str(each["Effect"]))
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(("setting", "endpoints"), [("", []), ("oncall@example.com", ["oncall@example.com"])])
def test_mail_is_sent_to_whom_the_setting_names(
    synth: Callable[..., Template], setting: str, endpoints: list[str]
) -> None:
    found = synth(alarm_email=setting).of_type("AWS::SNS::Subscription").values()
    assert [each["Properties"]["Endpoint"] for each in found] == endpoints


def test_a_jobs_whole_story_is_one_query_over_every_functions_log(template: Template) -> None:
    queries = {
        each["Properties"]["Name"]: each["Properties"]
        for each in template.of_type("AWS::Logs::QueryDefinition").values()
    }
    story = queries["sluiceway/a job's whole story"]
    assert 'filter job_id = "JOB_ID"' in story["QueryString"]
    groups = {
        text(each["Properties"]["LoggingConfig"]["LogGroup"])
        for each in template.of_type("AWS::Lambda::Function").values()
    }
    assert {text(group) for group in story["LogGroupNames"]} == groups


def test_the_query_for_errors_finds_what_lambdas_runtime_and_platform_write(
    template: Template, capfd: pytest.CaptureFixture[str]
) -> None:
    queries = [each["Properties"] for each in template.of_type("AWS::Logs::QueryDefinition").values()]
    (asked,) = [each["QueryString"] for each in queries if each["Name"] == "sluiceway/errors"]
    pattern = re.search(r"filter @message like /(.+)/", asked)
    assert pattern is not None
    error = bootstrap.make_error("no room", "OSError", ['  File "handler.py", line 1'])
    bootstrap.log_error(error, bootstrap.StandardLogSink())
    raised = capfd.readouterr().out
    # Lambda developer guide, "Monitoring and troubleshooting": what the platform writes.
    platform = [
        "2026-11-23T10:00:00.000Z 5d1f Task timed out after 900.10 seconds",
        "RequestId: 5d1f Error: Runtime exited with error: signal: killed",
    ]
    assert "OSError: no room" in raised
    for line in (raised, *platform):
        assert re.search(pattern[1], line), line
    assert not re.search(pattern[1], json.dumps({"level": "INFO", "message": "file ended", "error_type": "PlanError"}))


def test_stale_uploads_are_counted_four_times_a_day(template: Template) -> None:
    _, rule = template.the("AWS::Events::Rule", "CheckUploads")
    counter, _ = template.function("count_stale_uploads")
    assert rule["Properties"]["ScheduleExpression"] == "rate(6 hours)"
    assert [text(target["Arn"]) for target in rule["Properties"]["Targets"]] == [f"${{{counter}.Arn}}"]
