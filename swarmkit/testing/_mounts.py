"""Mounts with which no task can start, in the words of the node that finds out. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from ..versions import ApiVersion

_SUBPATHS = ApiVersion(1, 45)

Rejection = tuple[str, str]
"""The message and the error of a task that is rejected."""


def unresolved(mounts: Iterable[Mapping[str, Any]]) -> Rejection | None:
    """Why a node takes a task with these mounts for none it could run."""
    for mount in mounts:
        kind, source = mount.get("Type", "bind"), mount.get("Source", "")
        match kind:
            case "bind" if not source.startswith("/"):
                error = f"invalid bind mount source, must be an absolute path: {source}"
            case "volume" if source.startswith("/"):
                error = f"invalid volume mount source, must not be an absolute path: {source}"
            case "tmpfs" if source:
                error = "invalid tmpfs source, source must be empty"
            case "npipe" if not source:
                error = "invalid npipe source, source must not be empty"
            case _:
                continue
        return "resolving controller failed", error
    return None


def unprepared(mounts: Iterable[Mapping[str, Any]], version: ApiVersion) -> Rejection | None:
    """Why a node can make no container with these mounts."""
    targets: set[str] = set()
    for mount in mounts:
        kind, target = mount.get("Type", "bind"), mount.get("Target", "")
        invalid = f'invalid mount config for type "{kind}": '
        options: Mapping[str, Any] = mount.get("VolumeOptions") or {}
        subpath = str(options.get("Subpath", ""))
        if (place := posixpath.normpath(target).replace("//", "/")) == "/":
            return "preparing", f"{invalid}invalid specification: destination can't be '/'"
        if version >= _SUBPATHS and (subpath.startswith("/") or posixpath.normpath(subpath).startswith("..")):
            return "preparing", f"{invalid}subpath must be a relative path within the volume"
        if place in targets:
            return "preparing", f"Duplicate mount point: {target}"
        targets.add(place)
    return None
