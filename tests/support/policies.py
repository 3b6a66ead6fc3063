"""What IAM would say: the statements of a role in a template, and whether one of them allows a call.

Knows Allow, Deny, Action, Resource and their wildcards, with the template's references resolved to the names the
engine gave. Refuses policies it cannot judge: a Condition in a function's role raises.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTITION = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}


@dataclass(frozen=True, slots=True)
class Statement:
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def matches(self, action: str, resource: str) -> bool:
        by_action = any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in self.actions)
        return by_action and any(_matches(resource, pattern) for pattern in self.resources)


def allowed(statements: Iterable[Statement], action: str, resource: str) -> bool:
    """IAM's rule: something allows it, nothing denies it."""
    effects = {each.effect for each in statements if each.matches(action, resource)}
    return effects == {"Allow"}


@dataclass(frozen=True, slots=True)
class Roles:
    """`names` maps a logical id to what Ref of it is, as the engine deployed it."""

    template: Mapping[str, Any]
    names: Mapping[str, str]

    def of_function(self, folder: str) -> list[Statement]:
        """The statements of the role that runs the handler of `folder`."""
        (function,) = [
            each["Properties"]
            for each in self.template["Resources"].values()
            if each["Type"] == "AWS::Lambda::Function" and each["Properties"]["Handler"].startswith(f"{folder}.")
        ]
        role = function["Role"]["Fn::GetAtt"][0]
        return [statement for document in self._documents(role) for statement in self._statements(document)]

    def _documents(self, role: str) -> Iterator[Mapping[str, Any]]:
        for inline in self.template["Resources"][role]["Properties"].get("Policies", []):
            yield inline["PolicyDocument"]
        for each in self.template["Resources"].values():
            if each["Type"] == "AWS::IAM::Policy" and {"Ref": role} in each["Properties"]["Roles"]:
                yield each["Properties"]["PolicyDocument"]

    def _statements(self, document: Mapping[str, Any]) -> Iterator[Statement]:
        for each in document["Statement"]:
            if "Condition" in each:
                raise ValueError(f"a statement this check cannot judge: {each}")
            resources = tuple(self.resolve(resource) for resource in _many(each["Resource"]))
            yield Statement(each["Effect"], tuple(_many(each["Action"])), resources)

    def resolve(self, value: Any) -> str:
        """A template's value as text. Raises ValueError for an intrinsic it does not know."""
        match value:
            case str():
                return value
            case {"Ref": name}:
                return PARTITION.get(name) or self.names[name]
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self._arn(name)
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self.resolve(part) for part in parts)
            case {"Fn::Select": [index, {"Fn::Split": [separator, whole]}]}:
                return self.resolve(whole).split(separator)[int(index)]
        raise ValueError(f"an intrinsic this check does not know: {value}")

    def _arn(self, name: str) -> str:
        kind, ref = self.template["Resources"][name]["Type"], self.names[name]
        account = f"{PARTITION['AWS::Region']}:{PARTITION['AWS::AccountId']}"
        match kind:
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{ref}"
            case "AWS::DynamoDB::Table":
                return f"arn:aws:dynamodb:{account}:table/{ref}"
            case "AWS::Lambda::Function":
                return f"arn:aws:lambda:{account}:function:{ref}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{account}:log-group:{ref}:*"
            case "AWS::StepFunctions::StateMachine" | "AWS::SNS::Topic":
                return ref
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{account}:{ref.rpartition('/')[2]}"
        raise ValueError(f"no ARN for {kind}")


def _many(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _matches(resource: str, pattern: str) -> bool:
    # IAM's * and ? and nothing else: fnmatch would read brackets as sets.
    parts = re.split(r"([*?])", pattern)
    regex = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(regex, resource, re.DOTALL) is not None
