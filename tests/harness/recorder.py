"""Owns a socket before an engine's own: what goes through is passed on as it is, and the requests' heads are kept.

Must not know what programs say to engines.
"""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.harness.engine import short_temporary_folder

if TYPE_CHECKING:
    from types import TracebackType

    from tests.harness.engine import Engine

_AUTH: Final = re.compile(
    rb"^(\w+) (?:/v[\d.]+)?(/\S*) HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?X-Registry-Auth: ([^\r\n]*)\r\n", re.M
)


class Recorder:
    """Listens in for an engine's sake; `with Recorder(engine) as recorder: …`, then at `recorder.host`."""

    def __init__(self, engine: Engine) -> None:
        self._target = engine.socket
        self._said: list[bytearray] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(dir=short_temporary_folder())
        self._path = str(Path(self._folder.name, "recorder.sock"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._open):
            sock.close()
        self._folder.cleanup()

    @property
    def host(self) -> str:
        """What to set as DOCKER_HOST."""
        return f"unix://{self._path}"

    def credentials(self) -> list[tuple[str, bytes]]:
        """Method and path of each request that carried X-Registry-Auth, with its very bytes; then forget them."""
        found = [
            (f"{method.decode()} {path.decode()}", value)
            for said in self._said
            for method, path, value in _AUTH.findall(said)
        ]
        for said in self._said:
            said.clear()
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(self._target)
                self._open += ours, theirs
                self._said.append(bytearray())
                for source, sink, kept in ((ours, theirs, self._said[-1]), (theirs, ours, None)):
                    thread = threading.Thread(target=_pass_on, args=(source, sink, kept), daemon=True)
                    self._threads.append(thread)
                    thread.start()


def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            if kept is not None:
                kept += piece
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
