"""Every setting of a deployment: its name, type, default and bounds.

Knows how each is spelt on a command line (`-c NAME=VALUE` of cdk, `--set NAME=VALUE` of sluiceway). Refuses to know
AWS CDK, so that the command can check a setting without starting CDK.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from infra.parsing import Parser, Wrong, many, number, one_of, optional, text, whole
from sluiceway.source.hosts import wrong_source
from sluiceway.transfer.plan import BUFFER_SHARE, GIB, MIB, part_room

# Lambda: 128 to 10,240 MB; 900 s at most. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MEMORY_MB = (128, 10_240)
TIMEOUT_SECONDS = (1, 900)
# S3: parts of 5 MiB to 5 GiB, objects up to 48.8 TiB. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PART_MIB = (5, 5 * 1024)
FILE_BYTES = (1, 10_000 * 5 * GIB)
# A segment has at least one part of S3's smallest size.
SPLIT_BYTES = (5 * MIB, 10_000 * 5 * GIB)
# Step Functions runs at most 10,000 children of a Distributed Map at once.
CONCURRENCY = (1, 10_000)
# CloudWatch Logs keeps logs for these numbers of days and no others.
RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
PART_CHECKSUMS = ("crc64nvme", "crc32", "none")
FILE_EVENTS = ("STORED", "SKIPPED", "REJECTED", "FAILED", "CANCELLED")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# S3's rules for a bucket's name, without the rarities. https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# HOST, or .DOMAIN for every host below it.
HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
BUS = re.compile(r"[A-Za-z0-9._/-]{1,256}")
# CloudFormation's rule for a stack's name, less room for the stage.
STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
STAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,31})?")
ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:[^*?\s]+")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# EventBridge's schedule expressions. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
SCHEDULE = re.compile(r"rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|cron\([^()]+\)")
REQUEST = re.compile(r"requests/[A-Za-z0-9!_.*'()/-]{1,200}")
# Characters Secrets Manager allows in a name; no wildcard can come in.
PREFIX = re.compile(r"[A-Za-z0-9/_+=.@-]{1,256}")


def _part_mib(value: Any) -> int | str:
    if value == "auto":
        return "auto"
    try:
        return int(whole(*PART_MIB)(value))
    except Wrong as wrong:
        raise Wrong(f"auto, or {wrong} (MiB)") from wrong


def _source(value: Any) -> str:
    wrong = wrong_source(value) if isinstance(value, str) else "HOST or HOST:PORT"
    if wrong is not None:
        raise Wrong(wrong)
    return str(value)


def _setting(default: Any, parse: Parser, about: str) -> Any:
    return field(default=default, metadata={"parse": parse, "about": about})


_buckets = many(text(BUCKET, "the name of a bucket"))


@dataclass(frozen=True, slots=True)
class Settings:
    """A deployment's settings, each checked. Defaults suit an empty account."""

    stack_name: str = _setting("sluiceway", text(STACK, "a CloudFormation stack name"), "name of the stack")
    stage: str = _setting(
        "",
        text(STAGE, "letters, digits and hyphens"),
        "added to the stack's name, so that several live in one account",
    )

    process_file_memory_mb: int = _setting(512, whole(*MEMORY_MB), "memory of ProcessFile, MB")
    process_file_timeout_seconds: int = _setting(
        900, whole(*TIMEOUT_SECONDS), "time ProcessFile has for a unit of work"
    )
    process_file_large_memory_mb: int = _setting(
        5120,
        whole(*MEMORY_MB),
        "memory of ProcessFileLarge and MoveSegmentLarge, MB: for files whose parts ProcessFile cannot hold",
    )
    process_file_reserved_concurrency: int = _setting(
        0, whole(0, 10_000), "concurrency kept for ProcessFile, and its most; 0 reserves none"
    )
    control_timeout_seconds: int = _setting(
        900,
        whole(*TIMEOUT_SECONDS),
        "time DispatchFiles, CommitFiles and CompleteJob have for an invocation; a large job takes several",
    )
    callback_reserved_concurrency: int = _setting(
        0, whole(0, 1000), "most calls at once at the public callback URL, kept for it; 0 sets no bound of its own"
    )
    uploaders: int = _setting(2, whole(1, 16), "threads that upload parts, for a file")
    part_mib: int | str = _setting(
        "auto",
        _part_mib,
        "size of a part, MiB; auto plans it from size and memory, of which uploaders + 1 parts may take 30 %",
    )
    part_checksum: str = _setting("crc64nvme", one_of(*PART_CHECKSUMS), "whole-object checksum S3 verifies")
    max_concurrency: int = _setting(100, whole(*CONCURRENCY), "files in flight in a job, at most")
    max_file_bytes: int = _setting(5 * GIB, whole(*FILE_BYTES), "largest file that is accepted")
    batch_files: int = _setting(200, whole(1, 1000), "small files in a unit of work, at most")
    batch_bytes: int = _setting(64 * MIB, whole(1, GIB), "bytes of the small files of a unit, at most")
    batch_threads: int = _setting(8, whole(1, 32), "small files a function moves at a time")
    split_bytes: int = _setting(2 * GIB, whole(*SPLIT_BYTES), "files above this may be split, where the job says so")
    progress_seconds: float = _setting(10.0, number(0.1, 900), "how often a file in flight reports its bytes")
    deadline_minutes: int = _setting(720, whole(1, 14 * 24 * 60), "how long a job may take in all")

    allowed_sources: tuple[str, ...] = _setting((), many(_source), "hosts permitted although private or plain http")
    only_hosts: tuple[str, ...] = _setting(
        (), many(text(HOST, "HOST or .DOMAIN")), "where given, no other host is a source; .DOMAIN means all below it"
    )
    destination_buckets: tuple[str, ...] = _setting(
        (), _buckets, "buckets files may land in, besides the landing bucket"
    )
    manifest_buckets: tuple[str, ...] = _setting(
        (), _buckets, "buckets manifests may be read from, besides the jobs bucket"
    )
    secret_prefix: str = _setting(
        "sluiceway/",
        text(PREFIX, "the beginning of a secret's name, not empty, no wildcard"),
        "secrets whose name begins so may be read",
    )

    landing_bucket: str = _setting(
        "", optional(text(BUCKET, "the name of an existing bucket")), "existing bucket to land in; empty makes one"
    )
    landing_kms_key_arn: str = _setting(
        "", optional(text(ARN, "the ARN of a key")), "key the landing bucket encrypts with; empty uses S3's own"
    )
    kms_key_arns: tuple[str, ...] = _setting(
        (), many(text(ARN, "the ARN of a key")), "keys that files may be encrypted with"
    )
    access_log_bucket: str = _setting(
        "", optional(text(BUCKET, "the name of an existing bucket")), "existing bucket for S3's access logs"
    )
    permission_boundary_arn: str = _setting(
        "", optional(text(ARN, "the ARN of a managed policy")), "boundary of every role in the stack"
    )
    vpc_id: str = _setting(
        "",
        optional(text(re.compile(r"vpc-[0-9a-f]+"), "the id of a VPC")),
        "existing VPC to run in; empty runs in none",
    )
    vpc_subnet_ids: tuple[str, ...] = _setting(
        (),
        many(text(re.compile(r"subnet-[0-9a-f]+"), "the id of a subnet")),
        "private subnets of the VPC, with a way out",
    )
    vpc_route_table_ids: tuple[str, ...] = _setting(
        (),
        many(text(re.compile(r"rtb-[0-9a-f]+"), "the id of a route table")),
        "their route tables: each gets endpoints for S3 and DynamoDB; empty makes none",
    )

    schedule: str = _setting(
        "", optional(text(SCHEDULE, "rate(…) or cron(…)")), "when the job schedule_job starts by itself; empty is never"
    )
    schedule_job: str = _setting(
        "", optional(text(REQUEST, "requests/NAME")), "key in the jobs bucket of the document the schedule starts"
    )
    event_bus: str = _setting("default", text(BUS, "the name of an event bus in this account"), "where events go")
    file_events: tuple[str, ...] = _setting(
        ("REJECTED", "FAILED"), many(one_of(*FILE_EVENTS)), "states of a file that are announced"
    )

    alarm_email: str = _setting(
        "", optional(text(EMAIL, "an e-mail address")), "who hears of alarms; empty tells nobody"
    )
    log_level: str = _setting("INFO", one_of(*LOG_LEVELS), "least severe log line that is written")
    log_retention_days: int = _setting(30, one_of(*RETENTION_DAYS), "days logs are kept")
    jobs_retention_days: int = _setting(90, whole(1, 3650), "days a job's documents and reports are kept")

    @property
    def stack_id(self) -> str:
        """The stack's name with its stage: `sluiceway`, `sluiceway-test`."""
        return f"{self.stack_name}-{self.stage}" if self.stage else self.stack_name

    @classmethod
    def from_context(cls, values: Mapping[str, Any]) -> Settings:
        """From text (`"128"`, `"a,b"`) or typed values (128, ["a", "b"]). Raises ValueError that tells of every
        mistake: the setting's name, what was found, what was expected; for an unknown name, the known ones."""
        known = {each.name: each for each in fields(cls)}
        parsed: dict[str, Any] = {}
        mistakes: list[str] = []
        for name, value in values.items():
            if name not in known:
                mistakes.append(f"{name}: no such setting; the settings are {', '.join(sorted(known))}")
                continue
            try:
                parsed[name] = known[name].metadata["parse"](value)
            except Wrong as wrong:
                mistakes.append(f"{name}: expected {wrong}, found {value!r}")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        settings = cls(**parsed)
        settings._check_vpc()
        settings._check_buffers()
        if bool(settings.schedule) != bool(settings.schedule_job):
            raise ValueError("schedule_job: expected with schedule and not without, found one of them alone")
        return settings

    def _check_vpc(self) -> None:
        if bool(self.vpc_id) != bool(self.vpc_subnet_ids):
            raise ValueError("vpc_subnet_ids: expected with vpc_id and not without, found one of them alone")
        if self.vpc_route_table_ids and not self.vpc_id:
            raise ValueError("vpc_route_table_ids: expected only with vpc_id, found alone")

    def _check_buffers(self) -> None:
        """What does not fit is killed in the middle of a file, by the system and without a word."""
        buffers, smallest = self.uploaders + 1, self.part_mib if isinstance(self.part_mib, int) else PART_MIB[0]
        for name in ("process_file_memory_mb", "process_file_large_memory_mb"):
            memory_mb = getattr(self, name)
            if smallest * MIB > part_room(memory_mb * MIB, self.uploaders):
                needed = math.ceil(buffers * smallest / BUFFER_SHARE)
                raise ValueError(
                    f"{name}: expected at least {needed} with uploaders {self.uploaders} and part_mib {self.part_mib} "
                    f"({buffers} buffers of {smallest} MiB in {BUFFER_SHARE:.0%} of it), found {memory_mb}"
                )

    @classmethod
    def parse(cls, assignments: Iterable[str] | Mapping[str, str]) -> Settings:
        """From `NAME=VALUE` texts, or such pairs as a mapping; the last of a name wins. Raises ValueError as
        from_context does, and for a text without '='."""
        if isinstance(assignments, Mapping):
            return cls.from_context(assignments)
        return cls.from_context(split_assignments(assignments))

    @classmethod
    def describe(cls) -> list[tuple[str, Any, str]]:
        """(name, default, what it is for), in the order of this file."""
        return [(each.name, each.default, each.metadata["about"]) for each in fields(cls)]


def split_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """`["a=1", "b=x=y"]` -> `{"a": "1", "b": "x=y"}`. Raises ValueError for a text without '='."""
    pairs: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{assignment}: expected NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs
