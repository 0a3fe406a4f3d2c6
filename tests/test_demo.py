"""The demo where there is no engine of the user's: it is told on the embedded one, and says so."""

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
    return subprocess.run(
        [sys.executable, DEMO], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def the_whole_story(told: subprocess.CompletedProcess[str]) -> None:
    assert (told.returncode, told.stderr) == (0, "")
    assert "the embedded engine of swarmkit.testing" in told.stdout
    for step in ("1. create", "2. converge", "3. logs", "4. update", "5. scale", "6. an", "7. roll back", "8. removed"):
        assert f"\n{step}" in told.stdout
    assert "stdout: hello from task" in told.stdout
    assert "2 replicas of busybox:1.37" in told.stdout
    assert "RolledBack: service swarmkit-demo" in told.stdout


@pytest.mark.parametrize("host", ["unix:///run/no-such-folder/docker.sock", "tcp://127.0.0.1:1", "ftp://x"])
def test_without_an_engine_the_demo_is_told_on_the_embedded_one(host: str) -> None:
    told = tell(host)
    the_whole_story(told)
    assert "no Docker engine: " in told.stdout


def test_without_a_swarm_it_is_as_well_and_says_what_to_do() -> None:
    no_manager = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect'
    with StubEngine(lambda _: refusal(503, no_manager)) as engine:
        told = tell(engine.host)
    the_whole_story(told)
    assert "docker swarm init" in told.stdout
