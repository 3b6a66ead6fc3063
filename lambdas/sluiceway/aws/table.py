"""The job rows of the jobs table: who owns a job, in which state it is, and which job an execution owns.

Knows the conditions that fence every write by the execution that owns the job. Refuses to decide what a state
means: `jobs.states` says what may follow what.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluiceway.aws.rows import (
    KEEP_SECONDS,
    SPARE_SECONDS,
    JobRow,
    execution_key,
    iso,
    job_key,
    listed_key,
    to_attribute,
    to_attributes,
)
from sluiceway.errors import ContentionError, JobIsLiveError, NotOwnerError
from sluiceway.jobs.states import JOB_ENDS, JobState, check_job_transition

# Two executions that race for one id settle it in the second round; more rounds only ride out throttling.
OWNERSHIP_ROUNDS = 5
# An end that overrules another one looks at the job's row in its transaction: a write that meets it is refused, and
# botocore does not send it again. Full jitter up to 1.6 s.
ATTEMPTS = 8
BACKOFF_SECONDS = (0.05, 1.6)


@dataclass(frozen=True, slots=True)
class JobTable:
    """`client` is a botocore client for `dynamodb`; `now` gives seconds since 1970, `sleep` takes seconds."""

    client: Any
    name: str
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def take(
        self,
        job_id: str,
        execution: str,
        *,
        document_key: str,
        destination: Mapping[str, Any],
        limits: Mapping[str, Any],
        commit: str = "per-file",
        links_renewable: bool = False,
        task_token: str | None = None,
    ) -> JobRow:
        """Makes `execution` the owner of the job and begins a run of it: the first, or the next of one that ended.
        Asked again by the same execution it changes nothing. Raises JobIsLiveError if another execution owns the
        job and it has not ended."""
        for _ in range(OWNERSHIP_ROUNDS):
            before = self.find(job_id)
            if before and before.execution == execution:
                return before
            if before and not before.ended:
                raise JobIsLiveError(f"job {job_id} is {before.state}, owned by {before.execution}")
            row = self._first_row(
                execution=execution,
                run=before.run + 1 if before else 1,
                begun_at=(before.begun_at or before.created_at) if before else None,
                document_key=document_key,
                destination=destination,
                limits=limits,
                commit=commit,
                links_renewable=links_renewable,
                task_token=task_token,
            )
            if self._put_run(job_id, row, before):
                return self.get(job_id)
        raise ContentionError(f"job {job_id}: ownership was contested {OWNERSHIP_ROUNDS} times")

    def resume(self, job: JobRow, redrives: int) -> JobRow:
        """Begins another run of an ended job for the execution that owns it, with the lists of the run before. Answers
        with the job as it is then, whoever began the run."""
        kept = ("execution", "document_key", "destination", "limits", "commit", "links_renewable", "task_token")
        facts = {name: getattr(job, name) for name in (*kept, "begun_at", "files_total", "bytes_total")}
        row = self._first_row(**facts, run=job.run + 1, redrives=redrives)
        self._put_run(job.job_id, row | {"state": JobState.TRANSFERRING, "previous": job.state}, job)
        return self.get(job.job_id)

    def find(self, job_id: str) -> JobRow | None:
        answer = self.client.get_item(TableName=self.name, Key=job_key(job_id), ConsistentRead=True)
        return JobRow.from_attributes(answer["Item"]) if "Item" in answer else None

    def get(self, job_id: str) -> JobRow:
        """Raises KeyError for a job the table does not know."""
        row = self.find(job_id)
        if row is None:
            raise KeyError(job_id)
        return row

    def owned(self, job_id: str, execution: str) -> JobRow:
        """Raises NotOwnerError unless `execution` owns the job, and the job has not ended."""
        row = self.find(job_id)
        if row is None or row.execution != execution:
            raise NotOwnerError(f"execution {execution} does not own job {job_id}")
        if row.ended:
            raise NotOwnerError(row.over)
        return row

    def job_of(self, execution: str) -> str | None:
        """The id of the job that the execution owns or once owned; None if it never owned one."""
        answer = self.client.get_item(TableName=self.name, Key=execution_key(execution), ConsistentRead=True)
        return str(answer["Item"]["job_id"]["S"]) if "Item" in answer else None

    def change_state(self, job: JobRow, after: JobState, **facts: Any) -> JobRow:
        """Moves the job on, with `facts` (attributes of the row) written at the same moment. For a job that is
        already `after` only the facts are. Raises IllegalTransitionError, and NotOwnerError if the row is no longer
        as `job` says it is."""
        if job.state is after:
            return self._update(job, facts) if facts else job
        check_job_transition(job.state, after)
        stamp = iso(self.now())
        changes = {**facts, "state": after, "previous": job.state, "updated_at": stamp}
        if after in JOB_ENDS:
            changes["ended_at"] = stamp
        return self._update(job, changes)

    def mark_announced(self, job: JobRow) -> JobRow:
        """Notes that the event bus knows the job's state."""
        return self._update(job, {"announced": job.state})

    def begin_counting(self, job: JobRow) -> JobRow:
        """Notes that the run's ends are being counted: from here on none takes the place of another."""
        return job if job.counting else self._update(job, {"counting": True})

    def decide(self, job: JobRow, decision: str) -> JobRow:
        """Notes what an all-or-nothing job has come to, before anything is done about it. The first decision stands."""
        try:
            return self._update(job, {"decision": decision}, "attribute_not_exists(#decision)")
        except NotOwnerError:
            found = self.owned(job.job_id, job.execution)
            if found.decision is None or found.run != job.run:
                raise
            return found

    def ask_patience(self, job_id: str, host: str, until: float) -> None:
        """Lets every function of the job know until when (seconds since 1970) a host is to be left alone; where the job
        knows of a later moment, that stays."""
        later = "attribute_not_exists(patience.#host) OR patience.#host < :until"
        try:
            self._write(
                job_id,
                UpdateExpression="SET patience.#host = :until",
                ConditionExpression=f"attribute_exists(patience) AND ({later})",
                ExpressionAttributeNames={"#host": host},
                ExpressionAttributeValues=to_attributes({":until": until}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return  # known better

    def request_cancel(self, job_id: str) -> None:
        """Asks the functions that work on the job to return at once. Raises KeyError for an unknown job."""
        try:
            self._write(
                job_id,
                UpdateExpression="SET cancel_requested = :yes",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            raise KeyError(job_id) from None

    def _first_row(self, **facts: Any) -> dict[str, Any]:
        stamp, run_seconds = iso(self.now()), 60 * facts["limits"].get("deadline_minutes", 0)
        return {
            **facts,
            "begun_at": facts["begun_at"] or stamp,
            "state": JobState.REQUESTED,
            "patience": {},
            "created_at": stamp,
            "updated_at": stamp,
            "expires_at": int(self.now() + run_seconds) + KEEP_SECONDS + SPARE_SECONDS,
        }

    def _put_run(self, job_id: str, row: Mapping[str, Any], before: JobRow | None) -> bool:
        """Puts the row unless the job is no longer as `before` says; tells whether it did."""
        put: dict[str, Any] = {"TableName": self.name, "Item": job_key(job_id) | to_attributes(row)}
        if before is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "#run = :run AND #state = :state"
            put["ExpressionAttributeNames"] = {"#run": "run", "#state": "state"}
            put["ExpressionAttributeValues"] = to_attributes({":run": before.run, ":state": before.state})
        owner = to_attributes({"job_id": job_id, "expires_at": row["expires_at"]})
        link = {"TableName": self.name, "Item": execution_key(row["execution"]) | owner}
        listed = {"TableName": self.name, "Item": listed_key(row["created_at"], job_id) | owner}
        try:
            self.client.transact_write_items(TransactItems=[{"Put": put}, {"Put": link}, {"Put": listed}])
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            return False
        return True

    def _update(self, job: JobRow, changes: Mapping[str, Any], *conditions: str) -> JobRow:
        names = {f"#{name}": name for name in changes} | {"#owner": "execution", "#state": "state"}
        values = {f":{name}": to_attribute(value) for name, value in changes.items()}
        try:
            answer = self._write(
                job.job_id,
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
                ConditionExpression=" AND ".join(("#owner = :its_owner", "#state = :its_state", *conditions)),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values
                | to_attributes({":its_owner": job.execution, ":its_state": job.state}),
                ReturnValues="ALL_NEW",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise NotOwnerError(f"job {job.job_id} was taken over or moved on by another invocation") from error
        return JobRow.from_attributes(answer["Attributes"])

    def _write(self, job_id: str, **arguments: Any) -> dict[str, Any]:
        """UpdateItem of the job's row. Raises what it raises."""
        first, most = BACKOFF_SECONDS
        attempt = 1
        while True:
            try:
                return dict(self.client.update_item(TableName=self.name, Key=job_key(job_id), **arguments))
            except self.client.exceptions.TransactionConflictException:
                if attempt == ATTEMPTS:
                    raise
            self.sleep(random.uniform(0, min(most, first * 2**attempt)))
            attempt += 1
