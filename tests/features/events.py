"""Listens to the event bus: a rule that matches everything Sluiceway says, and a queue behind it."""

from __future__ import annotations

import json
from typing import Any

from local.engine import Engine


class Listener:
    def __init__(self, engine: Engine) -> None:
        events, self._queue = engine.client("events"), engine.client("sqs")
        self._url = self._queue.create_queue(QueueName="heard")["QueueUrl"]
        arn = self._queue.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        bus = engine.outputs["EventBusName"]
        events.put_rule(Name="hear", EventPattern=json.dumps({"source": ["sluiceway"]}), EventBusName=bus)
        events.put_targets(Rule="hear", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
        self._heard: list[dict[str, Any]] = []

    def of_job(self, job_id: str, detail_type: str) -> list[dict[str, Any]]:
        """The details heard of a job, in the order they were sent."""
        while messages := self._queue.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return [
            event["detail"]
            for event in self._heard
            if event["detail-type"] == detail_type and event["detail"]["job_id"] == job_id
        ]
