"""The example of a backend, served by uvicorn on a real socket, with the embedded engine behind it."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

import swarmkit
from swarmkit import ClientClosed, SwarmClient
from swarmkit.testing import FakeEngine
from swarmkit.versions import ApiVersion

pytestmark = pytest.mark.anyio

APP: Final = Path(__file__).parents[1] / "examples" / "fastapi_app.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("fastapi_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


backend: Final = load()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """FastAPI and uvicorn run on asyncio alone."""
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """A browser of the app, which uvicorn serves meanwhile."""
    # Of TCP in so many words, or asyncio lets answers wait for their second half; callers wait until the server is up.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=url, trust_env=False) as browser:
                yield browser
            server.should_exit = True


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """One server for all tests: it takes a while to stop."""
    app = backend.create_app(FakeEngine().client)
    async with served(app) as browser:
        yield app, browser


@pytest.fixture
def browser(engine: FakeEngine, server: tuple[FastAPI, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A browser of the backend of this test's engine."""
    app, browser = server
    client = engine.client()
    app.dependency_overrides[backend.client_of] = lambda: client
    return browser


def spec(image: str = "web:1", replicas: int = 2, **more: Any) -> dict[str, Any]:
    container = {"Image": image, "Env": ["PASSWORD=hunter2"]}
    return {
        "TaskTemplate": {"ContainerSpec": container},
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"FailureAction": "rollback", "Monitor": 1_000_000_000},
        **more,
    }


async def events(browser: httpx.AsyncClient, url: str) -> list[tuple[str, Any]]:
    """The names and data of all events of a stream, which ends by itself."""
    answer = await browser.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = re.findall(r"event: (\w+)\ndata: (.+)\n\n", answer.text)
    assert answer.text == "".join(f"event: {name}\ndata: {data}\n\n" for name, data in found)
    return [(name, json.loads(data)) for name, data in found]


# --- what it is for --------------------------------------------------------------------------------------------------


async def test_a_service_is_created_updated_and_then_left_alone(browser: httpx.AsyncClient) -> None:
    created = await browser.put("/services/web", json=spec())
    updated = await browser.put("/services/web", json=spec("web:2", Name="web"))
    unchanged = await browser.put("/services/web", json=spec("web:2"))
    assert [201, 200, 200] == [answer.status_code for answer in (created, updated, unchanged)]
    name = created.json()["id"]
    assert {"id": name, "outcome": "created", "changes": [], "warnings": []} == created.json()
    assert ["TaskTemplate.ContainerSpec.Image: 'web:1' -> 'web:2'"] == updated.json()["changes"]
    assert {"id": name, "outcome": "unchanged", "changes": [], "warnings": []} == unchanged.json()


async def test_what_may_be_secret_is_not_shown_as_a_change(browser: httpx.AsyncClient) -> None:
    await browser.put("/services/web", json=spec())
    changed = spec()
    changed["TaskTemplate"]["ContainerSpec"]["Env"] = ["PASSWORD=hunter3"]
    answer = await browser.put("/services/web", json=changed)
    assert ["TaskTemplate.ContainerSpec.Env: changed"] == answer.json()["changes"]


async def test_services_are_listed_and_shown_in_dockers_own_json(browser: httpx.AsyncClient) -> None:
    await browser.put("/services/web", json=spec())
    shown = (await browser.get("/services/web")).json()
    assert spec()["Mode"] == shown["Spec"]["Mode"]
    listed = (await browser.get("/services")).json()
    assert {"RunningTasks": 0, "DesiredTasks": 2, "CompletedTasks": 0} == listed[0].pop("ServiceStatus")
    assert [shown] == listed


async def test_a_service_is_scaled_rolled_back_and_removed(browser: httpx.AsyncClient) -> None:
    async def replicas() -> int:
        shown: int = (await browser.get("/services/web")).json()["Spec"]["Mode"]["Replicated"]["Replicas"]
        return shown

    await browser.put("/services/web", json=spec())
    assert (await browser.post("/services/web/scale", params={"replicas": 5})).json() == {"Warnings": []}
    assert await replicas() == 5
    assert (await browser.post("/services/web/rollback")).json() == {"Warnings": []}
    assert await replicas() == 2
    assert (await browser.delete("/services/web")).status_code == 204
    assert (await browser.get("/services")).json() == []


async def test_the_status_is_where_the_service_is_now(browser: httpx.AsyncClient) -> None:
    await browser.put("/services/web", json=spec())
    before = (await browser.get("/services/web/status")).json()
    assert ("updating", 2, 0) == (before["phase"], before["wanted"], before["arrived"])
    await browser.get("/services/web/rollout")
    after = (await browser.get("/services/web/status")).json()
    assert ["running", "running"] == [slot["state"] for slot in after["slots"]]
    assert after["arrived"] == 2


# --- rollouts --------------------------------------------------------------------------------------------------------


async def test_a_rollout_is_told_step_by_step_and_has_a_verdict(browser: httpx.AsyncClient) -> None:
    await browser.put("/services/web", json=spec())
    *steps, verdict = await events(browser, "/services/web/rollout")
    assert ("verdict", {"converged": True}) == verdict
    assert {"progress"} == {name for name, _ in steps}
    assert ["updating", "verifying", "converged"] == [*dict.fromkeys(step["phase"] for _, step in steps)]
    assert ("web", 2, 2) == tuple(steps[-1][1][key] for key in ("service_name", "wanted", "arrived"))


async def test_the_verdict_on_a_rollout_that_fails_says_why(engine: FakeEngine, browser: httpx.AsyncClient) -> None:
    await browser.put("/services/web", json=spec())
    await browser.get("/services/web/rollout")
    engine.fail_tasks(image="web:2", after=0.2)
    await browser.put("/services/web", json=spec("web:2"))
    *_, (_, last), (name, verdict) = await events(browser, "/services/web/rollout")
    assert ("verdict", False, "rolled back") == (name, verdict["converged"], last["phase"])
    assert ("RolledBack", 409) == (verdict["failure"]["error"], verdict["failure"]["status"])
    assert "non-zero exit (1)" in verdict["failure"]["detail"]


async def test_a_rollout_that_takes_too_long_has_a_verdict_as_well(browser: httpx.AsyncClient) -> None:
    nowhere = spec()
    nowhere["TaskTemplate"]["Placement"] = {"Constraints": ["node.labels.gpu==yes"]}
    await browser.put("/services/web", json=nowhere)
    *_, (_, verdict) = await events(browser, "/services/web/rollout?timeout=3")
    assert ("RolloutTimeout", 504) == (verdict["failure"]["error"], verdict["failure"]["status"])


async def test_two_callers_at_once_deploy_one_service_and_both_follow_it(browser: httpx.AsyncClient) -> None:
    outcomes: list[str] = []
    verdicts: list[Any] = []

    async def deploy_and_follow() -> None:
        outcomes.append((await browser.put("/services/web", json=spec())).json()["outcome"])
        verdicts.append((await events(browser, "/services/web/rollout"))[-1])

    async with anyio.create_task_group() as group:
        group.start_soon(deploy_and_follow)
        group.start_soon(deploy_and_follow)
    assert ["created", "unchanged"] == sorted(outcomes)
    assert [("verdict", {"converged": True})] * 2 == verdicts
    assert len((await browser.get("/services")).json()) == 1


# --- logs ------------------------------------------------------------------------------------------------------------


async def test_logs_are_lines_of_json(engine: FakeEngine, browser: httpx.AsyncClient) -> None:
    engine.run_tasks(image="web:1", output="one\ntwo\n")
    await browser.put("/services/web", json=spec(replicas=1))
    await browser.get("/services/web/rollout")
    engine.write_logs("web", "three\n", stream="stderr")
    answer = await browser.get("/services/web/logs")
    assert answer.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [("stdout", 1, "one"), ("stdout", 1, "two"), ("stderr", 1, "three")] == [
        (line["stream"], line["slot"], line["message"]) for line in lines
    ]
    assert {"time", "stream", "slot", "task_id", "message"} == set(lines[0])
    last = await browser.get("/services/web/logs", params={"tail": 1, "since": lines[-1]["time"]})
    assert [lines[-1]] == [json.loads(line) for line in last.text.splitlines()]


class Counted(httpx.AsyncBaseTransport):
    """A way to the engine that knows how many of its answers are still being read."""

    def __init__(self, engine: FakeEngine) -> None:
        self.clock = engine.clock
        self.open = 0
        self.all_closed = anyio.Event()
        self._within = engine.transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._within.handle_async_request(request)
        if request.url.path.endswith("/logs"):
            self.open += 1
            answer.stream = Answer(answer.stream, self)
        return answer


class Answer(httpx.AsyncByteStream):
    """An answer that says when it is closed."""

    def __init__(self, within: Any, counted: Counted) -> None:
        self._within = within
        self._counted = counted

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = aiter(self._within)
        return pieces

    async def aclose(self) -> None:
        await self._within.aclose()
        self._counted.open -= 1
        if not self._counted.open:
            self._counted.all_closed.set()


async def test_a_caller_who_leaves_a_log_stream_closes_the_engines_as_well(engine: FakeEngine) -> None:
    counted = Counted(engine)
    app = backend.create_app(lambda: SwarmClient(transport=counted, registry_auth=None))
    async with served(app) as browser:
        await browser.put("/services/web", json=spec(replicas=1))
        await browser.get("/services/web/rollout")
        async with browser.stream("GET", "/services/web/logs?follow=true") as answer:
            lines = answer.aiter_lines()
            for text in ("one", "two"):
                engine.write_logs("web", f"{text}\n")
                assert json.loads(await anext(lines))["message"] == text
            engine.cut_streams()  # no end for one that follows: it is opened again
            engine.write_logs("web", "three\n")
            assert json.loads(await anext(lines))["message"] == "three"
            assert (counted.open, counted.all_closed.is_set()) == (1, True)
            counted.all_closed = anyio.Event()
        with anyio.fail_after(5):
            await counted.all_closed.wait()
        assert (await browser.get("/services")).status_code == 200


# --- the client ------------------------------------------------------------------------------------------------------


async def test_the_client_lives_as_long_as_the_server(engine: FakeEngine) -> None:
    client = engine.client()
    async with served(backend.create_app(lambda: client)) as browser:
        assert (await browser.get("/services")).status_code == 200
        assert await client.services.list() == []
    with pytest.raises(ClientClosed):
        await client.services.list()


# --- errors ----------------------------------------------------------------------------------------------------------

STATUSES: Final = {
    400: {"BadRequest"},
    403: {"Forbidden"},
    404: {"NotFound", "ServiceRemoved"},
    409: {"NameConflict", "OutOfSequence", "FailedPrecondition", "InUse", "PortInUse", "AlreadyInSwarm",
          "SwarmNotLocked", "RolloutFailed", "UpdatePaused", "RolledBack", "TasksFailing", "Superseded"},
    422: {"InvalidSpec", "InvalidReference", "UnsupportedFeature", "Unimplemented"},
    500: {"SwarmkitError", "HostError", "CredentialsError", "UnsupportedApiVersion"},
    502: {"EngineError", "OutcomeUnknown", "ProtocolError", "StreamError", "StreamTruncated", "LogStreamError"},
    503: {"NotAManager", "NoQuorum", "SwarmLocked", "JoinPending", "EngineUnreachable", "ClientClosed"},
    504: {"EngineTimeout", "RolloutTimeout"},
}  # fmt: skip


def made(name: str) -> swarmkit.SwarmkitError:
    """An error of this kind, as far as it is the same for all."""
    kind: type[Any] = getattr(swarmkit, name)
    if issubclass(kind, swarmkit.EngineError):
        return kind(500, None, "no", "GET", "/services")
    if issubclass(kind, swarmkit.RolloutFailed):
        standing = swarmkit.Progress(service_id="1", service_name="web", phase="failing", wanted=1, arrived=0)
        return kind(standing)
    arguments: dict[Any, tuple[Any, ...]] = {
        swarmkit.InvalidSpec: ([swarmkit.Problem("Name", "no")],),
        swarmkit.UnsupportedFeature: ([swarmkit.Problem("Name", "no")], ApiVersion(1, 41)),
        swarmkit.OutcomeUnknown: ("POST", "/services/create", "no"),
    }
    error: swarmkit.SwarmkitError = kind(*arguments.get(kind, ("no",)))
    return error


async def test_every_error_has_its_status(server: tuple[FastAPI, httpx.AsyncClient]) -> None:
    expected = {name: status for status, names in STATUSES.items() for name in names}
    public = {name for name in swarmkit.__all__ if isinstance(kind := getattr(swarmkit, name), type)
              and issubclass(kind, swarmkit.SwarmkitError)}  # fmt: skip
    app, browser = server
    raised: list[swarmkit.SwarmkitError] = []

    def fail() -> SwarmClient:
        raise raised[-1]

    app.dependency_overrides[backend.client_of] = fail
    found: dict[str, int] = {}
    for name in public:
        raised.append(made(name))
        answer = await browser.get("/services")
        body = answer.json()
        found[name] = answer.status_code
        assert answer.headers["content-type"] == "application/problem+json"
        assert (name, answer.status_code, str(raised[-1])) == (body["error"], body["status"], body["detail"])
        assert HTTPStatus(answer.status_code).phrase == body["title"]
    assert expected == found


def test_the_page_on_it_has_the_same_table() -> None:
    page = (APP.parents[1] / "docs" / "fastapi.md").read_text()
    told = {name: row for row in re.findall(r"^\| (\d.*)$", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    statuses = {name: str(status) for status, names in STATUSES.items() for name in names if name in told}
    assert len(statuses) > 20
    assert [] == [name for name, status in statuses.items() if status not in told[name].partition("|")[0]]


Trouble = Callable[[FakeEngine], object]


@pytest.mark.parametrize(
    ("trouble", "method", "path", "body", "error", "status"),
    [
        (None, "GET", "/services/nope", None, "NotFound", 404),
        (None, "GET", "/services/nope/status", None, "NotFound", 404),
        (None, "GET", "/services/nope/rollout", None, "NotFound", 404),
        (None, "GET", "/services/nope/logs", None, "NotFound", 404),
        (None, "DELETE", "/services/nope", None, "NotFound", 404),
        (None, "GET", "/services/a%20b", None, "InvalidReference", 422),
        (None, "PUT", "/services/other", spec(Name="web"), "InvalidSpec", 422),
        (None, "PUT", "/services/other", spec(EndpointSpec={"Ports": [{"TargetPort": 70000}]}), "InvalidSpec", 422),
        (None, "PUT", "/services/other", spec(Labls={}), "InvalidSpec", 422),
        (None, "PUT", "/services/other", spec(labls={}), "RequestValidationError", 422),
        (None, "GET", "/services/web/logs?since=2026-11-24T11:19:05", None, "RequestValidationError", 422),
        (None, "POST", "/services/web/scale?replicas=-1", None, "RequestValidationError", 422),
        (None, "PUT", "/services/web", {**spec(), "Mode": {"Global": {}}}, "Unimplemented", 422),
        (None, "POST", "/services/web/rollback", None, "FailedPrecondition", 409),
        (FakeEngine.lose_answer, "DELETE", "/services/web", None, "OutcomeUnknown", 502),
        (FakeEngine.lose_quorum, "GET", "/services", None, "NoQuorum", 503),
        (FakeEngine.refuse_connections, "GET", "/services", None, "EngineUnreachable", 503),
    ],
)
async def test_what_goes_wrong_is_told(
    trouble: Trouble | None,
    method: str,
    path: str,
    body: Any,
    error: str,
    status: int,
    engine: FakeEngine,
    browser: httpx.AsyncClient,
) -> None:
    await browser.put("/services/web", json=spec())
    if trouble is not None:
        trouble(engine)
    answer = await browser.request(method, path, json=body)
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    told = answer.json()
    assert error == told["error"]
    assert "hunter2" not in answer.text
    assert ("problems" in told) == (error in ("InvalidSpec", "RequestValidationError"))
    assert ("settle" in told) == (error == "OutcomeUnknown")


async def test_every_problem_of_a_spec_is_told_with_its_place(browser: httpx.AsyncClient) -> None:
    ports = [{"TargetPort": 70000}, {"TargetPort": 80, "Protocol": "icmp"}]
    told = (await browser.put("/services/web", json=spec(EndpointSpec={"Ports": ports}))).json()
    assert ["EndpointSpec.Ports[0].TargetPort", "EndpointSpec.Ports[1].Protocol"] == [
        problem["path"] for problem in told["problems"]
    ]
    typo = (await browser.put("/services/web", json={"task_template": {"container_spec": {"imgae": "x"}}})).json()
    assert ["body.task_template.container_spec.imgae"] == [problem["path"] for problem in typo["problems"]]


@pytest.mark.parametrize(
    ("engine", "body", "error", "status"),
    [
        (FakeEngine("1.41"), spec(TaskTemplate={"ContainerSpec": {"Image": "a", "OomScoreAdj": 5}}),
         "UnsupportedFeature", 422),
        (FakeEngine(swarm="worker"), spec(), "NotAManager", 503),
        (FakeEngine(swarm="locked"), spec(), "SwarmLocked", 503),
    ],
    ids=["old", "worker", "locked"],
)  # fmt: skip
async def test_an_engine_that_cannot_do_it_is_told(
    body: Any, error: str, status: int, browser: httpx.AsyncClient
) -> None:
    answer = await browser.put("/services/web", json=body)
    assert (status, error) == (answer.status_code, answer.json()["error"])


async def test_a_port_that_is_taken_is_a_conflict(browser: httpx.AsyncClient) -> None:
    published = spec(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]})
    await browser.put("/services/web", json=published)
    answer = await browser.put("/services/other", json=published)
    assert (409, "PortInUse") == (answer.status_code, answer.json()["error"])


# --- what it says about itself ---------------------------------------------------------------------------------------


async def test_its_page_needs_nothing_from_elsewhere(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/docs")).text
    needed = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page)
    assert len(needed) == 4
    for path in (first or second for first, second in needed):
        assert path.startswith("/")
        assert (await browser.get(path)).status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page).replace("</", "<")


def test_its_description_is_whole() -> None:
    described = backend.app.openapi()
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(described))) <= known
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) == 9
    for operation in operations:
        assert operation["description"]
        assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert len({operation["operationId"] for operation in operations}) == 9
    assert described["components"]["schemas"]["Progress"]["properties"]["wanted"]["description"]
