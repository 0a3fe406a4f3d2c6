"""Everything a service goes through, on real engines."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from functools import partial
from typing import Any, cast

import anyio
import pytest

from swarmkit import (
    ApiVersion,
    BadRequest,
    BindOptions,
    ContainerSpec,
    ContainerStatus,
    Driver,
    EndpointSpec,
    GenericResource,
    Global,
    Healthcheck,
    InvalidSpec,
    Limits,
    LogLine,
    Mount,
    NameConflict,
    NetworkAttachmentConfig,
    NotFound,
    OutOfSequence,
    Placement,
    PlacementPreference,
    PortConfig,
    PortInUse,
    Privileges,
    Replicated,
    ReplicatedJob,
    Reservations,
    Resources,
    RestartPolicy,
    RollbackConfig,
    RolledBack,
    SecretReference,
    SecretReferenceFile,
    SELinuxContext,
    ServiceMode,
    ServiceRemoved,
    ServiceSpec,
    SpreadOver,
    Superseded,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    TmpfsOptions,
    Ulimit,
    Unimplemented,
    UnsupportedFeature,
    UpdateConfig,
    VolumeOptions,
    parse_bytes,
)
from tests.fake import connect
from tests.harness.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

QUICK = timedelta(milliseconds=100)
FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def wire(engine: Engine, path: str) -> Any:
    """What the engine itself says, past this package."""
    status, _, body = engine.request("GET", f"/v{engine.api_version}{path}")
    assert status == 200, body
    return json.loads(body)


def task_template(image: str = "busybox:1.36", **container: Any) -> TaskTemplate:
    return TaskTemplate(
        container_spec=ContainerSpec(image, command=FOREVER, **container),
        restart_policy=RestartPolicy(delay=timedelta(0)),
    )


def quick(**more: Any) -> UpdateConfig:
    given: dict[str, Any] = {"parallelism": 0, "monitor": QUICK, **more}
    return UpdateConfig(**given)


async def create(client: SwarmClient, name: str, replicas: int = 1, **more: Any) -> str:
    """A small service that has arrived."""
    given: dict[str, Any] = {"mode": Replicated(replicas=replicas), "update_config": quick(), **more}
    created = await client.services.create(given.pop("task_template", task_template()), name=name, **given)
    await client.services.wait(created.id, timeout=30)
    return created.id


# --- the main job ----------------------------------------------------------------------------------------------------


async def test_the_main_job(client: SwarmClient, engine: Engine) -> None:
    services = client.services
    template = task_template(env={"GREETING": "hello"}, args="ignored by the script")
    created = await services.create(
        template, name="web", labels={"tier": "front"}, mode=Replicated(replicas=2), update_config=quick()
    )
    assert created.warnings == []
    rollout = await services.wait("web", timeout=30)
    assert (rollout.progress.arrived, rollout.progress.wanted, rollout.progress.phase) == (2, 2, "converged")

    found = await services.inspect("web")
    assert (found.id, found.name, found.spec.image, found.spec.replicas) == (created.id, "web", "busybox:1.36", 2)
    assert found.spec.container.environment == {"GREETING": "hello"}
    assert [created.id] == [service.id for service in await services.list(name="web")]
    tasks = await services.ps("web")
    assert ["running", "running"] == [task.state for task in tasks]
    assert tasks[0].id == (await client.tasks.inspect(tasks[0].id)).id

    await services.update("web", task_template=TaskTemplate(container_spec=ContainerSpec("busybox:1.37")))
    await services.wait("web", timeout=30)
    running = [task for task in await services.ps("web") if task.state == "running"]
    assert {"busybox:1.37"} == {(task.spec.container_spec or ContainerSpec()).image for task in running}

    await services.scale("web", 3)
    assert 3 == (await services.wait("web", timeout=30)).progress.arrived

    await services.rollback("web")
    await services.wait("web", timeout=30)
    assert (await services.inspect("web")).spec.replicas == 2

    await services.remove("web")
    with pytest.raises(NotFound) as caught:
        await services.inspect("web")
    assert (caught.value.status, caught.value.message) == (404, "service web not found")
    assert wire(engine, "/services") == []


async def test_the_client_speaks_what_the_engine_speaks(client: SwarmClient, engine: Engine) -> None:
    assert engine.api_version == str(await client.api_version())


# --- create ----------------------------------------------------------------------------------------------------------


async def test_all_of_a_spec_is_what_the_engine_keeps(client: SwarmClient, engine: Engine) -> None:
    network = _overlay(engine, "all-of-it")
    container = ContainerSpec(
        "busybox:1.36",
        command=FOREVER,
        args=["a", "b c"],
        labels={"on": "container"},
        hostname="{{.Node.Hostname}}",
        env=["A=1", "B=x=y"],
        dir="/tmp",
        user="0:0",
        groups=["10"],
        tty=False,
        open_stdin=True,
        read_only=True,
        mounts=[
            Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o1777)),
            "vol:/v:ro",
        ],
        stop_signal="SIGKILL",
        stop_grace_period=timedelta(seconds=1, microseconds=1),
        healthcheck=Healthcheck(
            test=["CMD", "true"],
            interval=timedelta(seconds=1),
            timeout=timedelta(seconds=2),
            retries=3,
            start_period=timedelta(milliseconds=1500),
        ),
        hosts={"db": "10.0.0.9"},
        init=False,
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        capability_add=["CAP_NET_ADMIN"],
        capability_drop=["CAP_CHOWN"],
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)],
        privileges=Privileges(selinux_context=SELinuxContext(disable=True)),
    )
    spec = ServiceSpec(
        name="all-of-it",
        labels={"on": "service", "empty": ""},
        task_template=TaskTemplate(
            container_spec=container,
            resources=Resources(
                limits=Limits(nano_cpus=500_000_000, memory_bytes=parse_bytes("64MiB"), pids=50),
                reservations=Reservations(memory_bytes=parse_bytes("8MiB")),
            ),
            restart_policy=RestartPolicy(
                condition="on-failure", delay=timedelta(0), max_attempts=2, window=timedelta(seconds=5)
            ),
            placement=Placement(
                constraints=["node.role==manager"],
                preferences=[PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone"))],
                max_replicas=4,
            ),
            networks=[NetworkAttachmentConfig(target=network, aliases=["alias"])],
            log_driver=Driver(name="json-file", options={"max-size": "1m"}),
            force_update=7,
        ),
        mode=ServiceMode(replicated=Replicated(replicas=1)),
        update_config=UpdateConfig(
            parallelism=2,
            delay=timedelta(seconds=1),
            failure_action="rollback",
            monitor=QUICK,
            max_failure_ratio=0.25,
            order="start-first",
        ),
        rollback_config=RollbackConfig(parallelism=3, failure_action="continue", monitor=QUICK, order="start-first"),
        endpoint_spec=EndpointSpec(
            mode="vip",
            ports=[
                PortConfig(name="dns", protocol="tcp", target_port=53, published_port=15353),
                PortConfig(name="dns", protocol="udp", target_port=53, published_port=15353),
                PortConfig(target_port=80, publish_mode="host", published_port=18080),
            ],
        ),
    )
    sent = json.loads(spec.wire())
    created = await client.services.create(spec)
    assert json.loads(spec.wire()) == sent  # the caller's value is never touched
    stored = wire(engine, f"/services/{created.id}")["Spec"]
    sent["TaskTemplate"]["Networks"][0]["Target"] = wire(engine, f"/networks/{network}")["Id"]  # engines keep the id
    assert _missing(sent, stored) == []
    found = await client.services.inspect(created.id)
    assert json.loads(found.spec.wire()) == stored
    assert 1 == (await client.services.wait(created.id, timeout=30)).progress.arrived


def _missing(asked: object, stored: object, path: str = "") -> list[str]:
    """Where what is stored differs from what was asked for, apart from what an engine adds or writes out."""
    if isinstance(asked, dict):
        found = cast("dict[str, object]", stored or {})
        return [
            place
            for key, value in cast("dict[str, object]", asked).items()
            for place in _missing(value, found.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(asked, list) and isinstance(stored, list):
        pairs = zip(cast("list[object]", asked), cast("list[object]", stored), strict=True)
        return [place for index, pair in enumerate(pairs) for place in _missing(*pair, f"{path}[{index}]")]
    # An engine leaves out what equals Go's zero value.
    return [] if asked == stored or (not asked and stored is None) else [f"{path}: {asked!r} became {stored!r}"]


def _overlay(engine: Engine, name: str) -> str:
    body = json.dumps({"Name": name, "Driver": "overlay", "CheckDuplicate": True}).encode()
    for network in wire(engine, "/networks"):
        if network["Name"] == name:
            return name
    status, _, said = engine.request(
        "POST", f"/v{engine.api_version}/networks/create", body, {"Content-Type": "application/json"}
    )
    assert status == 201, said
    return name


async def test_networks_reach_the_tasks(client: SwarmClient, engine: Engine) -> None:
    _overlay(engine, "backend")
    alias = NetworkAttachmentConfig(target=_overlay(engine, "frontend"), aliases=["www"])
    await create(client, "networked", networks=["backend", alias])
    (service,) = wire(engine, "/services")
    assert "Networks" not in service["Spec"]
    names = {network["Id"]: network["Name"] for network in wire(engine, "/networks")}
    attached = service["Spec"]["TaskTemplate"]["Networks"]
    assert [("backend", None), ("frontend", ["www"])] == sorted(
        (names[one["Target"]], one.get("Aliases")) for one in attached
    )
    (task,) = await client.tasks.list(filters={"service": "networked", "desired-state": "running"})
    (raw,) = (one for one in wire(engine, "/tasks") if one["ID"] == task.id)
    assert {"backend", "frontend"} == {one["Network"]["Spec"]["Name"] for one in raw["NetworksAttachments"]}

    await client.services.update("networked", networks=[])
    await client.services.wait("networked", timeout=30)
    (service,) = wire(engine, "/services")
    assert not service["Spec"]["TaskTemplate"].get("Networks")


async def test_the_network_of_the_host(client: SwarmClient) -> None:
    await create(client, "on-host", networks=["host"])
    template = (await client.services.inspect("on-host")).spec.task_template or TaskTemplate()
    assert len(template.networks or []) == 1


async def test_a_service_without_a_name_gets_one(client: SwarmClient) -> None:
    created = await client.services.create(task_template())
    assert (await client.services.inspect(created.id)).name


async def test_ports_tcp_and_udp_of_one_number_and_one_the_manager_chooses(client: SwarmClient) -> None:
    ports = [PortConfig.parse("15300:53/tcp"), PortConfig.parse("15300:53/udp"), PortConfig.parse("80")]
    await create(client, "ported", endpoint_spec=EndpointSpec(ports=ports))
    endpoint = (await client.services.inspect("ported")).endpoint
    published = {(port.protocol, port.target_port): port.published_port for port in (endpoint and endpoint.ports) or []}
    assert published[("tcp", 53)] == published[("udp", 53)] == 15300
    assert (published[("tcp", 80)] or 0) >= 30000
    with pytest.raises(PortInUse, match="15300"):
        await client.services.create(
            task_template(), name="rival", endpoint_spec=EndpointSpec(ports=[PortConfig.parse("15300:1")])
        )


async def test_a_template_can_be_used_again(client: SwarmClient) -> None:
    template = task_template(env={"A": "1"})
    for name in ("one", "two"):
        await client.services.create(template, name=name, networks=["host"])
    assert template == task_template(env={"A": "1"})


async def test_fifty_creates_of_one_name_make_one_service(client: SwarmClient) -> None:
    outcomes: list[str] = []

    async def attempt() -> None:
        try:
            outcomes.append((await client.services.create(task_template(), name="storm")).id)
        except NameConflict:
            outcomes.append("conflict")

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(attempt)
    assert outcomes.count("conflict") == 49
    assert len(await client.services.list(name="storm")) == 1


async def test_what_an_engine_takes_otherwise_is_refused_by_us(client: SwarmClient, engine: Engine) -> None:
    spec = ServiceSpec(
        name="",
        task_template=TaskTemplate(
            container_spec=ContainerSpec("busybox:1.36", mounts=[Mount(type="volume", source="v")])
        ),
        endpoint_spec=EndpointSpec(mode="dnsrr", ports=[PortConfig(target_port=0, protocol="icmp")]),
    )
    with pytest.raises(InvalidSpec) as caught:
        await client.services.create(spec)
    assert {
        "Name",
        "TaskTemplate.ContainerSpec.Mounts[0].Target",
        "EndpointSpec.Ports[0].Protocol",
        "EndpointSpec.Ports[0].TargetPort",
        "EndpointSpec.Ports[0].PublishMode",
    } == {problem.path for problem in caught.value.problems}
    assert wire(engine, "/services") == []


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            ServiceSpec(name="x", task_template=TaskTemplate(container_spec=ContainerSpec(env=[]))),
            "image reference must be",
        ),
        (
            ServiceSpec(name="x", task_template=TaskTemplate(container_spec=ContainerSpec("Not An Image"))),
            "not a valid repository/tag",
        ),
        (ServiceSpec(name="x"), "mismatched Runtime"),
        (
            ServiceSpec(name="x", task_template=task_template(), mode=ServiceMode(replicated=Replicated(replicas=-1))),
            "cannot unmarshal",
        ),
        (
            ServiceSpec(
                name="x",
                task_template=TaskTemplate(
                    container_spec=ContainerSpec("busybox:1.36"), resources=Resources(limits=Limits(memory_bytes=1))
                ),
            ),
            "Must be at least 4MiB",
        ),
    ],
)
async def test_what_an_engine_refuses_itself_is_a_bad_request_in_its_words(
    client: SwarmClient, spec: ServiceSpec, says: str
) -> None:
    with pytest.raises(BadRequest, match=says):
        await client.services.create(spec)


# --- change ----------------------------------------------------------------------------------------------------------


async def test_a_patch_changes_what_it_says_and_nothing_else(client: SwarmClient, engine: Engine) -> None:
    template = TaskTemplate(
        container_spec=ContainerSpec(
            "busybox:1.36", command=FOREVER, env={"A": "1"}, stop_grace_period=timedelta(seconds=3)
        ),
        placement=Placement(constraints=["node.role==manager"], max_replicas=5),
        resources=Resources(limits=Limits(memory_bytes=parse_bytes("32m"))),
    )
    service_id = await create(client, "patched", task_template=template, labels={"a": "1"})
    before = wire(engine, f"/services/{service_id}")["Spec"]
    await client.services.update(
        "patched",
        task_template=TaskTemplate(container_spec=ContainerSpec(env={"B": "2"}), placement=Placement(constraints=[])),
    )
    after = wire(engine, f"/services/{service_id}")["Spec"]
    before["TaskTemplate"]["ContainerSpec"]["Env"] = ["B=2"]
    del before["TaskTemplate"]["Placement"]["Constraints"]
    assert after == before

    await client.services.update("patched", task_template=TaskTemplate(resources=None), labels=None)
    cleared = wire(engine, f"/services/{service_id}")["Spec"]
    assert not cleared["TaskTemplate"].get("Resources")
    assert cleared["Labels"] == {}
    assert cleared["TaskTemplate"]["Placement"] == after["TaskTemplate"]["Placement"]


async def test_an_update_bakes_no_defaults_into_the_spec(client: SwarmClient, engine: Engine) -> None:
    created = await client.services.create(TaskTemplate(container_spec=ContainerSpec("busybox:1.36")), name="lean")
    before = wire(engine, f"/services/{created.id}")["Spec"]
    await client.services.update("lean", labels={"a": "b"})
    assert wire(engine, f"/services/{created.id}")["Spec"] == {**before, "Labels": {"a": "b"}}


async def test_a_spec_read_with_defaults_cannot_be_sent_back(client: SwarmClient) -> None:
    await create(client, "defaulted")
    full = await client.services.inspect("defaulted", insert_defaults=True)
    assert full.spec.container.stop_grace_period == timedelta(seconds=10)
    with pytest.raises(InvalidSpec, match="defaults"):
        await client.services.replace("defaulted", full.spec, version=full.version)
    with pytest.raises(InvalidSpec, match="defaults"):
        await client.services.create(full.spec)


async def test_a_version_makes_an_update_strict(client: SwarmClient) -> None:
    await create(client, "strict")
    live = await client.services.inspect("strict")
    await client.services.update("strict", version=live.version, labels={"n": "1"})
    with pytest.raises(OutOfSequence) as caught:
        await client.services.update("strict", version=live.version.index, labels={"n": "2"})
    now = await client.services.inspect("strict")
    assert (caught.value.sent, caught.value.current) == (live.version.index, now.version.index)
    assert now.spec.labels == {"n": "1"}
    with pytest.raises(OutOfSequence) as caught:
        await client.services.replace("strict", now.spec, version=live.version)
    assert caught.value.status == 500
    assert (caught.value.sent, caught.value.current) == (live.version.index, now.version.index)


async def test_an_update_right_after_create_never_meets_the_managers_own_changes(client: SwarmClient) -> None:
    for number in range(5):
        created = await client.services.create(task_template(), name=f"fresh-{number}", mode=Replicated(replicas=2))
        await client.services.update(created.id, labels={"n": str(number)})
        await client.services.scale(created.id, 1)


async def test_replace_is_the_endpoint_as_it_is(client: SwarmClient) -> None:
    await create(client, "replaced", labels={"a": "b"})
    live = await client.services.inspect("replaced")
    spec = ServiceSpec(name="replaced", task_template=live.spec.task_template)
    await client.services.replace("replaced", spec, version=live.version)
    now = (await client.services.inspect("replaced")).spec
    assert (now.labels, now.replicas, now.update_config) == ({}, 1, None)


async def test_an_edit_may_return_another_spec_or_raise(client: SwarmClient) -> None:
    await create(client, "edited")
    await client.services.edit("edited", lambda spec: spec.model_copy(update={"labels": {"by": "copy"}}))
    assert (await client.services.inspect("edited")).spec.labels == {"by": "copy"}

    def refuse(spec: ServiceSpec) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await client.services.edit("edited", refuse)


async def test_renaming_and_changing_the_mode_are_what_engines_cannot_do(client: SwarmClient) -> None:
    await create(client, "stubborn")
    with pytest.raises(Unimplemented, match="mode change is not allowed"):
        await client.services.update("stubborn", mode=Global())

    def rename(spec: ServiceSpec) -> None:
        spec.name = "other"

    with pytest.raises(Unimplemented, match="renaming"):
        await client.services.edit("stubborn", rename)


async def test_scaling_reaches_zero_and_jobs_and_never_a_global_service(client: SwarmClient) -> None:
    await create(client, "scaled", replicas=2)
    await client.services.scale("scaled", 0)
    assert 0 == (await client.services.wait("scaled", timeout=30)).progress.wanted
    assert (await client.services.inspect("scaled")).spec.replicas == 0
    await client.services.create(task_template(), name="everywhere", mode=Global())
    with pytest.raises(InvalidSpec, match="global"):
        await client.services.scale("everywhere", 2)
    with pytest.raises(InvalidSpec, match="whole number"):
        await client.services.scale("scaled", -1)


async def test_a_second_rollback_comes_back_and_none_is_a_bad_request(client: SwarmClient) -> None:
    await create(client, "swing", labels={"v": "1"})
    with pytest.raises(BadRequest, match="does not have a previous spec"):
        await client.services.rollback("swing")
    await client.services.update("swing", labels={"v": "2"})
    for expected in ("1", "2", "1"):
        await client.services.rollback("swing")
        assert ((await client.services.inspect("swing")).spec.labels or {})["v"] == expected
    await client.services.wait("swing", timeout=30)  # a rollback by hand is no failure


# --- wait ------------------------------------------------------------------------------------------------------------


BAD = TaskTemplate(container_spec=ContainerSpec(command=["sh", "-c", "exit 3"]))


async def test_an_update_that_is_rolled_back_is_a_failure(client: SwarmClient) -> None:
    await create(
        client,
        "falls-back",
        update_config=quick(failure_action="rollback", monitor=timedelta(seconds=1)),
        rollback_config=RollbackConfig(monitor=QUICK),
    )
    await client.services.update("falls-back", task_template=BAD)
    with pytest.raises(RolledBack, match=r"non-zero exit \(3\)"):
        await client.services.wait("falls-back", timeout=60)
    live = await client.services.inspect("falls-back")
    assert (live.spec.container.command, live.previous_spec) == (FOREVER, None)


async def test_a_service_changed_or_removed_while_waiting_ends_the_wait(
    client: SwarmClient, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"), placement=Placement(constraints=["node.id==x"]))

    async def once_it_has_looked(action: Any) -> None:
        caplog.clear()
        while not any("/nodes" in record.getMessage() for record in caplog.records):
            await anyio.sleep(0.01)
        await action()

    caplog.set_level(logging.DEBUG, logger="swarmkit")
    await client.services.create(stuck, name="moving")
    async with anyio.create_task_group() as group:
        group.start_soon(once_it_has_looked, lambda: client.services.update("moving", labels={"a": "b"}))
        with pytest.raises(Superseded):
            await client.services.wait("moving", timeout=30)
    async with anyio.create_task_group() as group:
        group.start_soon(once_it_has_looked, lambda: client.services.remove("moving"))
        with pytest.raises(ServiceRemoved):
            await client.services.wait("moving", timeout=30)
    with pytest.raises(NotFound):
        await client.services.wait("moving", timeout=30)


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_lists_filter_exactly_and_count_tasks(client: SwarmClient) -> None:
    await create(client, "api", replicas=2, labels={"app": 'a, "b" & c=d'})
    await client.services.create(task_template(), name="api-worker")
    assert ["api"] == [service.name for service in await client.services.list(name="api")]
    begun = {service.name for service in await client.services.list(filters={"name": "api"})}
    assert begun == {"api", "api-worker"}
    labelled = await client.services.list(filters={"label": ('app=a, "b" & c=d',), "mode": ["replicated"]}, status=True)
    assert ["api"] == [service.name for service in labelled]
    status = labelled[0].service_status
    assert status is not None
    assert (status.running_tasks, status.desired_tasks) == (2, 2)
    tasks = await client.tasks.list(filters={"service": "api", "desired-state": "running"})
    assert len(tasks) == 2
    with pytest.raises(NotFound):
        await client.tasks.list(filters={"service": "nope"})


# --- gates -----------------------------------------------------------------------------------------------------------


def _versions(engine: Engine) -> list[str]:
    oldest = 24
    return [f"1.{minor}" for minor in range(oldest, ApiVersion.parse(engine.api_version).minor + 1)]


async def test_a_minimal_service_and_one_with_privileges_can_be_relabelled_at_every_version(engine: Engine) -> None:
    async with connect(engine, registry_auth=None) as client:
        await create(
            client,
            "minimal",
            task_template=TaskTemplate(container_spec=ContainerSpec("busybox:1.36", command=FOREVER)),
            update_config=None,
        )
        private = task_template(privileges=Privileges(selinux_context=SELinuxContext(disable=False)))
        await client.services.create(private, name="private")
    for version in _versions(engine):
        async with connect(engine, api_version=version, registry_auth=None) as pinned:
            for name in ("minimal", "private"):
                await pinned.services.update(name, labels={"at": version})
    for service in wire(engine, "/services"):
        assert service["Spec"]["Labels"] == {"at": engine.api_version}


async def test_a_pinned_version_below_a_gate_destroys_nothing(client: SwarmClient, engine: Engine) -> None:
    await create(client, "gated", task_template=task_template(capability_drop=["CAP_CHOWN"]))
    before = wire(engine, "/services/gated")["Spec"]
    async with connect(engine, api_version="1.40") as pinned:
        with pytest.raises(UnsupportedFeature) as caught:
            await pinned.services.update("gated", labels={"a": "b"})
        assert [("TaskTemplate.ContainerSpec.CapabilityDrop", "needs API 1.41")] == list(caught.value.problems)
        with pytest.raises(UnsupportedFeature, match="ReplicatedJob"):
            await pinned.services.create(task_template(), name="job", mode=ReplicatedJob())
    assert wire(engine, "/services/gated")["Spec"] == before


async def test_generic_resources_reach_the_engine(client: SwarmClient, engine: Engine) -> None:
    template = task_template()
    template.resources = Resources(reservations=Reservations(generic_resources=[GenericResource.discrete("SSD", 3)]))
    created = await client.services.create(template, name="generic")
    stored = wire(engine, f"/services/{created.id}")["Spec"]["TaskTemplate"]["Resources"]["Reservations"]
    assert stored["GenericResources"] == [{"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}}]


# --- refusals --------------------------------------------------------------------------------------------------------


def _with_mount(**mount: Any) -> ServiceSpec:
    container = ContainerSpec("busybox:1.36", mounts=[Mount(**mount)])
    return ServiceSpec(name="silent", task_template=TaskTemplate(container_spec=container))


def _with_ports(*ports: PortConfig) -> ServiceSpec:
    template = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
    return ServiceSpec(name="silent", task_template=template, endpoint_spec=EndpointSpec(ports=list(ports)))


def _with_container(**keys: Any) -> ServiceSpec:
    return _with_template(ContainerSpec=keys)


def _with_template(**keys: Any) -> ServiceSpec:
    container = {"Image": "busybox:1.36", **keys.pop("ContainerSpec", {})}
    return ServiceSpec.from_wire(json.dumps({"Name": "silent", "TaskTemplate": {"ContainerSpec": container, **keys}}))


BOTH_KINDS: dict[str, Any] = {
    "NamedResourceSpec": {"Kind": "GPU", "Value": "a"},
    "DiscreteResourceSpec": {"Kind": "GPU", "Value": 1},
}
SILENT: dict[str, ServiceSpec] = {
    "Name": ServiceSpec(name="", task_template=TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))),
    "TaskTemplate.ContainerSpec.Isolation": ServiceSpec(
        name="silent", task_template=TaskTemplate(container_spec=ContainerSpec("busybox:1.36", isolation="total"))
    ),
    "EndpointSpec.Ports[0].TargetPort": _with_ports(PortConfig(target_port=0)),
    "EndpointSpec.Ports[0].PublishedPort": _with_ports(PortConfig(target_port=80, published_port=70_000)),
    "EndpointSpec.Ports[0].Protocol": _with_ports(PortConfig(target_port=80, protocol="icmp")),
    "EndpointSpec.Ports[0].PublishMode": _with_ports(PortConfig(target_port=80, publish_mode="everywhere")),
    "TaskTemplate.ContainerSpec.Mounts[0].Target": _with_mount(type="volume", source="vol", target="relative"),
    "TaskTemplate.ContainerSpec.Mounts[0].Type": _with_mount(source="vol", target="/v"),
    "TaskTemplate.ContainerSpec.Mounts[0].Source": _with_mount(type="bind", source="relative", target="/v"),
    "TaskTemplate.ContainerSpec.Mounts[0].Consistency": _with_mount(
        type="volume", source="vol", target="/v", consistency="cached"
    ),
    "TaskTemplate.ContainerSpec.Mounts[0].BindOptions": _with_mount(
        type="volume", source="vol", target="/v", bind_options=BindOptions(propagation="rslave")
    ),
    "TaskTemplate.ContainerSpec.Mounts[0].VolumeOptions": _with_mount(
        type="bind", source="/tmp", target="/v", volume_options=VolumeOptions(no_copy=True)
    ),
    "TaskTemplate.ContainerSpec.Mounts[0].TmpfsOptions": _with_mount(
        type="volume", source="vol", target="/v", tmpfs_options=TmpfsOptions(mode=0o700)
    ),
    "TaskTemplate.ContainerSpec.Mounts[0].BindOptions.CreateMountpoint": _with_mount(
        type="bind", source="/tmp", target="/v", bind_options=BindOptions(create_mountpoint=True)
    ),
    "TaskTemplate.ContainerSpec.Privileges.Seccomp.Mode": _with_container(
        Privileges={"Seccomp": {"Mode": "Unconfined"}}
    ),
    "TaskTemplate.ContainerSpec.Privileges.Seccomp.Profile": _with_container(
        Privileges={"Seccomp": {"Mode": "default", "Profile": "e30="}}
    ),
    "TaskTemplate.ContainerSpec.Privileges.AppArmor.Mode": _with_container(
        Privileges={"AppArmor": {"Mode": "Disabled"}}
    ),
    "TaskTemplate.ContainerSpec.Healthcheck.Retries": _with_container(Healthcheck={"Retries": 2**32 + 1}),
    "TaskTemplate.ContainerSpec.Hosts[0]": _with_container(Hosts=["db:10.0.0.1"]),
    "TaskTemplate.ContainerSpec.imgae": _with_container(imgae="busybox"),
    "TaskTemplate.ContainerSpec.Imgae": _with_container(Imgae="busybox"),
    "TaskTemplate.PluginSpec": _with_template(PluginSpec={"name": "p", "remote": "p"}),
    "TaskTemplate.NetworkAttachmentSpec": _with_template(NetworkAttachmentSpec={"ContainerID": "a"}),
    "TaskTemplate.Resources.Reservations.GenericResources[0]": _with_template(
        Resources={"Reservations": {"GenericResources": [BOTH_KINDS]}}
    ),
    "TaskTemplate.Placement.Preferences[0]": _with_template(Placement={"Preferences": [{}]}),
}


@pytest.mark.parametrize("path", SILENT)
async def test_an_engine_would_have_taken_what_we_refuse(client: SwarmClient, engine: Engine, path: str) -> None:
    spec = SILENT[path]
    with pytest.raises(InvalidSpec) as caught:
        await client.services.create(spec)
    assert [path] == [problem.path for problem in caught.value.problems]
    status, _, said = engine.request(
        "POST", f"/v{engine.api_version}/services/create", spec.wire(), {"Content-Type": "application/json"}
    )
    assert status == 201, said


UNSTARTABLE: dict[str, tuple[list[dict[str, Any]], str]] = {
    "Mounts[0].Source": ([{"Type": "Volume", "Source": "/tmp", "Target": "/x"}], "absolute path"),
    "Mounts[0].Source of a pipe": ([{"Type": "npipe", "Target": "/x"}], "source must not be empty"),
    "Mounts[1].Target": ([{"Type": "tmpfs", "Target": "/x"}, {"Type": "tmpfs", "Target": "//x/"}], "uplicate mount"),
    "Mounts[0].Target": ([{"Type": "tmpfs", "Target": "/x/.."}], "destination can't be '/'"),
    "Mounts[0].VolumeOptions.Subpath": (
        [{"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": {"Subpath": "a/../../b"}}],
        "subpath must be a relative path",
    ),
}


@pytest.mark.parametrize("case", UNSTARTABLE)
async def test_mounts_that_we_refuse_would_let_no_task_start(client: SwarmClient, engine: Engine, case: str) -> None:
    mounts, reason = UNSTARTABLE[case]
    known = not case.endswith("Subpath") or await client.api_version() >= (1, 45)
    spec = _with_container(Mounts=mounts)
    with pytest.raises(InvalidSpec) as caught:
        await client.services.create(spec)
    assert [f"TaskTemplate.ContainerSpec.{case.partition(' ')[0]}"] == [found.path for found in caught.value.problems]
    status, _, said = engine.request(
        "POST", f"/v{engine.api_version}/services/create", spec.wire(), {"Content-Type": "application/json"}
    )
    assert status == 201, said
    tasks = partial(client.services.ps, "silent")
    with anyio.fail_after(30):
        # An engine that does not know it goes on without it.
        while not any(reason in task.error if known else task.state == "running" for task in await tasks()):
            await anyio.sleep(0.05)


async def test_a_service_that_holds_what_we_refuse_is_read_and_changed_elsewhere(
    client: SwarmClient, engine: Engine
) -> None:
    odd = _with_template(
        ContainerSpec={
            "Hosts": ["db:10.0.0.1"],
            "Mounts": [{"Type": "volume", "Source": "/tmp", "Target": "/"}],
            "Privileges": {"Seccomp": {"Mode": "default", "Profile": "e30="}},
        },
        Placement={"Preferences": [{"Spread": {}}]},
    )
    status, _, said = engine.request(
        "POST", f"/v{engine.api_version}/services/create", odd.wire(), {"Content-Type": "application/json"}
    )
    assert status == 201, said
    (live,) = await client.services.list(name="silent")
    await client.services.update("silent", labels={"a": "b"})
    await client.services.scale("silent", 0)
    changed = await client.services.inspect("silent")
    assert {"a": "b"} == changed.spec.labels
    assert live.spec.task_template == changed.spec.task_template
    with pytest.raises(InvalidSpec, match=r"Hosts\[1\]"):
        await client.services.edit("silent", lambda spec: (spec.container.hosts or []).append("x"))


async def test_a_secret_as_a_file_is_one_the_task_can_read(client: SwarmClient, engine: Engine) -> None:
    secret_id = engine.docker("secret", "create", "key", "-", input=b"s3cr3t").strip()
    try:
        script = "cat /run/secrets/key; echo; ls -ln /run/secrets/other | cut -c1-10; sleep 1000"
        template = TaskTemplate(container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", script]))
        assert template.container_spec is not None
        template.container_spec.secrets = [
            SecretReference.as_file(secret_id, "key"),
            SecretReference.as_file(secret_id, "key", target="other", mode=0o400),
        ]
        await create(client, "reads", task_template=template)
        lines: list[LogLine] = []
        with anyio.fail_after(60):
            while len(lines) < 2:
                lines = await client.services.logs("reads").lines()
                await anyio.sleep(0.1)
        assert ["s3cr3t", "-r--------"] == [line.message for line in lines]
        bare = SecretReference(secret_id=secret_id, secret_name="key", file=SecretReferenceFile(name="x"))
        change = TaskTemplate(container_spec=ContainerSpec(secrets=[bare]))
        with pytest.raises(InvalidSpec, match=r"Secrets\[0\]\.File\.UID"):
            await client.services.update("reads", task_template=change)
        await client.services.remove("reads")
    finally:
        engine.docker("secret", "rm", "key")


async def test_a_rollback_by_hand_to_a_spec_whose_tasks_once_failed_arrives(
    client: SwarmClient, engine: Engine
) -> None:
    template = task_template()
    template.restart_policy = RestartPolicy(condition="none")
    await create(client, "again", replicas=2, task_template=template, rollback_config=RollbackConfig(monitor=QUICK))
    for task in await client.services.ps("again"):
        container = (task.status and task.status.container_status) or ContainerStatus()
        engine.docker("kill", container.container_id or "")
    with anyio.fail_after(30):
        while any(task.state == "running" for task in await client.services.ps("again")):
            await anyio.sleep(0.05)
    with pytest.raises(TasksFailing, match="restart policy"):
        await client.services.wait("again", timeout=30)
    await client.services.update("again", task_template=TaskTemplate(container_spec=ContainerSpec("busybox:1.37")))
    await client.services.wait("again", timeout=30)
    await client.services.rollback("again")
    assert 2 == (await client.services.wait("again", timeout=30)).progress.arrived
