"""Changes that meet other changes: one at a time inside a client, read again and applied again across clients.

Owns: the locks, the backoff, and what counts as a fresh read. Must not know: what a change is.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from ._engine import Clock
from .errors import OutOfSequence
from .models.task import ObjectVersion

_BACKOFF: Final = 0.01
_BACKOFF_LIMIT: Final = 1.0


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
        self, read: Callable[[], Awaitable[V]], write: Callable[[V], Awaitable[R]], *, timeout: float | None
    ) -> R:
        """What `write` gives for the object as `read` found it, with no change by others in between.

        A conflict is read and written anew, after a jittered pause. The engine itself changes objects, so one can come
        without any other client.

        Raises:
            OutOfSequence: others were faster for `timeout` seconds.
        """
        clock = self._clock
        began = clock.now()
        found = await read()
        lock = self._lock(found.id)
        was_busy = lock.locked()
        async with lock:
            if was_busy:
                found = await read()
            pause = _BACKOFF
            while True:
                try:
                    return await write(found)
                except OutOfSequence as error:
                    error.sent = refused = found.version.index
                    while found.version.index <= refused:  # a manager that lags behind shows the old one once more
                        if timeout is not None and clock.now() - began > timeout:
                            raise
                        pause = min(2 * pause, _BACKOFF_LIMIT)
                        await clock.sleep(random.uniform(0, pause))
                        found = await read()
                        error.current = found.version.index

    def _lock(self, object_id: str) -> anyio.Lock:
        key = anyio.lowlevel.current_token(), object_id
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = anyio.Lock()
        return lock
