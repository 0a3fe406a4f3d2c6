"""The engine itself: ping, version, info, and what a registry says about an image."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from ._wire import Base64, Bool, Int, LowerCaseModel, Timestamp, WireModel
from .common import GenericResource
from .swarm import ClusterInfo

SwarmState = Literal["inactive", "pending", "active", "error", "locked"]


class Ping(WireModel):
    """What the headers of a ping say."""

    api_version: Annotated[str | None, Field(alias="Api-Version")] = None
    """Newest API version of the engine."""
    server: Annotated[str | None, Field(alias="Server")] = None
    """Engine and release, such as `Docker/28.5.2 (linux)`."""
    os_type: Annotated[str | None, Field(alias="Ostype")] = None
    """Operating system of its containers."""
    experimental: Annotated[Bool | None, Field(alias="Docker-Experimental")] = None
    """Its experimental features are on."""
    builder_version: Annotated[str | None, Field(alias="Builder-Version")] = None
    """Version of its default image builder."""
    swarm: Annotated[str | None, Field(alias="Swarm")] = None
    """Its part in a swarm: `active/manager`, `active/worker`, or a state alone; told from engine 23.0 on."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """The ping that these headers answer."""
        lower = {name.lower(): value for name, value in headers.items()}
        given: dict[str, str | bool] = {}
        for name, field in cls.__pydantic_fields__.items():
            value = lower.get((field.alias or name).lower())
            if value is not None:
                given[name] = value == "true" if name == "experimental" else value
        return cls.model_validate(given)

    @property
    def is_manager(self) -> bool | None:
        """It manages a swarm; None where the engine is too old to say."""
        return None if self.swarm is None else self.swarm == "active/manager"


class ComponentVersion(WireModel):
    """A program that an engine consists of."""

    name: str | None = None
    """Name, such as `containerd`."""
    version: str | None = None
    """Its version."""
    details: dict[str, str] | None = None
    """What else it says about itself."""


class PlatformVersion(WireModel):
    """What an engine is sold as."""

    name: str | None = None
    """Name of the product."""


class SystemVersion(WireModel):
    """The versions of an engine."""

    version: str | None = None
    """Release, such as `28.5.2`."""
    api_version: str | None = None
    """Newest API version it speaks."""
    min_api_version: Annotated[str | None, Field(alias="MinAPIVersion")] = None
    """Oldest API version it speaks."""
    platform: PlatformVersion | None = None
    """What it is sold as."""
    components: list[ComponentVersion] | None = None
    """Its programs."""
    git_commit: str | None = None
    """Commit it was built from."""
    go_version: str | None = None
    """Go it was built with."""
    os: Annotated[str | None, Field(alias="Os")] = None
    """Operating system."""
    arch: str | None = None
    """Architecture."""
    kernel_version: str | None = None
    """Kernel."""
    experimental: Bool | None = None
    """Its experimental features are on."""
    build_time: str | None = None
    """When it was built."""


class PeerNode(WireModel):
    """A manager of the swarm."""

    node_id: str | None = None
    """Id of its node."""
    addr: str | None = None
    """Address and port."""


class SwarmInfo(WireModel):
    """The part of an engine in a swarm."""

    node_id: str | None = None
    """Id of its node; empty outside a swarm."""
    node_addr: str | None = None
    """Its address in the swarm."""
    local_node_state: SwarmState | str | None = None
    """Whether it is in a swarm."""
    control_available: Bool | None = None
    """It is a manager."""
    error: str | None = None
    """What went wrong, in the states `error` and `locked`."""
    remote_managers: list[PeerNode] | None = None
    """Managers it knows."""
    nodes: Int | None = None
    """Number of nodes in the swarm; told by managers."""
    managers: Int | None = None
    """Number of managers; told by managers."""
    cluster: ClusterInfo | None = None
    """The swarm; told by managers."""
    warnings: list[str] | None = None
    """What the managers remark."""


class PluginsInfo(WireModel):
    """Names of an engine's drivers."""

    volume: list[str] | None = None
    """Volume drivers."""
    network: list[str] | None = None
    """Network drivers."""
    authorization: list[str] | None = None
    """Authorization plugins."""
    log: list[str] | None = None
    """Log drivers."""


class AddressPool(WireModel):
    """A subnet from which local networks take theirs."""

    base: str | None = None
    """The subnet."""
    size: Int | None = None
    """Prefix length of a network."""


class SystemInfo(WireModel):
    """What an engine says about itself: what users of a swarm read is typed, the rest is kept as it comes."""

    id: str | None = None
    """Id of the engine; not of its node."""
    name: str | None = None
    """Host name."""
    server_version: str | None = None
    """Release of the engine."""
    operating_system: str | None = None
    """Operating system, in words."""
    os_type: str | None = None
    """Operating system, such as `linux`."""
    os_version: str | None = None
    """Version of the operating system."""
    architecture: str | None = None
    """Architecture, such as `x86_64`."""
    kernel_version: str | None = None
    """Kernel."""
    ncpu: Annotated[Int | None, Field(alias="NCPU")] = None
    """Number of CPUs."""
    mem_total: Int | None = None
    """Bytes of memory."""
    generic_resources: list[GenericResource] | None = None
    """Resources it declares itself."""
    labels: list[str] | None = None
    """Labels from its own configuration, as `key=value`."""
    swarm: SwarmInfo | None = None
    """Its part in a swarm."""
    plugins: PluginsInfo | None = None
    """Its drivers."""
    driver: str | None = None
    """Storage driver."""
    logging_driver: str | None = None
    """Default log driver."""
    cgroup_driver: Literal["cgroupfs", "systemd", "none"] | str | None = None
    """How it limits resources."""
    cgroup_version: Literal["1", "2"] | str | None = None
    """Version of the kernel's control groups."""
    default_runtime: str | None = None
    """Default container runtime."""
    default_address_pools: list[AddressPool] | None = None
    """Subnets from which local networks take theirs."""
    isolation: Literal["default", "process", "hyperv", ""] | str | None = None
    """Default isolation of Windows containers."""
    security_options: list[str] | None = None
    """Security features in use, as `name=seccomp,profile=builtin`."""
    containers: Int | None = None
    """Number of containers."""
    containers_running: Int | None = None
    """Number of containers that run."""
    containers_paused: Int | None = None
    """Number of containers that are paused."""
    containers_stopped: Int | None = None
    """Number of containers that are stopped."""
    images: Int | None = None
    """Number of images."""
    docker_root_dir: str | None = None
    """Where it keeps its data."""
    index_server_address: str | None = None
    """Address of the default registry, as credentials name it."""
    http_proxy: Annotated[str | None, Field(repr=False)] = None
    """Proxy for pulls; may hold credentials, so never shown."""
    https_proxy: Annotated[str | None, Field(repr=False)] = None
    """Proxy for pulls over TLS; may hold credentials, so never shown."""
    no_proxy: str | None = None
    """Hosts pulled from without a proxy."""
    experimental_build: Bool | None = None
    """Its experimental features are on."""
    live_restore_enabled: Bool | None = None
    """Containers outlive the engine; cannot be had in a swarm."""
    system_time: Timestamp = None
    """Its clock."""
    warnings: list[str] | None = None
    """What it remarks about itself."""


class OCIPlatform(LowerCaseModel):
    """A platform that an image runs on."""

    architecture: str | None = None
    """Architecture, such as `amd64`."""
    os: str | None = None
    """Operating system, such as `linux`."""
    os_version: Annotated[str | None, Field(alias="os.version")] = None
    """Version of the operating system, for Windows."""
    os_features: Annotated[list[str] | None, Field(alias="os.features")] = None
    """What it needs of the operating system."""
    variant: str | None = None
    """Variant of the architecture, such as `v8`."""
    features: list[str] | None = None
    """What it needs of the CPU."""


class OCIDescriptor(LowerCaseModel):
    """What a registry holds under a digest."""

    media_type: Annotated[str | None, Field(alias="mediaType")] = None
    """Kind of content."""
    digest: str | None = None
    """Digest, such as `sha256:…`."""
    size: Int | None = None
    """Bytes."""
    urls: list[str] | None = None
    """Where else it can be had."""
    annotations: dict[str, str] | None = None
    """Further facts."""
    data: Base64 | None = None
    """The content itself, where it is short."""
    platform: OCIPlatform | None = None
    """The platform it is for."""
    artifact_type: Annotated[str | None, Field(alias="artifactType")] = None
    """Kind of artifact."""


class DistributionInspect(WireModel):
    """What a registry says about an image."""

    descriptor: OCIDescriptor
    """The manifest, or the list of manifests."""
    platforms: list[OCIPlatform] | None = None
    """The platforms it runs on."""
