"""What nodes do with the tasks they are given: pull the image, start it, write its logs, stop it.

Owns: the states of a task from `accepted` on, what its program does, and templates in a container spec.
Must not know: why a task is there, or who replaces it.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from ._clock import Steps, Until
from ._mounts import unprepared, unresolved
from ._registry import Registries
from ._shell import STDERR, STDOUT, Container, Out, Program, program_of
from ._store import Entity, LogEntry, Node, State, Store, Task, items, part

# Seconds, about as they are on real engines.
_STEP: Final = 0.05
_START: Final = 0.2
_STOP: Final = 0.1
_HEARTBEATS: Final = 15.0
_ORPHANED: Final = 24 * 3600.0
_JOB: Final = 1.0
_FRAGMENT: Final = 16 * 1024
_KILLED: Final = 137
_UNHEALTHY: Final = "task: non-zero exit (137): dockerexec: unhealthy container"
_PROBE_EVERY: Final = 30 * 10**9
_PROBES: Final = 3
_SHORT: Final = 1000
"""Steps that the program of a healthcheck may take."""


@dataclass(slots=True)
class Rule:
    """What the containers of certain tasks do in place of their command."""

    image: str | None
    service: str | None
    output: str
    after: float
    exit_code: int | None
    """With which they end; None for never."""
    times: float
    """How many containers it is still for."""

    def fits(self, task: Task) -> bool:
        """Whether it is for this task."""
        image = str(task.container.get("Image", "")).partition("@")[0]
        name = task.service.name if task.service is not None else ""
        return self.times > 0 and self.image in (None, image) and self.service in (None, name, task.service_id)

    def program(self) -> Program:
        """What the container does."""
        self.times -= 1
        if self.output:
            yield Out(STDOUT, self.output.encode())
        yield self.after if self.exit_code is not None else math.inf
        return self.exit_code or 0


class Agents:
    """All nodes, as far as they run tasks."""

    def __init__(self, store: Store, registries: Registries) -> None:
        self._store = store
        self._registries = registries
        self.rules: list[Rule] = []
        self.pull_seconds = 1.0
        self._at_work: set[str] = set()
        self._pids = 1000
        store.observers.append(self._notice)

    def _notice(self, entity: Entity) -> None:
        if isinstance(entity, Task) and entity.state is State.ASSIGNED and entity.id not in self._at_work:
            node = self._store.nodes.get(entity.node_id)
            if node is not None:
                self._at_work.add(entity.id)
                self._store.timeline.start(self._run(entity, node))
                self._store.timeline.start(self._outlive(entity, node))

    # --- nodes -------------------------------------------------------------------------------------------------------

    def lose(self, node: Node) -> None:
        """The node is not heard of any more."""
        node.reachable = False
        node.changed()
        self._store.timeline.start(self._miss(node))

    def find(self, node: Node) -> None:
        """The node is back."""
        node.reachable = True
        node.changed()
        self._mark(node, "ready", "")

    def _miss(self, node: Node) -> Steps:
        if not (yield Until(lambda: node.reachable, (node,), _HEARTBEATS)):
            self._mark(node, "down", "heartbeat failure")

    def _mark(self, node: Node, state: str, message: str) -> None:
        if node.state != state:
            attributes = {"name": node.hostname, "state.new": state, "state.old": node.state}
            node.state, node.message = state, message
            self._store.touch(node)
            self._store.emit("node", "update", node.id, attributes)

    def _outlive(self, task: Task, node: Node) -> Steps:
        """A task on a node that stays away for a day is given up."""

        def is_gone() -> bool:
            return node.state == "down" or task.has_ended or task.id not in self._store.tasks

        yield Until(is_gone, (task, node))
        if not task.has_ended and not (yield Until(lambda: node.state != "down", (node,), _ORPHANED)):
            self._store.move(task, State.ORPHANED, "Task belonged to a node that has been deleted")

    # --- tasks -------------------------------------------------------------------------------------------------------

    def _run(self, task: Task, node: Node) -> Steps:
        move = self._store.move

        def is_over() -> bool:
            return task.desired > task.goal

        def look(condition: Callable[[], bool], timeout: float = math.inf) -> Until:
            # What a node does is seen, and what is wanted of it heard, only while it can be reached.
            return Until(lambda: node.reachable and (condition() or is_over()), (task, node), timeout)

        yield look(lambda: True)
        mounts = task.container.get("Mounts") or ()
        if (rejection := unresolved(mounts)) is not None:
            move(task, State.REJECTED, *rejection)
            return
        for state, message in ((State.ACCEPTED, "accepted"), (State.PREPARING, "preparing")):
            yield look(is_over, _STEP)
            if is_over():
                yield from self._shut_down(task, node)
                return
            move(task, state, message)
        image = str(task.container.get("Image", ""))
        yield look(is_over, _STEP if image in node.images else self.pull_seconds)
        if not self._has(node, image, task):
            yield Until(lambda: node.reachable, (node,))
            move(task, State.REJECTED, "preparing", f"No such image: {image}")
            return
        if (rejection := unprepared(mounts, self._store.version)) is not None:
            move(task, State.REJECTED, *rejection)
            return
        node.images.add(image)
        if not is_over():
            move(task, State.READY, "prepared")
            yield look(lambda: task.desired >= task.goal)
        if not is_over():
            move(task, State.STARTING, "starting")
            task.container_id = self._store.container_id()
            yield look(is_over, _START)
            seconds, healthy = self._health(task, node)
            yield look(is_over, seconds)
            if not healthy and not is_over():
                task.exit_code = _KILLED
                move(task, State.FAILED, "starting", _UNHEALTHY)
                return
        if is_over():
            yield from self._shut_down(task, node)
            return
        self._pids += 1
        task.pid = self._pids
        move(task, State.RUNNING, "started")
        yield from self._live(task, node)

    def _live(self, task: Task, node: Node) -> Steps:
        writer = _Writer(self._store, task, node)
        program = self._program(task, node)
        code: int | None = None
        ends = self._store.timeline.now

        def stops() -> bool:
            return task.killed is not None or (node.reachable and task.desired > task.goal)

        while code is None and not stops():
            try:
                step = next(program)
            except StopIteration as end:
                code = int(end.value)
                break
            if isinstance(step, Out):
                writer.write(step)
            elif step:
                ends += step
                yield Until(stops, (task, node), ends - self._store.timeline.now)
        if code is None and task.killed is not None:
            code = task.killed
        program.close()
        writer.close()
        if code is None:
            yield from self._shut_down(task, node)
            return
        yield Until(lambda: node.reachable, (node,))
        task.exit_code = code
        if code == 0:
            self._store.move(task, State.COMPLETE, "finished")
        else:
            self._store.move(task, State.FAILED, "started", f"task: non-zero exit ({code})")

    def _shut_down(self, task: Task, node: Node) -> Steps:
        yield _STOP
        yield Until(lambda: node.reachable, (node,))
        if task.container_id:
            task.exit_code = _KILLED
        self._store.move(task, State.SHUTDOWN, "shutdown")

    def _has(self, node: Node, image: str, task: Task) -> bool:
        if image in node.images:
            return self._registries.has(image)
        return self._registries.gives(image, None if task.service is None else task.service.auth)

    def _health(self, task: Task, node: Node) -> tuple[float, bool]:
        """How long it takes to find out that a container is healthy, or that it is not. It stays so."""
        check = part(task.container, "Healthcheck")
        kind, *argv = items(check, "Test") or ["NONE"]
        if kind == "NONE":
            return 0, True
        container = self._container(task, node)
        container.argv = ["sh", "-c", *argv] if kind == "CMD-SHELL" else argv
        healthy = _exit_code(program_of(container) or _idle(0)) == 0
        probes = 1 if healthy else check.get("Retries") or _PROBES
        seconds = probes * (check.get("Interval") or _PROBE_EVERY) + (0 if healthy else check.get("StartPeriod") or 0)
        return seconds / 1e9, healthy

    def _program(self, task: Task, node: Node) -> Program:
        rule = next((rule for rule in self.rules if rule.fits(task)), None)
        if rule is not None:
            return rule.program()
        return program_of(self._container(task, node)) or _idle(math.inf if task.iteration is None else _JOB)

    def _container(self, task: Task, node: Node) -> Container:
        expand = _expander(task, node)
        spec = task.container
        env = {name: value for name, _, value in (expand(text).partition("=") for text in items(spec, "Env"))}
        argv = [expand(word) for word in [*items(spec, "Command"), *items(spec, "Args")]]
        hostname = expand(spec.get("Hostname", "")) or task.container_id[:12]
        container = Container(str(spec.get("Image", "")), argv, {"PATH": "/bin", **env}, hostname)
        for kind, known, folder in (
            ("Secrets", self._store.secrets, "/run/secrets/"),
            ("Configs", self._store.configs, "/"),
        ):
            for reference in items(spec, kind):
                file, held = reference.get("File"), known.get(reference[f"{kind[:-1]}ID"])
                if file is not None and held is not None:
                    path = file["Name"] if file["Name"].startswith("/") else folder + file["Name"]
                    container.files[path] = b64decode(held.spec.get("Data", "")), file["Mode"]
        return container


def _exit_code(program: Program) -> int:
    """With which a short program ends; 1 where it is none."""
    for _ in range(_SHORT):
        try:
            next(program)
        except StopIteration as end:
            return int(end.value)
    return 1


def _idle(seconds: float) -> Program:
    yield seconds
    return 0


_TEMPLATE: Final = re.compile(r"\{\{\s*\.([A-Za-z.]+)\s*\}\}|\{\{\s*index\s+\.(\w+)\.Labels\s+\"([^\"]*)\"\s*\}\}")


def task_name(task: Task) -> str:
    """The name that engines make up for a task's container."""
    service = task.service.name if task.service is not None else ""
    return f"{service}.{task.slot or task.node_id}.{task.id}"


def _expander(task: Task, node: Node) -> Callable[[str], str]:
    """Fills in the templates of a container spec for one task."""
    service = task.service
    values = {
        "Service.ID": task.service_id,
        "Service.Name": service.name if service is not None else "",
        "Node.ID": node.id,
        "Node.Hostname": node.hostname,
        "Node.Platform.Architecture": str(node.description["Platform"]["Architecture"]),
        "Node.Platform.OS": str(node.description["Platform"]["OS"]),
        "Task.ID": task.id,
        "Task.Name": task_name(task),
        "Task.Slot": str(task.slot or task.node_id),
    }
    labels = {"Service": service.labels if service is not None else {}, "Node": node.labels}

    def one(match: re.Match[str]) -> str:
        if match[2]:
            return labels.get(match[2], {}).get(match[3], "")
        return values.get(match[1], match[0])

    return lambda text: _TEMPLATE.sub(one, text)


class _Writer:
    """Turns what a program writes into log entries: lines, or fragments of long ones."""

    def __init__(self, store: Store, task: Task, node: Node) -> None:
        self._store = store
        self._task = task
        self._terminal = bool(task.container.get("TTY"))
        self._details = _details(task, node)
        self._begun = {STDOUT: b"", STDERR: b""}

    def write(self, out: Out) -> None:
        stream, data = (STDOUT, out.data.replace(b"\n", b"\r\n")) if self._terminal else out
        *lines, rest = (self._begun[stream] + data).split(b"\n")
        entries = [line + b"\n" for line in lines]
        for entry in entries:
            for start in range(0, len(entry), _FRAGMENT):
                self._add(stream, entry[start : start + _FRAGMENT])
        while len(rest) >= _FRAGMENT:
            self._add(stream, rest[:_FRAGMENT])
            rest = rest[_FRAGMENT:]
        self._begun[stream] = rest

    def close(self) -> None:
        for stream, rest in self._begun.items():
            if rest:
                self._add(stream, rest)

    def _add(self, stream: int, data: bytes) -> None:
        self._task.logs.append(LogEntry(self._store.timeline.wall_ns(), stream, data, self._details))
        self._store.tell()


def write_logs(store: Store, task: Task, text: str, stream: int) -> None:
    """Add lines to what a task has written."""
    node = store.nodes[task.node_id]
    writer = _Writer(store, task, node)
    writer.write(Out(stream, text.encode()))
    writer.close()


def _details(task: Task, node: Node) -> str:
    """What stands before each log line where details are asked for."""
    options = part(task.spec, "LogDriver", "Options")
    expand = _expander(task, node)
    env = {name: value for name, _, value in (expand(text).partition("=") for text in items(task.container, "Env"))}
    labels: dict[str, str] = part(task.container, "Labels")
    pairs = {name: env[name] for name in filter(None, options.get("env", "").split(",")) if name in env}
    pairs |= {name: labels[name] for name in filter(None, options.get("labels", "").split(",")) if name in labels}
    pairs |= {
        "com.docker.swarm.node.id": node.id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.task.id": task.id,
    }
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(pairs.items()))
