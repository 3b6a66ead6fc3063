"""Uploads in parts: S3's rules on parts, sizes, checksums and conditions, and a bound on memory."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from awscrt import checksums as crt
from botocore.exceptions import ClientError

from tests.local.support import MIB, Running, client_of, code_of

FIVE = 5 * MIB


def b64(value: int, length: int) -> str:
    return base64.b64encode(value.to_bytes(length, "big")).decode()


class Upload:
    def __init__(self, running: Running, key: str = "k", **options: Any) -> None:
        self.client = running.client
        self.names = {"Bucket": "landing", "Key": key}
        self.names["UploadId"] = self.client.create_multipart_upload(**self.names, **options)["UploadId"]
        self.parts: dict[int, str] = {}

    def part(self, number: int, body: bytes, **options: Any) -> dict[str, Any]:
        reply: dict[str, Any] = self.client.upload_part(**self.names, PartNumber=number, Body=body, **options)
        self.parts[number] = reply["ETag"]
        return reply

    def complete(self, numbers: list[int] | None = None, **options: Any) -> dict[str, Any]:
        listed = [{"PartNumber": n, "ETag": self.parts.get(n, '"none"')} for n in numbers or sorted(self.parts)]
        reply: dict[str, Any] = self.client.complete_multipart_upload(
            **self.names, MultipartUpload={"Parts": listed}, **options
        )
        return reply


@pytest.mark.parametrize(
    "sizes, order",
    [
        ([FIVE, FIVE, 17], [1, 2, 3]),
        ([FIVE, FIVE, 17], [2, 1, 3]),
        ([FIVE, FIVE + 9], [2, 1]),
        ([FIVE, FIVE + 1, FIVE + 2, 0], [1, 2, 3, 4]),
        ([FIVE + 2, FIVE + 1, FIVE, 5], [4, 3, 2, 1]),
        ([FIVE + 2, FIVE, FIVE + 1, FIVE, 1], [5, 1, 4, 2, 3]),
        ([1], [1]),
        ([0], [1]),
    ],
)
def test_parts_of_any_size_in_any_order_make_the_object(running: Running, sizes: list[int], order: list[int]) -> None:
    bodies = [os.urandom(size) for size in sizes]
    upload = Upload(running, Metadata={"a": "1"}, ContentType="x/y")
    for number in order:
        upload.part(number, bodies[number - 1])
    reply = upload.complete()
    whole = b"".join(bodies)
    assert (running.landed / "landing/k").read_bytes() == whole
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert reply["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-{len(sizes)}"'
    assert reply["ChecksumCRC64NVME"] == b64(crt.crc64nvme(whole), 8)
    head = running.client.head_object(Bucket="landing", Key="k")
    assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == ({"a": "1"}, "x/y", len(whole))
    assert running.client.list_multipart_uploads(Bucket="landing").get("Uploads") is None


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o002)
    yield 0o002
    os.umask(before)


def test_what_lands_has_the_mode_of_any_file_however_it_was_put(running: Running, umask: int) -> None:
    running.client.put_object(Bucket="landing", Key="small", Body=b"1")
    in_order, repeated, without_one = (Upload(running, key) for key in ("in-order", "repeated", "without-one"))
    for upload in (in_order, repeated, without_one):
        upload.part(1, bytes(FIVE))
        upload.part(2, b"1")
    repeated.part(2, b"2")
    in_order.complete()
    repeated.complete()
    without_one.complete([2])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (running.landed / "landing").iterdir()}
    assert modes == dict.fromkeys(["small", "in-order", "repeated", "without-one"], 0o666 & ~umask)


def test_what_lands_in_a_private_bucket_is_for_nobody_else(running: Running) -> None:
    running.s3.store.create_bucket("landing", private=True)
    running.client.put_object(Bucket="landing", Key="a/small", Body=b"1")
    running.client.put_object(Bucket="landing", Key="a//odd", Body=b"1")
    upload = Upload(running, "a/large")
    upload.part(1, b"1")
    upload.complete()
    (odd,) = (running.landed / ".sluiceway/odd/landing").iterdir()
    paths = [running.landed / "landing", running.landed / "landing/a/small", running.landed / "landing/a/large", odd]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o600, 0o600, 0o600]


@pytest.mark.parametrize("seed", range(6))
def test_any_mixture_of_repeats_and_gaps_yields_the_last_bytes_of_each_part(running: Running, seed: int) -> None:
    chance = random.Random(seed)
    upload = Upload(running)
    latest: dict[int, bytes] = {}
    for _ in range(12):
        number = chance.randint(1, 5)
        latest[number] = chance.randbytes(FIVE + chance.choice([0, 0, 0, 1, 4097]))
        upload.part(number, latest[number])
    chosen = sorted(chance.sample(sorted(latest), k=chance.randint(1, len(latest))))
    upload.complete(chosen)
    assert (running.landed / "landing/k").read_bytes() == b"".join(latest[number] for number in chosen)


def test_no_object_is_passed_off_as_one_of_its_parts(running: Running) -> None:
    upload = Upload(running)
    upload.part(1, bytes(FIVE))
    upload.part(2, b"1")
    upload.complete()
    assert code_of(lambda: running.client.get_object(Bucket="landing", Key="k", PartNumber=2)) == "NotImplemented"


def test_a_small_part_before_the_last_is_refused_and_the_upload_lives_on(running: Running) -> None:
    upload = Upload(running)
    upload.part(1, b"x" * (FIVE - 1))
    upload.part(2, b"y")
    assert code_of(upload.complete) == "EntityTooSmall"
    assert code_of(lambda: running.client.head_object(Bucket="landing", Key="k")) == "404"
    upload.part(1, b"x" * FIVE)
    upload.complete()
    assert (running.landed / "landing/k").stat().st_size == FIVE + 1


def test_wrong_lists_of_parts_are_refused(running: Running) -> None:
    upload = Upload(running)
    upload.part(1, b"x" * FIVE)
    upload.part(2, b"y")
    assert code_of(lambda: upload.complete([2, 1])) == "InvalidPartOrder"
    assert code_of(lambda: upload.complete([1, 3])) == "InvalidPart"
    upload.parts[2] = '"0123"'
    assert code_of(upload.complete) == "InvalidPart"


def test_the_stated_object_size_is_enforced(running: Running) -> None:
    upload = Upload(running)
    upload.part(1, b"abc")
    assert code_of(lambda: upload.complete(MpuObjectSize=4)) == "InvalidRequest"
    upload.complete(MpuObjectSize=3)


@pytest.mark.parametrize("name", ["crc64nvme", "crc32", "crc32c"])
def test_the_checksum_of_the_whole_object_is_enforced(running: Running, name: str) -> None:
    bodies = [os.urandom(FIVE), os.urandom(MIB + 3)]
    length = 8 if name == "crc64nvme" else 4
    field = f"Checksum{name.upper()}"
    upload = Upload(running, ChecksumAlgorithm=name.upper(), ChecksumType="FULL_OBJECT")
    for number, body in enumerate(bodies, 1):
        upload.part(number, body, **{field: b64(getattr(crt, name)(body), length)})
    right = b64(getattr(crt, name)(b"".join(bodies)), length)
    wrong = b64(getattr(crt, name)(b"".join(reversed(bodies))), length)
    assert code_of(lambda: upload.complete(ChecksumType="FULL_OBJECT", **{field: wrong})) == "BadDigest"
    assert code_of(lambda: running.client.head_object(Bucket="landing", Key="k")) == "404"
    upload.complete(ChecksumType="FULL_OBJECT", **{field: right})
    assert running.client.head_object(Bucket="landing", Key="k", ChecksumMode="ENABLED")[field] == right


def test_a_wrong_part_checksum_is_refused_and_the_part_does_not_count(running: Running) -> None:
    upload = Upload(running, ChecksumAlgorithm="SHA256")
    wrong = base64.b64encode(bytes(32)).decode()
    assert code_of(lambda: upload.part(1, b"abc", ChecksumSHA256=wrong)) == "BadDigest"
    assert "Parts" not in running.client.list_parts(**upload.names)
    sums = []
    for number, body in enumerate([b"a" * FIVE, b"b"], 1):
        sums.append(base64.b64encode(hashlib.sha256(body).digest()).decode())
        upload.part(number, body, ChecksumSHA256=sums[-1])
    parts = [{"PartNumber": n, "ETag": upload.parts[n], "ChecksumSHA256": sums[n - 1]} for n in (1, 2)]
    bad = [{**parts[0], "ChecksumSHA256": sums[1]}, parts[1]]
    complete = running.client.complete_multipart_upload
    assert code_of(lambda: complete(**upload.names, MultipartUpload={"Parts": bad})) == "InvalidPart"
    assert code_of(upload.complete) == "InvalidRequest"
    composite = hashlib.sha256(b"".join(base64.b64decode(value) for value in sums)).digest()
    reply = complete(**upload.names, MultipartUpload={"Parts": parts})
    assert reply["ChecksumSHA256"] == f"{base64.b64encode(composite).decode()}-2"


def test_a_condition_on_complete_holds_and_abort_then_cleans_up(running: Running) -> None:
    upload = Upload(running)
    upload.part(1, b"late")
    running.client.put_object(Bucket="landing", Key="k", Body=b"first")
    assert code_of(lambda: upload.complete(IfNoneMatch="*")) == "PreconditionFailed"
    assert running.client.get_object(Bucket="landing", Key="k")["Body"].read() == b"first"
    running.client.abort_multipart_upload(**upload.names)
    assert code_of(lambda: running.client.abort_multipart_upload(**upload.names)) == "NoSuchUpload"
    assert code_of(lambda: upload.part(2, b"x")) == "NoSuchUpload"
    assert list(running.s3.store.scratch.glob("upload-*")) == []


def test_of_racing_completes_exactly_one_wins(running: Running) -> None:
    uploads = [Upload(running) for _ in range(8)]
    for number, upload in enumerate(uploads):
        upload.part(1, b"%d" % number)

    def attempt(number: int) -> int | None:
        try:
            uploads[number].complete(IfNoneMatch="*")
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(attempt, range(8)) if number is not None]
    assert len(winners) == 1
    assert (running.landed / "landing/k").read_bytes() == b"%d" % winners[0]


def test_parts_and_uploads_are_listed_page_by_page(running: Running) -> None:
    upload = Upload(running)
    for number in (1, 2, 5):
        upload.part(number, b"%d" % number)
    pages = running.client.get_paginator("list_parts").paginate(**upload.names, PaginationConfig={"PageSize": 2})
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [1, 2, 5]
    begun = [upload, *(Upload(running, key) for key in ("k", "k", "k", "k2"))]
    pages = running.client.get_paginator("list_multipart_uploads").paginate(
        Bucket="landing", PaginationConfig={"PageSize": 1}
    )
    listed = [(entry["Key"], entry["UploadId"]) for page in pages for entry in page["Uploads"]]
    assert listed == [(each.names["Key"], each.names["UploadId"]) for each in begun]
    past = running.client.list_multipart_uploads(Bucket="landing", KeyMarker="k")["Uploads"]
    assert [entry["Key"] for entry in past] == ["k2"]


SERVE = """
import sys, pathlib, threading
from local.http import Server
from local.s3_api import S3
server = Server(S3(pathlib.Path(sys.argv[1])))
print(server.url, flush=True)
sys.stdin.read()
"""


def test_memory_stays_small_while_a_quarter_of_a_gigabyte_lands(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()) as server:
        assert server.stdout is not None
        client = client_of("s3", server.stdout.readline().strip(), s3={"payload_signing_enabled": False})
        client.create_bucket(Bucket="landing")
        upload = Upload(Running(client, "", tmp_path, None))  # type: ignore[arg-type]
        body = bytes(16 * MIB)
        before = psutil.Process(server.pid).memory_info().rss
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: upload.part(number, body), range(1, 17)))
        upload.complete(MpuObjectSize=256 * MIB)
        grown = psutil.Process(server.pid).memory_info().rss - before
        assert client.head_object(Bucket="landing", Key="k")["ContentLength"] == 256 * MIB
        client.close()
        server.communicate()
    assert grown < 48 * MIB
    assert (tmp_path / "landing/k").stat().st_size == 256 * MIB
    (tmp_path / "landing/k").unlink()
