"""`FakeEngine`, a Swarm manager in memory: for tests of what is built on swarmkit, without Docker and without waiting.

Owns: what a test can ask of the engine and do to it. Must not know: pytest (`swarmkit.testing.pytest` does).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal

import httpx

from .._pinning import PinDigest
from ..auth import RegistryAuthOption
from ..client import SwarmClient
from ..versions import ApiVersion
from ._agent import Rule, write_logs
from ._call import Request, Response
from ._clock import VirtualClock, real_now
from ._core import Core
from ._registry import Account, stored
from ._server import Serving
from ._shell import STDERR, STDOUT
from ._store import Node, Task
from ._system import RELEASES
from ._transport import Door, Faults, Transport

__all__ = ["FakeEngine", "FakeNode", "Request", "Response"]

SwarmState = Literal["manager", "worker", "inactive", "locked"]


class FakeNode:
    """One node of an embedded engine's swarm."""

    def __init__(self, core: Core, node: Node) -> None:
        self._core = core
        self._node = node

    def __repr__(self) -> str:
        return f"FakeNode({self.hostname!r}, {self.id!r})"

    @property
    def id(self) -> str:
        """Id of the node."""
        return self._node.id

    @property
    def hostname(self) -> str:
        """Host name of the node."""
        return self._node.hostname

    @property
    def state(self) -> str:
        """What the managers think: ready or down. They find out 15 s after a node is lost."""
        return self._node.state

    def drain(self) -> None:
        """Let its tasks go elsewhere, and give it no more."""
        self._set(Availability="drain")

    def pause(self) -> None:
        """Give it no more tasks."""
        self._set(Availability="pause")

    def activate(self) -> None:
        """Give it tasks again."""
        self._set(Availability="active")

    def label(self, **labels: str) -> None:
        """Put labels on it, in place of those it has."""
        self._set(Labels=labels)

    def _set(self, **changes: Any) -> None:
        self._core.nodes.change(self._node, {**self._node.spec, **changes})

    def kill(self) -> None:
        """Lose it, as when it has no power or no network. Its managers notice after 15 s.

        Raises:
            ValueError: it is the one that answers requests.
        """
        if self._node.leader:
            raise ValueError(f"node {self.hostname} is the engine itself, which would no longer answer")
        self._core.agents.lose(self._node)

    def revive(self) -> None:
        """Bring it back."""
        self._core.agents.find(self._node)


class FakeEngine:
    """A Swarm manager in memory.

    It keeps services, tasks, nodes, secrets, configs and networks as an engine does, carries out updates and restarts,
    and refuses what an engine refuses, in the same words. Its time is virtual: it goes on when the client sleeps, as
    `services.wait` does, or by `advance`, and takes no real time. Containers do not run; what their programs do is
    read off the command line where that is a simple one, or scripted.

    Args:
        api_version: The engine's newest API version, from "1.41" to "1.56"; it behaves as the release that had it.
        start: When its time begins; now unless said.
        real_time: Time also passes by itself, as in the world; for code that sleeps in real time between calls.
        swarm: What the engine is: a manager, or a worker, not in a swarm, or locked.
        seed: What its ids are made from: the same ones in every run.

    Raises:
        ValueError: there is no engine with that version.
    """

    def __init__(
        self,
        api_version: str | ApiVersion = "1.51",
        *,
        start: datetime | None = None,
        real_time: bool = False,
        swarm: SwarmState = "manager",
        seed: int = 0,
    ) -> None:
        version = api_version if isinstance(api_version, ApiVersion) else ApiVersion.parse(api_version)
        if version not in RELEASES:
            known = [*RELEASES]
            raise ValueError(f"there is no embedded engine of API {version}: it can be {known[0]} to {known[-1]}")
        self._core = Core(api_version=version, start=start or real_now(), seed=seed)
        self._core.swarm.state = swarm
        self._clock = VirtualClock(self._core.timeline, real=real_time)
        self._faults = Faults()

    def __repr__(self) -> str:
        return f"FakeEngine({str(self.api_version)!r})"

    # --- reaching it -------------------------------------------------------------------------------------------------

    @property
    def api_version(self) -> ApiVersion:
        """The newest API version it speaks."""
        return self._core.api_version

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """A new transport that leads to it, for one client: `SwarmClient(transport=engine.transport)`."""
        return Transport(self._door(), self._clock)

    def _door(self) -> Door:
        return Door(self._core, self._clock, self._faults)

    @property
    def clock(self) -> VirtualClock:
        """The clock on which its clients sleep."""
        return self._clock

    def client(
        self,
        *,
        api_version: str | ApiVersion | None = None,
        timeout: float | None = 60.0,
        registry_auth: RegistryAuthOption = None,
        pin_digest: PinDigest = "never",
    ) -> SwarmClient:
        """A client of it, which looks for no registry credentials unless told to."""
        return SwarmClient(
            transport=self.transport,
            api_version=api_version,
            timeout=timeout,
            registry_auth=registry_auth,
            pin_digest=pin_digest,
        )

    def serve(self, host: str | None = None) -> AbstractAsyncContextManager[str]:
        """Let programs connect to it: `async with engine.serve() as host: ...`, where host is their DOCKER_HOST.

        Within the block it listens, and its time passes by itself, as in the world. A test may go on doing things to
        it, and have clients of its own, on the event loop that serves it: it is not safe to use from other threads.

        Args:
            host: Where to listen: `unix:///PATH`, or `tcp://ADDRESS:PORT`, where port 0 takes a free one; without it, a
                socket in a folder of its own. A socket's file is for this user only, takes the place of one on which
                nobody listens any more, and is removed at the end.

        Raises:
            OSError: it cannot listen there, as where another engine does.
            ValueError: that is no such address.
        """
        return Serving(self._door(), self._clock, host)

    def handle(self, request: Request) -> Response:
        """The answer to one request, without any client."""
        self._clock.catch_up()
        return self._core.handle(request)

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self._clock.pass_to(self._clock.now() + seconds, stop=False)

    @property
    def unlock_key(self) -> str:
        """The key that unlocks it, also while it is locked."""
        return self._core.swarm.cluster.unlock_key

    # --- nodes -------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[FakeNode]:
        """All nodes; the first one is the engine itself."""
        return [FakeNode(self._core, node) for node in self._core.store.nodes.values()]

    def add_node(
        self,
        hostname: str,
        *,
        role: Literal["worker", "manager"] = "worker",
        labels: Mapping[str, str] | None = None,
        engine_labels: Mapping[str, str] | None = None,
        cpus: float = 4,
        memory: int = 8 << 30,
        generic: Mapping[str, int] | None = None,
    ) -> FakeNode:
        """A further node, ready for tasks; `memory` is in bytes, `generic` are the numbers of generic resources."""
        resources: dict[str, Any] = {"NanoCPUs": int(cpus * 1_000_000_000), "MemoryBytes": memory}
        if generic:
            resources["GenericResources"] = [
                {"DiscreteResourceSpec": {"Kind": kind, "Value": value}} for kind, value in generic.items()
            ]
        node = self._core.nodes.add(hostname, role, dict(labels or {}), resources)
        if engine_labels:
            node.description["Engine"]["Labels"] = dict(engine_labels)
        return FakeNode(self._core, node)

    # --- what tasks do -----------------------------------------------------------------------------------------------

    def run_tasks(
        self,
        *,
        image: str | None = None,
        service: str | None = None,
        output: str = "",
        after: float = 0.0,
        exit_code: int | None = None,
        times: int | None = None,
    ) -> None:
        """Say what the containers of an image or service do from now on: write the output and end, or run for ever.

        Without an exit code they run for ever, with one they end `after` seconds after their start. `times` is for how
        many containers that holds. What was said last counts first.
        """
        rule = Rule(image, service, output, after, exit_code, math.inf if times is None else times)
        self._core.agents.rules.insert(0, rule)

    def fail_tasks(
        self,
        *,
        image: str | None = None,
        service: str | None = None,
        exit_code: int = 1,
        after: float = 0.0,
        times: int | None = None,
        output: str = "",
    ) -> None:
        """Let the containers of an image or service fail from now on, `after` seconds after their start."""
        self.run_tasks(image=image, service=service, output=output, after=after, exit_code=exit_code, times=times)

    def complete_tasks(
        self, *, image: str | None = None, service: str | None = None, after: float = 0.0, output: str = ""
    ) -> None:
        """Let the containers of an image or service end well from now on, `after` seconds after their start."""
        self.run_tasks(image=image, service=service, output=output, after=after, exit_code=0)

    def kill_task(self, task: str, *, exit_code: int = 137) -> None:
        """End the container of a running task, by the id of either.

        Raises:
            LookupError: no such task runs.
        """
        for one in self._core.store.tasks.values():
            if task in (one.id, one.container_id) and not one.has_ended:
                one.killed = exit_code
                one.changed()
                return
        raise LookupError(f"no task {task} runs")

    def write_logs(self, service: str, text: str, *, stream: Literal["stdout", "stderr"] = "stdout") -> int:
        """Let every running task of a service (name or id), or one task (id), write this text; gives how many did."""
        number = STDOUT if stream == "stdout" else STDERR
        running = [task for task in self._core.store.tasks.values() if task.container_id and not task.has_ended]
        found = [task for task in running if service in (task.id, task.service_id, _service_name(task))]
        for task in found:
            write_logs(self._core.store, task, text, number)
        return len(found)

    # --- images and registries ---------------------------------------------------------------------------------------

    def remove_image(self, image: str) -> None:
        """No registry has this image any more, and no node: tasks that need it are rejected."""
        self._core.registries.remove(image)
        for node in self._core.store.nodes.values():
            node.images.discard(image)

    def add_image(
        self,
        image: str,
        *,
        pulled: bool = True,
        digest: str | None = None,
        platforms: Sequence[str] | None = None,
    ) -> None:
        """Registries have this image, and nodes too where it is `pulled`: then its first task starts at once.

        `digest` and `platforms`, such as "linux/arm/v7", are what its registry says when an image is pinned.
        """
        self._core.registries.put(image, digest, platforms)
        for node in self._core.store.nodes.values() if pulled else ():
            node.images.add(image)

    def protect_registry(self, registry: str, *, username: str, password: str) -> None:
        """Let a registry ("ghcr.io", "127.0.0.1:5000", "docker.io") give its images to this user only."""
        self._core.registries.protect(registry, Account(username, password))

    def registry_down(self) -> None:
        """Let no registry answer: tasks whose image their node does not have are rejected."""
        self._core.registries.is_up = False

    def registry_up(self) -> None:
        """Let registries answer again."""
        self._core.registries.is_up = True

    def registry_auth(self, service: str) -> dict[str, Any] | None:
        """The registry credentials that are stored with a service (name or id), None where there are none.

        Raises:
            LookupError: there is no such service.
        """
        for one in self._core.store.services.values():
            if service in (one.id, one.name):
                return None if one.auth is None else stored(one.auth)
        raise LookupError(f"there is no service {service}")

    # --- trouble -----------------------------------------------------------------------------------------------------

    def lose_answer(self, times: int = 1) -> None:
        """Make the next change and break the connection before its answer; as often as said."""
        self._faults.lost_answers += times

    def cut_streams(self) -> None:
        """Break the connections over which events and logs are followed."""
        for stream in [*self._faults.streams]:
            stream.cut()

    def refuse_connections(self) -> None:
        """Listen no more, as an engine that is not running."""
        self._faults.refusing = True

    def accept_connections(self) -> None:
        """Listen again."""
        self._faults.refusing = False

    def lose_quorum(self) -> None:
        """Let the managers have no leader: every call that needs one is refused."""
        self._core.swarm.has_leader = False

    def regain_quorum(self) -> None:
        """Let the managers have a leader again."""
        self._core.swarm.has_leader = True


def _service_name(task: Task) -> str:
    return task.service.name if task.service is not None else ""
