"""The peers, in the order of the tables.

Knows how each is started for one file and where its SHA-256 is in what it prints. The same bytes, the same sink, the
defaults its users would have; Sluiceway too runs with its defaults, by its command.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.build import node, rclone
from bench.paths import AIOBOTO3_VENV, BENCH, NODE, ROOT, TLS, VENV

ENV = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SCHEMES = ("http", "https")
SLUICEWAY = "sluiceway"
EIGHT = "sluiceway, 8 MiB parts"
SIGNED = "sluiceway, payload signed"
FLOOR = "read and hash alone"
BOTO3 = "boto3 upload_fileobj"
OBSTORE = "obstore"
UNSIGNED_OBSTORE = "obstore, payload not signed"
NODE_PEER = "Node (undici, lib-storage)"


@dataclass(frozen=True, slots=True)
class Errand:
    """One file to move: where from and where to. `host` is HOST:PORT of the source."""

    url: str
    endpoint: str
    host: str
    key: str = "object"
    bucket: str = "bench"


@dataclass(frozen=True, slots=True)
class Peer:
    """`needs` is the step of build.py that provides it. `hashes` is False for a tool that takes no SHA-256, `stores`
    for one that sends nothing on; `schemes` are those it is of interest with."""

    name: str
    needs: str
    command: Callable[[Errand], list[str]]
    env: Callable[[Errand], Mapping[str, str]]
    digest: Callable[[str], str] = str.strip
    hashes: bool = True
    stores: bool = True
    schemes: tuple[str, ...] = SCHEMES


def peers() -> list[Peer]:
    return [
        Peer(SLUICEWAY, "", _sluiceway, _own_env, _digest_in_json),
        Peer(EIGHT, "", lambda errand: [*_sluiceway(errand), "--part-mib", "8"], _own_env, _digest_in_json),
        # With TLS it signs no payload, whoever it talks to.
        Peer(SIGNED, "", _signed_sluiceway, _own_env, _digest_in_json, schemes=("http",)),
        Peer(BOTO3, "venv", _script(VENV, "boto3_upload.py"), _env),
        Peer("smart_open", "venv", _script(VENV, "smart_open_copy.py"), _env),
        Peer(OBSTORE, "venv", _script(VENV, "obstore_copy.py"), _env),
        Peer(UNSIGNED_OBSTORE, "venv", _script(VENV, "obstore_copy.py", "unsigned"), _env),
        Peer("aioboto3", "venv-aioboto3", _script(AIOBOTO3_VENV, "aioboto3_copy.py"), _env),
        Peer(NODE_PEER, "node", _node, _env),
        # rclone has no way to take a SHA-256 of what it copies from a URL: its CPU is without one.
        Peer("rclone copyurl (no SHA-256)", "rclone", _rclone, _rclone_env, hashes=False),
    ]


def floor() -> Peer:
    """Reading and hashing alone: stores nothing."""
    script = str(BENCH / "peers/read_and_hash.py")
    return Peer(FLOOR, "", lambda errand: [sys.executable, script, errand.url], _env, stores=False)


def _sluiceway(errand: Errand) -> list[str]:
    tls = ["--ca-bundle", str(TLS / "cert.pem")] if errand.url.startswith("https:") else []
    return [
        str(Path(sys.executable).parent / "sluiceway"), "copy", errand.url, f"s3://{errand.bucket}/{errand.key}",
        "--allow-source", errand.host, "--json", *tls,
    ]  # fmt: skip


def _signed_sluiceway(errand: Errand) -> list[str]:
    _, *arguments = _sluiceway(errand)
    return [sys.executable, str(BENCH / "peers/sluiceway_signed.py"), *arguments]


def _digest_in_json(line: str) -> str:
    return str(json.loads(line)["sha256"])


def _script(venv: Path, name: str, *more: str) -> Callable[[Errand], list[str]]:
    arguments = [str(venv / "bin/python"), str(BENCH / "peers" / name)]
    return lambda errand: [*arguments, errand.url, errand.endpoint, errand.bucket, errand.key, *more]


def _node(errand: Errand) -> list[str]:
    return [str(node()), str(NODE / "copy.mjs"), errand.url, errand.endpoint, errand.bucket, errand.key]


def _rclone(errand: Errand) -> list[str]:
    return [
        rclone(), "copyurl", errand.url, f":s3:{errand.bucket}/{errand.key}", "--config", "/dev/null",
        "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", errand.endpoint, "--s3-region", "us-east-1",
        "--s3-no-head", "--s3-no-check-bucket", "--ca-cert", str(TLS / "cert.pem"), "--retries", "1",
    ]  # fmt: skip


def _env(errand: Errand) -> dict[str, str]:
    env = {**ENV, "AWS_ENDPOINT_URL_S3": errand.endpoint}
    if errand.url.startswith("https:"):
        cert = str(TLS / "cert.pem")
        env |= dict.fromkeys(("BENCH_CA", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), cert)
    return env


def _own_env(errand: Errand) -> dict[str, str]:
    # This checkout's, whatever is installed.
    return {**_env(errand), "PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT}"}


def _rclone_env(errand: Errand) -> dict[str, str]:
    # Its own option names the certificate; given AWS_CA_BUNDLE as well it refuses to start.
    return ENV
