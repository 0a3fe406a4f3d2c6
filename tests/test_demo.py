"""The demo where there is no engine to tell it on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .stub import StubEngine, refusal

DEMO = Path(__file__).parents[1] / "examples" / "rollout.py"


def tell(host: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCKER_HOST": host}
    return subprocess.run([sys.executable, DEMO], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("host", ["unix:///run/no-such-folder/docker.sock", "tcp://127.0.0.1:1", "ftp://x"])
def test_without_an_engine_the_demo_says_that_it_needs_one(host: str) -> None:
    told = tell(host)
    assert told.returncode == 1
    assert "this demo needs a Docker engine" in told.stderr
    assert "Traceback" not in told.stderr


def test_without_a_swarm_the_demo_says_what_to_do() -> None:
    no_manager = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect'
    with StubEngine(lambda _: refusal(503, no_manager)) as engine:
        told = tell(engine.host)
    assert told.returncode == 1
    assert "docker swarm init" in told.stderr
    assert "Traceback" not in told.stderr
