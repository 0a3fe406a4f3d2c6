"""A connected stream of bytes, whatever it is made of: a Unix socket, TCP, TLS, or the pipe to an `ssh`.

All of them are sockets that do not block, so that there is one way to wait, and one to close at once.
Must not know: HTTP.
"""

from __future__ import annotations

import math
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import anyio
import httpx
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

_TLS_RECORD: Final = 16 * 1024
"""What TLS puts into one piece that the peer can read: no more at once, or what was taken could not be told."""

_TURN: Final = 0.001
"""Seconds for which a reader may go on without a turn for others."""


def left(deadline: float) -> float | None:
    """Seconds until a moment on the monotonic clock; None where it never comes."""
    return None if deadline == math.inf else deadline - time.monotonic()


async def wait(ready: Callable[[socket.socket], Awaitable[None]], sock: socket.socket, deadline: float) -> None:
    """Return when the socket is ready.

    Raises:
        httpx.ReadTimeout: it was not before the deadline.
        httpx.ReadError: it was closed.
    """
    try:
        with anyio.move_on_after(left(deadline)):
            await ready(sock)
            return
    except (anyio.ClosedResourceError, OSError, ValueError) as error:
        raise httpx.ReadError("the connection was closed") from error
    raise httpx.ReadTimeout("no answer in time")


def reason_of(error: OSError) -> str:
    """What the system or OpenSSL says, in words."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
        return "TLS: the connection was cut off"
    reason = f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return f"{reason}: {error.verify_message}" if isinstance(error, ssl.SSLCertVerificationError) else reason


def is_alert(error: OSError) -> bool:
    """The peer refuses TLS, or what was said in it."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


class Channel:
    """A connected socket, and what has to go with it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._turn_ends = 0.0
        self._piece = _TLS_RECORD if isinstance(sock, ssl.SSLSocket) else None

    async def send(self, data: memoryview, deadline: float) -> int:
        """Send some of the data; how many bytes were taken.

        Raises:
            OSError: the peer takes no more.
            httpx.ReadTimeout: it took nothing before the deadline.
            httpx.ReadError: the socket was closed here.
        """
        while True:
            try:
                return self.socket.send(data[: self._piece])
            except (BlockingIOError, ssl.SSLWantWriteError):
                await wait(anyio.wait_writable, self.socket, deadline)
            except ssl.SSLWantReadError:
                await wait(anyio.wait_readable, self.socket, deadline)

    async def receive(self, size: int, deadline: float) -> bytes:
        """Some bytes, as soon as there are any; none at the end.

        Raises:
            OSError: the connection was lost.
            httpx.ReadTimeout: nothing came before the deadline.
            httpx.ReadError: the socket was closed here.
        """
        # A peer that always has more to say must not keep the event loop to itself. What was received is handed over
        # without a further wait: whose time is up in it would lose those bytes, and might read on.
        if time.monotonic() >= self._turn_ends:
            await checkpoint()
            self._turn_ends = time.monotonic() + _TURN
        else:
            await checkpoint_if_cancelled()
        while True:
            try:
                return self.socket.recv(size)
            except (BlockingIOError, ssl.SSLWantReadError):
                await wait(anyio.wait_readable, self.socket, deadline)
            except ssl.SSLWantWriteError:
                await wait(anyio.wait_writable, self.socket, deadline)
            self._turn_ends = time.monotonic() + _TURN

    def is_quiet(self) -> bool:
        """The peer is there and has sent nothing."""
        try:
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it; whoever waits on it is woken. Does nothing the second time."""
        if self.is_closed:
            return
        if not sys.is_finalizing():  # then nobody waits, and half of anyio is gone
            # Where the event loop is over, so is everyone who waited there; each anyio has its own error for that.
            with suppress(Exception):
                anyio.notify_closing(self.socket)
        self.socket.close()

    @property
    def is_closed(self) -> bool:
        """It was closed here."""
        return self.socket.fileno() == -1

    def complaint(self) -> str:
        """What a program that carries the bytes has said about its failure."""
        return ""

    def alert(self) -> OSError | None:
        """What the peer has said against TLS, where nothing can be sent any more."""
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.recv(1)
        except OSError as error:
            return error if is_alert(error) else None
        return None
