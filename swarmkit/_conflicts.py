"""Changes that meet other changes: one at a time inside a client, read again and applied again across clients.

Owns: the locks, the backoff, what counts as a fresh read, and the settling of writes whose answer was lost.
Must not know: what a change is.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from ._engine import Clock
from .errors import OutcomeUnknown, OutOfSequence, SwarmkitError
from .models.task import ObjectVersion

_BACKOFF: Final = 0.01
_BACKOFF_LIMIT: Final = 1.0
_TRIES: Final = 2


class Versioned(Protocol):
    """An object with a version index."""

    id: str
    version: ObjectVersion


V = TypeVar("V", bound=Versioned)
R = TypeVar("R")


class Conflicts:
    """Applies changes to versioned objects until they land."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By event loop and id; a lock goes when nobody holds or awaits it.
        self._locks: WeakValueDictionary[tuple[object, str], anyio.Lock] = WeakValueDictionary()

    async def settle(
        self,
        read: Callable[[], Awaitable[V]],
        write: Callable[[V], Awaitable[R]],
        landed: Callable[[V], R | None],
        *,
        timeout: float | None,
    ) -> R:
        """What `write` gives for the object as `read` found it, with no change by others in between.

        A conflict is read and written anew, after a jittered pause. The engine itself changes objects, so one can come
        without any other client. A write whose answer is lost is settled by reading: `landed` gives what the last write
        would have given, if the object shows that it took effect.

        Raises:
            OutOfSequence: others were faster for `timeout` seconds.
            OutcomeUnknown: an answer was lost, and what is there now does not tell whether the write took effect.
        """
        began = self._clock.now()
        found = await read()
        lock = self._lock(found.id)
        was_busy = lock.locked()
        async with lock:
            if was_busy:
                found = await read()
            pauses = Pauses(self._clock)
            while True:
                base = found.version.index
                try:
                    return await write_once(read, partial(write, found), landed, base=base)
                except OutOfSequence as error:
                    while found.version.index <= base:  # a manager that lags behind shows the old one once more
                        if timeout is not None and self._clock.now() - began > timeout:
                            raise
                        await pauses.next()
                        found = await read()
                        error.current = found.version.index

    def _lock(self, object_id: str) -> anyio.Lock:
        key = anyio.lowlevel.current_token(), object_id
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = anyio.Lock()
        return lock


async def write_once(
    read: Callable[[], Awaitable[V]],
    write: Callable[[], Awaitable[R]],
    landed: Callable[[V], R | None],
    *,
    base: int,
) -> R:
    """What `write` gives, which is based on the version index `base`; also where its answer is lost on the way.

    Being based on a version it takes effect once at most, however often it is sent.

    Raises:
        OutOfSequence: the object has changed since.
        OutcomeUnknown: an answer was lost, and what is there now does not tell whether the write took effect.
    """
    lost: OutcomeUnknown | None = None
    for _ in range(_TRIES):
        try:
            return await write()
        except OutcomeUnknown as error:
            lost = error
        except OutOfSequence as error:
            error.sent = base
            if lost is None:
                raise
        try:
            now = await read()
        except SwarmkitError:
            raise lost from None
        if now.version.index > base:
            if (result := landed(now)) is None:
                raise lost
            return result
    assert lost is not None  # every other way leads out of the loop
    raise lost


class Pauses:
    """Jittered pauses, each about twice as long as the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._longest = _BACKOFF

    async def next(self) -> None:
        """Wait for the next of them."""
        self._longest = min(2 * self._longest, _BACKOFF_LIMIT)
        await self._clock.sleep(random.uniform(0, self._longest))
