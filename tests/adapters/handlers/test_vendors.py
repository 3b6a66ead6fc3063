"""The presets against replies written from the vendors' documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluiceway.spec import load_job
from sluiceway.spec.presets import names
from tests.support.deployment import Deployment
from tests.support.secrets import put_secret
from tests.support.source import Reply, Request, SourceServer, one_after_the_other

JOB = "vendor-1"
TOKEN = "planted-vendor-token"


def reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json;charset=UTF-8"})


def job(preset: str, values: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "source": {"type": "http", "preset": preset, "with": values, **more}}


def error_of(deployment: Deployment) -> dict[str, str]:
    found: dict[str, str] = json.loads(deployment.read(f"jobs/{JOB}/summary.json"))["error"]
    return found


# --- Salesforce: Bulk API 2.0 Developer Guide, "Create a Query Job" and "Get Parallel Results for a Query Job" ---

ROOM = "/services/data/v62.0/jobs/query"
SF = "750R0000000zxr8IAA"


def salesforce_job(state: str, **more: Any) -> Reply:
    return reply({
        "id": SF, "operation": "query", "object": "Account", "createdById": "005R0000000GiwjIAC",
        "createdDate": "2018-12-10T17:50:19.000+0000", "systemModstamp": "2018-12-10T17:51:27.000+0000", "state": state,
        "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": 62.0, "jobType": "V2Query",
        "lineEnding": "LF", "columnDelimiter": "COMMA", **more,
    })  # fmt: skip


@pytest.fixture
def salesforce(deployment: Deployment, source: SourceServer) -> dict[str, Any]:
    def results(request: Request) -> Reply:
        return Reply(f"Id,Name\n{request.path.rpartition('=')[2]},x\n".encode(), 200, {"Content-Type": "text/csv"})

    def page(*locators: str) -> list[dict[str, str]]:
        return [{"resultUrl": f"{ROOM}/{SF}/results?locator={locator}"} for locator in locators]

    def pages(request: Request) -> Reply:
        if "locator" not in request.path:
            following = f"{ROOM}/{SF}/resultPages?locator=ZzZ"
            return reply({"resultPages": page("aBc", "HiJ"), "nextRecordsUrl": following, "done": False})
        return reply({"resultPages": page("oPQ"), "done": True})

    source.replies |= {
        ROOM: salesforce_job("UploadComplete"),
        f"{ROOM}/{SF}": one_after_the_other(
            salesforce_job("InProgress", numberRecordsProcessed=20),
            salesforce_job("JobComplete", numberRecordsProcessed=100),
            Reply(b"", 204),
        ),
        f"{ROOM}/{SF}/resultPages": pages,
        f"{ROOM}/{SF}/results": results,
    }
    auth = {"type": "bearer", "secret": put_secret(deployment, "salesforce", TOKEN)}
    return job(
        "salesforce-bulk-query", {"instance": source.url(""), "query": "SELECT Id, Name FROM Account"}, auth=auth
    )


def test_salesforce_results_land_page_by_page(
    deployment: Deployment, source: SourceServer, salesforce: dict[str, Any]
) -> None:
    assert deployment.run(salesforce)["status"] == "COMPLETED"
    assert deployment.landed() == {
        "results-00001.csv": b"Id,Name\naBc,x\n",
        "results-00002.csv": b"Id,Name\nHiJ,x\n",
        "results-00003.csv": b"Id,Name\noPQ,x\n",
    }
    assert json.loads(source.requests[0].body) == {"operation": "query", "query": "SELECT Id, Name FROM Account"}
    assert {request.headers["Authorization"] for request in source.requests} == {f"Bearer {TOKEN}"}
    assert source.paths("DELETE") == [f"{ROOM}/{SF}"]


def test_a_salesforce_query_that_fails_is_aborted(
    deployment: Deployment, source: SourceServer, salesforce: dict[str, Any]
) -> None:
    source.replies[f"{ROOM}/{SF}"] = salesforce_job("Failed", errorMessage="MALFORMED_QUERY: no such column")
    assert deployment.run(salesforce)["status"] == "FAILED"
    error = error_of(deployment)
    assert (error["type"], "MALFORMED_QUERY" in error["message"]) == ("ExportFailedError", True)
    (aborted,) = [request for request in source.requests if request.method == "PATCH"]
    assert json.loads(aborted.body) == {"state": "Aborted"}


# --- Shopify: "Perform bulk operations with the GraphQL Admin API" ---

SHOPIFY = "/admin/api/2025-10/graphql.json"
GID = "gid://shopify/BulkOperation/720918"


def shopify(source: SourceServer, *nodes: dict[str, Any], errors: list[Any] | None = None) -> None:
    rest = list(nodes)

    def answer(request: Request) -> Reply:
        asked = json.loads(request.body)
        assert request.headers["X-Shopify-Access-Token"] == TOKEN
        if "bulkOperationRunQuery" in asked["query"]:
            operation = None if errors else {"id": GID, "status": "CREATED"}
            return reply({"data": {"bulkOperationRunQuery": {"bulkOperation": operation, "userErrors": errors or []}}})
        assert asked["variables"] == {"id": GID}
        if "bulkOperationCancel" in asked["query"]:
            said = {"bulkOperation": {"status": "CANCELING"}, "userErrors": []}
            return reply({"data": {"bulkOperationCancel": said}})
        return reply({"data": {"node": {"id": GID, "errorCode": None, "objectCount": "57", **rest.pop(0)}}})

    source.replies[SHOPIFY] = answer


def shopify_job(deployment: Deployment, source: SourceServer) -> dict[str, Any]:
    auth = {"type": "api-key", "header": "X-Shopify-Access-Token", "secret": put_secret(deployment, "shopify", TOKEN)}
    return job(
        "shopify-bulk", {"shop_url": source.url(""), "query": "{ products { edges { node { id } } } }"}, auth=auth
    )


def test_a_shopify_bulk_operation_lands_its_one_file(deployment: Deployment, source: SourceServer) -> None:
    data = b'{"id":"gid://shopify/Product/1921569226808"}\n'
    done = {"status": "COMPLETED", "url": source.url("/bulk.jsonl?Signature=x"), "fileSize": str(len(data))}
    shopify(source, {"status": "RUNNING", "url": None, "fileSize": None}, done)
    source.replies["/bulk.jsonl"] = Reply(data)

    assert deployment.run(shopify_job(deployment, source))["status"] == "COMPLETED"

    assert deployment.landed() == {"results.jsonl": data}
    assert json.loads(source.requests[0].body)["variables"] == {"query": "{ products { edges { node { id } } } }"}
    (fetched,) = [request for request in source.requests if request.path.startswith("/bulk")]
    assert "X-Shopify-Access-Token" not in fetched.headers


def test_a_shopify_query_without_results_is_a_job_well_done(deployment: Deployment, source: SourceServer) -> None:
    shopify(source, {"status": "COMPLETED", "url": None, "fileSize": None})
    assert deployment.run(shopify_job(deployment, source))["status"] == "COMPLETED"
    assert deployment.landed() == {}


@pytest.mark.parametrize(
    ("nodes", "errors", "error"),
    [
        ([], [{"field": None, "message": "A bulk query operation for this app and shop is already in progress."}],
         "ExportFailedError"),
        ([{"status": "FAILED", "errorCode": "ACCESS_DENIED"}], None, "ExportFailedError"),
        ([{"status": "EXPIRED"}], None, "ExportTimeoutError"),
    ],
)  # fmt: skip
def test_what_shopify_refuses_with_status_200_fails_the_job(
    deployment: Deployment, source: SourceServer, nodes: list[Any], errors: Any, error: str
) -> None:
    shopify(source, *nodes, errors=errors)
    assert deployment.run(shopify_job(deployment, source))["status"] == "FAILED"
    assert error_of(deployment)["type"] == error
    cancels = [request for request in source.requests if b"bulkOperationCancel" in request.body]
    assert len(cancels) == len(nodes)


# --- Amazon: Selling Partner API, "Reports API v2021-06-30" ---


@pytest.fixture
def amazon(deployment: Deployment, source: SourceServer) -> dict[str, Any]:
    links = iter(range(1, 10))
    room = "/reports/2021-06-30"
    report = {
        "reportType": "GET_MERCHANT_LISTINGS_ALL_DATA",
        "reportId": "ID323",
        "createdTime": "2022-12-10T00:00:00Z",
    }

    def document(_: Request) -> Reply:
        url = source.url(f"/document.gz?X-Amz-Expires=300&n={next(links)}")
        return reply({"reportDocumentId": "amzn1.spdoc.1.4.na.abc", "url": url, "compressionAlgorithm": "GZIP"})

    source.replies |= {
        "/auth/o2/token": reply({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}),
        f"{room}/reports": reply({"reportId": "ID323"}, 202),
        f"{room}/reports/ID323": one_after_the_other(
            reply({**report, "processingStatus": "IN_QUEUE"}),
            reply({**report, "processingStatus": "IN_PROGRESS"}),
            reply({**report, "processingStatus": "DONE", "reportDocumentId": "amzn1.spdoc.1.4.na.abc"}),
        ),
        f"{room}/documents/amzn1.spdoc.1.4.na.abc": document,
        "/document.gz": Reply(b"\x1f\x8b bytes of a report"),
    }
    secret = {"client_id": "amzn1.application-oa2-client.x", "client_secret": "a-secret", "refresh_token": "Atzr|IwEBI"}
    auth = {
        "type": "oauth2",
        "grant": "refresh_token",
        "token_url": source.url("/auth/o2/token"),
        "header": "x-amz-access-token",
        "prefix": "",
        "secret": put_secret(deployment, "amazon", json.dumps(secret)),
    }
    values = {
        "endpoint": source.url(""),
        "report_type": "GET_MERCHANT_LISTINGS_ALL_DATA",
        "marketplace": "ATVPDKIKX0DER",
        "name": "listings.txt.gz",
    }
    return job("amazon-sp-report", values, auth=auth)


def test_an_amazon_report_is_fetched_at_the_link_asked_for_when_its_turn_comes(
    deployment: Deployment, source: SourceServer, amazon: dict[str, Any]
) -> None:
    assert deployment.run(amazon)["status"] == "COMPLETED"
    assert deployment.landed() == {"listings.txt.gz": b"\x1f\x8b bytes of a report"}
    keys = {request.path.partition("?")[0]: request.headers.get("x-amz-access-token") for request in source.requests}
    assert keys.pop("/auth/o2/token") is keys.pop("/document.gz") is None
    assert set(keys.values()) == {TOKEN}
    assert source.requests[-1].path.startswith("/document.gz") and source.requests[-2].path.endswith("spdoc.1.4.na.abc")


def test_an_amazon_link_that_has_expired_is_asked_for_again(
    deployment: Deployment, source: SourceServer, amazon: dict[str, Any]
) -> None:
    source.replies["/document.gz"] = lambda request: (
        Reply(b"Request has expired", 403) if request.path.endswith("n=1") else Reply(b"report")
    )
    assert deployment.run(amazon)["status"] == "COMPLETED"
    assert deployment.landed() == {"listings.txt.gz": b"report"}


def test_an_amazon_report_without_data_is_a_job_without_files(
    deployment: Deployment, source: SourceServer, amazon: dict[str, Any]
) -> None:
    source.replies["/reports/2021-06-30/reports/ID323"] = reply({"reportId": "ID323", "processingStatus": "CANCELLED"})
    answer = deployment.run(amazon)
    assert (answer["status"], deployment.landed()) == ("COMPLETED", {})


# --- any REST API ---


def test_a_plain_rest_api_needs_its_address_only(deployment: Deployment, source: SourceServer) -> None:
    done = {"status": "done", "files": [{"url": "/files/a", "name": "a.csv", "size": 3}]}
    source.replies |= {
        "/exports": reply({"id": 7}, 201),
        "/exports/7": one_after_the_other(reply({"status": "queued"}), reply(done), Reply(b"", 204)),
        "/files/a": Reply(b"abc"),
    }
    assert deployment.run(job("rest", {"url": source.url("/exports")}))["status"] == "COMPLETED"
    assert deployment.landed() == {"a.csv": b"abc"}
    assert source.paths("DELETE") == ["/exports/7"]


def test_a_document_wins_over_its_preset(deployment: Deployment, source: SourceServer) -> None:
    source.replies |= {
        "/exports": reply({"id": "7"}),
        "/exports/7": one_after_the_other(
            reply({"status": "FERTIG", "files": [{"url": "/files/a", "name": "a"}]}), Reply()
        ),
        "/files/a": Reply(b"abc"),
    }
    mapping = {"status_mapping": {"completed": ["FERTIG"]}}
    assert deployment.run(job("rest", {"url": source.url("/exports")}, poll=mapping))["status"] == "COMPLETED"


@pytest.mark.parametrize("preset", names())
def test_a_job_with_a_preset_survives_being_stored(preset: str) -> None:
    values = {"salesforce-bulk-query": ("instance", "query"), "shopify-bulk": ("shop_url", "query"), "rest": ("url",),
              "amazon-sp-report": ("endpoint", "report_type", "marketplace")}[preset]  # fmt: skip
    first = load_job(job(preset, dict.fromkeys(values, "https://h")), "x")
    again = load_job(json.loads(first.model_dump_json(by_alias=True, exclude_defaults=True)), "x")
    assert again == first
