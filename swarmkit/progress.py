"""Draws rollouts while they go on: on a terminal, line by line in a log, in one place of a notebook.

Owns: what a Progress looks like, and when it is drawn again. Must not know: when a rollout has arrived or failed.
It needs rich, which comes with the extra `progress` of this package.
"""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from textwrap import wrap
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TextIO
from weakref import WeakSet

import anyio

try:
    from rich import get_console
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.errors import LiveError
    from rich.live import Live
    from rich.terminal_theme import TerminalTheme
    from rich.text import Text
except ImportError as error:
    raise ImportError("swarmkit.progress draws with rich: pip install 'docker-swarmkit[progress]'") from error

from ._clock import Clock
from .convergence import FAILED, STATES
from .models.rollout import Phase, Progress, Rollout, SlotProgress
from .rollouts import Watch
from .services import Services

__all__ = ["view", "wait"]

_BARS: Final = 20
"""How many slots of a service have a bar each; more have one together."""
_TICK: Final = 1.0
"""Seconds after which the time is drawn anew where nothing else has changed."""
_NOTES: Final = 3
"""How many errors stand below the bars of a service."""
_STEPS: Final = {state: number for number, state in enumerate(STATES[: STATES.index("complete") + 1], start=1)}
_SIGNS: Final[Mapping[Phase, tuple[str, str]]] = {
    "updating": ("●", "cyan"),
    "verifying": ("●", "green"),
    "converged": ("✓", "green"),
    "rolling back": ("●", "yellow"),
    "rolled back": ("✗", "red"),
    "paused": ("✗", "red"),
    "failing": ("✗", "red"),
}
_QUIET: Final = "bright_black"
"""What is there for those who look for it. Not `dim`, which is mixed with a background that nobody knows."""
_PHASE_WIDTH: Final = max(map(len, _SIGNS))
_STATE_WIDTH: Final = max(map(len, _STEPS))
_NODE_WIDTH: Final = 12
_WIDE: Final = 72
"""Columns from which there is room for more."""
_PAGE: Final = TerminalTheme(
    (255, 255, 255),
    (0, 0, 0),
    [(0, 0, 0), (215, 58, 73), (34, 139, 58), (176, 121, 0), (9, 105, 218), (130, 80, 223), (12, 134, 158),
     (140, 140, 140)],
    [(134, 134, 134)] * 8,
)  # fmt: skip
"""Colours of a page, to be read on white as well as on black."""
_HTML: Final = '<pre style="white-space:pre;overflow-x:auto;line-height:1.35;font-family:monospace">{code}</pre>'


# --- what users call -------------------------------------------------------------------------------------------------


async def wait(
    services: Services,
    *names: str,
    timeout: float | None = None,
    failures: int = 5,
    pending: float | None = 60.0,
    console: Console | None = None,
) -> Rollout:
    """Wait as `services.wait` does, and draw what goes on: `await progress.wait(client.services, "web")`.

    Returns and raises what `services.wait` does, for the same arguments. On a terminal each service has a headline and
    up to 20 bars, one for each slot, or node of a global service; with more slots it has one bar. Where the console is
    no terminal each change is one line of plain text. In a Jupyter notebook the output is one place that changes.
    Without a `console` it is rich's own, on standard output. Only one wait at a time moves on a console; others write
    lines above it.

    GET /services, /tasks and /nodes, API 1.30.

    Raises:
        RolloutFailed: a service did not arrive; which kind says why.
        NotFound: there is no such service.
        ValueError: no service is named.
    """
    watch = services.watch(*names, timeout=timeout, failures=failures, pending=pending)
    outcome: Rollout | BaseException | None = None
    with _Drawing(console or get_console(), watch.clock) as drawing:
        async with anyio.create_task_group() as beside:
            beside.start_soon(drawing.keep_time)
            outcome = await _watched(watch, drawing)
            beside.cancel_scope.cancel()
    if isinstance(outcome, BaseException):
        raise outcome
    assert outcome is not None  # nobody but the last line in it cancels the group
    return outcome


def view(*services: Progress, seconds: float | None = None) -> RenderableType:
    """Something that rich prints and notebooks show: where the rollouts of services are, as `wait` draws them.

    `seconds` is for how long they have gone on, to be shown with them.
    """
    return _View(tuple(_Standing(progress, seconds) for progress in services))


async def _watched(watch: Watch, drawing: _Drawing) -> Rollout | BaseException:
    """What came of a watch. Errors by value: a task group would wrap them up."""
    try:
        async for progress in watch:
            drawing.show(progress)
        return await watch.rollout()
    except (Exception, KeyboardInterrupt) as error:
        return error


# --- when and where it is drawn --------------------------------------------------------------------------------------


class _Standing(NamedTuple):
    """Where a service is, and for how many seconds it has been on its way."""

    progress: Progress
    seconds: float | None


_Draw = Callable[[Collection[_Standing]], None]


class _Drawing:
    """The services of one wait as they stand, on a console that is left as it was found."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._began = clock.now()
        self._standings: dict[str, _Standing] = {}
        self._draw: _Draw | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def show(self, progress: Progress) -> None:
        """Draw what is new. Before there is anything, nothing is begun."""
        self._standings[progress.service_id] = _Standing(progress, None)
        self._draw = self._draw or _way_to_draw(self._console, self._ends)
        self._redraw()

    async def keep_time(self) -> None:
        """Draw the time as it goes on."""
        while True:
            await self._clock.sleep(_TICK)
            self._redraw()

    def _redraw(self) -> None:
        seconds = self._clock.now() - self._began
        for key, standing in self._standings.items():
            if standing.seconds is None or _SIGNS[standing.progress.phase][0] == "●":
                self._standings[key] = standing._replace(seconds=seconds)
        if self._draw is not None:
            self._draw(self._standings.values())


_drawn_on: Final = WeakSet[Console]()
"""The consoles on which a display moves now."""


def _way_to_draw(console: Console, ends: ExitStack) -> _Draw:
    """How this console can be drawn on; what has to be undone then goes to `ends`."""
    if console.is_jupyter:
        return _in_notebook()
    if _is_movable(console) and console not in _drawn_on:
        try:
            live = ends.enter_context(
                Live(
                    console=console,
                    auto_refresh=False,
                    redirect_stdout=_is_terminal(sys.stdout),
                    redirect_stderr=_is_terminal(sys.stderr),
                )
            )
        except LiveError:
            pass  # a display of the program's own, in a rich that takes one alone
        else:
            _drawn_on.add(console)
            ends.callback(_drawn_on.discard, console)
            return lambda standings: live.update(_View(tuple(standings), console.height), refresh=True)
    return _Lines(console)


def _is_movable(console: Console) -> bool:
    """Whether what is written can be written over."""
    if "FORCE_COLOR" in os.environ and not console.file.isatty():
        return False  # it makes rich see a terminal in a log, where colours are wanted and no moves
    return console.is_terminal and console.is_interactive and _encoding(console).lower().startswith("utf")


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether what the program prints has to make room; into a pipe it goes as ever."""
    return stream is not None and stream.isatty()


def _encoding(console: Console) -> str:
    return getattr(console.file, "encoding", None) or "utf-8"  # rich does not look at standard output's own


def _in_notebook() -> _Draw:
    ipython: Any = import_module("IPython.display")  # who is in a notebook has it
    place: Any = None

    def draw(standings: Collection[_Standing]) -> None:
        nonlocal place
        if place is None:
            place = ipython.display(_View(tuple(standings)), display_id=True)
        else:
            place.update(_View(tuple(standings)))

    return draw


class _Lines:
    """One line of plain text for each change that matters, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, set[str]] = {}
        self._at: dict[str, tuple[object, ...]] = {}
        self._said: set[str] = set()

    def __call__(self, standings: Collection[_Standing]) -> None:
        for progress, seconds in standings:
            told = self._told.setdefault(progress.service_id, set())
            for error in progress.errors:
                if error not in told:
                    told.add(error)
                    self._say(progress, seconds, f"error: {error}")
            at = (progress.phase, progress.arrived, progress.wanted)
            if self._at.get(progress.service_id) != at:
                self._at[progress.service_id] = at
                line = f"{progress.phase}, {progress.arrived} of {progress.wanted} tasks"
                more = progress.message if progress.message not in told else ""
                self._say(progress, seconds, f"{line}: {more}" if more else line)

    def _say(self, progress: Progress, seconds: float | None, what: str) -> None:
        line = f"{_clock(seconds)} {_clean(progress.service_name or progress.service_id)}: {_clean(what)}"
        if line in self._said:
            return  # to and fro within a second
        self._said.add(line)
        encoding = _encoding(self._console)
        self._console.out(line.encode(encoding, "backslashreplace").decode(encoding), highlight=False)


# --- what it looks like ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """Services one below the other, drawn as wide as there is room."""

    standings: tuple[_Standing, ...]
    height: int | None = None
    """Lines there are. Where that is too few for all bars, those of services that have arrived go first."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for most_bars in ((_BARS, _BARS), (_BARS, 0), (1, 0), (0, 0)):
            lines = list(self._lines(options.max_width, *most_bars))
            if self.height is None or len(lines) < self.height:
                break
        for line in lines:
            line.truncate(options.max_width, overflow="ellipsis")
            yield line

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows."""
        page = Console(
            file=io.StringIO(),
            record=True,
            force_terminal=True,
            force_jupyter=False,
            color_system="standard",
            width=115,
        )
        page.print(self, end="")
        html = page.export_html(theme=_PAGE, code_format=_HTML, inline_styles=True, clear=False)
        return {"text/plain": page.export_text(), "text/html": html}

    def _lines(self, width: int, bars_under_way: int, bars_arrived: int) -> Iterator[Text]:
        """The lines of all services, where one has at most so many bars."""
        names = [_clean(progress.service_name or progress.service_id) for progress, _ in self.standings]
        most = [bars_arrived if one.phase == "converged" else bars_under_way for one, _ in self.standings]
        places = [max(one.wanted, len(one.slots)) for one, _ in self.standings]
        barred = [one for (one, _), few, many in zip(self.standings, places, most, strict=True) if few <= many]
        columns = _Columns(
            name=max(map(cell_len, names), default=0),
            counts=max((len(str(one.wanted)) for one, _ in self.standings), default=0),
            slot=max((len(_label(slot)) for one in barred for slot in one.slots), default=0),
            bar=18 if width >= _WIDE else 9,
            node=_NODE_WIDTH if width >= _WIDE else 0,
        )
        for number, (progress, seconds) in enumerate(self.standings):
            if number and bars_arrived:
                yield Text()
            yield _headline(names[number], progress, seconds, columns)
            seen: set[str] = set()
            if progress in barred:
                for slot in _in_places(progress.slots, places[number]):
                    row = _row(slot, columns)
                    yield row
                    if slot is not None and row.cell_len <= width:
                        seen.add(slot.error)
            elif most[number]:
                yield _sum_of_rows(progress, places[number], columns)
            yield from _notes(progress, seen, width)


class _Columns(NamedTuple):
    """Widths that all lines of a view share."""

    name: int
    counts: int
    slot: int
    bar: int
    node: int


def _headline(name: str, progress: Progress, seconds: float | None, columns: _Columns) -> Text:
    sign, colour = _SIGNS[progress.phase]
    count = f"{progress.arrived:>{columns.counts}} of {progress.wanted:<{columns.counts}}"
    return Text.assemble(
        (f"{sign} ", colour),
        (set_cell_size(name, columns.name), "bold"),
        (f"  {progress.phase:<{_PHASE_WIDTH}}", colour),
        f"  {count}",
        ("" if seconds is None else f"  {_clock(seconds)}", _QUIET),
    )


def _row(slot: SlotProgress | None, columns: _Columns) -> Text:
    """One slot; None for one of which no task is known yet."""
    line = _margin(columns, "" if slot is None else _label(slot))
    if slot is None:
        return line.append_text(_bar(columns.bar))
    colour = _colour(slot)
    line.append_text(_bar(columns.bar, (_share(slot), colour)))
    line.append(f"  {_clean(slot.state):<{_STATE_WIDTH}}", colour)
    if slot.node_id and columns.node:
        line.append(f"  {_clean(slot.node_id)[: columns.node]:<{columns.node}}", _QUIET)
    if slot.failures > 1 or (slot.failures and not slot.error):
        line.append("  failed once" if slot.failures == 1 else f"  failed {slot.failures} times", "yellow")
    if slot.error:
        line.append(f"  {_clean(slot.error)}", colour)
    line.rstrip()
    return line


def _sum_of_rows(progress: Progress, places: int, columns: _Columns) -> Text:
    """Slots that are too many for a bar each."""
    line = _margin(columns)
    under_way = sum(map(_share, progress.slots)) - progress.arrived
    line.append_text(_bar(columns.bar, (progress.arrived / places, "green"), (under_way / places, "cyan")))
    states = Counter(_clean(slot.state) for slot in progress.slots)
    far_first = sorted(states.items(), key=lambda item: -_STEPS.get(item[0], 0))
    missing = places - len(progress.slots)
    counts = [f"{count} {state}" for state, count in far_first] + ([f"{missing} to come"] if missing else [])
    return line.append(f"  {', '.join(counts)}")


def _notes(progress: Progress, seen: Collection[str], width: int) -> Iterator[Text]:
    """What stands in the way and is not to be seen in whole in a slot."""
    if progress.phase in ("verifying", "converged"):
        return  # it is past
    colour = _SIGNS[progress.phase][1]
    notes = dict.fromkeys(note for note in (progress.message, *progress.errors) if note)
    left = [note for note in notes if note not in seen]
    for note in left[:_NOTES]:
        for line in wrap(_clean(note), max(width - 2, 10), max_lines=2, placeholder=" …"):
            yield Text(f"  {line}", style="yellow" if colour == "cyan" else colour)
    if len(left) > _NOTES:
        yield Text(f"  and {len(left) - _NOTES} more", style=_QUIET)


def _in_places(slots: Collection[SlotProgress], places: int) -> Iterator[SlotProgress | None]:
    """Slots in order, each where it will be once all are there, so that nothing moves when one comes."""
    by_number = {slot.slot: slot for slot in slots}
    first = 0 if 0 in by_number else 1  # the slots of jobs
    numbers = range(first, first + places)
    if all(number in numbers for number in by_number):
        return iter([by_number.get(number) for number in numbers])
    return chain(slots, [None] * (places - len(slots)))


def _label(slot: SlotProgress) -> str:
    return "" if slot.slot is None else str(slot.slot)


def _margin(columns: _Columns, label: str = "") -> Text:
    return Text.assemble((f"  {label:>{columns.slot}}" if columns.slot else "", _QUIET), "  ")


def _goal(slot: SlotProgress) -> str:
    return "complete" if slot.desired_state == "complete" else "running"  # tasks of jobs


def _share(slot: SlotProgress) -> float:
    """How much of its way a task has behind it."""
    return 1 if slot.state in FAILED else min(_STEPS.get(slot.state, 0) / _STEPS[_goal(slot)], 1)


def _colour(slot: SlotProgress) -> str:
    if slot.state in FAILED:
        return "red"
    if slot.error:
        return "yellow"
    return "green" if slot.state == _goal(slot) else "cyan"


def _bar(width: int, *parts: tuple[float, str]) -> Text:
    """A line of which parts are filled, each in its colour; all of it only when nothing is missing."""
    line, filled = Text(), 0.0
    for share, colour in parts:
        filled += share
        line.append("━" * (int(filled * width + 1e-6) - len(line)), colour)
    return line.append("─" * (width - len(line)), _QUIET)


def _clock(seconds: float | None) -> str:
    minutes, second = divmod(int(seconds or 0), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _clean(text: str) -> str:
    """Text of an engine in one line, without characters that would do something to a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
