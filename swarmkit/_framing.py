"""Bytes in, log entries and events out: frames of logs, the lines of services with a terminal, lines of JSON.

Pure, sans I/O. Must not know: where the bytes come from, or what a log line means.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, Literal

Stream = Literal["stdin", "stdout", "stderr"]
Entry = tuple[Stream, bytes]
"""One frame, or one line: its stream and bytes. A bare tuple, because there are so many."""

Skim = Callable[[bytes, int], int]
"""Takes the frames from a place on that it knows how to read at once, all of them whole; where it stopped."""

_HEADER: Final = struct.Struct(">LL")
HEADER_SIZE: Final = 8
STREAMS: Final[dict[int, Stream]] = {0: "stdin", 1 << 24: "stdout", 2 << 24: "stderr"}
"""By the first half of a header: the stream's number and three zeros."""
_SYSTEM_ERROR: Final = 3 << 24
_FRAME_LIMIT: Final = 16 * 1024 * 1024
_LINE_LIMIT: Final = 16 * 1024 * 1024


class FramingError(Exception):
    """The bytes are not what they should be, or the engine says in them that it cannot go on."""

    def __init__(self, message: str, *, by_engine: bool) -> None:
        super().__init__(message)
        self.by_engine = by_engine


class FrameDecoder:
    """Reads multiplexed frames: a stream number, three zeros, the length, the data."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0
        """Bytes that the buffer must hold before there is another frame in it."""

    def feed(self, data: bytes, skim: Skim | None = None) -> Iterator[Entry]:
        """The frames that these bytes complete, without those that `skim` takes.

        Raises:
            FramingError: they are no frames, or a frame with which the engine gives up.
        """
        if self._buffer:
            if len(self._buffer) + len(data) < self._wanted:
                self._buffer += data
                return
            data = b"".join((self._buffer, data))
        start, size = 0, len(data)
        self._wanted = HEADER_SIZE
        header, streams = _HEADER.unpack_from, STREAMS.get
        try:
            while True:
                if skim is not None:
                    start = skim(data, start)
                if size - start < HEADER_SIZE:
                    break
                kind, length = header(data, start)
                stream = streams(kind)
                if length > _FRAME_LIMIT or (stream is None and kind != _SYSTEM_ERROR):
                    raise FramingError("the log stream holds something that is no frame", by_engine=False)
                end = start + HEADER_SIZE + length
                if end > size:
                    self._wanted = end - start
                    break
                payload = data[start + HEADER_SIZE : end]
                start = end
                if stream is None:
                    raise FramingError(payload.decode(errors="replace").strip(), by_engine=True)
                if length:
                    yield stream, payload
        finally:
            self._buffer = bytearray(data[start:])

    def end(self) -> Iterator[Entry]:
        """Nothing.

        Raises:
            FramingError: a frame was begun.
        """
        if self._buffer:
            raise FramingError("the log stream ended inside a frame", by_engine=False)
        return iter(())


class LineDecoder:
    """Reads what a terminal wrote: lines, all on stdout."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Entry]:
        """The lines that these bytes complete."""
        *lines, rest = (bytes(self._buffer) + data).split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > _LINE_LIMIT:
            raise FramingError("a log line is too long", by_engine=False)
        return (("stdout", line + b"\n") for line in lines)

    def end(self) -> Iterator[Entry]:
        """The line that has no end."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        left: list[Entry] = [("stdout", rest)] if rest else []
        return iter(left)


class JSONLines:
    """Reads what engines tell events in: lines of JSON."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their ends.

        Raises:
            FramingError: the line before them has no end.
        """
        if len(self._begun) > _LINE_LIMIT:
            raise FramingError("a line is too long", by_engine=False)
        first, *others = data.split(b"\n")
        self._begun += first
        if not others:
            return []
        lines = [bytes(self._begun), *others]
        self._begun = bytearray(lines.pop())
        return [line for line in lines if line.strip()]
