"""The stack, in the order data flows, and the names it hands to its users."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.functions import Functions
from infra.monitoring import Monitoring
from infra.network import Network
from infra.settings import Settings
from infra.storage import Storage
from infra.workflow import Workflow


class SluicewayStack(cdk.Stack):
    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id, description="Sluiceway: lands files from HTTP in S3, verified.")
        storage = Storage(self, "Storage", settings=settings)
        bus = events.EventBus.from_event_bus_name(self, "EventBus", settings.event_bus)
        network = Network(self, "Network", settings=settings)
        functions = Functions(self, "Functions", settings=settings, storage=storage, bus=bus, network=network)
        workflow = Workflow(self, "Workflow", settings=settings, storage=storage, functions=functions)
        monitoring = Monitoring(
            self, "Monitoring", settings=settings, storage=storage, functions=functions, workflow=workflow
        )
        if settings.permission_boundary_arn:
            boundary = iam.ManagedPolicy.from_managed_policy_arn(self, "Boundary", settings.permission_boundary_arn)
            iam.PermissionsBoundary.of(self).apply(boundary)

        self._output("JobsBucket", storage.jobs_bucket.bucket_name, "job documents, manifests and reports")
        self._output("LandingBucket", storage.landing_bucket.bucket_name, "where files land by default")
        self._output("JobsTable", storage.jobs_table.table_name, "jobs, files and counters")
        self._output("EventBusName", bus.event_bus_name, "where events go")
        self._output("StateMachineArn", workflow.state_machine.state_machine_arn, "starts a job")
        self._output("AlarmTopicArn", monitoring.topic.topic_arn, "where alarms are heard")

    def _output(self, name: str, value: str, description: str) -> None:
        cdk.CfnOutput(self, name, value=value, description=description)
