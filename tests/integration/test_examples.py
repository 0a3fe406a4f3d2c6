"""The examples, run as a user runs them, on real engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.engine import Engine

EXAMPLES = Path(__file__).parents[2] / "examples"
RELEASE = "28.5"  # they take a while, and each of their steps has a test on every release

pytestmark = pytest.mark.parametrize(
    "engine", [pytest.param(RELEASE, marks=pytest.mark.xdist_group(RELEASE))], indirect=True
)


def run(name: str, engine: Engine) -> str:
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert engine.docker("service", "ls", "-q").strip() == ""
    return done.stdout


def test_the_example_of_the_readme(engine: Engine) -> None:
    engine.docker("tag", "busybox:1.36", "nginx:1.28")
    lines = run("quickstart.py", engine).splitlines()
    assert [["1", "running"], ["2", "running"]] == [line.split()[:2] for line in lines]


def test_the_demo_tells_the_whole_story(engine: Engine) -> None:
    story = run("rollout.py", engine)
    for step in ("1. create", "2. converge", "3. logs", "4. update", "5. scale", "6. an", "7. roll back", "8. removed"):
        assert f"\n{step}" in story
    assert f"talking API {engine.api_version}" in story
    assert "stdout: hello from task" in story
    assert "2 replicas of busybox:1.37" in story
    assert "RolledBack: service swarmkit-demo" in story
