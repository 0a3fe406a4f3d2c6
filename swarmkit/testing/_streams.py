"""Answers that go on: the logs of tasks and the events of the swarm, in the forms in which engines send them.

Owns: frames, details, tails, and which event passes which filter. Must not know: who reads, or how they wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from ._store import Json, LogEntry, Store, Task


class Stream(Protocol):
    """An answer whose body comes piece by piece."""

    def read(self) -> bytes | None:
        """What there is now: None for nothing yet, empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is to be shown of logs."""

    follow: bool
    streams: frozenset[int]
    since: int
    tail: int | None
    timestamps: bool
    details: bool


class LogStream:
    """The log entries of tasks, in the order of time."""

    def __init__(self, tasks: Callable[[], Iterable[Task]], options: LogOptions, *, terminal: bool) -> None:
        self._tasks = tasks
        self._options = options
        self._terminal = terminal
        self._read: dict[str, int] = {}
        self._tail = options.tail
        self._over = False

    def read(self) -> bytes | None:
        """What has been written since the last time."""
        if self._over:
            return b""
        found = list[LogEntry]()
        for task in self._tasks():
            new = task.logs[self._read.get(task.id, 0) :]
            self._read[task.id] = len(task.logs)
            new = [entry for entry in new if entry.when >= self._options.since]
            # The last ones of each task, before anyone looks at the stream they are from.
            found += new if self._tail is None else new[len(new) - min(self._tail, len(new)) :]
        self._tail = None
        found.sort(key=lambda entry: entry.when)
        data = b"".join(self._frame(entry) for entry in found if entry.stream in self._options.streams)
        self._over = not self._options.follow
        return data or (b"" if self._over else None)

    def _frame(self, entry: LogEntry) -> bytes:
        line = entry.data
        if self._options.details:
            line = f"{entry.details} ".encode() + line
        if self._options.timestamps:
            seconds, rest = divmod(entry.when, 1_000_000_000)
            line = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z ".encode() + line
        if self._terminal:
            return line
        return bytes([entry.stream, 0, 0, 0]) + len(line).to_bytes(4, "big") + line


class EventStream:
    """The events that pass a filter: from a moment on, up to one, or for ever."""

    def __init__(self, store: Store, filters: Mapping[str, list[str]], since: int | None, until: int | None) -> None:
        self._store = store
        self._filters = filters
        self._until = until
        first = store.event_count - len(store.events)
        past = [event["timeNano"] < (since or 0) for event in store.events]
        self._next = store.event_count if since is None else first + sum(past)

    def read(self) -> bytes | None:
        """The events since the last time."""
        store = self._store
        first = store.event_count - len(store.events)
        new = store.events[max(self._next - first, 0) :]
        self._next = store.event_count
        until = self._until
        shown = [event for event in new if self._passes(event) and (until is None or event["timeNano"] <= until)]
        if shown:
            return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in shown)
        return b"" if until is not None and store.clock_ns() >= until else None

    def _passes(self, event: Json) -> bool:
        attributes: dict[str, str] = event["Actor"]["Attributes"]
        for key, wanted in self._filters.items():
            match key:
                case "type":
                    has = event["Type"] in wanted
                case "event":
                    has = event["Action"] in wanted
                case "scope":
                    has = event["scope"] in wanted
                case "label":
                    pairs = [text.partition("=") for text in wanted]
                    has = all(attributes.get(name) == value if eq else name in attributes for name, eq, value in pairs)
                case "service" | "node" | "secret" | "config" | "network" | "container" | "image" | "volume":
                    names = (event["Actor"]["ID"], attributes.get("name"))
                    has = event["Type"] == key and any(name in wanted for name in names)
                case _:
                    has = True  # engines ignore what they do not know
            if not has:
                return False
        return True
