"""A vendor's export API over real HTTP, in the moods that scenarios ask for.

Knows what it answers and whom it calls. Refuses to know the sentences of the features.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.features.world import World
from tests.support.source import Answer, Reply, Request
from tests.support.waiting import wait_until

KEY = "key-shared-with-the-vendor"


@dataclass
class Api:
    """Answers `POST exports` and `GET exports/e1` under the scenario's folder."""

    world: World
    running_polls: int = 1
    running: str = "RUNNING"
    progress: str = ""
    end: str = "DONE"
    at_once: bool = False
    html: bool = False
    wrong: set[str] = field(default_factory=set)
    paged: bool = False
    total_changes: bool = False
    links: bool = False
    gives_tokens: bool = True
    more: dict[str, Any] = field(default_factory=dict)
    poll: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    refused: int = 0
    call: str | None = None
    calls_after: int = 0
    heard: int | None = None
    address: str = ""
    stranger: bool = False
    stranger_heard: int | None = None
    threads: list[threading.Thread] = field(default_factory=list)

    def serve(self) -> None:
        answers = {"/exports": self.on_start, "/exports/e1": self.on_poll, "/pages": self.on_page,
                   "/finish": lambda _: Reply(), "/abort": lambda _: Reply(), "/token": self.on_token}  # fmt: skip
        for path, answer in answers.items():
            self.world.answer(path, answer)
        for name, wanted in self.world.files.items():
            self.world.answer(f"/links/{name}", lambda _, url=wanted.entry["url"]: self.reply({"url": url}))

    def on_start(self, request: Request) -> Reply:
        assert request.method == "POST"
        asked = json.loads(request.body)
        assert asked["table"] == "orders"
        if self.call == "first":
            self.heard = self.ring(asked["notify"])
        elif self.call == "after polls":
            self.address = asked["notify"]
        elif self.call:
            thread = threading.Thread(target=self.ring_once_asleep, args=(asked["notify"],))
            self.threads.append(thread)
            thread.start()
        return self.reply({"id": "e1", "state": "QUEUED"} if not self.at_once else self.done())

    def on_poll(self, _: Request) -> Reply:
        self.running_polls -= 1
        self.calls_after -= 1
        if self.call == "after polls" and self.calls_after == 0:
            self.heard = self.ring(self.address)
        if self.running_polls < 0:
            return self.reply(self.done())
        told = {"progress": self.progress} if self.progress else {}
        return self.reply({"state": self.running, **told})

    def on_page(self, request: Request) -> Reply:
        page = int(parse_qs(urlsplit(request.path).query).get("page", ["1"])[0])
        listed = self.listed()[page - 1 : page]
        return self.reply({"files": listed, "total": 2 + (self.total_changes and page > 1)})

    def on_token(self, _: Request) -> Reply:
        if not self.gives_tokens:
            return Reply(b'{"error": "invalid_client"}', 401)
        self.tokens.append(f"token-of-{self.world.job_id}-{len(self.tokens)}")
        return self.reply({"access_token": self.tokens[-1], "expires_in": 3600})

    def guard(self) -> None:
        """From now on everything but the token wants one; the first that asks for a file is forgotten."""
        for path in ("/exports", "/exports/e1", *(f"/{name}" for name in self.world.files)):
            answer = self.world.source.replies[self.world.path(path)]
            self.world.answer(path, self.guarded(path, answer))

    def guarded(self, path: str, answer: Answer) -> Answer:
        def answered(request: Request) -> Reply:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not path.startswith("/exports") and not self.forgotten:
                self.forgotten.add(token)
            if token not in self.tokens or token in self.forgotten:
                self.refused += 1
                return Reply(b"who are you?", 401)
            return answer(request) if callable(answer) else answer

        return answered

    def reply(self, said: dict[str, Any]) -> Reply:
        return Reply(b"<html>down</html>") if self.html else Reply(json.dumps(said).encode())

    def listed(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "href": wanted.entry["url"],
                "bytes": wanted.body.size,
                "checksum": "sha-256=" + ("0" * 64 if name in self.wrong else wanted.body.digest()),
            }
            for name, wanted in self.world.files.items()
        ]

    def done(self) -> dict[str, Any]:
        return {"state": self.end, "reason": "quota", "result": {"files": self.listed()}}

    def ring(self, url: str, key: str = KEY) -> int:
        body = b'{"export": "e1"}'
        signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(url, body, {"X-Signature": signature})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def ring_once_asleep(self, url: str) -> None:
        self.address = url
        wait_until(lambda: any("token" in row for row in self.callback_rows()))
        if self.stranger:
            self.stranger_heard = self.ring(url, "a stranger's key")
        self.heard = self.ring(url)

    def callback_rows(self) -> list[dict[str, Any]]:
        return [
            row
            for row in self.world.rows()
            if row["pk"]["S"].startswith("CALLBACK#") and row["job_id"]["S"] == self.world.job_id
        ]

    def document(self) -> dict[str, Any]:
        files: dict[str, Any] = {"list": "result.files", "url": "href", "size": "bytes", "digest": "checksum"}
        if self.paged:
            paging = {"page": True, "param": "page", "total": "total"}
            files |= {"list": "files", "request": {"url": self.world.url("/pages")}, "pagination": paging}
        if self.links:
            link = {"url": self.world.url("/links/") + "{{ item:name }}", "link": "url"}
            files |= {"link": link, "name": f"{self.world.job_id}/" + "{{ item:name }}"}
        asked = {"table": "orders"} | ({"notify": "{{ callback:url }}"} if "callback" in self.more else {})
        mapping = {"running": ["QUEUED", "RUNNING"], "completed": ["DONE"], "failed": ["ERROR"], "skipped": ["EMPTY"]}
        poll = {
            "url": self.world.url("/exports/") + "{{ id }}",
            "status": "state",
            "status_mapping": mapping,
            "interval_seconds": 1,
            **self.poll,
        }
        source = {"type": "http", "start": {"url": self.world.url("/exports"), "json": asked}, "files": files}
        source |= {} if self.at_once else {"poll": poll}
        return {"job_id": self.world.job_id, "source": source | self.more}
