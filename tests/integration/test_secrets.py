"""Secrets and configs on engines: what is kept, what is refused, names in specs, and rotations that containers see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from swarmkit import (
    BadRequest,
    ConfigSpec,
    ContainerSpec,
    EngineError,
    InUse,
    InvalidReference,
    InvalidSpec,
    NameConflict,
    NetworkAttachmentConfig,
    NotFound,
    OutOfSequence,
    Replicated,
    RestartPolicy,
    SecretReference,
    SecretSpec,
    ServiceMode,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    UpdateConfig,
    UpdatePaused,
)
from tests.harness.engine import Engine

Kind = Literal["secret", "config"]
IMAGE: Final = "busybox:1.36"
LARGEST: Final = {"secret": 511_999, "config": 1_023_999}
NONE: Final = Replicated(replicas=0)

both = pytest.mark.parametrize("kind", ["secret", "config"])


@pytest.fixture
def nothing_left(engine: Engine, clean: None) -> Iterator[None]:
    """No secret, config or network of a test is left for the next one; services go before them."""
    yield
    for service in engine.docker("service", "ls", "-q").split():
        engine.docker("service", "rm", service)
    for kind in ("secret", "config"):
        for name in engine.docker(kind, "ls", "--format", "{{.Name}}").split():
            engine.docker(kind, "rm", name)


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


def documents(client: SwarmClient, kind: Kind) -> Any:
    return client.secrets if kind == "secret" else client.configs


@both
async def test_what_is_kept_and_what_is_refused(client: SwarmClient, kind: Kind, tmp_path: Path) -> None:
    mine, limit = documents(client, kind), LARGEST[kind]
    file = tmp_path / "data"
    file.write_bytes(b"\xff\x00")
    template = "{{.Service.Name}}"
    ids = {
        "bytes": (await mine.create("bytes", bytes(range(256)), labels={"a": "b"})).id,
        "file": (await mine.create("file", file)).id,
        "text": (await mine.create("text", template, templating="golang")).id,
        "large": (await mine.create("large", b"x" * limit)).id,
    }
    whole: Any = SecretSpec if kind == "secret" else ConfigSpec
    ids["Bytes-2"] = (await mine.create(whole(name="Bytes-2", data="x", labels={"a": "c"}))).id

    kept = {one.name: one for one in await mine.list()}
    assert {name: one.id for name, one in kept.items()} == ids
    data = {name: one.spec.data for name, one in kept.items()}
    here = {"bytes": bytes(range(256)), "file": b"\xff\x00", "text": template.encode(), "large": b"x" * limit,
            "Bytes-2": b"x"}  # fmt: skip
    assert data == (dict.fromkeys(here) if kind == "secret" else here)
    assert kept["text"].spec.templating.name == "golang"
    assert kept["bytes"].spec.labels == {"a": "b"}
    assert kept["bytes"].created_at is not None
    for way in ("file", ids["file"], ids["file"][:12]):
        assert (await mine.inspect(way)).id == ids["file"]

    for filters, expected in (
        ({"name": "BYTES"}, ["Bytes-2", "bytes"]),
        ({"name": ["file"], "id": ids["text"][:12]}, ["file", "text"]),
        ({"label": "a=c"}, ["Bytes-2"]),
        ({"label": ["a"], "name": "b"}, ["Bytes-2", "bytes"]),
        *([({"names": ["FILE"]}, ["file"])] if kind == "secret" else []),
    ):
        assert sorted(one.name for one in await mine.list(filters=filters)) == expected, filters

    for name, content in (("", b"x"), ("a b", b"x"), ("x" * 65, b"x"), ("a", b""), ("a", b"x" * (limit + 1))):
        with pytest.raises(BadRequest):
            await mine.create(name, content)
    with pytest.raises(EngineError, match="larger than max"):
        await mine.create("a", b"x" * 5_000_000)
    with pytest.raises(NameConflict):
        await mine.create("FILE", b"x")
    with pytest.raises(InvalidSpec, match="no task could start"):
        await mine.create("a", b"x", templating="jinja")
    for name, error in (("absent", NotFound), ("../services", InvalidReference)):
        for call in (mine.inspect, mine.remove):
            with pytest.raises(error):
                await call(name)
        with pytest.raises(error):
            await mine.update(name, labels={})

    first = await mine.inspect("text")
    await mine.update("text", labels={"new": "1"}, version=first.version)
    with pytest.raises(OutOfSequence) as stale:
        await mine.update("text", labels={}, version=first.version.index)
    now = await mine.inspect("text")
    assert (stale.value.sent, stale.value.current) == (first.version.index, now.version.index)
    await mine.update(ids["text"], labels={"new": "2"})
    now = await mine.inspect("text")
    assert (now.spec.labels, now.spec.data, now.spec.templating) == (
        {"new": "2"}, first.spec.data, first.spec.templating
    )  # fmt: skip
    for name in ids:
        await mine.remove(name)
    assert await mine.list() == []


async def test_names_in_specs_become_ids(client: SwarmClient, engine: Engine) -> None:
    for name in ("db", "db-1", "DB2"):
        await client.secrets.create(name, b"x")
        await client.configs.create(name, b"x")
    network = engine.docker("network", "create", "--driver", "overlay", "front").strip()
    container = ContainerSpec(
        IMAGE, command="sleep 1000", secrets=["db", "source=DB2,target=/run/two,mode=0400"], configs=["db-1"]
    )
    spec = ServiceSpec(
        name="web",
        task_template=TaskTemplate(
            container_spec=container,
            networks=[NetworkAttachmentConfig(target="front"), NetworkAttachmentConfig(target="host")],
        ),
        mode=ServiceMode.of(NONE),
    )
    assert (await client.services.apply(spec)).outcome == "created"
    assert (await client.services.apply(spec)).outcome == "unchanged"
    live = (await client.services.inspect("web")).spec
    names = [(one.secret_name, one.file and one.file.name) for one in live.container.secrets or ()]
    assert names == [("db", "db"), ("DB2", "/run/two")]
    assert network in [one.target for one in (live.task_template and live.task_template.networks) or ()]

    missing = ContainerSpec(IMAGE, secrets=["Db", "db"], configs=["d"])
    with pytest.raises(InvalidSpec) as caught:
        await client.services.create(TaskTemplate(container_spec=missing), networks=[network[:5], "none"], mode=NONE)
    assert [problem.path.rpartition("TaskTemplate.")[2] for problem in caught.value.problems] == [
        "ContainerSpec.Secrets[0].SecretName", "ContainerSpec.Configs[0].ConfigName",
        "Networks[0].Target", "Networks[1].Target",
    ]  # fmt: skip

    created = await client.secrets.inspect("db-1")
    by_id = SecretReference.as_file(created.id, "", target="by-id")
    await client.services.edit("web", lambda spec: spec.add_secret("db-1", by_id))
    await client.services.update("web", task_template=TaskTemplate(container_spec=ContainerSpec(configs=["db"])))
    for noun, name in ((client.secrets, "db"), (client.configs, "db")):
        with pytest.raises(InUse) as used:
            await noun.remove(name)
        assert (used.value.kind, used.value.name, used.value.by) == (
            "secret" if noun is client.secrets else "config", "db", ("web",)
        )  # fmt: skip
    await client.services.remove("web")
    engine.docker("network", "rm", "front")


async def test_a_rotation_arrives_in_containers_or_is_undone(client: SwarmClient) -> None:
    """The container runs as long as both files hold something good."""
    script = 'cat /run/secrets/db /conf; for data in "$(cat /run/secrets/db)" "$(cat /conf)"; do '
    script += '[ "$data" != bad ] || exit 1; done; sleep 1000'
    container = ContainerSpec(
        IMAGE,
        command=["sh", "-c", script],
        stop_signal="KILL",
        secrets=["db"],
        configs=["source=conf,target=/conf,mode=0440"],
    )
    await client.secrets.create("db", "one\n", labels={"team": "shop"})
    await client.configs.create("conf", "1\n")
    await client.services.create(
        TaskTemplate(container_spec=container, restart_policy=RestartPolicy(delay=timedelta(0))),
        name="web",
        update_config=UpdateConfig(monitor=timedelta(milliseconds=500)),
    )

    rotated = await client.secrets.rotate("db", "two\n", timeout=60)
    assert (rotated.created, rotated.services, rotated.removed, rotated.kept) == (True, ("web",), ("db",), {})
    secret = await client.secrets.inspect(rotated.name)
    assert (secret.id, (secret.spec.labels or {})["team"]) == (rotated.id, "shop")
    running = [task.id for task in await client.services.ps("web") if task.state == "running"]
    assert "two\n1\n" == await client.tasks.logs(running[0]).text()

    with pytest.raises(InvalidSpec, match=r"Secrets\[0\]\.SecretName: secret 'db' was removed"):
        await client.services.rollback("web")

    with pytest.raises(UpdatePaused) as caught:
        await client.configs.rotate("conf", "bad", timeout=60)
    notes = caught.value.__notes__
    assert notes[0] == "undone: service web is to use conf again"
    assert len(notes) == 2
    assert notes[1].startswith("undone: config conf.")
    assert ["conf"] == [one.name for one in await client.configs.list()]
    spec = (await client.services.inspect("web")).spec
    assert [(one.config_name, one.file and one.file.mode) for one in spec.container.configs or ()] == [("conf", 0o440)]
    again = await client.secrets.rotate("db", "two\n", timeout=60)
    assert (again.id, again.created, again.services) == (rotated.id, False, ())
