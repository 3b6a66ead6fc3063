"""The documents of docs/exports.md for vendors without a preset, against replies written after their documentation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer, one_after_the_other

TEXT = (Path(__file__).parents[3] / "docs" / "exports.md").read_text()
DOCUMENTS = {
    document["job_id"]: document
    for document in (json.loads(each) for each in re.findall(r"```json\n(\{.*?)```", TEXT, re.DOTALL))
}
TOKEN = "planted-vendor-token"
CLIENT = {"client_id": "client", "client_secret": "planted-secret", "refresh_token": "planted-refresh-token"}
DATA = b"id,email\n1,a@b.example\n"
SHA256 = hashlib.sha256(DATA).hexdigest()

Run = Callable[..., dict[str, Any]]


def reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


@pytest.fixture
def run(deployment: Deployment, source: SourceServer) -> Run:
    """Runs the page's document with its hosts replaced by the server of the test."""

    def run_document(vendor: str, replies: Mapping[str, Any], secret: Any = TOKEN) -> dict[str, Any]:
        source.replies |= replies
        put_secret(deployment, vendor, secret if isinstance(secret, str) else json.dumps(secret))
        text = re.sub(r"https://[a-z0-9.-]+", source.url(""), json.dumps(DOCUMENTS[vendor]))
        text = text.replace("files.stripe.com", source.host)
        return deployment.run(json.loads(text))

    return run_document


def error_of(deployment: Deployment, vendor: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(deployment.read(f"jobs/{vendor}/summary.json"))["error"]
    return found


def authorized(source: SourceServer) -> set[str | None]:
    return {request.headers.get("Authorization") for request in source.requests if "token" not in request.path}


# --- Stripe: API reference, "The Report Run object", "Create a Report Run"; "The File object" ---

RUNS, REPORT_RUN = "/v1/reporting/report_runs", "frr_1MrQwrLkdIwHu7ixUov4x2b3"


def report_run(status: str, **more: Any) -> Reply:
    return reply({
        "id": REPORT_RUN, "object": "reporting.report_run", "created": 1680203749, "error": None, "livemode": True,
        "parameters": {"interval_start": 1680000000, "interval_end": 1680100000}, "report_type": "balance.summary.1",
        "result": None, "status": status, "succeeded_at": None, **more,
    })  # fmt: skip


def test_a_stripe_report_lands_with_the_api_key_at_both_hosts(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    place = "/v1/files/file_1Mr4LDLkdIwHu7ixFCz0dZiH/contents"
    file = {"id": "file_1Mr4LDLkdIwHu7ixFCz0dZiH", "object": "file", "filename": "frr.csv", "size": len(DATA),
            "purpose": "finance_report_run", "type": "csv", "url": source.url(place)}  # fmt: skip
    done = report_run("succeeded", result=file, succeeded_at=1680203800)
    answers = {RUNS: report_run("pending"), f"{RUNS}/{REPORT_RUN}": one_after_the_other(report_run("pending"), done),
               place: Reply(DATA)}  # fmt: skip
    assert run("stripe", answers)["status"] == "COMPLETED"
    assert deployment.landed() == {"balance-file_1Mr4LDLkdIwHu7ixFCz0dZiH.csv": DATA}
    assert authorized(source) == {f"Bearer {TOKEN}"}
    started = source.requests[0]
    assert parse_qs(started.body.decode())["parameters[interval_start]"] == ["1680000000"]
    assert re.fullmatch(r"stripe-\d{8}T\d{9}Z", started.headers["Idempotency-Key"])


def test_a_stripe_report_that_fails_says_why(deployment: Deployment, run: Run) -> None:
    failed = report_run("failed", error="An error occurred while generating the report")
    run("stripe", {RUNS: report_run("pending"), f"{RUNS}/{REPORT_RUN}": failed})
    error = error_of(deployment, "stripe")
    assert (error["type"], "while generating the report" in error["message"]) == ("ExportFailedError", True)


# --- Marketo: REST API, "Bulk Extract" and "Bulk Lead Extract" ---

LEADS, EXPORT = "/bulk/v1/leads/export", "ce45a7a1-f19d-4ce2-882c-a3c795940a7d"


def leads(status: str, **more: Any) -> Reply:
    result = {"exportId": EXPORT, "status": status, "createdAt": "2026-01-31T00:00:00Z", "format": "CSV", **more}
    return reply({"requestId": "e42b#14272d07d78", "success": True, "result": [result]})


def marketo(source: SourceServer, checksum: str) -> dict[str, Any]:
    done = leads("Completed", numberOfRecords=1, fileSize=len(DATA), fileChecksum=f"sha256:{checksum}")
    return {
        "/identity/oauth/token": reply({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3599}),
        f"{LEADS}/create.json": leads("Created"),
        f"{LEADS}/{EXPORT}/enqueue.json": leads("Queued", queuedAt="2026-01-31T00:00:01Z"),
        f"{LEADS}/{EXPORT}/status.json": one_after_the_other(leads("Queued"), leads("Processing"), done),
        f"{LEADS}/{EXPORT}/file.json": Reply(DATA, 200, {"Content-Type": "text/csv"}),
        f"{LEADS}/{EXPORT}/cancel.json": leads("Cancelled"),
    }


def test_a_marketo_extract_is_created_enqueued_and_held_against_its_checksum(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    assert run("marketo", marketo(source, SHA256), CLIENT)["status"] == "COMPLETED"
    assert deployment.landed() == {f"leads-{EXPORT}.csv": DATA}
    assert source.paths("POST") == ["/identity/oauth/token", f"{LEADS}/create.json", f"{LEADS}/{EXPORT}/enqueue.json"]
    assert authorized(source) == {f"Bearer {TOKEN}"}
    (line,) = deployment.lines("marketo", "report.jsonl")
    assert line["verified_by"] == ["caller:size", "caller:sha256"]


def test_a_marketo_file_with_another_checksum_is_rejected(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    run("marketo", marketo(source, "0" * 64), CLIENT)
    assert deployment.landed() == {}


@pytest.mark.parametrize(
    ("step", "cancelled"), [("create.json", 0), (f"{EXPORT}/enqueue.json", 1), (f"{EXPORT}/status.json", 1)]
)
def test_what_marketo_refuses_with_status_200_fails_the_job_and_cancels_the_export(
    deployment: Deployment, source: SourceServer, run: Run, step: str, cancelled: int
) -> None:
    refusal = {"requestId": "1", "success": False, "errors": [{"code": "1029", "message": "Too many jobs in queue"}]}
    run("marketo", marketo(source, SHA256) | {f"{LEADS}/{step}": reply(refusal)}, CLIENT)
    error = error_of(deployment, "marketo")
    assert (error["type"], "Too many jobs in queue" in error["message"]) == ("ExportFailedError", True)
    assert source.paths("POST").count(f"{LEADS}/{EXPORT}/cancel.json") == cancelled


# --- Oracle Fusion: "Batch extraction" of SaaS Batch, as far as its documentation is public ---

BATCH = "/api/saas-batch"


def oracle(source: SourceServer, status: str = "SUCCEEDED", checksum: str = SHA256) -> dict[str, Any]:
    requests = f"{BATCH}/jobscheduler/v1/jobRequests"
    place = f"{BATCH}/jobfilemanager/v1/jobRequests/42/outputFiles"
    item = {"name": "invoices_1.json", "size": len(DATA), "checksum": f"sha-256={checksum}",
            "$context": {"links": {"enclosure": {"href": source.url(f"{place}/f1")}}}}  # fmt: skip
    return {
        "/oauth2/v1/token": reply({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}),
        requests: reply({"jobRequestId": 42, "jobDetails": {"jobStatus": "READY"}}, 201),
        f"{requests}/42": one_after_the_other(
            reply({"jobRequestId": 42, "jobDetails": {"jobStatus": "RUNNING"}}),
            reply({"jobRequestId": 42, "jobDetails": {"jobStatus": status}}),
        ),
        place: reply({"items": [item]}),
        f"{place}/f1": Reply(DATA),
    }


def test_an_oracle_extraction_lands_its_files_by_name_and_digest(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    assert run("oracle", oracle(source), CLIENT)["status"] == "COMPLETED"
    assert deployment.landed() == {"invoices_1.json": DATA}
    (line,) = deployment.lines("oracle", "report.jsonl")
    assert line["verified_by"] == ["caller:size", "caller:sha256"]
    assert authorized(source) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(("status", "error"), [("ERROR", "ExportFailedError"), ("PAUSED", "UnknownStatusError")])
def test_an_oracle_extraction_that_does_not_succeed_fails_the_job(
    deployment: Deployment, source: SourceServer, run: Run, status: str, error: str
) -> None:
    run("oracle", oracle(source, status), CLIENT)
    assert error_of(deployment, "oracle")["type"] == error


# --- Zoho CRM: "Bulk Read API", "Create Bulk Read Job", "Get the Status", "Download Result" ---

READ, BULK = "/crm/bulk/v7/read", "4150868000004717004"


def bulk_read(state: str, **more: Any) -> Reply:
    query = {"module": {"id": "4150868000000002179", "api_name": "Contacts"}, "page": 1}
    job = {"id": BULK, "operation": "read", "state": state, "query": query, "file_type": "csv", **more}
    return reply({"data": [job]})


def zoho(*states: Reply) -> dict[str, Any]:
    details = {"id": BULK, "operation": "read", "state": "ADDED"}
    added = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": details}
    return {
        "/oauth/v2/token": reply({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}),
        READ: reply({"data": [added], "info": {}}, 201),
        f"{READ}/{BULK}": one_after_the_other(*states),
        f"{READ}/{BULK}/result": Reply(b"PK zipped"),
    }


def test_a_zoho_bulk_read_lands_its_archive(deployment: Deployment, source: SourceServer, run: Run) -> None:
    result = {"page": 1, "per_page": 200000, "count": 26, "download_url": f"{READ}/{BULK}/result",
              "more_records": False}  # fmt: skip
    states = (bulk_read("QUEUED"), bulk_read("IN PROGRESS"), bulk_read("COMPLETED", result=result))
    assert run("zoho", zoho(*states), CLIENT)["status"] == "COMPLETED"
    assert deployment.landed() == {"contacts-1.zip": b"PK zipped"}
    assert authorized(source) == {f"Zoho-oauthtoken {TOKEN}"}


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": "INVALID_MODULE", "details": {}, "message": "the module name given seems to be invalid"},
        {"data": [{"status": "error", "code": "INVALID_DATA", "details": {}, "message": "invalid data"}]},
    ],
)
def test_what_zoho_refuses_by_a_code_in_the_body_fails_the_job(deployment: Deployment, run: Run, refusal: Any) -> None:
    run("zoho", zoho(bulk_read("QUEUED")) | {READ: reply(refusal)}, CLIENT)
    error = error_of(deployment, "zoho")
    assert (error["type"], "INVALID_" in error["message"]) == ("ExportFailedError", True)


def test_a_zoho_bulk_read_that_fails_is_named(deployment: Deployment, run: Run) -> None:
    run("zoho", zoho(bulk_read("FAILURE")), CLIENT)
    assert error_of(deployment, "zoho")["type"] == "ExportFailedError"


# --- Snowflake: SQL API, "Handling responses"; COPY INTO <location>, "DETAILED_OUTPUT" ---

STATEMENTS, HANDLE = "/api/v2/statements", "e4ce975e-f7ff-4b5e-b15e-bf25f59371ae"


def snowflake(source: SourceServer, *polls: Reply) -> dict[str, Any]:
    status = {"statementHandle": HANDLE, "statementStatusUrl": f"{STATEMENTS}/{HANDLE}"}
    running = {**status, "code": "333334", "message": "Asynchronous execution in progress."}

    def asked(request: Request) -> Reply:
        assert request.headers["X-Snowflake-Authorization-Token-Type"] == "PROGRAMMATIC_ACCESS_TOKEN"
        statement = json.loads(request.body)["statement"]
        if re.match(r"COPY INTO @unload/snowflake-\d{8}T\d{9}Z/ FROM orders", statement):
            return reply(running, 202)
        assert statement.endswith(f"FROM TABLE(RESULT_SCAN('{HANDLE}'))")
        row = ["snowflake-1/data_0_0_0.csv", str(len(DATA)), source.url("/stage/1?X-Amz-Signature=x")]
        return reply({**status, "code": "090001", "sqlState": "00000", "data": [row]})

    return {STATEMENTS: asked, f"{STATEMENTS}/{HANDLE}": one_after_the_other(reply(running, 202), *polls),
            f"{STATEMENTS}/{HANDLE}/cancel": reply(status), "/stage/1": Reply(DATA)}  # fmt: skip


def test_what_snowflake_unloads_to_a_stage_is_fetched_by_signed_links(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    done = reply({"code": "090001", "statementHandle": HANDLE, "data": [["data_0_0_0.csv", "23", "1"]]})
    assert run("snowflake", snowflake(source, done))["status"] == "COMPLETED"
    assert deployment.landed() == {"snowflake-1/data_0_0_0.csv": DATA}
    (fetched,) = [request for request in source.requests if request.path.startswith("/stage")]
    assert "Authorization" not in fetched.headers


def test_a_snowflake_statement_that_fails_is_named_and_cancelled(
    deployment: Deployment, source: SourceServer, run: Run
) -> None:
    refused = reply({"code": "002003", "sqlState": "42S02", "message": "Object 'ORDERS' does not exist"}, 422)
    run("snowflake", snowflake(source, refused))
    error = error_of(deployment, "snowflake")
    assert (error["type"], "does not exist" in error["message"]) == ("ExportFailedError", True)
    assert source.paths("POST")[-1] == f"{STATEMENTS}/{HANDLE}/cancel"


def test_every_vendor_of_the_page_is_tried_here() -> None:
    section = TEXT.partition("## More vendors")[2].partition("\n## ")[0]
    assert re.findall(r'\{"job_id": "(\w+)"', section) == ["stripe", "marketo", "oracle", "zoho", "snowflake"]
