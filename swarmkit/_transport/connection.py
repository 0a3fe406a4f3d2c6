"""One connection: requests and their answers over one channel, one at a time.

Clean-up is synchronous everywhere: there is nothing in it that a cancellation could interrupt. Must not know: pools.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable

import httptools
import httpx

from .channel import Channel, is_alert, reason_of
from .message import Answer, Attempt

_READ_SIZE = 64 * 1024
_BARE_LIMIT = 128 * 1024
"""Bytes in a row that are no body: the head, or what comes behind the last chunk."""
_INTERIM_LIMIT = 8


class Connection:
    """A connected channel, used for one exchange after another as long as nothing is wrong with it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._finished: Callable[[Connection], None] | None = None
        self.idle_since = 0.0
        self.answered = False
        """Something has come of the answer to the present request."""
        self.reusable = False
        """The last exchange ended cleanly, and the peer keeps the connection open."""

    def is_quiet(self) -> bool:
        """The peer is there and has sent nothing since the last answer: a stray byte would be read as the next one."""
        return self._channel.is_quiet()

    def close(self) -> None:
        """Close it, which ends the exchange under way. Does nothing the second time."""
        if not self._channel.is_closed:
            self._channel.close()
            self._end()

    def _end(self) -> None:
        finished, self._finished = self._finished, None
        if finished is not None:
            finished(self)

    async def exchange(
        self,
        request: bytes,
        attempt: Attempt,
        deadline: float,
        finished: Callable[[Connection], None],
        *,
        goes_on: bool = False,
    ) -> Answer:
        """Send the request and read the head of its answer; the body is still to be read.

        A body that `goes_on` has no deadline.

        `finished` is called once, when the answer is complete or the connection was closed before. Where this raises,
        the connection is closed and nobody is told.
        """
        self.answered = self.reusable = False
        parser = _Parser()
        try:
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the time was up before anything was sent")
            await self._send(request, attempt, deadline)
            while not parser.head_complete:
                await self._feed(parser, deadline)
        except BaseException:
            self.close()
            raise
        self._finished = finished
        if parser.complete:
            self._complete(parser)
        body = Body(self, parser, math.inf if goes_on else deadline)
        return Answer(parser.status, parser.reason, parser.headers, body)

    def _complete(self, parser: _Parser) -> None:
        self.reusable = parser.keeps_alive and not parser.has_more
        if self.reusable:
            self._end()
        else:
            self.close()

    async def _send(self, data: bytes, attempt: Attempt, deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                taken = await self._channel.send(view, deadline)
            except OSError as error:
                if attempt.sent == 0:
                    why = self._channel.alert() or error
                    raise httpx.ConnectError(self._said(reason_of(why))) from why
                # An engine that refuses a request while it is still coming answers and closes: see what it says.
                return
            attempt.sent = (attempt.sent or 0) + taken
            view = view[taken:]

    async def _feed(self, parser: _Parser, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("no whole answer in time")
        try:
            data = await self._channel.receive(_READ_SIZE, deadline)
        except OSError as error:
            # Over TLS 1.3 the peer's refusal of a certificate comes only now: it has looked at nothing we sent.
            refused = is_alert(error) and not self.answered
            raise (httpx.ConnectError if refused else httpx.ReadError)(self._said(reason_of(error))) from error
        if data:
            self.answered = True
        try:
            parser.feed(data)
        except httpx.ReadError as error:
            raise httpx.ReadError(self._said(str(error))) from None

    def _said(self, what: str) -> str:
        complaint = self._channel.complaint()
        return f"{what} ({complaint})" if complaint else what

    async def read(self, parser: _Parser, deadline: float) -> bytes:
        """All that has come of the body since the last time; empty at its end."""
        if not parser.pieces and not parser.complete:
            try:
                while not parser.pieces and not parser.complete:
                    await self._feed(parser, deadline)
            except httpx.TransportError:  # who was only cancelled may read on
                self.close()
                raise
            if parser.complete:
                self._complete(parser)
        # Engines send each log line as a piece of its own: handed over one by one they would cost more than they are.
        data = b"".join(parser.pieces)
        parser.pieces.clear()
        return data


class Body(httpx.AsyncByteStream):
    """The body of an answer. A class and no generator: closing it is one synchronous step."""

    def __init__(self, connection: Connection, parser: _Parser, deadline: float) -> None:
        self._connection = connection
        self._parser = parser
        self._deadline = deadline

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._connection.read(self._parser, self._deadline)
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Close the connection, unless the body is complete: then it is another's by now."""
        if not self._parser.complete:
            self._connection.close()

    async def aclose(self) -> None:
        """As close."""
        self.close()


class _Parser:
    """Reads one answer, and notices whether anything comes behind its end."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        # A chunk for each log line: no step in Python for it.
        self.on_body = self.pieces.append
        self.head_complete = False
        self.complete = False
        self.keeps_alive = False
        self.has_more = False
        self._bare = 0
        """Bytes since the last one of a body."""
        self._interim = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; nothing means that the peer closed it."""
        if not data:
            self._end()
            return
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise httpx.RemoteProtocolError("the answer switches protocols") from error
        except httptools.HttpParserError as error:
            self.has_more = True
            if not self.complete:
                why = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
                raise httpx.RemoteProtocolError(f"not an HTTP answer: {why}") from error
        if self.pieces:
            self._bare = 0
        elif self._bare > _BARE_LIMIT and not self.complete:
            part = "trailer" if self.head_complete else "head"
            raise httpx.RemoteProtocolError(f"the {part} of the answer is too large")

    def _end(self) -> None:
        sized = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        if not self.head_complete or sized:
            raise httpx.ReadError(
                "the connection was closed " + ("in" if self.head_complete or self._bare else "before") + " the answer"
            )
        self.complete = True

    # What httptools calls, besides on_body.

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("more comes behind the answer")  # and none of it is read

    def on_status(self, status: bytes) -> None:
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim += 1
            if status == 101 or self._interim > _INTERIM_LIMIT:
                raise ValueError("it switches protocols, or never comes")
            self.headers.clear()
            self.reason = b""
            return
        self.status = status
        self.head_complete = True

    def on_message_complete(self) -> None:
        if self.head_complete:
            self.keeps_alive = bool(self._parser.should_keep_alive())
            self.complete = True
