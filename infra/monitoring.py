"""What operators see: the dashboard, alarms and where they are heard, saved queries of the logs, the scheduled check.

Knows how they are wired. What is watched and why stands in alarms.py, what is shown in dashboard.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra import dashboard
from infra.alarms import Alarm, alarms
from infra.functions import Functions
from infra.measures import Measures
from infra.settings import Settings
from infra.storage import Storage
from infra.workflow import Workflow

# Names of saved queries, and what they ask of every function's log.
FIELDS = ["@timestamp", "function_name", "level", "message"]
STORY = [*FIELDS, "bucket", "key", "state", "bytes", "seconds", "error_type", "error_message", "function_request_id"]
BROKEN = r"^\[ERROR\]|Task timed out after|Runtime\.ExitError|Runtime exited|signal: killed"
QUERIES = {
    "a job's whole story": (STORY, ['job_id = "JOB_ID"'], "@timestamp asc"),
    "why files failed": (STORY, ['state in ["FAILED", "REJECTED"]'], "@timestamp desc"),
    # What a handler raises, and what ends its process, is told by Lambda's runtime and platform in lines of their own.
    "errors": (["@timestamp", "@log", "@message"], [f"@message like /{BROKEN}/"], "@timestamp desc"),
    "slowest files": (STORY, ['state = "STORED"'], "seconds desc"),
}


class Monitoring(Construct):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: Storage,
        functions: Functions,
        workflow: Workflow,
    ) -> None:
        super().__init__(scope, id)
        measures = Measures(settings.stack_id)
        self.topic = self._topic(settings)
        watched = alarms(measures, functions, workflow)
        for each in watched:
            self._raise(settings, each)
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=settings.stack_id,
            widgets=dashboard.rows(settings, measures, functions, workflow, storage, self._by_name(settings, watched)),
        )
        self._save_queries(settings, functions)
        self._check_uploads(functions)

    def _raise(self, settings: Settings, each: Alarm) -> None:
        alarm = cloudwatch.Alarm(
            self,
            each.name,
            alarm_name=f"{settings.stack_id}-{each.name}",
            alarm_description=each.description,
            metric=each.of,
            threshold=each.at_least,
            evaluation_periods=each.periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # Nothing runs most of the day: no data is no trouble.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))

    def _by_name(self, settings: Settings, watched: Sequence[Alarm]) -> list[cloudwatch.IAlarm]:
        """By names known beforehand, the dashboard needs no alarm to exist before it does."""
        return [
            cloudwatch.Alarm.from_alarm_name(self, f"{each.name}Shown", f"{settings.stack_id}-{each.name}")
            for each in watched
        ]

    def _topic(self, settings: Settings) -> sns.Topic:
        topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        # A topic with a policy of its own has lost the one that lets the account's alarms in.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )
        if settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        return topic

    def _save_queries(self, settings: Settings, functions: Functions) -> None:
        groups = [function.log_group for function in functions.all]
        for n, (name, (fields, filters, sort)) in enumerate(QUERIES.items()):
            logs.QueryDefinition(
                self,
                f"Query{n}",
                query_definition_name=f"{settings.stack_id}/{name}",
                query_string=logs.QueryString(fields=fields, filter_statements=filters, sort=sort, limit=1000),
                log_groups=groups,
            )

    def _check_uploads(self, functions: Functions) -> None:
        events.Rule(
            self,
            "CheckUploads",
            description="Counts unfinished uploads older than a day.",
            schedule=events.Schedule.rate(cdk.Duration.hours(6)),
            targets=[targets.LambdaFunction(functions.count_stale_uploads)],
        )
