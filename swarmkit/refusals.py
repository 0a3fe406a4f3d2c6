"""What engines accept and then do otherwise: specs that are refused before they are sent.

Pure. Says every problem of a spec with its path. What an engine refuses itself is left to the engine.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TypeVar

from pydantic import ValidationError

from .errors import Problem
from .features import Extra, extras, holders, members, parts
from .models._wire import LowerCaseModel, WireModel, nearest, wire_keys
from .models.config import ConfigReferenceFile
from .models.container import ContainerSpec, Healthcheck, Privileges
from .models.endpoint import EndpointSpec
from .models.mount import BindOptions, Mount
from .models.network import IPAM, NetworkCreateRequest
from .models.node import NodeSpec
from .models.secret import SecretReferenceFile
from .models.service import ServiceSpec
from .models.swarm import RaftConfig, SwarmInitRequest, SwarmSpec
from .models.task import Limits, Placement, Reservations, Resources, TaskTemplate
from .patch import diff
from .versions import NEWEST

M = TypeVar("M", bound=WireModel)
_NAME = re.compile(r"[A-Za-z0-9](?:[-_A-Za-z0-9]*[A-Za-z0-9])?")
_NAME_LIMIT = 63
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def problems(spec: ServiceSpec, live: ServiceSpec | None = None) -> list[Problem]:
    """All that is wrong with a spec; of a change to a live one, only what it brings about or touches.

    A service that holds such a value already can therefore be changed elsewhere.
    """
    if found := _misfits(spec):
        return found  # the other checks rely on the types
    return _of_change(list(_spec(spec)), [] if live is None else list(_spec(live)), live, spec)


def swarm_problems(spec: SwarmSpec, live: SwarmSpec | None = None) -> list[Problem]:
    """All that is wrong with a swarm's spec; of a change to a live one, only what it brings about or touches."""
    if found := _misfits(spec):
        return found
    return _of_change(list(_swarm(spec)), [] if live is None else list(_swarm(live)), live, spec)


def init_problems(request: SwarmInitRequest) -> list[Problem]:
    """All that is wrong with what is to start a swarm."""
    found = [Problem(f"Spec.{path}", reason) for path, reason in swarm_problems(request.spec or SwarmSpec())]
    if request.subnet_size and not request.default_addr_pool:
        found.append(Problem("SubnetSize", "has no effect without a DefaultAddrPool"))
    if request.force_new_cluster:
        for key, value in (
            ("DefaultAddrPool", request.default_addr_pool),
            ("SubnetSize", request.subnet_size),
            ("DataPathPort", request.data_path_port),
        ):
            if value:
                found.append(Problem(key, "stays as it is where a swarm is made anew from a manager's own state"))
    return found


def _of_change(found: list[Problem], before: list[Problem], live: M | None, spec: M) -> list[Problem]:
    """The problems that a change brings about or touches; all of them where there is nothing live."""
    if live is None or not found:
        return found
    changed = [change.path for change in diff(live, spec)]
    return [
        problem for problem in found if problem not in before or any(_touches(path, problem.path) for path in changed)
    ]


def _touches(changed: str, path: str) -> bool:
    longer, shorter = (changed, path) if len(changed) >= len(path) else (path, changed)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ".[")


def unheard(spec: WireModel, live: WireModel | None = None) -> list[Problem]:
    """The unknown keys of a spec that the live one does not have just so, for an engine that knows no more than we."""
    known = {extra.path: extra.value for extra in extras(live)} if live is not None else {}
    reason = f"no engine up to API {NEWEST} has such a key: it would be dropped"
    return [
        Problem(extra.path, reason + _hint(extra))
        for extra in extras(spec)
        if not _slip(extra) and extra.value is not None and extra.value != known.get(extra.path)
    ]


def problems_of_node(spec: NodeSpec) -> list[Problem]:
    """All that is wrong with the spec of a node."""
    return _misfits(spec) or _slips(spec)


def problems_of_network(network: NetworkCreateRequest) -> list[Problem]:
    """All that is wrong with a network that is to be made."""
    return _misfits(network) or [*_network(network), *_slips(network)]


def problems_of_part(spec: WireModel) -> list[Problem]:
    """What is wrong with a partial spec, whatever it is put into."""
    return _misfits(spec) or list(_with_defaults(spec))


def _misfits(spec: WireModel) -> list[Problem]:
    """The values of another type than their field's: lists and `model_copy(update=...)` take them unchecked."""
    found = dict(_strangers(spec))
    try:
        spec.wire()  # looks at every value, in C; but one model is as good as another to it
    except ValueError as error:
        found = dict(_mistyped(spec)) | found or {"": str(error)}
    return [Problem(path, reason) for path, reason in found.items()]


def _strangers(model: WireModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    """What stands in the place of a model and is none, or another."""
    for name, key, models in holders(type(model)):
        for where, item in members(model.__dict__[name]):
            if isinstance(item, models):
                yield from _strangers(item, f"{prefix}{key}{where}.")
            else:
                expected = " or ".join(kind.__name__ for kind in models)
                yield f"{prefix}{key}{where}", f"is no {expected} but a {type(item).__name__}, put in past validation"


def _mistyped(model: WireModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    """What pydantic would not take at these places."""
    kind = type(model)
    for name in filter(model.model_fields_set.__contains__, kind.__pydantic_fields__):
        try:
            kind.__pydantic_validator__.validate_assignment(
                kind.model_construct(), name, model.__dict__[name], strict=True
            )
        except ValidationError as error:
            for found in error.errors(include_url=False, include_context=False, include_input=False):
                path = prefix + _key(kind, name) + _indexes(found["loc"])
                yield path, f"was put in past validation: {found['msg']}"
    for path, part in parts(model, prefix):
        yield from _mistyped(part, f"{path}.")


def _indexes(location: Sequence[int | str]) -> str:
    return "".join(f"[{step}]" for step in location if isinstance(step, int))


def _swarm(spec: SwarmSpec) -> Iterator[Problem]:
    yield from _slips(spec)
    if spec.task_defaults is not None and spec.task_defaults.log_driver is not None:
        yield Problem("TaskDefaults.LogDriver", "engines drop it: a log driver belongs into a service's task template")
    raft = spec.raft or RaftConfig()
    for key, ticks, usual in (
        ("ElectionTick", raft.election_tick, 10),
        ("HeartbeatTick", raft.heartbeat_tick, 1),
    ):
        if ticks not in (None, 0, usual):
            yield Problem(f"Raft.{key}", f"engines keep it and tick by their own configuration, {usual} unless said")


def _spec(spec: ServiceSpec) -> Iterator[Problem]:
    yield from _with_defaults(spec)
    yield from _slips(spec)
    yield from _name(spec.name)
    if spec.networks:
        yield Problem("Networks", "newer engines drop it: networks belong into TaskTemplate.Networks")
    if spec.mode is not None and spec.mode.is_job:
        for key, config in ("UpdateConfig", spec.update_config), ("RollbackConfig", spec.rollback_config):
            if config is not None:
                yield Problem(key, "jobs are not updated by replacing tasks")
    if spec.task_template is not None:
        yield from _task_template(spec.task_template)
    if spec.endpoint_spec is not None:
        yield from _endpoint(spec.endpoint_spec)


def _with_defaults(model: WireModel, prefix: str = "") -> Iterator[Problem]:
    """The outermost parts that an engine filled up with its defaults."""
    if model.has_defaults:
        yield Problem(prefix.rstrip("."), "was read with the engine's defaults; sent back, they would be stored")
        return
    for path, part in parts(model, prefix):
        yield from _with_defaults(part, f"{path}.")


def _slips(spec: WireModel) -> list[Problem]:
    return [Problem(extra.path, slip) for extra in extras(spec) if (slip := _slip(extra))]


def _slip(extra: Extra) -> str:
    """What is wrong with an unknown key at any engine; empty where a newer one may have it."""
    if (field := wire_keys(extra.model).get(extra.key.lower())) is not None:
        # Engines read it as the field, unchecked.
        return f"is the field {field!r}, spelled {_key(extra.model, field)} on the wire"
    if extra.key[:1].islower() and not issubclass(extra.model, LowerCaseModel):
        return "no engine has such a key, here they begin with a capital: it would be dropped" + _hint(extra)
    return ""


def _hint(extra: Extra) -> str:
    close = nearest(extra.model, extra.key)
    return f"; did you mean {_key(extra.model, close)}?" if close else ""


def _key(model: type[WireModel], field: str) -> str:
    return model.__pydantic_fields__[field].alias or field


def _name(name: str | None) -> Iterator[Problem]:
    if name is None:
        return  # not asked for: the engine makes one up
    if not name:
        yield Problem("Name", "is empty: the engine would make one up")
    elif len(name) > _NAME_LIMIT or _NAME.fullmatch(name) is None:
        yield Problem(
            "Name", f"takes at most {_NAME_LIMIT} letters, digits, '-' and '_', the first and last a letter or digit"
        )


def _task_template(template: TaskTemplate) -> Iterator[Problem]:
    resources = template.resources or Resources()
    limits = resources.limits or Limits()
    if resources.swap_bytes is not None and not limits.memory_bytes:
        yield Problem("TaskTemplate.Resources.SwapBytes", "has no effect without a memory limit")
    if (limits.__pydantic_extra__ or {}).get("GenericResources"):
        yield Problem("TaskTemplate.Resources.Limits.GenericResources", "engines ignore it: they can only be reserved")
    for index, resource in enumerate((resources.reservations or Reservations()).generic_resources or ()):
        kinds = (resource.named_resource_spec, resource.discrete_resource_spec)
        if kinds.count(None) != 1 and not resource.__pydantic_extra__:  # a newer engine may know another kind
            path = f"TaskTemplate.Resources.Reservations.GenericResources[{index}]"
            yield Problem(path, "must be either named or discrete: engines drop one of two, and break at none")
    for index, wish in enumerate((template.placement or Placement()).preferences or ()):
        if not (wish.spread and wish.spread.spread_descriptor) and not wish.__pydantic_extra__:
            yield Problem(f"TaskTemplate.Placement.Preferences[{index}]", "names no label to spread over")
    if template.container_spec is not None:
        yield from _container(template.container_spec, "TaskTemplate.ContainerSpec.")
        for key, other in (
            ("PluginSpec", template.plugin_spec),
            ("NetworkAttachmentSpec", template.network_attachment_spec),
        ):
            if other is not None:
                yield Problem(f"TaskTemplate.{key}", "beside a ContainerSpec: engines take one and drop the other")


def _container(container: ContainerSpec, prefix: str) -> Iterator[Problem]:
    mounts = container.mounts or ()
    yield from _one_of(container.isolation, ("", "default", "process", "hyperv"), prefix + "Isolation", "default")
    yield from _privileges(container.privileges or Privileges(), prefix + "Privileges.")
    if not -(2**31) <= ((container.healthcheck or Healthcheck()).retries or 0) < 2**31:
        yield Problem(prefix + "Healthcheck.Retries", "does not fit into 32 bits: engines take the lower ones of it")
    for index, line in enumerate(container.hosts or ()):
        if not _is_host(line):
            yield Problem(
                f"{prefix}Hosts[{index}]",
                "must be an IP address and one name: engines drop the rest, or no task could start",
            )
    for index, mount in enumerate(mounts):
        yield from _mount(mount, f"{prefix}Mounts[{index}].")
    yield from _repeated([_cleaned(mount.target) for mount in mounts], prefix + "Mounts[{}].Target")
    yield from _files([secret.file for secret in container.secrets or ()], prefix + "Secrets[{}].File.")
    yield from _files([config.file for config in container.configs or ()], prefix + "Configs[{}].File.")


def _privileges(privileges: Privileges, prefix: str) -> Iterator[Problem]:
    if (apparmor := privileges.apparmor) is not None:
        yield from _one_of(apparmor.mode, ("", "default", "disabled"), prefix + "AppArmor.Mode", "default", exact=True)
    if (seccomp := privileges.seccomp) is not None:
        modes = ("", "default", "unconfined", "custom")
        yield from _one_of(seccomp.mode, modes, prefix + "Seccomp.Mode", "default", exact=True)
        if seccomp.mode == "custom" and not seccomp.profile:
            yield Problem(prefix + "Seccomp.Profile", "is missing: engines would take their own")
        elif seccomp.profile and seccomp.mode != "custom":
            yield Problem(prefix + "Seccomp.Profile", "has no effect unless the mode is custom")


def _is_host(line: str) -> bool:
    """Whether engines make an entry of /etc/hosts of it. They drop further names."""
    words = line.split()
    if len(words) != 2 or ":" in words[1]:
        return False
    if words[0] == "host-gateway":
        return True
    try:
        return "%" not in words[0] and bool(ip_address(words[0]))
    except ValueError:
        return False


def _files(files: Sequence[SecretReferenceFile | ConfigReferenceFile | None], prefix: str) -> Iterator[Problem]:
    yield from _repeated([file and file.name for file in files], prefix + "Name")
    for index, file in enumerate(files):
        if file is not None:
            for key, owner in ("UID", file.uid), ("GID", file.gid):
                if not owner:
                    yield Problem(prefix.format(index) + key, 'is missing: no task could start; root is "0"')
            if file.mode is None:
                yield Problem(
                    prefix.format(index) + "Mode", "is missing: engines take that for 0, which nobody may read"
                )


def _mount(mount: Mount, prefix: str) -> Iterator[Problem]:
    kind = (mount.type or "").lower()  # as engines read it
    if not kind:
        yield Problem(prefix + "Type", "is missing: engines take that for bind")
    elif kind == "image":
        yield Problem(prefix + "Type", "no engine takes image mounts for services")
    elif kind == "bind" and not _is_absolute(mount.source or ""):
        yield Problem(prefix + "Source", "of a bind mount must be an absolute path: no task could start")
    elif kind == "volume" and _is_absolute(mount.source or ""):
        yield Problem(prefix + "Source", "of a volume is its name and no path: no task could start")
    elif kind == "npipe" and not mount.source:
        yield Problem(prefix + "Source", "of a named pipe is missing: no task could start")
    elif kind == "tmpfs" and mount.source:
        yield Problem(prefix + "Source", "means nothing to a tmpfs: no task could start")
    for owner, key, options in (
        ("bind", "BindOptions", mount.bind_options),
        ("volume", "VolumeOptions", mount.volume_options),
        ("tmpfs", "TmpfsOptions", mount.tmpfs_options),
    ):
        if options is not None and kind not in (owner, "image", ""):
            yield Problem(prefix + key, f"belongs to mounts of type {owner}")
    if mount.volume_options is not None and not _is_local(mount.volume_options.subpath or ""):
        yield Problem(prefix + "VolumeOptions.Subpath", "must stay inside the volume: no task could start")
    if not mount.target:
        yield Problem(prefix + "Target", "is missing")
    elif not _is_absolute(mount.target):
        yield Problem(prefix + "Target", "is not an absolute path")
    elif _cleaned(mount.target) == "/":
        yield Problem(prefix + "Target", "is the container's root: no task could start")
    bind = mount.bind_options or BindOptions()
    for key, is_set in (
        ("Consistency", bool(mount.consistency)),
        ("ImageOptions", mount.image_options is not None),
        ("BindOptions.CreateMountpoint", bind.create_mountpoint),
        ("BindOptions.ReadOnlyNonRecursive", bind.read_only_non_recursive),
        ("BindOptions.ReadOnlyForceRecursive", bind.read_only_force_recursive),
    ):
        if is_set:
            yield Problem(prefix + key, "works for containers; engines drop it for services")


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or _WINDOWS_PATH.match(path) is not None


def _is_local(path: str) -> bool:
    return not _is_absolute(path) and posixpath.normpath(path).partition("/")[0] != ".."


def _cleaned(path: str | None) -> str | None:
    """The path as nodes compare it: `//x/` is `/x`."""
    return "/" + posixpath.normpath(path).lstrip("/") if path and path.startswith("/") else path


def _endpoint(endpoint: EndpointSpec) -> Iterator[Problem]:
    published: list[tuple[str, int] | None] = []
    for index, port in enumerate(endpoint.ports or ()):
        prefix = f"EndpointSpec.Ports[{index}]."
        yield from _one_of(port.protocol, ("", "tcp", "udp", "sctp"), prefix + "Protocol", "tcp")
        yield from _one_of(port.publish_mode, ("", "ingress", "host"), prefix + "PublishMode", "ingress")
        if not 1 <= (port.target_port or 0) <= 65535:
            yield Problem(prefix + "TargetPort", "must be a port from 1 to 65535")
        if not 0 <= (port.published_port or 0) <= 65535:
            yield Problem(prefix + "PublishedPort", "must be a port up to 65535, or 0 to let the manager choose")
        if endpoint.mode == "dnsrr" and (port.publish_mode or "ingress") == "ingress":
            yield Problem(prefix + "PublishMode", "ingress needs a virtual address: use host, or the endpoint mode vip")
        number = port.published_port
        published.append((port.protocol or "tcp", number) if number else None)
    yield from _repeated(published, "EndpointSpec.Ports[{}].PublishedPort")


def _network(network: NetworkCreateRequest) -> Iterator[Problem]:
    if network.scope not in (None, "", "local", "swarm"):
        yield Problem("Scope", "must be local or swarm: engines take any other, and make of it what the driver does")
    if network.config_only and network.driver:
        yield Problem("Driver", "of settings for other networks is dropped: each of these has its own")
    if network.config_from is not None and not network.config_from.network:
        yield Problem("ConfigFrom.Network", "is missing: engines would take the network's own settings")
    if network.config_from is not None and network.driver == "overlay":
        yield Problem("ConfigFrom", "has no effect on an overlay: the manager gives it its subnet and options")
    subnets = [config.subnet for config in (network.ipam or IPAM()).config or ()]
    yield from _repeated(subnets, "IPAM.Config[{}].Subnet")
    if any(":" in (subnet or "") for subnet in subnets):
        if not network.enable_ipv6:
            yield Problem("EnableIPv6", "must be set for an IPv6 subnet: engines would give nobody an address of it")
    elif network.enable_ipv6 and network.driver == "overlay":
        yield Problem("EnableIPv6", "needs an IPv6 subnet: managers have none to give to an overlay")
    if network.driver == "overlay" or network.scope == "swarm":
        for index, config in enumerate((network.ipam or IPAM()).config or ()):
            if config.auxiliary_addresses:
                path = f"IPAM.Config[{index}].AuxiliaryAddresses"
                yield Problem(path, "works for networks of one engine; managers drop it for those of the swarm")


def _one_of(
    value: str | None, known: tuple[str, ...], path: str, instead: str, *, exact: bool = False
) -> Iterator[Problem]:
    """Engines read some words without regard to case, and others exactly."""
    if value is not None and (value if exact else value.lower()) not in known:
        yield Problem(path, f"must be one of {', '.join(filter(None, known))}: engines take any other for {instead}")


def _repeated(values: Sequence[object], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value and value in values[:index]:
            yield Problem(path.format(index), f"repeats that of {path.format(values.index(value))}")
