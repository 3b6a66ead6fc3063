"""What the stack costs while nothing moves, counted from the template."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sluiceway import cost
from sluiceway.cost import Idle, idle_cost
from tests.infra.template import Template, text

DOC = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
# CountStaleUploads runs four times a day, and CloudWatch bills a metric for each hour in which it was sent.
CHECKS_A_MONTH = 4 * 30
# What exists without a bill of its own while it is not used.
FREE_WHILE_IDLE = {
    *("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::DynamoDB::Table", "AWS::Logs::LogGroup"),
    *("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::Lambda::Function", "AWS::Lambda::Permission"),
    *("AWS::StepFunctions::StateMachine", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::Events::Rule"),
    *("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::Logs::QueryDefinition", "AWS::Lambda::Url"),
}


@pytest.fixture
def idle(template: Template) -> Idle:
    alarms = [each["Properties"] for each in template.of_type("AWS::CloudWatch::Alarm").values()]
    of_alarms = sum(
        sum("MetricStat" in metric for metric in alarm["Metrics"]) if "Metrics" in alarm else 1 for alarm in alarms
    )
    _, dashboard = template.the("AWS::CloudWatch::Dashboard")
    widgets = json.loads(text(dashboard["Properties"]["DashboardBody"]))["widgets"]
    shown = {
        tuple(each for each in line if isinstance(each, str))
        for widget in widgets
        for line in widget["properties"].get("metrics", [])
        if isinstance(line[0], str)
    }
    return Idle(of_alarms, len(shown), CHECKS_A_MONTH, CHECKS_A_MONTH)


def test_an_idle_stack_costs_under_two_dollars_a_month(idle: Idle) -> None:
    assert idle_cost(idle) < 2


def test_nothing_else_in_the_stack_is_paid_for_while_idle(template: Template) -> None:
    types = {each["Type"] for each in template.body["Resources"].values()}
    assert types - FREE_WHILE_IDLE == {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
    assert all(
        "ProvisionedThroughput" not in each["Properties"] for each in template.of_type("AWS::DynamoDB::Table").values()
    )


def test_the_document_says_no_less_than_what_is_counted(idle: Idle) -> None:
    said = DOC.read_text()
    (alarms,) = re.findall(r"\| alarms: (\d+) metrics, 10 of them free \|", said)
    (dashboard,) = re.findall(r"\| dashboard: up to (\d+) metrics, free \|", said)
    assert 0 <= int(alarms) - idle.alarm_metrics <= 2
    assert int(dashboard) == cost.FREE_DASHBOARD_METRICS >= idle.dashboard_metrics
    told = replace(idle, alarm_metrics=int(alarms))
    assert f"| **together** | **{idle_cost(told):.2f}** |" in said
    assert f"it is USD {idle_cost(told, is_first=False):.2f}" in said


def test_a_job_and_a_unit_pass_no_more_states_than_are_counted(template: Template) -> None:
    _, machine = template.the("AWS::StepFunctions::StateMachine")
    definition = json.loads(text(machine["Properties"]["DefinitionString"]))
    transfer = definition["States"]["TransferFiles"]
    unit = _longest_without_choice_loops(transfer["ItemProcessor"], ("ProcessFile", "WhatNext", "UnitDone"))
    assert unit == cost.CHILD_TRANSITIONS
    assert len(_states_of_a_plain_job(definition)) <= cost.JOB_TRANSITIONS


def _longest_without_choice_loops(processor: dict[str, object], path: tuple[str, ...]) -> int:
    """The number of states on a path, each of which leads to the next."""
    states = processor["States"]
    assert isinstance(states, dict)
    assert processor["StartAt"] == path[0]
    for state, following in zip(path, path[1:], strict=False):
        assert re.search(rf'"(Next|Default)": "{following}"', json.dumps(states[state])), (state, following)
    return len(path)


def _states_of_a_plain_job(definition: dict[str, object]) -> list[str]:
    """From the first state to a Succeed, taking a Choice's first way where it leads on and its default elsewhere."""
    states = definition["States"]
    assert isinstance(states, dict)
    path = [str(definition["StartAt"])]
    takes = {"IsExportReady": "DispatchFiles", "IsSuccess": "JobSucceeded"}
    while states[path[-1]]["Type"] not in ("Succeed", "Fail"):
        state = states[path[-1]]
        path.append(takes.get(path[-1]) or state.get("Default") or state["Next"])
    return path
