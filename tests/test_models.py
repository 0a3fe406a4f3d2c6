"""Nodes, the swarm, secrets, configs, networks, events and the engine: what their models make of real answers."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args, get_origin

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import swarmkit
from swarmkit import (
    IPAM,
    ApiVersion,
    CAConfig,
    ClusterInfo,
    Config,
    ConfigCreated,
    ConfigFrom,
    ConfigReferenceFile,
    ConfigSpec,
    ContainerSpec,
    DispatcherConfig,
    DistributionInspect,
    Driver,
    EncryptionConfig,
    EndpointSettings,
    Event,
    EventActor,
    ExternalCA,
    JoinTokens,
    ManagerStatus,
    Mount,
    Network,
    NetworkConnectRequest,
    NetworkCreated,
    NetworkCreateRequest,
    NetworksPruned,
    Node,
    NodeDescription,
    NodeSpec,
    NodeStatus,
    OCIDescriptor,
    OCIPlatform,
    Ping,
    PluginPrivilege,
    PluginSpec,
    SeccompOpts,
    Secret,
    SecretCreated,
    SecretReference,
    SecretReferenceFile,
    SecretSpec,
    ServiceSpec,
    Swarm,
    SwarmInfo,
    SwarmInitRequest,
    SwarmJoinRequest,
    SwarmSpec,
    SwarmUnlockKey,
    SystemInfo,
    SystemVersion,
    TaskDefaults,
    TaskTemplate,
    TLSInfo,
    TmpfsOptions,
    UnsupportedFeature,
    WireModel,
)
from swarmkit.features import Endpoint, check
from swarmkit.models._wire import LowerCaseModel
from swarmkit.models.filters import Filters

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC: list[type[WireModel]] = [
    value
    for value in (getattr(swarmkit, name) for name in swarmkit.__all__)
    if isinstance(value, type) and issubclass(value, WireModel)
]
"""Every public model."""
for each in PUBLIC:
    each.model_rebuild()  # older pydantics note a field's key when the model is built, and not before
OPEN = [model for model in PUBLIC if not issubclass(model, Filters)]
"""Those that keep keys they do not know: filters refuse them, as engines do."""


def untyped(model: object) -> Any:
    """The same object, past the type checkers: for what they would refuse as well."""
    return cast("Any", model)


def written(model: WireModel) -> Any:
    """What goes to the engine, as JSON reads it."""
    return json.loads(model.wire())


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def model_copied(model: Any) -> Any:
    return model.model_copy(deep=True)


def whole(model: type[WireModel]) -> dict[str, Any]:
    """A JSON object with every field that the model has, and a key it does not know."""
    known = {field.alias or name: wire_value(field.annotation) for name, field in model.model_fields.items()}
    return known if issubclass(model, Filters) else known | {"Unheard": {"of": [1, None]}}


def wire_value(annotation: Any) -> Any:
    arguments = get_args(annotation)
    simple: dict[Any, Any] = {
        str: "text",
        int: 2**53 + 1,
        bool: False,
        float: 0.5,
        timedelta: 1_500_000_001,
        datetime: "2026-11-24T11:19:05.487187Z",
        bytes: "AP8=",
    }
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        return whole(annotation)
    if get_origin(annotation) is list:
        return [wire_value(arguments[0])]
    if get_origin(annotation) is dict:
        return {"key": wire_value(arguments[1])}
    if get_origin(annotation) is Literal:
        return arguments[0]
    if get_origin(annotation) is Annotated or arguments:
        return wire_value(arguments[0])
    return simple[annotation]


# --- what engines answer ---------------------------------------------------------------------------------------------

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBajCCARCgAwIBAgIU\n-----END CERTIFICATE-----\n"
TLS_INFO = {
    "TrustRoot": CERTIFICATE,
    "CertIssuerSubject": "MBMxETAPBgNVBAMTCHN3YXJtLWNh",
    "CertIssuerPublicKey": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
}
SWARM_SPEC: dict[str, Any] = {
    "Name": "default",
    "Labels": {},
    "Orchestration": {"TaskHistoryRetentionLimit": 5},
    "Raft": {
        "SnapshotInterval": 10000,
        "KeepOldSnapshots": 0,
        "LogEntriesForSlowFollowers": 500,
        "ElectionTick": 10,
        "HeartbeatTick": 1,
    },
    "Dispatcher": {"HeartbeatPeriod": 5000000000},
    "CAConfig": {"NodeCertExpiry": 7776000000000000},
    "TaskDefaults": {},
    "EncryptionConfig": {"AutoLockManagers": False},
}
CLUSTER: dict[str, Any] = {
    "ID": "6hnovqx4ccj10quo5co3q90s9",
    "Version": {"Index": 10},
    "CreatedAt": "2026-11-24T11:19:04.954594Z",
    "UpdatedAt": "2026-11-24T11:19:05.465011Z",
    "Spec": SWARM_SPEC,
    "TLSInfo": TLS_INFO,
    "RootRotationInProgress": False,
    "DefaultAddrPool": ["10.0.0.0/8"],
    "SubnetSize": 24,
    "DataPathPort": 4789,
}
SWARM = CLUSTER | {"JoinTokens": {"Worker": "SWMTKN-1-53ts6r-d4kqng", "Manager": "SWMTKN-1-53ts6r-ebc8s4"}}
LOCKED_SWARM: dict[str, Any] = SWARM | {
    "Spec": SWARM_SPEC
    | {
        "Labels": {"team": "shop"},
        "CAConfig": {
            "NodeCertExpiry": 3600000000000000,
            "ExternalCAs": [
                {"Protocol": "cfssl", "URL": "https://ca.example", "Options": {"token": "t"}, "CACert": ""}
            ],
        },
        "EncryptionConfig": {"AutoLockManagers": True},
    },
    "DefaultAddrPool": ["10.20.0.0/16"],
    "SubnetSize": 26,
    "DataPathPort": 7789,
}
MANAGER: dict[str, Any] = {
    "ID": "knermrwfbloxgfejn61zb0924",
    "Version": {"Index": 9},
    "CreatedAt": "2026-11-24T11:19:04.954622Z",
    "UpdatedAt": "2026-11-24T11:19:05.461514Z",
    "Spec": {"Labels": {}, "Role": "manager", "Availability": "active"},
    "Description": {
        "Hostname": "engine-28-5",
        "Platform": {"Architecture": "x86_64", "OS": "linux"},
        "Resources": {"NanoCPUs": 2000000000, "MemoryBytes": 25276514304},
        "Engine": {
            "EngineVersion": "28.5.2",
            "Plugins": [{"Type": "Log", "Name": "json-file"}, {"Type": "Network", "Name": "overlay"}],
        },
        "TLSInfo": TLS_INFO,
    },
    "Status": {"State": "ready", "Addr": "127.0.0.1"},
    "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "127.0.0.1:2377"},
}
NAMED_NODE: dict[str, Any] = {
    "ID": "4r7qk0gdmq0t7of1b41575hmw",
    "Version": {"Index": 11},
    "CreatedAt": "2026-11-24T11:20:13.605846Z",
    "UpdatedAt": "2026-11-24T11:20:14.128554Z",
    "Spec": {"Name": "first", "Labels": {"zone": "a"}, "Role": "worker", "Availability": "drain"},
    "Description": {"Hostname": "worker-1", "Platform": {"Architecture": "x86_64", "OS": "linux"}},
    "Status": {"State": "down", "Message": "heartbeat failure", "Addr": "10.0.0.2"},
}
SECRETS: list[dict[str, Any]] = [
    {
        "ID": "3wdo5ekjhjjpkdc1maqdrzdxf",
        "Version": {"Index": 11},
        "CreatedAt": "2026-11-24T11:19:05.507395Z",
        "UpdatedAt": "2026-11-24T11:19:05.507395Z",
        "Spec": {"Name": "db", "Labels": {"team": "shop"}},
    },
    {
        "ID": "oqx16dsi7jod93chqry3om88d",
        "Version": {"Index": 12},
        "CreatedAt": "2026-11-24T11:19:05.508916Z",
        "UpdatedAt": "2026-11-24T11:19:05.508916Z",
        "Spec": {"Name": "db2", "Labels": {}, "Templating": {"Name": "golang"}},
    },
]
CONFIG: dict[str, Any] = {
    "ID": "m6f788s9cjnirpzpijsdd0or1",
    "Version": {"Index": 13},
    "CreatedAt": "2026-11-24T11:19:05.51045Z",
    "UpdatedAt": "2026-11-24T11:19:05.51045Z",
    "Spec": {"Name": "conf", "Labels": {"team": "shop"}, "Data": "YT0x"},
}
NETWORK: dict[str, Any] = {
    "Name": "backend",
    "Id": "p6do9v165bh467qxy6xfv8nek",
    "Created": "2026-11-24T11:19:05.725636Z",
    "Scope": "swarm",
    "Driver": "overlay",
    "EnableIPv4": True,
    "EnableIPv6": False,
    "IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
    "Internal": False,
    "Attachable": True,
    "Ingress": False,
    "ConfigFrom": {"Network": ""},
    "ConfigOnly": False,
    "Containers": {
        "d7892cf8f597": {
            "Name": "web.1.yfw3pmd2p0mt",
            "EndpointID": "98b066415667",
            "MacAddress": "02:42:0a:00:01:03",
            "IPv4Address": "10.0.1.3/24",
            "IPv6Address": "",
        },
        "lb-backend": {
            "Name": "backend-endpoint",
            "EndpointID": "e861c895b1c9",
            "MacAddress": "02:42:0a:00:01:04",
            "IPv4Address": "10.0.1.4/24",
            "IPv6Address": "",
        },
    },
    "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
    "Labels": {"team": "shop"},
    "Peers": [{"Name": "72e2ecd3dfc6", "IP": "127.0.0.1"}],
    "Services": {
        "web": {
            "VIP": "10.0.1.2",
            "Ports": ["Target: 80, Publish: 8080"],
            "LocalLBIndex": 256,
            "Tasks": [
                {
                    "Name": "web.1.yfw3pmd2p0mt",
                    "EndpointID": "98b066415667",
                    "EndpointIP": "10.0.1.3",
                    "Info": {"Host IP": "127.0.0.1"},
                }
            ],
        }
    },
}
OLD_NETWORK: dict[str, Any] = {
    "Name": "from",
    "Id": "8947b9d966c8",
    "Created": "2026-11-24T11:19:54.881572Z",
    "Scope": "local",
    "Driver": "bridge",
    "EnableIPv6": False,
    "IPAM": {
        "Driver": "default",
        "Options": None,
        "Config": [
            {"Subnet": "10.99.0.0/24", "IPRange": "10.99.0.0/26", "AuxiliaryAddresses": {"router": "10.99.0.5"}}
        ],
    },
    "Internal": False,
    "Attachable": False,
    "Ingress": False,
    "ConfigFrom": {"Network": "conf"},
    "ConfigOnly": False,
    "Containers": None,
    "Options": None,
    "Labels": None,
}
NODE_EVENT: dict[str, Any] = {
    "Type": "node",
    "Action": "update",
    "Actor": {
        "ID": "knermrwfbloxgfejn61zb0924",
        "Attributes": {"name": "engine-28-5", "state.new": "ready", "state.old": "unknown"},
    },
    "scope": "swarm",
    "time": 1795519145,
    "timeNano": 1795519145461514254,
}
CONTAINER_EVENT: dict[str, Any] = {
    "status": "start",
    "id": "440a74e170ab",
    "from": "busybox:1.36",
    "Type": "container",
    "Action": "start",
    "Actor": {"ID": "440a74e170ab", "Attributes": {"com.docker.swarm.task": "", "image": "busybox:1.36"}},
    "scope": "local",
    "time": 1795519139,
    "timeNano": 1795519139328150400,
}
VERSION: dict[str, Any] = {
    "Platform": {"Name": ""},
    "Components": [
        {
            "Name": "Engine",
            "Version": "28.5.2",
            "Details": {"ApiVersion": "1.51", "Experimental": "false", "MinAPIVersion": "1.24", "Os": "linux"},
        },
        {"Name": "docker-init", "Version": "0.19.0", "Details": {"GitCommit": ""}},
    ],
    "Version": "28.5.2",
    "ApiVersion": "1.51",
    "MinAPIVersion": "1.24",
    "GitCommit": "3ef3c07",
    "GoVersion": "go1.27.1",
    "Os": "linux",
    "Arch": "amd64",
    "KernelVersion": "6.18.44",
    "BuildTime": "2026-09-15T11:02:57.000000000+00:00",
}
INFO: dict[str, Any] = {
    "ID": "10c6fb2b-cc9d-4002-a251-a34d718d0598",
    "Containers": 3,
    "ContainersRunning": 1,
    "ContainersPaused": 0,
    "ContainersStopped": 2,
    "Images": 2,
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "tmpfs"], ["Supports d_type", "true"]],
    "Plugins": {"Volume": ["local"], "Network": ["bridge", "overlay"], "Authorization": None, "Log": ["json-file"]},
    "MemoryLimit": True,
    "NFd": 38,
    "SystemTime": "2026-11-24T11:19:05.487187Z",
    "LoggingDriver": "json-file",
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "OSVersion": "12",
    "OSType": "linux",
    "Architecture": "x86_64",
    "IndexServerAddress": "https://index.docker.io/v1/",
    "RegistryConfig": {"IndexConfigs": {"docker.io": {"Mirrors": [], "Secure": True}}, "Mirrors": None},
    "NCPU": 2,
    "MemTotal": 25276514304,
    "GenericResources": None,
    "HttpProxy": "",
    "HttpsProxy": "",
    "NoProxy": "",
    "Name": "engine-28-5",
    "Labels": [],
    "ExperimentalBuild": False,
    "ServerVersion": "28.5.2",
    "Runtimes": {"runc": {"path": "runc"}},
    "Swarm": {
        "NodeID": "knermrwfbloxgfejn61zb0924",
        "NodeAddr": "127.0.0.1",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Error": "",
        "RemoteManagers": [{"NodeID": "knermrwfbloxgfejn61zb0924", "Addr": "127.0.0.1:2377"}],
        "Nodes": 1,
        "Managers": 1,
        "Cluster": CLUSTER,
    },
    "LiveRestoreEnabled": False,
    "Isolation": "",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "Warnings": None,
}
OUTSIDE_INFO: dict[str, Any] = {
    "ID": "FGNU:UPU4:YMHS:BQYP:ZOKM:S34R:YCV3:OE4V:3PBZ:Q6DQ:7Y6L:ROLS",
    "Name": "engine-20-10",
    "KernelMemory": True,
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
}
DISTRIBUTION: dict[str, Any] = {
    "Descriptor": {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": "sha256:c0537ff6a5218ef531ece93d4984efc99bbf3f7497c0a7726c88e2bb7584dc96",
        "size": 524,
    },
    "Platforms": [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.2227", "os.features": ["win32k"]},
    ],
}
ANSWERS: list[tuple[type[WireModel], dict[str, Any]]] = [
    (Swarm, SWARM),
    (Swarm, LOCKED_SWARM),
    (ClusterInfo, CLUSTER),
    (Node, MANAGER),
    (Node, NAMED_NODE),
    (Secret, SECRETS[0]),
    (Secret, SECRETS[1]),
    (Config, CONFIG),
    (Network, NETWORK),
    (Network, OLD_NETWORK),
    (Event, NODE_EVENT),
    (Event, CONTAINER_EVENT),
    (SystemVersion, VERSION),
    (SystemInfo, INFO),
    (SystemInfo, OUTSIDE_INFO),
    (DistributionInspect, DISTRIBUTION),
    (SecretCreated, {"ID": "oqx16dsi7jod93chqry3om88d"}),
    (ConfigCreated, {"ID": "m6f788s9cjnirpzpijsdd0or1"}),
    (NetworkCreated, {"Id": "ddc90513a168", "Warning": ""}),
    (NetworksPruned, {"NetworksDeleted": ["loc"]}),
    (NetworksPruned, {"NetworksDeleted": None}),
    (SwarmUnlockKey, {"UnlockKey": ""}),
]
"""What engines 20.10, 26.1 and 28.5 answered, shortened."""

each_answer = pytest.mark.parametrize(("model", "answer"), ANSWERS)


@each_answer
def test_an_engine_s_answer_is_read_and_written_as_it_was(model: type[WireModel], answer: dict[str, Any]) -> None:
    sent = json.dumps(answer)
    read = model.from_wire(sent)

    assert in_utc(answer) == in_utc(written(read))
    assert read == model.from_wire(read.wire()) == model.model_validate(json.loads(sent))


def in_utc(value: Any) -> Any:
    """The same JSON, with one spelling of UTC and of fractions in timestamps."""
    if isinstance(value, dict):
        return {key: in_utc(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [in_utc(one) for one in cast("list[object]", value)]
    if isinstance(value, str) and value.startswith("2026-11-24T"):
        return datetime.fromisoformat(value)
    return value


@each_answer
def test_an_answer_of_a_newer_engine_keeps_its_new_keys(model: type[WireModel], answer: dict[str, Any]) -> None:
    newer = answer | {"Fancy": {"Deep": [1, None, {"x": 2.5}]}, "FancyNull": None}

    assert in_utc(newer) == in_utc(written(model.from_wire(json.dumps(newer))))


def test_a_manager_is_a_node_with_its_part_among_the_managers() -> None:
    node = Node.from_wire(json.dumps(MANAGER))

    assert ("knermrwfbloxgfejn61zb0924", 9) == (node.id, node.version.index)
    assert ManagerStatus(leader=True, reachability="reachable", addr="127.0.0.1:2377") == node.manager_status
    assert NodeSpec(labels={}, role="manager", availability="active") == node.spec
    assert node.description is not None
    assert node.description.resources is not None
    assert node.description.engine is not None
    assert (2_000_000_000, 25_276_514_304) == (
        node.description.resources.nano_cpus,
        node.description.resources.memory_bytes,
    )
    assert ["json-file", "overlay"] == [plugin.name for plugin in node.description.engine.plugins or []]
    assert node.description.engine.labels is None
    assert datetime(2026, 11, 24, 11, 19, 4, 954622, tzinfo=UTC) == node.created_at


def test_a_worker_has_no_part_among_the_managers() -> None:
    node = Node.from_wire(json.dumps(NAMED_NODE))

    assert node.manager_status is None
    assert node.status == NodeStatus(state="down", message="heartbeat failure", addr="10.0.0.2")
    assert ("first", {"zone": "a"}) == (node.spec.name, node.spec.labels)


@pytest.mark.parametrize(
    ("description", "hostname"),
    [
        ({"Hostname": "worker-1"}, "worker-1"),
        ({"Hostname": ""}, ""),
        ({"Hostname": None}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_node_has_a_host_name_once_it_has_said_so(description: Any, hostname: str) -> None:
    node = Node.from_wire(json.dumps({"ID": "a", "Version": {}, "Spec": {}, "Description": description}))

    assert hostname == node.hostname
    assert "" == Node.from_wire('{"ID":"a","Version":{},"Spec":{}}').hostname


def test_a_swarm_tells_its_settings_its_addresses_and_its_tokens() -> None:
    swarm = Swarm.from_wire(json.dumps(LOCKED_SWARM))

    assert swarm.join_tokens is not None
    assert ("SWMTKN-1-53ts6r-d4kqng", "SWMTKN-1-53ts6r-ebc8s4") == (
        swarm.join_tokens.worker,
        swarm.join_tokens.manager,
    )
    assert (["10.20.0.0/16"], 26, 7789) == (swarm.default_addr_pool, swarm.subnet_size, swarm.data_path_port)
    assert EncryptionConfig(auto_lock_managers=True) == swarm.spec.encryption_config
    assert swarm.root_rotation_in_progress is False
    assert swarm.spec.ca_config is not None
    assert swarm.spec.ca_config.external_cas == [
        ExternalCA(protocol="cfssl", url="https://ca.example", options={"token": "t"}, ca_cert="")
    ]


def test_certificates_are_pem_and_their_issuers_bytes() -> None:
    swarm = Swarm.from_wire(json.dumps(SWARM))

    assert swarm.tls_info is not None
    assert CERTIFICATE == swarm.tls_info.trust_root
    assert b"swarm-ca" in (swarm.tls_info.cert_issuer_subject or b"")
    assert Node.from_wire(json.dumps(MANAGER)).description == NodeDescription.from_wire(
        json.dumps(MANAGER["Description"])
    )


def test_the_swarm_in_an_info_is_the_swarm_without_its_tokens() -> None:
    info = SystemInfo.from_wire(json.dumps(INFO))
    swarm = Swarm.from_wire(json.dumps(SWARM))

    assert info.swarm is not None
    assert info.swarm.cluster is not None
    assert (info.swarm.cluster.id, info.swarm.cluster.spec) == (swarm.id, swarm.spec)
    assert isinstance(swarm, ClusterInfo)
    assert not hasattr(info.swarm.cluster, "join_tokens")


def test_an_info_says_what_the_engine_is_in_its_swarm() -> None:
    inside = SystemInfo.from_wire(json.dumps(INFO))
    outside = SystemInfo.from_wire(json.dumps(OUTSIDE_INFO))

    assert inside.swarm is not None
    assert outside.swarm is not None
    assert ("active", True, 1) == (inside.swarm.local_node_state, inside.swarm.control_available, inside.swarm.nodes)
    assert ("inactive", False, None) == (
        outside.swarm.local_node_state,
        outside.swarm.control_available,
        outside.swarm.nodes,
    )
    assert ([manager.addr for manager in inside.swarm.remote_managers or []]) == ["127.0.0.1:2377"]
    assert outside.swarm.remote_managers is None
    assert (2, 25276514304, "28.5.2", "engine-28-5") == (
        inside.ncpu,
        inside.mem_total,
        inside.server_version,
        inside.name,
    )
    assert inside.plugins is not None
    assert inside.plugins.authorization is None


def test_an_info_of_a_manager_without_a_quorum_is_read() -> None:
    never = "0001-01-01T00:00:00Z"
    nothing = {
        "ID": "",
        "Version": {},
        "CreatedAt": never,
        "UpdatedAt": never,
        "Spec": {
            "Labels": None,
            "Orchestration": {},
            "Raft": {"ElectionTick": 0, "HeartbeatTick": 0},
            "Dispatcher": {},
            "CAConfig": {},
            "TaskDefaults": {},
            "EncryptionConfig": {"AutoLockManagers": False},
        },
        "TLSInfo": {},
        "RootRotationInProgress": False,
        "DefaultAddrPool": None,
        "SubnetSize": 0,
        "DataPathPort": 0,
    }
    lost = INFO["Swarm"] | {"Error": "rpc error: code = Unknown desc = The swarm does not have a leader."}
    info = SystemInfo.from_wire(json.dumps(INFO | {"Swarm": lost | {"Cluster": nothing}}))

    assert info.swarm is not None
    assert info.swarm.cluster is not None
    assert ("", 0, None) == (
        info.swarm.cluster.id,
        info.swarm.cluster.version.index,
        info.swarm.cluster.created_at,
    )
    assert "does not have a leader" in (info.swarm.error or "")


def test_a_version_says_what_the_engine_consists_of() -> None:
    version = SystemVersion.from_wire(json.dumps(VERSION))

    assert ("28.5.2", "1.51", "1.24", "linux") == (
        version.version,
        version.api_version,
        version.min_api_version,
        version.os,
    )
    assert [("Engine", "28.5.2"), ("docker-init", "0.19.0")] == [
        (component.name, component.version) for component in version.components or []
    ]
    assert version.experimental is None


def test_secrets_and_configs_have_names() -> None:
    secret, templated = (Secret.from_wire(json.dumps(answer)) for answer in SECRETS)
    config = Config.from_wire(json.dumps(CONFIG))

    assert ("db", "db2", "conf") == (secret.name, templated.name, config.name)
    assert secret.spec.data is None
    assert Driver(name="golang") == templated.spec.templating
    assert b"a=1" == config.spec.data
    for model in (Secret, Config):
        assert "" == model.from_wire('{"ID":"a","Version":{},"Spec":{}}').name
        assert "" == model.from_wire('{"ID":"a","Version":{},"Spec":{"Name":null}}').name


def test_a_network_shows_its_containers_and_services_by_what_they_are_called() -> None:
    network = Network.from_wire(json.dumps(NETWORK))

    assert "p6do9v165bh467qxy6xfv8nek" == network.id
    assert {"d7892cf8f597": "10.0.1.3/24", "lb-backend": "10.0.1.4/24"} == {
        key: container.ipv4_address for key, container in (network.containers or {}).items()
    }
    assert network.services is not None
    web = network.services["web"]
    assert ("10.0.1.2", 256, ["Target: 80, Publish: 8080"]) == (web.vip, web.local_lb_index, web.ports)
    assert [("10.0.1.3", {"Host IP": "127.0.0.1"})] == [(task.endpoint_ip, task.info) for task in web.tasks or []]
    assert ["127.0.0.1"] == [peer.ip for peer in network.peers or []]
    assert network.status is None


def test_a_network_of_an_old_engine_says_nothing_of_ipv4() -> None:
    network = Network.from_wire(json.dumps(OLD_NETWORK))

    assert network.enable_ipv4 is None
    assert ConfigFrom(network="conf") == network.config_from
    assert network.ipam is not None
    assert network.ipam.config is not None
    assert ("10.99.0.0/26", {"router": "10.99.0.5"}) == (
        network.ipam.config[0].ip_range,
        network.ipam.config[0].auxiliary_addresses,
    )
    assert (None, None, None) == (network.containers, network.options, network.labels)


def test_a_network_of_a_new_engine_says_how_full_its_subnets_are() -> None:
    status = {"IPAM": {"Subnets": {"10.0.1.0/24": {"IPsInUse": 4, "DynamicIPsAvailable": 252}}}}
    network = Network.from_wire(json.dumps(NETWORK | {"Status": status}))

    assert network.status is not None
    assert network.status.ipam is not None
    subnet = (network.status.ipam.subnets or {})["10.0.1.0/24"]
    assert (4, 252) == (subnet.ips_in_use, subnet.dynamic_ips_available)
    assert status == written(network)["Status"]


def test_the_moment_of_an_event_is_a_number_exact_to_the_nanosecond() -> None:
    event = Event.from_wire(json.dumps(NODE_EVENT))

    assert (1795519145, 1795519145461514254) == (event.time, event.time_nano)
    assert type(event.time) is type(event.time_nano) is int
    assert ("node", "update", "swarm") == (event.type, event.action, event.scope)
    assert event.actor == EventActor(
        id="knermrwfbloxgfejn61zb0924",
        attributes={"name": "engine-28-5", "state.new": "ready", "state.old": "unknown"},
    )
    assert (None, None, None) == (event.status, event.id, event.from_)


def test_an_event_of_a_container_says_its_image_in_a_key_that_python_reserves() -> None:
    event = Event.from_wire(json.dumps(CONTAINER_EVENT))

    assert ("start", "440a74e170ab", "busybox:1.36") == (event.status, event.id, event.from_)
    assert {"from": "busybox:1.37"} == written(Event(from_="busybox:1.37"))
    assert Event(from_="a") == Event(**untyped({"from": "a"}))


def test_what_a_registry_says_has_lower_case_keys_with_dots() -> None:
    image = DistributionInspect.from_wire(json.dumps(DISTRIBUTION))

    assert ("application/vnd.oci.image.index.v1+json", 524) == (image.descriptor.media_type, image.descriptor.size)
    assert [None, None, "10.0.20348.2227"] == [platform.os_version for platform in image.platforms or []]
    assert {"os.version": "10", "os.features": []} == written(OCIPlatform(os_version="10", os_features=[]))


# --- the ping --------------------------------------------------------------------------------------------------------

NEW_PING = {
    "api-version": "1.51",
    "builder-version": "2",
    "cache-control": "no-cache, no-store, must-revalidate",
    "docker-experimental": "false",
    "ostype": "linux",
    "server": "Docker/28.5.2 (linux)",
    "swarm": "active/manager",
    "content-length": "2",
}
OLD_PING = {
    "Api-Version": "1.41",
    "Docker-Experimental": "true",
    "Ostype": "linux",
    "Server": "Docker/20.10.24 (linux)",
}


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_a_ping_is_read_off_headers_in_any_case(spell: Any) -> None:
    ping = Ping.of({spell(name): value for name, value in NEW_PING.items()})

    assert ping == Ping.of(NEW_PING) == Ping.of(httpx.Headers(NEW_PING))
    assert ("1.51", "Docker/28.5.2 (linux)", "linux", "2") == (
        ping.api_version,
        ping.server,
        ping.os_type,
        ping.builder_version,
    )
    assert ping.experimental is False
    assert ping.is_manager is True


def test_a_ping_of_an_old_engine_does_not_say_whether_it_is_a_manager() -> None:
    ping = Ping.of(OLD_PING)

    assert (None, None, None) == (ping.swarm, ping.is_manager, ping.builder_version)
    assert ping.experimental is True
    assert Ping.of({}) == Ping()
    assert Ping().experimental is None


@pytest.mark.parametrize("state", ["inactive", "pending", "error", "locked", "active/worker"])
def test_only_an_active_manager_is_a_manager(state: str) -> None:
    assert Ping.of({"Swarm": state}).is_manager is False
    assert Ping.of({"Swarm": state}).swarm == state


# --- nulls, gaps, and what is new ------------------------------------------------------------------------------------

NEVER_NULL = {("ObjectVersion", "Index"), ("NetworkCreated", "Warning")}
"""A plain number and a plain text, which Go cannot write as null."""


@pytest.mark.parametrize("model", OPEN)
def test_null_for_every_field_is_read_and_written_as_null(model: type[WireModel]) -> None:
    optional = {
        field.alias or name
        for name, field in model.model_fields.items()
        if not field.is_required() and (model.__name__, field.alias) not in NEVER_NULL
    }
    needed = {key: value for key, value in whole(model).items() if key not in optional and key != "Unheard"}
    read = model.from_wire(json.dumps(needed | dict.fromkeys(optional)))

    assert set(needed) | optional == set(written(read))
    falsy = {"warnings"} if model.__name__ in ("ServiceCreated", "ServiceUpdated") else set[str]()
    assert all(
        getattr(read, name) is None or name in falsy
        for name, field in model.model_fields.items()
        if (field.alias or name) in optional
    )
    assert "None" not in repr(read)


@pytest.mark.parametrize("model", PUBLIC)
def test_only_ids_versions_and_specs_need_to_be_there(model: type[WireModel]) -> None:
    needed = {name: field.alias or name for name, field in model.model_fields.items() if field.is_required()}
    values = whole(model)
    read = model.from_wire(json.dumps({key: values[key] for key in needed.values()}))

    assert set(needed) == read.model_fields_set
    assert set(needed) <= {"id", "version", "spec", "descriptor"}


@pytest.mark.parametrize("model", OPEN)
def test_keys_that_no_field_has_are_kept_by_every_model(model: type[WireModel]) -> None:
    sent = whole(model)

    assert sent["Unheard"] == written(model.from_wire(json.dumps(sent)))["Unheard"]
    assert in_utc(sent) == in_utc(written(model.from_wire(json.dumps(sent))))


@pytest.mark.parametrize("model", [Event, OCIDescriptor, OCIPlatform, PluginSpec, PluginPrivilege])
@pytest.mark.parametrize("key", ["newkey", "newKey", "new.key", "NewKey"])
def test_keys_in_lower_case_are_kept_where_the_wire_has_lower_case(model: type[WireModel], key: str) -> None:
    sent = {key: {"a": 1}}

    assert sent == written(model.from_wire(json.dumps(sent)))
    assert sent == written(model(**sent))
    assert model(**sent) == model.from_wire(json.dumps(sent)) != model()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (NodeSpec, '{"Role":"observer","Availability":"standby"}'),
        (NodeStatus, '{"State":"hibernating"}'),
        (ManagerStatus, '{"Reachability":"sometimes"}'),
        (ExternalCA, '{"Protocol":"acme"}'),
        (SwarmInfo, '{"LocalNodeState":"dreaming"}'),
        (SwarmInitRequest, '{"Availability":"standby"}'),
        (SwarmJoinRequest, '{"Availability":"standby"}'),
        (NetworkCreateRequest, '{"Scope":"galaxy"}'),
        (Network, '{"Id":"a","Scope":"galaxy"}'),
        (SystemInfo, '{"CgroupDriver":"none-at-all","CgroupVersion":"3","Isolation":"total"}'),
        (Event, '{"Type":"volcano","Action":"erupt","scope":"galaxy"}'),
    ],
)
def test_values_that_only_newer_engines_know_are_read_and_written(model: type[WireModel], text: str) -> None:
    assert json.loads(text) == written(model.from_wire(text))


# --- typos -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [one for one in PUBLIC if not issubclass(one, LowerCaseModel)])
def test_a_name_that_is_no_field_is_refused_by_every_model(model: type[WireModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(whole(model) | {"no_such_field": 1})

    assert [("no_such_field",)] == [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize("model", PUBLIC)
def test_a_name_that_is_no_field_cannot_be_assigned_on_any_model(model: type[WireModel]) -> None:
    read = model.from_wire(json.dumps(whole(model)))
    before = read.wire()

    with pytest.raises((AttributeError, ValidationError), match="no_such_field"):
        untyped(read).no_such_field = 1
    assert before == read.wire()


@pytest.mark.parametrize(
    ("model", "typo", "right"),
    [
        (NodeSpec(), "availabilty", "'availability'"),
        (SwarmSpec(), "ca_conifg", "'ca_config'"),
        (SecretSpec(), "dta", "'data'"),
        (ConfigSpec(), "label", "'labels'"),
        (NetworkCreateRequest(), "atachable", "'attachable'"),
        (NetworkCreateRequest(), "enable_ip_v6", "'enable_ipv6'"),
        (SwarmInitRequest(), "data_path_prot", "'data_path_port'"),
        (SwarmJoinRequest(), "join_tokens", "'join_token'"),
        (Event(), "form_", "'from_'"),
        (OCIPlatform(), "varaint", "'variant'"),
    ],
)
def test_a_typo_on_assignment_is_refused_and_the_right_name_said(model: WireModel, typo: str, right: str) -> None:
    with pytest.raises(AttributeError, match=f"did you mean {right}"):
        setattr(model, typo, None)
    assert b"{}" == model.wire()


@pytest.mark.parametrize(
    ("model", "key", "field"),
    [
        (NodeSpec(), "Availability", "availability"),
        (CAConfig(), "SigningCAKey", "signing_ca_key"),
        (NetworkCreateRequest(), "EnableIPv4", "enable_ipv4"),
        (NetworkCreateRequest(), "IPAM", "ipam"),
        (SystemInfo(), "NCPU", "ncpu"),
        (SystemVersion(), "MinAPIVersion", "min_api_version"),
        (Ping(), "Api-Version", "api_version"),
        (Event(), "from", "from_"),
        (Event(), "timeNano", "time_nano"),
        (OCIDescriptor(), "mediaType", "media_type"),
        (OCIPlatform(), "os.version", "os_version"),
    ],
)
def test_a_wire_key_on_assignment_is_refused_and_the_field_said(model: WireModel, key: str, field: str) -> None:
    with pytest.raises(AttributeError, match=f"the field is called '{field}'"):
        setattr(model, key, None)


def test_a_typo_deep_inside_a_request_is_refused_with_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        SwarmInitRequest(spec=untyped({"ca_config": {"external_cas": [{"protcol": "cfssl"}]}}))

    assert ("spec", "ca_config", "external_cas", 0, "protcol") == caught.value.errors()[0]["loc"]


def test_the_names_of_nodes_secrets_and_configs_are_for_reading() -> None:
    for model, name in ((Node, "hostname"), (Secret, "name"), (Config, "name"), (Ping, "is_manager")):
        read = model.from_wire('{"ID":"a","Version":{},"Spec":{}}')
        with pytest.raises(AttributeError):
            setattr(read, name, "x")


# --- secrets stay secret ---------------------------------------------------------------------------------------------

SECRET = "hunter2"
BASE64_SECRET = b64encode(SECRET.encode()).decode()
TOLD: dict[str, Any] = {"ID": "visible", "Version": {}}
HOLDERS: list[tuple[type[WireModel], dict[str, Any]]] = [
    (SecretSpec, {"Name": "visible", "Data": BASE64_SECRET}),
    (SecretSpec, {"Name": "visible", "Driver": {"Name": "vault", "Options": {"token": SECRET}}}),
    (Secret, TOLD | {"Spec": {"Data": BASE64_SECRET, "Templating": {"Options": {"x": SECRET}}}}),
    (ConfigSpec, {"Name": "visible", "Data": BASE64_SECRET}),
    (Config, TOLD | {"Spec": {"Data": BASE64_SECRET}}),
    (JoinTokens, {"Worker": SECRET, "Manager": SECRET, "Visible": SECRET}),
    (Swarm, TOLD | {"Spec": {}, "JoinTokens": {"Worker": SECRET, "Manager": SECRET}}),
    (Swarm, TOLD | {"Spec": {"CAConfig": {"SigningCAKey": SECRET, "ExternalCAs": [{"Options": {"a": SECRET}}]}}}),
    (SwarmUnlockKey, {"UnlockKey": SECRET, "Visible": None}),
    (SwarmJoinRequest, {"ListenAddr": "visible", "JoinToken": SECRET}),
    (CAConfig, {"SigningCACert": "visible", "SigningCAKey": SECRET}),
    (ExternalCA, {"URL": "visible", "Options": {"token": SECRET}}),
    (
        SwarmInitRequest,
        {
            "ListenAddr": "visible",
            "Spec": {
                "CAConfig": {"SigningCAKey": SECRET, "ExternalCAs": [{"Options": {"token": SECRET}}]},
                "TaskDefaults": {"LogDriver": {"Name": "splunk", "Options": {"splunk-token": SECRET}}},
            },
        },
    ),
    (TaskDefaults, {"LogDriver": {"Name": "visible", "Options": {"splunk-token": SECRET}}}),
    (Driver, {"Name": "visible", "Options": {"token": SECRET}}),
    (
        SystemInfo,
        {"Name": "visible", "HttpProxy": f"http://u:{SECRET}@proxy", "HttpsProxy": f"http://u:{SECRET}@proxy"},
    ),
    (
        SystemInfo,
        {"Name": "visible", "Swarm": {"Cluster": TOLD | {"Spec": {"CAConfig": {"SigningCAKey": SECRET}}}}},
    ),
    (NetworkCreateRequest, {"Name": "visible", "Options": {"key": SECRET}}),
    (Network, {"Id": "visible", "Options": {"key": SECRET}}),
    (NetworkConnectRequest, {"Container": "visible", "EndpointConfig": {"DriverOpts": {"key": SECRET}}}),
]
UNHEARD_OF: list[tuple[type[WireModel], dict[str, Any]]] = [
    (model, {key: value for key, value in whole(model).items() if key != "Unheard"} | {"Visible": {"a": [SECRET]}})
    for model in OPEN
]


@pytest.mark.parametrize(("model", "sent"), HOLDERS + UNHEARD_OF)
def test_what_is_secret_is_never_shown(
    model: type[WireModel], sent: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    text = json.dumps(sent)
    held = model.from_wire(text)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r %s", held, held, [held])

    for shown in (repr(held), str(held), f"{held}", f"{held!r:>5}", repr({"a": (held,)}), caplog.text):
        assert SECRET not in shown
        assert BASE64_SECRET not in shown
        assert "visible" in shown.lower()
    rich = list(untyped(held).__rich_repr__())
    assert SECRET not in repr(rich)
    assert in_utc(sent) == in_utc(written(held))


WRONG: list[tuple[type[WireModel], dict[str, Any]]] = [
    (SecretSpec, {"Data": f"{SECRET}!"}),
    (SecretSpec, {"Data": [SECRET]}),
    (SecretSpec, {"Driver": {"Options": {"token": [SECRET]}}}),
    (Secret, TOLD | {"Spec": {"Data": {"a": SECRET}}}),
    (Secret, TOLD | {"Spec": SECRET}),
    (JoinTokens, {"Worker": [SECRET]}),
    (Swarm, TOLD | {"Spec": {}, "JoinTokens": SECRET}),
    (Swarm, TOLD | {"Spec": {}, "JoinTokens": {"Worker": {"x": SECRET}}}),
    (Swarm, {"JoinTokens": {"Worker": SECRET}}),
    (SwarmUnlockKey, {"UnlockKey": [SECRET]}),
    (SwarmJoinRequest, {"JoinToken": [SECRET]}),
    (CAConfig, {"SigningCAKey": [SECRET]}),
    (ExternalCA, {"Options": SECRET}),
    (SwarmInitRequest, {"Spec": {"CAConfig": {"ExternalCAs": {"a": SECRET}}}}),
    (Driver, {"Options": [SECRET]}),
    (SystemInfo, {"HttpProxy": [SECRET]}),
]


@pytest.mark.parametrize(("model", "wrong"), WRONG)
def test_a_refusal_does_not_quote_what_is_secret(
    model: type[WireModel], wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    text = json.dumps(wrong)
    reads: list[Callable[[], WireModel]] = [
        lambda: model.from_wire(text),
        lambda: model.from_wire(text[:-1]),
        lambda: model.model_validate(wrong),
    ]
    for read in reads:
        with pytest.raises(ValidationError) as caught:
            read()
        caplog.clear()
        logging.getLogger("test").error("refused", exc_info=caught.value)

        for shown in (str(caught.value), repr(caught.value), caplog.text):
            assert SECRET not in shown
            assert "validation error" in shown


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (SecretSpec(), "data"),
        (JoinTokens(), "worker"),
        (SwarmUnlockKey(), "unlock_key"),
        (SwarmJoinRequest(), "join_token"),
        (CAConfig(), "signing_ca_key"),
        (ExternalCA(), "options"),
        (Driver(), "options"),
        (SystemInfo(), "https_proxy"),
    ],
)
def test_a_refused_assignment_does_not_quote_what_is_secret(model: WireModel, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        setattr(model, field, [SECRET])

    assert SECRET not in str(caught.value) + repr(caught.value)
    assert b"{}" == model.wire()


# --- bytes -----------------------------------------------------------------------------------------------------------

LARGE = bytes(range(256)) * 2000
BYTES: list[tuple[type[WireModel], str, str]] = [
    (SecretSpec, "data", "Data"),
    (ConfigSpec, "data", "Data"),
    (TLSInfo, "cert_issuer_subject", "CertIssuerSubject"),
    (TLSInfo, "cert_issuer_public_key", "CertIssuerPublicKey"),
    (OCIDescriptor, "data", "data"),
]
each_bytes = pytest.mark.parametrize(("model", "field", "key"), BYTES)


@each_bytes
@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff\xfe\xfb", b"hunter2", "ключ".encode(), LARGE])
def test_bytes_are_standard_base64_on_the_wire_both_ways(
    model: type[WireModel], field: str, key: str, content: bytes
) -> None:
    given = model(**{field: content})

    assert {key: b64encode(content).decode()} == written(given)
    read = model.from_wire(given.wire())
    assert content == getattr(read, field)
    assert read == given == model(**{key: b64encode(content).decode()})


@given(st.binary())
def test_the_data_of_any_secret_goes_out_and_comes_back(content: bytes) -> None:
    assert content == SecretSpec.from_wire(SecretSpec(data=content).wire()).data


@each_bytes
@pytest.mark.parametrize("junk", ["_-8=", "YQ", "YQ=", "Y Q==", "YQ==\n", "plain text", "ключ", 5, True, ["YQ=="], {}])
def test_what_is_no_standard_base64_is_refused(model: type[WireModel], field: str, key: str, junk: Any) -> None:
    with pytest.raises(ValidationError):
        model.from_wire(json.dumps({key: junk}))
    for spelling in {field, key}:
        with pytest.raises(ValidationError):
            model.model_validate({spelling: junk})
    with pytest.raises(ValidationError):
        model(**{key: junk})


TEXTS: list[tuple[Any, str, str]] = [(SecretSpec, "data", "Data"), (ConfigSpec, "data", "Data"),
                                     (SeccompOpts, "profile", "Profile")]  # fmt: skip
each_text = pytest.mark.parametrize(("model", "field", "key"), TEXTS)


@each_text
@pytest.mark.parametrize("text", ["", "hunter2", "YQ==", "ключ", '{"a": 1}', "a\nb\0"])
def test_text_given_by_python_code_is_the_content_itself(model: Any, field: str, key: str, text: str) -> None:
    given = model(**{field: text})
    assigned = model()
    setattr(assigned, field, text)

    assert text.encode() == getattr(given, field) == getattr(assigned, field)
    assert bytes is type(getattr(given, field))
    assert given == assigned == model(**{field: text.encode()})
    assert {key: b64encode(text.encode()).decode()} == written(given)


@each_text
def test_text_under_the_wire_s_key_or_from_json_is_base64(model: Any, field: str, key: str) -> None:
    for read in (
        model(**{key: "aGk="}),
        model.model_validate({key: "aGk="}),
        model.model_validate({field: "aGk="}),
        model.from_wire(json.dumps({field: "aGk="})),
    ):
        assert b"hi" == getattr(read, field)
    with pytest.raises(ValidationError, match="give plain content as bytes"):
        model.model_validate({field: "my password"})


@each_text
def test_what_is_no_content_is_refused_and_not_shown(model: Any, field: str, key: str) -> None:
    made = model(**{field: b"before"})
    for wrong in ("hunter2\ud800", 5, ["hunter2"], bytearray(b"hunter2")):
        with pytest.raises(ValidationError) as caught:
            model(**{field: wrong})
        assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
        with pytest.raises(ValidationError):
            setattr(made, field, wrong)
    with pytest.raises(ValidationError, match="given twice"):
        model(**{field: "a", key: "YQ=="})
    assert b"before" == getattr(made, field)


@each_text
def test_the_constructor_says_only_what_it_is_given(model: Any, field: str, key: str) -> None:
    assert {} == written(model())
    assert {key: None, "New": 1} == written(model(**{field: None, "New": 1}))
    with pytest.raises(ValidationError):
        model(**{field + "s": "a"})


def test_specs_take_all_their_fields_by_name() -> None:
    templating = Driver(name="golang")
    secret = SecretSpec(
        name="a", labels=MappingProxyType({"b": ""}), data="c", driver=templating, templating=templating
    )
    config = ConfigSpec(name="a", labels={"b": ""}, data="c", templating=templating)

    said = {"Name": "a", "Labels": {"b": ""}, "Data": "Yw==", "Templating": {"Name": "golang"}}
    assert said | {"Driver": {"Name": "golang"}} == written(secret)
    assert said == written(config)


# --- file modes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SecretReferenceFile, ConfigReferenceFile, TmpfsOptions])
@pytest.mark.parametrize(("mode", "shown"), [(0o444, "0o444"), (0o1777, "0o1777"), (0, "0o0"), (0o400, "0o400")])
def test_a_file_mode_is_shown_in_octal_and_written_as_a_plain_number(model: Any, mode: int, shown: str) -> None:
    file = model(mode=mode)

    assert f"{model.__name__}(mode={shown})" == repr(file)
    assert f"mode={shown}" == str(file)
    assert f'{{"Mode":{mode}}}'.encode() == file.wire()
    assert mode == file.mode
    assert type(file.mode) is int
    assert file == model.from_wire(file.wire())
    assert repr(file) == repr(pickled(file))


def test_file_modes_are_shown_in_octal_deep_inside_a_spec() -> None:
    mount = Mount(type="tmpfs", target="/tmp", tmpfs_options=TmpfsOptions(size_bytes=292, mode=0o1770))
    container = ContainerSpec("a", secrets=[SecretReference.as_file("1", "db", mode=0o440)], mounts=[mount])
    spec = ServiceSpec(task_template=TaskTemplate(container_spec=container))

    assert "mode=0o440" in repr(spec)
    assert "mode=0o1770" in repr(spec)
    assert "size_bytes=292" in repr(spec)
    assert 0o440 == written(spec)["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["File"]["Mode"]


def test_a_file_mode_that_is_not_set_is_not_shown() -> None:
    assert "SecretReferenceFile(name='a')" == repr(SecretReferenceFile(name="a"))
    assert "SecretReferenceFile(name='a')" == repr(SecretReferenceFile(name="a", mode=None))


@pytest.mark.parametrize("wrong", ["0444", "444", 4.0, True])
def test_a_file_mode_is_a_number(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        SecretReferenceFile(mode=wrong)


# --- durations and timestamps ----------------------------------------------------------------------------------------


def test_the_periods_of_a_swarm_are_durations() -> None:
    spec = SwarmSpec.from_wire(json.dumps(SWARM_SPEC))

    assert DispatcherConfig(heartbeat_period=timedelta(seconds=5)) == spec.dispatcher
    assert CAConfig(node_cert_expiry=timedelta(days=90)) == spec.ca_config
    assert {"NodeCertExpiry": 3_600_000_000_000} == written(CAConfig(node_cert_expiry=timedelta(hours=1)))
    assert {"HeartbeatPeriod": 1_500} == written(DispatcherConfig.from_wire('{"HeartbeatPeriod":1500}'))
    assert {"HeartbeatPeriod": 0} == written(DispatcherConfig(heartbeat_period=timedelta(0)))


def test_a_bare_number_is_no_period() -> None:
    with pytest.raises(ValidationError, match="would be nanoseconds"):
        DispatcherConfig(heartbeat_period=untyped(5))
    with pytest.raises(ValidationError, match="would be nanoseconds"):
        CAConfig(node_cert_expiry=untyped(90))


@pytest.mark.parametrize("model", [Node, Swarm, ClusterInfo, Secret, Config])
def test_the_zero_time_of_an_object_is_none(model: Any) -> None:
    never = {"CreatedAt": "0001-01-01T00:00:00Z", "UpdatedAt": "2026-11-24T11:19:05.507395832Z"}
    read = model.from_wire(json.dumps({"ID": "a", "Version": {"Index": 1}, "Spec": {}} | never))

    assert read.created_at is None
    assert datetime(2026, 11, 24, 11, 19, 5, 507395, tzinfo=UTC) == read.updated_at


def test_the_zero_time_of_a_network_and_of_an_engine_s_clock_is_none() -> None:
    assert Network.from_wire('{"Id":"a","Created":"0001-01-01T00:00:00Z"}').created is None
    assert SystemInfo.from_wire('{"SystemTime":"0001-01-01T00:00:00Z"}').system_time is None
    assert SystemInfo.from_wire(json.dumps(INFO)).system_time == datetime(2026, 11, 24, 11, 19, 5, 487187, tzinfo=UTC)


# --- models as values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled, model_copied])
@pytest.mark.parametrize("model", PUBLIC)
def test_a_duplicate_of_any_model_is_equal_and_says_the_same(model: type[WireModel], duplicate: Any) -> None:
    one = model.from_wire(json.dumps(whole(model)))
    other = duplicate(one)

    assert type(one) is type(other)
    assert one == other
    assert one.wire() == other.wire()
    assert repr(one) == repr(other)
    assert one.model_fields_set == other.model_fields_set


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled, model_copied])
@pytest.mark.parametrize("model", OPEN)
def test_a_deep_duplicate_of_any_model_shares_nothing(model: type[WireModel], duplicate: Any) -> None:
    one = model.from_wire(json.dumps(whole(model)))
    before = one.wire()
    other = duplicate(one)
    untyped(other).Unheard["of"].append(2)
    for value in cast("dict[str, object]", vars(other)).values():
        if isinstance(value, list | dict):
            untyped(cast("object", value)).clear()

    assert before == one.wire()
    assert one != other


@pytest.mark.parametrize("model", OPEN)
def test_a_model_is_unequal_to_what_says_something_else(model: type[WireModel]) -> None:
    text = json.dumps(whole(model))
    one, other = model.from_wire(text), model.from_wire(text)
    assert one == other
    untyped(other).Unheard = None

    assert one != other
    assert untyped(one) != text
    assert untyped(one) != json.loads(text)


def test_a_swarm_is_not_equal_to_what_an_info_says_of_it() -> None:
    assert Swarm.from_wire(json.dumps(CLUSTER)) != ClusterInfo.from_wire(json.dumps(CLUSTER))


# --- gates -----------------------------------------------------------------------------------------------------------

OLDEST = ApiVersion(1, 24)


def needs(model: WireModel, version: ApiVersion = OLDEST) -> dict[str, str]:
    """What a request with this body needs at an engine of that version, by its path."""
    try:
        check((model,), Endpoint(version))
    except UnsupportedFeature as error:
        return {problem.path: problem.reason for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        (NetworkCreateRequest(enable_ipv4=False), "EnableIPv4", "1.48"),
        (NetworkCreateRequest(scope="swarm"), "Scope", "1.30"),
        (NetworkCreateRequest(attachable=True), "Attachable", "1.25"),
        (NetworkCreateRequest(ingress=True), "Ingress", "1.29"),
        (NetworkCreateRequest(config_only=True), "ConfigOnly", "1.30"),
        (NetworkCreateRequest(config_from=ConfigFrom(network="a")), "ConfigFrom", "1.30"),
        (
            NetworkConnectRequest(endpoint_config=EndpointSettings(driver_opts={"a": "b"})),
            "EndpointConfig.DriverOpts",
            "1.30",
        ),
        (NetworkConnectRequest(endpoint_config=EndpointSettings(gw_priority=-1)), "EndpointConfig.GwPriority", "1.48"),
        (
            NetworkConnectRequest(endpoint_config=EndpointSettings(mac_address="02:42:0a:00:09:07")),
            "EndpointConfig.MacAddress",
            "1.54",
        ),
        (SecretSpec(driver=Driver(name="vault")), "Driver", "1.31"),
        (SecretSpec(templating=Driver(name="golang")), "Templating", "1.37"),
        (ConfigSpec(templating=Driver(name="golang")), "Templating", "1.37"),
        (SwarmInitRequest(data_path_addr="eth1"), "DataPathAddr", "1.30"),
        (SwarmInitRequest(data_path_port=7789), "DataPathPort", "1.40"),
        (SwarmInitRequest(default_addr_pool=["10.0.0.0/8"]), "DefaultAddrPool", "1.39"),
        (SwarmInitRequest(subnet_size=26), "SubnetSize", "1.39"),
        (SwarmInitRequest(auto_lock_managers=True), "AutoLockManagers", "1.25"),
        (SwarmInitRequest(availability="drain"), "Availability", "1.28"),
        (SwarmJoinRequest(availability="pause"), "Availability", "1.28"),
        (SwarmJoinRequest(data_path_addr="eth1"), "DataPathAddr", "1.30"),
        (
            SwarmInitRequest(spec=SwarmSpec(encryption_config=EncryptionConfig(auto_lock_managers=True))),
            "Spec.EncryptionConfig.AutoLockManagers",
            "1.25",
        ),
        (SwarmSpec(ca_config=CAConfig(signing_ca_cert="PEM")), "CAConfig.SigningCACert", "1.30"),
        (SwarmSpec(ca_config=CAConfig(signing_ca_key="PEM")), "CAConfig.SigningCAKey", "1.30"),
        (SwarmSpec(ca_config=CAConfig(force_rotate=1)), "CAConfig.ForceRotate", "1.30"),
        (
            SwarmSpec(ca_config=CAConfig(external_cas=[ExternalCA(), ExternalCA(ca_cert="PEM")])),
            "CAConfig.ExternalCAs[1].CACert",
            "1.30",
        ),
    ],
)
def test_what_engines_would_drop_below_a_version_needs_that_version(model: WireModel, path: str, version: str) -> None:
    enough = ApiVersion.parse(version)

    assert {path: f"needs API {version}"} == needs(model)
    assert {path: f"needs API {version}"} == needs(model, ApiVersion(1, enough.minor - 1))
    assert {} == needs(model, enough)


@pytest.mark.parametrize(
    "model",
    [
        NetworkCreateRequest(enable_ipv4=True),
        NetworkCreateRequest(enable_ipv4=None),
        NetworkCreateRequest(enable_ipv6=True, internal=True, driver="overlay", options={"encrypted": ""}),
        NetworkCreateRequest(attachable=False, ingress=False, config_only=False, scope=""),
        NetworkCreateRequest(config_from=ConfigFrom(network="")),
        NetworkCreateRequest(ipam=IPAM(driver="default", options={}, config=[])),
        NetworkConnectRequest(endpoint_config=EndpointSettings(gw_priority=0, mac_address="", driver_opts={})),
        SecretSpec(name="db", data=b"x", driver=None, templating=None),
        SecretSpec(templating=Driver(name="")),
        ConfigSpec(name="shop", data=b"x", templating=Driver()),
        SwarmInitRequest(availability="active", data_path_port=0, subnet_size=0, default_addr_pool=[]),
        SwarmInitRequest(auto_lock_managers=False, force_new_cluster=True, data_path_addr=""),
        SwarmJoinRequest(availability="active", join_token="t", remote_addrs=["a"]),
        SwarmSpec(ca_config=CAConfig(force_rotate=0, signing_ca_cert="", external_cas=[ExternalCA(ca_cert="")])),
        NodeSpec(role="worker", availability="drain", labels={"a": "b"}),
    ],
    ids=repr,
)
def test_what_asks_for_nothing_new_needs_no_version(model: WireModel) -> None:
    assert {} == needs(model)


@pytest.mark.parametrize(
    "spec",
    [
        Swarm.from_wire(json.dumps(SWARM)).spec,
        Node.from_wire(json.dumps(MANAGER)).spec,
        Node.from_wire(json.dumps(NAMED_NODE)).spec,
        Secret.from_wire(json.dumps(SECRETS[0])).spec,
        Config.from_wire(json.dumps(CONFIG)).spec,
    ],
    ids=repr,
)
def test_what_engines_echo_in_every_spec_needs_no_version(spec: WireModel) -> None:
    assert {} == needs(spec)


def test_what_was_asked_for_still_needs_its_version_when_an_engine_echoes_it() -> None:
    assert {"EncryptionConfig.AutoLockManagers": "needs API 1.25"} == needs(
        Swarm.from_wire(json.dumps(LOCKED_SWARM)).spec
    )
    assert {"Templating": "needs API 1.37"} == needs(Secret.from_wire(json.dumps(SECRETS[1])).spec)


def test_everything_that_a_request_needs_is_said_at_once() -> None:
    request = SwarmInitRequest(
        data_path_port=7789,
        subnet_size=26,
        availability="drain",
        spec=SwarmSpec(ca_config=CAConfig(force_rotate=2, external_cas=[ExternalCA(ca_cert="PEM")])),
    )

    assert {
        "DataPathPort": "needs API 1.40",
        "SubnetSize": "needs API 1.39",
        "Availability": "needs API 1.28",
        "Spec.CAConfig.ExternalCAs[0].CACert": "needs API 1.30",
        "Spec.CAConfig.ForceRotate": "needs API 1.30",
    } == needs(request)
    assert {"DataPathPort", "SubnetSize"} == set(needs(request, ApiVersion(1, 30)))


def test_a_secret_is_not_quoted_by_what_it_needs() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        check((SwarmSpec(ca_config=CAConfig(signing_ca_key=SECRET)),), Endpoint(OLDEST))

    assert SECRET not in str(caught.value) + repr(caught.value)


def test_a_body_with_keys_of_a_newer_engine_goes_out_at_that_engine_s_version() -> None:
    spec = SwarmSpec.from_wire(json.dumps(SWARM_SPEC | {"Raft": {"Quorum": "soft"}}))

    assert ApiVersion(1, 99) == check((spec,), Endpoint(ApiVersion(1, 56), maximum=ApiVersion(1, 99)))
    assert ApiVersion(1, 51) == check((spec,), Endpoint(ApiVersion(1, 51), maximum=ApiVersion(1, 51)))
