"""The event stream: every event once, in whatever pieces it comes and however often the connection is cut."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import socket
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import pydantic
import pytest

from swarmkit import (
    ClientClosed,
    ContainerSpec,
    EngineError,
    EngineUnreachable,
    Event,
    EventFilters,
    EventsLost,
    EventStream,
    ProtocolError,
    Replicated,
    Resync,
    StreamTruncated,
    SwarmClient,
    TaskTemplate,
    UnsupportedFeature,
)
from swarmkit.testing import FakeEngine

from .stub import Received, Say, StubEngine, answer, hang, hang_up, refusal
from .test_cancellation import WAYS, Call, all_closed, counted, quiet

__all__ = ["quiet"]
pytestmark = pytest.mark.anyio

NOW: Final = 1_795_500_000
TEMPLATE: Final = TaskTemplate(container_spec=ContainerSpec("nginx:1.27"))
NONE: Final = Replicated(replicas=0)


def line(number: int, *, name: str = "web") -> bytes:
    """One event as an engine writes it, one second after the other."""
    event = {
        "Type": "service",
        "Action": "update",
        "Actor": {"ID": f"s{number}", "Attributes": {"name": name}},
        "scope": "swarm",
        "time": NOW + number,
        "timeNano": (NOW + number) * 10**9 + 7,
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(now: float = NOW, *, date: str | None = None) -> bytes:
    shown = formatdate(now, usegmt=True) if date is None else date
    lines = ["HTTP/1.1 200 OK", "Api-Version: 1.51", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    return "\r\n".join([*lines, f"Date: {shown}", "", ""]).encode()


END: Final = b"0\r\n\r\n"


class Story:
    """An engine that has `memory`, and says on each of its streams what the test tells it to.

    Each of `says` is for one stream: bytes of events that come, then the end that comes of it.
    """

    def __init__(self, *says: tuple[bytes, Callable[[socket.socket], None] | bytes]) -> None:
        self.says = iter(says)
        self.memory: list[int] = []
        self.now: float = NOW
        self.date: str | None = None
        self.opened: list[dict[str, str]] = []
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: Received) -> Say:
        if request.path == "/v1.51/info":
            return answer(
                {"SystemTime": datetime.fromtimestamp(self.now, UTC).isoformat()} if self.date is None else {}
            )
        assert request.path == "/v1.51/events"
        query = {key: value for key, (value,) in parse_qs(request.query).items()}
        if query.get("since") == "1" and "until" in query and "filters" not in query:
            self.asked.append(query)
            until = float(query["until"])
            known = b"".join(line(number) for number in self.memory if NOW + number <= until)
            return head(self.now, date=self.date) + (chunk(known) if known else b"") + END
        self.opened.append(query)
        data, end = next(self.says)

        def say(sock: socket.socket) -> None:
            sock.sendall(head(self.now, date=self.date) + (chunk(data) if data else b""))
            if isinstance(end, bytes):
                sock.sendall(end)
            else:
                end(sock)

        return say


SERVICES: Final = EventFilters(type=["service"])


@contextlib.asynccontextmanager
async def told(
    script: Callable[[Received], Say], *, filters: Any = SERVICES, **options: Any
) -> AsyncGenerator[EventStream]:
    """The stream of an engine that follows a script."""
    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            with anyio.fail_after(20):
                async with client.system.events(filters=filters, **options) as events:
                    yield events
        await all_closed(engine)


async def read(events: EventStream, count: int) -> list[Any]:
    """The next items, events by their numbers."""
    return [number(await anext(events)) for _ in range(count)]


def number(item: Event | Resync | EventsLost) -> int | Resync | EventsLost:
    if not isinstance(item, Event):
        return item
    assert item.actor is not None
    return int((item.actor.id or "").removeprefix("s"))


def at(number: int) -> datetime:
    return datetime.fromtimestamp(NOW + number, UTC)


# --- what comes ------------------------------------------------------------------------------------------------------


async def test_an_event_is_typed() -> None:
    async with told(Story((line(3), hang))) as events:
        event = await anext(events)
    assert isinstance(event, Event)
    assert ("service", "update", "swarm") == (event.type, event.action, event.scope)
    assert {"name": "web"} == event.attributes
    assert (NOW + 3, (NOW + 3) * 10**9 + 7, at(3)) == (event.time, event.time_nano, event.at)
    assert ({}, None) == (Event(type="service").attributes, Event(type="service").at)


async def test_events_come_whole_in_whatever_pieces_the_bytes_come() -> None:
    data = line(1, name="wéb") + line(2, name="\N{SNOWMAN}") + b"\n" + line(3)

    def cut_at(place: int) -> Callable[[socket.socket], None]:
        def say(sock: socket.socket) -> None:
            sock.sendall(chunk(data[:place]))
            sock.sendall(chunk(data[place:]) + END)

        return say

    for place in range(1, len(data)):
        async with told(Story((b"", cut_at(place))), until=datetime.fromtimestamp(NOW, UTC)) as events:
            assert [1, 2, 3] == [number(event) async for event in events], place


@pytest.mark.parametrize(
    "odd",
    [b"nonsense", b"[]", b'{"Type": 1}', b'{"Type":"\xc3', b'{"Type":"service"} {"Type":"node"}', b"\xff"],
    ids=["text", "list", "type", "half a character", "two", "bytes"],
)
async def test_a_line_that_is_no_event_is_an_error_behind_the_events_before_it(odd: bytes) -> None:
    async with told(Story((line(1) + odd + b"\n" + line(2), hang))) as events:
        assert [1] == await read(events, 1)
        for _ in range(2):
            with pytest.raises(ProtocolError, match=r"something that is no event \((?!.*nonsense)"):
                await anext(events)


async def test_a_line_without_end_is_an_error() -> None:
    def flood(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(20):
                sock.sendall(chunk(b"x" * 1024 * 1024))

    async with told(Story((line(1), flood))) as events:
        assert [1] == await read(events, 1)
        with pytest.raises(ProtocolError, match="too long"):
            await anext(events)


async def test_an_engine_that_says_an_event_twice_is_heard_once() -> None:
    """Old engines do so where it happens just as the stream is opened."""
    async with told(Story((line(1) + line(1) + line(2) + line(1), hang)), since=NOW) as events:
        assert [1, 2] == await read(events, 2)


async def test_what_is_asked_for_is_what_goes_out() -> None:
    story = Story((b"", END))
    async with told(story, filters={"type": ["service"], "label": "a=b"}, since=at(-5), until=at(0)) as events:
        assert [] == [event async for event in events]
    assert {"since": str(NOW - 5), "until": str(NOW), "filters": '{"type":["service"],"label":["a=b"]}'} == {
        **story.opened[0]
    }


async def test_a_moment_may_be_told_from_now() -> None:
    story = Story((b"", END))
    before = datetime.now(UTC).timestamp()
    story.now = before + 100
    async with told(story, since=timedelta(minutes=1), until=timedelta(minutes=1)) as events:
        assert [] == [event async for event in events]
    (query,) = story.opened
    assert 0 <= float(query["since"]) - (before - 60) < 20
    assert 0 <= float(query["until"]) - (before + 60) < 20


@pytest.mark.parametrize("wrong", [{"buffer": 0}, {"reconnect": -1}, {"reconnect": float("nan")}])
async def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="buffer must be"):
        FakeEngine().client().system.events(**wrong)


async def test_a_filter_that_engines_ignore_is_refused() -> None:
    system = FakeEngine().client().system
    with pytest.raises(pydantic.ValidationError, match="services"):
        system.events(filters={"services": "web"})
    with pytest.raises(ValueError, match="time zone"):
        system.events(since=datetime(2026, 1, 1))
    old = FakeEngine().client(api_version="1.29").system
    with pytest.raises(UnsupportedFeature, match="scope"):
        async with old.events(filters={"scope": "swarm"}):
            pass


async def test_what_the_engine_refuses_comes_out_on_entering() -> None:
    with StubEngine(lambda _: refusal(400, "since after until")) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            with pytest.raises(EngineError, match="since after until"):
                async with client.system.events():
                    pass


# --- cuts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [hang_up, END], ids=["cut", "ended by the engine"])
async def test_after_a_cut_the_stream_goes_on_and_tells_nothing_twice(end: Any) -> None:
    story = Story((line(1) + line(2), end), (line(-1) + line(0) + line(1) + line(2) + line(3), hang))
    story.memory = [-1, 0, 1, 2, 3]
    async with told(story) as events:
        first = await read(events, 2)
        resync, *others = await read(events, 2)
    assert ([1, 2], [3]) == (first, others)
    assert isinstance(resync, Resync)
    assert (at(2), at(0)) == (resync.after, resync.before)
    assert "GET /events: the " in resync.reason
    assert [f"{NOW}.000000000", "1"] == [query.get("since") for query in story.opened]
    assert story.opened[0]["filters"] == story.opened[1]["filters"]


async def test_a_cut_inside_an_event_loses_nothing_of_it() -> None:
    for place in range(1, len(line(2)), 7):
        story = Story((line(1) + line(2)[:place], END), (line(1) + line(2), hang))
        story.memory = [1, 2]
        async with told(story) as events:
            before, resync, after = await read(events, 3)
        assert (1, 2) == (before, after)
        assert isinstance(resync, Resync)


async def test_a_cut_before_the_first_event_goes_on_from_what_came_before_the_stream() -> None:
    story = Story((b"", hang_up), (line(-2) + line(-1) + line(1), hang))
    story.memory = [-2, -1]
    async with told(story) as events:
        resync, event = await read(events, 2)
    assert isinstance(resync, Resync)
    assert (1, at(-1)) == (event, resync.after)


async def test_many_cuts_are_many_resyncs() -> None:
    count = 8
    story = Story(
        *((b"".join(map(line, range(1, number + 1))), hang_up) for number in range(1, count)),
        (b"".join(map(line, range(1, count + 1))), hang),
    )
    story.memory = [*range(1, count + 1)]
    async with told(story) as events:
        found = await read(events, 2 * count - 1)
    assert [*range(1, count + 1)] == [one for one in found if isinstance(one, int)]
    assert count - 1 == sum(isinstance(one, Resync) for one in found)


@pytest.mark.parametrize(
    ("memory", "again"),
    [
        pytest.param([3, 4], line(3) + line(4), id="newer"),
        pytest.param([], line(4), id="empty, as after a restart"),
    ],
)
async def test_what_the_engine_has_forgotten_is_said(memory: list[int], again: bytes) -> None:
    def forget(sock: socket.socket) -> None:
        story.memory, story.now = memory, NOW + 9

    story = Story((line(1), forget), (again, hang))
    story.memory = [1]
    async with told(story) as events:
        event, resync, lost, *others = await read(events, 3 + again.count(b"\n"))
    assert (1, [3, 4][-again.count(b"\n") :]) == (event, others)
    assert isinstance(resync, Resync)
    assert EventsLost(count=None, after=at(1), before=at(9)) == lost


async def test_where_nothing_is_known_of_the_time_before_nobody_can_tell_what_is_missing() -> None:
    async with told(Story((b"", hang_up), (b"", hang))) as events:
        resync, lost = await read(events, 2)
    assert isinstance(resync, Resync)
    assert EventsLost(count=None, after=None, before=at(0)) == lost


@pytest.mark.parametrize("date", ["", "yesterday"])
async def test_an_engine_whose_clock_is_hidden_goes_on_all_the_same(date: str) -> None:
    story = Story((line(1), hang_up), (line(1) + line(2), END))
    story.memory, story.date = [1, 2], date
    async with told(story, until=at(50), reconnect=5) as events:
        assert [1] == await read(events, 1)
        resync, *others = [number(item) async for item in events]
    assert Resync(reason=getattr(resync, "reason", ""), after=at(1), before=None) == resync
    assert [2] == others


async def test_a_stream_from_a_moment_that_the_engine_remembers_no_more_begins_with_that() -> None:
    story = Story((b"".join(map(line, range(1, 257))), hang))
    story.memory, story.now = [*range(1, 257)], NOW + 300
    async with told(story, since=at(0)) as events:
        lost, *others = await read(events, 257)
    assert EventsLost(count=None, after=at(0), before=at(1)) == lost
    assert [*range(1, 257)] == others


async def test_a_stream_from_a_remembered_moment_begins_with_what_came_since_and_goes_on_after_a_cut() -> None:
    story = Story((line(2), hang_up), (line(1) + line(2) + line(3), hang))
    story.memory, story.now = [1, 2, 3], NOW + 10
    async with told(story, since=at(2)) as events:
        event, resync, *others = await read(events, 3)
    assert isinstance(resync, Resync)
    assert (2, [3]) == (event, others)


async def test_events_that_are_in_no_order_of_time_all_come() -> None:
    """Those of a swarm bear the time of the leader, which has a clock of its own."""
    story = Story((line(5) + line(2), hang_up), (line(5) + line(2) + line(1) + line(4), hang))
    story.memory = [5, 2, 1, 4]
    async with told(story) as events:
        *before, resync, third, fourth = await read(events, 5)
    assert ([5, 2], 1, 4) == (before, third, fourth)
    assert isinstance(resync, Resync)


async def test_a_stream_with_an_end_ends_then_and_not_when_the_engine_stops() -> None:
    story = Story((line(1), END), (line(1) + line(2), END))
    story.memory = [1, 2]

    def script(request: Received) -> Say:
        if len(story.opened) == 1 and story.asked:
            story.now = NOW + 60
        return story(request)

    async with told(script, until=at(30)) as events:
        event, resync, *others = [number(item) async for item in events]
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert isinstance(resync, Resync)
    assert (1, [2]) == (event, others)


async def test_no_time_for_another_connection_means_the_cut_itself() -> None:
    async with told(Story((line(1), hang_up)), reconnect=0) as events:
        assert [1] == await read(events, 1)
        with pytest.raises(StreamTruncated, match="cut off"):
            await anext(events)


async def test_an_engine_that_stays_away_is_an_error_after_a_while() -> None:
    engine = FakeEngine()
    async with engine.client(timeout=5) as client:
        for patience in (0.5, 30):
            began = engine.clock.now()
            async with client.system.events(reconnect=patience) as events:
                engine.refuse_connections()
                engine.cut_streams()
                with pytest.raises(EngineUnreachable):
                    await anext(events)
                assert patience <= engine.clock.now() - began < patience + 20
                engine.accept_connections()


async def test_an_engine_that_comes_back_late_is_waited_for() -> None:
    engine = FakeEngine()
    async with engine.client(timeout=5) as client:
        await client.services.create(TEMPLATE, name="before", mode=NONE)
        async with client.system.events(filters=SERVICES, reconnect=None) as events:
            await client.services.create(TEMPLATE, name="web", mode=NONE)
            assert "web" == (await name_of(events))
            engine.refuse_connections()
            engine.cut_streams()
            await engine.clock.sleep(1000)
            engine.accept_connections()
            await client.services.create(TEMPLATE, name="later", mode=NONE)
            assert isinstance(await anext(events), Resync)
            assert "later" == (await name_of(events))


async def name_of(events: EventStream) -> str | None:
    event = await anext(events)
    assert isinstance(event, Event)
    return event.attributes.get("name")


@pytest.mark.parametrize("status", [500, 503])
async def test_an_engine_that_is_not_ready_is_asked_again(status: int) -> None:
    story = Story((line(1), hang_up), (line(1) + line(2), hang))
    story.memory = [1, 2]
    refusals: list[Say] = [hang_up, refusal(status, "starting")]

    def script(request: Received) -> Say:
        return refusals.pop() if refusals and story.opened and story.asked else story(request)

    async with told(script) as events:
        event, resync, *others = await read(events, 3)
    assert isinstance(resync, Resync)
    assert (1, [2]) == (event, others)


async def test_an_engine_that_refuses_to_go_on_is_an_error_at_once() -> None:
    story = Story((line(1), hang_up))

    def script(request: Received) -> Say:
        return refusal(403, "no more") if story.opened and story.asked else story(request)

    async with told(script) as events:
        assert [1] == await read(events, 1)
        with pytest.raises(EngineError, match="no more"):
            await anext(events)


async def test_a_closed_client_ends_its_streams() -> None:
    client = FakeEngine().client()
    async with client.system.events() as events:
        await client.aclose()
        with pytest.raises(ClientClosed):
            await anext(events)


# --- slow readers ----------------------------------------------------------------------------------------------------


async def test_the_engine_is_drained_while_nobody_reads() -> None:
    """The stub has no memory: what it could not get rid of would hold it up."""
    drained = anyio.Event()
    token: Any = anyio.lowlevel.current_token()
    size = 20_000

    def flood(sock: socket.socket) -> None:
        for number in range(1, size + 1):
            sock.sendall(chunk(line(number)))
        anyio.from_thread.run_sync(drained.set, token=token)
        hang(sock)

    async with told(Story((b"", flood)), buffer=size) as events:
        await drained.wait()
        assert [*range(1, size + 1)] == await read(events, size)


async def test_what_does_not_fit_is_counted_where_it_is_missing() -> None:
    engine = FakeEngine()
    async with engine.client() as client:
        async with client.system.events(filters=SERVICES, buffer=2) as events:
            for name in "abcd":
                await client.services.create(TEMPLATE, name=name, mode=NONE)
            await engine.clock.sleep(1)
            first, second = await anext(events), await anext(events)
            assert isinstance(first, Event)
            assert isinstance(second, Event)
            assert ["a", "b"] == [first.attributes["name"], second.attributes["name"]]
            lost = await anext(events)
            assert isinstance(lost, EventsLost)
            assert (2, second.at) == (lost.count, lost.after)
            await client.services.create(TEMPLATE, name="e", mode=NONE)
            last = await anext(events)
            assert isinstance(last, Event)
            assert "e" == last.attributes["name"]
            assert lost.before is not None


async def test_a_cut_that_does_not_fit_is_a_gap() -> None:
    engine = FakeEngine()
    async with engine.client() as client:
        async with client.system.events(filters=SERVICES, buffer=1) as events:
            await client.services.create(TEMPLATE, name="a", mode=NONE)
            await engine.clock.sleep(1)
            engine.cut_streams()
            await engine.clock.sleep(10)
            await client.services.create(TEMPLATE, name="b", mode=NONE)
            await engine.clock.sleep(1)
            assert "a" == await name_of(events)
            lost = await anext(events)
            assert isinstance(lost, EventsLost)
            assert lost.count is None
            await client.services.create(TEMPLATE, name="c", mode=NONE)
            assert "c" == await name_of(events)


async def test_several_tasks_may_share_a_stream() -> None:
    found: list[Any] = []
    proceed = [False]

    def say(sock: socket.socket) -> None:
        while not proceed[0]:
            pass
        sock.sendall(chunk(b"".join(map(line, range(1, 7)))) + END)

    async with told(Story((b"", say)), until=at(0)) as events:

        async def reader() -> None:
            found.extend([number(item) async for item in events])

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(reader)
            await anyio.lowlevel.checkpoint()
            proceed[0] = True
    assert [1, 2, 3, 4, 5, 6] == sorted(found)


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("anyio_backend", "cancelled"), WAYS)
async def test_a_stream_left_at_any_moment_leaks_nothing(
    quiet: list[object], anyio_backend: str, cancelled: Callable[[int, Call], Awaitable[bool]]
) -> None:
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))
    endless = itertools.cycle([(line(1), hang_up), (line(1) + line(2), hang_up)])
    story = Story()
    story.says, story.memory = endless, [1, 2]
    with StubEngine(story) as engine:
        client = SwarmClient(engine.host, api_version="1.51")
        under_way = 0

        async def call() -> None:
            async with client.system.events(filters=SERVICES) as events:
                async for item in events:
                    assert isinstance(item, Event | Resync)

        with counted():
            for ticks in range(60):
                with anyio.fail_after(20):
                    under_way += await cancelled(ticks, call)
            await all_closed(engine)
            await client.aclose()
    assert 60 == under_way


async def test_leaving_closes_the_connection_at_once_however_it_is_left(quiet: list[object]) -> None:
    with StubEngine(Story(*[(b"", hang)] * 4)) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            for way in ("exit", "raise", "cancel", "exit"):
                events = client.system.events(filters=SERVICES)
                with anyio.move_on_after(20 if way != "cancel" else 0.02):
                    with contextlib.suppress(LookupError):
                        async with events:
                            if way == "raise":
                                raise LookupError("the user's own")
                            if way == "cancel":
                                await anext(events)
                with anyio.fail_after(20):
                    await all_closed(engine)
                with pytest.raises(RuntimeError, match="inside its block"):
                    await anext(events)


async def test_what_is_raised_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="the user's own") as raised:
        async with told(Story((line(1) + b"odd\n", hang))) as events:
            assert [1] == await read(events, 1)
            raise LookupError("the user's own")
    assert raised.value.__context__ is None


async def test_a_block_may_be_left_in_another_task_than_it_was_entered_in(quiet: list[object]) -> None:
    """As an asynchronous generator is that a web framework closes."""

    async def names(client: SwarmClient) -> AsyncGenerator[str | None]:
        async with client.system.events(filters=SERVICES) as events:
            async for event in events:
                if isinstance(event, Event):
                    yield event.attributes.get("name")

    with StubEngine(Story((line(1) + line(2), hang))) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            generator: Any = names(client)

            async def step() -> None:
                assert "web" == await anext(generator)

            async def leave() -> None:
                await generator.aclose()

            async with anyio.create_task_group() as group:
                group.start_soon(step)
            async with anyio.create_task_group() as group:
                group.start_soon(leave)
            await all_closed(engine)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_reading_task_that_someone_stops_is_no_end_of_the_stream() -> None:
    before = asyncio.all_tasks()
    async with told(Story((line(1), hang))) as events:
        assert [1] == await read(events, 1)
        (reader,) = asyncio.all_tasks() - before
        reader.cancel()
        with pytest.raises(StreamTruncated, match="stopped"):
            await anext(events)


async def test_a_stream_is_entered_once_and_read_inside() -> None:
    client = FakeEngine().client()
    events = client.system.events()
    with pytest.raises(RuntimeError, match="inside its block"):
        await anext(events)
    async with events:
        pass
    with pytest.raises(RuntimeError, match="once"):
        await events.__aenter__()
    await client.aclose()


def test_an_event_loop_that_ends_in_a_block_is_left_in_peace(anyio_backend: str) -> None:
    """A notebook's cell may leave a stream open."""
    kept: list[Any] = []
    with StubEngine(Story((b"", hang))) as engine, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = SwarmClient(engine.host, api_version="1.51")

        async def main() -> None:
            kept.append(await client.system.events(filters=SERVICES).__aenter__())

        anyio.run(main, backend=anyio_backend)
        anyio.run(partial(all_closed, engine), backend=anyio_backend)
        anyio.run(client.aclose, backend=anyio_backend)
        gc.collect()


# --- the other calls -------------------------------------------------------------------------------------------------


async def test_the_engine_says_what_it_is() -> None:
    async with FakeEngine("1.45").client() as client:
        assert ("1.45", True) == ((ping := await client.system.ping()).api_version, ping.is_manager)
        assert "1.45" == (await client.system.version()).api_version
        info = await client.system.info()
        assert info.swarm is not None
        assert info.swarm.control_available


async def test_every_ping_asks_anew() -> None:
    with StubEngine(lambda _: answer()) as engine:
        async with SwarmClient(engine.host) as client:
            for _ in range(3):
                assert "1.51" == (await client.system.ping()).api_version
            assert 3 == engine.pings
