"""A FHIR server with Bulk Data Access and SMART Backend Services, after the examples of the two specifications.

Knows the conversation of the Bulk Data Access IG ("Bulk Data Export") and the token endpoint of SMART App Launch
("Client Authentication: Asymmetric"), which it holds the client to. Refuses to know the client.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.support.source import Reply, Request, SourceServer

CLIENT = "sluiceway-client"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Key = ECKey | RSAKey


def new_key(alg: str) -> Key:
    return ECKey.generate_key("P-384", {"kid": "k1"}) if alg == "ES384" else RSAKey.generate_key(2048, {"kid": "k1"})


def ndjson(kind: str, rows: int) -> bytes:
    return b"".join(json.dumps({"resourceType": kind, "id": str(n)}).encode() + b"\n" for n in range(rows))


@dataclass
class FhirServer:
    """`polls` is what the status URL answers before it is done. `key`, where there is one, is the client's public key:
    then nothing is answered without a token; with `expires_at_files`, the tokens given so far have expired when the
    first file is asked for. `path` is the folder everything is under."""

    source: SourceServer
    path: str = "/fhir"
    key: Key | None = None
    token_seconds: int = 300
    polls: list[Reply] = field(default_factory=list)
    expires: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    guarded: bool = False
    expires_at_files: bool = False
    tokens: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    deleted: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        guard = self._guard
        for operation in ("$export", "Patient/$export", "Group/g1/$export"):
            self._at(f"/{operation}", guard(self._kick_off))
        self._at("/bulkstatus/1", guard(self._status))
        self._at("/manifest/2", guard(lambda _: self.reply(self.second_page())))
        self._at("/.well-known/smart-configuration",
                 lambda _: self.reply({"token_endpoint": self.url("/token"), "token_endpoint_auth_methods_supported":
                                       ["private_key_jwt"]}))  # fmt: skip
        self._at("/token", self._token)
        for name, body in self.files().items():
            self._at(f"/output/{name}", self._file(body))

    def url(self, path: str = "") -> str:
        return self.source.url(self.path + path)

    def files(self) -> dict[str, bytes]:
        return {
            "patient_file_1.ndjson": ndjson("Patient", 3),
            "patient_file_2.ndjson": ndjson("Patient", 2),
            "observation_file_1.ndjson": ndjson("Observation", 5),
            "del_file_1.ndjson": ndjson("Bundle", 1),
            "err_file_1.ndjson": ndjson("OperationOutcome", 1),
        }

    def manifest(self) -> dict[str, Any]:
        return {
            "transactionTime": "2021-01-01T00:00:00Z",
            "request": self.url("/$export?_type=Patient,Observation"),
            "requiresAccessToken": self.guarded,
            "output": [self._output("Patient", "patient_file_1", 3), self._output("Patient", "patient_file_2", 2)],
            "deleted": [self._output("Bundle", "del_file_1", 1)],
            "error": [self._output("OperationOutcome", "err_file_1", 1)],
            "extension": {"https://example.com/extra-property": True},
            "link": [{"relation": "next", "url": self.url("/manifest/2")}],
        }

    def second_page(self) -> dict[str, Any]:
        return {
            "transactionTime": "2021-01-01T00:00:00Z",
            "request": self.url("/$export"),
            "requiresAccessToken": self.guarded,
            "output": [self._output("Observation", "observation_file_1", 5)],
            "error": [],
        }

    @staticmethod
    def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    @classmethod
    def outcome(cls, code: str, status: int) -> Reply:
        issue = {"severity": "error", "code": code, "details": {"text": "An internal error has occurred"}}
        return cls.reply({"resourceType": "OperationOutcome", "id": "1", "issue": [issue]}, status)

    def _output(self, kind: str, name: str, count: int) -> dict[str, Any]:
        return {"type": kind, "url": self.url(f"/output/{name}.ndjson"), "count": self.counts.get(name, count)}

    def _at(self, path: str, answer: Callable[[Request], Reply]) -> None:
        self.source.replies[self.path + path] = answer

    def _guard(self, answer: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
        def guarded(request: Request) -> Reply:
            return answer(request) if self.key is None or self._is_known(request) else Reply(b"", 401)

        return guarded

    def _is_known(self, request: Request) -> bool:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return token in self.tokens and token not in self.revoked

    def _kick_off(self, request: Request) -> Reply:
        if request.headers.get("Prefer") != "respond-async" or request.headers.get("Accept") != "application/fhir+json":
            return self.outcome("invalid", 400)
        return Reply(b"", 202, {"Content-Location": self.url("/bulkstatus/1")})

    def _status(self, request: Request) -> Reply:
        if request.method == "DELETE":
            self.deleted += 1
            return Reply(b"", 202)
        if self.polls:
            return self.polls.pop(0)
        return self.reply(self.manifest(), headers={"Expires": self.expires} if self.expires else {})

    def _file(self, body: bytes) -> Callable[[Request], Reply]:
        def answer(request: Request) -> Reply:
            if self.expires_at_files:
                self.expires_at_files = False
                self.revoked.update(self.tokens)
            if self.guarded and not self._is_known(request):
                self.refused += 1
                return Reply(b"", 401)
            return Reply(body, 200, {"Content-Type": "application/fhir+ndjson"})

        return answer

    def _token(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert self.key is not None
        if (form["grant_type"], form["client_assertion_type"]) != ("client_credentials", ASSERTION):
            return self.reply({"error": "invalid_request"}, 400)
        try:
            token = jwt.decode(form["client_assertion"], self.key, algorithms=["ES384", "RS384"])
        except Exception:
            return self.reply({"error": "invalid_client"}, 400)
        claims = token.claims
        good = claims["iss"] == claims["sub"] == CLIENT and urlsplit(claims["aud"]).path == f"{self.path}/token"
        if not good or not time.time() < claims["exp"] <= time.time() + 300 or not claims["jti"]:
            return self.reply({"error": "invalid_client"}, 400)
        self.tokens.append(f"token-number-{len(self.tokens) + 1}")
        said = {"access_token": self.tokens[-1], "token_type": "bearer", "expires_in": self.token_seconds,
                "scope": form["scope"]}  # fmt: skip
        return self.reply(said)
