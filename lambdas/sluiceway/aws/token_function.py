"""Has access tokens issued by the one function that moves no file: IssueToken.

Knows its request and its answer, and what an invocation can come to. Refuses to know secrets: a request says where the
job keeps how it is authorised. A token is never put into a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluiceway.errors import SluicewayError, TokenNotIssuedError, error_named


class TokensThrottledError(Exception):
    """Lambda has no room for IssueToken beside those who wait for it. Not of the tree of errors.py: no file is to
    blame, so the invocation ends, which makes room, and the state machine invokes again later."""


@dataclass(frozen=True, slots=True)
class TokenFunction:
    """`client` is a botocore client for `lambda`; `name` is the function's."""

    client: Any
    name: str

    def issue(self, auth: Mapping[str, Any], refused: str) -> tuple[str, float, float]:
        """`auth["at"]` is the request of steps/issuing.py, without `refused`. Raises what went wrong at the token
        endpoint by its own name, TokenNotIssuedError where the function could not be asked, TokensThrottledError."""
        request = {**auth["at"], "refused": refused}
        try:
            reply = self.client.invoke(FunctionName=self.name, Payload=json.dumps(request).encode())
            said = json.loads(reply["Payload"].read())
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "TooManyRequestsException":
                raise TokensThrottledError(f"{self.name}: {code}") from error
            raise TokenNotIssuedError(f"{self.name} cannot be invoked: {code}") from error
        except BotoCoreError as error:
            raise TokenNotIssuedError(f"{self.name} cannot be invoked: {type(error).__name__}") from error
        if "FunctionError" in reply:
            # Only its name: the text was not made to be shown.
            raise TokenNotIssuedError(f"{self.name} broke: {said.get('errorType')}")
        if "error" in said:
            raise _error(said["error"])
        return str(said["token"]), float(said["seconds"]), float(said["age"])


def _error(told: Mapping[str, str]) -> SluicewayError:
    return error_named(told["type"], told["message"]) or TokenNotIssuedError(f"{told['type']}: {told['message']}")
