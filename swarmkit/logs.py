"""The log stream of a service or task: typed lines, each with its stream and task.

Owns: what a log line is, and when a stream has ended well. Must not know: how frames are cut (`_framing`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import unquote_plus

from ._engine import ByteStream
from ._framing import Decoder, Entry, FrameDecoder, FramingError, LineDecoder
from .errors import LogStreamError, StreamTruncated

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
_PAIRS: Final = re.compile(rb"(?:[^ ,=]+=[^ ,]*,)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line that a task wrote."""

    stream: Literal["stdin", "stdout", "stderr"]
    """Where it was written; always stdout in services with a terminal."""
    message: str
    """The line without its end; bytes that are no UTF-8 are replaced."""
    data: bytes = field(repr=False)
    """The line's bytes without its end."""
    task_id: str
    """Id of the task that wrote it."""
    node_id: str
    """Id of the node it ran on."""
    service_id: str
    """Id of its service."""
    timestamp: datetime | None = None
    """When it was written, to the microsecond, where timestamps were asked for."""
    details: dict[str, str] = field(default_factory=dict[str, str])
    """What the user's log options add: labels and environment of the container."""

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


class LogStream:
    """The lines of a service or task: `async with stream as lines: async for line in lines`.

    Leaving the block closes the connection, also in the middle.
    """

    def __init__(
        self,
        opener: Callable[[], Awaitable[tuple[ByteStream, bool]]],
        *,
        timestamps: bool,
        idle: float | None,
    ) -> None:
        self._opener = opener
        self._timestamps = timestamps
        self._idle = idle
        self._source: ByteStream | None = None
        self._decoder: Decoder | None = None
        self._ready: deque[LogLine] = deque()
        self._begun: dict[tuple[str, str], _Parts] = {}
        self._failure: Exception | None = None
        self._entered = False
        self._reading = False
        self._ended = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a log stream can be entered once; ask for another one")
        self._entered = True
        self._source, is_terminal = await self._opener()
        framed = self._source.content_type == _MULTIPLEXED or not is_terminal
        self._decoder = FrameDecoder() if framed else LineDecoder()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._source is not None:
            source, self._source = self._source, None
            await source.aclose()

    def __aiter__(self) -> AsyncIterator[LogLine]:
        return self

    async def __anext__(self) -> LogLine:
        """The next line.

        Raises:
            StreamTruncated: the connection was lost.
            LogStreamError: the engine says that it cannot go on.
            EngineTimeout: no line came for too long, in a stream that does not follow.
        """
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            if self._source is None or self._decoder is None:
                raise RuntimeError("a log stream is read inside its block: async with stream as lines: ...")
            if self._reading:
                raise RuntimeError("a log stream is read by one task at a time")
            self._reading = True
            try:
                await self._fill(self._source, self._decoder)
            finally:
                self._reading = False
        return self._ready.popleft()

    async def _fill(self, source: ByteStream, decoder: Decoder) -> None:
        data = await source.read(self._idle)
        self._ended = not data
        try:
            for entry in decoder.feed(data) if data else decoder.end():
                for piece in _entries(entry) if isinstance(decoder, LineDecoder) else (entry,):
                    self._take(piece)
            if self._ended:
                self._ready.extend(parts.line() for parts in self._begun.values())
                self._begun.clear()
        except FramingError as error:
            # The lines before it are still to be handed out.
            self._failure = LogStreamError(str(error)) if error.by_engine else StreamTruncated(str(error))

    def _take(self, entry: Entry) -> None:
        """Put a fragment to those of its line; a line is whole with its end."""
        parts = _Parts.cut(entry, timestamps=self._timestamps)
        is_last = parts.data.endswith(b"\n") or len(parts.data) < _FRAGMENT
        key = (parts.task_id, entry.stream)
        begun = self._begun.pop(key, None)
        if begun is not None:
            begun.data += parts.data
            parts = begun
        if is_last:
            if isinstance(self._decoder, LineDecoder) and parts.data.endswith(b"\r\n"):
                del parts.data[-2]  # a terminal's line ends with both, and a fragment may end between them
            self._ready.append(parts.line())
        elif len(parts.data) > _LINE_LIMIT:
            raise FramingError("a log line is too long", by_engine=False)
        else:
            self._begun[key] = parts


def _entries(line: Entry) -> Iterator[Entry]:
    """The entries that a terminal's line is made of: one, or fragments of a long line, or ends without a line's end."""
    data, starts, message = line.data, [0], 0
    at = data.find(_IDS_BEGIN)
    while at >= 0:
        if (ids := _IDS.match(data, at)) is not None:
            if message:
                starts.append(_start_of_entry(data, message, at))
            message = ids.end()
        at = data.find(_IDS_BEGIN, max(message, at + 1))
    for start, end in pairwise([*starts, len(data)]):
        yield Entry(line.stream, data[start:end])


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


@dataclass(slots=True)
class _Parts:
    """One log entry cut into its parts: `[timestamp ]details message`."""

    stream: Literal["stdin", "stdout", "stderr"]
    data: bytearray
    timestamp: str
    details: dict[str, str]

    @classmethod
    def cut(cls, entry: Entry, *, timestamps: bool) -> _Parts:
        rest, timestamp = entry.data, b""
        if timestamps:
            timestamp, _, rest = rest.partition(b" ")
        details, _, message = rest.partition(b" ")
        pairs = (pair.partition("=") for pair in details.decode(errors="replace").split(","))
        return cls(
            entry.stream,
            bytearray(message),
            timestamp.decode(errors="replace"),
            {unquote_plus(key): unquote_plus(value) for key, equals, value in pairs if equals},
        )

    @property
    def task_id(self) -> str:
        return self.details.get(_OWN_DETAILS + "task.id", "")

    def line(self) -> LogLine:
        data = bytes(self.data).removesuffix(b"\n")
        own = {key: value for key, value in self.details.items() if key.startswith(_OWN_DETAILS)}
        return LogLine(
            stream=self.stream,
            message=data.decode(errors="replace"),
            data=data,
            task_id=own.get(_OWN_DETAILS + "task.id", ""),
            node_id=own.get(_OWN_DETAILS + "node.id", ""),
            service_id=own.get(_OWN_DETAILS + "service.id", ""),
            timestamp=_timestamp(self.timestamp),
            details={key: value for key, value in self.details.items() if key not in own},
        )


def _timestamp(text: str) -> datetime | None:
    """An engine's timestamp, cut to the microsecond; None where there is none."""
    try:
        return datetime.fromisoformat(text[:26] + "Z") if text else None
    except ValueError:
        return None
