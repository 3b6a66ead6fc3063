"""How requests to an export API are authorised, as users describe it: the scheme, and the name of a secret.

Knows the fields of each scheme and what its secret must hold. Refuses to hold a secret: a document names one, and
exports/credentials.py reads it when a request is made.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sluiceway.spec.links import check_texts
from sluiceway.spec.mistakes import expected
from sluiceway.spec.templates import HeaderName, SecretName, Url


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class NoAuth(Strict):
    type: Literal["none"] = "none"


class BasicAuth(Strict):
    """The secret is `{"username", "password"}`."""

    type: Literal["basic"]
    secret: SecretName


class BearerAuth(Strict):
    """The secret is the token, or `{"token"}`."""

    type: Literal["bearer"]
    secret: SecretName


class ApiKeyAuth(Strict):
    """The secret is the key, or `{"key"}`; sent in `header`, behind `prefix`, or as the query parameter `query`."""

    type: Literal["api-key"]
    secret: SecretName
    header: HeaderName | None = None
    query: Annotated[str, Field(min_length=1)] | None = None
    prefix: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> ApiKeyAuth:
        if (self.header is None) == (self.query is None):
            raise expected("header or query, one of them")
        return self


class OAuth2Auth(Strict):
    """A token of RFC 6749, 4.4 (client credentials) or 6 (refresh token). The secret is `{"client_id",
    "client_secret"}`, with `refresh_token` for that grant. `client` says where the client's own credentials go. The
    token is sent in `header`, behind `prefix`."""

    type: Literal["oauth2"]
    secret: SecretName
    token_url: Url
    grant: Literal["client_credentials", "refresh_token"] = "client_credentials"
    client: Literal["body", "basic"] = "body"
    scopes: list[str] = []
    extra: Annotated[dict[str, str], AfterValidator(check_texts)] = {}
    header: HeaderName = "Authorization"
    prefix: str = "Bearer "


class SmartAuth(Strict):
    """SMART Backend Services (HL7 SMART App Launch 2.x, "Client Authentication: Asymmetric"). The secret is
    `{"client_id", "key"}`, the key a private JWK with `kid`, or a PEM text beside `kid` and, where it is not told by
    the key, `alg`: ES384 or RS384; its name lies under `keys/` of the deployment's prefix. `token_url` absent: as the
    server's .well-known/smart-configuration says."""

    type: Literal["smart"]
    secret: SecretName
    token_url: Url | None = None
    scopes: list[str] = ["system/*.read"]


class SigV4Auth(Strict):
    """AWS Signature Version 4. The secret is `{"access_key_id", "secret_access_key"}`, and `session_token` for
    temporary ones."""

    type: Literal["aws-sigv4"]
    secret: SecretName
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    service: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]


Auth = Annotated[
    NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth | SmartAuth | SigV4Auth, Field(discriminator="type")
]
