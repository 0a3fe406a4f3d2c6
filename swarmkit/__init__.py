"""An async SDK for Docker Swarm services: what you ask for is what the engine runs, or you get an error that says why.

Owns: the public names. They are loaded when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auth import RegistryAuth
    from .client import SwarmClient
    from .errors import (
        AlreadyInSwarm,
        BadRequest,
        ClientClosed,
        CredentialsError,
        EngineError,
        EngineTimeout,
        EngineUnreachable,
        Forbidden,
        HostError,
        InUse,
        InvalidReference,
        InvalidSpec,
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
        TasksFailing,
        Unimplemented,
        UnsupportedApiVersion,
        UnsupportedFeature,
        UpdatePaused,
    )
    from .images import ImageReference
    from .logs import LogLine, LogStream
    from .models._wire import UNSET, Unset, WireModel, cpus, parse_bytes
    from .models.config import ConfigReference, ConfigReferenceFile, ConfigReferenceRuntime
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
    from .models.filters import ServiceFilters, TaskFilters
    from .models.mount import (
        BindOptions,
        ClusterOptions,
        DriverConfig,
        ImageOptions,
        Mount,
        TmpfsOptions,
        VolumeOptions,
    )
    from .models.network import NetworkAttachmentConfig
    from .models.node import Node, NodeDescription, NodeSpec, NodeStatus
    from .models.rollout import Progress, Rollout, SlotProgress
    from .models.secret import SecretReference, SecretReferenceFile
    from .models.service import (
        Endpoint,
        EndpointSpec,
        EndpointVirtualIP,
        Global,
        GlobalJob,
        JobStatus,
        PortConfig,
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
    from .models.task import (
        ContainerStatus,
        DiscreteGenericResource,
        Driver,
        GenericResource,
        Limits,
        NamedGenericResource,
        NetworkAttachmentSpec,
        ObjectVersion,
        Placement,
        PlacementPreference,
        Platform,
        PluginPrivilege,
        PluginSpec,
        Reservations,
        Resources,
        RestartPolicy,
        SpreadOver,
        Task,
        TaskStatus,
        TaskTemplate,
    )
    from .nodes import Nodes
    from .services import Services
    from .tasks import Tasks
    from .versions import ApiVersion

_HOMES = {
    "auth": "RegistryAuth",
    "client": "SwarmClient",
    "errors": (
        "AlreadyInSwarm BadRequest ClientClosed CredentialsError EngineError EngineTimeout EngineUnreachable "
        "Forbidden HostError InUse InvalidReference InvalidSpec LogStreamError NameConflict NoQuorum "
        "NotAManager NotFound OutOfSequence OutcomeUnknown PortInUse Problem ProtocolError RolledBack "
        "RolloutFailed RolloutTimeout ServiceRemoved StreamError StreamTruncated Superseded SwarmLocked "
        "SwarmkitError TasksFailing Unimplemented UnsupportedApiVersion UnsupportedFeature UpdatePaused"
    ),
    "images": "ImageReference",
    "logs": "LogLine LogStream",
    "models._wire": "UNSET Unset WireModel cpus parse_bytes",
    "models.config": "ConfigReference ConfigReferenceFile ConfigReferenceRuntime",
    "models.container": (
        "AppArmorOpts ContainerSpec CredentialSpec DNSConfig Healthcheck Privileges SELinuxContext SeccompOpts Ulimit"
    ),
    "models.filters": "ServiceFilters TaskFilters",
    "models.mount": "BindOptions ClusterOptions DriverConfig ImageOptions Mount TmpfsOptions VolumeOptions",
    "models.network": "NetworkAttachmentConfig",
    "models.node": "Node NodeDescription NodeSpec NodeStatus",
    "models.rollout": "Progress Rollout SlotProgress",
    "models.secret": "SecretReference SecretReferenceFile",
    "models.service": (
        "Endpoint EndpointSpec EndpointVirtualIP Global GlobalJob JobStatus PortConfig Replicated "
        "ReplicatedJob RollbackConfig Service ServiceCreated ServiceMode ServiceSpec ServiceStatus "
        "ServiceUpdated UpdateConfig UpdateStatus"
    ),
    "models.task": (
        "ContainerStatus DiscreteGenericResource Driver GenericResource Limits NamedGenericResource "
        "NetworkAttachmentSpec ObjectVersion Placement PlacementPreference Platform PluginPrivilege "
        "PluginSpec Reservations Resources RestartPolicy SpreadOver Task TaskStatus TaskTemplate"
    ),
    "nodes": "Nodes",
    "services": "Services",
    "tasks": "Tasks",
    "versions": "ApiVersion",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "UNSET",
    "AlreadyInSwarm",
    "ApiVersion",
    "AppArmorOpts",
    "BadRequest",
    "BindOptions",
    "ClientClosed",
    "ClusterOptions",
    "ConfigReference",
    "ConfigReferenceFile",
    "ConfigReferenceRuntime",
    "ContainerSpec",
    "ContainerStatus",
    "CredentialSpec",
    "CredentialsError",
    "DNSConfig",
    "DiscreteGenericResource",
    "Driver",
    "DriverConfig",
    "Endpoint",
    "EndpointSpec",
    "EndpointVirtualIP",
    "EngineError",
    "EngineTimeout",
    "EngineUnreachable",
    "Forbidden",
    "GenericResource",
    "Global",
    "GlobalJob",
    "Healthcheck",
    "HostError",
    "ImageOptions",
    "ImageReference",
    "InUse",
    "InvalidReference",
    "InvalidSpec",
    "JobStatus",
    "Limits",
    "LogLine",
    "LogStream",
    "LogStreamError",
    "Mount",
    "NameConflict",
    "NamedGenericResource",
    "NetworkAttachmentConfig",
    "NetworkAttachmentSpec",
    "NoQuorum",
    "Node",
    "NodeDescription",
    "NodeSpec",
    "NodeStatus",
    "Nodes",
    "NotAManager",
    "NotFound",
    "ObjectVersion",
    "OutOfSequence",
    "OutcomeUnknown",
    "Placement",
    "PlacementPreference",
    "Platform",
    "PluginPrivilege",
    "PluginSpec",
    "PortConfig",
    "PortInUse",
    "Privileges",
    "Problem",
    "Progress",
    "ProtocolError",
    "RegistryAuth",
    "Replicated",
    "ReplicatedJob",
    "Reservations",
    "Resources",
    "RestartPolicy",
    "RollbackConfig",
    "RolledBack",
    "Rollout",
    "RolloutFailed",
    "RolloutTimeout",
    "SELinuxContext",
    "SeccompOpts",
    "SecretReference",
    "SecretReferenceFile",
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
    "Superseded",
    "SwarmClient",
    "SwarmLocked",
    "SwarmkitError",
    "Task",
    "TaskFilters",
    "TaskStatus",
    "TaskTemplate",
    "Tasks",
    "TasksFailing",
    "TmpfsOptions",
    "Ulimit",
    "Unimplemented",
    "Unset",
    "UnsupportedApiVersion",
    "UnsupportedFeature",
    "UpdateConfig",
    "UpdatePaused",
    "UpdateStatus",
    "VolumeOptions",
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
