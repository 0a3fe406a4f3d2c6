"""A connected stream of bytes, whatever it is made of: a Unix socket, TCP, TLS, or the pipe to an `ssh`.

All of them are sockets that do not block, so that there is one way to wait, and one to close at once.
Must not know: HTTP.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

import anyio
import httpx


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


class Channel:
    """A connected socket, and what has to go with it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    async def send(self, data: memoryview, deadline: float) -> int:
        """Send some of the data; how many bytes were taken.

        Raises:
            OSError: the peer takes no more.
            httpx.ReadTimeout: it took nothing before the deadline.
            httpx.ReadError: the socket was closed here.
        """
        while True:
            try:
                return self.socket.send(data)
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
        while True:
            try:
                return self.socket.recv(size)
            except (BlockingIOError, ssl.SSLWantReadError):
                await wait(anyio.wait_readable, self.socket, deadline)
            except ssl.SSLWantWriteError:
                await wait(anyio.wait_writable, self.socket, deadline)

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
        try:
            anyio.notify_closing(self.socket)
        except anyio.NoEventLoopError:
            pass  # its event loop is over, and so is everyone who waited there
        finally:
            self.socket.close()

    @property
    def is_closed(self) -> bool:
        """It was closed here."""
        return self.socket.fileno() == -1

    def complaint(self) -> str:
        """What a program that carries the bytes has said about its failure."""
        return ""
