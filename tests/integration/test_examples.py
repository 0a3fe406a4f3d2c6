"""The examples, run as a user runs them, on real engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
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


def test_the_backend_deploys_follows_and_removes_a_service(engine: Engine) -> None:
    serve = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "fastapi_app:app"]
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    container = {"Image": "busybox:1.36", "Command": ["sh", "-c", "echo ready; sleep 600"], "StopSignal": "SIGKILL"}
    spec = {"TaskTemplate": {"ContainerSpec": container}, "UpdateConfig": {"Monitor": 500_000_000}}
    with subprocess.Popen(serve, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            with httpx.Client(base_url=f"{url}/services", timeout=60, trust_env=False) as browser:
                assert browser.put("/backend-demo", json=spec).status_code == 201
                assert browser.put("/backend-demo", json=spec).json()["outcome"] == "unchanged"
                told = browser.get("/backend-demo/rollout").text
                assert told.endswith('event: verdict\ndata: {"converged": true}\n\n'), told
                assert browser.get("/backend-demo/status").json()["arrived"] == 1
                with browser.stream("GET", "/backend-demo/logs?follow=true") as lines:
                    assert json.loads(next(lines.iter_lines()))["message"] == "ready"
                assert browser.delete("/backend-demo").status_code == 204
                assert browser.get("/backend-demo").json()["error"] == "NotFound"
        finally:
            server.terminate()
    assert server.returncode in (0, -15)
