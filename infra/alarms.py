"""What must wake somebody, why, and what to do first.

Knows thresholds and their reasons; each alarm's description is what is read at 3 a.m., docs/operations.md has more.
Refuses to know who is woken (monitoring.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

from infra.functions import Functions
from infra.measures import Measures
from infra.workflow import Workflow
from sluiceway import telemetry

# Half of the memory is kept for what nobody foresaw: past it, one more thread or a bigger part ends in a kill.
MEMORY_PERCENT = 50
FAILING_PERCENT = 5
# Throttling is waited out by the state machine, where who waits long tries twice in five minutes; ten who do so for a
# while mean that the account's limit is too small.
THROTTLES_IN_FIVE_MINUTES = 20


@dataclass(frozen=True)
class Alarm:
    """`at_least` is the value that is too much, in `of`'s unit and period; `periods` of them in a row."""

    name: str
    of: cloudwatch.IMetric
    at_least: float
    why: str
    first: str
    periods: int = 1

    @property
    def description(self) -> str:
        return f"{self.why} First: {self.first}"


def alarms(measures: Measures, functions: Functions, workflow: Workflow) -> list[Alarm]:
    """Every alarm of a stack, the most urgent first."""
    return [*_of_executions(workflow), *_of_files(measures), *_of_functions(measures, functions)]


def _of_executions(workflow: Workflow) -> list[Alarm]:
    machine, five = workflow.state_machine, cdk.Duration.minutes(5)
    return [
        Alarm(
            "ExecutionsFailed",
            machine.metric_failed(period=five, statistic="Sum"),
            1,
            "A job ended FAILED: its files are not all there, or none is.",
            "run `sluiceway list` for the job, `sluiceway report JOB_ID` for the reason, then submit it again: only "
            "what is missing moves.",
        ),
        Alarm(
            "ExecutionsTimedOut",
            machine.metric_timed_out(period=five, statistic="Sum"),
            1,
            "A job passed its deadline and was stopped where it stood.",
            "see on the dashboard whether the source was slow; raise deadline_minutes or max_concurrency and submit "
            "the job again.",
        ),
        Alarm(
            "UnheardEnds",
            workflow.unheard_ends.metric_approximate_number_of_messages_visible(period=five, statistic="Maximum"),
            1,
            "An execution ended and complete_job could not be told: its job still looks alive.",
            "read the message in the queue UnheardEnds and invoke complete_job with it.",
        ),
    ]


def _of_files(measures: Measures) -> list[Alarm]:
    return [
        Alarm(
            "FilesFailing",
            measures.failing_percent(),
            FAILING_PERCENT,
            f"{FAILING_PERCENT} % of files or more are failing or rejected: a source is down, links have expired, or "
            "the digests are wrong.",
            "run the saved query 'why files failed' and look at which host and which error prevail.",
        ),
        Alarm(
            "SlowFiles",
            measures.total(telemetry.SLOW_FILES),
            1,
            f"A file of at most 5 GiB took more than {telemetry.SLOW_FILE_SECONDS:.0f} s in all its invocations.",
            "compare source wait and sink wait on the dashboard; the source is the usual culprit.",
        ),
        Alarm(
            "SourceUnreachable",
            measures.total(telemetry.SOURCE_UNREACHABLE),
            5,
            "Connections to a source are refused or time out.",
            "try the host from the same VPC or from the internet; then lower max_concurrency for this source.",
        ),
        Alarm(
            "PoolExhausted",
            measures.total(telemetry.POOL_WAITS),
            1,
            "Requests waited for a free connection: more run at once than the pool has connections to one host.",
            "lower batch_threads, or look for downloads that are not closed.",
        ),
        Alarm(
            "CallbacksRejected",
            measures.total(telemetry.CALLBACKS_REJECTED),
            5,
            "Calls at the callback URL were refused: wrong signatures, old, made before, or for an id nobody knows.",
            "read why in the log of export_callback: a vendor's changed secret and an intruder look alike here.",
        ),
        Alarm(
            "StaleUploads",
            measures.most(telemetry.STALE_UPLOADS, period=cdk.Duration.hours(6)),
            1,
            "Unfinished uploads are older than a day: parts nobody sees are stored and paid for.",
            "list them with `aws s3api list-multipart-uploads --bucket BUCKET`; the lifecycle rule ends them later.",
        ),
    ]


def _of_functions(measures: Measures, functions: Functions) -> list[Alarm]:
    return [
        Alarm(
            "MemoryHigh",
            measures.most(telemetry.PEAK_MEMORY_PERCENT),
            MEMORY_PERCENT,
            f"A function that moves files used {MEMORY_PERCENT} % of its memory: it should be constant, and less.",
            "lower uploaders or part_mib, or raise process_file_memory_mb; then find what grew.",
        ),
        Alarm(
            "FunctionErrors",
            # Each metric of an alarm is paid for, and errors of the other functions end a job: ExecutionsFailed tells.
            summed(functions.of_units, "Errors"),
            5,
            "Functions that move files end in errors: retries and Catch hide them from the job, not from the bill.",
            "run the saved query 'errors' for the exceptions and their functions.",
            periods=3,
        ),
        Alarm(
            "Throttles",
            throttles(),
            THROTTLES_IN_FIVE_MINUTES,
            "Lambda refuses invocations: the account's concurrency is used up, jobs are slow.",
            "ask for more in Service Quotas (Lambda, concurrent executions), or lower max_concurrency.",
            periods=3,
        ),
    ]


def throttles() -> cloudwatch.IMetric:
    """Of the whole account in this Region: its functions share one concurrency, whoever uses it up."""
    period = cdk.Duration.minutes(5)
    return cloudwatch.Metric(namespace="AWS/Lambda", metric_name="Throttles", statistic="Sum", period=period)


def summed(functions: Sequence[lambda_.Function], name: str) -> cloudwatch.MathExpression:
    """One of Lambda's own metrics, added up over functions: ten at most in an alarm (CloudWatch's limit)."""
    each = {f"{name.lower()}{n}": function.metric(name, statistic="Sum") for n, function in enumerate(functions)}
    return cloudwatch.MathExpression(
        expression=f"SUM([{', '.join(each)}])",
        using_metrics=dict(each),
        label=name,
        period=cdk.Duration.minutes(5),
    )
