"""Fixtures for test suites: `pytest_plugins = ["swarmkit.testing.pytest"]`.

They need no event loop, so they serve anyio's plugin and pytest-asyncio alike. Owns: those fixtures, and nothing else.
"""

from __future__ import annotations

import pytest

from ..client import SwarmClient
from . import FakeEngine

__all__ = ["swarm_client", "swarm_engine"]


@pytest.fixture
def swarm_engine() -> FakeEngine:
    """A Swarm manager in memory, a new one for each test. Define a fixture of this name to have another one."""
    return FakeEngine()


@pytest.fixture
def swarm_client(swarm_engine: FakeEngine) -> SwarmClient:
    """A client of that manager. It has no connections, so nothing is left to close."""
    return swarm_engine.client()
