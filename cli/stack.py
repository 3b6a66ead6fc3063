"""A deployed stack as the commands see it: found by its name, asked through clients made as the AWS CLI makes them.

Knows profiles, regions, endpoints and the stack's outputs. Refuses to know what is asked: jobs.py does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.parsers import ResponseParserError

from cli.jobs import JobsClient
from cli.stack_options import StackName

# What the embedded engine deploys to; any key does there, and a profile's own is kept from it.
LOCAL_REGION = "us-east-1"
LOCAL_KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
OUTPUTS = ("JobsBucket", "JobsTable", "StateMachineArn")


class StackError(Exception):
    """AWS cannot be reached, or refused; the text says what to mend."""


def open_stack(name: StackName) -> JobsClient:
    """Raises StackError where there is no such stack or no way to ask."""
    with told_as_stack_error(name):
        client = _clients(name)
        found = client("cloudformation").describe_stacks(StackName=name.stack)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        missing = [output for output in OUTPUTS if output not in outputs]
        if missing:
            raise StackError(f"the stack {name.stack} is not one of Sluiceway: it has no output {missing[0]}")
        return JobsClient.of_stack(client, outputs)


@contextmanager
def told_as_stack_error(name: StackName) -> Iterator[None]:
    """Whatever botocore raises within it is a StackError in words for people."""
    try:
        yield
    except NoRegionError:
        raise StackError("no Region: pass --region, or set AWS_REGION, or a region in the profile") from None
    except ClientError as error:
        code, text = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code == "503" and name.is_local:
            raise StackError("the engine is still starting; try again in a few seconds") from error
        where = f" in {name.region}" if name.region else ""
        hint = f"; is it {name.stack}{where}? --stack, --region and --profile say" if code == "ValidationError" else ""
        raise StackError(f"AWS refused: {code}: {text}{hint}") from error
    except ResponseParserError as error:
        raise StackError("AWS cannot be reached: what answers there is no AWS; see --endpoint-url") from error
    except BotoCoreError as error:
        raise StackError(str(error)) from error


def console_link(execution: str) -> str:
    """Where a browser shows the execution, given by its ARN."""
    _, partition, _, region, *_ = execution.split(":")
    domain = {"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}.get(partition, "aws.amazon.com")
    return f"https://{region}.console.{domain}/states/home?region={region}#/v2/executions/details/{execution}"


def _clients(name: StackName) -> Any:
    session = botocore.session.Session(profile=name.profile)
    more: dict[str, Any] = {"endpoint_url": name.endpoint_url} if name.endpoint_url else {}
    region = name.region or session.get_config_variable("region") or os.environ.get("AWS_REGION")
    if name.is_local:
        region, more = name.region or LOCAL_REGION, {**more, **LOCAL_KEYS}

    def client(service: str) -> Any:
        config = Config(retries={"mode": "standard"})
        try:
            return session.create_client(service, region_name=region, config=config, **more)
        except ValueError as error:
            # So botocore says that an endpoint of the environment or of the profile is no URL.
            raise StackError(f"AWS cannot be reached: {error}") from error

    return client
