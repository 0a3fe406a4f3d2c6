"""Registry credentials, pulled with by real engines from a real registry that asks for a password."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from swarmkit import (
    ContainerSpec,
    RegistryAuth,
    Replicated,
    RestartPolicy,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
)
from tests.harness.engine import Engine
from tests.harness.registry import Registry

pytestmark = pytest.mark.anyio


@pytest.fixture
def image(engine: Engine, registry: Registry) -> Iterator[str]:
    """An image that is in the registry and not on the engine."""
    reference = registry.push("busybox:1.36")
    engine.docker("rmi", "-f", reference, check=False)
    yield reference
    for service in engine.docker("service", "ls", "-q").split():
        engine.docker("service", "rm", service)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[SwarmClient]:
    async with SwarmClient(engine.host) as client:
        yield client


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file that Docker's program would use."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def logged_in(registry: Registry, password: str) -> str:
    auth = b64encode(f"{registry.username}:{password}".encode()).decode()
    return json.dumps({"auths": {registry.address: {"auth": auth}}})


def template(image: str) -> TaskTemplate:
    return TaskTemplate(
        container_spec=ContainerSpec(image, command=["sleep", "1000"]),
        restart_policy=RestartPolicy(delay=timedelta(0)),
    )


QUICK = UpdateConfig(monitor=timedelta(milliseconds=100))


async def test_credentials_of_the_config_file_are_what_the_engine_pulls_with(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    created = await client.services.create(template(image), name="private", update_config=QUICK)
    assert created.warnings == []
    assert 1 == (await client.services.wait("private", timeout=30)).progress.arrived


async def test_credentials_given_explicitly(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path
) -> None:
    auth = RegistryAuth(username=registry.username, password=registry.password)
    await client.services.create(template(image), name="private", update_config=QUICK, registry_auth=auth)
    assert 1 == (await client.services.wait("private", timeout=30)).progress.arrived


@pytest.mark.parametrize("case", ["none in the file", "switched off", "wrong password"])
async def test_without_the_right_credentials_the_tasks_are_rejected(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path, case: str
) -> None:
    if case != "none in the file":
        docker_config.write_text(logged_in(registry, "wrong" if case == "wrong password" else registry.password))
    if case == "switched off":
        await client.services.create(template(image), name="private", registry_auth=None)
    else:
        await client.services.create(template(image), name="private")
    with pytest.raises(TasksFailing, match="No such image"):
        await client.services.wait("private", timeout=60)


async def test_a_change_that_leaves_the_image_alone_keeps_the_stored_credentials(
    client: SwarmClient, engine: Engine, registry: Registry, image: str, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    await client.services.create(template(image), name="private", mode=Replicated(replicas=1), update_config=QUICK)
    await client.services.wait("private", timeout=30)
    docker_config.unlink()
    await client.services.update("private", labels={"a": "b"})
    await client.services.scale("private", 0)
    await client.services.wait("private", timeout=30)
    engine.docker("rmi", "-f", image)
    await client.services.scale("private", 1)  # its task can only run if the engine can pull again
    assert 1 == (await client.services.wait("private", timeout=30)).progress.arrived


async def test_a_change_of_the_image_looks_the_credentials_up(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path
) -> None:
    await client.services.create(template("busybox:1.37"), name="private", update_config=QUICK)
    docker_config.write_text(logged_in(registry, registry.password))
    change = TaskTemplate(container_spec=ContainerSpec(image))
    await client.services.update("private", task_template=change)
    assert 1 == (await client.services.wait("private", timeout=30)).progress.arrived
