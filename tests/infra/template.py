"""Reads a synthesised template by meaning: functions by folder, policies by function, the machine as ASL.

Intrinsic functions become text: a Ref is `${LogicalId}`, a GetAtt `${LogicalId.Attribute}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Statement:
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def text(value: Any) -> str:
    """A value with its intrinsic functions, as text."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"${{{value['Ref']}}}"
    if "Fn::GetAtt" in value:
        return "${" + ".".join(value["Fn::GetAtt"]) + "}"
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(text(part) for part in parts)
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    if "Fn::Select" in value:
        index, of = value["Fn::Select"]
        return f"${{Select:{index}:{text(of['Fn::Split'][1])}}}"
    raise AssertionError(f"an intrinsic this reader does not know: {value}")


@dataclass(frozen=True)
class Template:
    stack_name: str
    body: dict[str, Any]

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        return {name: resource for name, resource in self.body["Resources"].items() if resource["Type"] == type_}

    def the(self, type_: str, part_of_id: str = "") -> tuple[str, dict[str, Any]]:
        """The one resource of a type whose logical id contains a text."""
        found = [(name, each) for name, each in self.of_type(type_).items() if part_of_id in name]
        assert len(found) == 1, f"{type_} {part_of_id}: {[name for name, _ in found]}"
        return found[0]

    def function(self, folder: str) -> tuple[str, dict[str, Any]]:
        """(logical id, properties) of the function served by lambdas/<folder>."""
        for name, resource in self.of_type("AWS::Lambda::Function").items():
            if resource["Properties"]["Handler"] == f"{folder}.handler.handler":
                return name, resource["Properties"]
        raise AssertionError(f"no function {folder}")

    def statements_of_role(self, role: str) -> list[Statement]:
        return [
            statement
            for policy in self.of_type("AWS::IAM::Policy").values()
            if {"Ref": role} in policy["Properties"].get("Roles", [])
            for statement in statements(policy["Properties"]["PolicyDocument"])
        ]

    def statements_of_function(self, folder: str) -> list[Statement]:
        _, properties = self.function(folder)
        return self.statements_of_role(properties["Role"]["Fn::GetAtt"][0])

    def resources_for(self, folder: str, action: str) -> set[str]:
        """What a function may do `action` on."""
        return {
            resource
            for statement in self.statements_of_function(folder)
            if action in statement.actions and statement.effect == "Allow"
            for resource in statement.resources
        }

    def bucket(self, part_of_id: str) -> str:
        """The ARN of a bucket, as text() spells it."""
        name, _ = self.the("AWS::S3::Bucket", part_of_id)
        return f"${{{name}.Arn}}"

    def machine(self) -> dict[str, Any]:
        """The state machine's definition; functions stand as their folders."""
        _, resource = self.the("AWS::StepFunctions::StateMachine")
        definition = text(resource["Properties"]["DefinitionString"])
        for name, function in self.of_type("AWS::Lambda::Function").items():
            folder = function["Properties"]["Handler"].split(".")[0]
            definition = definition.replace(f"${{{name}.Arn}}", folder)
        machine: dict[str, Any] = json.loads(definition)
        return machine


def statements(document: dict[str, Any]) -> Iterator[Statement]:
    for each in document["Statement"]:
        yield Statement(each["Effect"], _texts(each["Action"]), _texts(each["Resource"]))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text(each) for each in value) if isinstance(value, list) else (text(value),)


def states_of(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, the Map's children included."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"])


def targets_of(state: dict[str, Any]) -> set[str]:
    """The states that may follow."""
    found = {state[key] for key in ("Next", "Default") if key in state}
    for branch in (*state.get("Choices", ()), *state.get("Catch", ())):
        found.add(branch["Next"])
    return found


def environment(template: Template, folder: str) -> dict[str, str]:
    _, properties = template.function(folder)
    values = properties["Environment"]["Variables"]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
