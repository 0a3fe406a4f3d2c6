"""Finds the engine: DOCKER_HOST, contexts, the default socket.

Owns: the order of resolution (Docker's own), and the forms an address may have. Must not know: how to connect.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from . import _dockerconfig
from .errors import CredentialsError, HostError

DEFAULT = "unix:///var/run/docker.sock"
_SOCKET_PATH_LIMIT = 107
_DEFAULT_PORT = 2375


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a Unix socket, or a TCP port."""

    path: str = ""
    host: str = ""
    port: int = 0
    source: str = "host"
    """Where the address was found, for error messages: `host`, `DOCKER_HOST`, a context, or `default`."""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def resolve(host: str | None, context: str | None, environ: Mapping[str, str]) -> Address:
    """The engine that Docker's own program would talk to.

    In this order: the argument, DOCKER_HOST, DOCKER_CONTEXT, the config file's current context, the default socket.

    Raises:
        HostError: the address is malformed or of a kind that cannot be used, or there is no such context.
    """
    if host is not None and context is not None:
        raise HostError("give a host or a context, not both")
    if host is not None:
        return parse(host, "host", environ)
    try:
        name = context or (not environ.get("DOCKER_HOST") and _current_context(environ)) or "default"
        if name != "default":
            return _of_context(name, environ)
    except CredentialsError as error:
        raise HostError(f"looking for the current context: {error}") from None
    if environ.get("DOCKER_HOST"):
        return parse(environ["DOCKER_HOST"], "DOCKER_HOST", environ)
    return parse(DEFAULT, "default", environ)


def _current_context(environ: Mapping[str, str]) -> str:
    return environ.get("DOCKER_CONTEXT") or str(_dockerconfig.read(environ).get("currentContext") or "")


def parse(text: str, source: str, environ: Mapping[str, str]) -> Address:
    """The address written as `unix:///PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.

    Raises:
        HostError: it is malformed or of a kind that cannot be used.
    """
    parsed: tuple[SplitResult, int | None] | None = None
    with suppress(ValueError):  # nothing is raised in here: the error would come along, and quotes the address
        text.encode()
        url = urlsplit(text.strip())
        parsed = url, url.port
    if parsed is None:
        raise HostError(f"{source}: malformed address")
    url, port = parsed
    # Never the whole address in a message: it may hold a password, and a malformed one may hold it anywhere.
    shown = f"{source}: {url.scheme}://{url.hostname or ''}{url.path}" if "@" not in text else source
    if url.scheme == "unix":
        return Address(path=_socket_path(text.strip().partition("://")[2], shown), source=source)
    if url.scheme in ("tcp", "http"):
        return _tcp(url, port, shown, source, environ)
    if url.scheme in ("https", "ssh"):
        raise HostError(f"{shown}: {url.scheme} is not supported yet; use unix:// or tcp://")
    raise HostError(f"{shown}: expected unix:///PATH or tcp://HOST:PORT")


def _socket_path(path: str, shown: str) -> str:
    if not path.startswith("/"):
        raise HostError(f"{shown}: the socket's path must be absolute")
    if "\0" in path or len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        raise HostError(f"{shown}: not a path a Unix socket can have (at most {_SOCKET_PATH_LIMIT} bytes)")
    return path


def _tcp(url: SplitResult, port: int | None, shown: str, source: str, environ: Mapping[str, str]) -> Address:
    host = url.hostname or ""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?", host):
        raise HostError(f"{shown}: malformed host name")
    if url.username is not None or url.query or url.fragment or url.path.strip("/"):
        raise HostError(f"{shown}: only a host and a port can be given")
    if environ.get("DOCKER_TLS_VERIFY"):
        raise HostError(f"{shown}: DOCKER_TLS_VERIFY asks for TLS, which is not supported yet")
    if port == 0:
        raise HostError(f"{shown}: nothing listens on port 0")
    return Address(host=host, port=port or _DEFAULT_PORT, source=source)


def _of_context(name: str, environ: Mapping[str, str]) -> Address:
    store = _dockerconfig.folder(environ) / "contexts"
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _dockerconfig.read_object(store / "meta" / digest / "meta.json")
    endpoint = _mapping(_mapping(meta.get("Endpoints")).get("docker"))
    host = endpoint.get("Host")
    source = f"context {name!r}"
    if not meta:
        raise HostError(f"{source}: there is no such context")
    if not isinstance(host, str) or not host:
        raise HostError(f"{source}: it names no Docker host")
    if endpoint.get("SkipTLSVerify") or _is_folder(store / "tls" / digest / "docker"):
        raise HostError(f"{source}: TLS is not supported yet")
    return parse(host, source, environ)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False
