"""What is uploaded for a function: code and pinned dependencies for Lambda's processor, without Docker.

Knows pip, Lambda's platform, and which packages only the control functions need. Refuses to know what functions do.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

LAMBDAS = Path(__file__).resolve().parent.parent / "lambdas"
# Every package of the closure at one version, with the digests of its archives. `python -m infra.lock` writes it.
LOCK = LAMBDAS / "requirements.lock"
LIBRARY = "sluiceway"

PLATFORM = ("--platform", "manylinux2014_aarch64", "--implementation", "cp", "--python-version", "3.13")
NOT_CODE = ("__pycache__", "*.pyc", "*.pyi")

# botocore describes 400 services; these are called. `python -m infra.bundling` shows what that saves.
SERVICES = ("dynamodb", "events", "lambda", "s3", "secretsmanager", "stepfunctions")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Functions that are uploaded together. `without` are packages of the lock that none of them imports."""

    name: str
    handlers: tuple[str, ...]
    without: tuple[str, ...]
    max_bytes: int


# A function that moves files starts cold hundreds of times a job: it carries no package it does not import.
TRANSFER = Bundle(
    "transfer",
    (
        *("process_file", "process_file_large", "move_segment", "move_segment_large"),
        *("finish_file", "record_failure", "commit_files"),
    ),
    (
        *("annotated-types", "ijson", "pydantic", "pydantic-core", "typing-inspection"),
        # To sign with: whoever moves files asks IssueToken for its tokens.
        *("cffi", "cryptography", "joserfc", "pycparser"),
    ),
    max_bytes=30_000_000,
)
CONTROL = Bundle(
    "control",
    (
        "start_export",
        "poll_export",
        "await_export",
        "export_callback",
        "dispatch_files",
        "complete_job",
        "issue_token",
        "count_stale_uploads",
    ),
    (),
    max_bytes=48_000_000,
)
BUNDLES = (TRANSFER, CONTROL)


class BundleTooLargeError(RuntimeError):
    """A bundle outgrew its bound: a dependency came in that it should not carry, or botocore's data was not cut."""


def bundle(folder: str) -> lambda_.Code:
    """The code of the function whose handler is lambdas/<folder>/handler.py. Left as it lies in lambdas/, without
    dependencies, where the context `aws:cdk:bundling-stacks` is []."""
    of = bundle_of(folder)
    return lambda_.Code.from_asset(
        str(LAMBDAS),
        exclude=["**/__pycache__", "**/*.pyc"],
        asset_hash=fingerprint(of),
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("docker-is-not-used"), local=_WithoutDocker(of)
        ),
    )


def bundle_of(folder: str) -> Bundle:
    """Raises LookupError for a folder in no bundle."""
    for each in BUNDLES:
        if folder in each.handlers:
            return each
    raise LookupError(f"{folder} is in no bundle of infra/bundling.py")


def fingerprint(of: Bundle, lambdas: Path = LAMBDAS) -> str:
    """The asset's hash: the same wherever, whenever and however often the same sources are bundled."""
    digest = hashlib.sha256(f"{of}\n".encode())
    # This file decides what is cut; every handler lies in the asset where bundling is off.
    for path in (Path(__file__), *sorted(_sources(lambdas))):
        name = path.relative_to(lambdas).as_posix() if path.is_relative_to(lambdas) else path.name
        digest.update(f"{name}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(lambdas: Path) -> Iterator[Path]:
    for path in lambdas.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


@jsii.implements(cdk.ILocalBundling)
class _WithoutDocker:
    def __init__(self, of: Bundle) -> None:
        self._of = of

    def try_bundle(self, output_dir: str, image: object = None, **options: object) -> bool:
        """CDK calls this in place of Docker. A failure raises: there is nothing to fall back on."""
        size = make(self._of, Path(output_dir))
        print(
            f"bundle {self._of.name}: {size / 1e6:.1f} MB unzipped, {self._of.max_bytes / 1e6:.0f} at most",
            file=sys.stderr,
        )
        return True


def make(of: Bundle, target: Path) -> int:
    """Fills `target`; returns its size in bytes. Raises CalledProcessError when pip fails, its words on stderr, and
    BundleTooLargeError."""
    _install(of, target)
    _prune(target)
    ignore = shutil.ignore_patterns(*NOT_CODE)
    for folder in (*of.handlers, LIBRARY):
        shutil.copytree(LAMBDAS / folder, target / folder, ignore=ignore)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > of.max_bytes:
        raise BundleTooLargeError(f"bundle {of.name} is {size:,} bytes unzipped, {of.max_bytes:,} at most")
    return size


def _install(of: Bundle, target: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write("\n".join(locked(of, LOCK.read_text())))
        wanted.flush()
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *(*PLATFORM, "--only-binary=:all:", "--no-compile", "--target", str(target)),
                # The lock is the whole closure: pip adds nothing to it and takes no archive it does not name.
                *("--no-deps", "--require-hashes", "--requirement", wanted.name),
            ],
            check=True,
            stdout=sys.stderr,
        )


def locked(of: Bundle, lock: str) -> list[str]:
    """The lines of a lock that belong in a bundle."""
    lines = [line for line in lock.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if package_name(line) not in of.without]


def package_name(requirement: str) -> str:
    """`Typing_Extensions==4.16.0 --hash=…` -> `typing-extensions`, as PEP 503 spells names."""
    name = re.split(r"[=<>!~;\[ ]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _prune(target: Path, services: Sequence[str] = SERVICES) -> None:
    """Takes out what no function reads: other services' descriptions, examples, scripts, caches."""
    for service in (target / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in services:
            shutil.rmtree(service)
    for examples in (target / "botocore" / "data").rglob("examples-1.json*"):
        examples.unlink()
    shutil.rmtree(target / "bin", ignore_errors=True)
    for pattern in NOT_CODE:
        for path in list(target.rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    for each in BUNDLES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{each.name}: {make(each, Path(folder)) / 1e6:.1f} MB unzipped, {fingerprint(each)}")
