"""An async SDK for Docker Swarm services: what you ask for is what the engine runs, or you get an error that says why.

Owns: the public names. They are loaded when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auth import RegistryAuth as RegistryAuth
    from .client import SwarmClient as SwarmClient
    from .errors import (
        AlreadyInSwarm as AlreadyInSwarm,
    )
    from .errors import (
        BadRequest as BadRequest,
    )
    from .errors import (
        ClientClosed as ClientClosed,
    )
    from .errors import (
        CredentialsError as CredentialsError,
    )
    from .errors import (
        EngineError as EngineError,
    )
    from .errors import (
        EngineTimeout as EngineTimeout,
    )
    from .errors import (
        EngineUnreachable as EngineUnreachable,
    )
    from .errors import (
        Forbidden as Forbidden,
    )
    from .errors import (
        HostError as HostError,
    )
    from .errors import (
        InUse as InUse,
    )
    from .errors import (
        InvalidReference as InvalidReference,
    )
    from .errors import (
        InvalidSpec as InvalidSpec,
    )
    from .errors import (
        LogStreamError as LogStreamError,
    )
    from .errors import (
        NameConflict as NameConflict,
    )
    from .errors import (
        NoQuorum as NoQuorum,
    )
    from .errors import (
        NotAManager as NotAManager,
    )
    from .errors import (
        NotFound as NotFound,
    )
    from .errors import (
        OutcomeUnknown as OutcomeUnknown,
    )
    from .errors import (
        OutOfSequence as OutOfSequence,
    )
    from .errors import (
        PortInUse as PortInUse,
    )
    from .errors import (
        Problem as Problem,
    )
    from .errors import (
        ProtocolError as ProtocolError,
    )
    from .errors import (
        RolledBack as RolledBack,
    )
    from .errors import (
        RolloutFailed as RolloutFailed,
    )
    from .errors import (
        RolloutTimeout as RolloutTimeout,
    )
    from .errors import (
        ServiceRemoved as ServiceRemoved,
    )
    from .errors import (
        StreamError as StreamError,
    )
    from .errors import (
        StreamTruncated as StreamTruncated,
    )
    from .errors import (
        Superseded as Superseded,
    )
    from .errors import (
        SwarmkitError as SwarmkitError,
    )
    from .errors import (
        SwarmLocked as SwarmLocked,
    )
    from .errors import (
        TasksFailing as TasksFailing,
    )
    from .errors import (
        Unimplemented as Unimplemented,
    )
    from .errors import (
        UnsupportedApiVersion as UnsupportedApiVersion,
    )
    from .errors import (
        UnsupportedFeature as UnsupportedFeature,
    )
    from .errors import (
        UpdatePaused as UpdatePaused,
    )
    from .images import ImageReference as ImageReference
    from .logs import LogLine as LogLine
    from .logs import LogStream as LogStream
    from .models._wire import (
        UNSET as UNSET,
    )
    from .models._wire import (
        Unset as Unset,
    )
    from .models._wire import (
        WireModel as WireModel,
    )
    from .models._wire import (
        cpus as cpus,
    )
    from .models._wire import (
        parse_bytes as parse_bytes,
    )
    from .models.config import (
        ConfigReference as ConfigReference,
    )
    from .models.config import (
        ConfigReferenceFile as ConfigReferenceFile,
    )
    from .models.config import (
        ConfigReferenceRuntime as ConfigReferenceRuntime,
    )
    from .models.container import (
        AppArmorOpts as AppArmorOpts,
    )
    from .models.container import (
        ContainerSpec as ContainerSpec,
    )
    from .models.container import (
        CredentialSpec as CredentialSpec,
    )
    from .models.container import (
        DNSConfig as DNSConfig,
    )
    from .models.container import (
        Healthcheck as Healthcheck,
    )
    from .models.container import (
        Privileges as Privileges,
    )
    from .models.container import (
        SeccompOpts as SeccompOpts,
    )
    from .models.container import (
        SELinuxContext as SELinuxContext,
    )
    from .models.container import (
        Ulimit as Ulimit,
    )
    from .models.filters import ServiceFilters as ServiceFilters
    from .models.filters import TaskFilters as TaskFilters
    from .models.mount import (
        BindOptions as BindOptions,
    )
    from .models.mount import (
        ClusterOptions as ClusterOptions,
    )
    from .models.mount import (
        DriverConfig as DriverConfig,
    )
    from .models.mount import (
        ImageOptions as ImageOptions,
    )
    from .models.mount import (
        Mount as Mount,
    )
    from .models.mount import (
        TmpfsOptions as TmpfsOptions,
    )
    from .models.mount import (
        VolumeOptions as VolumeOptions,
    )
    from .models.network import NetworkAttachmentConfig as NetworkAttachmentConfig
    from .models.node import (
        Node as Node,
    )
    from .models.node import (
        NodeDescription as NodeDescription,
    )
    from .models.node import (
        NodeSpec as NodeSpec,
    )
    from .models.node import (
        NodeStatus as NodeStatus,
    )
    from .models.rollout import Progress as Progress
    from .models.rollout import Rollout as Rollout
    from .models.rollout import SlotProgress as SlotProgress
    from .models.secret import SecretReference as SecretReference
    from .models.secret import SecretReferenceFile as SecretReferenceFile
    from .models.service import (
        Endpoint as Endpoint,
    )
    from .models.service import (
        EndpointSpec as EndpointSpec,
    )
    from .models.service import (
        EndpointVirtualIP as EndpointVirtualIP,
    )
    from .models.service import (
        Global as Global,
    )
    from .models.service import (
        GlobalJob as GlobalJob,
    )
    from .models.service import (
        JobStatus as JobStatus,
    )
    from .models.service import (
        PortConfig as PortConfig,
    )
    from .models.service import (
        Replicated as Replicated,
    )
    from .models.service import (
        ReplicatedJob as ReplicatedJob,
    )
    from .models.service import (
        RollbackConfig as RollbackConfig,
    )
    from .models.service import (
        Service as Service,
    )
    from .models.service import (
        ServiceCreated as ServiceCreated,
    )
    from .models.service import (
        ServiceMode as ServiceMode,
    )
    from .models.service import (
        ServiceSpec as ServiceSpec,
    )
    from .models.service import (
        ServiceSpecWithDefaults as ServiceSpecWithDefaults,
    )
    from .models.service import (
        ServiceStatus as ServiceStatus,
    )
    from .models.service import (
        ServiceUpdated as ServiceUpdated,
    )
    from .models.service import (
        ServiceWithDefaults as ServiceWithDefaults,
    )
    from .models.service import (
        UpdateConfig as UpdateConfig,
    )
    from .models.service import (
        UpdateStatus as UpdateStatus,
    )
    from .models.task import (
        ContainerStatus as ContainerStatus,
    )
    from .models.task import (
        DiscreteGenericResource as DiscreteGenericResource,
    )
    from .models.task import (
        Driver as Driver,
    )
    from .models.task import (
        GenericResource as GenericResource,
    )
    from .models.task import (
        Limits as Limits,
    )
    from .models.task import (
        NamedGenericResource as NamedGenericResource,
    )
    from .models.task import (
        NetworkAttachmentSpec as NetworkAttachmentSpec,
    )
    from .models.task import (
        ObjectVersion as ObjectVersion,
    )
    from .models.task import (
        Placement as Placement,
    )
    from .models.task import (
        PlacementPreference as PlacementPreference,
    )
    from .models.task import (
        Platform as Platform,
    )
    from .models.task import (
        PluginPrivilege as PluginPrivilege,
    )
    from .models.task import (
        PluginSpec as PluginSpec,
    )
    from .models.task import (
        Reservations as Reservations,
    )
    from .models.task import (
        Resources as Resources,
    )
    from .models.task import (
        RestartPolicy as RestartPolicy,
    )
    from .models.task import (
        SpreadOver as SpreadOver,
    )
    from .models.task import (
        Task as Task,
    )
    from .models.task import (
        TaskStatus as TaskStatus,
    )
    from .models.task import (
        TaskTemplate as TaskTemplate,
    )
    from .nodes import Nodes as Nodes
    from .services import Services as Services
    from .tasks import Tasks as Tasks
    from .versions import ApiVersion as ApiVersion

_HOMES = {
    "auth": ("RegistryAuth",),
    "client": ("SwarmClient",),
    "errors": (
        "AlreadyInSwarm",
        "BadRequest",
        "ClientClosed",
        "CredentialsError",
        "EngineError",
        "EngineTimeout",
        "EngineUnreachable",
        "Forbidden",
        "HostError",
        "InUse",
        "InvalidReference",
        "InvalidSpec",
        "LogStreamError",
        "NameConflict",
        "NoQuorum",
        "NotAManager",
        "NotFound",
        "OutOfSequence",
        "OutcomeUnknown",
        "PortInUse",
        "Problem",
        "ProtocolError",
        "RolledBack",
        "RolloutFailed",
        "RolloutTimeout",
        "ServiceRemoved",
        "StreamError",
        "StreamTruncated",
        "Superseded",
        "SwarmLocked",
        "SwarmkitError",
        "TasksFailing",
        "Unimplemented",
        "UnsupportedApiVersion",
        "UnsupportedFeature",
        "UpdatePaused",
    ),
    "images": ("ImageReference",),
    "logs": (
        "LogLine",
        "LogStream",
    ),
    "models._wire": (
        "UNSET",
        "Unset",
        "WireModel",
        "cpus",
        "parse_bytes",
    ),
    "models.config": (
        "ConfigReference",
        "ConfigReferenceFile",
        "ConfigReferenceRuntime",
    ),
    "models.container": (
        "AppArmorOpts",
        "ContainerSpec",
        "CredentialSpec",
        "DNSConfig",
        "Healthcheck",
        "Privileges",
        "SELinuxContext",
        "SeccompOpts",
        "Ulimit",
    ),
    "models.filters": (
        "ServiceFilters",
        "TaskFilters",
    ),
    "models.mount": (
        "BindOptions",
        "ClusterOptions",
        "DriverConfig",
        "ImageOptions",
        "Mount",
        "TmpfsOptions",
        "VolumeOptions",
    ),
    "models.network": ("NetworkAttachmentConfig",),
    "models.node": (
        "Node",
        "NodeDescription",
        "NodeSpec",
        "NodeStatus",
    ),
    "models.rollout": (
        "Progress",
        "Rollout",
        "SlotProgress",
    ),
    "models.secret": (
        "SecretReference",
        "SecretReferenceFile",
    ),
    "models.service": (
        "Endpoint",
        "EndpointSpec",
        "EndpointVirtualIP",
        "Global",
        "GlobalJob",
        "JobStatus",
        "PortConfig",
        "Replicated",
        "ReplicatedJob",
        "RollbackConfig",
        "Service",
        "ServiceCreated",
        "ServiceMode",
        "ServiceSpec",
        "ServiceSpecWithDefaults",
        "ServiceStatus",
        "ServiceUpdated",
        "ServiceWithDefaults",
        "UpdateConfig",
        "UpdateStatus",
    ),
    "models.task": (
        "ContainerStatus",
        "DiscreteGenericResource",
        "Driver",
        "GenericResource",
        "Limits",
        "NamedGenericResource",
        "NetworkAttachmentSpec",
        "ObjectVersion",
        "Placement",
        "PlacementPreference",
        "Platform",
        "PluginPrivilege",
        "PluginSpec",
        "Reservations",
        "Resources",
        "RestartPolicy",
        "SpreadOver",
        "Task",
        "TaskStatus",
        "TaskTemplate",
    ),
    "nodes": ("Nodes",),
    "services": ("Services",),
    "tasks": ("Tasks",),
    "versions": ("ApiVersion",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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
    "ServiceSpecWithDefaults",
    "ServiceStatus",
    "ServiceUpdated",
    "ServiceWithDefaults",
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
