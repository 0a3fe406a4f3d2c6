"""The public API as users write it, in every way that is legal. Never run: both type checkers must be content.

`assert_type` says what users get. Nothing here may need an ignore.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never, assert_type

import httpx
from rich.console import Console, RenderableType

import swarmkit
from swarmkit import (
    IPAM,
    UNSET,
    AddressPool,
    AlreadyInSwarm,
    ApiVersion,
    AppArmorOpts,
    Applied,
    BadRequest,
    BindOptions,
    CAConfig,
    Change,
    ClientClosed,
    ClusterInfo,
    ClusterOptions,
    ComponentVersion,
    Config,
    ConfigCreated,
    ConfigFilters,
    ConfigFrom,
    ConfigReference,
    ConfigReferenceFile,
    ConfigReferenceRuntime,
    Configs,
    ConfigSpec,
    ContainerSpec,
    ContainerStatus,
    CredentialsError,
    CredentialSpec,
    Diff,
    DiscreteGenericResource,
    DispatcherConfig,
    DistributionInspect,
    DNSConfig,
    Driver,
    DriverConfig,
    EncryptionConfig,
    Endpoint,
    EndpointIPAMConfig,
    EndpointSettings,
    EndpointSpec,
    EndpointVirtualIP,
    EngineDescription,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    Event,
    EventActor,
    EventFilters,
    EventsLost,
    EventStream,
    ExternalCA,
    FailedPrecondition,
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
    IPAMConfig,
    IPAMStatus,
    JobStatus,
    JoinPending,
    JoinTokens,
    Limits,
    LogLine,
    LogStream,
    LogStreamError,
    ManagerStatus,
    Mount,
    NameConflict,
    NamedGenericResource,
    Network,
    NetworkAttachment,
    NetworkAttachmentConfig,
    NetworkAttachmentSpec,
    NetworkConnectRequest,
    NetworkContainer,
    NetworkCreated,
    NetworkCreateRequest,
    NetworkDisconnectRequest,
    NetworkFilters,
    NetworkPeer,
    Networks,
    NetworkService,
    NetworksPruned,
    NetworkStatus,
    NetworkTask,
    Node,
    NodeCSIInfo,
    NodeDescription,
    NodeFilters,
    NodeResources,
    Nodes,
    NodeSpec,
    NodeStatus,
    NoQuorum,
    NotAManager,
    NotFound,
    ObjectVersion,
    OCIDescriptor,
    OCIPlatform,
    OrchestrationConfig,
    OutcomeUnknown,
    OutOfSequence,
    PeerNode,
    Ping,
    Placement,
    PlacementPreference,
    Platform,
    PlatformVersion,
    PluginDescription,
    PluginPrivilege,
    PluginsInfo,
    PluginSpec,
    PortConfig,
    PortInUse,
    PortStatus,
    Privileges,
    Problem,
    Progress,
    ProtocolError,
    RaftConfig,
    RegistryAuth,
    Replicated,
    ReplicatedJob,
    Reservations,
    Resources,
    RestartPolicy,
    Resync,
    RollbackConfig,
    RolledBack,
    Rollout,
    RolloutFailed,
    RolloutTimeout,
    Rotated,
    SeccompOpts,
    Secret,
    SecretCreated,
    SecretFilters,
    SecretReference,
    SecretReferenceFile,
    Secrets,
    SecretSpec,
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
    SubnetStatus,
    Superseded,
    Swarm,
    SwarmClient,
    SwarmInfo,
    SwarmInitRequest,
    SwarmIPAMConfig,
    SwarmIPAMOptions,
    SwarmJoinRequest,
    SwarmkitError,
    SwarmLocked,
    SwarmNetwork,
    SwarmNetworkSpec,
    SwarmNotLocked,
    SwarmSpec,
    SwarmUnlockKey,
    System,
    SystemInfo,
    SystemVersion,
    Task,
    TaskDefaults,
    TaskFilters,
    Tasks,
    TasksFailing,
    TaskStatus,
    TaskTemplate,
    TheSwarm,
    TLSInfo,
    TmpfsOptions,
    Topology,
    Ulimit,
    Unimplemented,
    Unset,
    UnsupportedApiVersion,
    UnsupportedFeature,
    UpdateConfig,
    UpdatePaused,
    UpdateStatus,
    VolumeAttachment,
    VolumeOptions,
    Watch,
    WireModel,
    cpus,
    notebook,
    parse_bytes,
    progress,
)

# --- the client ----------------------------------------------------------------------------------------------------


async def clients(transport: httpx.AsyncBaseTransport) -> None:
    SwarmClient()
    SwarmClient("unix:///run/docker.sock", timeout=None, max_connections=8)
    SwarmClient(["tcp://m1:2376", "tcp://m2:2376", "unix:///run/docker.sock"])
    SwarmClient(("tcp://m1:2376", "ssh://deploy@m2"), tls=swarmkit.TLSConfig(verify=False))
    SwarmClient(context="production", api_version="1.41", timeout=20)
    SwarmClient(api_version=ApiVersion(1, 41), transport=transport)
    SwarmClient(registry_auth=None)
    SwarmClient(registry_auth="config")
    SwarmClient(registry_auth=RegistryAuth(username="user", password="secret", server="registry.example"))
    SwarmClient(registry_auth=RegistryAuth(identity_token="token"))
    SwarmClient(registry_auth=RegistryAuth(registry_token="token"))
    SwarmClient(pin_digest="never")
    SwarmClient(pin_digest="try")
    SwarmClient(pin_digest="require")
    async with SwarmClient() as client:
        assert_type(client, SwarmClient)
        assert_type(client.services, Services)
        assert_type(client.tasks, Tasks)
        assert_type(client.nodes, Nodes)
        assert_type(client.networks, Networks)
        assert_type(client.swarm, TheSwarm)
        assert_type(client.secrets, Secrets)
        assert_type(client.configs, Configs)
        version = assert_type(await client.api_version(), ApiVersion)
        assert_type(client.with_options(timeout=None, registry_auth="config", pin_digest="try"), SwarmClient)
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
        seccomp=SeccompOpts(mode="custom", profile="{}"),
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


def edits(spec: ServiceSpec) -> None:
    variables: dict[str, str | None] = {"BARE": None}
    spec.add_env(LOG="debug")
    spec.add_env({"LOG.LEVEL": "debug"}, variables, BARE=None)
    spec.remove_env("LOG", *variables)
    spec.add_label({"com.example.team": "shop"}, tier="front")
    spec.remove_label("tier")
    spec.add_container_label(tier="front")
    spec.remove_container_label("tier")
    spec.add_sysctl({"net.core.somaxconn": "1024"})
    spec.remove_sysctl("net.core.somaxconn")
    spec.add_host(db="10.0.0.5")
    spec.remove_host("db", "cache:10.0.0.6")
    spec.add_ulimit({"nproc": 512}, nofile=(1024, 2048))
    spec.remove_ulimit("nofile")
    spec.add_generic_resource(gpu=2)
    spec.remove_generic_resource("gpu")
    spec.add_mount("data:/data:ro", Mount(type="tmpfs", target="/tmp"))
    spec.remove_mount("/data")
    spec.add_port("8080:80", 81, PortConfig(target_port=82))
    spec.remove_port("80/udp", 81, PortConfig(target_port=82, publish_mode="host"))
    spec.add_network("backend", NetworkAttachmentConfig(target="front", aliases=["web"]))
    spec.remove_network("backend")
    spec.add_secret(SecretReference.as_file("k2s9", "password"), "other")
    spec.remove_secret("password")
    spec.add_config(ConfigReference.as_file("c7d1", "nginx"), "source=shop,target=/etc/shop.conf")
    spec.remove_config("nginx")
    spec.add_constraint("node.role==worker")
    spec.remove_constraint("node.role==worker")
    spec.add_placement_preference("node.labels.zone", PlacementPreference())
    spec.remove_placement_preference("node.labels.zone")
    spec.add_capability("NET_ADMIN")
    spec.drop_capability("NET_RAW")
    spec.add_group("audit")
    spec.remove_group("audit")
    spec.add_dns("10.0.0.2")
    spec.remove_dns("10.0.0.2")
    spec.add_dns_option("ndots:2")
    spec.remove_dns_option("ndots:2")
    spec.add_dns_search("example.com")
    spec.remove_dns_search("example.com")


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
    edits(spec)
    model: WireModel = spec
    assert_type(model.wire(), bytes)
    return spec


# --- the models of the other nouns -----------------------------------------------------------------------------------


def nodes(node: Node, *, names: Sequence[str]) -> NodeSpec:
    NodeFilters(
        id=["n1"], name=[*names], label=["rack=1"], node_label=["zone"], role=["manager"], membership=["accepted"]
    )
    assert_type(node.id, str)
    assert_type(node.version, ObjectVersion)
    assert_type(node.created_at, datetime | None)
    assert_type(node.updated_at, datetime | None)
    assert_type(node.hostname, str)
    assert_type(node.spec.labels, dict[str, str] | None)
    if node.manager_status is not None:
        assert_type(node.manager_status, ManagerStatus)
        assert_type(node.manager_status.leader, bool | None)
        assert_type(node.manager_status.addr, str | None)
        reachability: str | None = node.manager_status.reachability
        assert_type(reachability == "reachable", bool)
    if node.status is not None:
        state: str | None = node.status.state
        assert_type(state == "ready", bool)
        assert_type((node.status.addr, node.status.message), tuple[str | None, str | None])
    if node.description is not None:
        description = assert_type(node.description, NodeDescription)
        assert_type(description.platform, Platform | None)
        if description.resources is not None:
            assert_type(description.resources, NodeResources)
            assert_type(description.resources.nano_cpus, int | None)
            assert_type(description.resources.memory_bytes, int | None)
            assert_type(description.resources.generic_resources, list[GenericResource] | None)
        if description.engine is not None:
            assert_type(description.engine, EngineDescription)
            assert_type(description.engine.engine_version, str | None)
            assert_type(description.engine.labels, dict[str, str] | None)
            for plugin in description.engine.plugins or []:
                assert_type(plugin, PluginDescription)
                assert_type((plugin.type, plugin.name), tuple[str | None, str | None])
        if description.tls_info is not None:
            assert_type(description.tls_info, TLSInfo)
            assert_type(description.tls_info.trust_root, str | None)
            assert_type(description.tls_info.cert_issuer_subject, bytes | None)
            assert_type(description.tls_info.cert_issuer_public_key, bytes | None)
        for storage in description.csi_info or []:
            assert_type(storage, NodeCSIInfo)
            assert_type((storage.plugin_name, storage.node_id), tuple[str | None, str | None])
            assert_type(storage.max_volumes_per_node, int | None)
            if storage.accessible_topology is not None:
                assert_type(storage.accessible_topology, Topology)
                assert_type(storage.accessible_topology.segments, dict[str, str] | None)
    node.spec.availability = "drain"
    node.spec.labels = {**(node.spec.labels or {}), "zone": "a"}
    return NodeSpec(name="first", labels={"zone": "a"}, role="manager", availability="pause")


def swarms(swarm: Swarm, key: SwarmUnlockKey) -> None:
    assert_type(swarm.id, str)
    assert_type(swarm.spec, SwarmSpec)
    if swarm.join_tokens is not None:
        assert_type(swarm.join_tokens, JoinTokens)
        assert_type((swarm.join_tokens.worker, swarm.join_tokens.manager), tuple[str | None, str | None])
    cluster: ClusterInfo = swarm
    assert_type(cluster.tls_info, TLSInfo | None)
    assert_type(cluster.root_rotation_in_progress, bool | None)
    assert_type(cluster.default_addr_pool, list[str] | None)
    assert_type((cluster.subnet_size, cluster.data_path_port), tuple[int | None, int | None])
    assert_type(key.unlock_key, str | None)
    SwarmUnlockKey(unlock_key="SWMKEY-1-key")
    if swarm.spec.dispatcher is not None and swarm.spec.ca_config is not None:
        assert_type(swarm.spec.dispatcher.heartbeat_period, timedelta | None)
        assert_type(swarm.spec.ca_config.node_cert_expiry, timedelta | None)
        assert_type(swarm.spec.ca_config.external_cas, list[ExternalCA] | None)
        swarm.spec.ca_config.force_rotate = (swarm.spec.ca_config.force_rotate or 0) + 1
    spec = SwarmSpec(
        name="default",
        labels={"team": "shop"},
        orchestration=OrchestrationConfig(task_history_retention_limit=2),
        raft=RaftConfig(
            snapshot_interval=10_000,
            keep_old_snapshots=0,
            log_entries_for_slow_followers=500,
            election_tick=10,
            heartbeat_tick=1,
        ),
        dispatcher=DispatcherConfig(heartbeat_period=timedelta(seconds=5)),
        ca_config=CAConfig(
            node_cert_expiry=timedelta(days=90),
            external_cas=[
                ExternalCA(protocol="cfssl", url="https://ca.example", options={"token": "t"}, ca_cert="PEM")
            ],
            signing_ca_cert="PEM",
            signing_ca_key="PEM",
            force_rotate=1,
        ),
        task_defaults=TaskDefaults(log_driver=Driver(name="json-file", options={"max-size": "10m"})),
        encryption_config=EncryptionConfig(auto_lock_managers=True),
    )
    SwarmInitRequest()
    SwarmInitRequest(
        listen_addr="0.0.0.0:2377",
        advertise_addr="10.0.0.1",
        data_path_addr="eth1",
        data_path_port=4789,
        default_addr_pool=["10.20.0.0/16"],
        subnet_size=26,
        force_new_cluster=False,
        spec=spec,
        auto_lock_managers=True,
        availability="active",
    )
    SwarmJoinRequest(
        listen_addr="0.0.0.0:2377",
        advertise_addr="10.0.0.2",
        data_path_addr="eth1",
        remote_addrs=["10.0.0.1:2377"],
        join_token="SWMTKN-1-token",
        availability="drain",
    )


def secrets(secret: Secret, created: SecretCreated) -> SecretSpec:
    SecretFilters(id=["s1"], name=["db"], names=["db_password"], label=["team=shop"])
    assert_type((secret.id, secret.name), tuple[str, str])
    assert_type(secret.version.index, int)
    assert_type(secret.spec, SecretSpec)
    assert_type(secret.spec.labels, dict[str, str] | None)
    assert_type(secret.spec.data, bytes | None)
    assert_type(created.id, str)
    assert_type(SecretReference.as_file(created.id, secret.name, uid="33", mode=0o400), SecretReference)
    assert_type(SecretReference.named("db", target="/run/db", gid="33", mode=0o440), SecretReference)
    assert_type(SecretReference.parse("source=db,target=db,mode=0400"), SecretReference)
    ContainerSpec(secrets=["db", SecretReference.named("other")], configs=("shop",))
    SecretSpec(name="outside", driver=Driver(name="vault", options={"path": "db"}))
    return SecretSpec(name="db", labels={"team": "shop"}, data="hunter2", templating=Driver(name="golang"))


def configs(config: Config, created: ConfigCreated) -> ConfigSpec:
    ConfigFilters(id=["c1"], name=["shop"], label=["team=shop"])
    assert_type((config.id, config.name), tuple[str, str])
    assert_type(config.updated_at, datetime | None)
    assert_type(config.spec, ConfigSpec)
    assert_type(config.spec.data, bytes | None)
    assert_type(created.id, str)
    assert_type(ConfigReference.as_file(created.id, config.name, target="/etc/shop.conf"), ConfigReference)
    assert_type(ConfigReference.named("shop", target="/etc/shop.conf", uid="33"), ConfigReference)
    assert_type(ConfigReference.parse("shop"), ConfigReference)
    return ConfigSpec(name="shop", labels={"team": "shop"}, data=b"a=1", templating=Driver(name="golang"))


def networks(network: Network, created: NetworkCreated, pruned: NetworksPruned) -> NetworkCreateRequest:
    NetworkFilters(
        id=["n1"],
        name=["backend"],
        label=["team=shop"],
        driver=["overlay"],
        type=["custom"],
        scope=["swarm"],
        dangling=["true"],
    )
    assert_type((created.id, created.warning), tuple[str, str])
    assert_type(pruned.networks_deleted, list[str] | None)
    assert_type(network.id, str)
    assert_type((network.name, network.driver), tuple[str | None, str | None])
    assert_type(network.created, datetime | None)
    scope: str | None = network.scope
    assert_type(scope == "swarm", bool)
    assert_type((network.internal, network.attachable, network.ingress), tuple[bool | None, bool | None, bool | None])
    assert_type(
        (network.enable_ipv4, network.enable_ipv6, network.config_only), tuple[bool | None, bool | None, bool | None]
    )
    assert_type(network.ipam, IPAM | None)
    assert_type(network.config_from, ConfigFrom | None)
    assert_type(network.options, dict[str, str] | None)
    assert_type(network.labels, dict[str, str] | None)
    for container in (network.containers or {}).values():
        assert_type(container, NetworkContainer)
        assert_type((container.name, container.endpoint_id), tuple[str | None, str | None])
        assert_type(container.mac_address, str | None)
        assert_type((container.ipv4_address, container.ipv6_address), tuple[str | None, str | None])
    for peer in network.peers or []:
        assert_type(peer, NetworkPeer)
        assert_type((peer.name, peer.ip), tuple[str | None, str | None])
    for service in (network.services or {}).values():
        assert_type(service, NetworkService)
        assert_type((service.vip, service.local_lb_index), tuple[str | None, int | None])
        assert_type(service.ports, list[str] | None)
        for task in service.tasks or []:
            assert_type(task, NetworkTask)
            assert_type((task.name, task.endpoint_id, task.endpoint_ip), tuple[str | None, str | None, str | None])
            assert_type(task.info, dict[str, str] | None)
    if network.status is not None and network.status.ipam is not None:
        assert_type(network.status, NetworkStatus)
        assert_type(network.status.ipam, IPAMStatus)
        for subnet in (network.status.ipam.subnets or {}).values():
            assert_type(subnet, SubnetStatus)
            assert_type((subnet.ips_in_use, subnet.dynamic_ips_available), tuple[int | None, int | None])
    NetworkConnectRequest(
        container="c1",
        endpoint_config=EndpointSettings(
            ipam_config=EndpointIPAMConfig(
                ipv4_address="10.0.9.7", ipv6_address="fd00::7", link_local_ips=["169.254.34.68"]
            ),
            links=["db:database"],
            aliases=["web"],
            driver_opts={"com.example": "1"},
            gw_priority=10,
            mac_address="02:42:0a:00:09:07",
        ),
    )
    NetworkDisconnectRequest(container="c1", force=True)
    NetworkCreateRequest(name="settings", config_only=True, ipam=IPAM(config=[IPAMConfig(subnet="10.0.8.0/24")]))
    return NetworkCreateRequest(
        name="backend",
        driver="overlay",
        scope="swarm",
        enable_ipv4=True,
        enable_ipv6=False,
        ipam=IPAM(
            driver="default",
            options={"com.example": "1"},
            config=[
                IPAMConfig(
                    subnet="10.0.9.0/24",
                    ip_range="10.0.9.128/25",
                    gateway="10.0.9.1",
                    auxiliary_addresses={"router": "10.0.9.2"},
                )
            ],
        ),
        internal=False,
        attachable=True,
        ingress=False,
        config_only=False,
        config_from=ConfigFrom(network="settings"),
        options={"encrypted": ""},
        labels={"team": "shop"},
        check_duplicate=True,
    )


def attachments(task: Task) -> None:
    for attachment in task.networks_attachments or []:
        assert_type(attachment, NetworkAttachment)
        assert_type(attachment.addresses, list[str] | None)
        if attachment.network is None:
            continue
        network = assert_type(attachment.network, SwarmNetwork)
        assert_type((network.id, network.version.index), tuple[str, int])
        assert_type(network.driver_state, Driver | None)
        if network.spec is not None:
            assert_type(network.spec, SwarmNetworkSpec)
            assert_type((network.spec.name, network.spec.ingress), tuple[str | None, bool | None])
            assert_type(network.spec.driver_configuration, Driver | None)
        if network.ipam_options is not None:
            assert_type(network.ipam_options, SwarmIPAMOptions)
            assert_type(network.ipam_options.driver, Driver | None)
            for subnet in network.ipam_options.configs or []:
                assert_type(subnet, SwarmIPAMConfig)
                assert_type((subnet.subnet, subnet.range, subnet.gateway), tuple[str | None, str | None, str | None])
    for volume in task.volumes or []:
        assert_type(volume, VolumeAttachment)
        assert_type((volume.id, volume.source, volume.target), tuple[str | None, str | None, str | None])
    if task.status is not None and task.status.port_status is not None:
        assert_type(task.status.port_status, PortStatus)
        assert_type(task.status.port_status.ports, list[PortConfig] | None)
    assert_type(task.generic_resources, list[GenericResource] | None)
    assert_type(task.job_iteration, ObjectVersion | None)


def events(event: Event) -> None:
    EventFilters(
        type=["service"],
        event=["update"],
        scope=["swarm"],
        label=["team=shop"],
        service=["web"],
        node=["n1"],
        secret=["db"],
        config=["shop"],
        network=["backend"],
        container=["c1"],
        image=["nginx"],
        volume=["data"],
        plugin=["p"],
        daemon=["d"],
    )
    kind: str | None = event.type
    assert_type(kind == "service", bool)
    assert_type(event.action, str | None)
    if event.actor is not None:
        assert_type(event.actor, EventActor)
        assert_type(event.actor.id, str | None)
        assert_type(event.actor.attributes, dict[str, str] | None)
    scope: str | None = event.scope
    assert_type(scope == "swarm", bool)
    assert_type((event.time, event.time_nano), tuple[int | None, int | None])
    assert_type((event.status, event.id, event.from_), tuple[str | None, str | None, str | None])
    Event(
        type="service", action="update", actor=EventActor(id="s1", attributes={"name": "web"}), time=1, time_nano=10**9
    )


def system(info: SystemInfo, version: SystemVersion, ping: Ping, image: DistributionInspect) -> None:
    assert_type((ping.api_version, ping.server, ping.os_type), tuple[str | None, str | None, str | None])
    assert_type((ping.builder_version, ping.swarm), tuple[str | None, str | None])
    assert_type(ping.experimental, bool | None)
    assert_type(ping.is_manager, bool | None)
    assert_type(Ping.of({"Api-Version": "1.51"}), Ping)
    assert_type(Ping.of(httpx.Headers({"Api-Version": "1.51"})), Ping)

    assert_type(
        (version.version, version.api_version, version.min_api_version), tuple[str | None, str | None, str | None]
    )
    assert_type(version.platform, PlatformVersion | None)
    for component in version.components or []:
        assert_type(component, ComponentVersion)
        assert_type((component.name, component.version), tuple[str | None, str | None])
        assert_type(component.details, dict[str, str] | None)

    assert_type((info.id, info.name, info.server_version), tuple[str | None, str | None, str | None])
    assert_type((info.ncpu, info.mem_total), tuple[int | None, int | None])
    assert_type(info.system_time, datetime | None)
    assert_type(info.labels, list[str] | None)
    if info.plugins is not None:
        assert_type(info.plugins, PluginsInfo)
        assert_type(info.plugins.network, list[str] | None)
    for pool in info.default_address_pools or []:
        assert_type(pool, AddressPool)
        assert_type((pool.base, pool.size), tuple[str | None, int | None])
    if info.swarm is not None:
        assert_type(info.swarm, SwarmInfo)
        assert_type((info.swarm.node_id, info.swarm.node_addr), tuple[str | None, str | None])
        assert_type((info.swarm.control_available, info.swarm.error), tuple[bool | None, str | None])
        assert_type((info.swarm.nodes, info.swarm.managers), tuple[int | None, int | None])
        assert_type(info.swarm.cluster, ClusterInfo | None)
        state: str | None = info.swarm.local_node_state
        assert_type(state == "active", bool)
        for manager in info.swarm.remote_managers or []:
            assert_type(manager, PeerNode)
            assert_type((manager.node_id, manager.addr), tuple[str | None, str | None])

    assert_type(image.descriptor, OCIDescriptor)
    assert_type((image.descriptor.digest, image.descriptor.media_type), tuple[str | None, str | None])
    assert_type((image.descriptor.size, image.descriptor.data), tuple[int | None, bytes | None])
    for platform in image.platforms or []:
        assert_type(platform, OCIPlatform)
        assert_type((platform.os, platform.architecture, platform.variant), tuple[str | None, str | None, str | None])
        assert_type((platform.os_version, platform.os_features), tuple[str | None, list[str] | None])


# --- services --------------------------------------------------------------------------------------------------------


async def create(client: SwarmClient) -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx:1.27"))
    created = assert_type(await client.services.create(template, name="web"), ServiceCreated)
    assert_type(created.id, str)
    assert_type(created.warnings, list[str])
    await client.services.create(specs())
    await client.services.create(specs(), registry_auth=None)
    await client.services.create(specs(), pin_digest="try")
    await client.services.create(template, pin_digest="require")
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

    for node in assert_type(await client.nodes.list(filters={"node.label": "zone=a"}), list[Node]):
        assert_type(node.spec, NodeSpec)
        assert_type(node.description, NodeDescription | None)
        assert_type(node.status, NodeStatus | None)


async def nodes_of_the_swarm(client: SwarmClient, node: Node) -> None:
    assert_type(await client.nodes.inspect("self"), Node)
    await client.nodes.list(filters=NodeFilters(role=["manager"]))
    await client.nodes.update("worker-1", labels={"zone": "a"}, role="worker", availability="drain")
    await client.nodes.update(node.id, version=node.version, labels=None)
    await client.nodes.update(node.id, version=17, availability=UNSET)
    await client.nodes.edit("worker-1", lambda spec: spec.add_label({"com.example.disk": "ssd"}, zone="a"))
    await client.nodes.edit("worker-1", lambda spec: spec.remove_label("zone", "rack"))
    await client.nodes.edit("worker-1", lambda spec: NodeSpec(role="worker", availability="active"))
    await client.nodes.drain("worker-1")
    await client.nodes.pause("worker-1")
    await client.nodes.activate("worker-1")
    await client.nodes.promote("worker-1")
    await client.nodes.demote("worker-1")
    try:
        await client.nodes.remove("worker-1", force=True)
    except FailedPrecondition as error:
        assert_type(error.message, str)


async def networks_of_the_swarm(client: SwarmClient) -> None:
    created = assert_type(await client.networks.create("backend"), NetworkCreated)
    ipam = IPAM(config=[IPAMConfig(subnet="10.9.0.0/24", gateway="10.9.0.1")])
    await client.networks.create(
        "frontend", attachable=True, internal=False, ipam=ipam, options={"encrypted": ""}, labels={"tier": "front"}
    )
    await client.networks.create("mesh", ingress=True, enable_ipv4=True, enable_ipv6=False)
    await client.networks.create("settings", config_only=True, ipam=ipam)
    await client.networks.create("lan", driver="macvlan", scope="swarm", config_from="settings")
    await client.networks.create("bridge-1", driver="bridge", scope="local", config_from=ConfigFrom(network="settings"))
    assert_type(await client.networks.inspect(created.id, verbose=True, scope="swarm"), Network)
    assert_type(await client.networks.list(), list[Network])
    await client.networks.list(filters={"driver": "overlay", "dangling": True})
    await client.networks.list(filters=NetworkFilters(name=["backend"]))
    await client.networks.remove("backend")


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
    await client.services.edit("web", lambda spec: spec.add_env(LOG="debug"))
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
    await client.services.update("web", registry_auth="previous-spec", pin_digest="require")
    await client.services.edit("web", renew, registry_auth="previous-spec", pin_digest="try")
    await client.services.replace("web", specs(), version=17, registry_auth=None, pin_digest="never")
    assert_type(await client.services.refresh_registry_auth("web"), ServiceUpdated)
    await client.services.refresh_registry_auth("web", registry_auth="config")
    await client.services.refresh_registry_auth("web", registry_auth=RegistryAuth(identity_token="token"))
    await client.services.remove("web")
    await client.services.remove("web", wait=True, timeout=None)

    assert_type(await client.services.force_update("web"), ServiceUpdated)
    diff = assert_type(await client.services.preview("web", renew), Diff)
    assert_type(diff.replaces_tasks, bool)
    for changed in diff.changes:
        assert_type(changed, Change)
        assert_type(changed.path, str)
    applied = assert_type(await client.services.apply(specs(), registry_auth=None), Applied)
    assert_type(applied.warnings, tuple[str, ...])
    match applied.outcome:
        case "created" | "updated" | "unchanged":
            pass
        case _ as never:
            assert_never(never)


async def asking_the_engine(client: SwarmClient) -> None:
    assert_type(client.system, System)
    assert_type(await client.system.ping(), Ping)
    assert_type(await client.system.version(), SystemVersion)
    assert_type(await client.system.info(), SystemInfo)
    assert_type(await client.system.distribution("nginx:1.28"), DistributionInspect)
    await client.system.distribution("registry.example/app:1", registry_auth=RegistryAuth(username="u", password="p"))
    await client.system.distribution("nginx:1.28", registry_auth=None)


async def following_events(client: SwarmClient) -> None:
    assert_type(client.system.events(), EventStream)
    client.system.events(filters={"type": "service"}, since=timedelta(minutes=5), until=timedelta(minutes=5))
    client.system.events(filters=EventFilters(type=["service"]), since=1_700_000_000, until=datetime.now(UTC))
    client.system.events(reconnect=None, buffer=100)
    async with client.system.events(reconnect=5) as stream:
        assert_type(stream, EventStream)
        async for item in stream:
            match item:
                case Event():
                    assert_type(item.attributes, dict[str, str])
                    assert_type(item.at, datetime | None)
                case Resync():
                    assert_type((item.after, item.before), tuple[datetime | None, datetime | None])
                    assert_type(item.reason, str)
                case EventsLost():
                    assert_type((item.after, item.before), tuple[datetime | None, datetime | None])
                    assert_type(item.count, int | None)
                case _ as never:
                    assert_never(never)


async def secrets_and_configs(client: SwarmClient, secret: Secret, config: Config) -> None:
    assert_type(await client.secrets.create("db", "hunter2", labels={"team": "shop"}), SecretCreated)
    assert_type(await client.secrets.create(SecretSpec(name="db", data=b"hunter2")), SecretCreated)
    await client.secrets.create("db", Path("/run/db"), templating="golang")
    await client.secrets.create("outside", driver=Driver(name="vault"))
    assert_type(await client.secrets.inspect("db"), Secret)
    assert_type(await client.secrets.list(filters={"names": ["db"]}), list[Secret])
    await client.secrets.list(filters=SecretFilters(label=["team=shop"]))
    await client.secrets.update("db", labels={"team": "till"}, version=secret.version)
    await client.secrets.remove("db")
    assert_type(await client.configs.create("shop", Path("shop.conf"), templating=Driver(name="golang")), ConfigCreated)
    assert_type(await client.configs.create(ConfigSpec(name="shop", data="a=1")), ConfigCreated)
    assert_type(await client.configs.inspect("shop"), Config)
    assert_type(await client.configs.list(filters=ConfigFilters(name=["shop"])), list[Config])
    await client.configs.update("shop", labels={}, version=config.version.index)
    await client.configs.remove("shop")
    rotated = await client.secrets.rotate("db", "hunter3", services=["web"], labels={"a": "b"}, timeout=60)
    assert_type(rotated, Rotated)
    assert_type((rotated.id, rotated.name, rotated.created), tuple[str, str, bool])
    assert_type((rotated.services, rotated.removed), tuple[tuple[str, ...], tuple[str, ...]])
    assert_type(rotated.kept, Mapping[str, str])
    assert_type(await client.configs.rotate("shop", Path("shop.conf")), Rotated)


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
            assert_type((line.slot, line.time_ns), tuple[int | None, int | None])
            assert_type(await lines.formatted(line), str)
            if line.stream == "stderr":
                break

    client.services.logs("web", follow=True, until_finished=True, resume=True)
    assert_type(client.tasks.logs("2yi1gmg3v5ov", follow=True, tail=10, resume=True), LogStream)
    assert_type(await client.tasks.logs("2yi1gmg3v5ov").text(), str)
    assert_type(await client.services.logs("web").lines(), list[LogLine])


async def drawn(client: SwarmClient) -> None:
    rollout = await progress.wait(
        client.services, "web", "db", timeout=60, failures=3, pending=None, console=Console(stderr=True)
    )
    assert_type(rollout, Rollout)
    shown: RenderableType = progress.view(*rollout.services, seconds=rollout.seconds)
    Console().print(shown, progress.view(rollout.progress))


async def tables(client: SwarmClient) -> None:
    shown = assert_type(notebook.table(await client.services.list()), notebook.Table)
    assert_type(shown.headings, tuple[str, ...])
    assert_type(shown.rows[0][0].text, str)
    notebook.table(await client.services.ps("web"))
    notebook.table(node for node in await client.nodes.list())


async def wait(client: SwarmClient) -> None:
    rollout = assert_type(await client.services.wait("web"), Rollout)
    assert_type((await client.services.wait("web", "db", failures=3, pending=None)).services, tuple[Progress, ...])
    async with client.services.watch("web", "db", timeout=60, pending=5) as watch:
        assert_type(watch, Watch)
        async for step in watch:
            assert_type(step, Progress)
    await client.services.wait("web", timeout=120)
    progress = assert_type(rollout.progress, Progress)
    assert_type(rollout.seconds, float)
    assert_type(progress.errors, tuple[str, ...])
    assert_type(progress.slots, tuple[SlotProgress, ...])
    assert_type(progress.slots[0].failures, int)
    assert_type((progress.wanted, progress.arrived, progress.message), tuple[int, int, str])


# --- the swarm itself ------------------------------------------------------------------------------------------------


async def the_swarm(client: SwarmClient, other: SwarmClient) -> None:
    swarm = client.swarm
    assert_type(await swarm.init(), str)
    pool = ("10.20.0.0/16",)
    spec = SwarmSpec(orchestration=OrchestrationConfig(task_history_retention_limit=3))
    await swarm.init(
        listen_addr="0.0.0.0:2377", advertise_addr="eth0", data_path_addr="eth1", data_path_port=5000,
        default_addr_pool=pool, subnet_size=26, force_new_cluster=False, auto_lock_managers=True,
        availability="drain", spec=spec,
    )  # fmt: skip
    live = assert_type(await swarm.inspect(), Swarm)
    tokens = assert_type(await swarm.rotate_tokens(worker=True, manager=False), JoinTokens)
    await other.swarm.join(remote_addrs=["10.0.0.1:2377"], join_token=tokens.worker or "")
    await other.swarm.join(
        remote_addrs=("10.0.0.1:2377",), join_token="SWMTKN-1-…", listen_addr="0.0.0.0:2377", advertise_addr="eth0",
        data_path_addr="eth1", availability="pause",
    )  # fmt: skip
    await other.swarm.leave()
    await other.swarm.leave(force=True)
    await swarm.update(labels={"a": "b"}, version=live.version)
    await swarm.update(version=3, raft=RaftConfig(snapshot_interval=500), dispatcher=DispatcherConfig())
    await swarm.update(ca_config=CAConfig(node_cert_expiry=timedelta(days=30)), encryption_config=EncryptionConfig())
    await swarm.update(orchestration=None, labels=UNSET)

    def change(spec: SwarmSpec) -> None:
        spec.labels = {}

    await swarm.edit(change)
    await swarm.edit(lambda spec: spec)
    assert_type(await swarm.rotate_ca(), Swarm)
    await swarm.rotate_ca(signing_ca_cert="PEM", signing_ca_key="PEM")
    key = assert_type(await swarm.unlock_key(), SwarmUnlockKey)
    assert_type(await swarm.rotate_unlock_key(), SwarmUnlockKey)
    await swarm.unlock(key)
    await swarm.unlock("SWMKEY-1-…")


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
    except (SwarmLocked, SwarmNotLocked, NoQuorum, AlreadyInSwarm, JoinPending, EngineError) as error:
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
        assert_type((error.reason, error.reasons, error.host), tuple[str, dict[str, str], str])
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
        assert_type(image.with_tag().with_digest("sha256:…"), ImageReference)


def over_tls(context: ssl.SSLContext) -> None:
    tls = swarmkit.TLSConfig(ca_cert="ca.pem", client_cert=Path("cert.pem"), client_key="key.pem", verify=True)
    assert_type(tls.verify, bool)
    swarmkit.SwarmClient("tcp://manager:2376", tls=tls)
    swarmkit.SwarmClient("https://manager", tls=context)
    swarmkit.SwarmClient("ssh://deploy@manager:22/run/docker.sock", tls=None)


def by_module_name(error: swarmkit.SwarmkitError) -> swarmkit.ServiceSpec | None:
    given: swarmkit.Unset = swarmkit.UNSET
    assert_type(str(given), str)
    return swarmkit.ServiceSpec(name="web") if isinstance(error, swarmkit.NotFound) else None
