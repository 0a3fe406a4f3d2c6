"""The client: opens the engine and hangs the nouns on it. Must not know: paths, JSON, statuses."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from copy import copy
from types import TracebackType
from typing import Self

import httpx

from . import _hosts
from ._engine import Engine
from ._pinning import PinDigest
from ._tls import TLSConfig
from .auth import RegistryAuthOption
from .configs import Configs
from .errors import UnsupportedApiVersion
from .models._wire import UNSET, Unset
from .networks import Networks
from .nodes import Nodes
from .secrets import Secrets
from .services import Services
from .swarm import TheSwarm
from .system import System
from .tasks import Tasks
from .versions import ApiVersion


class SwarmClient:
    """A client for an engine that is a manager of a swarm, or for several managers of one swarm.

    Connects with the first call. Use it as `async with SwarmClient() as client`, or without and `aclose()` it, on
    asyncio or trio, on one event loop after another. Any number of calls may be under way at once.

    Args:
        host: `unix:///PATH`, `tcp://HOST:PORT`, `https://HOST:PORT` or `ssh://[USER@]HOST[:PORT][/PATH]`. Without one
            the engine is found as Docker's own program finds it: DOCKER_HOST, DOCKER_CONTEXT, the current context, the
            default socket. Several, in a list, are managers of one swarm: the client stays with the one that answers,
            and goes on to the next where that one cannot be reached or is no manager. Each of them has 5 s for making
            a connection. A change that may have happened is never sent to another one.
        context: A Docker context, in place of a host.
        tls: How TLS is made to a tcp:// or https:// host, where the context, or DOCKER_TLS_VERIFY with
            DOCKER_CERT_PATH, do not say it; of several hosts, to those that are. The engine is verified unless this
            says otherwise.
        api_version: The API version to speak, such as "1.41", in place of agreeing on one; as DOCKER_API_VERSION does.
        timeout: Seconds an operation may take as a whole, however many requests it makes; None for no limit. A leader
            election can stall one for 15 s.
        max_connections: Calls on the wire at once, to any one host; further ones wait their turn. Streams do not
            count.
        registry_auth: Where a service's registry credentials come from: "config" is where Docker keeps them, a
            RegistryAuth is sent as given, None sends none. Credentials that are sent are stored in the swarm.
        pin_digest: Whether new images are pinned to the digest that their registry has for them: "never"; "try", with
            a warning where it cannot be had; or "require".
        transport: An httpx transport in place of the own one, for tests. If it has a `clock`, waits sleep on that.

    Raises:
        HostError: the engine's address cannot be found out or used, the TLS material is of no use, or there are several
            hosts beside a context or a transport.
        UnsupportedApiVersion: this package does not speak the version asked for.
        ValueError: the timeout or the number of connections is not above 0.
    """

    services: Services
    tasks: Tasks
    nodes: Nodes
    swarm: TheSwarm
    networks: Networks
    secrets: Secrets
    configs: Configs
    system: System

    def __init__(
        self,
        host: str | Sequence[str] | None = None,
        *,
        context: str | None = None,
        tls: TLSConfig | ssl.SSLContext | None = None,
        api_version: str | ApiVersion | None = None,
        timeout: float | None = 60.0,
        max_connections: int = 64,
        registry_auth: RegistryAuthOption = "config",
        pin_digest: PinDigest = "never",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        elsewhere = transport is not None and host is None and context is None
        self._engine = Engine(
            *(() if elsewhere else _hosts.resolve_all(host, context, os.environ, tls)),
            pinned=_pinned(api_version),
            timeout=timeout,
            max_connections=max_connections,
            transport=transport,
        )
        self._registry_auth: RegistryAuthOption = registry_auth
        self._pin_digest: PinDigest = pin_digest
        self._hang_the_nouns()

    def _hang_the_nouns(self) -> None:
        self.tasks = Tasks(self._engine)
        self.nodes = Nodes(self._engine)
        self.networks = Networks(self._engine)
        self.swarm = TheSwarm(self._engine)
        self.system = System(self._engine, self._registry_auth)
        self.services = Services(self._engine, self.tasks, self._registry_auth, self._pin_digest)
        self.secrets = Secrets(self._engine, self.services)
        self.configs = Configs(self._engine, self.services)

    def __repr__(self) -> str:
        return f"SwarmClient({self._engine})"

    def with_options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        registry_auth: RegistryAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> SwarmClient:
        """This client with other options, over the same connections: `client.with_options(timeout=5).services.list()`.

        What is not given stays as it is here. It costs next to nothing; closing one of them closes both.

        Raises:
            ValueError: the timeout is not above 0.
        """
        view = copy(self)
        if not isinstance(timeout, Unset):
            view._engine = self._engine.with_timeout(timeout)
        if not isinstance(registry_auth, Unset):
            view._registry_auth = registry_auth
        if not isinstance(pin_digest, Unset):
            view._pin_digest = pin_digest
        view._hang_the_nouns()
        return view

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Calls under way fail with ClientClosed, later ones too; closing twice is no error."""
        await self._engine.aclose()

    async def api_version(self) -> ApiVersion:
        """The API version in use: the pinned one, or what this package and the engine agree on.

        GET /_ping, once.
        """
        return await self._engine.api_version()


def _pinned(api_version: str | ApiVersion | None) -> ApiVersion | None:
    source = "api_version"
    if api_version is None:
        source, api_version = "DOCKER_API_VERSION", os.environ.get("DOCKER_API_VERSION") or None
    if api_version is None or isinstance(api_version, ApiVersion):
        return api_version
    try:
        return ApiVersion.parse(api_version)
    except ValueError as error:
        raise UnsupportedApiVersion(f"{source}: {error}") from None
