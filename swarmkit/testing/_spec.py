"""Service specs as a manager stores them: read, converted, and refused where the manager refuses them.

Owns: every check of a service spec and the words in which it fails. Must not know: requests, or what becomes of a spec.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from ..errors import InvalidReference
from ..images import ImageReference
from ..models.service import ServiceSpec
from ._decode import Reader
from ._schedule import parse
from ._store import Entity, Json, Refusal, Service, Store, items, part, rpc

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[-_A-Za-z0-9]*[A-Za-z0-9])?")
_MOUNTS: Final = {"bind": (1, 24), "volume": (1, 24), "tmpfs": (1, 24), "npipe": (1, 40), "cluster": (1, 42)}
_ADJECTIVES: Final = ("admiring", "bold", "clever", "eager", "gallant", "happy", "keen", "quiet", "vibrant", "zen")
_SURNAMES: Final = ("bohr", "curie", "darwin", "euler", "gauss", "hopper", "kepler", "lovelace", "noether", "turing")


def read_spec(reader: Reader, body: bytes, store: Store) -> Json:
    """The spec in the body of a request, as it is stored."""
    spec = reader.read(body, ServiceSpec)
    _find_networks(spec, store, reader)
    _convert(spec, reader, store)
    return spec


def _find_networks(spec: Json, store: Store, reader: Reader) -> None:
    template: Json = part(spec, "TaskTemplate")
    if reader.engine >= (1, 52):
        networks = spec.pop("Networks", None)
        if reader.request < (1, 44) and networks and not template.get("Networks"):
            template["Networks"] = networks
    for attached in [*items(template, "Networks"), *items(spec, "Networks")]:
        name = attached.get("Target", "")
        found = store.networks.get(name) or next((net for net in store.networks.values() if net.name == name), None)
        if found is None:
            raise Refusal(500, f"network {name} not found")
        if found.scope == "local" and found.name not in ("host", "bridge"):
            raise Refusal(403, f"The network {found.name} cannot be used with services. Only networks scoped to the"
                               " swarm can be used, such as those created with the overlay driver.")  # fmt: skip
        attached["Target"] = found.id


def _convert(spec: Json, reader: Reader, store: Store) -> None:
    template: Json = part(spec, "TaskTemplate")
    runtime = template.get("Runtime", "container")
    if runtime == "plugin" and "PluginSpec" in template:
        raise Refusal(500, 'runtime type "plugin" only supported in experimental')
    if runtime not in ("container", "plugin"):
        raise Refusal(400, "unsupported runtime")
    if runtime == "plugin" or "ContainerSpec" not in template:
        raise Refusal(400, "mismatched Runtime and *Spec fields")
    _convert_container(template["ContainerSpec"], reader)
    resources: Json = part(template, "Resources")
    if "SwapBytes" in resources and not part(resources, "Limits").get("MemoryBytes"):
        raise Refusal(400, "memory swap provided, but no memory-limit was set")
    policy: Json = part(template, "RestartPolicy")
    if policy.get("Condition", "any") not in ("none", "on-failure", "any"):
        raise Refusal(400, f'invalid RestartCondition: "{policy["Condition"]}"')
    if (placement := template.get("Placement")) and "Preferences" in placement:
        placement["Preferences"] = [one for one in placement["Preferences"] if "Spread" in one]
    for key in ("UpdateConfig", "RollbackConfig"):
        config: Json = spec.get(key) or {}
        if config.get("FailureAction", "pause") not in ("pause", "continue", "rollback"):
            raise Refusal(400, f"unrecognized update failure action {config['FailureAction']}")
        if config.get("Order", "stop-first") not in ("stop-first", "start-first"):
            raise Refusal(400, f"unrecognized update order {config['Order']}")
    if (endpoint := spec.get("EndpointSpec")) is not None:
        _convert_endpoint(endpoint)
    mode: Json = part(spec, "Mode")
    if len(mode) > 1:
        raise Refusal(400, "must specify only one service mode")
    if "ReplicatedJob" in mode:
        job: Json = mode["ReplicatedJob"]
        most = job.setdefault("MaxConcurrent", 1)
        job.setdefault("TotalCompletions", most)
    elif not mode or mode.get("Replicated") == {}:
        spec["Mode"] = {"Replicated": {"Replicas": 1}}
    template["Runtime"] = runtime
    spec["Labels"] = part(spec, "Labels")
    spec["Name"] = spec.get("Name") or f"{store.random.choice(_ADJECTIVES)}_{store.random.choice(_SURNAMES)}"


def _convert_container(container: Json, reader: Reader) -> None:
    isolation = str(container.get("Isolation", "")).lower()
    container["Isolation"] = isolation if isolation in ("process", "hyperv") else "default"
    credentials = part(container, "Privileges").get("CredentialSpec")
    if credentials is not None:
        named = [key.lower() for key in ("Config", "File", "Registry") if credentials[key]]
        if not named:
            raise Refusal(
                400, 'invalid CredentialSpec: must either provide "file", "registry", or "config" for credential spec'
            )
        if len(named) > 1:
            first = ", ".join(f'"{name}"' for name in named[:-1])
            both = f'{first}{"," if len(named) > 2 else ""} and "{named[-1]}"'
            raise Refusal(400, f"invalid CredentialSpec: cannot specify both {both} credential specs")
    for reference in items(container, "Configs"):
        if ("File" in reference) == ("Runtime" in reference):
            neither = "either File or Runtime should be set"
            said = neither if "File" not in reference else "cannot specify both File and Runtime"
            raise Refusal(400, f"invalid Config: {said}")
    for mount in items(container, "Mounts"):
        kind = str(mount["Type"]).lower()
        if reader.engine < _MOUNTS.get(kind, (9, 0)):
            raise Refusal(400, f'invalid MountType: "{mount["Type"]}"')
        mount["Type"] = kind
        if (bind := mount.get("BindOptions")) is not None:
            propagation = str(bind.get("Propagation", "")).lower()
            if propagation not in ("", "private", "rprivate", "shared", "rshared", "slave", "rslave"):
                raise Refusal(400, f'invalid MountPropagation: "{bind["Propagation"]}"')
            if not propagation and not bind.get("NonRecursive"):
                del mount["BindOptions"]
            else:
                bind["Propagation"] = propagation or "rprivate"


def _convert_endpoint(endpoint: Json) -> None:
    if endpoint.setdefault("Mode", "vip") not in ("vip", "dnsrr"):
        raise Refusal(400, f'invalid resolution mode: "{endpoint["Mode"]}"')
    for port in items(endpoint, "Ports"):
        protocol, publish = str(port.get("Protocol", "")).lower(), str(port.get("PublishMode", "")).lower()
        port["Protocol"] = protocol if protocol in ("udp", "sctp") else "tcp"
        port["PublishMode"] = publish if publish == "host" else "ingress"


# --- what the manager refuses ------------------------------------------------------------------------------------


def _invalid(message: str) -> Refusal:
    return rpc("InvalidArgument", message)


def validate(spec: Json, store: Store, service: Service | None) -> None:
    """Refuse what the manager refuses, in its order; `service` is the one that is to get this spec."""
    template: Json = spec["TaskTemplate"]
    validate_name(spec["Name"])
    _validate_template(template)
    mode = next(iter(spec["Mode"]))
    if mode in ("ReplicatedJob", "GlobalJob") and "UpdateConfig" in spec:
        raise _invalid("Jobs may not have an update config")
    _validate_update(spec.get("UpdateConfig"))
    _validate_endpoint(part(spec, "EndpointSpec"))
    for attached in items(template, "Networks"):
        network = store.networks[attached["Target"]]
        if network.spec.get("Ingress"):
            raise _invalid(f'Service cannot be explicitly attached to the ingress network "{network.name}"')
    if service is None or spec.get("EndpointSpec") not in (None, service.spec.get("EndpointSpec")):
        _validate_ports(spec, store, service)
    container: Json = template["ContainerSpec"]
    for kind, known in (("secret", store.secrets), ("config", store.configs)):
        _validate_existence(container, kind, known)


def validate_name(name: str) -> None:
    """Refuse a name that the manager does not take, of a service or network."""
    if not _NAME.fullmatch(name):
        raise _invalid("name must be valid as a DNS name component")
    if len(name) > 63:
        raise _invalid("name must be 63 characters or fewer")


def _validate_template(template: Json) -> None:
    for resources in (part(template, "Resources", "Limits"), part(template, "Resources", "Reservations")):
        cpus, memory = resources.get("NanoCPUs", 0), resources.get("MemoryBytes", 0)
        if cpus and cpus < 1_000_000:
            shown = f"{cpus / 1e9:g}"
            raise _invalid(f"invalid cpu value {shown}: Must be at least 0.001")
        if memory and memory < 4 * 1024 * 1024:
            raise _invalid(f"invalid memory value {memory}: Must be at least 4MiB")
    policy: Json = part(template, "RestartPolicy")
    for key, name in (("Delay", "delay"), ("Window", "window")):
        if policy.get(key, 0) < 0:
            raise _invalid(f"TaskSpec: restart-{name} cannot be negative")
    parse(items(template, "Placement", "Constraints"))
    container: Json = template["ContainerSpec"]
    _validate_references(container, "secret")
    _validate_references(container, "config")
    image = container.get("Image", "")
    if not image:
        raise _invalid("ContainerSpec: image reference must be provided")
    try:
        ImageReference.parse(image)
    except InvalidReference:
        raise _invalid(f'ContainerSpec: "{image}" is not a valid repository/tag') from None
    targets = Counter(mount.get("Target", "") for mount in items(container, "Mounts"))
    if twice := [target for target, count in targets.items() if count > 1]:
        raise _invalid(f"ContainerSpec: duplicate mount point: {twice[0]}")
    health: Json = part(container, "Healthcheck")
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if health.get(key) and health[key] < 1_000_000:
            raise _invalid(f"ContainerSpec: {key} in HealthConfig cannot be less than 1ms")
    if health.get("Retries", 0) < 0:
        raise _invalid("ContainerSpec: Retries in HealthConfig cannot be negative")


def _validate_references(container: Json, kind: str) -> None:
    title = kind.capitalize()
    targets: dict[str, str] = {}
    for reference in items(container, f"{title}s"):
        name = reference[f"{title}Name"]
        if not reference[f"{title}ID"] or not name:
            raise _invalid(f"malformed {kind} reference")
        file = reference.get("File")
        if file is None:
            if "Runtime" in reference:
                continue
            raise _invalid(f"malformed {kind} reference, no target provided")
        if not file["Name"]:
            raise _invalid(f"malformed file {kind} reference, invalid target file name provided")
        if (other := targets.get(file["Name"])) is not None:
            raise _invalid(f"{kind} references '{other}' and '{name}' have a conflicting target: '{file['Name']}'")
        targets[file["Name"]] = name
    credentials = part(container, "Privileges", "CredentialSpec")
    if kind == "config" and (wanted := credentials.get("Config")):
        held = [reference for reference in items(container, "Configs") if "Runtime" in reference]
        if wanted not in (reference["ConfigID"] for reference in held):
            said = "but that config isn't in config references with RuntimeTarget"
            raise _invalid(f"CredentialSpec references config '{wanted}', {said}")


def _validate_existence(container: Json, kind: str, known: Mapping[str, Entity]) -> None:
    title = kind.capitalize()
    unknown = list[str]()
    for reference in items(container, f"{title}s"):
        found = known.get(reference[f"{title}ID"])
        if found is None or found.name != reference[f"{title}Name"]:
            unknown.append(reference[f"{title}Name"])
    if unknown:
        raise _invalid(f"{kind}{'s' if len(unknown) > 1 else ''} not found: {', '.join(unknown)}")


def _validate_update(config: Json | None) -> None:
    config = config or {}
    for key in ("Delay", "Monitor"):
        if config.get(key, 0) < 0:
            raise _invalid(f"TaskSpec: update-{key.lower()} cannot be negative")
    if not 0 <= config.get("MaxFailureRatio", 0) <= 1:
        raise _invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")


def _validate_endpoint(endpoint: Json) -> None:
    published: set[tuple[Any, ...]] = set()
    for port in items(endpoint, "Ports"):
        if endpoint["Mode"] == "dnsrr" and port["PublishMode"] == "ingress":
            raise _invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
        if number := port.get("PublishedPort"):
            if (number, port["Protocol"]) in published:
                raise _invalid("EndpointSpec: duplicate published ports provided")
            published.add((number, port["Protocol"]))


def _validate_ports(spec: Json, store: Store, service: Service | None) -> None:
    wanted: dict[str, set[tuple[str, int]]] = {"ingress": set(), "host": set()}
    for port in items(spec, "EndpointSpec", "Ports"):
        if port.get("PublishedPort"):
            wanted[port["PublishMode"]].add((port["Protocol"], port["PublishedPort"]))
    for other in store.services.values():
        if other is service:
            continue
        for port in [*items(other.spec, "EndpointSpec", "Ports"), *other.ports]:
            place = port["Protocol"], port.get("PublishedPort", 0)
            in_host_mode = port["PublishMode"] == "host"
            if place in wanted["ingress"] or (place in wanted["host"] and not in_host_mode):
                kind = "a host-published port" if in_host_mode else "an ingress port"
                said = f"port '{place[1]}' is already in use by service '{other.name}' ({other.id}) as {kind}"
                raise _invalid(said)


def with_defaults(spec: Json) -> Json:
    """The spec filled up with what the manager takes where nothing is said."""
    template: Json = spec["TaskTemplate"]
    rollout = {
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0,
        "Order": "stop-first",
    }  # fmt: skip
    container: Json = {"StopGracePeriod": 10_000_000_000, "DNSConfig": {}, **template["ContainerSpec"]}
    policy = {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0, **part(template, "RestartPolicy")}
    full: Json = {"Resources": {}, "Placement": {}, **template, "ContainerSpec": container, "RestartPolicy": policy}
    configs = {key: {"Monitor": 5_000_000_000, **spec[key]} if key in spec else rollout
               for key in ("UpdateConfig", "RollbackConfig")}  # fmt: skip
    return {**spec, "TaskTemplate": full, **configs}
