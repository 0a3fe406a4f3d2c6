"""The embedded engine behind the surface that tests know from real ones, so that the same tests run on both."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from swarmkit import SwarmClient
from swarmkit.testing import FakeEngine, Request
from tests.harness.engine import ARCHITECTURE, IMAGES, Engine
from tests.harness.packages import RELEASES
from tests.harness.registry import Registry

VERSIONS: Final = ("1.41", "1.45", "1.51")
"""Of the real engines that the harness has."""


class FakeHarness(Engine):
    """An embedded engine in the place of a real one; its time passes at least as fast as the world's."""

    def __init__(self, api_version: str) -> None:
        self.api_version = api_version
        self.release = f"fake-{api_version}"
        self.fake = FakeEngine(api_version, real_time=True)
        for image in IMAGES:
            self.fake.add_image(image)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request as given; return status, headers (names in lower case) and the whole body."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if isinstance(body, Mapping):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        path, _, query = path.partition("?")
        answer = self.fake.handle(Request(method, path, query, sent, body or b""))
        content = answer.body if isinstance(answer.body, bytes) else answer.body.read() or b""
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content

    def docker(self, *args: str, input: bytes | None = None, check: bool = True) -> str:  # noqa: A002
        """Do what the few commands do that tests give to the `docker` program."""
        match args:
            case "kill", container:
                self.fake.kill_task(container)
                return container
            case ("secret" | "config") as kind, "create", name, "-":
                spec = {"Name": name, "Data": base64.b64encode(input or b"").decode()}
                return str(json.loads(self._ask("POST", f"/{kind}s/create", spec))["ID"])
            case "network", "create", "--driver", driver, name:
                return str(json.loads(self._ask("POST", "/networks/create", {"Name": name, "Driver": driver}))["Id"])
            case ("secret" | "config" | "network") as kind, "rm", name:
                self._ask("DELETE", f"/{kind}s/{name}", check=check)
                return name
            case ("secret" | "config" | "network") as kind, "ls", "--format", "{{.Name}}":
                found = json.loads(self._ask("GET", f"/{kind}s"))
                return "\n".join(one["Spec"]["Name"] if "Spec" in one else one["Name"] for one in found)
            case "volume", ("rm" | "ls"), *_:
                return ""
            case "rmi", *_, image:
                self.fake.remove_image(image)
                self.fake.add_image(image, pulled=False)
                return image
            case "service", "ls", "-q":
                return "\n".join(one["ID"] for one in json.loads(self._ask("GET", "/services")))
            case "service", "rm", service:
                self._ask("DELETE", f"/services/{service}", check=check)
                return service
            case _:
                raise NotImplementedError(f"the embedded engine has no docker {' '.join(args)}")

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[Engine]:
        """It on a socket, to which Docker's own program connects: to be run off the event loop, which serves it."""
        async with self.fake.serve() as host:
            yield _Served(self.api_version, host)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, check: bool = True) -> bytes:
        status, _, said = self.request(method, f"/v{self.api_version}{path}", body)
        assert status < 300 or not check, said
        return said


class _Served(Engine):
    """An embedded engine on a socket, with the program of the release that it behaves as."""

    def __init__(self, api_version: str, host: str) -> None:
        super().__init__(next(one.name for one in RELEASES.values() if one.api_version == api_version))
        self._host = host
        self._folder = Path(self.socket).parent

    @property
    def host(self) -> str:
        """What to set as DOCKER_HOST."""
        return self._host

    @property
    def socket(self) -> str:
        """The path of the socket on which it answers."""
        return self._host.removeprefix("unix://")


class FakeRegistry(Registry):
    """A registry of an embedded engine in the place of a real one."""

    def __init__(self, engine: FakeHarness) -> None:
        super().__init__(engine)
        self._fake = engine.fake

    def start(self) -> None:
        """Let it answer, and ask for the password."""
        self._fake.registry_up()
        self._fake.protect_registry(self.address, username=self.username, password=self.password)

    def stop(self) -> None:
        """Let it answer no more."""
        self._fake.registry_down()

    def push(self, image: str) -> str:
        """Have an image; return its reference, of which no node has a copy."""
        reference = f"{self.address}/{image}"
        self._fake.remove_image(reference)
        self._fake.add_image(reference, pulled=False, platforms=[f"linux/{ARCHITECTURE}"])
        return reference


def connect(engine: Engine, package: type[SwarmClient] = SwarmClient, **options: Any) -> SwarmClient:
    """A client of an engine, whether that is real; of another version of this package where one is given."""
    if isinstance(engine, FakeHarness):
        return package(transport=engine.fake.transport, **options)
    return package(engine.host, **options)


def nowhere(engine: Engine, image: str) -> None:
    """Let no registry have an image whose name leads nowhere: the embedded engine finds any."""
    if isinstance(engine, FakeHarness):
        engine.fake.remove_image(image)
