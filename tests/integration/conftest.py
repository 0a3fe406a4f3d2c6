"""Owns the engines that the tests of this folder share: one of each release, started once, and embedded ones beside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

from tests.fake import VERSIONS, FakeHarness, FakeRegistry, connect
from tests.harness.engine import Engine, loopback
from tests.harness.packages import RELEASES, HarnessError, program, why_not
from tests.harness.recorder import Recorder
from tests.harness.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from swarmkit import SwarmClient

_HERE = Path(__file__).parent
FAKES: Final = tuple(f"fake {version}" for version in VERSIONS)


NOT_ON_THE_FAKE: Final = {
    "test_harness.py": "is about the harness of real engines itself",
    "test_examples.py": "runs programs that connect to a socket; test_demo.py runs the demo on the embedded engine",
    "test_connections.py": "is about the ways to an engine, and this one has no process that could stop answering",
    "test_restarts.py": "kills the engine's process",
    "stubborn": "needs a container that does not stop when it is told to",
    "recorder": "listens on the socket of a real engine",
}
"""What an engine without containers and sockets cannot have, by file or fixture, and why."""


WITH_TRIO: Final = ("26.1", "fake 1.45")
"""The engines on which tests run on both backends; elsewhere asyncio has to do: there are only fifteen minutes."""
WITHOUT_TRIO: Final = frozenset(
    (
        "test_bodies.py",
        "test_changes.py",
        "test_cluster.py",
        "test_logs.py",
        "test_networks.py",
        "test_nodes.py",
        "test_rollouts.py",
        "test_round_trip.py",
        "test_secrets.py",
        "test_services.py",
        "test_swarm.py",
        "test_versions.py",
    )
)
"""Tests that do so on no real engine: they are long, or about bodies, which know no event loop."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Every conftest sees all items of the run, whatever folder they are in.
    left_out = list[pytest.Item]()
    for item in items:
        if _HERE not in item.path.parents:
            continue
        function = item if isinstance(item, pytest.Function) else None
        parameters = getattr(getattr(function, "callspec", None), "params", {})
        engine = parameters.get("engine")
        uses = {item.path.name, *(function.fixturenames if function is not None else ())}
        if engine not in FAKES or "docker_program" in uses:
            item.add_marker(pytest.mark.engine)  # it needs what is fetched with the engines
        if engine in FAKES and uses & NOT_ON_THE_FAKE.keys():
            left_out.append(item)
        if engine in FAKES and "docker_program" in uses and engine not in WITH_TRIO:
            left_out.append(item)  # the program is the same one on all of them
        name = engine or parameters.get("own")  # the name of a shared engine, or of one that a test may end
        once = name not in WITH_TRIO or (name not in FAKES and item.path.name in WITHOUT_TRIO)
        if name is not None and once and parameters.get("anyio_backend") == "trio":
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def require_engine(release: str) -> None:
    """Skip the test when this release cannot run here, or fail it where engines are required."""
    if reason := why_not(release):
        unavailable(reason)


def unavailable(reason: str) -> NoReturn:
    """Skip the test because something is missing here, or fail it where engines are required."""
    if os.environ.get("SWARMKIT_REQUIRE_ENGINES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# Under `pytest -n N --dist loadgroup` one worker has the tests of a release and starts its engine only once.
@pytest.fixture(
    scope="session",
    params=[*(pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES), *FAKES],
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A running engine that manages a swarm of its own; shared, so a test removes what it makes."""
    release: str = request.param
    if release in FAKES:
        yield FakeHarness(release.removeprefix("fake "))
        return
    require_engine(release)
    with Engine(release, tcp=loopback()) as running:
        yield running


@pytest.fixture(scope="session")
def registry(engine: Engine) -> Iterator[Registry]:
    """A registry that asks for a password, at an address which the engine can reach."""
    with FakeRegistry(engine) if isinstance(engine, FakeHarness) else Registry(engine) as running:
        yield running


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """A socket before the engine's own, that keeps what goes through."""
    with Recorder(engine) as running:
        yield running


@pytest.fixture
async def docker_program(engine: Engine, anyio_backend: str) -> AsyncIterator[Engine]:
    """An engine that Docker's own program can speak to, off the event loop: an embedded one is served on that."""
    del anyio_backend  # named, so that a test without a loop has one
    if not isinstance(engine, FakeHarness):
        yield engine
        return
    async with engine.served() as served:
        try:
            program("docker")
        except HarnessError as error:
            unavailable(str(error))
        yield served


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[SwarmClient]:
    """A client that sends no registry credentials."""
    async with connect(engine, registry_auth=None) as client:
        yield client


@pytest.fixture
def clean(engine: Engine) -> Iterator[None]:
    """No service of a test is left for the next one."""
    yield
    _, _, body = engine.request("GET", f"/v{engine.api_version}/services")
    for service in json.loads(body):
        engine.request("DELETE", f"/v{engine.api_version}/services/{service['ID']}")
