"""The embedded engine's one door: a request goes in, the answer of a manager comes out.

Pure: no I/O, no event loop, no clock but the agenda's. Owns: which route a request takes, and what all answers have in
common. Must not know: what a manager does about its objects between requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import formatdate
from typing import Final

from ..versions import ApiVersion
from ._agent import Agents
from ._call import Call, Request, Response, answer, nowhere
from ._clock import Timeline
from ._documents import Documents
from ._networks import Networks
from ._nodes import Nodes
from ._orchestrate import Orchestrator
from ._registry import Registries
from ._schedule import Scheduler
from ._services import Services
from ._store import Refusal, Store
from ._streams import EventStream
from ._swarm import Swarm
from ._system import RELEASES, info, oldest_version, version_body
from ._tasks import Tasks

_STORED: Final = re.compile(r"(/v[\d.]+)?/(services|tasks|nodes)(/[^/]+)?")
"""Paths whose answers say what the store holds, and nothing of time or streams."""
_BODILESS: Final = ("leave", "prune")
"""Requests whose body nobody reads, and so nobody asks what it is."""


class Core:
    """A manager of a swarm, and its nodes."""

    def __init__(self, *, api_version: ApiVersion, start: datetime, seed: int) -> None:
        self.api_version = api_version
        self.timeline = Timeline(start)
        self.store = Store(self.timeline, api_version, seed)
        self.registries = Registries()
        self.agents = Agents(self.store, self.registries)
        self._workers = (Scheduler(self.store), Orchestrator(self.store))
        self.nodes = Nodes(self.store)
        self._networks = Networks(self.store)
        self._services = Services(self.store)
        self._tasks = Tasks(self.store, self._services, self.nodes)
        self._documents: Mapping[str, Documents] = {
            "secrets": Documents(self.store, "secret"),
            "configs": Documents(self.store, "config"),
        }
        leader = self.nodes.add(f"engine-{RELEASES[api_version].replace('.', '-')}", "manager", {}, {})
        leader.leader = True
        self.swarm = Swarm(self.store, lambda: self.nodes.leader.id, self._services.remove_all)
        self.timeline.run_until(0)
        self.store.events.clear()
        self.store.event_count = 0
        self._answers: dict[tuple[str, str, str, bool], Response] = {}
        self._answers_at = 0

    def handle(self, request: Request) -> Response:
        """The answer to a request. What follows from it comes with time."""
        self.timeline.run_until(self.timeline.now)
        # Clients that wait ask the same again and again while nothing changes.
        if self._answers_at != self.store.index:
            self._answers.clear()
            self._answers_at = self.store.index
        asked = (request.path, request.query, self.swarm.state, self.swarm.has_leader)
        if request.method == "GET" and (known := self._answers.get(asked)) is not None:
            return Response(known.status, {**known.headers, "Date": self._date()}, known.body)
        try:
            response = self._route(request)
        except Refusal as refusal:
            response = answer(refusal.status, {"message": refusal.message})
        response.headers = {**self._headers(), **response.headers}
        if request.method == "HEAD":
            response.body = b""
        elif request.method == "GET" and response.status == 200 and _STORED.fullmatch(request.path):
            self._answers[asked] = response
        self.timeline.run_until(self.timeline.now)
        return response

    def _headers(self) -> dict[str, str]:
        return {
            "Api-Version": str(self.api_version),
            "Date": self._date(),
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"Docker/{RELEASES[self.api_version]} (linux)",
        }

    def _date(self) -> str:
        return formatdate(self.store.clock_ns() // 1_000_000_000, usegmt=True)

    def _route(self, request: Request) -> Response:
        call = Call(self.api_version, request)
        self._check_version(call)
        if call.method == "POST" and call.parts[-1] not in _BODILESS:
            self._check_content_type(request)
        first, *rest = call.parts
        if first in ("services", "tasks", "nodes", *self._documents):
            self.swarm.check()
        match call.method, first, *rest:
            case _, "services", *_:
                return self._services.route(call, rest)
            case _, "tasks", *_:
                return self._tasks.route(call, rest)
            case _, "nodes", *_:
                return self.nodes.route(call, rest)
            case _, ("secrets" | "configs"), *_:
                return self._documents[first].route(call, rest)
            case _, "networks", *_:
                return self._networks.route(call, rest, is_manager=self.swarm.is_manager)
            case _, "swarm", *_:
                return self.swarm.route(call, rest)
            case (("GET" | "HEAD"), "_ping"):
                return self._ping()
            case "GET", "version":
                return answer(200, version_body(self.api_version))
            case "GET", "info":
                return answer(200, info(self.store, self.nodes.leader, self.swarm.state, self.swarm.show()))
            case "GET", "events":
                return self._events(call)
            case "GET", "distribution", *name, "json":
                return self.registries.distribution("/".join(name), call.request.headers.get("x-registry-auth"))
            case _:
                raise nowhere()

    def _check_version(self, call: Call) -> None:
        least, most = oldest_version(self.api_version), self.api_version
        asked = call.request.path.split("/")[1].removeprefix("v")
        if call.version < least:
            upgrade = "please upgrade your client to a newer version"
            said = f"client version {asked} is too old. Minimum supported API version is {least}, {upgrade}"
            raise Refusal(400, said)
        if call.version > most:
            raise Refusal(400, f"client version {asked} is too new. Maximum supported API version is {most}")

    def _check_content_type(self, request: Request) -> None:
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == "application/json" or (not kind and not request.body):
            return
        if self.api_version < (1, 42):
            raise Refusal(400, f"Content-Type specified ({kind}) must be 'application/json'")
        if not kind:
            raise Refusal(400, "malformed Content-Type header (): mime: no media type")
        raise Refusal(400, f"unsupported Content-Type header ({kind}): must be 'application/json'")

    def _ping(self) -> Response:
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-cache, no-store, must-revalidate",
            "Pragma": "no-cache",
        }
        if self.api_version >= (1, 42):
            state = self.swarm.state
            headers["Swarm"] = f"active/{state}" if state in ("manager", "worker") else state
            headers["Builder-Version"] = "2"
        return Response(200, headers, b"OK")

    def _events(self, call: Call) -> Response:
        since, until = (
            call.moment(name, Refusal(500, ""), f"invalid value for '{name}'") for name in ("since", "until")
        )
        stream = EventStream(self.store, call.filters(), since, until)
        return Response(200, {"Content-Type": "application/json"}, stream)
