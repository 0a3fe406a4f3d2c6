"""Who may talk when, and over which connection: a fair gate, and the connections that wait to be used again.

Every step here is synchronous but waiting for one's turn. Must not know: HTTP, or what a connection is made of.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

import anyio
import httpx

from .channel import left

if TYPE_CHECKING:
    from .connection import Connection

_IDLE_SECONDS: Final = 30.0


class Gate:
    """Lets a number of callers in, the others in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self.inside = 0
        self._limit = limit
        self._waiting: OrderedDict[anyio.Event, None] = OrderedDict()

    async def enter(self, deadline: float) -> None:
        """Return once there is room.

        Raises:
            httpx.PoolTimeout: there was none before the deadline.
        """
        if self.inside < self._limit:
            self.inside += 1
            return
        turn = anyio.Event()
        self._waiting[turn] = None
        try:
            with anyio.move_on_after(left(deadline)):
                await turn.wait()
        except BaseException:
            self._give_up(turn)
            raise
        if not turn.is_set():
            self._give_up(turn)
            raise httpx.PoolTimeout("no connection was free in time")

    def _give_up(self, turn: anyio.Event) -> None:
        if turn.is_set():
            self.leave()  # the place was handed over in the same moment
        else:
            del self._waiting[turn]

    def leave(self) -> None:
        """Make room: the one who waits longest is in now."""
        if self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            turn.set()
        else:
            self.inside -= 1


class Idle:
    """Connections that wait to be used again. The one that came last goes first, so that the others grow old."""

    def __init__(self) -> None:
        self._connections: deque[Connection] = deque()

    def __len__(self) -> int:
        return len(self._connections)

    def put(self, connection: Connection) -> None:
        """Keep a connection; those that nobody wanted for half a minute go."""
        now = connection.idle_since = time.monotonic()
        while self._connections and now - self._connections[0].idle_since > _IDLE_SECONDS:
            self.drop_oldest()
        self._connections.append(connection)

    def take(self) -> Connection | None:
        """A connection on which the peer has kept quiet since; None if there is none."""
        while self._connections:
            connection = self._connections.pop()
            if time.monotonic() - connection.idle_since <= _IDLE_SECONDS and connection.is_quiet():
                return connection
            connection.close()
        return None

    def clear(self) -> None:
        """Close them all."""
        while self._connections:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Close the one that has waited longest."""
        self._connections.popleft().close()
