"""Makes channels: to a Unix socket, to a TCP port with or without TLS, to an `ssh` that carries the bytes.

Must not know: HTTP.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from typing import IO, Final

import anyio
import httpx

from .._hosts import Address
from .channel import Channel, left, reason_of, wait

_BACKLOG_FULL_WAIT: Final = 0.001
_BACKLOG_FULL_WAIT_LIMIT: Final = 0.05
_COMPLAINT_LIMIT: Final = 4096
_SSH_LAST_WORDS: Final = 1.0
_SSH_CONNECT: Final = 30


async def dial(address: Address, deadline: float) -> Channel:
    """A channel to the engine.

    Raises:
        httpx.ConnectError: there is none; its `__cause__` is the OSError.
        httpx.TimeoutException: there was none before the deadline.
    """
    try:
        if address.path:
            return Channel(await _unix(address.path, deadline))
        if address.ssh:
            return _ssh(address, left(deadline))
        return Channel(await _tcp(address, deadline))
    except OSError as error:
        raise httpx.ConnectError(reason_of(error)) from error
    except UnicodeError as error:
        raise httpx.ConnectError("not a host name") from error


async def _unix(path: str, deadline: float) -> socket.socket:
    pause = _BACKLOG_FULL_WAIT
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
        with anyio.move_on_after(left(deadline)) as scope:
            await anyio.sleep(pause * random.uniform(0.5, 1.0))
        if scope.cancelled_caught:
            raise httpx.ConnectTimeout("the engine accepts no connection: its backlog is full")
        pause = min(pause * 2, _BACKLOG_FULL_WAIT_LIMIT)


async def _tcp(address: Address, deadline: float) -> socket.socket:
    failure: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    found = None
    with anyio.move_on_after(left(deadline)):
        found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    if found is None:
        raise httpx.ConnectTimeout("the host name was not resolved in time")
    for family, kind, protocol, _, target in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            failure = error
            continue
        try:
            return await _connect(sock, target, address, deadline)
        except ssl.SSLError:
            sock.close()
            raise
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise failure


async def _connect(sock: socket.socket, target: object, address: Address, deadline: float) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex(target)  # type: ignore[arg-type]
    if code == errno.EINPROGRESS:
        await wait(anyio.wait_writable, sock, deadline)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code != 0:
        raise OSError(code, os.strerror(code))
    return sock if address.tls is None else await _shake_hands(sock, address.tls, address.host, deadline)


async def _shake_hands(sock: socket.socket, tls: ssl.SSLContext, host: str, deadline: float) -> socket.socket:
    secure = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False)
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                await wait(anyio.wait_readable, secure, deadline)
            except ssl.SSLWantWriteError:
                await wait(anyio.wait_writable, secure, deadline)
    except BaseException:
        secure.close()
        raise


# --- ssh -------------------------------------------------------------------------------------------------------------


class _SshChannel(Channel):
    """The pipe to an `ssh` program. It ends with the channel, and leaves no zombie."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
        super().__init__(sock)
        self._process = process
        self._complaints = complaints

    def close(self) -> None:
        """Close it and end the program."""
        if not self.is_closed:
            super().close()
            if sys.is_finalizing():  # there is no event loop to hold up, and no thread starts any more
                _end(self._process, self._complaints)
            else:
                threading.Thread(target=_end, args=(self._process, self._complaints), daemon=True).start()

    def complaint(self) -> str:
        """The end of what ssh and the other side have written to their standard error."""
        if self.is_closed:
            return ""
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - _COMPLAINT_LIMIT))
        said = self._complaints.read().decode(errors="replace").strip()
        return f"ssh says: {said}" if said else ""


def _ssh(address: Address, seconds: float | None) -> Channel:
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- goes with the channel
    try:
        ours, theirs = socket.socketpair()
    except BaseException:
        complaints.close()
        raise
    try:
        ours.setblocking(False)
        # The program leads a group of its own, so that what it starts ends with it, and no Ctrl-C reaches it.
        process = subprocess.Popen(  # noqa: S603 -- a list, no shell, and nothing in it is an option
            ssh_command(address, seconds),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=complaints,
            start_new_session=True,
        )
    except FileNotFoundError:
        ours.close()
        complaints.close()
        raise httpx.ConnectError("there is no ssh program here") from None
    except BaseException:
        ours.close()
        complaints.close()
        raise
    finally:
        theirs.close()
    return _SshChannel(ours, process, complaints)


def ssh_command(address: Address, seconds: float | None = None) -> list[str]:
    """The command that carries bytes to the engine at an ssh:// address.

    Nothing in an address is ever taken for an option, here or by the shell on the other side.
    """
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_ssh_patience(seconds)}", "-T"]
    if address.user:
        command += ["-l", address.user]
    if address.port:
        command += ["-p", str(address.port)]
    remote = ["docker", "system", "dial-stdio"]
    if address.remote_path:
        remote[1:1] = ["--host", shlex.quote(f"unix://{address.remote_path}")]
    return [*command, "--", address.host, *remote]


def _ssh_patience(seconds: float | None) -> int:
    return _SSH_CONNECT if seconds is None else min(max(math.ceil(seconds), 1), _SSH_CONNECT)


def _end(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
    complaints.close()
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SSH_LAST_WORDS)
            return
