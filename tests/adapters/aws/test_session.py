"""The lean session: what botocore would know of each service we speak to, without its documentation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from sluiceway.aws.session import new_session

SERVICES = ["dynamodb", "events", "lambda", "s3", "secretsmanager", "stepfunctions"]


def described(session: Any, service: str) -> list[Any]:
    loader = session.get_component("data_loader")
    kinds = ("service-2", "endpoint-rule-set-1", "paginators-1")
    return [*(loader.load_service_model(service, kind) for kind in kinds), loader.load_data("endpoints")]


def without_documentation(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            name: "" if name == "documentation" and isinstance(value, str) else without_documentation(value)
            for name, value in found.items()
        }
    return [without_documentation(each) for each in found] if isinstance(found, list) else found


def everything_in(found: Any) -> Iterator[Any]:
    yield found
    for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from everything_in(each)


@pytest.mark.parametrize("service", SERVICES)
def test_a_description_is_botocores_but_for_its_documentation(service: str) -> None:
    ours, botocores = (described(session, service) for session in (new_session(), botocore.session.get_session()))
    assert ours == without_documentation(botocores)
    assert len(str(ours)) < len(str(botocores))


def test_what_is_read_stands_in_plain_dictionaries() -> None:
    loader = new_session().get_component("data_loader")
    endpoints = loader.load_data("endpoints")
    assert type(endpoints) is dict
    assert not any(isinstance(each, OrderedDict) for each in everything_in(endpoints))


def test_a_description_of_ones_own_is_found_where_aws_data_path_says(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "own" / "2026-01-01").mkdir(parents=True)
    (tmp_path / "own" / "2026-01-01" / "service-2.json").write_text('{"metadata": {}, "documentation": "long"}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = new_session().get_component("data_loader")
    assert loader.load_service_model("own", "service-2") == {"metadata": {}, "documentation": ""}


def test_a_service_that_is_not_described_is_botocores_error() -> None:
    with pytest.raises(botocore.exceptions.UnknownServiceError):
        new_session().create_client("no-such-service", region_name="us-east-1")
