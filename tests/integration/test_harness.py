"""The harness itself: engines are what they say, run tasks quickly, and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.harness.engine import IMAGES, Engine
from tests.harness.packages import RELEASES, HarnessError
from tests.integration.conftest import require_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.harness.registry import Registry

_QUICKLY = 20.0


def _eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _QUICKLY
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _create(engine: Engine, spec: dict[str, Any], **headers: str) -> str:
    status, _, body = engine.request("POST", "/services/create", spec, headers)
    assert status == 201, body
    created: dict[str, Any] = json.loads(body)
    identity: str = created["ID"]
    return identity


def _tasks(engine: Engine, service: str) -> list[dict[str, Any]]:
    query = urlencode({"filters": json.dumps({"service": [service]})})
    tasks: list[dict[str, Any]] = json.loads(engine.request("GET", f"/tasks?{query}")[2])
    return tasks


def _states(engine: Engine, service: str) -> list[str]:
    return [task["Status"]["State"] for task in _tasks(engine, service)]


@pytest.fixture
def network(engine: Engine) -> Iterator[str]:
    yield engine.docker("network", "create", "--driver", "overlay", "--attachable", "harness-overlay")
    engine.docker("network", "rm", "harness-overlay")


def test_engine_answers_its_api_version(engine: Engine) -> None:
    """Each engine negotiates exactly the version that its release is known for."""
    status, headers, body = engine.request("GET", "/_ping")
    assert (status, headers["api-version"], body) == (200, RELEASES[engine.release].api_version, b"OK")
    assert engine.docker("version", "--format", "{{.Server.Version}}").startswith(f"{engine.release}.")


def test_engine_is_a_leader(engine: Engine) -> None:
    """A swarm of one node, which leads it, reachable at loopback."""
    (node,) = json.loads(engine.request("GET", "/nodes")[2])
    assert node["ManagerStatus"]["Leader"] is True
    assert node["Status"]["State"] == "ready"


def test_images_differ(engine: Engine) -> None:
    """Both images run, and each tells which it is."""
    versions = [engine.docker("run", "--rm", image, "cat", "/version") for image in IMAGES]
    assert [f"busybox:{version}" for version in versions] == list(IMAGES)


@pytest.mark.parametrize("where", ["default", "overlay"])
def test_service_runs_quickly(engine: Engine, network: str, where: str) -> None:
    """Two replicas run within seconds on every kind of network, and their containers go with the service."""
    networks = {"default": [], "overlay": [{"Target": network}]}[where]
    service = _create(
        engine,
        {
            "Name": f"harness-{where}",
            "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1.36"}, "Networks": networks},
            "Mode": {"Replicated": {"Replicas": 2}},
        },
    )
    try:
        _eventually(lambda: _states(engine, service) == ["running", "running"], "two tasks run")
    finally:
        engine.docker("service", "rm", service)
    label = f"label=com.docker.swarm.service.id={service}"
    _eventually(lambda: not engine.docker("ps", "--all", "--quiet", "--filter", label), "the containers are gone")


def test_missing_image_is_refused_quickly(engine: Engine) -> None:
    """There is no name service in an engine's namespace: a pull fails at once instead of hanging."""
    service = _create(engine, {"Name": "harness-missing", "TaskTemplate": {"ContainerSpec": {"Image": "missing:1"}}})
    try:
        _eventually(lambda: "rejected" in _states(engine, service), "a task is rejected")
    finally:
        engine.docker("service", "rm", service)


def test_registry_asks_for_the_password(engine: Engine, registry: Registry) -> None:
    """An image that is only in the registry runs for whoever has the password, and for nobody else."""
    image = registry.push("busybox:1.37")
    template = {"ContainerSpec": {"Image": image}, "RestartPolicy": {"Condition": "none"}}
    refused = _create(engine, {"Name": "harness-refused", "TaskTemplate": template})
    try:
        _eventually(lambda: _states(engine, refused) == ["rejected"], "the task without credentials is rejected")
        allowed = _create(
            engine,
            {"Name": "harness-allowed", "TaskTemplate": template},
            **{"X-Registry-Auth": registry.auth_header},
        )
        _eventually(lambda: _states(engine, allowed) == ["running"], "the task with credentials runs")
    finally:
        engine.docker("service", "rm", "harness-refused", "harness-allowed", check=False)


def test_refusal_is_a_sentence(engine: Engine) -> None:
    """What the docker program complains about is in the error."""
    with pytest.raises(HarnessError, match="no such service: nothing"):
        engine.docker("service", "inspect", "nothing")
    assert "no such service: nothing" in engine.docker("service", "inspect", "nothing", check=False)


# These start engines of their own, on the worker that has the shared engine of that release.
_EACH_RELEASE = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES]


@pytest.mark.parametrize("release", _EACH_RELEASE)
def test_stop_leaves_nothing(release: str) -> None:
    """No process, namespace, mount, control group or file of an engine outlives it."""
    require_engine(release)
    with Engine(release) as engine:
        service = _create(engine, {"Name": "left", "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1.36"}}})
        _eventually(lambda: _states(engine, service) == ["running"], "the task runs")
        folder, pids = engine.folder, _within(engine.init_pid)
        assert len(pids) > 3
        with _held(engine.init_pid) as space:
            assert space != _namespace(os.getpid())
            engine.stop()
            assert [pid for pid in pids if Path("/proc", str(pid)).exists()] == []
            assert _traces(folder, space) == []


@pytest.mark.parametrize("release", _EACH_RELEASE)
def test_killed_run_leaves_no_engine(release: str) -> None:
    """An engine ends with the process that started it, and the next engine clears away the rest."""
    require_engine(release)
    script = (
        "import os\nfrom tests.harness.engine import Engine\n"
        f"engine = Engine({release!r})\nengine.start()\n"
        "print(engine.folder, engine.init_pid, flush=True)\n"
        "input()\nos.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        folder, init = owner.stdout.readline().split()
        with _held(int(init)) as space:
            owner.stdin.write("\n")
            owner.stdin.close()
            assert owner.wait(30) == -9
            _eventually(lambda: not Path("/proc", init).exists(), "the engine ends with its owner")
            with Engine(release):
                pass
            assert _traces(Path(folder), space) == []


def _within(init: int) -> list[int]:
    """Every process of the engine's process namespace."""
    spaces = Path("/proc", str(init), "ns", "pid").readlink()
    return [pid for pid in _all_pids() if _link(pid, "pid") == str(spaces)]


def _traces(folder: Path, space: str) -> list[str]:
    """Whatever still speaks of an ended engine: files, control groups, network namespaces, mounts."""
    found = [str(path) for path in (folder, *Path("/sys/fs/cgroup").glob(f"**/{folder.name}")) if path.exists()]
    for pid in _all_pids():
        if _link(pid, "net") == space:
            found.append(f"process {pid} in its network namespace")
        try:
            if str(folder) in Path("/proc", str(pid), "mounts").read_text():
                found.append(f"a mount that process {pid} sees")
        except OSError:
            continue
    return found


@contextmanager
def _held(pid: int) -> Generator[str]:
    """The name of a network namespace, held open: else the kernel may give that name to another one."""
    with Path("/proc", str(pid), "ns", "net").open("rb"):
        yield _namespace(pid)


def _namespace(pid: int) -> str:
    return str(Path("/proc", str(pid), "ns", "net").readlink())


def _link(pid: int, kind: str) -> str | None:
    try:
        return str(Path("/proc", str(pid), "ns", kind).readlink())
    except OSError:
        return None


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
