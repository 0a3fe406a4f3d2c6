"""An async SDK for Docker Swarm services: what you ask for is what the engine runs, or you get an error that says why.

Owns: the public names. They are loaded when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._rotation import Rotated
    from ._tls import TLSConfig
    from .auth import RegistryAuth
    from .client import SwarmClient
    from .configs import Configs
    from .errors import (
        AlreadyInSwarm,
        BadRequest,
        ClientClosed,
        CredentialsError,
        EngineError,
        EngineTimeout,
        EngineUnreachable,
        FailedPrecondition,
        Forbidden,
        HostError,
        InUse,
        InvalidReference,
        InvalidSpec,
        JoinPending,
        LogStreamError,
        NameConflict,
        NoQuorum,
        NotAManager,
        NotFound,
        OutcomeUnknown,
        OutOfSequence,
        PortInUse,
        Problem,
        ProtocolError,
        RolledBack,
        RolloutFailed,
        RolloutTimeout,
        ServiceRemoved,
        StreamError,
        StreamTruncated,
        Superseded,
        SwarmkitError,
        SwarmLocked,
        SwarmNotLocked,
        TasksFailing,
        Unimplemented,
        UnsupportedApiVersion,
        UnsupportedFeature,
        UpdatePaused,
    )
    from .events import EventsLost, EventStream, Resync
    from .images import ImageReference
    from .logs import LogLine, LogStream
    from .models._wire import UNSET, Unset, WireModel, cpus, parse_bytes
    from .models.common import (
        DiscreteGenericResource,
        Driver,
        GenericResource,
        NamedGenericResource,
        ObjectVersion,
        Platform,
    )
    from .models.config import (
        Config,
        ConfigCreated,
        ConfigReference,
        ConfigReferenceFile,
        ConfigReferenceRuntime,
        ConfigSpec,
    )
    from .models.container import (
        AppArmorOpts,
        ContainerSpec,
        CredentialSpec,
        DNSConfig,
        Healthcheck,
        Privileges,
        SeccompOpts,
        SELinuxContext,
        Ulimit,
    )
    from .models.endpoint import Endpoint, EndpointSpec, EndpointVirtualIP, PortConfig
    from .models.event import Event, EventActor
    from .models.filters import (
        ConfigFilters,
        EventFilters,
        NetworkFilters,
        NodeFilters,
        SecretFilters,
        ServiceFilters,
        TaskFilters,
    )
    from .models.mount import (
        BindOptions,
        ClusterOptions,
        DriverConfig,
        ImageOptions,
        Mount,
        TmpfsOptions,
        VolumeOptions,
    )
    from .models.network import (
        IPAM,
        ConfigFrom,
        EndpointIPAMConfig,
        EndpointSettings,
        IPAMConfig,
        IPAMStatus,
        Network,
        NetworkAttachment,
        NetworkAttachmentConfig,
        NetworkConnectRequest,
        NetworkContainer,
        NetworkCreated,
        NetworkCreateRequest,
        NetworkDisconnectRequest,
        NetworkPeer,
        NetworkService,
        NetworksPruned,
        NetworkStatus,
        NetworkTask,
        SubnetStatus,
        SwarmIPAMConfig,
        SwarmIPAMOptions,
        SwarmNetwork,
        SwarmNetworkSpec,
    )
    from .models.node import (
        EngineDescription,
        ManagerStatus,
        Node,
        NodeCSIInfo,
        NodeDescription,
        NodeResources,
        NodeSpec,
        NodeStatus,
        PluginDescription,
        TLSInfo,
        Topology,
    )
    from .models.rollout import Progress, Rollout, SlotProgress
    from .models.secret import Secret, SecretCreated, SecretReference, SecretReferenceFile, SecretSpec
    from .models.service import (
        Global,
        GlobalJob,
        JobStatus,
        Replicated,
        ReplicatedJob,
        RollbackConfig,
        Service,
        ServiceCreated,
        ServiceMode,
        ServiceSpec,
        ServiceStatus,
        ServiceUpdated,
        UpdateConfig,
        UpdateStatus,
    )
    from .models.swarm import (
        CAConfig,
        ClusterInfo,
        DispatcherConfig,
        EncryptionConfig,
        ExternalCA,
        JoinTokens,
        OrchestrationConfig,
        RaftConfig,
        Swarm,
        SwarmInitRequest,
        SwarmJoinRequest,
        SwarmSpec,
        SwarmUnlockKey,
        TaskDefaults,
    )
    from .models.system import (
        AddressPool,
        ComponentVersion,
        DistributionInspect,
        OCIDescriptor,
        OCIPlatform,
        PeerNode,
        Ping,
        PlatformVersion,
        PluginsInfo,
        SwarmInfo,
        SystemInfo,
        SystemVersion,
    )
    from .models.task import (
        ContainerStatus,
        Limits,
        NetworkAttachmentSpec,
        Placement,
        PlacementPreference,
        PluginPrivilege,
        PluginSpec,
        PortStatus,
        Reservations,
        Resources,
        RestartPolicy,
        SpreadOver,
        Task,
        TaskStatus,
        TaskTemplate,
        VolumeAttachment,
    )
    from .networks import Networks
    from .nodes import Nodes
    from .patch import Applied, Change, Diff
    from .rollouts import Watch
    from .secrets import Secrets
    from .services import Services
    from .swarm import TheSwarm
    from .system import System
    from .tasks import Tasks
    from .versions import ApiVersion

_HOMES = {
    "_rotation": "Rotated",
    "_tls": "TLSConfig",
    "auth": "RegistryAuth",
    "client": "SwarmClient",
    "configs": "Configs",
    "errors": (
        "AlreadyInSwarm BadRequest ClientClosed CredentialsError EngineError EngineTimeout EngineUnreachable "
        "FailedPrecondition Forbidden HostError InUse InvalidReference InvalidSpec JoinPending LogStreamError "
        "NameConflict NoQuorum NotAManager NotFound OutOfSequence OutcomeUnknown PortInUse Problem ProtocolError "
        "RolledBack RolloutFailed RolloutTimeout ServiceRemoved StreamError StreamTruncated Superseded "
        "SwarmLocked SwarmNotLocked SwarmkitError TasksFailing Unimplemented UnsupportedApiVersion "
        "UnsupportedFeature UpdatePaused"
    ),
    "events": "EventStream EventsLost Resync",
    "images": "ImageReference",
    "logs": "LogLine LogStream",
    "models._wire": "UNSET Unset WireModel cpus parse_bytes",
    "models.common": "DiscreteGenericResource Driver GenericResource NamedGenericResource ObjectVersion Platform",
    "models.config": "Config ConfigCreated ConfigReference ConfigReferenceFile ConfigReferenceRuntime ConfigSpec",
    "models.container": (
        "AppArmorOpts ContainerSpec CredentialSpec DNSConfig Healthcheck Privileges SELinuxContext SeccompOpts Ulimit"
    ),
    "models.endpoint": "Endpoint EndpointSpec EndpointVirtualIP PortConfig",
    "models.event": "Event EventActor",
    "models.filters": "ConfigFilters EventFilters NetworkFilters NodeFilters SecretFilters ServiceFilters TaskFilters",
    "models.mount": "BindOptions ClusterOptions DriverConfig ImageOptions Mount TmpfsOptions VolumeOptions",
    "models.network": (
        "ConfigFrom EndpointIPAMConfig EndpointSettings IPAM IPAMConfig IPAMStatus Network NetworkAttachment "
        "NetworkAttachmentConfig NetworkConnectRequest NetworkContainer NetworkCreateRequest NetworkCreated "
        "NetworkDisconnectRequest NetworkPeer NetworkService NetworkStatus NetworkTask NetworksPruned "
        "SubnetStatus SwarmIPAMConfig SwarmIPAMOptions SwarmNetwork SwarmNetworkSpec"
    ),
    "models.node": (
        "EngineDescription ManagerStatus Node NodeCSIInfo NodeDescription NodeResources NodeSpec NodeStatus "
        "PluginDescription TLSInfo Topology"
    ),
    "models.rollout": "Progress Rollout SlotProgress",
    "models.secret": "Secret SecretCreated SecretReference SecretReferenceFile SecretSpec",
    "models.service": (
        "Global GlobalJob JobStatus Replicated ReplicatedJob RollbackConfig Service ServiceCreated ServiceMode "
        "ServiceSpec ServiceStatus ServiceUpdated UpdateConfig UpdateStatus"
    ),
    "models.swarm": (
        "CAConfig ClusterInfo DispatcherConfig EncryptionConfig ExternalCA JoinTokens OrchestrationConfig "
        "RaftConfig Swarm SwarmInitRequest SwarmJoinRequest SwarmSpec SwarmUnlockKey TaskDefaults"
    ),
    "models.system": (
        "AddressPool ComponentVersion DistributionInspect OCIDescriptor OCIPlatform PeerNode Ping PlatformVersion "
        "PluginsInfo SwarmInfo SystemInfo SystemVersion"
    ),
    "models.task": (
        "ContainerStatus Limits NetworkAttachmentSpec Placement PlacementPreference PluginPrivilege PluginSpec "
        "PortStatus Reservations Resources RestartPolicy SpreadOver Task TaskStatus TaskTemplate VolumeAttachment"
    ),
    "networks": "Networks",
    "nodes": "Nodes",
    "patch": "Applied Change Diff",
    "rollouts": "Watch",
    "secrets": "Secrets",
    "services": "Services",
    "swarm": "TheSwarm",
    "system": "System",
    "tasks": "Tasks",
    "versions": "ApiVersion",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "IPAM",
    "UNSET",
    "AddressPool",
    "AlreadyInSwarm",
    "ApiVersion",
    "AppArmorOpts",
    "Applied",
    "BadRequest",
    "BindOptions",
    "CAConfig",
    "Change",
    "ClientClosed",
    "ClusterInfo",
    "ClusterOptions",
    "ComponentVersion",
    "Config",
    "ConfigCreated",
    "ConfigFilters",
    "ConfigFrom",
    "ConfigReference",
    "ConfigReferenceFile",
    "ConfigReferenceRuntime",
    "ConfigSpec",
    "Configs",
    "ContainerSpec",
    "ContainerStatus",
    "CredentialSpec",
    "CredentialsError",
    "DNSConfig",
    "Diff",
    "DiscreteGenericResource",
    "DispatcherConfig",
    "DistributionInspect",
    "Driver",
    "DriverConfig",
    "EncryptionConfig",
    "Endpoint",
    "EndpointIPAMConfig",
    "EndpointSettings",
    "EndpointSpec",
    "EndpointVirtualIP",
    "EngineDescription",
    "EngineError",
    "EngineTimeout",
    "EngineUnreachable",
    "Event",
    "EventActor",
    "EventFilters",
    "EventStream",
    "EventsLost",
    "ExternalCA",
    "FailedPrecondition",
    "Forbidden",
    "GenericResource",
    "Global",
    "GlobalJob",
    "Healthcheck",
    "HostError",
    "IPAMConfig",
    "IPAMStatus",
    "ImageOptions",
    "ImageReference",
    "InUse",
    "InvalidReference",
    "InvalidSpec",
    "JobStatus",
    "JoinPending",
    "JoinTokens",
    "Limits",
    "LogLine",
    "LogStream",
    "LogStreamError",
    "ManagerStatus",
    "Mount",
    "NameConflict",
    "NamedGenericResource",
    "Network",
    "NetworkAttachment",
    "NetworkAttachmentConfig",
    "NetworkAttachmentSpec",
    "NetworkConnectRequest",
    "NetworkContainer",
    "NetworkCreateRequest",
    "NetworkCreated",
    "NetworkDisconnectRequest",
    "NetworkFilters",
    "NetworkPeer",
    "NetworkService",
    "NetworkStatus",
    "NetworkTask",
    "Networks",
    "NetworksPruned",
    "NoQuorum",
    "Node",
    "NodeCSIInfo",
    "NodeDescription",
    "NodeFilters",
    "NodeResources",
    "NodeSpec",
    "NodeStatus",
    "Nodes",
    "NotAManager",
    "NotFound",
    "OCIDescriptor",
    "OCIPlatform",
    "ObjectVersion",
    "OrchestrationConfig",
    "OutOfSequence",
    "OutcomeUnknown",
    "PeerNode",
    "Ping",
    "Placement",
    "PlacementPreference",
    "Platform",
    "PlatformVersion",
    "PluginDescription",
    "PluginPrivilege",
    "PluginSpec",
    "PluginsInfo",
    "PortConfig",
    "PortInUse",
    "PortStatus",
    "Privileges",
    "Problem",
    "Progress",
    "ProtocolError",
    "RaftConfig",
    "RegistryAuth",
    "Replicated",
    "ReplicatedJob",
    "Reservations",
    "Resources",
    "RestartPolicy",
    "Resync",
    "RollbackConfig",
    "RolledBack",
    "Rollout",
    "RolloutFailed",
    "RolloutTimeout",
    "Rotated",
    "SELinuxContext",
    "SeccompOpts",
    "Secret",
    "SecretCreated",
    "SecretFilters",
    "SecretReference",
    "SecretReferenceFile",
    "SecretSpec",
    "Secrets",
    "Service",
    "ServiceCreated",
    "ServiceFilters",
    "ServiceMode",
    "ServiceRemoved",
    "ServiceSpec",
    "ServiceStatus",
    "ServiceUpdated",
    "Services",
    "SlotProgress",
    "SpreadOver",
    "StreamError",
    "StreamTruncated",
    "SubnetStatus",
    "Superseded",
    "Swarm",
    "SwarmClient",
    "SwarmIPAMConfig",
    "SwarmIPAMOptions",
    "SwarmInfo",
    "SwarmInitRequest",
    "SwarmJoinRequest",
    "SwarmLocked",
    "SwarmNetwork",
    "SwarmNetworkSpec",
    "SwarmNotLocked",
    "SwarmSpec",
    "SwarmUnlockKey",
    "SwarmkitError",
    "System",
    "SystemInfo",
    "SystemVersion",
    "TLSConfig",
    "TLSInfo",
    "Task",
    "TaskDefaults",
    "TaskFilters",
    "TaskStatus",
    "TaskTemplate",
    "Tasks",
    "TasksFailing",
    "TheSwarm",
    "TmpfsOptions",
    "Topology",
    "Ulimit",
    "Unimplemented",
    "Unset",
    "UnsupportedApiVersion",
    "UnsupportedFeature",
    "UpdateConfig",
    "UpdatePaused",
    "UpdateStatus",
    "VolumeAttachment",
    "VolumeOptions",
    "Watch",
    "WireModel",
    "cpus",
    "parse_bytes",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(_import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
