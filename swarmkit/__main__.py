"""The doctor, `python -m swarmkit`: whether services can be managed from here, and what to do where they cannot.

Owns: what is looked at, and in which words it is told. Must not know: how any of it is done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Final

import anyio

from . import _dockerconfig, _hosts
from ._hosts import Address
from .auth import VARIABLE, in_environment
from .client import SwarmClient
from .errors import (
    CredentialsError,
    EngineError,
    NoQuorum,
    NotAManager,
    ProtocolError,
    SwarmkitError,
    SwarmLocked,
)
from .models.system import SwarmInfo

_DISTRIBUTION: Final = "docker-swarmkit"
_DEPENDENCIES: Final = ("anyio", "httptools", "httpx", "pydantic", "rich", "trio")
_HERE: Final = Path(__file__).parent
_PATIENCE: Final = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what is found; 0 if services can be managed, and 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m swarmkit", description="Say whether services can be managed from here, and what to do if not."
    )
    parser.add_argument("--host", help="the engine's address, in place of the one that is found")
    parser.add_argument("--context", help="the Docker context to take it from")
    options = parser.parse_args(arguments)
    return anyio.run(_examine, options.host, options.context)


def _tell(what: str, found: str) -> None:
    print(f"{what:<12} {found}", flush=True)


async def _examine(host: str | None, context: str | None) -> int:
    _tell("swarmkit", f"{_version(_DISTRIBUTION) or 'of no version'}, in {_HERE}")
    for stranger in _strangers():
        _tell("", stranger)
    _tell("Python", f"{python_version()}, {', '.join(_dependencies())}")
    _tell("credentials", _credentials())
    user = ""
    try:
        address = _hosts.resolve(host, context, os.environ)
        user = f"{address.user}@" if address.user else ""
        _tell("host", f"{replace(address, user='')}, {_source(address, context)}")
        _tell("TLS", _tls(address))
        async with SwarmClient(host, context=context, timeout=_PATIENCE, registry_auth=None) as client:
            await _ask(client)
    except SwarmkitError as error:
        _tell("services", f"cannot be managed: {str(error).replace(user, '') if user else error}")
        if advice := _advice(error):
            _tell("", advice)
        return 1
    _tell("services", "can be managed")
    return 0


# --- this installation -----------------------------------------------------------------------------------------------


def _dependencies() -> Iterator[str]:
    return (f"{name} {found}" for name in _DEPENDENCIES if (found := _version(name)))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _strangers() -> Iterator[str]:
    """What else is called swarmkit here, as the distribution of that name on PyPI is."""
    if found := _version("swarmkit"):
        yield (
            f"the distribution swarmkit {found} is installed, which is another project and has files where this one"
            f" has its own: uninstall both, then install {_DISTRIBUTION} alone"
        )
    specs = (PathFinder.find_spec("swarmkit", [entry or "."]) for entry in sys.path)
    places = {Path(spec.origin).resolve().parent for spec in specs if spec is not None and spec.origin}
    for place in sorted(places - {_HERE.resolve()}):
        yield f"another package swarmkit is in {place}: what is imported is the one that comes first on the path"


def _credentials() -> str:
    path = _dockerconfig.file(os.environ)
    try:
        in_environment(os.environ.get(VARIABLE, ""), "")
        config = _dockerconfig.read(os.environ)
    except CredentialsError as error:
        return f"cannot be read: {error}"
    also = f"; {VARIABLE} comes first" if os.environ.get(VARIABLE) else ""
    return f"{path}, {'which can be read' if config else 'which is not there, or empty'}{also}"


# --- the engine ------------------------------------------------------------------------------------------------------


def _source(address: Address, context: str | None) -> str:
    match address.source:
        case "host":
            return "by --host"
        case "default":
            return "the default"
        case "DOCKER_HOST":
            return "by DOCKER_HOST"
        case found:
            by = "--context" if context else "DOCKER_CONTEXT" if os.environ.get("DOCKER_CONTEXT") else "the config file"
            return f"by {found}, which {by} names"


def _tls(address: Address) -> str:
    if address.tls is None:
        return "none, by ssh" if address.ssh else "none, a socket of this machine" if address.path else "none"
    return "yes, and the engine is verified" if address.tls.verify_mode else "yes, but the engine is not verified"


async def _ask(client: SwarmClient) -> None:
    """Tell of the engine what it tells.

    Raises:
        SwarmkitError: services cannot be managed, for this reason.
    """
    ping = await client.system.ping()
    _tell("engine", ping.server or "of no name")
    spoken = await client.api_version()
    pinned = ", as DOCKER_API_VERSION asks" if os.environ.get("DOCKER_API_VERSION") else ""
    _tell("API", f"{spoken} is spoken{pinned}; the engine's newest is {ping.api_version}")
    swarm = (await client.system.info()).swarm or SwarmInfo()
    try:
        nodes = await client.nodes.list()  # which only a manager can say, and only one that has a leader
    except EngineError:
        part = "a manager" if swarm.control_available else "a worker"
        _tell("swarm", part if swarm.local_node_state == "active" else str(swarm.local_node_state))
        raise
    leads = [node.id for node in nodes if node.manager_status is not None and node.manager_status.leader]
    managers = sum(node.manager_status is not None for node in nodes)
    part = "the leader" if swarm.node_id in leads else "a manager"
    _tell("swarm", f"{part}; nodes: {len(nodes)}, managers among them: {managers}")


def _advice(error: SwarmkitError) -> str:
    """What to do next, where the error's own words do not say."""
    match error:
        case NotAManager(state="worker"):
            return (
                "name a manager by --host, DOCKER_HOST or a context, or let one run `docker node promote` for this node"
            )
        case NotAManager(state="inactive"):
            return "run `docker swarm init` on it, which makes a swarm of its own"
        case NotAManager():
            return "wait until it has started"
        case SwarmLocked():
            return "run `docker swarm unlock` on it; another manager tells the key by `docker swarm unlock-key`"
        case NoQuorum():
            return "start the other managers; if they are lost for good, run `docker swarm init --force-new-cluster`"
        case EngineError(path="/_ping") | ProtocolError():
            return "what answers there seems to be no Docker engine: correct the address"
        case _:
            return ""


if __name__ == "__main__":
    sys.exit(main())
