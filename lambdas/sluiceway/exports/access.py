"""How the files of an export are asked for: credentials by host, further headers, and a link that must be asked for.

Knows the object that DispatchFiles leaves for ProcessFile. It names secrets and holds none of Secrets Manager's; what a
reply of the API told for a header stands in it as in export.json. Imports no Pydantic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from sluiceway.aws.rows import JobRow
from sluiceway.errors import NotInReplyError
from sluiceway.exports.asking import UNAUTHORIZED, Api, host_of
from sluiceway.exports.credentials import ISSUED
from sluiceway.job_files import get_json
from sluiceway.jobs.files import FileTask
from sluiceway.redact import redact_url, remember_header
from sluiceway.source.policy import DEFAULT_PORTS

if TYPE_CHECKING:
    from sluiceway.wiring import Services

# How the names of these objects begin.
ACCESS = "access-"
# Any host: for a standard that says which files want the token.
ANY_HOST = "*"
NONE: Mapping[str, Any] = {"type": "none"}
_read: dict[str, dict[str, Any]] = {}


def access_of(services: Services, key: str) -> dict[str, Any]:
    """`{"auth", "hosts", "headers", "told"?, "headers_secret"?}`: `headers` are for every host, the others for `hosts`
    alone; and the same of the request for a file's link under `link`, where there is one, with its JMESPath as `link`.
    Read once a process: its key holds its digest."""
    if key not in _read:
        _read[key] = get_json(services, key)
    return _read[key]


def reachable(services: Services, job: JobRow, task: FileTask) -> FileTask:
    """The task with the URL that its bytes are at: asked for where the API gives it for one file at a time, and with
    the credentials on that belong into it. Raises ExportError."""
    if task.access is None:
        return task
    access = access_of(services, task.access)
    if "link" in access:
        task = replace(task, url=_ask_for_link(services, job, task, access["link"]))
    return replace(task, url=services.credentials.sign(_auth(job, task, access, "auth"), "GET", task.url, {}).url)


def headers_for(services: Services, job: JobRow, task: FileTask) -> dict[str, str]:
    """The headers to ask for a file with that is reachable."""
    if task.access is None:
        return {}
    access = access_of(services, task.access)
    headers = _headers(services, task.url, access)
    return services.credentials.sign(_auth(job, task, access, "auth"), "GET", task.url, headers).headers


def renew(services: Services, job: JobRow, task: FileTask, status: int, since: float) -> bool:
    """After a refusal with `status` of a request begun at `since`: whether a new token or a new link can help."""
    if task.access is None:
        return False
    access = access_of(services, task.access)
    auth = _with_place(job, task, access["auth"], "auth")
    return (status == UNAUTHORIZED and services.credentials.renew(auth, since)) or "link" in access


def _auth(job: JobRow, task: FileTask, access: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return _with_place(job, task, access["auth"], part) if is_known(task.url, access["hosts"]) else NONE


def _headers(services: Services, url: str, access: Mapping[str, Any]) -> dict[str, str]:
    secret = access.get("headers_secret")
    if not is_known(url, access["hosts"]):
        return dict(access["headers"])
    told = {name: remember_header(value) for name, value in access.get("told", {}).items()}
    return {**access["headers"], **told, **(services.secrets.headers(secret) if secret else {})}


def is_known(url: str, hosts: Collection[str]) -> bool:
    """Whether the URL's host is one of `hosts`, in which its scheme's own port may be written and may not."""
    port = f":{DEFAULT_PORTS.get(urlsplit(url).scheme)}"
    host = host_of(url).removesuffix(port)
    return ANY_HOST in hosts or host in hosts or host + port in hosts


def _with_place(job: JobRow, task: FileTask, auth: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """With `at`, which says where the scheme stands: all that whoever issues its token is told (steps/issuing.py)."""
    if auth["type"] not in ISSUED:
        return auth
    at = {"job_id": job.job_id, "execution": job.execution, "access": task.access, "part": part}
    return {**auth, "at": at}


def _ask_for_link(services: Services, job: JobRow, task: FileTask, link: Mapping[str, Any]) -> str:
    import jmespath

    url = task.url
    api = Api(services.source, services.credentials, _auth(job, task, link, "link"))
    reply = api.check(api.ask("GET", url, headers=_headers(services, url, link)), url)
    found = jmespath.search(link["link"], api.parse(reply, url))
    if not isinstance(found, str):
        raise NotInReplyError(f"{redact_url(url)}: {link['link']!r} finds no link in {api.shown(reply.body)}")
    return urljoin(url, found)
