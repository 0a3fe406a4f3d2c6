"""Secrets and configs without any Docker: names in specs, rotations that go well, and all ways in which they do not."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Literal, cast

import anyio
import httpx
import pytest

from swarmkit import (
    BadRequest,
    ConfigReference,
    ConfigReferenceRuntime,
    ConfigSpec,
    ContainerSpec,
    CredentialSpec,
    Driver,
    EngineUnreachable,
    InvalidSpec,
    NameConflict,
    NetworkAttachmentConfig,
    NetworkCreated,
    NetworkCreateRequest,
    NotFound,
    OutcomeUnknown,
    OutOfSequence,
    Privileges,
    Replicated,
    ReplicatedJob,
    RolledBack,
    RolloutFailed,
    RolloutTimeout,
    SecretReference,
    SecretSpec,
    ServiceRemoved,
    ServiceSpec,
    Superseded,
    SwarmClient,
    TaskTemplate,
    UnsupportedFeature,
    UpdateConfig,
    UpdatePaused,
)
from swarmkit.testing import FakeEngine

pytestmark = pytest.mark.anyio

Kind = Literal["secret", "config"]
IMAGE: Final = "nginx:1.27"
DATA: Final = "hunter2-is-the-password"

both = pytest.mark.parametrize("kind", ["secret", "config"])


class Door(httpx.AsyncBaseTransport):
    """The way to an engine; notes what goes through, and does something first when the wanted request comes."""

    def __init__(self, engine: FakeEngine) -> None:
        self.clock = engine.clock
        self.passed: list[str] = []
        self._inner = engine.transport
        self._plans: list[tuple[str, Callable[[], Awaitable[object]]]] = []

    def before(self, request: str, do: Callable[[], Awaitable[object]]) -> None:
        """When the next request that begins so comes, do this first."""
        self._plans.append((request, do))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/", 2)[-1] if request.url.path.startswith("/v") else request.url.path[1:]
        line = f"{request.method} /{path}"
        self.passed.append(line)
        for plan in [*self._plans]:
            if line.startswith(plan[0]):
                self._plans.remove(plan)
                await plan[1]()
        return await self._inner.handle_async_request(request)

    def changes(self) -> list[str]:
        """The requests that change something, without ids."""
        return [line for line in self.passed if not line.startswith("GET")]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def door(engine: FakeEngine) -> Door:
    return Door(engine)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[SwarmClient]:
    async with SwarmClient(transport=door, registry_auth=None) as client:
        await client.api_version()
        door.passed.clear()
        yield client


def documents(client: SwarmClient, kind: Kind) -> Any:
    return client.secrets if kind == "secret" else client.configs


def with_one(kind: Kind, *names: str) -> TaskTemplate:
    given: dict[str, Any] = {f"{kind}s": [*names]}
    return TaskTemplate(container_spec=ContainerSpec(IMAGE, **given))


async def used(client: SwarmClient, service: str, kind: Kind) -> list[tuple[str, str]]:
    """The names that a service refers to, each with its file; ids must belong to them."""
    spec = (await client.services.inspect(service)).spec
    found: list[tuple[str, str]] = []
    for one in getattr(spec.container, f"{kind}s") or ():
        name, object_id = getattr(one, f"{kind}_name"), getattr(one, f"{kind}_id")
        assert object_id == (await documents(client, kind).inspect(name)).id
        found.append((name, one.file.name if one.file else ""))
    return found


async def names(client: SwarmClient, kind: Kind) -> list[str]:
    return sorted(one.name for one in await documents(client, kind).list())


# --- create, inspect, list, update, remove ---------------------------------------------------------------------------


@both
async def test_data_is_bytes_text_or_a_file(
    client: SwarmClient, engine: FakeEngine, kind: Kind, tmp_path: Path
) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"\xff\x00")
    for name, data in (("bytes", b"\xff\x00"), ("text", "grün"), ("file", file)):
        await documents(client, kind).create(name, data)
    spec = SecretSpec if kind == "secret" else ConfigSpec
    given = spec(name="whole", data=b"x", labels={"a": "b"})
    created = await documents(client, kind).create(given)

    kept = {one.name: one.spec.data for one in await documents(client, kind).list()}
    here = {"bytes": b"\xff\x00", "text": "grün".encode(), "file": b"\xff\x00", "whole": b"x"}
    assert kept == (dict.fromkeys(here) if kind == "secret" else here)
    assert (await documents(client, kind).inspect("whole")).id == created.id
    assert given == spec(name="whole", data=b"x", labels={"a": "b"})


async def test_a_config_gives_its_data_back(client: SwarmClient) -> None:
    await client.configs.create("conf", "grün")
    assert (await client.configs.inspect("conf")).spec.data == "grün".encode()


@both
async def test_a_file_that_cannot_be_read_is_the_files_own_error(
    client: SwarmClient, door: Door, kind: Kind, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await documents(client, kind).create("a", tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        await documents(client, kind).rotate("a", tmp_path / "absent")
    assert door.passed == []


@both
async def test_a_whole_spec_takes_nothing_beside_it(client: SwarmClient, kind: Kind) -> None:
    spec: Any = (SecretSpec if kind == "secret" else ConfigSpec)(name="a", data=b"x")
    more: list[dict[str, Any]] = [{"data": b"y"}, {"labels": {}}, {"templating": "golang"}]
    for beside in more:
        with pytest.raises(TypeError, match="says it all"):
            await documents(client, kind).create(spec, **beside)


@both
async def test_a_template_of_another_kind_is_refused_here(client: SwarmClient, door: Door, kind: Kind) -> None:
    created = await documents(client, kind).create("good", b"{{.Service.Name}}", templating="golang")
    assert (await documents(client, kind).inspect(created.id)).spec.templating == Driver(name="golang")
    door.passed.clear()
    with pytest.raises(InvalidSpec, match=r"Templating\.Name"):
        await documents(client, kind).create("bad", b"x", templating=Driver(name="jinja"))
    assert door.passed == []


async def test_a_driver_has_the_data(client: SwarmClient) -> None:
    await client.secrets.create("outside", driver="vault")
    assert (await client.secrets.inspect("outside")).spec.driver == Driver(name="vault")


@both
async def test_what_an_old_version_lacks_is_named(engine: FakeEngine, kind: Kind) -> None:
    async with engine.client(api_version="1.36") as client:
        with pytest.raises(UnsupportedFeature, match="Templating"):
            await documents(client, kind).create("a", b"x", templating="golang")
    async with engine.client(api_version="1.24") as client:
        with pytest.raises(UnsupportedFeature, match=rf"/{kind}s: needs API 1\.{25 if kind == 'secret' else 30}"):
            await documents(client, kind).list()


@both
async def test_labels_are_replaced_and_a_conflict_is_read_again(client: SwarmClient, door: Door, kind: Kind) -> None:
    mine = documents(client, kind)
    await mine.create("a", b"x", labels={"one": "1"})

    async def another() -> None:
        await mine.update((await mine.list())[0].id, labels={"other": "2"}, version=first.version)

    first = await mine.inspect("a")
    door.before(f"POST /{kind}s/{first.id}/update", another)
    await mine.update("a", labels={"mine": "3"})
    assert (await mine.inspect("a")).spec.labels == {"mine": "3"}

    with pytest.raises(OutOfSequence) as caught:
        await mine.update("a", labels={}, version=first.version.index)
    now = await mine.inspect("a")
    assert (caught.value.sent, caught.value.current) == (first.version.index, now.version.index)
    assert now.spec.labels == {"mine": "3"}


@both
async def test_a_lost_answer_to_an_update_is_settled_by_reading(
    client: SwarmClient, engine: FakeEngine, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("a", b"x")
    engine.lose_answer()
    await mine.update("a", labels={"b": "c"})
    assert (await mine.inspect("a")).spec.labels == {"b": "c"}


@both
async def test_filters_are_checked_and_names_and_ids_are_alternatives(client: SwarmClient, kind: Kind) -> None:
    mine = documents(client, kind)
    ids = {name: (await mine.create(name, b"x", labels={"of": name})).id for name in ("db", "db-1", "other")}
    found = await mine.list(filters={"name": "DB", "id": ids["other"]})
    assert sorted(one.name for one in found) == ["db", "db-1", "other"]
    assert [one.name for one in await mine.list(filters={"label": "of=db-1"})] == ["db-1"]
    with pytest.raises(ValueError, match="1 validation error"):
        await mine.list(filters={"colour": "red"})


# --- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [SecretReference, ConfigReference])
def test_a_reference_is_written_as_for_dockers_program(
    reference: type[SecretReference] | type[ConfigReference],
) -> None:
    assert reference.parse("db") == reference.named("db")
    whole = reference.named("db", target="/run/x", uid="33", gid="34", mode=0o400)
    assert reference.parse("source=db,target=/run/x,uid=33,gid=34,mode=0400") == whole
    assert reference.parse("src=db,target=/run/x,uid=33,gid=34,mode=0o400") == whole
    for text in ("", "target=x", "db,target=x", "source=db,mode=400", "source=db,mode=0999", "source=db,colour=red",
                 "source=", "source=a,src=b"):  # fmt: skip
        with pytest.raises(ValueError, match="secret" if reference is SecretReference else "config"):
            reference.parse(text)


def test_a_container_spec_takes_names() -> None:
    container = ContainerSpec(secrets=["a", SecretReference.named("b")], configs=["source=c,target=/c"])
    assert container.secrets == [SecretReference.named("a"), SecretReference.named("b")]
    assert container.configs == [ConfigReference.named("c", target="/c")]


@both
async def test_a_name_is_that_name_and_no_other_that_begins_so(client: SwarmClient, door: Door, kind: Kind) -> None:
    for name in ("db-1", "db", "DB2", "d"):
        await documents(client, kind).create(name, b"x")
    door.passed.clear()
    template = with_one(kind, "db", "source=DB2,target=two")
    before = template.model_copy(deep=True)
    await client.services.create(template, name="web")
    assert door.passed == [f"GET /{kind}s", "POST /services/create"]
    assert template == before
    assert await used(client, "web", kind) == [("db", "db"), ("DB2", "two")]
    with pytest.raises(InvalidSpec, match="there is no"):
        await client.services.create(with_one(kind, "Db"))


async def test_all_that_is_missing_is_named_before_anything_is_sent(client: SwarmClient, door: Door) -> None:
    await client.secrets.create("there", b"x")
    door.passed.clear()
    lost = SecretReference.as_file("lost0000000000000000000id", "")
    container = ContainerSpec(IMAGE, secrets=["there", "db", lost], configs=["conf"])
    with pytest.raises(InvalidSpec) as caught:
        await client.services.create(TaskTemplate(container_spec=container), networks=["front", "no network", "host"])
    prefix = "TaskTemplate.ContainerSpec."
    assert [(problem.path, problem.reason) for problem in caught.value.problems] == [
        (f"{prefix}Secrets[1].SecretName", "there is no secret 'db'"),
        (f"{prefix}Secrets[2].SecretID", "there is no secret 'lost0000000000000000000id'"),
        (f"{prefix}Configs[0].ConfigName", "there is no config 'conf'"),
        ("TaskTemplate.Networks[0].Target", "the swarm has no network 'front'"),
        ("TaskTemplate.Networks[1].Target", "the swarm has no network 'no network'"),
    ]
    assert sorted(door.passed) == ["GET /configs", "GET /networks/front", "GET /secrets"]


@both
async def test_an_id_alone_gets_its_name(client: SwarmClient, kind: Kind) -> None:
    created = await documents(client, kind).create("db", b"x")
    reference: Any = SecretReference if kind == "secret" else ConfigReference
    bare = reference.as_file(created.id, "", target="file")
    given: dict[str, Any] = {f"{kind}s": [bare]}
    await client.services.create(TaskTemplate(container_spec=ContainerSpec(IMAGE, **given)), name="web")
    assert await used(client, "web", kind) == [("db", "file")]


@both
async def test_what_is_complete_or_refers_to_nothing_asks_for_nothing(
    client: SwarmClient, door: Door, kind: Kind
) -> None:
    created = await documents(client, kind).create("db", b"x")
    network = await network_of(client, "front")
    reference: Any = SecretReference if kind == "secret" else ConfigReference
    given: dict[str, Any] = {f"{kind}s": [reference.as_file(created.id, "db")]}
    door.passed.clear()
    await client.services.create(TaskTemplate(container_spec=ContainerSpec(IMAGE)), networks=["host"])
    container = ContainerSpec(IMAGE, **given)
    await client.services.create(TaskTemplate(container_spec=container), networks=[network], name="web")
    assert door.passed == ["POST /services/create"] * 2


async def network_of(client: SwarmClient, name: str) -> str:
    engine = client._engine  # pyright: ignore[reportPrivateUsage]
    body = NetworkCreateRequest(name=name, driver="overlay")
    return (await engine.call("POST", "/networks/create", body=body, into=NetworkCreated)).id


async def test_every_change_takes_names(client: SwarmClient, door: Door) -> None:
    for name in ("a", "b"):
        await client.secrets.create(name, b"x")
        await client.configs.create(name, b"x")
    await client.services.create(with_one("secret"), name="web")
    front = await network_of(client, "front")

    container = ContainerSpec(secrets=["a"])
    await client.services.update("web", task_template=TaskTemplate(container_spec=container), networks=["front"])
    assert await used(client, "web", "secret") == [("a", "a")]
    spec = (await client.services.inspect("web")).spec
    assert (spec.task_template and spec.task_template.networks) == [NetworkAttachmentConfig(target=front)]

    def more(spec: ServiceSpec) -> None:
        spec.add_secret("b")
        spec.add_config("source=b,target=/etc/b")

    after = {change.path: change.after for change in (await client.services.preview("web", more)).changes}
    container_spec = "TaskTemplate.ContainerSpec."
    assert after[f"{container_spec}Secrets[1].SecretID"] == (await client.secrets.inspect("b")).id
    assert after[f"{container_spec}Configs[0].ConfigID"] == (await client.configs.inspect("b")).id
    await client.services.edit("web", more)
    assert await used(client, "web", "secret") == [("a", "a"), ("b", "b")]
    assert await used(client, "web", "config") == [("b", "/etc/b")]

    door.passed.clear()
    live = await client.services.inspect("web")
    spec = ServiceSpec(name="web", task_template=with_one("config", "a"))
    await client.services.replace("web", spec, version=live.version)
    assert await used(client, "web", "config") == [("a", "a")]
    with pytest.raises(InvalidSpec, match="no secret 'c'"):
        await client.services.preview("web", lambda spec: spec.add_secret("c"))


async def test_applying_names_twice_does_nothing_the_second_time_and_asks_for_no_names(
    client: SwarmClient, door: Door
) -> None:
    await client.secrets.create("db", b"x")
    await client.configs.create("conf", b"x")
    await network_of(client, "front")
    template = TaskTemplate(
        container_spec=ContainerSpec(IMAGE, secrets=["db"], configs=["conf"]),
        networks=[NetworkAttachmentConfig(target="front"), NetworkAttachmentConfig(target="host")],
    )
    spec = ServiceSpec(name="web", task_template=template)
    assert (await client.services.apply(spec)).outcome == "created"
    door.passed.clear()
    assert (await client.services.apply(spec)).outcome == "unchanged"
    assert {"GET /secrets", "GET /configs"}.isdisjoint(door.passed)
    spec.container.secrets = [SecretReference.named("gone")]
    with pytest.raises(InvalidSpec, match="no secret 'gone'"):
        await client.services.apply(spec)


async def test_a_network_that_is_only_the_beginning_of_an_id_is_none(client: SwarmClient) -> None:
    front = await network_of(client, "front")
    with pytest.raises(InvalidSpec, match="has no network"):
        await client.services.create(with_one("secret"), networks=[front[:4]])


async def test_below_the_version_that_tells_networks_of_swarms_apart_the_engine_finds_them(engine: FakeEngine) -> None:
    async with engine.client(api_version="1.30") as client:
        front = await network_of(client, "front")
        await client.services.create(with_one("secret"), networks=["front"], name="web")
        spec = (await client.services.inspect("web")).spec
        assert (spec.task_template and spec.task_template.networks) == [NetworkAttachmentConfig(target=front)]


async def test_a_credential_spec_names_its_config(client: SwarmClient) -> None:
    created = await client.configs.create("spec", b"{}")
    container = ContainerSpec(
        IMAGE,
        configs=[ConfigReference(config_name="spec", runtime=ConfigReferenceRuntime())],
        privileges=Privileges(credential_spec=CredentialSpec(config="spec")),
    )
    await client.services.create(TaskTemplate(container_spec=container), name="web")

    async def credentials() -> str | None:
        privileges = (await client.services.inspect("web")).spec.container.privileges
        assert privileges is not None
        assert privileges.credential_spec is not None
        return privileges.credential_spec.config

    assert await credentials() == created.id
    rotated = await client.configs.rotate("spec", b"{1}")
    assert await credentials() == rotated.id
    assert rotated.removed == ("spec",)


async def test_the_first_failed_lookup_ends_the_others_and_comes_out_as_itself(
    client: SwarmClient, door: Door, engine: FakeEngine
) -> None:
    async def unplug() -> None:
        engine.refuse_connections()

    async def wait() -> None:
        await anyio.sleep_forever()

    container = ContainerSpec(IMAGE, secrets=["a"], configs=["a"])
    broken = SwarmClient(transport=Door(engine), registry_auth=None)
    await broken.api_version()
    cast("Door", broken._engine._injected).before("GET /secrets", wait)  # pyright: ignore[reportPrivateUsage]
    cast("Door", broken._engine._injected).before("GET /configs", unplug)  # pyright: ignore[reportPrivateUsage]
    with anyio.fail_after(10), pytest.raises(EngineUnreachable):
        await broken.services.create(TaskTemplate(container_spec=container))
    engine.accept_connections()

    door.before("GET /secrets", wait)
    with anyio.move_on_after(0.05) as scope:
        await client.services.create(TaskTemplate(container_spec=container))
    assert scope.cancelled_caught
    assert door.changes() == []


async def test_lookups_at_the_same_time_share_one_deadline(engine: FakeEngine) -> None:
    door = Door(engine)
    async with SwarmClient(transport=door, registry_auth=None, timeout=0.2) as client:
        await client.api_version()
        for kind in ("secrets", "configs"):
            door.before(f"GET /{kind}", anyio.sleep_forever)
        container = ContainerSpec(IMAGE, secrets=["a"], configs=["a"])
        with anyio.fail_after(5), pytest.raises(Exception, match="no answer within"):
            await client.services.create(TaskTemplate(container_spec=container))


# --- rotation --------------------------------------------------------------------------------------------------------


async def service_with(client: SwarmClient, kind: Kind, name: str = "web", **options: Any) -> None:
    await client.services.create(with_one(kind, "db"), name=name, **options)
    await client.services.wait(name)


@both
async def test_a_rotation_swaps_the_references_waits_and_removes_the_old_one(
    client: SwarmClient, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one", labels={"team": "shop"}, templating="golang")
    await client.services.create(with_one(kind, "db", "source=db,target=/run/x,uid=5,gid=6,mode=0400"), name="web")
    await client.services.create(with_one(kind), name="other")
    await client.services.wait("web", "other")
    old = getattr((await client.services.inspect("web")).spec.container, f"{kind}s")
    other = await client.services.inspect("other")

    rotated = await mine.rotate("db", "two")

    assert (rotated.created, rotated.services, rotated.removed, rotated.kept) == (True, ("web",), ("db",), {})
    assert await names(client, kind) == [rotated.name]
    new = await mine.inspect(rotated.name)
    assert (new.id, new.spec.labels["team"], new.spec.templating) == (rotated.id, "shop", Driver(name="golang"))
    assert await used(client, "web", kind) == [(rotated.name, "db"), (rotated.name, "/run/x")]
    now = getattr((await client.services.inspect("web")).spec.container, f"{kind}s")
    assert [one.file for one in now] == [one.file for one in old]
    assert (await client.services.inspect("other")).version == other.version
    assert (await client.services.wait("web")).progress.phase == "converged"

    third = await mine.rotate("db", "three", labels={"team": "till"})
    assert (third.services, third.removed) == (("web",), (rotated.name,))
    assert (await mine.inspect(third.id)).spec.labels["team"] == "till"
    assert await names(client, kind) == [third.name]


@both
async def test_the_same_data_again_changes_nothing(client: SwarmClient, door: Door, kind: Kind) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    first = await mine.rotate("db", "two")
    door.passed.clear()
    again = await mine.rotate("db", "two")
    assert (again.id, again.name, again.created, again.services, again.removed) == (first.id, first.name, False, (), ())
    assert door.changes() == []


async def test_the_name_of_a_secret_does_not_tell_its_data_and_that_of_a_config_does(
    engine: FakeEngine, client: SwarmClient
) -> None:
    one, two = [(await client.secrets.rotate(name, DATA)).name for name in ("a", "b")]
    assert one.removeprefix("a.") != two.removeprefix("b.")
    one, two = [(await client.configs.rotate(name, DATA)).name for name in ("a", "b")]
    assert one.removeprefix("a.") == two.removeprefix("b.")


@both
async def test_a_rotated_name_stands_for_the_newest(client: SwarmClient, engine: FakeEngine, kind: Kind) -> None:
    mine = documents(client, kind)
    first = await mine.rotate("db", "one")
    assert (first.created, first.services) == (True, ())
    spec = ServiceSpec(name="web", task_template=with_one(kind, "db"))
    assert (await client.services.apply(spec)).outcome == "created"
    await client.services.wait("web")
    await client.services.create(with_one(kind, "db"), name="fixed", mode=ReplicatedJob())
    engine.advance(1)
    second = await mine.rotate("db", "two")
    assert second.kept == {first.name: "in use by fixed"}
    assert (await client.services.apply(spec)).outcome == "unchanged"
    assert await used(client, "web", kind) == [(second.name, "db")]
    await client.services.create(with_one(kind, "db"), name="new")
    assert await used(client, "new", kind) == [(second.name, "db")]


@both
async def test_only_the_given_services_change_and_what_the_others_use_is_kept(client: SwarmClient, kind: Kind) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    for name in ("web", "api", "job"):
        await client.services.create(
            with_one(kind, "db"), name=name, mode=ReplicatedJob() if name == "job" else Replicated()
        )
    await client.services.create(with_one(kind), name="stranger")
    with pytest.raises(InvalidSpec, match="service stranger does not use the"):
        await mine.rotate("db", "two", services=["web", "stranger"])
    with pytest.raises(NotFound):
        await mine.rotate("db", "two", services=["absent"])
    with pytest.raises(TypeError, match="list"):
        await mine.rotate("db", "two", services="web")
    assert await names(client, kind) == ["db"]

    part = await mine.rotate("db", "two", services=["web"])
    assert (part.services, part.removed, part.kept) == (("web",), (), {"db": "in use by api, job"})
    assert await used(client, "api", kind) == [("db", "db")]
    rest = await mine.rotate("db", "two")  # jobs would run again: only where they are asked for
    assert (rest.created, rest.services, rest.kept) == (False, ("api",), {"db": "in use by job"})
    last = await mine.rotate("db", "two", services=["job"])
    assert (last.services, last.removed) == (("job",), ("db",))


@both
@pytest.mark.parametrize("action", ["pause", "rollback", "continue"])
async def test_all_is_undone_when_a_rollout_fails(
    client: SwarmClient, engine: FakeEngine, kind: Kind, action: str
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind, "api")
    await service_with(client, kind, "web", update_config=UpdateConfig(parallelism=1, failure_action=action))
    engine.fail_tasks(service="web", times=1 if action == "rollback" else 5)
    if action == "pause":
        engine.run_tasks(service="web")
        engine.fail_tasks(service="web", times=1)
    expected = {"pause": UpdatePaused, "rollback": RolledBack, "continue": RolloutFailed}[action]
    with pytest.raises(expected) as caught:
        await mine.rotate("db", "two")
    assert caught.value.progress.service_name == "web"
    notes = getattr(caught.value, "__notes__", [])
    assert any(note.startswith("undone: service api is to use db again") for note in notes)
    assert any(note.startswith(f"undone: {kind} db.") and note.endswith("is removed") for note in notes)
    assert not any(note.startswith("not undone") for note in notes)
    assert await names(client, kind) == ["db"]
    for service in ("api", "web"):
        assert await used(client, service, kind) == [("db", "db")]
    assert (await client.services.wait("api")).progress.phase == "converged"


@both
async def test_what_cannot_be_undone_is_said(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    engine.fail_tasks(service="web")  # with the old one as well

    with caplog.at_level(logging.WARNING, "swarmkit"), pytest.raises(UpdatePaused) as caught:
        await mine.rotate("db", DATA)
    assert any("not undone: not all services have arrived" in note for note in caught.value.__notes__)
    assert "not all services have arrived" in caplog.text

    async def unplug() -> None:
        engine.refuse_connections()

    caplog.clear()
    deaf = SwarmClient(transport=(way := Door(engine)), registry_auth=None, timeout=1)
    await deaf.api_version()
    way.before("GET /tasks", unplug)
    with caplog.at_level(logging.WARNING, "swarmkit"), pytest.raises(EngineUnreachable) as lost:
        await documents(deaf, kind).rotate("db", DATA)
    told = "\n".join(lost.value.__notes__)
    assert "not undone: service web may still use db." in told
    assert f"not undone: {kind} db." in told
    assert DATA not in told + caplog.text
    engine.accept_connections()


@both
async def test_all_is_undone_when_the_caller_cancels(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    moments = (f"POST /{kind}s/create", "POST /services/", "GET /services", "GET /tasks")
    for moment in moments:
        with anyio.CancelScope() as scope:

            async def cancel(scope: anyio.CancelScope = scope) -> None:
                scope.cancel()
                if moment != f"POST /{kind}s/create":  # noqa: B023 -- it is called within this turn
                    await anyio.lowlevel.checkpoint()

            door.before(moment, cancel)
            await mine.rotate("db", "two")
        assert scope.cancelled_caught, moment
        assert await names(client, kind) == ["db"], moment
        assert await used(client, "web", kind) == [("db", "db")]
    assert (await mine.rotate("db", "two")).removed == ("db",)


@both
async def test_all_is_undone_when_another_change_comes_between(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    other = engine.client()
    door.before("GET /tasks", lambda: other.services.scale("web", 2))
    with pytest.raises(Superseded):
        await mine.rotate("db", "two")
    assert await names(client, kind) == ["db"]
    assert await used(client, "web", kind) == [("db", "db")]
    assert (await client.services.inspect("web")).spec.replicas == 2


@both
async def test_a_service_that_goes_or_changes_meanwhile_is_left_alone(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    other = engine.client()

    async def away() -> None:
        await other.services.update("web", task_template=with_no_references(kind))

    door.before("GET /services/", away)  # between the list and the edit
    rotated = await mine.rotate("db", "two")
    assert (rotated.services, rotated.removed) == ((), ("db",))
    await other.services.edit("web", lambda spec: getattr(spec, f"add_{kind}")("db"))
    await other.services.wait("web")
    door.before("GET /tasks", lambda: other.services.remove("web"))
    with pytest.raises((ServiceRemoved, NotFound)):
        await mine.rotate("db", "three")
    assert await names(client, kind) == [rotated.name]


def with_no_references(kind: Kind) -> TaskTemplate:
    given: dict[str, Any] = {f"{kind}s": None}
    return TaskTemplate(container_spec=ContainerSpec(**given))


@both
async def test_an_edit_that_fails_undoes_those_before(
    client: SwarmClient, door: Door, engine: FakeEngine, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    for name in ("api", "web"):
        await service_with(client, kind, name)
    ids = [one.id for one in await client.services.list()]

    async def gone() -> None:
        await engine.client().services.remove(ids[1])

    door.before(f"GET /services/{ids[1]}", gone)
    with pytest.raises(NotFound):
        await mine.rotate("db", "two")
    assert await names(client, kind) == ["db"]
    (left,) = await client.services.list()
    assert await used(client, left.name, kind) == [("db", "db")]


@both
async def test_two_at_once_come_one_after_the_other(client: SwarmClient, kind: Kind) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    results: list[Any] = []

    async def rotate(data: str) -> None:
        results.append(await mine.rotate("db", data))

    async with anyio.create_task_group() as group:
        for data in ("two", "three", "three"):
            group.start_soon(rotate, data)
    assert len({one.name for one in results}) == 2
    assert await names(client, kind) == [results[-1].name]
    assert await used(client, "web", kind) == [(results[-1].name, "db")]


@both
async def test_another_clients_rotation_to_the_same_data_is_joined(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.rotate("db", "one")
    await service_with(client, kind)
    other = engine.client()
    door.before(f"POST /{kind}s/create", lambda: documents(other, kind).rotate("db", "two"))
    rotated = await mine.rotate("db", "two")
    assert (rotated.created, rotated.services, rotated.removed) == (False, (), ())
    assert await names(client, kind) == [rotated.name]


@both
async def test_a_rollback_to_what_is_removed_is_refused_and_to_what_is_there_is_not(
    client: SwarmClient, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await mine.create("other", "one")
    await service_with(client, kind)
    await client.services.edit("web", lambda spec: getattr(spec, f"add_{kind}")("source=other,target=db"))
    await client.services.rollback("web")
    assert await used(client, "web", kind) == [("db", "db")]
    await mine.rotate("db", "two")
    door.passed.clear()
    with pytest.raises(InvalidSpec, match=f"{kind} 'db' was removed"):
        await client.services.rollback("web")
    assert door.changes() == []


@both
async def test_lost_answers_are_settled_by_looking(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)

    async def lose() -> None:
        engine.lose_answer()

    engine.lose_answer(2)  # that to the create, and that to the update
    door.before("DELETE", lose)
    rotated = await mine.rotate("db", "two")
    assert (rotated.created, rotated.services, rotated.removed) == (True, ("web",), ())
    assert "it may have happened" in rotated.kept["db"]
    assert await names(client, kind) == [rotated.name]


@both
async def test_a_create_of_which_nothing_is_known_is_one_that_was_not_made_if_it_is_not_there(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    async def break_off() -> None:
        raise httpx.ReadError("cut")

    mine = documents(client, kind)
    door.before(f"POST /{kind}s/create", break_off)
    with pytest.raises(OutcomeUnknown):
        await mine.rotate("db", "one")
    assert await names(client, kind) == []


@both
async def test_a_create_that_is_refused_leaves_nothing(client: SwarmClient, engine: FakeEngine, kind: Kind) -> None:
    mine = documents(client, kind)
    with pytest.raises(Exception, match="invalid name"):
        await mine.rotate("x" * 52, "one")
    with pytest.raises(BadRequest, match="larger than 0"):
        await mine.create("nothing", None)
    await mine.create("x" * 51, "one")
    assert len((await mine.rotate("x" * 51, "two")).name) == 64


@both
async def test_time_that_is_up_undoes_all(client: SwarmClient, engine: FakeEngine, kind: Kind) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    await service_with(client, kind)
    with pytest.raises(RolloutTimeout):
        await mine.rotate("db", "two", timeout=1.0)
    assert await names(client, kind) == ["db"]
    assert await used(client, "web", kind) == [("db", "db")]


@both
async def test_an_old_one_that_somebody_else_removed_is_no_matter(
    client: SwarmClient, engine: FakeEngine, door: Door, kind: Kind
) -> None:
    mine = documents(client, kind)
    await mine.create("db", "one")
    other = engine.client()
    door.before("DELETE", lambda: documents(other, kind).remove("db"))
    rotated = await mine.rotate("db", "two")
    assert (rotated.removed, rotated.kept) == ((), {})


async def test_no_secret_is_shown(client: SwarmClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = [repr(SecretSpec(name="a", data=DATA)), repr(await client.secrets.create("db", DATA))]
    await service_with(client, "secret")
    with pytest.raises(NameConflict) as conflict:
        await client.secrets.create("db", DATA)
    engine.fail_tasks(service="web")
    with pytest.raises(RolloutFailed) as failed:
        await client.secrets.rotate("db", DATA)
    for error in (conflict.value, failed.value):
        shown += [repr(error), repr(error.__dict__), *traceback.format_exception(error)]
    with pytest.raises(Exception, match="surrogate") as broken:
        await client.secrets.rotate("db", DATA + "\ud800")
    shown += [repr(broken.value), repr(await client.secrets.list()), caplog.text]
    assert DATA not in "".join(shown)
