"""moto, turned into the AWS that the template is deployed to. Import it only once MOTO_PORT is set.

Knows what moto needs before it takes a CDK template, which resource types it ignores, and what a deployed stack is
made of. Refuses to know how functions run or where objects lie.
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.cloudformation import parsing
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.stepfunctions.parser import models as parser_models

from local import interpreter, rules, tables
from local.asl import UnsupportedAslError
from local.lambda_types import FUNCTION_URLS, Function
from local.patches import Patches

LOG = logging.getLogger(__name__)

STACK = "sluiceway"
# Types without which a job runs the same on one machine.
_HARMLESS = (
    "AWS::Budgets::", "AWS::CDK::", "AWS::CloudWatch::", "AWS::EC2::", "AWS::IAM::", "AWS::KMS::", "AWS::Logs::",
    "AWS::Lambda::Permission", "AWS::S3::BucketPolicy", "AWS::SNS::", "AWS::SQS::QueuePolicy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deployed:
    """`ignored` names resources that matter and that the engine does not have."""

    outputs: dict[str, str]
    functions: list[Function]
    buckets: list[str]
    ignored: list[str]


def application() -> Any:
    """moto as a WSGI application, empty."""
    moto_api_backend.reset()
    app = DomainDispatcherApplication(create_backend_app)
    app.get_backend_for_host = functools.cache(app.get_backend_for_host)  # it lists moto's folder at every request
    return app


def reset() -> None:
    moto_api_backend.reset()


def install(patches: Patches, hooks: interpreter.Hooks, deliver: rules.Deliver, start: rules.Start) -> None:
    # moto speaks up for each type and field it does not know; what matters of it is said by _ignored and asl.py.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"moto\.")
    logging.getLogger("moto").setLevel(logging.ERROR)
    default_user_config["lambda"] = {"use_docker": False}
    interpreter.install(patches, hooks)
    rules.install(patches, deliver, start)
    tables.install(patches)


def stop_executions() -> None:
    """As StopExecution on each that runs; returns once they have ended."""
    for accounts in parser_models.stepfunctions_parser_backends.values():
        for backend in accounts.values():
            for machine in backend.state_machines:
                for execution in machine.executions:
                    interpreter.stop_and_wait(execution)


def deploy(template: Mapping[str, Any], client: Any, code: Path, endpoint_url: str) -> Deployed:
    """Creates the stack through `client(service)`. Raises botocore's ClientError when moto refuses the template,
    UnsupportedAslError when the engine cannot honour its state machine."""
    template = with_function_urls(with_bucket_names(template), endpoint_url)
    client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="99", Type="String")
    try:
        client("cloudformation").create_stack(
            StackName=STACK, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
    except (ClientError, ResponseParserError) as error:  # CloudFormation's client cannot read what Step Functions says
        refusal = str(error).partition(UnsupportedAslError.OPENING)[2]
        if refusal:
            raise UnsupportedAslError([refusal.partition('"')[0]]) from error
        raise
    stack = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    resources = client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    ignored = _ignored(template)
    for name in ignored:
        LOG.warning("the embedded engine has no %s", name)
    return Deployed(
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
        functions=_functions(client("lambda"), code),
        buckets=[each["PhysicalResourceId"] for each in resources if each.get("ResourceType") == "AWS::S3::Bucket"],
        ignored=ignored,
    )


def with_bucket_names(template: Mapping[str, Any]) -> dict[str, Any]:
    """A bucket without a name is called after the output that tells of it, LandingBucket: "landing". A generated name
    would be another folder on disk with every run."""
    named = copy.deepcopy(dict(template))
    outputs = {
        output["Value"]["Ref"]: name
        for name, output in named.get("Outputs", {}).items()
        if isinstance(output.get("Value"), dict) and "Ref" in output["Value"]
    }
    for logical_id, resource in named["Resources"].items():
        if resource["Type"] == "AWS::S3::Bucket" and logical_id in outputs:
            name = outputs[logical_id].removesuffix("Bucket").lower()
            resource.setdefault("Properties", {}).setdefault("BucketName", name)
    return named


def with_function_urls(template: Mapping[str, Any], endpoint_url: str) -> dict[str, Any]:
    """moto knows no function URLs: the engine's own endpoint serves them, under the name of the handler's folder."""
    resources = dict(template["Resources"])
    urls: dict[str, str] = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Url":
            function = resource["Properties"]["TargetFunctionArn"]["Fn::GetAtt"][0]
            folder = resources[function]["Properties"]["Handler"].partition(".")[0]
            urls[logical_id] = f"{endpoint_url}{FUNCTION_URLS}{folder}/"
            del resources[logical_id]

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            place = node.get("Fn::GetAtt")
            if isinstance(place, list) and place[0] in urls:
                return urls[place[0]]
            return {name: filled(value) for name, value in node.items()}
        return [filled(each) for each in node] if isinstance(node, list) else node

    return {**template, "Resources": filled(resources)}


def _ignored(template: Mapping[str, Any]) -> list[str]:
    known = parsing.get_model_map().keys() | set(parsing.NULL_MODELS)
    return sorted(
        f"{resource['Type']} ({logical_id})"
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] not in known and not resource["Type"].startswith(_HARMLESS)
    )


def _functions(client: Any, code: Path) -> list[Function]:
    pages = client.get_paginator("list_functions").paginate()
    return [
        Function(
            name=each["FunctionName"],
            arn=each["FunctionArn"],
            handler=each["Handler"],
            memory_mb=each["MemorySize"],
            timeout_seconds=each["Timeout"],
            environment=each.get("Environment", {}).get("Variables", {}),
            code=code,
        )
        for page in pages
        for each in page["Functions"]
    ]
