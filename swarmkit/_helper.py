"""Asks a credential helper, the program that keeps a user's passwords, for those of one registry.

Owns: running it off the event loop, within bounds of time and output, and leaving nothing of it behind.
Must not know: Docker's config file. What a helper says is never shown; an error says what it did.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from anyio.to_thread import run_sync

from .errors import CredentialsError

_SECONDS: Final = 10.0
_LIMIT: Final = 64 * 1024
_TICK: Final = 0.05
_NAME: Final = re.compile(r"\w[\w.-]*", re.ASCII)
_HAS_NONE: Final = b"credentials not found in native keychain"


class Kept(NamedTuple):
    """What a helper keeps for a registry."""

    username: str
    secret: str


async def ask(helper: str, registry: str) -> Kept | None:
    """What `docker-credential-HELPER get` has for a registry; None where it says that it has nothing.

    Raises:
        CredentialsError: there is no such program, or it failed, took too long or gave no answer.
    """
    run = Run(helper, registry)
    try:
        return await run_sync(run.hold, abandon_on_cancel=True)
    finally:
        run.end()  # of a caller that was cancelled, the thread hears by this


class Run:
    """One run of a helper. It holds up a thread; `end` may be called from any other."""

    def __init__(self, helper: str, registry: str) -> None:
        self._name = f"docker-credential-{helper}"
        self._is_valid = _NAME.fullmatch(helper) is not None
        self._registry = registry
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def hold(self) -> Kept | None:
        """Start it, ask, listen until it has ended, and end what it leaves behind."""
        process = self._start()
        question, answer = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with question, answer:
            try:
                with suppress(BrokenPipeError):  # it has not read the question, and may know the answer all the same
                    question.write(self._registry.encode())
                    question.close()
                said = self._listen(process, answer)
            finally:
                self.end()
                process.wait()
        return self._read(process.returncode, said)

    def end(self) -> None:
        """End it and all that it started. Does nothing the second time."""
        with self._lock:
            if self._process is not None and not self._is_over:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._is_over = True

    def _start(self) -> subprocess.Popen[bytes]:
        found = shutil.which(self._name) if self._is_valid else None
        if found is None or not Path(found).is_absolute():  # never one that lies about in the present folder
            raise self._trouble("there is no such program")
        with self._lock:
            if self._is_over:
                raise self._trouble("nobody waits for it any more")
            try:
                self._process = subprocess.Popen(  # noqa: S603 -- a list, no shell, and its name is checked
                    [found, "get"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    start_new_session=True,
                )
            except OSError as error:
                raise self._trouble(f"it cannot be run: {error.strerror}") from None
        return self._process

    def _listen(self, process: subprocess.Popen[bytes], answer: IO[bytes]) -> bytes:
        """All that it says until it has ended; a child that outlives it may keep the pipe open."""
        os.set_blocking(answer.fileno(), False)
        readable = select.poll()
        readable.register(answer, select.POLLIN)
        late = time.monotonic() + _SECONDS
        said = b""
        while True:
            has_ended = process.poll() is not None  # asked first: by now all that it has said is in the pipe
            piece = cast("bytes | None", answer.read(_LIMIT))
            said += piece or b""
            if len(said) > _LIMIT:
                raise self._trouble(f"it said more than {_LIMIT // 1024} KiB")
            if has_ended and not piece:
                return said
            if time.monotonic() > late:
                raise self._trouble(f"it took longer than {_SECONDS:g} s")
            if piece is None:
                readable.poll(_TICK * 1000)
            elif not piece:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_TICK)

    def _read(self, code: int, said: bytes) -> Kept | None:
        if code != 0:
            if said.strip() == _HAS_NONE:
                return None
            raise self._trouble(f"it failed with exit code {code}" if code > 0 else f"it was ended by signal {-code}")
        answer: object = None
        with suppress(ValueError, RecursionError):
            # Nothing is raised in here: the parser's own exception would come along, and holds what was said.
            answer = json.loads(said.decode())
        entries = cast("dict[str, object]", answer) if isinstance(answer, dict) else {"Username": None}
        username, secret = entries.get("Username", ""), entries.get("Secret", "")
        if not (isinstance(username, str) and isinstance(secret, str)):
            raise self._trouble("what it said is no answer")
        return Kept(username, secret) if username or secret else None

    def _trouble(self, reason: str) -> CredentialsError:
        return CredentialsError(f"{self._name} gave no credentials for {self._registry}: {reason}")
