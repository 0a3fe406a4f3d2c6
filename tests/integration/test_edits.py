"""The edits of a spec do what `docker service update` does with the flag that their docstring names."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import anyio.to_thread
import pytest

from swarmkit import (
    Config,
    ConfigReference,
    ContainerSpec,
    Mount,
    NetworkAttachmentConfig,
    PortConfig,
    Replicated,
    Secret,
    SecretReference,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    TmpfsOptions,
)
from tests.harness.engine import Engine
from tests.harness.packages import HarnessError
from tests.integration.test_bodies import remove
from tests.integration.test_services import quick, wire
from tests.test_docs import documented_flags
from tests.test_edits import without_nothing

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One backend: what a spec becomes does not depend on it."""
    return "asyncio"


@dataclass(frozen=True)
class Things:
    """What the engine has, by name."""

    secrets: dict[str, Secret]
    configs: dict[str, Config]
    networks: dict[str, str]


@pytest.fixture(scope="module")
def things(engine: Engine) -> Iterator[Things]:
    """Two secrets, configs and networks."""
    for kind in ("secret", "config"):
        for name in ("one", "two"):
            engine.docker(kind, "create", name, "-", input=b"x")
    for name in ("front", "back"):
        engine.docker("network", "create", "--driver", "overlay", name)
    yield Things(
        {found["Spec"]["Name"]: Secret.from_wire(json.dumps(found)) for found in wire(engine, "/secrets")},
        {found["Spec"]["Name"]: Config.from_wire(json.dumps(found)) for found in wire(engine, "/configs")},
        {found["Name"]: found["Id"] for found in wire(engine, "/networks")},
    )
    for kind, names in (("secrets", "one two"), ("configs", "one two"), ("networks", "front back")):
        for name in names.split():
            remove(engine, f"/{kind}/{name}")


Update = Callable[[str, str], Awaitable[str]]


async def said_by(program: Engine, *words: str) -> str:
    return await anyio.to_thread.run_sync(partial(program.docker, *words))


@pytest.fixture
def update(docker_program: Engine) -> Update:
    """`docker service update` with these flags; what it complains of."""

    async def run(name: str, flags: str) -> str:
        try:
            await said_by(docker_program, "service", "update", "--detach", "--quiet", *flags.split("|"), name)
        except HarnessError as error:
            return str(error)
        return ""

    return run


Edit = Callable[[ServiceSpec], None]
Steps = list[tuple[str, list[Edit]]]


def each_of(edits: list[Edit]) -> Edit:
    def change(spec: ServiceSpec) -> None:
        for edit in edits:
            edit(spec)

    return change


def flags_and_edits(t: Things) -> dict[str, Steps]:
    """Flags, with `|` between words, and the edits that do the same; one step builds on those before."""
    return {
        "mappings": [
            (
                "--label-add|a=1|--label-add|b=2|--container-label-add|c=3|--sysctl-add|net.core.somaxconn=1024",
                [
                    lambda s: s.add_label(a="1", b="2"),
                    lambda s: s.add_container_label(c="3"),
                    lambda s: s.add_sysctl({"net.core.somaxconn": "1024"}),
                ],
            ),
            (
                "--label-add|b=3|--container-label-add|c=|--sysctl-add|net.core.somaxconn=1",
                [
                    lambda s: s.add_label(b="3"),
                    lambda s: s.add_container_label(c=""),
                    lambda s: s.add_sysctl({"net.core.somaxconn": "1"}),
                ],
            ),
            (
                "--label-rm|a|--label-rm|x|--container-label-rm|c|--container-label-rm|x|--sysctl-rm|net.core.somaxconn",
                [
                    lambda s: s.remove_label("a", "x"),
                    lambda s: s.remove_container_label("c", "x"),
                    lambda s: s.remove_sysctl("net.core.somaxconn"),
                ],
            ),
            ("--sysctl-rm|x|--label-rm|b", [lambda s: s.remove_sysctl("x"), lambda s: s.remove_label("b")]),
        ],
        "env": [
            ("--env-add|A=1|--env-add|B=2|--env-add|EMPTY=", [lambda s: s.add_env(A="1", B="2", EMPTY="")]),
            ("--env-add|B=3", [lambda s: s.add_env(B="3")]),
            ("--env-rm|A=1|--env-rm|X", [lambda s: s.remove_env("A=1", "X")]),
            ("--env-rm|A|--env-rm|EMPTY", [lambda s: s.remove_env("A", "EMPTY")]),
        ],
        "mounts": [
            (
                "--mount-add|type=volume,source=data,target=/data|--mount-add|type=bind,source=/tmp,target=/tmp,readonly",
                [lambda s: s.add_mount("data:/data", "/tmp:/tmp:ro")],
            ),
            ("--mount-add|type=volume,source=other,target=/data", [lambda s: s.add_mount("other:/data")]),
            ("--mount-rm|/data|--mount-rm|/x", [lambda s: s.remove_mount("/data", "/x")]),
        ],
        "ports": [
            (
                "--publish-add|18080:80|--publish-add|18081:81/udp|--publish-add|published=18082,target=82,mode=host",
                [
                    lambda s: s.add_port("18080:80", "18081:81/udp"),
                    lambda s: s.add_port(PortConfig(target_port=82, published_port=18082, publish_mode="host")),
                ],
            ),
            ("--publish-add|18080:80|--publish-add|83", [lambda s: s.add_port("18080:80", 83)]),
            ("--publish-add|18084:80|--publish-add|83", [lambda s: s.add_port("18084:80", 83)]),
            (
                "--publish-rm|81|--publish-rm|82|--publish-rm|80/udp|--publish-rm|99",
                [lambda s: s.remove_port(81, 82, "80/udp", 99)],
            ),
            (
                "--publish-rm|81/udp|--publish-rm|target=82,mode=host|--publish-rm|80",
                [lambda s: s.remove_port("81/udp", PortConfig(target_port=82, publish_mode="host"), 80)],
            ),
        ],
        "networks": [
            ("--network-add|front", [lambda s: s.add_network("front")]),
            (
                "--network-add|name=back,alias=web",
                [lambda s: s.add_network(NetworkAttachmentConfig(target=t.networks["back"], aliases=["web"]))],
            ),
            ("--network-rm|front", [lambda s: s.remove_network(t.networks["front"])]),
            ("--network-rm|front", [lambda s: s.remove_network(t.networks["front"])]),
        ],
        "secrets and configs": [
            (
                "--secret-add|one|--config-add|one",
                [lambda s: s.add_secret(t.secrets["one"]), lambda s: s.add_config(t.configs["one"])],
            ),
            (
                "--secret-add|source=one,target=again,mode=0400|--config-add|source=two,target=/two,uid=5,gid=6",
                [
                    lambda s: s.add_secret(
                        SecretReference.as_file(t.secrets["one"].id, "one", target="again", mode=0o400)
                    ),
                    lambda s: s.add_config(
                        ConfigReference.as_file(t.configs["two"].id, "two", target="/two", uid="5", gid="6")
                    ),
                ],
            ),
            (
                "--secret-rm|one|--secret-add|source=two,target=one|--config-rm|one|--config-add|source=two,target=one",
                [
                    lambda s: s.remove_secret("one"),
                    lambda s: s.add_secret(SecretReference.as_file(t.secrets["two"].id, "two", target="one")),
                    lambda s: s.add_config(ConfigReference.as_file(t.configs["two"].id, "two", target="one")),
                ],
            ),
            (
                "--secret-rm|two|--secret-rm|x|--config-rm|two|--config-rm|x",
                [lambda s: s.remove_secret("two", "x"), lambda s: s.remove_config("two", "x")],
            ),
        ],
        "placement": [
            (
                "--constraint-add|node.role==manager|--constraint-add|node.labels.a != b"
                "|--placement-pref-add|spread=node.labels.zone|--placement-pref-add|spread=node.labels.rack",
                [
                    lambda s: s.add_constraint("node.role==manager", "node.labels.a != b"),
                    lambda s: s.add_placement_preference("node.labels.zone", "node.labels.rack"),
                ],
            ),
            (
                "--constraint-rm|node.role==manager|--constraint-rm|x==y"
                "|--placement-pref-rm|spread=node.labels.zone|--placement-pref-rm|spread=node.labels.x",
                [
                    lambda s: s.remove_constraint("node.role==manager", "x==y"),
                    lambda s: s.remove_placement_preference("node.labels.zone", "node.labels.x"),
                ],
            ),
        ],
        "capabilities": [
            (
                "--cap-add|net_admin|--cap-drop|CAP_NET_RAW",
                [lambda s: s.drop_capability("CAP_NET_RAW"), lambda s: s.add_capability("net_admin")],
            ),
            (
                "--cap-add|NET_RAW|--cap-drop|NET_ADMIN",
                [lambda s: s.drop_capability("NET_ADMIN"), lambda s: s.add_capability("NET_RAW")],
            ),
            (
                "--cap-add|NET_RAW|--cap-add|SYS_TIME|--cap-drop|NET_ADMIN",
                [lambda s: s.drop_capability("NET_ADMIN"), lambda s: s.add_capability("NET_RAW", "SYS_TIME")],
            ),
            ("--cap-add|ALL", [lambda s: s.add_capability("ALL")]),
            (
                "--cap-add|SYS_NICE|--cap-drop|SYS_TIME",
                [lambda s: s.drop_capability("SYS_TIME"), lambda s: s.add_capability("SYS_NICE")],
            ),
            (
                "--cap-add|RESET|--cap-add|SYS_NICE|--cap-drop|RESET",
                [lambda s: s.drop_capability("RESET"), lambda s: s.add_capability("RESET", "SYS_NICE")],
            ),
        ],
        "names": [
            (
                "--dns-add|10.0.0.2|--dns-add|10.0.0.1|--dns-option-add|ndots:2|--dns-search-add|b.example"
                "|--group-add|b|--group-add|a",
                [
                    lambda s: s.add_dns("10.0.0.2", "10.0.0.1"),
                    lambda s: s.add_dns_option("ndots:2"),
                    lambda s: s.add_dns_search("b.example"),
                    lambda s: s.add_group("b", "a"),
                ],
            ),
            (
                "--dns-add|10.0.0.2|--dns-option-add|ndots:2|--dns-search-add|a.example",
                [
                    lambda s: s.add_dns("10.0.0.2"),
                    lambda s: s.add_dns_option("ndots:2"),
                    lambda s: s.add_dns_search("a.example"),
                ],
            ),
            (
                "--dns-rm|10.0.0.2|--dns-rm|x|--dns-option-rm|ndots:2|--dns-option-rm|x|--dns-search-rm|b.example"
                "|--dns-search-rm|x|--group-rm|b|--group-rm|x",
                [
                    lambda s: s.remove_dns("10.0.0.2", "x"),
                    lambda s: s.remove_dns_option("ndots:2", "x"),
                    lambda s: s.remove_dns_search("b.example", "x"),
                    lambda s: s.remove_group("b", "x"),
                ],
            ),
        ],
        "hosts": [
            (
                "--host-add|db:10.0.0.5|--host-add|db:10.0.0.6|--host-add|cache:10.0.0.5|--host-add|six:2001:db8::1",
                [lambda s: s.add_host({"db": "10.0.0.5"}, {"db": "10.0.0.6"}, cache="10.0.0.5", six="2001:db8::1")],
            ),
            ("--host-add|db:10.0.0.5", [lambda s: s.add_host(db="10.0.0.5")]),
            ("--host-rm|db:10.0.0.5|--host-rm|x", [lambda s: s.remove_host("db:10.0.0.5", "x")]),
            ("--host-rm|six:2001:db8::1", [lambda s: s.remove_host("six:2001:db8::1")]),
            ("--host-rm|db|--host-rm|cache:1.1.1.1", [lambda s: s.remove_host("db", "cache:1.1.1.1")]),
        ],
        "numbers": [
            (
                "--ulimit-add|nofile=1024:2048|--ulimit-add|nproc=512"
                "|--generic-resource-add|gpu=2|--generic-resource-add|ssd=1",
                [
                    lambda s: s.add_ulimit(nofile=(1024, 2048), nproc=512),
                    lambda s: s.add_generic_resource(gpu=2, ssd=1),
                ],
            ),
            (
                "--ulimit-add|nofile=10|--generic-resource-add|gpu=3",
                [lambda s: s.add_ulimit(nofile=10), lambda s: s.add_generic_resource(gpu=3)],
            ),
            (
                "--ulimit-rm|nofile|--ulimit-rm|x|--generic-resource-rm|gpu",
                [lambda s: s.remove_ulimit("nofile", "x"), lambda s: s.remove_generic_resource("gpu")],
            ),
        ],
    }


def stored(engine: Engine, name: str) -> Any:
    """The spec of a service without its name and what is empty; the program writes lists in an order of its own."""
    return in_order(without_nothing({**wire(engine, f"/services/{name}")["Spec"], "Name": None}))


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(part) for key, part in cast("dict[str, Any]", value).items()}
    by_content = partial(json.dumps, sort_keys=True)
    return sorted(map(in_order, cast("list[object]", value)), key=by_content) if isinstance(value, list) else value


async def bare(client: SwarmClient, name: str) -> None:
    template = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
    await client.services.create(template, name=name, mode=Replicated(replicas=0))


WHAT: Final = [*flags_and_edits(Things({}, {}, {}))]


@pytest.mark.parametrize("what", WHAT)
async def test_an_edit_stores_what_the_flag_stores(
    client: SwarmClient, engine: Engine, things: Things, update: Update, what: str
) -> None:
    steps = flags_and_edits(things)[what]
    theirs: list[Any] = []
    await bare(client, "theirs")
    for flags, _ in steps:
        assert "" == await update("theirs", flags)
        theirs.append(stored(engine, "theirs"))
    await client.services.remove("theirs")  # ports can be had once

    ours: list[Any] = []
    await bare(client, "ours")
    for _, edits in steps:
        await client.services.edit("ours", each_of(edits))
        ours.append(stored(engine, "ours"))
    assert theirs == ours


async def test_every_flag_that_adds_or_removes_is_compared(docker_program: Engine) -> None:
    said = set(re.findall(r"--[a-z-]+-(?:add|rm|drop)\b", await said_by(docker_program, "service", "update", "--help")))
    tried = {word for steps in flags_and_edits(Things({}, {}, {})).values() for flags, _ in steps
             for word in flags.split("|")}  # fmt: skip
    assert len(said) == 38
    assert said - tried == set()


async def test_the_page_on_changes_names_every_flag_of_the_program(docker_program: Engine) -> None:
    said = set(re.findall(r"--[a-z][a-z-]+", await said_by(docker_program, "service", "update", "--help")))
    assert said - documented_flags() == {"--detach=false"} & said


@pytest.mark.parametrize(
    ("before", "again", "complaint"),
    [
        ("--constraint-add|node.role==manager", "--constraint-add|node.role==manager", ""),
        ("--placement-pref-add|spread=node.labels.zone", "--placement-pref-add|spread=node.labels.zone", ""),
        ("--group-add|a", "--group-add|a", ""),
        ("--network-add|front", "--network-add|front", "already attached"),
        ("--secret-add|one", "--secret-add|one", "conflicting target"),
        ("--config-add|one", "--config-add|one", "conflicting target"),
        ("--generic-resource-add|gpu=2", "--generic-resource-rm|ssd", "could not find"),
    ],
)
async def test_an_edit_is_done_once_where_the_program_does_it_twice_or_complains(
    client: SwarmClient, engine: Engine, things: Things, update: Update, before: str, again: str, complaint: str
) -> None:
    edits: dict[str, Edit] = {
        "--constraint-add": lambda s: s.add_constraint("node.role==manager"),
        "--placement-pref-add": lambda s: s.add_placement_preference("node.labels.zone"),
        "--group-add": lambda s: s.add_group("a"),
        "--network-add": lambda s: s.add_network(things.networks["front"]),
        "--secret-add": lambda s: s.add_secret(things.secrets["one"]),
        "--config-add": lambda s: s.add_config(things.configs["one"]),
        "--generic-resource-rm": lambda s: s.remove_generic_resource("ssd"),
    }
    await bare(client, "web")
    assert "" == await update("web", before)
    once = stored(engine, "web")
    await client.services.edit("web", edits[again.partition("|")[0]])
    assert once == stored(engine, "web")

    said = await update("web", again)
    assert complaint in said if complaint else (said == "" and once != stored(engine, "web"))


async def test_an_edit_takes_away_what_is_named_where_the_program_takes_more_or_nothing(
    client: SwarmClient, things: Things, update: Update
) -> None:
    del things
    await bare(client, "web")
    await update("web", "--publish-add|18080:80|--publish-add|18081:80|--constraint-add|node.role == manager")
    live = (await client.services.inspect("web")).spec
    await update("web", "--publish-rm|18080:80|--constraint-rm|node.role==manager")
    theirs = (await client.services.inspect("web")).spec
    live.remove_port("18080:80")
    live.remove_constraint("node.role==manager")

    assert ([18081], []) == _ports_and_constraints(live)
    assert ([], ["node.role == manager"]) == _ports_and_constraints(theirs)


def _ports_and_constraints(spec: ServiceSpec) -> tuple[list[int | None], list[str]]:
    ports = (spec.endpoint_spec and spec.endpoint_spec.ports) or []
    placement = spec.task_template and spec.task_template.placement
    return [port.published_port for port in ports], (placement and placement.constraints) or []


async def test_a_network_added_by_name_is_attached_twice_where_the_spec_has_its_id(
    client: SwarmClient, things: Things
) -> None:
    front = things.networks["front"]
    await bare(client, "web")
    await client.services.edit("web", lambda s: s.add_network("front"))
    await client.services.edit("web", lambda s: s.add_network(front))
    await client.services.edit("web", lambda s: s.add_network("front"))
    template = (await client.services.inspect("web")).spec.task_template
    assert template is not None
    assert [front, front] == [network.target for network in template.networks or ()]
    with pytest.raises(ValueError, match="'front'"):
        await client.services.edit("web", lambda s: s.remove_network("front"))
    await client.services.edit("web", lambda s: s.remove_network(front))
    template = (await client.services.inspect("web")).spec.task_template
    assert template is not None
    assert not template.networks


async def test_edits_that_change_nothing_restart_no_task(client: SwarmClient, things: Things) -> None:
    def change(spec: ServiceSpec) -> None:
        spec.add_env(B="2", A="1")
        spec.add_label(a="1")
        spec.add_container_label(b="2")
        spec.add_mount("/tmp:/tmp/host:ro", Mount(type="tmpfs", target="/x", tmpfs_options=TmpfsOptions(mode=0o1777)))
        spec.add_secret(things.secrets["one"], things.secrets["two"])
        spec.add_config(things.configs["two"], things.configs["one"])
        spec.add_group("0")
        spec.add_host(db="10.0.0.5")
        spec.add_dns("10.0.0.2", "10.0.0.1")
        spec.add_ulimit(nproc=512, nofile=(1024, 2048))
        spec.add_capability("SYS_TIME", "NET_ADMIN")
        spec.drop_capability("MKNOD", "KILL")
        spec.add_constraint("node.role==manager", "node.labels.a!=b")
        spec.add_network(things.networks["front"])
        spec.add_port(PortConfig(target_port=80, published_port=18080, publish_mode="host"))

    template = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
    spec = ServiceSpec(name="web", task_template=template, update_config=quick())
    change(spec)
    await client.services.create(spec)
    await client.services.wait("web", timeout=60)
    (task,) = await client.services.ps("web")
    live = await client.services.inspect("web")

    def change_nothing(spec: ServiceSpec) -> None:
        before = spec.wire()
        change(spec)
        assert spec == live.spec
        assert json.loads(before) == json.loads(spec.wire())
        spec.remove_env("C")
        spec.remove_mount("/data")
        spec.remove_secret("three")
        spec.remove_host("cache")
        spec.remove_generic_resource("gpu")
        spec.remove_sysctl("net.core.somaxconn")
        spec.remove_port(81)
        assert json.loads(before) == json.loads(spec.wire())

    await client.services.edit("web", change_nothing)
    await client.services.wait("web", timeout=60)
    assert [task.id] == [one.id for one in await client.services.ps("web")]
