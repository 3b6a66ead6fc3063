"""What is uploaded for a function: lambdas/ and its pinned dependencies for Lambda's processor, without Docker.

Knows pip and Lambda's platform. Refuses to know what the functions do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

LAMBDAS = Path(__file__).resolve().parent.parent / "lambdas"
NOT_CODE = ("__pycache__", "*.pyc", "requirements*.txt")


def bundle(folder: str) -> lambda_.Code:
    """The code of the function whose handler is lambdas/<folder>/handler.py. Its hash depends on lambdas/ alone,
    its requirements.txt included. Unbundled where the context `aws:cdk:bundling-stacks` is []."""
    return lambda_.Code.from_asset(
        str(LAMBDAS),
        exclude=["**/__pycache__", "**/*.pyc"],
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("docker-is-not-used"),
            local=_PipBundling(),
        ),
    )


@jsii.implements(cdk.ILocalBundling)
class _PipBundling:
    def try_bundle(self, output_dir: str, image: object = None, **options: object) -> bool:
        """CDK calls this in place of Docker. A failure of pip raises: there is nothing to fall back on."""
        install(Path(output_dir))
        return True


def install(target: Path) -> None:
    """Puts dependencies and code into `target`. Raises CalledProcessError when pip fails, its words on stderr."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--platform", "manylinux2014_aarch64", "--implementation", "cp", "--python-version", "3.13"),
            *("--only-binary=:all:", "--no-compile", "--target", str(target)),
            *("--requirement", str(LAMBDAS / "requirements.txt")),
        ],
        check=True,
        stdout=sys.stderr,
    )
    shutil.copytree(LAMBDAS, target, ignore=shutil.ignore_patterns(*NOT_CODE), dirs_exist_ok=True)
