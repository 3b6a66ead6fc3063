"""One request to an export API, as users describe it.

Knows its fields, its bodies, and which places its templates name. Refuses to know what it is for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sluiceway.spec.auth import Strict
from sluiceway.spec.mistakes import expected
from sluiceway.spec.templates import HeaderName, Headers, JmesPath, Template, UrlTemplate, check_template, places_of

# What templates call other things than replies.
OWN_PLACES = ("job", "with", "callback", "item", "file")


class GraphQl(Strict):
    """A GraphQL request: sent as JSON, `{"query", "variables"}`."""

    query: Template
    variables: dict[str, Any] = {}

    @field_validator("variables")
    @classmethod
    def _check(cls, variables: dict[str, Any]) -> dict[str, Any]:
        return check_template(variables)  # type: ignore[no-any-return]


class Request(Strict):
    """One request. At most one body: `json`, `form`, `graphql`, or `body`, text as it is. `error` finds, in the reply,
    what it says only when it refuses; APIs do so with status 200. `name` is what later templates call it."""

    url: UrlTemplate
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Headers = {}
    body: Template | None = None
    json_body: Annotated[Any, Field(alias="json")] = None
    form: dict[str, str] | None = None
    graphql: GraphQl | None = None
    error: JmesPath | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")] | None = None

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str | None) -> str | None:
        if name in OWN_PLACES:
            raise expected(f"a name unlike {', '.join(OWN_PLACES)}, which are places already")
        return name

    @field_validator("json_body", "form")
    @classmethod
    def _check(cls, value: Any) -> Any:
        return check_template(value)

    @model_validator(mode="after")
    def _one_body(self) -> Request:
        if sum(each is not None for each in (self.body, self.json_body, self.form, self.graphql)) > 1:
            raise expected("one of body, json, form and graphql")
        return self

    @property
    def places(self) -> list[tuple[str | None, str]]:
        graphql = self.graphql.model_dump() if self.graphql else None
        return places_of([self.url, self.headers, self.body, self.json_body, self.form, graphql])


class Start(Request):
    """A request that starts the export. `idempotency_header` names the header that carries a key of the job's run, so
    that a request sent twice starts one export; null sends none."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    idempotency_header: HeaderName | None = "Idempotency-Key"
