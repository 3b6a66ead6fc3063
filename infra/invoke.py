"""One way for a state to invoke a function: its name, its payload, and what is tried again.

Knows which errors of Lambda pass by themselves. Refuses to know the order of states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

# A new account may run 10 functions at once, a job starts 100 children: throttling is waited out for as long as the job
# may take. The second is a mover's that found no room for IssueToken beside itself.
THROTTLED = ("Lambda.TooManyRequestsException", "TokensThrottledError")
# More than any deadline has room for: the execution's own end is the end of waiting.
THROTTLED_ATTEMPTS = 20_000
# Lambda's own mishaps (Step Functions Developer Guide, "Handle transient Lambda service exceptions"), and a process
# that died, once more or twice.
TRANSIENT = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Runtime.ExitError",
)
TRANSIENT_ATTEMPTS = 4
# A function that was ended by its timeout; the second name is that of an older Lambda, and of an end that told none. It
# is given again what it was given, so what is lost is what one invocation had moved. No more often, for each may take
# a quarter of an hour. The timeout of a state itself, States.Timeout, is another thing: AwaitExport waits for one.
TIMED_OUT = ("Sandbox.Timedout", "Lambda.Unknown")
TIMED_OUT_ATTEMPTS = 2
LONGEST_WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds before the first further attempt of a throttled state, doubled up to the longest, full jitter over each.
    An attempt is three events of an execution that may have 25,000, and a transition to pay for: who shares a history
    with others waits longer."""

    first: int = 5
    longest: int = 300


def invoke(
    scope: Construct,
    function: lambda_.Function,
    payload: dict[str, str] | None = None,
    *,
    until_answered: str | None = None,
    heartbeat: str | None = None,
    waits: Waits = Waits(),
) -> tasks.LambdaInvoke:
    """A state named like the function. It passes on its input, or `payload`, and returns what the handler does. With
    `until_answered`, the path of the seconds it waits, it sleeps until its token is answered, and passes its
    input on; `heartbeat` is the path of the seconds, fewer, after which it wakes without a sign of life."""
    sleeping = (
        {
            "integration_pattern": sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            "task_timeout": sfn.Timeout.at(until_answered),
            "heartbeat_timeout": sfn.Timeout.at(heartbeat) if heartbeat is not None else None,
            "result_path": sfn.JsonPath.DISCARD,
        }
        if until_answered is not None
        else {"output_path": "$.Payload"}
    )
    state = tasks.LambdaInvoke(
        scope,
        function.node.id,
        lambda_function=function,
        payload=sfn.TaskInput.from_object(payload) if payload else None,
        retry_on_service_exceptions=False,  # it knows neither jitter nor throttling
        **sleeping,
    )
    _try_again(
        state,
        THROTTLED,
        first_wait_seconds=waits.first,
        attempts=THROTTLED_ATTEMPTS,
        longest_wait_seconds=waits.longest,
    )
    _try_again(state, TRANSIENT, first_wait_seconds=1, attempts=TRANSIENT_ATTEMPTS)
    _try_again(state, TIMED_OUT, first_wait_seconds=1, attempts=TIMED_OUT_ATTEMPTS)
    return state


def _try_again(
    state: tasks.LambdaInvoke,
    errors: Sequence[str],
    *,
    first_wait_seconds: int,
    attempts: int,
    longest_wait_seconds: int = LONGEST_WAIT_SECONDS,
) -> None:
    state.add_retry(
        errors=list(errors),
        interval=cdk.Duration.seconds(first_wait_seconds),
        backoff_rate=2,
        max_attempts=attempts,
        max_delay=cdk.Duration.seconds(longest_wait_seconds),
        jitter_strategy=sfn.JitterType.FULL,
    )
