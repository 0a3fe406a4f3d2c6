"""Owns several engines on one network: the wires between them, the swarm that they make up, and who is killed in it.

Must not know swarmkit, nor how one engine runs (`engine` does).

The nodes' wires meet in a bridge that has a network namespace of its own, and so has one to the host. No rule of the
host lies on the way from node to node, and nothing is named there but that one link. The namespace is held by a process
that reads from its owner's pipe: when the owner ends, however it ends, the kernel takes the bridge and all wires along.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from tests.harness.engine import Engine
from tests.harness.packages import HarnessError, program

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from types import TracebackType

T = TypeVar("T")
Role = Literal["manager", "worker"]
PORT: Final = 2375
"""The port on which each node answers the host, in the clear."""
_SWARM_PORT: Final = 2377
_SECONDS: Final = 60.0


class Node:
    """An engine of a cluster. It outlives its dockerd: what is killed or stopped can be started again."""

    def __init__(self, release: str, number: int, subnet: str) -> None:
        self.name = f"m{number}"
        self.address = f"{subnet}.{number}"
        # Without the first word engines wait a while, in case that nobody meant to do without TLS.
        arguments = ("--tls=false", "--host", f"tcp://0.0.0.0:{PORT}")
        self.engine = Engine(release, arguments=arguments, name=self.name, swarm=False)

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.address!r})"

    @property
    def socket(self) -> str:
        """The path of the unix socket on which it answers."""
        return self.engine.socket

    @property
    def host(self) -> str:
        """What to set as DOCKER_HOST to reach it on that socket, also while its network is gone."""
        return self.engine.host

    @property
    def tcp_host(self) -> str:
        """What to set as DOCKER_HOST to reach it over the network: refused while its dockerd does not run."""
        return f"tcp://{self.address}:{PORT}"

    @property
    def swarm_address(self) -> str:
        """Where it hears other nodes: what they give as `remote_addrs`, once it is a manager."""
        return f"{self.address}:{_SWARM_PORT}"

    @property
    def state(self) -> str:
        """What it says about its part in the swarm: `active`, `pending`, `locked`, `error`, `inactive`."""
        return str(self.info()["LocalNodeState"])

    @property
    def id(self) -> str:
        """Its id in the swarm; empty outside of any."""
        return str(self.info()["NodeID"])

    @property
    def is_manager(self) -> bool:
        """It manages the swarm, or would if it had a quorum."""
        return bool(self.info()["ControlAvailable"])

    @property
    def is_leader(self) -> bool:
        """It leads the swarm, as it sees it."""
        status, _, body = self.engine.request("GET", f"/nodes/{self.id}")
        return status == 200 and json.loads(body).get("ManagerStatus", {}).get("Leader", False)

    def info(self) -> dict[str, Any]:
        """What its /info says about the swarm."""
        return dict(json.loads(self._ok("GET", "/info"))["Swarm"])

    def docker(self, *args: str, check: bool = True) -> str:
        """Run the `docker` program against it, as Engine.docker does."""
        return self.engine.docker(*args, check=check)

    def docker_command(self, *args: str) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run the `docker` program against it."""
        return self.engine.docker_command(*args)

    def kill(self) -> None:
        """End its dockerd at once, as a crash would. Its containers go on."""
        self.engine.end_daemon(signal.SIGKILL)

    def stop(self) -> None:
        """End its dockerd in good order: it says so to the others, and its containers end."""
        self.engine.end_daemon(signal.SIGTERM)

    def start(self) -> None:
        """Start its dockerd again, and wait until it answers; it may still be joining its swarm, or be locked."""
        self.engine.start_daemon()

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Let its dockerd do nothing within the block: it takes connections, and never answers."""
        with self.engine.frozen():
            yield

    def init(self) -> None:
        """Start a swarm of which it is the only manager."""
        self._ok("POST", "/swarm/init", self.join_in())

    def join(self, other: Node, role: Role = "manager") -> None:
        """Join another node's swarm."""
        token = json.loads(other._ok("GET", "/swarm"))["JoinTokens"][role.title()]
        self._ok("POST", "/swarm/join", {**self.join_in(), "RemoteAddrs": [other.swarm_address], "JoinToken": token})

    def join_in(self) -> dict[str, Any]:
        """The addresses that both init and join need."""
        return {"ListenAddr": f"0.0.0.0:{_SWARM_PORT}", "AdvertiseAddr": self.address}

    def _ok(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        status, _, answer = self.engine.request(method, path, body)
        if status != 200:
            raise HarnessError(
                f"{self!r}: {method} {path} answered {status}: {answer.decode(errors='replace').strip()}"
            )
        return answer


class Cluster:
    """Engines of one release on a network of their own; `with Cluster(3) as cluster: …`.

    Without `form` no swarm is made of them, for tests that do it themselves.
    """

    def __init__(self, size: int = 3, release: str = "28.5", *, form: bool = True) -> None:
        self._size = size
        self._release = release
        self._form = form
        self._wires: _Wires | None = None
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        try:
            self._wires = _Wires()
            self.add(self._size)
            if self._form:
                self.form()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, count: int = 1) -> list[Node]:
        """Start further engines, side by side, that are in no swarm."""
        if self._wires is None:
            raise HarnessError("the cluster is not running")
        first = len(self.nodes) + 1
        added = [Node(self._release, number, self._wires.subnet) for number in range(first, first + count)]
        self.nodes += added
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(Engine.start, [node.engine for node in added]))
        for node in added:
            self._wires.connect(node)
        return added

    def form(self) -> None:
        """Make all of them managers of one swarm, one after the other, and wait until each takes part."""
        first, *others = self.nodes
        first.init()
        for other in others:
            other.join(first)
        self.settle()

    @property
    def leader(self) -> Node:
        """The manager that leads, as it says itself; waits out an election."""
        return self._until(lambda: next((node for node in self.running if node.is_leader), None), "a leader")

    @property
    def followers(self) -> list[Node]:
        """The running managers that do not lead."""
        leader = self.leader
        return [node for node in self.running if node.is_manager and node is not leader]

    @property
    def running(self) -> list[Node]:
        """The nodes whose dockerd runs."""
        return [node for node in self.nodes if _runs(node)]

    def settle(self) -> None:
        """Start what is down, and wait until all managers reach each other and one leads."""
        for node in self.nodes:
            if not _runs(node):
                node.start()
        self._until(lambda: self._is_settled() or None, "all managers")

    def close(self) -> None:
        """End it all at once; does nothing when it is not running."""
        nodes, self.nodes = self.nodes, []
        wires, self._wires = self._wires, None
        for node in nodes:
            node.engine.stop()
        if wires is not None:
            wires.close()

    def _is_settled(self) -> bool:
        for node in self.nodes:
            if not node.is_manager:
                continue
            status, _, body = node.engine.request("GET", "/nodes")
            if status != 200:
                return False
            managers = [found["ManagerStatus"] for found in json.loads(body) if "ManagerStatus" in found]
            if not all(manager["Reachability"] == "reachable" for manager in managers):
                return False
            if not any(manager.get("Leader") for manager in managers):
                return False
        return True

    def _until(self, found: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, HarnessError):
                if (result := found()) is not None:
                    return result
            time.sleep(0.1)
        raise HarnessError(f"the cluster waited for {what} in vain")


def _runs(node: Node) -> bool:
    try:
        return node.engine.pid > 0
    except HarnessError:
        return False


class _Wires:
    """A bridge in a network namespace, with a wire to the host."""

    def __init__(self) -> None:
        self.subnet = self._link = ""
        reading, self._lifeline = os.pipe()
        try:
            # Says a line when it is there, and then waits for its owner's end.
            command = [program("unshare"), "--net", "sh", "-c", "ip link set lo up; echo; exec cat"]
            self._holder = subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, start_new_session=True)
        finally:
            os.close(reading)
        try:
            assert self._holder.stdout is not None
            self._holder.stdout.readline()
            self._inside(self._holder.pid, "ip link add bridge type bridge", "ip link set bridge up")
            self._to_the_host()
        except BaseException:
            self.close()
            raise

    def connect(self, node: Node) -> None:
        """Put a wire between the bridge and a node, and give the node's end its address."""
        pid = node.engine.init_pid
        _run(f"ip link add {node.name} netns {self._holder.pid} type veth peer name eth0 netns {pid}")
        self._inside(self._holder.pid, f"ip link set {node.name} master bridge up")
        self._inside(pid, f"ip addr add {node.address}/24 dev eth0", "ip link set eth0 up")

    def close(self) -> None:
        """Let go of the namespace, and with it of all wires; of the host's at once, for the kernel takes its time."""
        os.close(self._lifeline)
        if self._link:
            with contextlib.suppress(HarnessError):
                _run(f"ip link delete {self._link}")
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()

    def _to_the_host(self) -> None:
        """Put a wire between the bridge and the host; the subnet is the first that no other cluster has."""
        for number in range(256):
            link = f"swk-{number}"
            try:
                _run(f"ip link add {link} type veth peer name host netns {self._holder.pid}")
            except HarnessError as error:
                if "exists" in str(error):
                    continue
                raise
            self._link, self.subnet = link, f"10.77.{number}"
            self._inside(self._holder.pid, "ip link set host master bridge up")
            _run(f"ip addr add {self.subnet}.254/24 dev {link}")
            _run(f"ip link set {link} up")
            return
        raise HarnessError("no subnet is left for a cluster")

    @staticmethod
    def _inside(pid: int, *commands: str) -> None:
        for command in commands:
            _run(f"nsenter --target {pid} --net -- {command}")


def _run(command: str) -> None:
    name, *arguments = command.split()
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"`{command}`: {done.stderr.strip()}")
