"""The rule pack every synthesis must pass, and how what it finds is explained.

Knows how cdk-nag names its findings. An explanation stands where the thing explained is made, names that one thing,
and is written nowhere else: there is no blanket exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks
from constructs import Construct

RULES = "AwsSolutions"


def attach(app: cdk.App) -> None:
    """Synthesis raises from here on when the AwsSolutions rules find what nobody has explained."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def explain(construct: Construct, rule: str, reason: str) -> None:
    """`explain(bucket, "S1", "...")`: the rule's finding on this construct is meant to be so."""
    acknowledge(construct, f"{RULES}-{rule}", reason)


def acknowledge(construct: Construct, id: str, reason: str) -> None:
    """A warning of CDK's own, by the id it prints without `Annotation::`."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=id, reason=reason))


def explain_wildcards(construct: Construct, resources: Iterable[str], reason: str) -> None:
    """The policies under `construct` name these resources, which hold a `*`. Others are not explained by it."""
    stack = cdk.Stack.of(construct)
    for resource in resources:
        flat = _flat(stack.resolve(resource))
        if "*" in flat:
            explain(construct, f"IAM5[Resource::{flat}]", reason)


def _flat(value: Any) -> str:
    """CloudFormation's functions as cdk-nag writes them in the names of its findings."""
    if isinstance(value, str):
        return value.replace("${", "<").replace("}", ">")
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        return "<" + ".".join(value["Fn::GetAtt"]) + ">"
    if "Fn::Join" in value:
        delimiter, items = value["Fn::Join"]
        return str(delimiter).join(_flat(item) for item in items)
    return json.dumps(value, separators=(",", ":"))
