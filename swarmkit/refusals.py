"""What engines accept and then do otherwise: service specs that are refused before they are sent.

Pure. Says every problem of a spec with its path. What an engine refuses itself is left to the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .errors import Problem
from .features import misspelt, parts
from .models._wire import WireModel
from .models.config import ConfigReferenceFile
from .models.container import ContainerSpec
from .models.endpoint import EndpointSpec
from .models.mount import BindOptions, Mount
from .models.secret import SecretReferenceFile
from .models.service import ServiceSpec
from .models.task import Limits, Resources, TaskTemplate
from .patch import diff

_NAME = re.compile(r"[A-Za-z0-9](?:[-_A-Za-z0-9]*[A-Za-z0-9])?")
_NAME_LIMIT = 63
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def problems(spec: ServiceSpec, live: ServiceSpec | None = None) -> list[Problem]:
    """All that is wrong with a spec; of a change to a live one, only what it brings about or touches.

    A service that holds such a value already can therefore be changed elsewhere.
    """
    found = list(_spec(spec))
    if live is None or not found:
        return found
    before = set(_spec(live))
    changed = [change.path for change in diff(live, spec)]
    return [
        problem for problem in found if problem not in before or any(_touches(path, problem.path) for path in changed)
    ]


def _touches(changed: str, path: str) -> bool:
    longer, shorter = (changed, path) if len(changed) >= len(path) else (path, changed)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ".[")


def _spec(spec: ServiceSpec) -> Iterator[Problem]:
    yield from with_defaults(spec)
    yield from misspelt(spec)
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


def with_defaults(model: WireModel, prefix: str = "") -> Iterator[Problem]:
    """The outermost parts that an engine filled up with its defaults."""
    if model.has_defaults:
        yield Problem(prefix.rstrip("."), "was read with the engine's defaults; sent back, they would be stored")
        return
    for path, part in parts(model, prefix):
        yield from with_defaults(part, f"{path}.")


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
    if template.container_spec is not None:
        yield from _container(template.container_spec, "TaskTemplate.ContainerSpec.")


def _container(container: ContainerSpec, prefix: str) -> Iterator[Problem]:
    yield from _one_of(container.isolation, ("", "default", "process", "hyperv"), prefix + "Isolation", "default")
    for index, mount in enumerate(container.mounts or ()):
        yield from _mount(mount, f"{prefix}Mounts[{index}].")
    yield from _repeated([mount.target for mount in container.mounts or ()], prefix + "Mounts[{}].Target")
    yield from _files([secret.file for secret in container.secrets or ()], prefix + "Secrets[{}].File.")
    yield from _files([config.file for config in container.configs or ()], prefix + "Configs[{}].File.")


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
    if not mount.type:
        yield Problem(prefix + "Type", "is missing: engines take that for bind")
    elif mount.type == "image":
        yield Problem(prefix + "Type", "no engine takes image mounts for services")
    elif mount.type == "bind" and not _is_absolute(mount.source or ""):
        yield Problem(prefix + "Source", "of a bind mount must be an absolute path: no task could start")
    elif mount.type == "tmpfs" and mount.source:
        yield Problem(prefix + "Source", "means nothing to a tmpfs: no task could start")
    for kind, key, options in (
        ("bind", "BindOptions", mount.bind_options),
        ("volume", "VolumeOptions", mount.volume_options),
        ("tmpfs", "TmpfsOptions", mount.tmpfs_options),
    ):
        if options is not None and mount.type and mount.type not in (kind, "image"):
            yield Problem(prefix + key, f"belongs to mounts of type {kind}")
    if not mount.target:
        yield Problem(prefix + "Target", "is missing")
    elif not _is_absolute(mount.target):
        yield Problem(prefix + "Target", "is not an absolute path")
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


def _one_of(value: str | None, known: tuple[str, ...], path: str, instead: str) -> Iterator[Problem]:
    if value is not None and value.lower() not in known:  # engines read them without regard to case
        yield Problem(path, f"must be one of {', '.join(filter(None, known))}: engines take any other for {instead}")


def _repeated(values: Sequence[object], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value and value in values[:index]:
            yield Problem(path.format(index), f"repeats that of {path.format(values.index(value))}")
