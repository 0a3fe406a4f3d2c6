"""What an engine of some release says about itself: releases and versions, `/info`, `/version`, nodes, the swarm.

Owns: those documents. Must not know: requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..versions import ApiVersion
from ._store import Entity, Json, Node, State, Store, timestamp

RELEASES: Final = {
    ApiVersion.parse(version): release
    for version, release in {
        "1.41": "20.10.24", "1.42": "23.0.18", "1.43": "24.0.9", "1.44": "25.0.17", "1.45": "26.1.5", "1.46": "27.1.2",
        "1.47": "27.5.1", "1.48": "28.0.4", "1.49": "28.1.1", "1.50": "28.2.2", "1.51": "28.5.2", "1.52": "29.1.5",
        "1.53": "29.2.1", "1.54": "29.5.3", "1.55": "29.7.2", "1.56": "29.8.0",
    }.items()
}  # fmt: skip
"""The newest release of each API version; no release speaks 1.56 yet."""

TLS: Final = {
    "TrustRoot": "-----BEGIN CERTIFICATE-----\nembedded\n-----END CERTIFICATE-----\n",
    "CertIssuerSubject": "MBMxETAPBgNVBAMTCHN3YXJtLWNh",
    "CertIssuerPublicKey": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
}
_CAPABLE: Final = (
    *("MemoryLimit", "SwapLimit", "PidsLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "OomKillDisable"),
    *("IPv4Forwarding", "BridgeNfIptables", "BridgeNfIp6tables"),
)
_LOG_PLUGINS: Final = ("awslogs", "fluentd", "gelf", "journald", "json-file", "local", "splunk", "syslog")
_NETWORK_PLUGINS: Final = ("bridge", "host", "ipvlan", "macvlan", "null", "overlay")


def oldest_version(version: ApiVersion) -> ApiVersion:
    """The oldest API version that an engine still takes."""
    if version < (1, 44):
        return ApiVersion(1, 12)
    if version < (1, 52):
        return ApiVersion(1, 24)
    return ApiVersion(1, 44) if version < (1, 54) else ApiVersion(1, 40)


@dataclass(eq=False)
class Cluster(Entity):
    """The swarm itself."""

    tokens: dict[str, str] = field(default_factory=dict[str, str])
    unlock_key: str = ""
    tls: Json = field(default_factory=lambda: {**TLS})
    forced: int = 0
    """The counter of the last root certificate that was asked for by it."""
    rotating: bool = False
    """Nodes are going over to another root certificate."""
    pool: Json = field(default_factory=lambda: {"DefaultAddrPool": ["10.0.0.0/8"], "SubnetSize": 24})
    data_path_port: int = 4789

    def rotate(self, role: str, store: Store) -> None:
        """Give nodes of a role another token to join with."""
        self.tokens[role] = f"SWMTKN-1-{store.new_id()}{store.new_id()}-{store.new_id()}"

    def rotate_key(self, store: Store) -> None:
        """Lock managers with another key."""
        self.unlock_key = f"SWMKEY-1-{store.new_id()}{store.new_id()}"


def cluster(store: Store) -> Cluster:
    """A swarm as `swarm init` makes it."""
    spec: Json = {
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
        "Dispatcher": {"HeartbeatPeriod": 5_000_000_000},
        "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000},
        "TaskDefaults": {},
        "EncryptionConfig": {"AutoLockManagers": False},
    }
    swarm = Cluster(id=store.new_id(), spec=spec)
    swarm.rotate_key(store)
    for role in ("Worker", "Manager"):
        swarm.rotate(role, store)
    return swarm


def description(release: str, hostname: str, resources: Json) -> Json:
    """What a node says about itself."""
    plugins = [{"Type": "Log", "Name": name} for name in _LOG_PLUGINS]
    plugins += [{"Type": "Network", "Name": name} for name in _NETWORK_PLUGINS]
    return {
        "Hostname": hostname,
        "Platform": {"Architecture": "x86_64", "OS": "linux"},
        "Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30, **resources},
        "Engine": {"EngineVersion": release, "Plugins": [*plugins, {"Type": "Volume", "Name": "local"}]},
        "TLSInfo": TLS,
    }


def version_body(version: ApiVersion) -> Json:
    """The answer of `/version`."""
    release = RELEASES[version]
    oldest = str(oldest_version(version))
    details = {
        "ApiVersion": str(version),
        "Arch": "amd64",
        "Experimental": "false",
        "MinAPIVersion": oldest,
        "Os": "linux",
    }
    return {
        "Platform": {"Name": ""},
        "Components": [{"Name": "Engine", "Version": release, "Details": details}],
        "Version": release,
        "ApiVersion": str(version),
        "MinAPIVersion": oldest,
        "GitCommit": "embedded",
        "GoVersion": "",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "",
        "BuildTime": "",
    }


def info(store: Store, leader: Node, state: str, swarm: Json) -> Json:
    """The answer of `/info`."""
    nodes = store.nodes.values()
    resources = leader.description["Resources"]
    running = sum(task.state is State.RUNNING and task.node_id == leader.id for task in store.tasks.values())
    part: Json = {"NodeID": "", "NodeAddr": "", "LocalNodeState": state, "ControlAvailable": False}
    part |= {"Error": "", "RemoteManagers": None}
    if state in ("manager", "worker"):
        part |= {"NodeID": leader.id, "NodeAddr": leader.address, "LocalNodeState": "active"}
        managers = [node for node in nodes if node.spec["Role"] == "manager"]
        part["RemoteManagers"] = [{"NodeID": node.id, "Addr": f"{node.address}:2377"} for node in managers]
        if state == "manager":
            part |= {"ControlAvailable": True, "Nodes": len(nodes), "Managers": len(managers), "Cluster": swarm}
    return {
        "ID": "00000000-0000-4000-8000-000000000000",
        "Containers": running,
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": 0,
        "Images": len(leader.images),
        "Driver": "overlay2",
        "DriverStatus": [],
        "Plugins": {
            "Volume": ["local"],
            "Network": [*_NETWORK_PLUGINS],
            "Authorization": None,
            "Log": [*_LOG_PLUGINS],
        },
        **dict.fromkeys(_CAPABLE, True),
        "Debug": False,
        "SystemTime": timestamp(store.clock_ns()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2",
        "OperatingSystem": "swarmkit's embedded engine",
        "OSType": "linux",
        "Architecture": "x86_64",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "NCPU": resources["NanoCPUs"] // 1_000_000_000,
        "MemTotal": resources["MemoryBytes"],
        "GenericResources": None,
        "Name": leader.hostname,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": RELEASES[store.version],
        "DefaultRuntime": "runc",
        "Runtimes": {"runc": {"path": "runc"}},
        "InitBinary": "docker-init",
        "DockerRootDir": "/var/lib/docker",
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "Swarm": part,
        "LiveRestoreEnabled": False,
        "Isolation": "",
        "Warnings": None,
    }
