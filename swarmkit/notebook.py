"""Tables of services, tasks and nodes: for notebooks, and in plain text where there is none.

Owns: what of a service, task or node is shown side by side. Must not know: how these are read, or how rollouts look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from html import escape
from typing import Final, Literal, NamedTuple

from .convergence import FAILED, OVER
from .models.endpoint import PortConfig
from .models.node import Node
from .models.service import Service, ServiceSpec
from .models.task import Task

__all__ = ["Cell", "Table", "table"]

Tone = Literal["plain", "good", "busy", "bad", "quiet"]

_TONES: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "color:#228b3a",
    "busy": "color:#b07900",
    "bad": "color:#d73a49;white-space:normal",  # errors are long
    "quiet": "color:#868686",
}
"""Colours to be read on white as well as on black."""
_CELL: Final = "text-align:left;vertical-align:top;padding:.25em .9em;white-space:nowrap;"
_FRAME: Final = (
    '<div class="tex2jax_ignore" style="overflow-x:auto"><table style="border-collapse:collapse">{}</table></div>'
)
"""Notebooks would take a text with two dollar signs for a formula."""


def table(objects: Iterable[Service] | Iterable[Task] | Iterable[Node]) -> Table:
    """A table of these services, tasks or nodes: `table(await client.services.list(status=True))`.

    Notebooks show it where it is the last line of a cell; printed it is plain text. Services are sorted by name, with
    the numbers of their tasks where those were asked for; tasks by slot, newest first; nodes by host name. A column in
    which nothing would stand is left out. Of a container nothing but its image is shown, and all text as it is.

    Raises:
        TypeError: there are other objects among them, or of several kinds.
    """
    found = [*objects]
    services = [one for one in found if isinstance(one, Service)]
    tasks = [one for one in found if isinstance(one, Task)]
    nodes = [one for one in found if isinstance(one, Node)]
    if len(found) not in (len(services), len(tasks), len(nodes)):
        raise TypeError("a table is of services, tasks or nodes, and of one kind of them")
    several = len({task.service_id for task in tasks}) > 1
    rows = (
        [_service(service) for service in sorted(services, key=lambda one: one.name)]
        + [_task(task, with_service=several) for task in sorted(tasks, key=_place)]
        + [_node(node) for node in sorted(nodes, key=lambda one: one.hostname)]
    )
    headings = [heading for heading in (rows[0] if rows else ()) if any(row[heading].text for row in rows)]
    return Table(tuple(headings), tuple(tuple(row[heading] for heading in headings) for row in rows))


class Cell(NamedTuple):
    """One place in a table."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below headings; a notebook shows them, `str` and `print` give plain text."""

    headings: tuple[str, ...]
    """What each column is."""
    rows: tuple[tuple[Cell, ...], ...]
    """The cells of each row."""

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<i>none</i>"
        head = "".join(f'<th style="{_CELL}">{escape(heading)}</th>' for heading in self.headings)
        rows = (
            "".join(f'<td style="{_CELL}{_TONES[tone]}">{escape(_clean(text))}</td>' for text, tone in row)
            for row in self.rows
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return _FRAME.format(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")

    def __repr__(self) -> str:
        if not self.rows:
            return "none"
        lines = [self.headings, *([_clean(cell.text) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


# --- what is shown ---------------------------------------------------------------------------------------------------


def _service(service: Service) -> dict[str, Cell]:
    ports = (service.endpoint and service.endpoint.ports) or ()
    update = (service.update_status and service.update_status.state) or ""
    failed = "paused" in update or "rollback" in update
    return {
        "Name": Cell(service.name),
        "Mode": Cell(_mode(service.spec)),
        "Tasks": _tasks(service),
        "Image": Cell(_image(service.spec.image)),
        "Ports": Cell(", ".join(map(_port, ports))),
        "Update": Cell(update.replace("_", " "), "bad" if failed else "quiet" if update == "completed" else "busy"),
        "ID": _id(service.id),
    }


def _port(port: PortConfig) -> str:
    return f"{port.published_port or ''}:{port.target_port or ''}/{port.protocol or 'tcp'}"


def _mode(spec: ServiceSpec) -> str:
    said = [name for name, part in (spec.mode or ()) if part is not None]
    return said[0].strip("_").replace("_", " ") if said else "replicated"


def _tasks(service: Service) -> Cell:
    """How many tasks there are of how many; without the numbers, how many there should be."""
    status, mode = service.service_status, _mode(service.spec)
    if status is None:
        return Cell(str(service.spec.replicas) if mode == "replicated" else "")
    running, desired, completed = (
        number or 0 for number in (status.running_tasks, status.desired_tasks, status.completed_tasks)
    )
    if mode.endswith("job"):
        return Cell(f"{running} running, {completed} completed", "busy" if running else "plain")
    return Cell(f"{running} of {desired}", "good" if running == desired else "busy")


def _task(task: Task, *, with_service: bool) -> dict[str, Cell]:
    container, since = task.spec.container_spec, task.status and task.status.timestamp
    return {
        "Service": _id(task.service_id if with_service else None),
        "Slot": Cell("" if task.slot is None else str(task.slot)),
        "State": Cell(task.state, _tone(task.state)),
        "Since (UTC)": Cell(f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if since else "", "quiet"),
        "Wanted": Cell(task.desired_state or "", "quiet"),
        "Image": Cell(_image((container and container.image) or "")),
        "Node": _id(task.node_id),
        "Error": Cell(task.error, "bad"),
        "ID": _id(task.id),
    }


def _tone(state: str) -> Tone:
    if state in ("running", "complete"):
        return "good"
    return "bad" if state in FAILED else "quiet" if state in OVER else "busy"


def _place(task: Task) -> tuple[str, int, str, float]:
    """Where a task stands among others: in its slot, or on the node of a global service, the newest first."""
    age = -task.created_at.timestamp() if task.created_at else 0.0
    return task.service_id or "", task.slot or 0, (task.node_id or "") if task.slot is None else "", age


def _node(node: Node) -> dict[str, Cell]:
    leads = node.manager_status is not None and node.manager_status.leader
    state = (node.status and node.status.state) or "unknown"
    availability = node.spec.availability or ""
    resources = node.description and node.description.resources
    engine = node.description and node.description.engine
    return {
        "Host name": Cell(node.hostname),
        "Role": Cell("leader" if leads else node.spec.role or ""),
        "State": Cell(state, "good" if state == "ready" else "bad"),
        "Availability": Cell(availability, "plain" if availability == "active" else "busy"),
        "CPUs": Cell(f"{resources.nano_cpus / 1e9:g}" if resources and resources.nano_cpus else ""),
        "Memory": Cell(f"{resources.memory_bytes / 2**30:.1f} GiB" if resources and resources.memory_bytes else ""),
        "Engine": Cell((engine and engine.engine_version) or ""),
        "ID": _id(node.id),
    }


def _image(image: str) -> str:
    return image.partition("@")[0]  # without the digest, as Docker's program shows it


def _id(identity: str | None) -> Cell:
    return Cell((identity or "")[:12], "quiet")


def _clean(text: str) -> str:
    """Text in one line, without characters that would do something to a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
