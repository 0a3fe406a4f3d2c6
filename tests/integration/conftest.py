"""Owns the engines that the tests of this folder share: one of each release, started once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.engine import Engine
from tests.harness.packages import RELEASES, why_not
from tests.harness.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Every conftest sees all items of the run, whatever folder they are in.
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)


def require_engine(release: str) -> None:
    """Skip the test when this release cannot run here, or fail it where engines are required."""
    if reason := why_not(release):
        if os.environ.get("SWARMKIT_REQUIRE_ENGINES"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


# Under `pytest -n N --dist loadgroup` one worker has the tests of a release and starts its engine only once.
@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A running engine that manages a swarm of its own; shared, so a test removes what it makes."""
    release: str = request.param
    require_engine(release)
    with Engine(release) as running:
        yield running


@pytest.fixture(scope="session")
def registry(engine: Engine) -> Iterator[Registry]:
    """A registry that asks for a password, at an address which the engine can reach."""
    with Registry(engine) as running:
        yield running
