"""Events as engines send them, and what becomes of those that nobody could hear."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import anyio
import httpx
import pytest

from swarmkit import (
    ContainerSpec,
    Event,
    EventsLost,
    EventStream,
    Replicated,
    Resync,
    SwarmClient,
    TaskTemplate,
    UpdateConfig,
)
from tests.fake import FakeHarness, connect
from tests.harness.engine import Engine

pytestmark = pytest.mark.anyio

TEMPLATE = TaskTemplate(
    container_spec=ContainerSpec("busybox:1.36", command=["sleep", "1000"], stop_grace_period=timedelta(0))
)
QUICK = UpdateConfig(monitor=timedelta(milliseconds=100))
NONE = Replicated(replicas=0)
SERVICES = {"type": "service"}
WORKERS, PAIRS = 8, 17
"""More than the 256 events that an engine remembers, by services that come and go."""


class Line(Protocol):
    """A connection that can be cut while the engine goes on."""

    client: SwarmClient

    def cut(self) -> None:
        """Break what is connected, and let nobody in."""
        ...

    def mend(self) -> None:
        """Let clients in again."""
        ...


class FakeLine(httpx.AsyncBaseTransport):
    """To an embedded engine."""

    def __init__(self, engine: FakeHarness) -> None:
        self.clock = engine.fake.clock
        self.client = SwarmClient(transport=self, registry_auth=None)
        self._transport = engine.fake.transport
        self._streams: list[Any] = []
        self._up = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._up:
            raise httpx.ConnectError("cut")
        response = await self._transport.handle_async_request(request)
        if request.url.path.endswith("/events"):
            self._streams.append(response.stream)
        return response

    def cut(self) -> None:
        self._up = False
        for stream in self._streams:
            stream.cut()

    def mend(self) -> None:
        self._up = True


class Relay:
    """A socket that leads to an engine's, by a thread for each direction."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._path = str(folder / "relay.sock")
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._up = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(16)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.client = SwarmClient(f"unix://{self._path}", registry_auth=None)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for sock in self._open:
            sock.close()

    def cut(self) -> None:
        self._up = False
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._up = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._up:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._engine.socket))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._carry, args=(one, other), daemon=True)
                self._threads.append(thread)
                thread.start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
async def client(engine: Engine) -> AsyncGenerator[SwarmClient]:
    """A client whose connection nobody cuts."""
    async with connect(engine, registry_auth=None) as connected:
        yield connected
        for service in await connected.services.list():
            await connected.services.remove(service.id, wait=True)


@pytest.fixture
async def line(engine: Engine, short_path: Path) -> AsyncGenerator[Line]:
    """A connection of another client."""
    if isinstance(engine, FakeHarness):
        fake = FakeLine(engine)
        async with fake.client:
            yield fake
        return
    with Relay(engine, short_path) as relay:
        async with relay.client:
            yield relay


def said(event: Any) -> tuple[str | None, str | None]:
    assert isinstance(event, Event), event
    return event.action, event.attributes.get("name")


async def until(events: EventStream, last: Callable[[Event], bool]) -> list[Event]:
    """The events up to that one."""
    found: list[Event] = []
    with anyio.fail_after(30):
        async for event in events:
            assert isinstance(event, Event), event
            found.append(event)
            if last(event):
                break
    return found


async def come_and_go(client: SwarmClient, worker: int, count: int = PAIRS) -> None:
    for number in range(count):
        created = await client.services.create(TEMPLATE, name=f"gone-{worker}-{number}", mode=NONE)
        await client.services.remove(created.id)


async def crowd(client: SwarmClient) -> None:
    """More events than an engine remembers."""
    async with anyio.create_task_group() as group:
        for worker in range(WORKERS):
            group.start_soon(come_and_go, client, worker)


async def test_a_service_is_told_of_from_beginning_to_end(client: SwarmClient) -> None:
    async with client.system.events(filters={**SERVICES, "service": "web"}) as events:
        created = await client.services.create(TEMPLATE, name="web", update_config=QUICK)
        await client.services.wait("web", timeout=30)
        await come_and_go(client, 0, 1)
        newer = TaskTemplate(container_spec=ContainerSpec(image="busybox:1.37"))
        await client.services.update("web", task_template=newer, mode=Replicated(replicas=2))
        found = await until(events, lambda event: event.attributes.get("updatestate.new") == "completed")
        await client.services.remove("web")
        found += await until(events, lambda event: event.action == "remove")
    assert {("service", "swarm", created.id, "web")} == {
        (event.type, event.scope, event.actor and event.actor.id, event.attributes["name"]) for event in found
    }
    assert ["create", *["update"] * (len(found) - 2), "remove"] == [event.action for event in found]
    (update,) = (event.attributes for event in found if "image.new" in event.attributes)
    assert ["busybox:1.36", "busybox:1.37"] == [update[key] for key in ("image.old", "image.new")]
    assert ["1", "2"] == [update[key] for key in ("replicas.old", "replicas.new")]


async def test_the_past_is_told_between_two_moments(client: SwarmClient) -> None:
    await come_and_go(client, 1, 1)
    await client.services.create(TEMPLATE, name="web", mode=NONE)
    now = (await client.system.info()).system_time
    made = {**SERVICES, "event": "create"}
    async with client.system.events(filters=made, since=1, until=now) as events:
        with anyio.fail_after(10):
            past = [event async for event in events if isinstance(event, Event)]
    created = past[-1]
    assert ("create", "web") == said(created)
    await client.services.remove("web")
    async with client.system.events(filters=made, since=created.at) as events:
        assert ("create", "web") == said(await anext(events))
        await come_and_go(client, 2, 1)
        assert ("create", "gone-2-0") == said(await anext(events))


async def test_nothing_is_missing_or_told_twice_after_a_cut(client: SwarmClient, line: Line) -> None:
    await come_and_go(client, 3, 1)
    async with line.client.system.events(filters=SERVICES) as events:
        with anyio.fail_after(30):
            for start in (0, 2, 4):
                await come_and_go(client, 3 + start, 1)
                pair = [("create", f"gone-{3 + start}-0"), ("remove", f"gone-{3 + start}-0")]
                assert pair == [said(await anext(events)) for _ in pair]
                line.cut()
                await come_and_go(client, 4 + start, 2)
                line.mend()
                resync = await anext(events)
                assert isinstance(resync, Resync)
                names = [f"gone-{4 + start}-{number}" for number in range(2)]
                missed = [(action, name) for name in names for action in ("create", "remove")]
                assert missed == [said(await anext(events)) for _ in missed]


async def test_a_cut_before_the_first_event_misses_nothing(client: SwarmClient, line: Line) -> None:
    await come_and_go(client, 0, 1)
    # What happens in the second in which a stream begins may be told after such a cut.
    await anyio.sleep(1.1)
    async with line.client.system.events(filters=SERVICES) as events:
        await anyio.sleep(0.2)
        line.cut()
        await come_and_go(client, 1, 1)
        line.mend()
        with anyio.fail_after(30):
            assert isinstance(await anext(events), Resync)
            assert ("create", "gone-1-0") == said(await anext(events))


async def test_a_gap_that_the_engine_cannot_fill_is_said(client: SwarmClient, line: Line) -> None:
    async with (
        line.client.system.events(filters=SERVICES) as events,
        client.system.events(filters=SERVICES) as whole,
    ):
        await come_and_go(client, 100, 1)
        with anyio.fail_after(60):
            assert [("create", "gone-100-0"), ("remove", "gone-100-0")] == [said(await anext(events)) for _ in "12"]
            line.cut()
            await crowd(client)
            line.mend()
            assert isinstance(await anext(events), Resync)
            lost = await anext(events)
            assert isinstance(lost, EventsLost)
            assert lost.count is None
            await come_and_go(client, 101, 1)
            remembered = await until(events, lambda event: said(event) == ("remove", "gone-101-0"))
            assert len(remembered) <= 256 + 2
            everything = await until(whole, lambda event: said(event) == ("remove", "gone-101-0"))
    # Who could hear it all did, though nobody read it meanwhile.
    assert 2 * (1 + WORKERS * PAIRS + 1) == len(everything) == len({said(event) for event in everything})
    assert remembered == everything[-len(remembered) :]
    async with client.system.events(since=everything[0].at) as events:
        lost = await anext(events)
        assert isinstance(lost, EventsLost)


async def test_what_is_read_too_slowly_is_counted(client: SwarmClient) -> None:
    of_services = partial(client.system.events, filters=SERVICES)
    async with of_services(buffer=10) as slow, of_services() as all_:
        for worker in range(3):
            await come_and_go(client, worker, 5)
        everything = await until(all_, lambda event: said(event) == ("remove", "gone-2-4"))
        with anyio.fail_after(20):
            kept = [await anext(slow) for _ in range(10)]
            lost = await anext(slow)
            assert isinstance(lost, EventsLost)
            assert lost.count is not None
            later = [await anext(slow) for _ in range(20 - lost.count)]
    assert everything[:10] == kept
    assert everything[10 + lost.count :] == later
    assert (everything[9].at, everything[9 + lost.count].at) == (lost.after, lost.before)


async def test_the_engine_says_what_it_is(engine: Engine, client: SwarmClient) -> None:
    ping = await client.system.ping()
    assert engine.api_version == ping.api_version == (await client.system.version()).api_version
    assert ping.is_manager in (True, None)
    info = await client.system.info()
    assert info.swarm is not None
    assert info.swarm.node_id in {node.id for node in await client.nodes.list()}
