"""The field that a misspelt one was meant to be.

Knows how models stand in one another, and how Pydantic writes the place of a mistake. Refuses to know any model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel


def nearest(model: type[BaseModel], location: Sequence[int | str]) -> str | None:
    """The field most like the last step of `location`, of those that its object may have; None where none is like it.
    `location` leads there from a document of `model`, by names, indexes and the tags of unions."""
    *path, name = location
    models = [model]
    for step in path:
        if isinstance(step, str):
            models = _inside(models, step) or [each for each in models if _is_tagged(each, step)] or models
    near = get_close_matches(str(name), {field for each in models for field in _fields(each)}, n=1)
    return near[0] if near else None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of its fields, by the names that users write."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(models: list[type[BaseModel]], name: str) -> list[type[BaseModel]]:
    return [inner for each in models if name in _fields(each) for inner in _models_of(_fields(each)[name])]


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_of(each)


def _is_tagged(model: type[BaseModel], tag: str) -> bool:
    return tag in get_args(_fields(model).get("type"))
