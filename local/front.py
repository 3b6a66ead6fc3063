"""The one endpoint: S3 to the store, Lambda invocations and function URLs to the pool, everything else to moto.

Knows how a request says which service it is for: the credential scope of its signature, or the marks of a presigned
URL.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from local.calls import OnCall, call_of, signer_of
from local.http import Request, Response
from local.lambda_types import FUNCTION_URLS, MAX_PAYLOAD_BYTES
from local.lambdas import Pool, PoolClosedError, UnknownFunctionError
from local.limits import MAX_STATE_BYTES

LOG = logging.getLogger(__name__)

MAX_EVENT_BYTES = 1024 * 1024  # Lambda quotas: asynchronous invocation
_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/[^/]*/([^/]+)/aws4_request")
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")

# In HTML botocore takes it for what it is; it would look for an error of the service in anything else.
_STARTING = Response(
    503,
    [("Content-Type", "text/html"), ("Retry-After", "1")],
    b"<html>The engine is still starting; ask again in a few seconds.</html>\n",
)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """A handler for local.http.Server. Until `open` is called it serves `only` the requests that are signed with this
    access key id: moto, asked by another thread for a stack that it is creating, creates it twice."""

    def __init__(
        self,
        s3: Callable[[Request], Response],
        moto: Wsgi,
        port: Callable[[], int],
        on_call: OnCall | None = None,
        *,
        only: str | None = None,
    ) -> None:
        self.pool: Pool | None = None
        self._only = only
        self._on_call = on_call
        self._s3 = s3
        self._moto = moto
        self._port = port

    def use(self, moto: Wsgi) -> None:
        self._moto = moto

    def open(self) -> None:
        self._only = None

    def __call__(self, request: Request) -> Response:
        if self._only is not None and signer_of(request) != self._only:
            return _STARTING
        if request.path.startswith(FUNCTION_URLS):
            return self._call_url(request)
        service = service_of(request)
        if service == "s3":
            return self._tell(request, service) or self._s3(request)
        if service == "lambda" and request.method == "POST" and (match := _INVOKE.fullmatch(request.path)):
            return self._invoke(unquote(match.group(1)), request)
        body = request.body.read()
        if answer := self._tell(request, service, body) or _refuse_large_input(request, body):
            return answer
        return self._ask_moto(request, body)

    def _tell(self, request: Request, service: str, body: bytes = b"") -> Response | None:
        return self._on_call(call_of(request, service, body)) if self._on_call is not None else None

    def _invoke(self, name: str, request: Request) -> Response:
        if answer := self._tell(request, "lambda"):
            return answer
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        payload = request.body.read() or b"{}"
        limit = MAX_EVENT_BYTES if kind == "Event" else MAX_PAYLOAD_BYTES
        if len(payload) > limit:
            return _lambda_error(413, "RequestTooLargeException", f"Request must be smaller than {limit} bytes")
        if self.pool is None:
            return _lambda_error(404, "ResourceNotFoundException", "No function is deployed yet")
        try:
            if kind == "DryRun":
                self.pool.find(name)
                return Response(204)
            if kind == "Event":
                self.pool.invoke_async(name, payload)
                return Response(202)
            called = self.pool.serves(call_of(request, "lambda").caller)
            result = self.pool.invoke(name, payload, called=called)
        except UnknownFunctionError as error:
            return _lambda_error(404, "ResourceNotFoundException", str(error))
        except PoolClosedError:
            return _lambda_error(500, "ServiceException", "The engine ends")
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        if result.error_type is not None:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        return Response(200, headers, result.payload)

    def _call_url(self, request: Request) -> Response:
        """A call at a function URL: its event and its answer as in the Lambda developer guide, "Request and response
        payloads", format 2.0."""
        folder, _, rest = request.path.removeprefix(FUNCTION_URLS).partition("/")
        body = request.body.read()
        event = {
            "version": "2.0",
            "rawPath": f"/{rest}",
            "rawQueryString": request.query,
            "headers": request.headers,
            "requestContext": {"http": {"method": request.method, "path": f"/{rest}", "protocol": "HTTP/1.1"}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        if self.pool is None or len(body) > MAX_PAYLOAD_BYTES:
            return Response(413 if self.pool else 404)
        try:
            result = self.pool.invoke(self.pool.named_after(folder), json.dumps(event).encode())
        except UnknownFunctionError:
            return Response(404)
        except PoolClosedError:
            return Response(503)
        if result.error_type is not None:
            return Response(502)
        answer = json.loads(result.payload)
        return Response(int(answer.get("statusCode", 200)), [], str(answer.get("body", "")).encode())

    def _ask_moto(self, request: Request, body: bytes) -> Response:
        captured: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], _exc: object = None) -> None:
            captured[:] = [int(status.split(" ", 1)[0]), headers]

        chunks = self._moto(_environ(request, body, self._port()), start)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = captured
        dropped = {"content-length", "connection", "transfer-encoding"}
        return Response(status, [(name, value) for name, value in headers if name.lower() not in dropped], content)


def service_of(request: Request) -> str:
    """The service's signing name; "s3" for what is not signed at all, "moto" for moto's own pages."""
    if request.path.startswith("/moto-api"):
        return "moto"
    if match := _SCOPE.search(request.headers.get("authorization", "")):
        return match.group(1).lower()
    target = request.headers.get("x-amz-target", "")
    return target.partition(".")[0].lower() if target else "s3"


def _environ(request: Request, body: bytes, port: int) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, "latin-1"),
        "RAW_URI": request.path + (f"?{request.query}" if request.query else ""),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name not in ("content-length", "transfer-encoding"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def _refuse_large_input(request: Request, body: bytes) -> Response | None:
    """moto starts executions of any size; Step Functions does not."""
    if request.headers.get("x-amz-target") != "AWSStepFunctions.StartExecution" or len(body) <= MAX_STATE_BYTES:
        return None
    try:
        size = len(str(json.loads(body).get("input", "")).encode())
    except ValueError:
        return None
    if size <= MAX_STATE_BYTES:
        return None
    text = (
        f"1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less "
        f"than or equal to {MAX_STATE_BYTES}"
    )
    document = json.dumps({"__type": "ValidationException", "message": text}).encode()
    return Response(400, [("Content-Type", "application/x-amz-json-1.0")], document)


def _lambda_error(status: int, code: str, text: str) -> Response:
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
    return Response(status, headers, json.dumps({"Type": "User", "Message": text}).encode())
