"""Engines that end, freeze, come back or are replaced under a client at work."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    ContainerSpec,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    Event,
    EventsLost,
    LogStreamError,
    Mount,
    OutcomeUnknown,
    Replicated,
    RestartPolicy,
    Resync,
    ServiceSpec,
    StreamError,
    StreamTruncated,
    SwarmClient,
    TaskTemplate,
    UnsupportedApiVersion,
    UnsupportedFeature,
    UpdateConfig,
    VolumeOptions,
)
from tests.harness.engine import Engine
from tests.harness.packages import RELEASES, HarnessError
from tests.harness.ssh import SshMachine, why_no_ssh
from tests.integration.conftest import require_engine, unavailable

pytestmark = pytest.mark.anyio

EACH_RELEASE = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES]
QUICK = UpdateConfig(parallelism=0, monitor=timedelta(milliseconds=100))
SPEAKING = TaskTemplate(
    container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", "while :; do echo hello; sleep 0.1; done"]),
    restart_policy=RestartPolicy(delay=timedelta(0)),
)
SILENT = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
NONE = Replicated(replicas=0)
READERS = 3


def on(release: str) -> pytest.MarkDecorator:
    """Run the test on one release alone: what it shows is no matter of the release."""
    group = pytest.mark.xdist_group(release)
    return pytest.mark.parametrize("own", [pytest.param(release, marks=group)], indirect=True)


@pytest.fixture(scope="module", params=EACH_RELEASE)
def own(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that only these tests have, so that it may end."""
    release: str = request.param
    require_engine(release)
    with Engine(release, tcp=["127.0.0.1"]) as running:
        yield running


@pytest.fixture
def mortal(own: Engine) -> Iterator[Engine]:
    """That engine without services; afterwards it runs again, whatever a failed test has left."""
    yield own
    try:
        assert own.pid
    except HarnessError:
        own.start_daemon()
    if services := own.docker("service", "ls", "--quiet").split():
        own.docker("service", "rm", *services)


def names(engine: Engine) -> set[str]:
    return set(engine.docker("service", "ls", "--format", "{{.Name}}").split())


async def in_thread(step: Callable[..., object], *args: object) -> None:
    """Wait for the harness, which knows no event loop, while the client goes on."""
    await anyio.to_thread.run_sync(lambda: step(*args))


class Load:
    """Tasks that use one client all the time, and what became of their calls."""

    def __init__(self, client: SwarmClient) -> None:
        self._client = client
        self.acknowledged: set[str] = set()
        self.unknown: dict[str, OutcomeUnknown] = {}
        self.reads = 0
        self.lost: list[EngineUnreachable] = []
        self.refused: list[EngineError] = []
        self.cut_off: StreamError | None = None
        self._over = False

    async def create(self, worker: int) -> None:
        count = 0
        while not self._over:
            name = f"load-{worker}-{count}"
            count += 1
            try:
                await self._client.services.create(SILENT, name=name, mode=NONE)
            except OutcomeUnknown as error:
                self.unknown[name] = error
            except EngineError as error:
                self.refused.append(error)
            else:
                self.acknowledged.add(name)
            await anyio.sleep(0.03)

    async def read(self) -> None:
        while not self._over:
            try:
                assert "speaking" in {service.name for service in await self._client.services.list()}
                assert "speaking" == (await self._client.services.inspect("speaking")).name
            except EngineUnreachable as error:
                self.lost.append(error)
            except EngineError as error:
                self.refused.append(error)
            else:
                self.reads += 1
            await anyio.sleep(0.01)

    async def follow(self) -> None:
        async with self._client.services.logs("speaking", follow=True) as lines:
            try:
                async for line in lines:
                    assert "hello" == line.message
            except StreamError as error:
                self.cut_off = error
                return
        raise AssertionError("the stream ended as if there were no more to come")

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            await anyio.sleep(0.02)

    def end(self) -> None:
        self._over = True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
async def test_a_restart_under_load_loses_nothing_that_was_acknowledged(mortal: Engine, how: signal.Signals) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client:
        await client.services.create(SPEAKING, name="speaking", update_config=QUICK)
        await client.services.wait("speaking", timeout=30)
        load = Load(client)
        with anyio.fail_after(100):
            async with anyio.create_task_group() as tasks:
                for worker in range(8):
                    tasks.start_soon(load.create, worker)
                for _ in range(READERS):
                    tasks.start_soon(load.read)
                tasks.start_soon(load.follow)
                await load.until(lambda: len(load.acknowledged) > 50 and load.reads > 5)
                await in_thread(mortal.end_daemon, how)
                before, reads = len(load.acknowledged), load.reads
                await anyio.sleep(0.3)
                await in_thread(mortal.start_daemon)
                await load.until(lambda: len(load.acknowledged) > before + 20 and load.reads > reads + 5)
                load.end()
        # An engine that stops in good order says so, in streams and (20.10) to whoever still asks.
        said = (LogStreamError,) if how == signal.SIGTERM else ()
        assert type(load.cut_off) in (StreamTruncated, *said)
        assert {error.status for error in load.refused} <= ({500, 503} if how == signal.SIGTERM else set[int]())
        # Only a question that the engine had in hand when it ended is lost, never one that finds it gone.
        assert len(load.lost) <= READERS
        assert {"lost"} >= {error.reason for error in load.lost}
        assert load.acknowledged - names(mortal) == set()
        for error in load.unknown.values():
            assert str(error).startswith("POST /services/create was sent, but its answer was lost")
        await client.services.wait("speaking", timeout=30)


# Newer releases take 7 s to stop in good order, and end the stream as this one does.
@pytest.mark.parametrize(
    ("own", "how"),
    [
        pytest.param(release, how, marks=pytest.mark.xdist_group(release), id=f"{release}-{how.name}")
        for release, how in zip(RELEASES, (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL), strict=True)
    ],
    indirect=["own"],
)
async def test_events_go_on_after_a_restart_and_say_that_the_engine_has_forgotten(
    mortal: Engine, how: signal.Signals
) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client:
        with anyio.fail_after(60):
            async with client.system.events(filters={"type": "service"}) as events:
                await client.services.create(SILENT, name="before", mode=NONE)
                before = await anext(events)
                assert isinstance(before, Event)
                await in_thread(mortal.end_daemon, how)
                await in_thread(mortal.start_daemon)
                resync, lost = await anext(events), await anext(events)
                assert isinstance(resync, Resync)
                assert isinstance(lost, EventsLost)
                assert before.at == resync.after == lost.after
                await client.services.create(SILENT, name="after", mode=NONE)
                after = await anext(events)
                assert isinstance(after, Event)
                assert ("create", "after") == (after.action, after.attributes["name"])


# --- an engine that dies with a request in its hands -----------------------------------------------------------------


async def test_a_change_that_dies_with_the_engine_has_an_unknown_outcome(mortal: Engine) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client:
        services = client.services
        await services.create(SILENT, name="kept", mode=NONE)
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "create": lambda: services.create(SILENT, name="created", mode=NONE),
            "remove": lambda: services.remove("kept"),
            "list": services.list,
        }
        outcomes: dict[str, Any] = {}

        async def run(name: str) -> None:
            try:
                outcomes[name] = await calls[name]()
            except (OutcomeUnknown, EngineUnreachable) as error:
                outcomes[name] = error

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                with mortal.frozen():
                    for name in calls:
                        tasks.start_soon(run, name)
                    await anyio.sleep(0.3)
                    await in_thread(mortal.end_daemon, signal.SIGKILL)
                await in_thread(mortal.start_daemon)
        # A question is asked once more, but a dying engine may still take that one and reset it as well.
        question = outcomes["list"]
        if isinstance(question, EngineUnreachable):
            assert "lost" == question.reason
        else:
            assert ["kept"] == [service.name for service in question]
        for name, method, path in (("create", "POST", "/services/create"), ("remove", "DELETE", "/services/kept")):
            error = outcomes[name]
            assert isinstance(error, OutcomeUnknown)
            assert (method, path) == (error.method, error.path)
            assert f"{method} {path} was sent" in str(error)
        assert {"kept"} == names(mortal)


async def test_an_update_that_dies_with_the_engine_is_settled(mortal: Engine) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client, AsyncExitStack() as stack:
        await client.services.create(SILENT, name="kept", mode=NONE)
        changes = 0

        def change(spec: ServiceSpec) -> None:
            """Freeze the engine between the reading and the writing."""
            nonlocal changes
            changes += 1
            spec.labels = {"tier": "front"}
            stack.enter_context(mortal.frozen())

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.services.edit, "kept", change)
                while not changes:
                    await anyio.sleep(0.02)
                await anyio.sleep(0.3)
                await in_thread(mortal.end_daemon, signal.SIGKILL)
                await in_thread(mortal.start_daemon)
        assert changes == 1
        assert {"tier": "front"} == (await client.services.inspect("kept")).spec.labels


@on("26.1")
async def test_no_call_to_a_frozen_engine_outlasts_its_deadline(mortal: Engine) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client:
        await client.services.create(SILENT, name="kept", mode=NONE)
    async with SwarmClient(mortal.host, registry_auth=None, timeout=0.5) as client:
        services = client.services
        await client.api_version()
        calls: list[tuple[Callable[[], Awaitable[Any]], type[Exception]]] = [
            (services.list, EngineTimeout),
            (lambda: services.inspect("kept"), EngineTimeout),
            (lambda: services.update("kept", labels={}), EngineTimeout),
            (lambda: services.logs("kept").__aenter__(), EngineTimeout),
            (lambda: services.create(SILENT, name="created", mode=NONE), OutcomeUnknown),
            (lambda: services.remove("kept"), OutcomeUnknown),
        ]
        with mortal.frozen():
            for call, expected in calls:
                with anyio.fail_after(20), pytest.raises(expected, match="no answer within"):
                    await call()
        # What the kernel had taken is done when it wakes up: neither was undone by the end of waiting.
        with anyio.fail_after(20):
            while names(mortal) != {"created"}:
                await anyio.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it takes a while; with trio, a played engine has to do
async def test_a_log_goes_on_after_a_restart_without_a_line_twice_or_missing(
    mortal: Engine, how: signal.Signals
) -> None:
    counts = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"
    container = ContainerSpec("busybox:1.36", command=["sh", "-c", counts], stop_signal="KILL")
    template = TaskTemplate(container_spec=container, restart_policy=RestartPolicy(delay=timedelta(0)))
    of_each = defaultdict[str, list[str]](list)

    async def follow() -> None:
        async with client.services.logs("counts", follow=True, resume=True) as lines:
            async for line in lines:
                of_each[line.task_id].append(line.message)

    async def until_heard(tasks: int) -> None:
        while len([said for said in of_each.values() if len(said) > 20]) < tasks:
            await anyio.sleep(0.02)

    async with SwarmClient(mortal.host, registry_auth=None) as client:
        await client.services.create(template, name="counts", mode=Replicated(replicas=2))
        with anyio.fail_after(100):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                await until_heard(2)
                await in_thread(mortal.end_daemon, how)
                await in_thread(mortal.start_daemon)
                await until_heard(4)
                tasks.cancel_scope.cancel()
    for said in of_each.values():
        assert [str(count) for count in range(len(said))] == said


@on("20.10")
async def test_what_was_never_sent_waits_for_the_engine_to_come_back(mortal: Engine) -> None:
    async with SwarmClient(mortal.host, registry_auth=None) as client:

        async def create(name: str) -> None:
            await client.services.create(SILENT, name=name, mode=NONE)

        async def update(after: str) -> None:
            await client.services.update("first", labels={"after": after})

        await create("first")
        for how in (signal.SIGTERM, signal.SIGKILL):
            await in_thread(mortal.end_daemon, how)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.services.list)
                    tasks.start_soon(create, how.name)
                    tasks.start_soon(update, how.name)
                    await in_thread(mortal.start_daemon)
            assert {"after": how.name} == (await client.services.inspect("first")).spec.labels
        assert names(mortal) == {"first", "SIGTERM", "SIGKILL"}


@on("20.10")
async def test_after_a_restart_every_kind_of_connection_serves_changes_again(
    mortal: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_no_ssh():
        unavailable(reason)
    with SshMachine(mortal) as machine:
        monkeypatch.setenv("PATH", machine.path)
        hosts = (mortal.host, mortal.tcp_host(), "ssh://engine")
        clients = [SwarmClient(host, registry_auth=None) for host in hosts]
        try:
            for client in clients:
                await client.services.list()
            await in_thread(mortal.end_daemon, signal.SIGKILL)
            await in_thread(mortal.start_daemon)
            with anyio.fail_after(60):
                for name, client in zip(("unix", "tcp", "ssh"), clients, strict=True):
                    await client.services.create(SILENT, name=name, mode=NONE)
                    assert [name] == [service.name for service in await client.services.list(name=name)]
        finally:
            for client in clients:
                await client.aclose()
    assert {"unix", "tcp", "ssh"} == names(mortal)


# --- an engine that is replaced by another ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def older() -> Iterator[Engine]:
    """An engine of the oldest release."""
    require_engine("20.10")
    with Engine("20.10") as running:
        yield running


@on("26.1")
async def test_an_engine_that_is_replaced_is_asked_anew_what_it_speaks(
    mortal: Engine, older: Engine, short_path: Path
) -> None:
    link = short_path / "engine.sock"

    def lead_to(engine: Engine) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(engine.socket)

    subpath = Mount(type="volume", source="data", target="/d", volume_options=VolumeOptions(subpath="x"))
    newer = TaskTemplate(container_spec=ContainerSpec("busybox:1.36", mounts=[subpath]))
    host = f"unix://{link}"
    lead_to(older)
    async with (
        SwarmClient(host, registry_auth=None) as client,
        SwarmClient(host, registry_auth=None, api_version=mortal.api_version) as pinned,
        SwarmClient(host, registry_auth=None, api_version=older.api_version) as modest,
    ):
        assert older.api_version == str(await client.api_version())
        with pytest.raises(UnsupportedFeature, match="Subpath"):
            await client.services.create(newer, name="newer", mode=NONE)
        for call in (pinned.services.list, lambda: pinned.services.create(SILENT, name="pinned", mode=NONE)):
            with pytest.raises(UnsupportedApiVersion, match="too new"):
                await call()
        await modest.services.create(SILENT, name="modest", mode=NONE)
        assert {"modest"} == names(older)

        lead_to(mortal)
        await in_thread(older.end_daemon, signal.SIGKILL)
        assert [] == await client.services.list()
        assert mortal.api_version == str(await client.api_version())
        await client.services.create(newer, name="newer", mode=NONE)
        await pinned.services.create(SILENT, name="pinned", mode=NONE)
        await modest.services.create(SILENT, name="modest", mode=NONE)
        assert {"newer", "pinned", "modest"} == names(mortal)

        await in_thread(older.start_daemon)
        lead_to(older)
        # A change is what finds the older engine: refused for its version, it is sent once more at the right one.
        await client.services.create(SILENT, name="found", mode=NONE)
        assert older.api_version == str(await client.api_version())
        with pytest.raises(UnsupportedFeature, match="Subpath"):
            await client.services.create(newer, name="newer", mode=NONE)
        with pytest.raises(UnsupportedApiVersion, match="too new"):
            await pinned.services.create(SILENT, name="pinned", mode=NONE)
        await modest.services.remove("modest")
        assert {"found"} == names(older)
        await client.services.remove("found")
