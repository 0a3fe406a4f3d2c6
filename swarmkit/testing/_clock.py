"""The embedded engine's time: what happens when, and the clock on which a client sleeps.

Owns: the agenda of coming events, processes that wait for a moment or a change, and when virtual time goes on.
Must not know: what happens at those moments.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import anyio
import anyio.lowlevel

_QUIET: Final = 12
"""Turns of the event loop without a request after which all clients are taken to be asleep."""


class Watched:
    """Something that processes wait on until it changes."""

    waiting: list[Process] | None = None

    def changed(self) -> None:
        """Let those who wait on it look again."""
        waiting, self.waiting = self.waiting, None
        for process in waiting or ():
            process.look_soon()


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until the condition holds, which can come true only when one of `on` changes; gives whether it did."""

    condition: Callable[[], bool]
    on: tuple[Watched, ...]
    timeout: float = math.inf


Steps = Generator[float | Until, bool, None]
"""What a process does: it yields seconds to pass or something to wait for."""


@dataclass(order=True, slots=True)
class Timer:
    """An entry of the agenda."""

    when: float
    number: int
    action: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class Timeline:
    """A virtual time that goes on only by `run_until`, in order from event to event."""

    def __init__(self, start: datetime) -> None:
        self.now = 0.0
        self._start_ns = int(start.timestamp() * 1_000_000) * 1000
        self._agenda: list[Timer] = []
        self._numbers = itertools.count()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._start_ns + round(self.now * 1e9)

    def at(self, delay: float, action: Callable[[], None]) -> Timer:
        """Do something after a delay in seconds."""
        timer = Timer(self.now + delay, next(self._numbers), action)
        heapq.heappush(self._agenda, timer)
        return timer

    def start(self, steps: Steps) -> Process:
        """Run a process, at once up to the first thing it waits for."""
        process = Process(self, steps)
        process.go(value=True)
        return process

    def run_until(self, when: float, *, pause: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; whether that moment was reached, or an event asked for a pause."""
        agenda = self._agenda
        while agenda and agenda[0].when <= when:
            timer = heapq.heappop(agenda)
            if not timer.cancelled:
                self.now = max(self.now, timer.when)
                timer.action()
                if pause():
                    return False
        self.now = max(self.now, when)
        return True


class Process:
    """Steps under way. They are stopped, and never stop each other, between two steps."""

    def __init__(self, timeline: Timeline, steps: Steps) -> None:
        self._timeline = timeline
        self._steps = steps
        self._begun = False
        self._wait: Until | None = None
        self._timer: Timer | None = None
        self._look: Timer | None = None
        self.over = False

    def go(self, *, value: bool) -> None:
        """Take the next steps, until there is something to wait for."""
        self._rest()
        while not self.over:
            try:
                wait = self._steps.send(value) if self._begun else next(self._steps)
            except StopIteration:
                self.over = True
                return
            self._begun = True
            if not isinstance(wait, Until):
                self._timer = self._timeline.at(wait, lambda: self.go(value=True))
                return
            if not wait.condition():
                self._await(wait)
                return
            value = True

    def stop(self) -> None:
        """Take no further step."""
        self._rest()
        self.over = True
        self._steps.close()

    def look_soon(self) -> None:
        """Look at the condition once what changes now is done."""
        if self._look is None and self._wait is not None:
            self._look = self._timeline.at(0, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        wait = self._wait
        assert wait is not None  # who rests no more has cancelled the look
        if wait.condition():
            self.go(value=True)
        else:
            self._register(wait)

    def _await(self, wait: Until) -> None:
        self._wait = wait
        self._register(wait)
        if wait.timeout < math.inf:
            self._timer = self._timeline.at(wait.timeout, lambda: self.go(value=False))

    def _register(self, wait: Until) -> None:
        for watched in wait.on:
            if watched.waiting is None:
                watched.waiting = []
            if self not in watched.waiting:
                watched.waiting.append(self)

    def _rest(self) -> None:
        self._wait = None
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancelled = True
        self._timer = self._look = None


class VirtualClock:
    """The clock of the clients of one engine: when all of them sleep, time goes on to the first who wakes.

    Nobody sleeps in real time. A stream that waits for a line is no sleeper: it gets what the time of others brings.
    With `real` time also passes as in the world outside, for those who wait there.
    """

    def __init__(self, timeline: Timeline, *, real: bool) -> None:
        self._timeline = timeline
        self._real_offset: float | None = None
        self._real_for = 0
        if real:
            self.start()
        self._sleepers: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self.activity = 0
        """Rises with everything that clients do and that may make them do something."""

    @property
    def is_real(self) -> bool:
        """Time passes by itself."""
        return self._real_offset is not None

    def start(self) -> None:
        """Let time pass by itself from now on, until whoever asked for that has had enough: see `stop`."""
        self._real_for += 1
        if self._real_offset is None:
            self._real_offset = time.monotonic() - self._timeline.now

    def stop(self) -> None:
        """Need no longer that time passes by itself."""
        self.catch_up()
        self._real_for -= 1
        if not self._real_for:
            self._real_offset = None

    def now(self) -> float:
        """Seconds of virtual time since the engine began."""
        self.catch_up()
        return self._timeline.now

    def catch_up(self) -> None:
        """Do what is due now."""
        now = self._timeline.now
        if self._real_offset is not None:
            now = max(now, time.monotonic() - self._real_offset)
        self._timeline.run_until(now)

    def pass_to(self, when: float, *, stop: bool = True) -> None:
        """Let time go on to that moment, or to the first event that a client may want to react to."""
        before = self.activity
        self._timeline.run_until(when, pause=lambda: stop and self.activity != before)
        if self._real_offset is not None:
            self._real_offset = min(self._real_offset, time.monotonic() - self._timeline.now)

    async def sleep(self, seconds: float) -> None:
        """Return when that much virtual time has passed, which takes no real time."""
        me = (self.now() + seconds, next(self._numbers))
        heapq.heappush(self._sleepers, me)
        self.activity += 1
        seen, quiet = self.activity, 0
        try:
            while True:
                await anyio.lowlevel.checkpoint()
                if self._timeline.now >= me[0]:
                    return
                quiet = quiet + 1 if seen == self.activity else 0
                seen = self.activity
                if quiet > _QUIET and self._sleepers[0] == me:
                    self.pass_to(me[0])
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
            self.activity += 1


def real_now() -> datetime:
    """The time of the world, where virtual time begins unless said otherwise."""
    return datetime.now(UTC)
