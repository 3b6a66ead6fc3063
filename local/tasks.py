"""Tasks that invoke a function: straight to the pool, under the limit on payloads, errors by the names AWS gives them.

Knows moto's two states for Lambda tasks, which share the one function replaced here. Refuses to know how a function
runs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.eval.environment import Environment

from local import map_run
from local.failures import data_limit_exceeded
from local.lambda_types import Result
from local.lambdas import UnknownFunctionError
from local.limits import MAX_STATE_BYTES
from local.patches import Patches


def install(patches: Patches, invoke: Callable[[str, bytes, str], Result]) -> None:
    """`invoke(function, payload, owner)` runs a function."""

    def execute(env: Environment, parameters: dict[str, Any], region: str, state_credentials: Any) -> None:
        payload = parameters.get("Payload")
        payload = payload if isinstance(payload, bytes) else lambda_eval_utils.to_payload_type(payload) or b"{}"
        if len(payload) > MAX_STATE_BYTES:
            raise data_limit_exceeded(env, "The task's input")
        execution = env.states.context_object.context_object_data["Execution"]["Id"]
        try:
            result = invoke(parameters["FunctionName"], payload, map_run.owner_of(execution))
        except UnknownFunctionError as error:
            raise _not_found(str(error)) from error
        if result.error_type is not None:
            raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", result.payload.decode())
        if len(result.payload) > MAX_STATE_BYTES:
            raise data_limit_exceeded(env, f"The result of {parameters['FunctionName']}")
        env.stack.append({"ExecutedVersion": "$LATEST", "Payload": json.loads(result.payload), "StatusCode": 200})

    patches.set(lambda_eval_utils, "execute_lambda_function_integration", execute)


def _not_found(message: str) -> ClientError:
    meta: Any = {"HTTPStatusCode": 404, "RequestId": str(uuid.uuid4())}
    return ClientError(
        {"Error": {"Code": "ResourceNotFoundException", "Message": message}, "ResponseMetadata": meta}, "Invoke"
    )
