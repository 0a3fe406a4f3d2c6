"""Finds the engine: DOCKER_HOST, contexts, the default socket, and the TLS material that goes with them.

Owns: the order of resolution (Docker's own), and the forms an address may have. Must not know: how to connect.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from . import _dockerconfig
from ._tls import TLSConfig, files_in, ssl_context
from .errors import CredentialsError, HostError

DEFAULT = "unix:///var/run/docker.sock"
_KINDS = "unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or ssh://HOST"
_SOCKET_PATH_LIMIT = 107
_PORT, _TLS_PORT = 2375, 2376
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?")
_SSH_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

TLSOption = TLSConfig | ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a Unix socket, a TCP port, or a socket behind ssh."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    ssh: bool = False
    user: str = ""
    """Who logs in over ssh; empty leaves it to ssh."""
    remote_path: str = ""
    """The socket on the other side of ssh; empty leaves it to the docker program there."""
    source: str = "host"
    """Where the address was found, for error messages: `host`, `DOCKER_HOST`, a context, or `default`."""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if not self.ssh:
            return f"tcp://{host}:{self.port}"
        return f"ssh://{self.user and self.user + '@'}{host}{f':{self.port}' if self.port else ''}{self.remote_path}"

    @property
    def shown(self) -> str:
        """The address without who logs in there, for errors and logs."""
        return str(replace(self, user=""))


def resolve_all(
    hosts: str | Sequence[str] | None, context: str | None, environ: Mapping[str, str], tls: TLSOption = None
) -> tuple[Address, ...]:
    """The engines that are given, each once, or the one that Docker's own program would talk to.

    TLS is made to those of several that can have it.

    Raises:
        HostError: as `resolve`; or there is none, or a context beside them.
    """
    if hosts is None or isinstance(hosts, str):
        return (resolve(hosts, context, environ, tls),)
    if context is not None:
        raise HostError("give hosts or a context, not both")
    if not hosts:
        raise HostError("give one host at least")
    can = [host.strip().startswith(("tcp:", "https:")) for host in hosts]
    found = [
        parse(host, "host", environ, tls if able or not any(can) else None)
        for host, able in zip(hosts, can, strict=True)
    ]
    return tuple(dict.fromkeys(found))


def resolve(host: str | None, context: str | None, environ: Mapping[str, str], tls: TLSOption = None) -> Address:
    """The engine that Docker's own program would talk to.

    In this order: the argument, DOCKER_HOST, DOCKER_CONTEXT, the config file's current context, the default socket.

    Raises:
        HostError: the address is malformed or of a kind that cannot be used, there is no such context, or the TLS
            material is of no use.
    """
    if host is not None and context is not None:
        raise HostError("give a host or a context, not both")
    if host is not None:
        return parse(host, "host", environ, tls)
    try:
        name = context or (not environ.get("DOCKER_HOST") and _current_context(environ)) or "default"
        if name != "default":
            return _of_context(name, environ, tls)
    except CredentialsError as error:
        raise HostError(f"looking for the current context: {error}") from None
    if environ.get("DOCKER_HOST"):
        return parse(environ["DOCKER_HOST"], "DOCKER_HOST", environ, tls)
    return parse(DEFAULT, "default", environ, tls)


def _current_context(environ: Mapping[str, str]) -> str:
    return environ.get("DOCKER_CONTEXT") or str(_dockerconfig.read(environ).get("currentContext") or "")


def parse(text: str, source: str, environ: Mapping[str, str], tls: TLSOption = None) -> Address:
    """The address written as `unix:///PATH`, `tcp://HOST:PORT`, `https://HOST:PORT` or `ssh://[USER@]HOST[:PORT][/PATH]`.

    TLS is made where `tls` says so, and as Docker's program makes it of DOCKER_TLS_VERIFY, DOCKER_TLS and
    DOCKER_CERT_PATH; but the engine is always verified.

    Raises:
        HostError: it is malformed or of a kind that cannot be used, or the TLS material is of no use.
    """
    return _parse(text, source, tls, _tls_of_environment(environ))


def _parse(text: str, source: str, tls: TLSOption, found: Callable[[], TLSConfig | None]) -> Address:
    parsed: tuple[SplitResult, int | None] | None = None
    with suppress(ValueError):  # nothing is raised in here: the error would come along, and quotes the address
        text.encode()
        url = urlsplit(text.strip())
        parsed = url, url.port
    if parsed is None:
        raise HostError(f"{source}: malformed address; expected {_KINDS}")
    url, port = parsed
    # Never the whole address in a message: it may hold a password, and a malformed one may hold it anywhere.
    shown = f"{source}: {url.scheme}://{url.hostname or ''}{url.path}" if "@" not in text else source
    if tls is not None and url.scheme not in ("tcp", "https"):
        raise HostError(f"{shown}: TLS goes with tcp:// and https:// alone")
    if url.scheme == "unix":
        return Address(path=_socket_path(text.strip().partition("://")[2], shown), source=source)
    if url.scheme in ("tcp", "http", "https"):
        return _tcp(url, port, shown, source, _context(tls, found, url.scheme, shown))
    if url.scheme == "ssh":
        return _ssh(url, port, shown, source)
    raise HostError(f"{shown}: expected {_KINDS}")


def _context(tls: TLSOption, found: Callable[[], TLSConfig | None], scheme: str, shown: str) -> ssl.SSLContext | None:
    if isinstance(tls, ssl.SSLContext):
        return tls
    config = found()
    if tls is not None:
        config = tls if config is None else tls.filled_from(config)
    if config is None and scheme == "https":
        config = TLSConfig()
    return None if config is None else ssl_context(config, shown)


def _tls_of_environment(environ: Mapping[str, str]) -> Callable[[], TLSConfig | None]:
    def found() -> TLSConfig | None:
        verify = environ.get("DOCKER_TLS_VERIFY")
        if not verify and not environ.get("DOCKER_TLS"):
            return None
        files = files_in(Path(environ.get("DOCKER_CERT_PATH") or _dockerconfig.folder(environ)))
        if verify and files.ca_cert is None:
            raise HostError("DOCKER_TLS_VERIFY asks for TLS, and there is no ca.pem in DOCKER_CERT_PATH or ~/.docker")
        return files

    return found


def _socket_path(path: str, shown: str) -> str:
    if not path.startswith("/"):
        raise HostError(f"{shown}: the socket's path must be absolute")
    if "\0" in path or len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        raise HostError(f"{shown}: not a path a Unix socket can have (at most {_SOCKET_PATH_LIMIT} bytes)")
    return path


def _tcp(url: SplitResult, port: int | None, shown: str, source: str, tls: ssl.SSLContext | None) -> Address:
    host = url.hostname or ""
    if not _HOST.fullmatch(host):
        raise HostError(f"{shown}: malformed host name")
    if url.username is not None or url.query or url.fragment or url.path.strip("/"):
        raise HostError(f"{shown}: only a host and a port can be given")
    if port == 0:
        raise HostError(f"{shown}: nothing listens on port 0")
    return Address(host=host, port=port or (_PORT if tls is None else _TLS_PORT), tls=tls, source=source)


def _ssh(url: SplitResult, port: int | None, shown: str, source: str) -> Address:
    if not _HOST.fullmatch(url.hostname or "") or port == 0:
        raise HostError(f"{shown}: malformed host name or port")
    if url.username is not None and not _SSH_USER.fullmatch(url.username):
        raise HostError(f"{shown}: malformed user name")
    if url.password is not None or url.query or url.fragment:
        raise HostError(f"{shown}: only a user, a host, a port and a path can be given; ssh asks for no password here")
    path = "" if url.path in ("", "/") else _socket_path(url.path, shown)
    return Address(
        host=_as_written(url), port=port or 0, ssh=True, user=url.username or "", remote_path=path, source=source
    )


def _as_written(url: SplitResult) -> str:
    """The host name in its own letters, which ssh's configuration may tell apart; `hostname` has lower case."""
    name = url.netloc.rpartition("@")[2]
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


def _of_context(name: str, environ: Mapping[str, str], tls: TLSOption) -> Address:
    store = _dockerconfig.folder(environ) / "contexts"
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _dockerconfig.read_object(store / "meta" / digest / "meta.json")
    endpoint = _mapping(_mapping(meta.get("Endpoints")).get("docker"))
    host = endpoint.get("Host")
    source = f"context {name!r}"
    if not meta:
        raise HostError(f"{source}: there is no such context; `docker context ls` tells which there are")
    if not isinstance(host, str) or not host:
        raise HostError(f"{source}: it names no Docker host")
    if endpoint.get("SkipTLSVerify") and tls is None:
        raise HostError(f"{source}: it does not want the engine verified; say so here: tls=TLSConfig(verify=False)")
    files = files_in(store / "tls" / digest / "docker")
    return _parse(host, source, tls, lambda: files if files != TLSConfig() else None)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
