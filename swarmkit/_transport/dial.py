"""Makes connections: a non-blocking socket to a Unix path or a TCP port. Must not know: HTTP."""

from __future__ import annotations

import errno
import os
import random
import socket

import anyio
import httpx

from .._hosts import Address

_BACKLOG_FULL_WAIT = 0.001
_BACKLOG_FULL_WAIT_LIMIT = 0.05


async def dial(address: Address) -> socket.socket:
    """A connected non-blocking socket.

    Raises:
        httpx.ConnectError: there is no connection; its `__cause__` is the OSError.
    """
    try:
        if address.path:
            return await _dial_unix(address.path)
        return await _dial_tcp(address.host, address.port)
    except OSError as error:
        raise httpx.ConnectError(error.strerror or str(error)) from error
    except UnicodeError as error:
        raise httpx.ConnectError("not a host name") from error


async def _dial_unix(path: str) -> socket.socket:
    wait = _BACKLOG_FULL_WAIT
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(path)
            return sock
        except BlockingIOError:
            # The listener's backlog is full. The kernel does not say when there is room, and this socket is spent.
            sock.close()
        except BaseException:
            sock.close()
            raise
        await anyio.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(wait * 2, _BACKLOG_FULL_WAIT_LIMIT)


async def _dial_tcp(host: str, port: int) -> socket.socket:
    failure: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, target in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            failure = error
            continue
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(target)
            if code == errno.EINPROGRESS:
                await anyio.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            failure = OSError(code, os.strerror(code))
            sock.close()
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise failure
