"""Changes that meet other changes: one at a time inside a client, read again and applied again across clients.

Owns: the locks, the backoff, what counts as a fresh read, and the settling of writes whose answer was lost.
Must not know: what a change is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from ._clock import Clock, Pauses
from .errors import EngineTimeout, EngineUnreachable, NoQuorum, OutcomeUnknown, OutOfSequence, SwarmkitError
from .models.common import ObjectVersion

_BACKOFF: Final = 0.01
_TRIES: Final = 2


class Versioned(Protocol):
    """An object with a version index."""

    id: str
    version: ObjectVersion


V = TypeVar("V", bound=Versioned)
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Write(Generic[V, R]):
    """A change that is ready to be sent, based on one version of the object."""

    send: Callable[[], Awaitable[R]]
    """Sends it. Being based on a version it takes effect once at most, however often it is sent."""
    landed: Callable[[V], R | None]
    """What sending it would have given, if the object as it is now shows that it took effect."""

    @classmethod
    def of_nothing(cls, result: R) -> Write[V, R]:
        """No change at all, with this as what it gives."""

        async def send() -> R:
            return result

        return cls(send, lambda _: result)

    def giving(self, make: Callable[[R], S]) -> Write[V, S]:
        """The same change, which gives something made of what it gives."""

        async def send() -> S:
            return make(await self.send())

        def landed(now: V) -> S | None:
            result = self.landed(now)
            return None if result is None else make(result)

        return Write(send, landed)


class Conflicts:
    """Applies changes to versioned objects until they land."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By event loop and id; a lock goes when nobody holds or awaits it.
        self._locks: WeakValueDictionary[tuple[object, str], anyio.Lock] = WeakValueDictionary()

    async def settle(
        self,
        read: Callable[[], Awaitable[V]],
        prepare: Callable[[V], Awaitable[Write[V, R]]],
        *,
        timeout: float | None,
    ) -> R:
        """What the write gives that `prepare` makes of the object as `read` found it, with no change in between.

        A conflict is read and prepared anew, after a jittered pause. The engine itself changes objects, so one can come
        without any other client.

        Raises:
            OutOfSequence: others were faster for `timeout` seconds.
            OutcomeUnknown: an answer was lost, and what is there now does not tell whether the write took effect.
        """
        began = self._clock.now()
        found = await read()
        lock = self.lock(found.id)
        was_busy = lock.locked()
        async with _held(lock, None if timeout is None else timeout - (self._clock.now() - began)):
            if was_busy:
                found = await read()
            pauses = Pauses(self._clock, _BACKOFF)
            conflict: OutOfSequence | None = None
            try:
                while True:
                    base = found.version.index
                    try:
                        return await write_once(read, await prepare(found), base=base)
                    except OutOfSequence as error:
                        conflict = error
                    while found.version.index <= base:  # a manager that lags behind shows the old one once more
                        if timeout is not None and self._clock.now() - began > timeout:
                            raise conflict
                        await pauses.next()
                        found = await read()
                        conflict.current = found.version.index
            except EngineTimeout:
                # The time is over in the middle of a new try, of which nothing was sent.
                if conflict is None:
                    raise
                raise conflict from None

    def lock(self, object_id: str) -> anyio.Lock:
        """What is held while an object is changed, one for each id and event loop."""
        key = anyio.lowlevel.current_token(), object_id
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = anyio.Lock()
        return lock


def index_of(version: int | ObjectVersion) -> int:
    """The version index, however it is given."""
    return version.index if isinstance(version, ObjectVersion) else version


async def strictly(
    read: Callable[[], Awaitable[V]],
    prepare: Callable[[V], Awaitable[Write[V, R]]],
    *,
    version: int | ObjectVersion,
    path: str,
) -> R:
    """What the write gives that `prepare` makes of the object, which is at this version or has changed since.

    Raises:
        OutOfSequence: it has; `path` is where the write would go.
        OutcomeUnknown: an answer was lost, and what is there now does not tell whether the write took effect.
    """
    base = index_of(version)
    live = await read()
    if live.version.index == base:
        return await write_strictly(read, await prepare(live), base=base)
    message = f"it is at version index {live.version.index}, the change is based on {base}"
    stale = OutOfSequence(409, None, message, "POST", path)
    stale.sent, stale.current = base, live.version.index
    raise stale


async def write_strictly(read: Callable[[], Awaitable[V]], write: Write[V, R], *, base: int) -> R:
    """What the write gives, as `write_once` does; an OutOfSequence says where the object is now, if that can be had."""
    try:
        return await write_once(read, write, base=base)
    except OutOfSequence as error:
        with suppress(SwarmkitError):  # that it has changed is known, to what is a courtesy
            error.current = (await read()).version.index
        raise


@asynccontextmanager
async def _held(lock: anyio.Lock, timeout: float | None) -> AsyncGenerator[None]:
    with anyio.move_on_after(timeout) as waiting:
        await lock.acquire()
    if waiting.cancelled_caught:
        raise EngineTimeout("other changes of the same object took all the time; nothing was sent")
    try:
        yield
    finally:
        lock.release()


async def write_once(read: Callable[[], Awaitable[V]], write: Write[V, R], *, base: int) -> R:
    """What the write gives, which is based on the version index `base`; also where its answer is lost on the way.

    Raises:
        OutOfSequence: the object has changed since.
        OutcomeUnknown: an answer was lost, and what is there now does not tell whether the write took effect.
        NoQuorum: the same, where the answer was that there is no leader.
    """
    lost: OutcomeUnknown | NoQuorum | None = None
    for _ in range(_TRIES):
        try:
            return await write.send()
        except (OutcomeUnknown, NoQuorum) as error:
            lost = error
        except OutOfSequence as error:
            error.sent = base
            if lost is None:
                raise
        except (EngineUnreachable, EngineTimeout):
            if lost is None:
                raise
            raise lost from None  # of this try nothing was taken, but the one before may still take effect
        try:
            now = await read()
        except SwarmkitError:
            raise lost from None
        if now.version.index > base:
            if (result := write.landed(now)) is None:
                raise lost
            return result
    assert lost is not None  # every other way leads out of the loop
    raise lost
