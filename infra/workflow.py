"""The state machine, in the order things happen. Each state's name is its function's construct id.

Knows what passes from state to state: the job's id, its execution, pointers into the jobs bucket; never a URL.
Refuses to know what the functions do with them.
"""

from __future__ import annotations

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.audit import explain, explain_wildcards
from infra.functions import Functions
from infra.invoke import invoke
from infra.one_unit import one_unit
from infra.permissions import allow
from infra.settings import Settings
from infra.storage import Storage

COLON = cdk.ArnFormat.COLON_RESOURCE_NAME

JOB_ID = "$.job_id"
EXECUTION = "$$.Execution.Id"
JOB_REQUESTED = "Sluiceway Job Requested"
# Nobody called: for as long as a sign of life may take, or for as long as the job counts on a call.
NOT_CALLED = ("States.HeartbeatTimeout", "States.Timeout")
# Executions that end so may never have reached a Catch.
UNSEEN_ENDS = ("FAILED", "ABORTED", "TIMED_OUT")


class Workflow(Construct):
    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, storage: Storage, functions: Functions
    ) -> None:
        super().__init__(scope, id)

        start_export = invoke(
            self,
            functions.start_export,
            {
                "input.$": "$$.Execution.Input",
                "execution.$": EXECUTION,
                "execution_name.$": "$$.Execution.Name",
            },
        )
        is_ready = sfn.Choice(self, "IsExportReady")
        wait = sfn.Wait(self, "WaitForExport", time=sfn.WaitTime.seconds_path("$.wait_seconds"))
        poll_export = invoke(self, functions.poll_export, _job())
        await_export = self._await_export(functions)
        dispatch_files = invoke(self, functions.dispatch_files)
        is_empty = sfn.Choice(self, "IsEmpty")
        transfer_files = self._transfer_files(storage, functions)
        is_staged = sfn.Choice(self, "IsStaged")
        commit_files = invoke(self, functions.commit_files)
        is_committed = sfn.Choice(self, "IsCommitted")
        complete_job = invoke(self, functions.complete_job)
        is_success = sfn.Choice(self, "IsSuccess")
        succeeded = sfn.Succeed(self, "JobSucceeded")
        failed = sfn.Fail(
            self, "JobFailed", error="JobFailed", cause="The job's summary.json and report.jsonl tell why."
        )
        is_live = sfn.Fail(self, "JobIsLive", error="JobIsLiveError", cause="Another execution runs a job of this id.")
        # Nothing but the error is known here. The input is left behind: it may be a whole document, or no object.
        start_failed = sfn.Pass(self, "StartFailed", parameters={"execution.$": EXECUTION, "error.$": "$"})

        start_export.next(is_ready)
        is_ready.when(sfn.Condition.string_equals("$.action", "READY"), dispatch_files)
        is_ready.when(sfn.Condition.string_equals("$.action", "CALLBACK"), await_export).otherwise(wait)
        # Called or not: the API itself is asked how the export stands.
        await_export.next(poll_export)
        await_export.add_catch(poll_export, errors=list(NOT_CALLED), result_path=sfn.JsonPath.DISCARD)
        wait.next(poll_export).next(is_ready)
        dispatch_files.next(is_empty)
        is_empty.when(sfn.Condition.string_equals("$.action", "CONTINUE"), dispatch_files)
        is_empty.when(sfn.Condition.string_equals("$.action", "EMPTY"), complete_job).otherwise(transfer_files)
        transfer_files.next(is_staged)
        is_staged.when(sfn.Condition.string_equals("$.commit", "all-or-nothing"), commit_files).otherwise(complete_job)
        commit_files.next(is_committed)
        is_committed.when(sfn.Condition.string_equals("$.action", "CONTINUE"), commit_files)
        # Files of which S3 wants every part once more: from here on each lands by itself, and so they pass IsStaged.
        is_committed.when(sfn.Condition.string_equals("$.action", "SEND_AGAIN"), transfer_files).otherwise(complete_job)
        complete_job.next(is_success)
        is_success.when(sfn.Condition.string_equals("$.action", "CONTINUE"), complete_job)
        # Files whose links have expired: back to the source for fresh ones.
        is_success.when(sfn.Condition.string_equals("$.status", "EXPORTING"), poll_export)
        is_success.when(_any_of("$.status", "COMPLETED", "COMPLETED_WITH_FAILURES"), succeeded).otherwise(failed)

        start_export.add_catch(is_live, errors=["JobIsLiveError"], result_path="$")
        start_export.add_catch(start_failed, errors=["States.ALL"], result_path="$")
        start_failed.next(complete_job)
        for state in (await_export, poll_export, dispatch_files, transfer_files, commit_files):
            state.add_catch(complete_job, errors=["States.ALL"], result_path="$.error")

        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            comment="Lands the files of one job in S3.",
            definition_body=sfn.DefinitionBody.from_chainable(start_export),
            state_machine_type=sfn.StateMachineType.STANDARD,
            timeout=cdk.Duration.minutes(settings.deadline_minutes),
            tracing_enabled=True,
            logs=self._logs(settings),
        )
        self._explain(storage, functions)
        self._tell_of_redrives(functions)
        self._complete_unseen_ends(functions)
        self._start_when_asked(settings, storage)

    def _await_export(self, functions: Functions) -> tasks.LambdaInvoke:
        """Sleeps until ExportCallback answers its token, a heartbeat is missing, or the job's patience is over."""
        return invoke(
            self,
            functions.await_export,
            {**_job(), "token": sfn.JsonPath.task_token},
            until_answered="$.wait_seconds",
            heartbeat="$.heartbeat_seconds",
        )

    def _transfer_files(self, storage: Storage, functions: Functions) -> sfn.DistributedMap:
        """One child a unit of work (infra/one_unit.py)."""
        transfer_files = sfn.DistributedMap(
            self,
            "TransferFiles",
            item_reader=sfn.S3JsonItemReader(bucket=storage.jobs_bucket, key=sfn.JsonPath.string_at("$.units_key")),
            item_selector={
                "job_id.$": JOB_ID,
                "execution.$": EXECUTION,
                "unit.$": "$$.Map.Item.Value",
            },
            map_execution_type=sfn.StateMachineType.STANDARD,
            max_concurrency_path="$.max_concurrency",
            # CompleteJob judges the whole from the table; a child that broke is a file without an end there.
            tolerated_failure_percentage=100,
            # Without a writer the children's results become one array, under the limit of a state's payload.
            result_writer_v2=sfn.ResultWriterV2(
                bucket=storage.jobs_bucket,
                prefix=sfn.JsonPath.format("jobs/{}/map", sfn.JsonPath.string_at(JOB_ID)),
            ),
            result_path=sfn.JsonPath.DISCARD,
        )
        transfer_files.item_processor(one_unit(self, functions))
        return transfer_files

    def _logs(self, settings: Settings) -> sfn.LogOptions:
        """Failures only, and never what states pass on: an execution's input may hold links."""
        group = logs.LogGroup(self, "StateMachineLogs", removal_policy=cdk.RemovalPolicy.DESTROY)
        cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = settings.log_retention_days
        return sfn.LogOptions(destination=group, level=sfn.LogLevel.ERROR, include_execution_data=False)

    def _explain(self, storage: Storage, functions: Functions) -> None:
        machine, stack = self.state_machine, cdk.Stack.of(self)
        explain(
            machine,
            "SF1",
            "Step Functions keeps every event of an execution for 90 days; logging each again would cost more than "
            "moving a small file.",
        )
        explain_wildcards(machine, ("*",), "IAM knows no resource for writing traces or delivering logs.")
        invoked = [f"{function.function_arn}:*" for function in functions.of_states]
        explain_wildcards(machine, invoked, "The versions of one function.")
        # CDK grants what a Map reads and writes by bucket, not by prefix; the bucket is the stack's own.
        objects = stack.format_arn(
            service="s3", region="", account="", resource=storage.jobs_bucket.bucket_name, resource_name="*"
        )
        explain_wildcards(machine, (objects,), "Units are read from, results written to, a job's own prefix.")
        own = [self._executions(), self._executions("/*")]
        explain_wildcards(machine, own, "The executions of this machine, its Map's children among them.")

    def _executions(self, children: str = "") -> str:
        """The executions of this machine; with `/*` those of its Map's children."""
        name = cdk.Fn.select(6, cdk.Fn.split(":", self.state_machine.state_machine_arn))
        executions = cdk.Stack.of(self).format_arn(
            service="states", resource="execution", resource_name="", arn_format=COLON
        )
        return f"{executions}{name}{children}:*"

    def _tell_of_redrives(self, functions: Functions) -> None:
        """A function that finds its job ended asks whether its execution was redriven since. The policy stands outside
        the roles: within them the functions would wait for the machine, which waits for the functions."""
        policy = iam.Policy(
            self,
            "AskForRedrives",
            statements=[iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[self._executions()])],
        )
        explain_wildcards(policy, [self._executions()], "The executions of this machine, which come with its jobs.")
        for function in (functions.process_file, functions.process_file_large, functions.complete_job):
            policy.attach_to_role(cast(iam.IRole, function.role))

    def _complete_unseen_ends(self, functions: Functions) -> None:
        """A stopped execution, a timeout and an overflow of history reach no Catch: this rule sees them.

        Step Functions speaks on the account's default bus, whichever bus Sluiceway's own events go to.
        """
        unheard = sqs.Queue(
            self,
            "UnheardEnds",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=cdk.Duration.days(14),  # the longest SQS keeps anything
        )
        explain(unheard, "SQS3", "It is a dead-letter queue itself.")
        self.unheard_ends = unheard
        # The rule's queue keeps what could not be delivered; this, what was delivered and failed three times.
        complete_job = cast(lambda_.CfnFunction, functions.complete_job.node.default_child)
        complete_job.dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=unheard.queue_arn)
        allow(functions.complete_job, ("sqs:SendMessage",), (unheard.queue_arn,))
        events.Rule(
            self,
            "ExecutionEnded",
            description="Completes the job of an execution that ended where no Catch could see it.",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"stateMachineArn": [self.state_machine.state_machine_arn], "status": list(UNSEEN_ENDS)},
            ),
            targets=[targets.LambdaFunction(functions.complete_job, dead_letter_queue=unheard)],
        )

    def _start_when_asked(self, settings: Settings, storage: Storage) -> None:
        """Besides StartExecution: an event on the bus, its detail being the execution's input; and a schedule."""
        machine = cast(sfn.IStateMachine, self.state_machine)
        detail = events.RuleTargetInput.from_event_path("$.detail")
        events.Rule(
            self,
            "JobRequested",
            description="Starts the job that an event asks for.",
            event_bus=events.EventBus.from_event_bus_name(self, "RequestBus", settings.event_bus),
            event_pattern=events.EventPattern(detail_type=[JOB_REQUESTED]),
            targets=[targets.SfnStateMachine(machine, input=detail, dead_letter_queue=self.unheard_ends)],
        )
        if settings.schedule:
            document = {"bucket": storage.jobs_bucket.bucket_name, "key": settings.schedule_job}
            events.Rule(
                self,
                "JobScheduled",
                description="Starts the job whose document lies in the jobs bucket.",
                schedule=events.Schedule.expression(settings.schedule),
                targets=[
                    targets.SfnStateMachine(
                        machine,
                        input=events.RuleTargetInput.from_object({"job": document}),
                        dead_letter_queue=self.unheard_ends,
                    )
                ],
            )


def _job() -> dict[str, str]:
    return {"job_id.$": JOB_ID, "execution.$": EXECUTION}


def _any_of(path: str, *values: str) -> sfn.Condition:
    return sfn.Condition.or_(*(sfn.Condition.string_equals(path, value) for value in values))
