"""Owns a registry that asks for a password, inside an engine's namespaces.

Must not know how services use it. Engines speak plain HTTP to 127.0.0.0/8, so it listens there; one
address serves beside every engine at once.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final, Self

from tests.harness.engine import Engine, children
from tests.harness.packages import HarnessError, program

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0


class Registry:
    """A registry beside an engine, which it cannot outlive; `with Registry(engine) as registry: …`."""

    def __init__(
        self, engine: Engine, *, port: int = 5000, username: str = "swarm", password: str | None = None
    ) -> None:
        self.engine = engine
        self.address = f"127.0.0.1:{port}"
        self.username = username
        self.password = password or secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"Registry({self.engine!r}, {self.address})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """Its files, within the engine's folder."""
        return self.engine.folder / f"registry-{self.address.rpartition(':')[2]}"

    @property
    def docker_config(self) -> Path:
        """A folder for DOCKER_CONFIG or `docker --config` that holds the credentials."""
        return self.folder / "docker"

    @property
    def credentials(self) -> dict[str, str]:
        """What X-Registry-Auth carries and `POST /auth` takes, in the engine's own spelling."""
        return {"username": self.username, "password": self.password, "serveraddress": self.address}

    @property
    def auth_header(self) -> str:
        """The value of X-Registry-Auth, for requests sent without swarmkit."""
        return base64.urlsafe_b64encode(json.dumps(self.credentials).encode()).decode()

    def start(self) -> None:
        """Start it and wait until the engine can log in to it."""
        config = self._write_files()
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.engine.inside(program("docker-registry"), "serve", str(config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"OTEL_TRACES_EXPORTER": "none"},
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self.engine.request("POST", "/auth", self.credentials)[0] == http.HTTPStatus.OK:
                return
            time.sleep(0.05)
        said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        self.stop()
        raise HarnessError(f"{self!r} did not come up; its last words: {' | '.join(said[-3:])}")

    def stop(self) -> None:
        """End it and drop what was pushed; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        for pid in children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_SECONDS)
        with contextlib.suppress(HarnessError):  # The engine may have ended first, and its folder with it.
            shutil.rmtree(self.folder, ignore_errors=True)

    def push(self, image: str) -> str:
        """Push a local image; return its reference in this registry, of which no local copy stays."""
        reference = f"{self.address}/{image}"
        self.engine.docker("tag", image, reference)
        self.engine.docker("--config", str(self.docker_config), "push", "--quiet", reference)
        self.engine.docker("rmi", "--no-prune", reference)
        return reference

    def _write_files(self) -> Path:
        self.docker_config.mkdir(parents=True)
        secret = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        (self.docker_config / "config.json").write_text(json.dumps({"auths": {self.address: {"auth": secret}}}))
        passwords = self.folder / "htpasswd"
        passwords.write_text(f"{self.username}:{_bcrypt(self.password)}\n")
        settings: dict[str, Any] = {
            "version": "0.1",
            "log": {"accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            "auth": {"htpasswd": {"realm": "swarmkit", "path": str(passwords)}},
            "http": {"addr": self.address},
        }
        config = self.folder / "config.yml"
        config.write_text(json.dumps(settings))  # The registry reads YAML, of which JSON is a part.
        return config


def _bcrypt(password: str) -> str:
    """Hash a password in the one way that the registry accepts, without `htpasswd` and its libraries."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    # 22 characters of which the last may use two bits only: hexadecimal digits with an ending that fits.
    salt = f"$2b$04${secrets.token_hex(11)[:21]}u"
    hashed: bytes | None = library.crypt(password.encode(), salt.encode())
    if hashed is None or not hashed.startswith(b"$2b$"):
        raise HarnessError("the system's libcrypt cannot make bcrypt hashes")
    return hashed.decode()
