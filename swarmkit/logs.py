"""The log stream of a service or a task: typed lines, each with its stream and the task that wrote it.

Owns: what a log line is, whose it is, and when a stream has ended well or goes on where it was cut.
Must not know: how frames are cut (`_framing`), but for the beginning of those that are skimmed.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self
from urllib.parse import unquote_plus

import anyio

from . import _glances
from ._clock import Pauses
from ._engine import ByteStream, Engine
from ._framing import HEADER_SIZE, STREAMS, Entry, FrameDecoder, FramingError, LineDecoder, Stream
from .convergence import OVER
from .errors import (
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    LogStreamError,
    NotFound,
    StreamTruncated,
    SwarmkitError,
)
from .models._glance import TaskGlance
from .models.filters import LogsQuery
from .models.node import Node
from .models.service import Service
from .models.task import Task, TaskTemplate

_MULTIPLEXED: Final = "application/vnd.docker.multiplexed-stream"
_OWN_DETAILS: Final = "com.docker.swarm."
# An engine cuts longer lines into entries of this size; a shorter one is the last of its line.
_FRAGMENT: Final = 16 * 1024
_LINE_LIMIT: Final = 16 * 1024 * 1024
# How each entry begins: `[timestamp ][details,]ids[,details] `. A terminal's bytes have no frames: only this tells
# where one ends and another's begins. Found by the ids and extended backwards, so that long lines cost no more for it.
_IDS_BEGIN: Final = b"com.docker.swarm.node.id="
_IDS: Final = re.compile(
    rb"com\.docker\.swarm\.node\.id=\w+,com\.docker\.swarm\.service\.id=\w+,com\.docker\.swarm\.task\.id=\w+"
    rb"(?:,[^ ]*)? "
)
_STAMP: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
_STAMP_SIZE: Final = 31
_LINE_FEED: Final = ord(b"\n")
_PAIRS: Final = re.compile(rb"(?:[^ ,=]+=[^ ,]*,)*")
_GIVES_UP: Final = b"Error grabbing logs: "
"""How an engine's own words begin among a terminal's bytes, where there are no frames to tell them apart."""

_QUIET: Final = 0.5
"""Seconds without a line after which it is worth looking whether the tasks have finished."""
_STANDSTILL: Final = 1.0
"""Seconds that all tasks must have been over: a manager may be about to replace one."""
_LAST_WORD: Final = 3.0
"""Seconds without a line after which the last look at the lines is over: now and then engines never end it."""
_BACKOFF: Final = 0.05
_COURTESY: Final = 5.0
"""Seconds that lines may wait until it is known which slot their task has."""
_DISORDER_NS: Final = 10_000_000
"""How far the lines of one task may be out of order: its two streams are written down side by side."""
_MOST_WRITERS: Final = 1000


@dataclass(slots=True)
class LogLine:
    """One line that a task wrote."""

    stream: Literal["stdin", "stdout", "stderr"]
    """Where it was written; always stdout in services with a terminal."""
    data: bytes
    """The line's bytes without its end."""
    task_id: str
    """Id of the task that wrote it."""
    slot: int | None
    """The task's slot; None in a global service, and where the task is not known any more."""
    node_id: str
    """Id of the node it ran on."""
    service_id: str
    """Id of its service."""
    _details: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    _stamp: bytes = field(default=b"", repr=False)

    @property
    def message(self) -> str:
        """The line as text; bytes that are no UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")

    @property
    def details(self) -> dict[str, str]:
        """What the user's log options add: labels and environment of the container."""
        return self._details.copy()

    @property
    def timestamp(self) -> datetime | None:
        """When it was written, cut to the microsecond, where timestamps were asked for."""
        try:
            return datetime.fromisoformat(self._stamp[:26].decode() + "Z") if self._stamp else None
        except ValueError:
            return None  # whatever it is, it is no moment

    @property
    def time_ns(self) -> int | None:
        """The same in nanoseconds since 1970, exactly as the engine has it."""
        try:
            return _nanoseconds(self._stamp) if self._stamp else None
        except ValueError:
            return None

    def __str__(self) -> str:
        return self.message


Since = datetime | timedelta | int | float
"""A moment: a datetime, how long ago, or Unix seconds."""


def since_parameter(since: Since, now: datetime) -> str:
    """The `since` that an engine understands: Unix seconds with a fraction.

    Raises:
        ValueError: a datetime without time zone, whose moment nobody knows.
    """
    if isinstance(since, timedelta):
        since = now - since
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ValueError("since: a datetime needs a time zone, as in datetime.now(UTC)")
        span = since - datetime(1970, 1, 1, tzinfo=UTC)
        seconds, micros = span.days * 86_400 + span.seconds, span.microseconds
        return f"{seconds}.{micros:06d}000" if micros else str(seconds)
    return f"{since:.9f}".rstrip("0").rstrip(".")


def logs_query(
    *, follow: bool, stdout: bool, stderr: bool, since: Since | None, tail: int | Literal["all"], timestamps: bool
) -> LogsQuery:
    """What is to be shown of logs, checked.

    Raises:
        ValueError: neither stream is asked for, `tail` is negative, or `since` has no time zone.
    """
    if not (stdout or stderr):
        raise ValueError("ask for stdout, stderr or both")
    if tail != "all" and (type(tail) is not int or tail < 0):
        raise ValueError("tail must be 'all' or a number of lines from 0")
    return LogsQuery(
        stdout=stdout,
        stderr=stderr,
        follow=follow,
        tail=str(tail),
        since=None if since is None else since_parameter(since, datetime.now(UTC)),
        timestamps=timestamps,
        details=True,
    )


class LogStream:
    """The lines of a service or a task: `async with stream as lines: async for line in lines`.

    Leaving the block closes the connection, also in the middle.
    """

    def __init__(
        self,
        engine: Engine,
        of: Literal["services", "tasks"],
        reference: str,
        query: LogsQuery,
        *,
        until_finished: bool,
        resume: bool,
    ) -> None:
        if until_finished and not query.follow:
            raise ValueError("until_finished ends a stream that follows; without follow it ends by itself")
        self._engine = engine
        self._of: Literal["services", "tasks"] = of
        self._reference = reference
        self._query = query
        self._until_finished = until_finished
        self._resumes = resume
        self._may_reopen = until_finished or resume
        """Where the stream may be opened again, it is known of each line when it was written."""
        self._has_stamps = query.timestamps or self._may_reopen

        self._source: ByteStream | None = None
        self._decoder: FrameDecoder | LineDecoder = FrameDecoder()
        self._subject = _Subject("", None, 1, is_terminal=False)
        self._writers: dict[bytes, _Writer] = {}
        self._slots: dict[str, int | None] = {}
        self._strangers: set[str] = set()
        """Tasks whose slot is to be looked up before a line of theirs is handed out."""
        self._met: set[str] = set()
        self._prefixes: dict[str, str] = {}
        self._begun: dict[tuple[str, Stream], _Begun] = {}
        self._taken: list[LogLine] = []
        self._ready: Iterator[LogLine] = iter(())
        self._failure: Exception | None = None
        self._entered = self._left = self._reading = self._ended = False

        self._heard: dict[str, _Heard] = {}
        self._repeats: dict[tuple[str, Stream], tuple[bytes, int]] = {}
        """What comes again after a cut: up to which moment, and how many lines of that moment."""
        self._lost: SwarmkitError | None = None
        """Why there is no connection, while there is to be another one."""
        self._pauses = Pauses(engine.clock, _BACKOFF)
        self._opened_at = self._lost_at = self._still_since = 0.0
        self._has_news = False
        self._over: set[str] | None = None
        """The tasks at the last look, where all were over."""
        self._last_looks: deque[str] | None = None
        """The tasks that have finished and are to be read once more, the first one now."""

    # --- what a caller does ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a log stream can be entered once; ask for another one")
        self._entered = True
        await self._open()
        self._has_news = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left = True
        await self._close()

    def __aiter__(self) -> AsyncIterator[LogLine]:
        return self

    async def __anext__(self) -> LogLine:
        """The next line.

        Raises:
            StreamTruncated: the connection was lost.
            LogStreamError: the engine says that it cannot go on.
            EngineTimeout: no line came for too long, in a stream that does not follow.
        """
        while True:
            for line in self._ready:
                return line
            if not self._taken:
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    raise StopAsyncIteration
            if self._left or not self._entered:
                raise RuntimeError("a log stream is read inside its block: async with stream as lines: ...")
            if self._reading:
                raise RuntimeError("a log stream is read by one task at a time")
            self._reading = True
            try:
                await self._fill()
            finally:
                self._reading = False

    async def lines(self) -> list[LogLine]:
        """All lines, in the order in which they came; opens and closes the stream where it is not open.

        Raises:
            ValueError: it follows, and nothing ends it.
        """
        if self._query.follow and not self._until_finished:
            raise ValueError("a stream that follows has no last line; leave out follow, or set until_finished")
        if self._entered:
            return [line async for line in self]
        async with self:
            return [line async for line in self]

    async def text(self) -> str:
        """The messages of all lines, each with a line end; otherwise as `lines`."""
        return "".join([f"{line.message}\n" for line in await self.lines()])

    async def formatted(self, line: LogLine) -> str:
        """A line of this stream as `docker service logs` prints it, without its end.

        That is `SERVICE.SLOT.TASK@NODE    | MESSAGE`, after the timestamp where timestamps were asked for. Names are
        looked up once for each task; an id stands for a name that cannot be.

        GET /nodes/{id}, and GET /services/{id} for the lines of one task, API 1.24.
        """
        prefix = self._prefixes.get(line.task_id)
        if prefix is None:
            prefix = self._prefixes[line.task_id] = await self._prefix(line)
        stamp = f"{line._stamp.decode()} " if self._query.timestamps else ""  # pyright: ignore[reportPrivateUsage]
        return f"{stamp}{prefix}    | {line.message}"

    async def _prefix(self, line: LogLine) -> str:
        slot = str(line.slot or 0) if line.task_id in self._slots else "?"
        service, node = self._subject.name or line.service_id, line.node_id
        with self._engine.one_deadline(_COURTESY), suppress(SwarmkitError):
            if self._subject.name is None:
                service = (await self._engine.call("GET", f"/services/{service}", into=Service)).name
            found = await self._engine.call("GET", f"/nodes/{node}", into=Node)
            node = found.spec.name or found.hostname or node
        return f"{service}.{slot}.{line.task_id[:12]}@{node}" + " " * (self._subject.width - len(slot))

    # --- open, close, open again -------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Open the stream, a little before the end of what was heard already."""
        query = self._query.model_copy()
        query.timestamps = self._has_stamps
        if self._last_looks is None:
            subject = self._subject = await self._look_up(self._subject.id or self._reference)
            path, heard = f"/{self._of}/{subject.id}/logs", [*self._heard.values()]
        else:
            query.follow = False
            path, heard = f"/tasks/{self._last_looks[0]}/logs", [*filter(None, [self._heard.get(self._last_looks[0])])]
        if heard:
            query.tail, query.since = "all", _seconds(min(one.newest for one in heard))
        self._repeats = {
            (task, stream): last for task, heard in self._heard.items() for stream, last in heard.last.items()
        }
        self._begun.clear()
        source = await self._engine.stream(path, query=query, since="1.30")
        # The answer's type tells frames from a terminal's bytes only from API 1.42 on; the spec always does.
        framed = source.content_type == _MULTIPLEXED or not self._subject.is_terminal
        self._source, self._decoder = source, FrameDecoder() if framed else LineDecoder()
        self._opened_at, self._has_news, self._lost = self._engine.clock.now(), False, None

    async def _look_up(self, reference: str) -> _Subject:
        path = f"/{self._of}/{reference}"
        if self._of == "services":
            service = await self._engine.call("GET", path, into=Service)
            mode = service.spec.mode
            replicas = None if mode is None or mode.replicated is None else mode.replicated.replicas
            is_terminal = _has_terminal(service.spec.task_template)
            return _Subject(service.id, service.name, len(str(replicas or 0)), is_terminal=is_terminal)
        task = await self._engine.call("GET", path, into=Task)
        self._slots[task.id] = task.slot
        return _Subject(task.id, None, len(str(task.slot or 0)), is_terminal=_has_terminal(task.spec))

    async def _close(self) -> None:
        if self._source is not None:
            source, self._source = self._source, None
            await source.aclose()

    async def _cut(self, error: SwarmkitError) -> None:
        """There is no more to come on this connection, and there should be."""
        if self._last_looks is not None and isinstance(error, LogStreamError):
            await self._end()  # its container is gone, or its node
            return
        if not self._resumes:
            self._failure = error
            return
        await self._close()
        now, limit = self._engine.clock.now(), self._engine.timeout
        if self._has_news or (limit is not None and now - self._opened_at >= limit):
            self._lost_at, self._pauses = now, Pauses(self._engine.clock, _BACKOFF)
        self._lost = error

    async def _reopen(self) -> None:
        """Try once to open the stream again; give up when that has been of no use for as long as a call may take."""
        clock, limit = self._engine.clock, self._engine.timeout
        if self._lost is not None:
            if limit is not None and clock.now() - self._lost_at >= limit:
                self._failure = self._lost
                return
            await self._pauses.next()
        try:
            await self._open()
        except NotFound as error:
            if self._last_looks is not None:
                await self._end()
            elif self._until_finished:
                self._ended = True  # it was removed while nobody listened
            else:
                self._failure = error
        except (EngineUnreachable, EngineTimeout, EngineError) as error:
            may_pass = self._resumes and (not isinstance(error, EngineError) or error.status >= 500)
            if not may_pass:
                self._failure = error
            elif self._lost is None:
                await self._cut(error)
            else:
                self._lost.__cause__ = error

    # --- read --------------------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Get some lines, or come closer to the end."""
        if not self._taken:
            await self._read()
        # Whoever gives up waiting in here finds the lines that were taken the next time.
        if self._strangers:
            await self._meet()
        self._ready, self._taken = iter(self._taken), []

    async def _read(self) -> None:
        source = self._source
        if source is None:
            await self._reopen()
            return
        data: bytes | None
        try:
            if self._last_looks is not None:
                data = await source.read(_LAST_WORD)
            elif self._until_finished:
                data = await self._read_or_rest(source)
            else:
                data = await source.read(None if self._query.follow else self._engine.timeout)
        except StreamTruncated as error:
            await self._cut(error)
            return
        except EngineTimeout:
            if self._last_looks is None:
                raise
            await self._end()
            return
        if data is None:
            await self._look()
        else:
            await self._decode(data)

    async def _decode(self, data: bytes) -> None:
        decoder = self._decoder
        try:
            if isinstance(decoder, LineDecoder):
                self._take(_pieces(decoder.feed(data) if data else decoder.end()))
            else:
                self._take(decoder.feed(data, self._skim) if data else decoder.end())
        except FramingError as error:
            # The lines before it are still to be handed out.
            if error.by_engine:
                await self._cut(LogStreamError(str(error)))
            else:
                self._failure = StreamTruncated(str(error))
            return
        if data:
            return
        if self._query.follow and self._may_reopen and self._last_looks is None:
            await self._cut(StreamTruncated("the engine ended a log stream that follows"))
        else:
            await self._end()

    async def _end(self) -> None:
        """The end, or that of one last look: what has no line's end is a line now."""
        for (_, stream), begun in self._begun.items():
            self._add(begun.line(stream, self._writer(begun.details)))
        self._begun.clear()
        if self._last_looks:
            self._last_looks.popleft()
        if self._last_looks:
            await self._close()
        else:
            self._ended = True

    def _skim(self, data: bytes, start: int) -> int:
        """Make lines of frames, as long as each is one whole line of a writer that was heard before; where that ends.

        What stands in the inner loop is nearly all that a line costs. So the header, the stamp and the writer are cut
        out in one step, which is the same for all frames with a prefix of that length, and no `__init__` is called.
        """
        if self._begun or self._may_reopen:
            return start
        streams, writers, new, add, size = STREAMS, self._writers, object.__new__, self._taken.append, len(data)
        begun = -1
        while start != begun and (shape := self._shape(data, start)) is not None:
            begun, cut, prefix = start, shape.unpack_from, shape.size
            try:
                while (message := start + prefix) < size:
                    kind, length, stamp, details = cut(data, start)
                    end = start + HEADER_SIZE + length
                    if not message < end <= size or data[end - 1] != _LINE_FEED:
                        return start
                    line = new(LogLine)
                    line.task_id, line.slot, line.node_id, line.service_id, line._details = writers[details]  # pyright: ignore[reportPrivateUsage]
                    line.stream = streams[kind]
                    line.data = data[message : end - 1]
                    line._stamp = stamp  # pyright: ignore[reportPrivateUsage]
                    add(line)
                    start = end
            except KeyError:
                pass  # a prefix of another length, or no stream
        return start

    def _shape(self, data: bytes, start: int) -> struct.Struct | None:
        """What stands before the message in the frame there; None where its writer was not heard before."""
        stamp = _STAMP_SIZE if self._has_stamps else 0
        begin = start + HEADER_SIZE + stamp
        details = data[begin : data.find(b" ", begin) + 1]
        return _frame(stamp, len(details)) if details in self._writers else None

    def _take(self, entries: Iterable[Entry]) -> None:
        """Make lines of entries that are not skimmed."""
        stamp = b""
        for stream, entry in entries:
            if self._has_stamps:
                stamp, _, entry = entry.partition(b" ")
            details, _, data = entry.partition(b" ")
            self._take_fragment(stream, stamp, details, data)

    def _take_fragment(self, stream: Stream, stamp: bytes, details: bytes, data: bytes) -> None:
        """Put a fragment to those of its line; a line is whole with its end."""
        writer = self._writer(details)
        key = (writer[0], stream)
        begun = self._begun.pop(key, None) or _Begun(bytearray(), details, stamp)
        begun.data += data
        if data.endswith(b"\n") or len(data) < _FRAGMENT:
            if isinstance(self._decoder, LineDecoder) and begun.data.endswith(b"\r\n"):
                del begun.data[-2]  # a terminal's line ends with both, and a fragment may end between them
            self._add(begun.line(stream, writer))
        elif len(begun.data) > _LINE_LIMIT:
            raise FramingError("a log line is too long", by_engine=False)
        else:
            self._begun[key] = begun

    def _add(self, line: LogLine) -> None:
        if self._may_reopen and self._was_heard(line):
            return
        self._has_news = True
        self._taken.append(line)

    # --- who writes --------------------------------------------------------------------------------------------------

    def _writer(self, details: bytes) -> _Writer:
        """Who writes the lines that begin so."""
        key = details + b" "
        writer = self._writers.get(key)
        if writer is None:
            if len(self._writers) >= _MOST_WRITERS:
                self._writers.clear()  # they are no writers, but what a terminal's text was taken for
            writer = self._writers[key] = _writer_of(details, self._slots)
            task = writer[0]
            if task and task not in self._slots and task not in self._met:
                self._strangers.add(task)
        return writer

    async def _meet(self) -> None:
        """Look up the slots of tasks that were not heard of before."""
        with self._engine.one_deadline(_COURTESY), suppress(SwarmkitError):  # a line without its slot is a line
            self._slots.update((task.id, task.slot) for task in await self._tasks())
        for line in self._taken:
            line.slot = self._slots.get(line.task_id)
        self._met |= self._strangers
        self._strangers.clear()
        self._writers.clear()

    async def _tasks(self) -> Sequence[TaskGlance]:
        """The tasks whose lines these are.

        Raises:
            NotFound: the service or task does not exist any more.
        """
        if self._of == "tasks":
            return [await _glances.task(self._engine, self._subject.id)]
        return await _glances.tasks(self._engine, [self._subject.id])

    # --- what was heard before a cut ---------------------------------------------------------------------------------

    def _was_heard(self, line: LogLine) -> bool:
        """Whether a line comes again. Each of a task's streams is in the order of time; lines may share a moment."""
        stamp = line._stamp  # pyright: ignore[reportPrivateUsage]
        if _STAMP.fullmatch(stamp + b" ") is None:
            return False
        heard = self._heard.get(line.task_id)
        if heard is None:
            heard = self._heard[line.task_id] = _Heard(stamp)
        elif self._repeats:
            if stamp < heard.first and (self._query.tail != "all" or self._query.since is not None):
                return True  # it was not asked for then
            moment, lines = self._repeats.get((line.task_id, line.stream), (b"", 0))
            if stamp < moment:
                return True
            if stamp == moment and lines:
                self._repeats[line.task_id, line.stream] = moment, lines - 1
                return True
        moment, lines = heard.last.get(line.stream, (b"", 0))
        heard.last[line.stream] = max(stamp, moment), lines + 1 if stamp == moment else 1
        return False

    # --- the end of the tasks ----------------------------------------------------------------------------------------

    async def _read_or_rest(self, source: ByteStream) -> bytes | None:
        """What comes next; None where nothing has come for a while. The clock need not be the world's."""
        data: bytes | None = None
        failure: SwarmkitError | None = None

        async def rest() -> None:
            await self._engine.clock.sleep(_QUIET)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(rest)
            try:
                data = await source.read(None)
            except SwarmkitError as error:
                failure = error  # as it is, and not in a group
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return data

    async def _look(self) -> None:
        """End the stream where its tasks have finished: but first look once more at all that they wrote."""
        is_gone = False
        try:
            tasks = await self._tasks()
        except NotFound:
            is_gone = True
            tasks = await _glances.tasks_of_removed(self._engine, self._subject.id, self._subject.name or "")
        over = {task.id for task in tasks}
        if any(task.state not in OVER for task in tasks) or not (tasks or is_gone or await self._wants_none()):
            self._over = None
            return
        now = self._engine.clock.now()
        if over != self._over:
            self._over, self._still_since = over, now
        if is_gone:
            await self._end()
        elif self._of == "tasks" or now - self._still_since >= _STANDSTILL:
            # One by one: of several tasks that have ended, engines now and then lose the last lines of all but one.
            self._last_looks = deque(sorted(task.id for task in tasks if task.node_id))
            if self._last_looks:
                await self._close()
            else:
                await self._end()

    async def _wants_none(self) -> bool:
        """A service without tasks is one that was scaled to 0, or one whose tasks are still to be made."""
        service = await self._engine.call("GET", f"/services/{self._subject.id}", into=Service)
        mode = service.spec.mode
        return mode is not None and mode.replicated is not None and mode.replicated.replicas == 0


class _Subject(NamedTuple):
    """Whose lines they are, as it was when the stream was opened."""

    id: str
    name: str | None
    """The name of the service, where that is what the lines were asked of."""
    width: int
    """Digits that Docker's program leaves room for in a slot."""
    is_terminal: bool


def _has_terminal(template: TaskTemplate | None) -> bool:
    container = None if template is None else template.container_spec
    return container is not None and bool(container.tty)


_Writer = tuple[str, int | None, str, str, dict[str, str]]
"""What the lines of a task have in common: task, slot, node, service, details. Bare: it is unpacked for each line."""


def _writer_of(text: bytes, slots: dict[str, int | None]) -> _Writer:
    pairs = (pair.partition("=") for pair in text.decode(errors="replace").split(","))
    details = {unquote_plus(key): unquote_plus(value) for key, equals, value in pairs if equals}
    task, node, service = (details.get(f"{_OWN_DETAILS}{kind}.id", "") for kind in ("task", "node", "service"))
    others = {key: value for key, value in details.items() if not key.startswith(_OWN_DETAILS)}
    return task, slots.get(task), node, service, others


@dataclass(slots=True)
class _Begun:
    """A line of which there is a part so far."""

    data: bytearray
    details: bytes
    stamp: bytes

    def line(self, stream: Stream, writer: _Writer) -> LogLine:
        return LogLine(stream, bytes(self.data).removesuffix(b"\n"), *writer, self.stamp)


@dataclass(slots=True)
class _Heard:
    """What was heard of one task: from which moment on, and the last moment of each stream with the lines of that."""

    first: bytes
    last: dict[Stream, tuple[bytes, int]] = field(default_factory=dict[Stream, tuple[bytes, int]])

    @property
    def newest(self) -> bytes:
        return max(moment for moment, _ in self.last.values())


@lru_cache(maxsize=64)
def _frame(stamp: int, details: int) -> struct.Struct:
    """A frame up to its message, with parts of these sizes, and a blank at the end of each."""
    return struct.Struct(f">LL{stamp - 1}sx{details}s" if stamp else f">LL0s{details}s")


def _pieces(lines: Iterable[Entry]) -> Iterator[Entry]:
    """The entries that a terminal's lines are made of.

    Raises:
        FramingError: the engine says among them that it cannot go on.
    """
    for stream, line in lines:
        if line.startswith(_GIVES_UP):
            raise FramingError(line.decode(errors="replace").strip(), by_engine=True)
        for start, end in pairwise(_starts(line)):
            yield stream, line[start:end]


def _starts(data: bytes) -> list[int]:
    """Where the entries of a terminal's line begin, and where it ends: it may be one, or fragments of a long line, or
    what was written without a line's end."""
    starts, message = [0], 0
    at = data.find(_IDS_BEGIN)
    while at >= 0:
        if (ids := _IDS.match(data, at)) is not None:
            if message:
                starts.append(_start_of_entry(data, message, at))
            message = ids.end()
        at = data.find(_IDS_BEGIN, max(message, at + 1))
    return [*starts, len(data)]


def _start_of_entry(data: bytes, message: int, ids: int) -> int:
    """Where the entry with these ids begins, behind the message of the one before it."""
    full = message + _FRAGMENT
    if full <= ids and _PAIRS.fullmatch(data, full + _STAMP_SIZE * bool(_STAMP.match(data, full)), ids):
        return full
    start = max(data.rfind(b" ", message, ids) + 1, message)
    if _PAIRS.fullmatch(data, start, ids) is None:
        start = ids
    stamp = start - _STAMP_SIZE
    return stamp if stamp >= message and _STAMP.fullmatch(data, stamp, start) else start


def _nanoseconds(stamp: bytes) -> int:
    return _second(stamp[:19]) * 1_000_000_000 + int(stamp[20:29])


@lru_cache(maxsize=64)
def _second(stamp: bytes) -> int:
    """Seconds since 1970; most lines share theirs with the one before."""
    return int(datetime.fromisoformat(stamp.decode() + "Z").timestamp())


def _seconds(stamp: bytes) -> str:
    """The `since` that has all lines of a task behind this moment, and some before it."""
    seconds, rest = divmod(_nanoseconds(stamp) - _DISORDER_NS, 1_000_000_000)
    return f"{seconds}.{rest:09d}"
