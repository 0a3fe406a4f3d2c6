"""Time above the transport: where it comes from, and the pauses between tries. Must not know: what is tried."""

from __future__ import annotations

import random
import time
from typing import Final, Protocol

import anyio

_BACKOFF_LIMIT: Final = 1.0


class Clock(Protocol):
    """Where time comes from above the transport."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""
        ...


class RealClock:
    """The time of the world."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""
        await anyio.sleep(seconds)


class Pauses:
    """Jittered pauses before further tries, each about twice as long as the one before."""

    def __init__(self, clock: Clock, shortest: float) -> None:
        self._clock = clock
        self._longest = shortest

    async def next(self) -> None:
        """Wait for the next of them."""
        self._longest = min(2 * self._longest, _BACKOFF_LIMIT)
        await self._clock.sleep(random.uniform(0, self._longest))
