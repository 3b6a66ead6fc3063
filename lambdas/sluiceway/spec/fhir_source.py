"""HL7 FHIR Bulk Data Access, as users ask for it.

Knows the parameters of the kick-off request (Bulk Data Access IG 2.0, "Bulk Data Kick-off Request"). Refuses to know
the conversation: exports/fhir.py does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sluiceway.spec.auth import Auth, NoAuth, Strict
from sluiceway.spec.http_source import MAX_POLLS, Seconds
from sluiceway.spec.mistakes import expected
from sluiceway.spec.templates import Url

# FHIR: an id is 1 to 64 of letters, digits, '-' and '.'; an instant is a date and time with its zone.
FHIR_ID = r"^[A-Za-z0-9.-]{1,64}$"
INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"


class FhirBulkSource(Strict):
    """`base_url` is the server's FHIR base. `level` says whose data: the whole system's, all patients', or those of the
    group `group`. `types`, `since`, `type_filters` and `output_format` are `_type`, `_since`, `_typeFilter` and
    `_outputFormat`."""

    type: Literal["fhir-bulk"]
    base_url: Url
    level: Literal["system", "patient", "group"] = "system"
    group: Annotated[str, Field(pattern=FHIR_ID)] | None = None
    types: list[Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+$")]] = []
    since: Annotated[str, Field(pattern=INSTANT)] | None = None
    type_filters: list[Annotated[str, Field(min_length=1)]] = []
    output_format: str | None = "application/fhir+ndjson"
    auth: Auth = NoAuth()
    interval_seconds: Seconds = 10
    max_interval_seconds: Seconds = 300
    timeout_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 720
    max_polls: Annotated[int, Field(ge=1, le=MAX_POLLS)] = MAX_POLLS

    @model_validator(mode="after")
    def _group_is_named(self) -> FhirBulkSource:
        if (self.level == "group") != (self.group is not None):
            raise expected("group where level is group, and only there")
        return self
