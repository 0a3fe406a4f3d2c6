"""The doctor says what it finds, what is wrong, and what to do about it, and shows no secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from swarmkit.__main__ import main
from swarmkit.testing import FakeEngine

from .stub import StubEngine, answer, refusal
from .test_hosts import config, context


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's config folder, empty, and no other wish of the surroundings."""
    for name in ("HOST", "CONTEXT", "TLS", "TLS_VERIFY", "CERT_PATH", "API_VERSION", "AUTH_CONFIG"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


Told = dict[str, str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Told]]:
    """The exit status, and what is said of each thing; what goes on in another line is the thing before's."""

    def run(*arguments: str) -> tuple[int, Told]:
        status = main(arguments)
        found, name = Told(), ""
        for line in capsys.readouterr().out.splitlines():
            name = line[:12].strip() or name
            found[name] = f"{found[name]}\n{line[13:]}" if name in found else line[13:]
        return status, found

    return run


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("1.45")


@pytest.fixture
def host(engine: FakeEngine) -> Iterator[str]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(engine.serve()) as host:
        yield host


def test_a_manager_is_found_and_described(
    told: Callable[..., tuple[int, Told]], engine: FakeEngine, host: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add_node("worker-1")
    config(folder, auths={"ghcr.io": {"auth": "c2VjcmV0OnNlY3JldA=="}})
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setenv("DOCKER_API_VERSION", "1.44")
    status, found = told()
    assert (0, "can be managed") == (status, found["services"])
    assert (f"{host}, by DOCKER_HOST", "none, a socket of this machine") == (found["host"], found["TLS"])
    assert "Docker/26.1.5 (linux)" == found["engine"]
    assert "1.44 is spoken, as DOCKER_API_VERSION asks; the engine's newest is 1.45" == found["API"]
    assert "the leader; nodes: 2, managers among them: 1" == found["swarm"]
    assert f"{folder}/config.json, which can be read" == found["credentials"]
    assert "pydantic " in found["Python"]
    assert "c2VjcmV0" not in str(found)


@pytest.mark.parametrize(
    ("by", "source"),
    [
        ("argument", "by context 'far', which --context names"),
        ("environment", "by context 'far', which DOCKER_CONTEXT names"),
        ("file", "by context 'far', which the config file names"),
    ],
)
def test_it_says_who_named_the_context(
    told: Callable[..., tuple[int, Told]],
    host: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    source: str,
) -> None:
    context(folder, "far", {"docker": {"Host": host}})
    if by == "environment":
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
    if by == "file":
        config(folder, currentContext="far")
    status, found = told(*(["--context", "far"] if by == "argument" else []))
    assert (0, f"{host}, {source}") == (status, found["host"])


@pytest.mark.parametrize(
    ("trouble", "swarm", "advice"),
    [
        ("inactive", "inactive", "docker swarm init"),
        ("worker", "a worker", "name a manager"),
        ("locked", "locked", "docker swarm unlock"),
        ("no quorum", "a manager", "start the other managers"),
    ],
)
def test_what_keeps_services_from_being_managed_is_told_with_what_to_do(
    told: Callable[..., tuple[int, Told]], monkeypatch: pytest.MonkeyPatch, trouble: str, swarm: str, advice: str
) -> None:
    monkeypatch.setattr("swarmkit.__main__._PATIENCE", 0.5)  # what an election may take
    engine = FakeEngine() if trouble == "no quorum" else FakeEngine(swarm=trouble)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if trouble == "no quorum":
        engine.lose_quorum()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(engine.serve()) as host:
        status, found = told("--host", host)
    assert (1, swarm) == (status, found["swarm"])
    assert found["services"].startswith("cannot be managed: GET /nodes: ")
    assert advice in found["services"].splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "unix:///run/no/docker.sock"], "is dockerd running? Start it, or say where one listens"),
        (["--host", "tcp://127.0.0.1:1"], "is dockerd running? Start it, or say where one listens"),
        (["--context", "none"], "`docker context ls` tells"),
        (["--host", "x"], "expected unix:///PATH"),
    ],
)
def test_no_engine_is_told_with_what_to_do(
    told: Callable[..., tuple[int, Told]], arguments: list[str], says: str
) -> None:
    status, found = told(*arguments)
    assert 1 == status
    assert says in found["services"]


@pytest.mark.parametrize("said", [refusal(404, "page not found"), answer(b"<html>", status=200, api=None)])
def test_what_is_no_engine_is_told_apart(told: Callable[..., tuple[int, Told]], said: bytes) -> None:
    with StubEngine(lambda _: said, ping=lambda: said, tcp=True) as stub:
        status, found = told("--host", stub.host)
    assert 1 == status
    assert "no Docker engine" in found["services"] or "names no API version" in found["services"]


@pytest.mark.parametrize("host", ["ssh://hidden@127.0.0.1:1", "ssh://me:hidden@127.0.0.1", "tcp://me:hidden@x:1"])
def test_it_shows_no_user_of_a_host(told: Callable[..., tuple[int, Told]], host: str) -> None:
    status, found = told("--host", host)
    assert 1 == status
    assert "hidden" not in str(found)


def test_credentials_that_cannot_be_read_are_told_without_their_content(
    told: Callable[..., tuple[int, Told]], host: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.json").write_text("hidden")
    assert f"cannot be read: {folder}/config.json: not a JSON object" == told("--host", host)[1]["credentials"]
    config(folder)
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"hidden": 1}))
    status, found = told("--host", host)
    assert (0, True) == (status, "DOCKER_AUTH_CONFIG" in found["credentials"])
    assert "hidden" not in str(found)


def test_another_package_of_that_name_is_told(
    told: Callable[..., tuple[int, Told]], host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "another" not in told("--host", host)[1]["swarmkit"]
    stranger = tmp_path / "site"
    (stranger / "swarmkit").mkdir(parents=True)
    (stranger / "swarmkit" / "__init__.py").touch()
    (stranger / "swarmkit-9.dist-info").mkdir()
    (stranger / "swarmkit-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: swarmkit\nVersion: 9\n")
    monkeypatch.setattr(sys, "path", [str(stranger), *sys.path])
    status, found = told("--host", host)
    assert 0 == status
    assert f"another package swarmkit is in {stranger}/swarmkit" in found["swarmkit"]
    assert "the distribution swarmkit 9 is installed, which is another project" in found["swarmkit"]
