"""The public API as users write it, in every way that is legal. Never run: both type checkers must be content.

`assert_type` says what users get. Nothing here may need an ignore.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import httpx

import swarmkit
from swarmkit import (
    UNSET,
    AlreadyInSwarm,
    ApiVersion,
    AppArmorOpts,
    BadRequest,
    BindOptions,
    ClientClosed,
    ClusterOptions,
    ConfigReference,
    ConfigReferenceFile,
    ConfigReferenceRuntime,
    ContainerSpec,
    ContainerStatus,
    CredentialsError,
    CredentialSpec,
    DiscreteGenericResource,
    DNSConfig,
    Driver,
    DriverConfig,
    Endpoint,
    EndpointSpec,
    EndpointVirtualIP,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    Forbidden,
    GenericResource,
    Global,
    GlobalJob,
    Healthcheck,
    HostError,
    ImageOptions,
    ImageReference,
    InUse,
    InvalidReference,
    InvalidSpec,
    JobStatus,
    Limits,
    LogLine,
    LogStream,
    LogStreamError,
    Mount,
    NameConflict,
    NamedGenericResource,
    NetworkAttachmentConfig,
    NetworkAttachmentSpec,
    Node,
    NodeDescription,
    Nodes,
    NodeSpec,
    NodeStatus,
    NoQuorum,
    NotAManager,
    NotFound,
    ObjectVersion,
    OutcomeUnknown,
    OutOfSequence,
    Placement,
    PlacementPreference,
    Platform,
    PluginPrivilege,
    PluginSpec,
    PortConfig,
    PortInUse,
    Privileges,
    Problem,
    Progress,
    ProtocolError,
    RegistryAuth,
    Replicated,
    ReplicatedJob,
    Reservations,
    Resources,
    RestartPolicy,
    RollbackConfig,
    RolledBack,
    Rollout,
    RolloutFailed,
    RolloutTimeout,
    SeccompOpts,
    SecretReference,
    SecretReferenceFile,
    SELinuxContext,
    Service,
    ServiceCreated,
    ServiceFilters,
    ServiceMode,
    ServiceRemoved,
    Services,
    ServiceSpec,
    ServiceStatus,
    ServiceUpdated,
    SlotProgress,
    SpreadOver,
    StreamError,
    StreamTruncated,
    Superseded,
    SwarmClient,
    SwarmkitError,
    SwarmLocked,
    Task,
    TaskFilters,
    Tasks,
    TasksFailing,
    TaskStatus,
    TaskTemplate,
    TmpfsOptions,
    Ulimit,
    Unimplemented,
    Unset,
    UnsupportedApiVersion,
    UnsupportedFeature,
    UpdateConfig,
    UpdatePaused,
    UpdateStatus,
    VolumeOptions,
    WireModel,
    cpus,
    parse_bytes,
)

# --- the client ----------------------------------------------------------------------------------------------------


async def clients(transport: httpx.AsyncBaseTransport) -> None:
    SwarmClient()
    SwarmClient("unix:///run/docker.sock", timeout=None, max_connections=8)
    SwarmClient(context="production", api_version="1.41", timeout=20)
    SwarmClient(api_version=ApiVersion(1, 41), transport=transport)
    SwarmClient(registry_auth=None)
    SwarmClient(registry_auth="config")
    SwarmClient(registry_auth=RegistryAuth(username="user", password="secret", server="registry.example"))
    SwarmClient(registry_auth=RegistryAuth(identity_token="token"))
    SwarmClient(registry_auth=RegistryAuth(registry_token="token"))
    async with SwarmClient() as client:
        assert_type(client, SwarmClient)
        assert_type(client.services, Services)
        assert_type(client.tasks, Tasks)
        assert_type(client.nodes, Nodes)
        version = assert_type(await client.api_version(), ApiVersion)
        assert_type(version >= ApiVersion.parse("1.41"), bool)
        assert_type(str(version), str)
    await client.aclose()


# --- models ----------------------------------------------------------------------------------------------------------


def containers() -> None:
    ContainerSpec()
    ContainerSpec("nginx:1.27")
    ContainerSpec(None)
    ContainerSpec("nginx", command="sh -c 'echo hi'", args=["-v"], env={"MODE": "production", "HOME": None})
    ContainerSpec("nginx", env=["MODE=production"], hosts=["10.0.0.7 db"], command=("nginx", "-g"), args=None)
    container = ContainerSpec(
        image="nginx:1.27",
        labels={"team": "shop"},
        hostname="{{.Node.Hostname}}",
        dir="/srv",
        user="1000:1000",
        groups=["staff"],
        privileges=privileges(),
        tty=False,
        open_stdin=False,
        read_only=True,
        mounts=[*mounts(), "data:/data:ro"],
        stop_signal="SIGINT",
        stop_grace_period=timedelta(seconds=30),
        healthcheck=Healthcheck(
            test=["CMD-SHELL", "curl -f localhost"],
            interval=timedelta(seconds=10),
            timeout=timedelta(seconds=3),
            retries=3,
            start_period=timedelta(minutes=1),
            start_interval=timedelta(seconds=1),
        ),
        hosts={"db": "10.0.0.7"},
        dns_config=DNSConfig(nameservers=["10.0.0.2"], search=["shop.example"], options=["ndots:2"]),
        secrets=[
            SecretReference(
                secret_id="s1",
                secret_name="password",
                file=SecretReferenceFile(name="password", uid="0", gid="0", mode=0o444),
            )
        ],
        configs=[
            ConfigReference(
                config_id="c1",
                config_name="shop",
                file=ConfigReferenceFile(name="/etc/shop.conf", uid="0", gid="0", mode=0o444),
            ),
            ConfigReference(config_id="c2", config_name="spec", runtime=ConfigReferenceRuntime()),
        ],
        isolation="default",
        init=True,
        sysctls={"net.core.somaxconn": "1024"},
        capability_add=["CAP_NET_ADMIN"],
        capability_drop=["CAP_CHOWN"],
        ulimits=[Ulimit(name="nofile", soft=1024, hard=2048)],
        oom_score_adj=100,
    )
    assert_type(container.image, str | None)
    assert_type(container.env, list[str] | None)
    assert_type(container.environment, dict[str, str | None])
    assert_type(container.command, list[str] | None)
    assert_type(container.mounts, list[Mount] | None)
    assert_type(container.stop_grace_period, timedelta | None)
    assert_type(container.healthcheck, Healthcheck | None)
    container.image = "nginx:1.28"
    container.env = [*(container.env or []), "B=2"]
    container.stop_grace_period = timedelta(seconds=5)
    container.labels = None
    assert_type(container.wire(), bytes)
    assert_type(ContainerSpec.from_wire(b"{}"), ContainerSpec)
    assert_type(container.model_copy(deep=True), ContainerSpec)


def privileges() -> Privileges:
    Privileges(credential_spec=CredentialSpec(file="spec.json"))
    Privileges(credential_spec=CredentialSpec(registry="spec"))
    Privileges(credential_spec=CredentialSpec(config="c2"))
    return Privileges(
        selinux_context=SELinuxContext(disable=False, user="u", role="r", type="t", level="s0"),
        seccomp=SeccompOpts(mode="custom", profile=b"{}"),
        apparmor=AppArmorOpts(mode="disabled"),
        no_new_privileges=True,
    )


def mounts() -> list[Mount]:
    assert_type(Mount.parse("data:/data:ro"), Mount)
    return [
        Mount(
            type="bind",
            source="/srv",
            target="/srv",
            read_only=True,
            bind_options=BindOptions(propagation="rslave", non_recursive=True),
        ),
        Mount(
            type="volume",
            source="data",
            target="/data",
            volume_options=VolumeOptions(
                no_copy=True,
                labels={"team": "shop"},
                driver_config=DriverConfig(name="local", options={"type": "nfs"}),
                subpath="part",
            ),
        ),
        Mount(
            type="tmpfs",
            target="/tmp",
            tmpfs_options=TmpfsOptions(size_bytes=parse_bytes("64m"), mode=0o1777, options=[["noexec"]]),
        ),
        Mount(type="image", source="alpine", target="/image", image_options=ImageOptions(subpath="etc")),
        Mount(type="cluster", source="volume", target="/volume", cluster_options=ClusterOptions()),
    ]


def task_templates() -> TaskTemplate:
    assert_type(cpus(0.5), int)
    assert_type(cpus("0.5"), int)
    assert_type(parse_bytes("512MiB"), int)
    TaskTemplate()
    TaskTemplate(plugin_spec=PluginSpec(name="plugin", remote="plugin:1", privileges=[PluginPrivilege(name="mount")]))
    TaskTemplate(network_attachment_spec=NetworkAttachmentSpec(container_id="c"))
    template = TaskTemplate(
        container_spec=ContainerSpec("nginx"),
        resources=Resources(
            limits=Limits(nano_cpus=cpus(0.5), memory_bytes=parse_bytes("512MiB"), pids=100),
            reservations=Reservations(
                nano_cpus=cpus(0.25),
                memory_bytes=parse_bytes("256MiB"),
                generic_resources=[
                    GenericResource.named("GPU", "uuid1"),
                    GenericResource.discrete("SSD", 3),
                    GenericResource(named_resource_spec=NamedGenericResource(kind="GPU", value="uuid2")),
                    GenericResource(discrete_resource_spec=DiscreteGenericResource(kind="SSD", value=1)),
                ],
            ),
            swap_bytes=0,
            memory_swappiness=60,
        ),
        restart_policy=RestartPolicy(
            condition="on-failure", delay=timedelta(seconds=5), max_attempts=3, window=timedelta(minutes=2)
        ),
        placement=Placement(
            constraints=["node.role==worker"],
            preferences=[PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone"))],
            max_replicas=2,
            platforms=[Platform(architecture="amd64", os="linux")],
        ),
        force_update=1,
        runtime="container",
        networks=[NetworkAttachmentConfig(target="backend", aliases=["db"], driver_opts={})],
        log_driver=Driver(name="json-file", options={"max-size": "10m"}),
    )
    assert_type(template.container_spec, ContainerSpec | None)
    assert_type(template.force_update, int | None)
    return template


def specs() -> ServiceSpec:
    ServiceMode(replicated=Replicated(replicas=3))
    ServiceMode(global_=Global())
    ServiceMode(replicated_job=ReplicatedJob(max_concurrent=2, total_completions=10))
    assert_type(ServiceMode(global_job=GlobalJob()).is_job, bool)
    assert_type(ServiceMode.of(Replicated(replicas=3)), ServiceMode)
    assert_type(PortConfig.parse("8080:80/udp"), PortConfig)
    spec = ServiceSpec(
        name="web",
        labels={"team": "shop"},
        task_template=task_templates(),
        mode=ServiceMode(replicated=Replicated(replicas=3)),
        update_config=UpdateConfig(
            parallelism=1,
            delay=timedelta(seconds=10),
            failure_action="rollback",
            monitor=timedelta(seconds=30),
            max_failure_ratio=0.1,
            order="start-first",
        ),
        rollback_config=RollbackConfig(
            parallelism=0,
            delay=timedelta(0),
            failure_action="pause",
            monitor=timedelta(seconds=30),
            max_failure_ratio=0,
            order="stop-first",
        ),
        endpoint_spec=EndpointSpec(
            mode="vip",
            ports=[
                PortConfig(name="http", protocol="tcp", published_port=8080, target_port=80, publish_mode="host"),
                PortConfig.parse("53:53/udp"),
            ],
        ),
    )
    assert_type(spec.container, ContainerSpec)
    assert_type(spec.image, str)
    assert_type(spec.replicas, int)
    spec.container.image = "nginx:1.28"
    spec.mode = None
    model: WireModel = spec
    assert_type(model.wire(), bytes)
    return spec


# --- services --------------------------------------------------------------------------------------------------------


async def create(client: SwarmClient) -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx:1.27"))
    created = assert_type(await client.services.create(template, name="web"), ServiceCreated)
    assert_type(created.id, str)
    assert_type(created.warnings, list[str])
    await client.services.create(specs())
    await client.services.create(specs(), registry_auth=None)
    await client.services.create(
        template,
        name="web",
        labels={"team": "shop"},
        mode=Replicated(replicas=3),
        update_config=UpdateConfig(parallelism=1),
        rollback_config=RollbackConfig(parallelism=1),
        networks=["backend", NetworkAttachmentConfig(target="frontend", aliases=["www"])],
        endpoint_spec=EndpointSpec(ports=[PortConfig.parse("8080:80")]),
        registry_auth=RegistryAuth(username="user", password="secret"),
    )
    modes: Sequence[ServiceMode | Replicated | Global | ReplicatedJob | GlobalJob | None] = [Global(), ServiceMode()]
    for mode in modes:
        await client.services.create(template, name="web", mode=mode, networks=("host",), registry_auth="config")


async def read(client: SwarmClient) -> None:
    service = assert_type(await client.services.inspect("web"), Service)
    assert_type(service.id, str)
    assert_type(service.name, str)
    assert_type(service.version, ObjectVersion)
    assert_type(service.version.index, int)
    assert_type(service.created_at, datetime | None)
    assert_type(service.spec, ServiceSpec)
    assert_type(service.previous_spec, ServiceSpec | None)
    if service.endpoint is not None:
        assert_type(service.endpoint, Endpoint)
        assert_type(service.endpoint.ports, list[PortConfig] | None)
        assert_type(service.endpoint.virtual_ips, list[EndpointVirtualIP] | None)
    if service.update_status is not None:
        assert_type(service.update_status, UpdateStatus)
        state: str | None = service.update_status.state
        assert_type(state == "paused", bool)
    if service.service_status is not None:
        assert_type(service.service_status, ServiceStatus)
        assert_type(service.service_status.running_tasks, int | None)
    if service.job_status is not None:
        assert_type(service.job_status, JobStatus)
        assert_type(service.job_status.last_execution, datetime | None)

    full = await client.services.inspect("web", insert_defaults=True)
    assert_type(full, Service)

    assert_type(await client.services.list(), list[Service])
    await client.services.list(name="web", status=True)
    await client.services.list(filters={"label": "team=shop", "mode": ["replicated", "global"]})
    await client.services.list(filters=ServiceFilters(name=["web"], runtime=["container"]))
    tasks = assert_type(await client.services.ps("web"), list[Task])
    assert_type(await client.tasks.list(), list[Task])
    await client.tasks.list(filters={"service": "web", "desired-state": "running"})
    await client.tasks.list(filters=TaskFilters(service=["web"], desired_state=["running"], up_to_date=["true"]))
    task = assert_type(await client.tasks.inspect(tasks[0].id), Task)
    assert_type(task.state, str)
    assert_type(task.error, str)
    assert_type(task.message, str)
    assert_type(task.slot, int | None)
    assert_type(task.node_id, str | None)
    assert_type(task.spec, TaskTemplate)
    if task.status is not None and task.status.container_status is not None:
        assert_type(task.status, TaskStatus)
        assert_type(task.status.container_status, ContainerStatus)
        assert_type(task.status.container_status.exit_code, int | None)

    for node in assert_type(await client.nodes.list(), list[Node]):
        assert_type(node.spec, NodeSpec)
        assert_type(node.description, NodeDescription | None)
        assert_type(node.status, NodeStatus | None)


async def change(client: SwarmClient, *, image: str | None, given: Unset | None) -> None:
    updated = assert_type(
        await client.services.update(
            "web", task_template=TaskTemplate(container_spec=ContainerSpec(image="nginx:1.28"))
        ),
        ServiceUpdated,
    )
    assert_type(updated.warnings, list[str])
    await client.services.update("web", version=17, labels={})
    await client.services.update("web", version=ObjectVersion(index=17), labels=None, networks=None)
    await client.services.update("web", mode=Replicated(replicas=3), networks=["backend"])
    await client.services.update("web", mode=ServiceMode(global_=Global()), update_config=None, endpoint_spec=None)
    await client.services.update("web", rollback_config=RollbackConfig(order="start-first"), registry_auth="config")
    await client.services.update("web", task_template=TaskTemplate(placement=None), labels=UNSET)
    await client.services.update("web", task_template=None, mode=None, registry_auth=UNSET, labels=given)
    container = ContainerSpec(image=UNSET if image is None else image, env=None)
    await client.services.update("web", task_template=TaskTemplate(container_spec=container))

    def add_variable(spec: ServiceSpec) -> None:
        spec.container.env = [*(spec.container.env or []), "MODE=production"]

    def renew(spec: ServiceSpec) -> ServiceSpec:
        return spec.model_copy(deep=True)

    assert_type(await client.services.edit("web", add_variable), ServiceUpdated)
    await client.services.edit("web", renew)
    await client.services.edit("web", lambda spec: spec.model_copy(update={"labels": {}}))
    await client.services.edit("web", lambda spec: setattr(spec.container, "image", "nginx:1.28"), registry_auth=None)

    service = await client.services.inspect("web")
    assert_type(
        await client.services.replace("web", service.spec, version=service.version, registry_auth="config"),
        ServiceUpdated,
    )
    await client.services.replace("web", specs(), version=17)
    assert_type(await client.services.scale("web", 5), ServiceUpdated)
    assert_type(await client.services.rollback("web"), ServiceUpdated)
    await client.services.remove("web")


async def logs(client: SwarmClient) -> None:
    assert_type(client.services.logs("web"), LogStream)
    client.services.logs("web", follow=True, stdout=False, tail=100, timestamps=True)
    client.services.logs("web", stderr=False, tail="all", since=timedelta(minutes=5))
    client.services.logs("web", since=1_700_000_000)
    client.services.logs("web", since=1_700_000_000.5)
    async with client.services.logs("web", since=datetime.now(UTC)) as lines:
        assert_type(lines, LogStream)
        async for line in lines:
            assert_type(line, LogLine)
            assert_type(line.message, str)
            assert_type(line.data, bytes)
            assert_type(line.timestamp, datetime | None)
            assert_type(line.details, dict[str, str])
            assert_type((line.task_id, line.node_id, line.service_id), tuple[str, str, str])
            if line.stream == "stderr":
                break


async def wait(client: SwarmClient) -> None:
    rollout = assert_type(await client.services.wait("web"), Rollout)
    await client.services.wait("web", timeout=120)
    progress = assert_type(rollout.progress, Progress)
    assert_type(rollout.seconds, float)
    assert_type(progress.errors, tuple[str, ...])
    assert_type(progress.slots, tuple[SlotProgress, ...])
    assert_type(progress.slots[0].failures, int)
    assert_type((progress.wanted, progress.arrived, progress.message), tuple[int, int, str])


# --- errors ----------------------------------------------------------------------------------------------------------


async def errors(client: SwarmClient) -> None:
    try:
        await client.services.inspect("web")
    except (NotFound, BadRequest, Forbidden, NameConflict, PortInUse, Unimplemented) as error:
        assert_type(error.status, int)
        assert_type(error.code, str | None)
        assert_type((error.message, error.method, error.path), tuple[str, str, str])
    except OutOfSequence as error:
        assert_type(error.sent, int | None)
        assert_type(error.current, int | None)
    except InUse as error:
        assert_type((error.kind, error.name), tuple[str, str])
        assert_type(error.by, tuple[str, ...])
    except NotAManager as error:
        assert_type(error.state, str)
    except (SwarmLocked, NoQuorum, AlreadyInSwarm, EngineError) as error:
        assert_type(error.status, int)
    except UnsupportedFeature as error:
        assert_type(error.problems, tuple[Problem, ...])
        assert_type(error.version, ApiVersion)
    except InvalidSpec as error:
        for problem in error.problems:
            assert_type((problem.path, problem.reason), tuple[str, str])
    except OutcomeUnknown as error:
        assert_type((error.method, error.path, error.cause), tuple[str, str, str])
    except EngineUnreachable as error:
        assert_type(error.reason, str)
    except (HostError, CredentialsError, ClientClosed, UnsupportedApiVersion, InvalidReference) as error:
        assert_type(str(error), str)
    except (EngineTimeout, ProtocolError) as error:
        assert_type(error.args, tuple[Any, ...])
    except (UpdatePaused, RolledBack, TasksFailing, RolloutTimeout, Superseded, ServiceRemoved, RolloutFailed) as error:
        assert_type(error.progress, Progress)
    except (StreamTruncated, LogStreamError, StreamError, SwarmkitError):
        raise
    try:
        Mount.parse("nonsense")
        ImageReference.parse("")
    except ValueError:
        image = assert_type(ImageReference.parse("nginx:1.27"), ImageReference)
        assert_type((image.familiar, image.normalized, image.domain), tuple[str, str, str])
        assert_type(image.tag, str | None)


def by_module_name(error: swarmkit.SwarmkitError) -> swarmkit.ServiceSpec | None:
    given: swarmkit.Unset = swarmkit.UNSET
    assert_type(str(given), str)
    return swarmkit.ServiceSpec(name="web") if isinstance(error, swarmkit.NotFound) else None
