"""Credentials and digests: what engines pull with and which image, from a registry that asks for a password."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarmkit import (
    ContainerSpec,
    CredentialsError,
    EngineError,
    Placement,
    RegistryAuth,
    Replicated,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
)
from swarmkit._pinning import PinDigest
from tests.fake import FakeHarness, connect
from tests.harness.engine import ARCHITECTURE, Engine
from tests.harness.packages import RELEASES, program
from tests.harness.recorder import Recorder
from tests.harness.registry import Registry
from tests.helpers import put_helper

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("docker_config", "nothing_shows")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One backend: what an engine pulls with does not depend on it; helpers and lookups have tests on both."""
    return "asyncio"


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
    async with connect(engine) as client:
        yield client


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file that Docker's program would use."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    return tmp_path / "config.json"


def logged_in(registry: Registry, password: str) -> str:
    auth = b64encode(f"{registry.username}:{password}".encode()).decode()
    return json.dumps({"auths": {registry.address: {"auth": auth}}})


def right(registry: Registry) -> RegistryAuth:
    return RegistryAuth(username=registry.username, password=registry.password)


def wrong(registry: Registry) -> RegistryAuth:
    return RegistryAuth(username=registry.username, password="wrong")


def template(image: str) -> TaskTemplate:
    return TaskTemplate(
        container_spec=ContainerSpec(image, command=["sleep", "1000"]),
        restart_policy=RestartPolicy(delay=timedelta(0)),
    )


NONE = ServiceMode(replicated=Replicated(replicas=0))
QUICK = UpdateConfig(monitor=timedelta(milliseconds=100))


async def arrives(client: SwarmClient, tasks: int = 1) -> bool:
    """The tasks of the service run; they cannot where the engine was not let at the image."""
    return tasks == (await client.services.wait("private", timeout=30)).progress.arrived


async def running(client: SwarmClient) -> dict[str, str | None]:
    """The tasks that are to run, with their containers."""
    found: dict[str, str | None] = {}
    for task in await client.tasks.list(filters={"service": "private", "desired-state": "running"}):
        assert task.status is not None
        assert task.status.container_status is not None
        found[task.id] = task.status.container_status.container_id
    return found


# --- what engines pull with ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["file", "helper", "environment", "given"])
async def test_an_engine_pulls_with_the_credentials_and_runs_the_image_by_its_digest(
    client: SwarmClient,
    registry: Registry,
    image: str,
    docker_config: Path,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    more: dict[str, Any] = {}
    match source:
        case "file":
            docker_config.write_text(logged_in(registry, registry.password))
        case "helper":
            kept = json.dumps({"ServerURL": "", "Username": registry.username, "Secret": registry.password})
            put_helper(tmp_path / "bin", "test", f"[ $(cat) = {registry.address} ] && echo '{kept}'", monkeypatch)
            docker_config.write_text(json.dumps({"credHelpers": {registry.address: "test"}}))
        case "environment":
            docker_config.write_text(logged_in(registry, "wrong"))
            monkeypatch.setenv("DOCKER_AUTH_CONFIG", logged_in(registry, registry.password))
        case _:
            more = {"registry_auth": right(registry)}
    created = await client.services.create(
        template(image), name="private", update_config=QUICK, pin_digest="require", **more
    )
    assert [] == created.warnings
    assert await arrives(client)
    spec = (await client.services.inspect("private")).spec
    name, _, digest = spec.image.partition("@")
    assert (image, "sha256:") == (name, digest[:7])
    assert spec.task_template is not None
    assert spec.task_template.placement is not None
    platforms = spec.task_template.placement.platforms or []
    assert [("linux", ARCHITECTURE)] == [(platform.os, platform.architecture) for platform in platforms]
    (task,) = await client.tasks.list(filters={"service": "private"})
    assert task.spec.container_spec is not None
    assert spec.image == task.spec.container_spec.image


@pytest.mark.parametrize("case", ["none in the file", "switched off", "wrong password", "missing helper"])
async def test_without_the_right_credentials_the_tasks_are_rejected(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path, case: str
) -> None:
    match case:
        case "switched off" | "wrong password":
            docker_config.write_text(logged_in(registry, "wrong" if case == "wrong password" else registry.password))
        case "missing helper":
            docker_config.write_text('{"credsStore": "missing"}')
        case _:
            pass
    more: dict[str, Any] = {"registry_auth": None} if case == "switched off" else {}
    created = await client.services.create(template(image), name="private", **more)
    assert (case == "missing helper") == bool(created.warnings)
    with pytest.raises(TasksFailing, match="No such image"):
        await client.services.wait("private", timeout=60)


async def test_credentials_that_were_asked_for_and_cannot_be_had_are_an_error(
    client: SwarmClient, image: str, docker_config: Path
) -> None:
    docker_config.write_text('{"credsStore": "missing"}')
    with pytest.raises(CredentialsError, match="docker-credential-missing"):
        await client.services.create(template(image), name="private", registry_auth="config")
    assert [] == await client.services.list()


# --- what changes keep -----------------------------------------------------------------------------------------------


async def test_a_change_that_leaves_the_image_alone_keeps_the_stored_credentials(
    client: SwarmClient, engine: Engine, registry: Registry, image: str, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    await client.services.create(template(image), name="private", mode=Replicated(replicas=1), update_config=QUICK)
    assert await arrives(client)
    docker_config.unlink()
    await client.services.update("private", labels={"a": "b"})
    await client.services.scale("private", 0)
    assert await arrives(client, 0)
    engine.docker("rmi", "-f", image)
    await client.services.scale("private", 1)  # its task can only run if the engine can pull again
    assert await arrives(client)


@pytest.mark.parametrize("call", ["update", "replace"])
async def test_a_change_of_the_image_looks_the_credentials_up(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path, call: str
) -> None:
    await client.services.create(template("busybox:1.37"), name="private", update_config=QUICK)
    docker_config.write_text(logged_in(registry, registry.password))
    if call == "update":
        await client.services.update("private", task_template=TaskTemplate(container_spec=ContainerSpec(image)))
    else:
        await client.services.wait("private", timeout=30)
        live = await client.services.inspect("private")
        live.spec.container.image = image
        await client.services.replace("private", live.spec, version=live.version)
    assert await arrives(client)


async def test_fresh_credentials_take_the_place_of_the_stored_ones_and_no_task_restarts(
    client: SwarmClient, engine: Engine, registry: Registry, image: str, docker_config: Path
) -> None:
    await client.services.create(
        template(image), name="private", update_config=QUICK, mode=Replicated(replicas=1), registry_auth=right(registry)
    )
    assert await arrives(client)
    before = await running(client)
    with pytest.raises(CredentialsError, match="Docker's config has none"):
        await client.services.refresh_registry_auth("private")
    docker_config.write_text(logged_in(registry, "wrong"))
    await client.services.refresh_registry_auth("private")
    assert await arrives(client)
    docker_config.write_text(logged_in(registry, registry.password))
    await client.services.refresh_registry_auth("private")
    assert await arrives(client)
    assert before == await running(client)
    assert 1 == len(await client.tasks.list(filters={"service": "private"}))
    engine.docker("rmi", "-f", image)
    await client.services.scale("private", 2)  # the second one runs only if the engine can pull again
    assert await arrives(client, 2)


@pytest.mark.parametrize("way", ["previous-spec", "rollback", "none"])
async def test_the_credentials_before_come_back_when_that_is_asked_for(
    client: SwarmClient, engine: Engine, registry: Registry, image: str, way: str
) -> None:
    await client.services.create(
        template(image), name="private", update_config=QUICK, mode=Replicated(replicas=1), registry_auth=right(registry)
    )
    assert await arrives(client)
    await client.services.refresh_registry_auth("private", registry_auth=wrong(registry))
    if way == "rollback":
        await client.services.rollback("private")
    elif way == "previous-spec":
        await client.services.update("private", registry_auth="previous-spec")
    assert await arrives(client)
    engine.docker("rmi", "-f", image)
    await client.services.scale("private", 2)
    if way != "none":
        assert await arrives(client, 2)
        return
    with pytest.raises(TasksFailing, match="No such image"):
        await client.services.wait("private", timeout=60)


# --- digests ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(registry: Registry, image: str) -> Iterator[None]:
    """The registry is down."""
    registry.stop()
    yield
    registry.start()


async def stays_unpinned(client: SwarmClient, image: str, words: str, **more: Any) -> None:
    """With "require" nothing is created, with "try" the tag stays, and a warning says why."""
    with pytest.raises(EngineError, match=words):
        await client.services.create(template(image), name="private", pin_digest="require", **more)
    assert [] == await client.services.list()
    created = await client.services.create(template(image), name="private", pin_digest="try", **more)
    (warning,) = created.warnings
    assert words in warning
    assert warning.startswith(f"{image} is not pinned to a digest")
    spec = (await client.services.inspect("private")).spec
    assert (image, None) == (spec.image, spec.task_template and spec.task_template.placement)


async def test_a_registry_says_what_it_has_to_whoever_may_know(
    client: SwarmClient, image: str, registry: Registry, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    found = await client.system.distribution(image)
    assert (found.descriptor.digest or "").startswith("sha256:")
    assert [("linux", ARCHITECTURE)] == [(one.os, one.architecture) for one in found.platforms or ()]
    by_digest = f"{image.rpartition(':')[0]}@{found.descriptor.digest}"
    same = await client.system.distribution(by_digest, registry_auth=right(registry))
    assert found.descriptor.digest == same.descriptor.digest
    for option, words in ((None, "no basic auth credentials"), (wrong(registry), "unauthorized")):
        with pytest.raises(EngineError, match=words):
            await client.system.distribution(image, registry_auth=option)


async def test_no_digest_without_credentials(client: SwarmClient, image: str) -> None:
    await stays_unpinned(client, image, "no basic auth credentials")


async def test_no_digest_with_a_wrong_password(client: SwarmClient, image: str, registry: Registry) -> None:
    await stays_unpinned(client, image, "unauthorized", registry_auth=wrong(registry))


@pytest.mark.usefixtures("stopped")
async def test_no_digest_while_the_registry_is_down(client: SwarmClient, image: str, registry: Registry) -> None:
    await stays_unpinned(client, image, "connection refused", registry_auth=right(registry))


async def test_no_digest_of_what_the_registry_does_not_have(
    client: SwarmClient, image: str, registry: Registry, engine: Engine
) -> None:
    missing = image.replace("1.36", "0")
    if isinstance(engine, FakeHarness):
        engine.fake.remove_image(missing)  # its registries have everything else
    await stays_unpinned(client, missing, "manifest unknown", registry_auth=right(registry))


async def test_an_image_is_pinned_by_a_change_and_its_platforms_go_with_it(
    client: SwarmClient, registry: Registry, image: str, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    newer = registry.push("busybox:1.37")
    await client.services.create(template(image), name="private", update_config=QUICK)
    kept = await client.services.update("private", labels={"a": "b"})
    pinned = await client.services.update("private", pin_digest="require")
    first = (await client.services.inspect("private")).spec
    unpinned = await client.services.update("private", task_template=TaskTemplate(container_spec=ContainerSpec(newer)))
    (warning,) = unpinned.warnings
    again = await client.services.update(
        "private", task_template=TaskTemplate(container_spec=ContainerSpec(image)), pin_digest="try"
    )
    second = (await client.services.inspect("private")).spec
    anywhere = TaskTemplate(container_spec=ContainerSpec(newer), placement=Placement(platforms=None))
    freed = await client.services.update("private", task_template=anywhere)
    assert [[], [], [], []] == [kept.warnings, pinned.warnings, again.warnings, freed.warnings]
    assert f"{newer} is new" in warning
    assert image == first.image.partition("@")[0]
    assert first.image == second.image != image
    assert newer == (await client.services.inspect("private")).spec.image
    assert await arrives(client)


async def test_a_digest_is_no_change_of_an_applied_spec_unless_it_is_asked_for(
    client: SwarmClient, registry: Registry, image: str
) -> None:
    wanted = ServiceSpec(name="private", task_template=template(image), mode=NONE)
    access = right(registry)
    assert "created" == (await client.services.apply(wanted, registry_auth=access)).outcome
    pinned = await client.services.apply(wanted, registry_auth=access, pin_digest="require")
    live = await client.services.inspect("private")
    assert "updated" == pinned.outcome
    assert "TaskTemplate.ContainerSpec.Image" in {change.path for change in pinned.changes}
    assert f"{image}@sha256:" in live.spec.image

    pins: list[PinDigest] = ["never", "try", "require"]
    for pin in pins:
        assert "unchanged" == (await client.services.apply(wanted, registry_auth=access, pin_digest=pin)).outcome
    registry.stop()
    try:
        tried = await client.services.apply(wanted, registry_auth=access, pin_digest="try")
    finally:
        registry.start()
    assert "unchanged" == tried.outcome
    assert "connection refused" in tried.warnings[0]
    assert live.version == (await client.services.inspect("private")).version


async def test_what_is_stored_is_what_the_docker_program_would_store(
    client: SwarmClient, docker_program: Engine, registry: Registry, image: str, docker_config: Path
) -> None:
    docker_config.write_text(logged_in(registry, registry.password))
    words = ["service", "create", "--detach", "--quiet", "--with-registry-auth", "--replicas", "0", "--name", "private"]
    stored: list[Any] = []
    for by_program in (True, False):
        if by_program:
            command, _ = docker_program.docker_command(*words, image)
            await anyio.run_process(command, env=os.environ)
        else:
            given = TaskTemplate(container_spec=ContainerSpec(image))
            await client.services.create(given, name="private", pin_digest="require", mode=Replicated(replicas=0))
        spec = (await client.services.inspect("private")).spec
        stored.append((spec.image, spec.task_template and spec.task_template.placement))
        await client.services.remove("private")
    assert stored[0] == stored[1]
    assert "@sha256:" in stored[0][0]


# --- the bytes of the docker program ---------------------------------------------------------------------------------

HUB = "https://index.docker.io/v1/"
PLACE = "registry.example:5000"
IMAGE = f"{PLACE}/team/app:1"
ODD = 'ü<&>:pä"\\/\t\x01\u2028😀>&<'


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Case:
    """A user's configuration, and an image."""

    config: dict[str, Any]
    image: str = IMAGE
    answer: str = ""
    """What the helper says."""
    environment: dict[str, Any] | None = None
    since: str = "20.10"
    """The first release whose program looks there, or sends the registry's name along."""


CASES = {
    "a password": Case({"auths": {PLACE: {"auth": encoded("me:pw")}}}),
    "odd characters": Case({"auths": {PLACE: {"auth": encoded(ODD)}}}),
    "zeros around it": Case({"auths": {PLACE: {"auth": encoded("me:\0pw\0")}}}),
    "in lines": Case({"auths": {PLACE: {"auth": "bWU6\ncHc=\n"}}}),
    "in the clear": Case({"auths": {PLACE: {"username": "me", "password": "pw"}}}),
    "an identity token": Case({"auths": {PLACE: {"auth": encoded("0:"), "identitytoken": "tok"}}}),
    "a registry token": Case({"auths": {PLACE: {"registrytoken": "tok"}}}),
    "a token's user in the file": Case({"auths": {PLACE: {"auth": encoded("<token>:tok")}}}),
    "an old URL": Case({"auths": {f"https://{PLACE}/v1/": {"auth": encoded("me:pw")}}}),
    "Docker Hub": Case({"auths": {HUB: {"auth": encoded("me:pw")}}}, "team/app:1"),
    "Docker Hub by another name": Case({"auths": {HUB: {"auth": encoded("me:pw")}}}, "index.docker.io/team/app:1"),
    "an own helper": Case(
        {"credHelpers": {PLACE: "test"}, "credsStore": "other", "auths": {PLACE: {"auth": encoded("x:y")}}},
        answer='{"ServerURL":"x","Username":"me","Secret":"p<w>"}',
    ),
    "no helper for this one": Case(
        {"credHelpers": {PLACE: ""}, "credsStore": "test", "auths": {PLACE: {"auth": encoded("me:pw")}}}
    ),
    "a helper for all": Case({"credsStore": "test"}, answer='{"Username":"me","Secret":"pw"}', since="26.1"),
    "a helper for Docker Hub": Case(
        {"credsStore": "test"}, "nginx:1", answer='{"Username":"me","Secret":"pw"}', since="26.1"
    ),
    "a helper's token": Case({"credsStore": "test"}, answer='{"Username":"<token>","Secret":"tok"}', since="26.1"),
    "a helper with a registry token beside": Case(
        {"credsStore": "test", "auths": {PLACE: {"auth": encoded("x:y"), "registrytoken": "tok"}}},
        answer='{"Username":"me","Secret":"pw"}',
    ),
    "a registry token beside a helper that has nothing": Case(
        {"credsStore": "test", "auths": {PLACE: {"registrytoken": "tok"}}}, since="26.1"
    ),
    "the environment": Case(
        {"auths": {PLACE: {"auth": encoded("x:y")}}}, environment={PLACE: {"auth": encoded("me:pw")}}, since="28.5"
    ),
    "another registry's in the environment": Case(
        {"auths": {PLACE: {"auth": encoded("me:pw")}}}, environment={f"https://{PLACE}": {"auth": encoded("x:y")}}
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_the_header_is_the_one_that_the_docker_program_sends(
    engine: Engine,
    recorder: Recorder,
    docker_config: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    case = CASES[name]
    script = f"echo '{case.answer}'" if case.answer else "echo credentials not found in native keychain; exit 1"
    put_helper(tmp_path / "bin", "test", script, monkeypatch)
    docker_config.write_text(json.dumps(case.config))
    if case.environment is not None:
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": case.environment}))
    # The program of the engine's own release, unless that is too old to look there.
    release = max(engine.release, case.since, key=list(RELEASES).index)
    words = ["service", "create", "--detach", "--quiet", "--with-registry-auth", "--replicas", "0", "--name", "asked"]
    done = await anyio.run_process(
        [program("docker", release), "--host", recorder.host, *words, case.image], env=os.environ, check=False
    )
    assert 0 == done.returncode, done.stderr
    theirs = recorder.credentials()
    engine.docker("service", "rm", "asked")
    async with SwarmClient(recorder.host) as client:
        await client.services.create(
            TaskTemplate(container_spec=ContainerSpec(case.image)),
            name="asked",
            mode=Replicated(replicas=0),
            pin_digest="try",
        )
    ours = recorder.credentials()
    engine.docker("service", "rm", "asked")
    questions = [f"GET /distribution/{case.image.removeprefix('index.docker.io/')}/json", "POST /services/create"]
    assert questions == [question for question, _ in theirs]
    assert theirs == ours


# --- references ------------------------------------------------------------------------------------------------------

NEWER = ("LOCALHOST/a", "[::1]:5000/a:b", "[fe80::1]/a")
"""What the oldest engine does not take yet."""
DIGEST = "sha256:" + "0123456789abcdef" * 4
REFERENCES: dict[str, bool] = {
    "a": True,
    "a:b": True,
    f"a@{DIGEST}": True,
    f"a:b@{DIGEST}": True,
    "docker.io/a": True,
    "index.docker.io/a/b": True,
    "localhost/a": True,
    "LOCALHOST/a": True,
    "localhost:5000/a": True,
    "[::1]:5000/a:b": True,
    "[fe80::1]/a": True,
    "a.b/c/d__e--f.g": True,
    "a:_": True,
    "a:" + "t" * 128: True,
    "f" * 63: True,
    "a/b/c/d/e/f": True,
    "a" * 200 + "/b": True,
    "": False,
    "A": False,
    "a/B": False,
    "a:": False,
    "a:" + "t" * 129: False,
    "a:-b": False,
    "a:b c": False,
    "a@": False,
    "a@sha256:0123456789abcdef0123456789abcdef": False,
    f"a@{DIGEST[:-1]}": False,
    f"a@{DIGEST}0": False,
    f"a@{DIGEST.replace('a', 'A')}": False,
    "a@md5:0123456789abcdef0123456789abcdef": False,
    f"a@sha512:{'0' * 128}": True,
    f"a@sha384:{'0' * 96}": True,
    f"a@sha512:{'0' * 64}": False,
    f"a@other:{'0' * 64}": False,
    "a//b": False,
    "a/": False,
    "/a": False,
    "a___b": False,
    "a..b": False,
    "-a/b": False,
    ".a/b": False,
    "[::1/a": False,
    "https://a/b": False,
    "a.b:c/d": False,
    "é": False,
    "f" * 64: False,
    "a" * 256: False,
}


def refuses(engine: Engine, image: str, name: str) -> bool:
    """Whether an engine says that this is no image reference."""
    spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": 0}}}
    status, _, said = engine.request("POST", f"/v{engine.api_version}/services/create", spec)
    assert status in (201, 400), said
    if status == 201:
        engine.docker("service", "rm", json.loads(said)["ID"])
    return status == 400


def test_references_are_read_as_engines_read_them(engine: Engine) -> None:
    unknown = NEWER if engine.release == "20.10" else ()
    assert {image: not valid or image in unknown for image, valid in REFERENCES.items()} == {
        image: refuses(engine, image, f"reference-{number}") for number, image in enumerate(REFERENCES)
    }
