"""What users see of a rollout: on a terminal, in a log, in a notebook; and that a wait is otherwise what it was."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import types
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from html import unescape
from typing import Any, Final

import anyio
import httpx
import pytest
from rich.console import Console
from rich.live import Live

from swarmkit import (
    ContainerSpec,
    Global,
    NotFound,
    Placement,
    Progress,
    Replicated,
    ReplicatedJob,
    RestartPolicy,
    Rollout,
    RolloutTimeout,
    SlotProgress,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
    UpdatePaused,
    progress,
)
from swarmkit._clock import RealClock
from swarmkit.testing import FakeEngine

from .picture import PICTURE, WIDTH, moment

pytestmark = pytest.mark.anyio

_TOKENS: Final = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Terminal(io.StringIO):
    """A terminal that knows what a live display may do, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.row = self.column = 0
        self.cursor_is_hidden = False
        self.frames: list[list[str]] = []
        """What was to be seen after each write."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        position = 0
        while found := _TOKENS.match(text, position):
            position = found.end()
            self._do(*found.groups())
        assert position == len(text), text[position:]
        self.frames.append([line.rstrip() for line in self.lines])
        return len(text)

    def _do(self, argument: str | None, code: str | None, back: str | None, end: str | None, said: str | None) -> None:
        match (argument, code):
            case ("?25", "l" | "h"):
                self.cursor_is_hidden = code == "l"
            case ("2", "K"):
                self.lines[self.row] = ""
            case ("1", "A"):
                self.row -= 1
                assert self.row >= 0
            case (None, None):
                if back:
                    self.column = 0
                elif end:
                    self.row += 1
                    self.column = 0
                    self.lines += [""] * (self.row == len(self.lines))
                elif said:
                    line = self.lines[self.row].ljust(self.column)
                    self.lines[self.row] = line[: self.column] + said + line[self.column + len(said) :]
                    self.column += len(said)
            case _:
                pytest.fail(f"a terminal may not know ESC[{argument}{code}")

    @property
    def seen(self) -> list[str]:
        """What is to be seen, once it is left as it was found: the cursor visible, below all that was written."""
        assert not self.cursor_is_hidden
        assert not any(self.lines[self.row :])
        return self.frames[-1][: self.row]


@pytest.fixture(autouse=True)
def _an_ordinary_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] -- by pytest
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def client(engine: FakeEngine) -> SwarmClient:
    return engine.client()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def console(file: io.StringIO, *, width: int = 100, height: int = 60) -> Console:
    """A console without colours, on a terminal or into a log."""
    there = isinstance(file, Terminal)
    return Console(file=file, force_terminal=there or None, color_system=None, width=width, height=height)


def task(image: str, constraint: str | None = None) -> TaskTemplate:
    placement = None if constraint is None else Placement(constraints=[constraint])
    return TaskTemplate(container_spec=ContainerSpec(image), placement=placement)


def drawn(*services: Progress, width: int = 100, seconds: float | None = None) -> list[str]:
    page = io.StringIO()
    console(page, width=width).print(progress.view(*services, seconds=seconds))
    return [line.rstrip() for line in page.getvalue().splitlines()]


# --- on a terminal ---------------------------------------------------------------------------------------------------


async def test_a_rollout_has_a_bar_for_each_slot(client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("nginx:1.27"), name="web", mode=Replicated(replicas=2))
    rollout = await progress.wait(client.services, "web", timeout=60, console=console(terminal))
    assert isinstance(rollout, Rollout)
    assert rollout == await client.services.wait("web")
    node = (rollout.progress.slots[0].node_id or "")[:12]
    assert terminal.seen == [
        "✓ web  converged     2 of 2  0:06",
        f"  1  ━━━━━━━━━━━━━━━━━━  running    {node}",
        f"  2  ━━━━━━━━━━━━━━━━━━  running    {node}",
    ]
    first = next(frame for frame in terminal.frames if len(frame) > 1)
    assert first == [
        "● web  updating      0 of 2  0:00",
        "  1  ━━────────────────  new",
        "  2  ━━────────────────  new",
    ]


async def test_a_slot_that_the_update_has_not_reached_has_an_empty_bar(client: SwarmClient, terminal: Terminal) -> None:
    one_by_one = UpdateConfig(parallelism=1, monitor=timedelta(seconds=1))
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=3), update_config=one_by_one)
    await client.services.wait("web")
    await client.services.update("web", task_template=task("web:2"))
    await progress.wait(client.services, "web", console=console(terminal))
    assert [line[:23] for line in next(frame for frame in terminal.frames if "1 of 3" in frame[0])[1:]] == [
        "  1  ━━━━━━━━━━━━━━━━━━",
        "  2  ━━━━━━────────────",
        "     ──────────────────",
    ]


async def test_a_paused_update_says_why(engine: FakeEngine, client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=2))
    await client.services.wait("web")
    engine.fail_tasks(image="web:2", after=0.5)
    await client.services.update("web", task_template=task("web:2"))
    with pytest.raises(UpdatePaused) as failure:
        await progress.wait(client.services, "web", console=console(terminal))
    assert failure.value.progress.message
    headline, *_, message, error = terminal.seen
    assert headline.startswith("✗ web  paused ")
    assert [message, error] == [f"  {failure.value.progress.message}", "  task: non-zero exit (1)"]
    assert any("failed once" in line for line in terminal.seen)


async def test_tasks_that_fail_are_counted(engine: FakeEngine, client: SwarmClient, terminal: Terminal) -> None:
    engine.fail_tasks(image="web:1", after=0.5)
    await client.services.create(task("web:1"), name="web")
    with pytest.raises(TasksFailing):
        await progress.wait(client.services, "web", failures=3, console=console(terminal))
    assert terminal.seen[0].startswith("✗ web  failing       0 of 1")
    assert "failed 3 times" in terminal.seen[1]
    assert terminal.seen[2:] == ["  a slot's tasks failed 3 times", "  task: non-zero exit (1)"]


async def test_more_than_20_slots_have_one_bar(client: SwarmClient, terminal: Terminal) -> None:
    some = UpdateConfig(parallelism=10)
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=25), update_config=some)
    await client.services.wait("web")
    await client.services.update("web", task_template=task("web:2"))
    await progress.wait(client.services, "web", console=console(terminal))
    assert terminal.seen[1:] == ["  ━━━━━━━━━━━━━━━━━━  25 running"]
    assert max(map(len, terminal.frames)) == 3  # and the line below
    assert "  ━━━━━━━━━━━━━─────  10 running, 10 starting, 5 to come" in {frame[1] for frame in terminal.frames[2:]}


async def test_a_global_service_has_a_bar_for_each_node(
    engine: FakeEngine, client: SwarmClient, terminal: Terminal
) -> None:
    engine.add_node("worker-1")
    await client.services.create(task("agent:1"), name="agent", mode=Global())
    rollout = await progress.wait(client.services, "agent", console=console(terminal))
    nodes = [(slot.node_id or "")[:12] for slot in rollout.progress.slots]
    assert len(nodes) == 2
    assert terminal.seen[1:] == [f"  ━━━━━━━━━━━━━━━━━━  running    {node}" for node in nodes]


async def test_a_job_is_done_when_it_is_complete(client: SwarmClient, terminal: Terminal) -> None:
    job = ReplicatedJob(total_completions=2, max_concurrent=1)
    await client.services.create(task("job:1"), name="job", mode=job)
    await progress.wait(client.services, "job", console=console(terminal))
    assert [line[:33] for line in terminal.seen[1:]] == [
        "  0  ━━━━━━━━━━━━━━━━━━  complete",
        "  1  ━━━━━━━━━━━━━━━━━━  complete",
    ]
    running = next(line for frame in terminal.frames for line in frame if "running" in line)
    assert running.startswith("  0  ━━━━━━━━━━━━━━━━──  running")


async def test_services_stand_one_below_the_other(client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=2))
    await client.services.create(task("job:1"), name="migration", mode=ReplicatedJob(total_completions=1))
    rollout = await progress.wait(client.services, "web", "migration", console=console(terminal))
    assert [one.service_name for one in rollout.services] == ["web", "migration"]
    headlines = [line for line in terminal.seen if line.startswith("✓")]
    assert headlines == ["✓ web        converged     2 of 2  0:06", "✓ migration  converged     1 of 1  0:02"]
    assert terminal.seen.index("") == 3


async def test_what_does_not_fit_on_the_screen_is_told_in_short(client: SwarmClient, terminal: Terminal) -> None:
    for name, replicas in (("web", 4), ("api", 6), ("job", 5)):
        mode = ReplicatedJob(total_completions=5) if name == "job" else Replicated(replicas=replicas)
        await client.services.create(task("web:1"), name=name, mode=mode)
    await progress.wait(client.services, "web", "api", "job", console=console(terminal, height=12))
    assert max(map(len, terminal.frames)) <= 12
    assert terminal.seen == ["✓ web  converged     4 of 4  0:06", "✓ api  converged     6 of 6  0:06",
                             "✓ job  converged     5 of 5  0:08"]  # fmt: skip
    under_way = [
        "  ━━━━━━━━━━━━──────  4 preparing",
        "  ━━━━━━━━━━━━──────  6 preparing",
        "  ━━────────────────  1 preparing, 4 to come",
    ]
    assert under_way in [frame[1::2] for frame in terminal.frames]


async def test_the_time_goes_on_where_nothing_else_does(client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("web:1", "node.labels.gpu==yes"), name="web")
    with pytest.raises(RolloutTimeout):
        await progress.wait(client.services, "web", timeout=4, console=console(terminal))
    assert {f"● web  updating      0 of 1  0:0{second}" for second in range(5)} <= {one[0] for one in terminal.frames}
    bar, reason = (
        "  1  ━━━━━━────────────  pending    ",
        "no suitable node (scheduling constraints not satisfied on 1 node)",
    )
    assert terminal.seen[1:] == [f"{bar}{reason[:63]}…", f"  {reason}"]


async def test_of_a_service_that_is_not_there_nothing_is_drawn(client: SwarmClient, terminal: Terminal) -> None:
    with pytest.raises(NotFound):
        await progress.wait(client.services, "absent", console=console(terminal))
    with pytest.raises(ValueError, match="name a service"):
        await progress.wait(client.services, console=console(terminal))
    assert terminal.getvalue() == ""
    assert terminal.frames == []


async def test_a_cancelled_wait_leaves_the_terminal_as_it_was(client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("web:1", "node.labels.gpu==yes"), name="web")
    before = (sys.stdout, sys.stderr)
    with anyio.CancelScope() as scope:

        async def cancel_when_drawn() -> None:
            while not any("no suitable node" in line for frame in terminal.frames for line in frame):
                await anyio.lowlevel.checkpoint()
            assert terminal.cursor_is_hidden
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(cancel_when_drawn)
            await progress.wait(client.services, "web", pending=None, console=console(terminal))
    assert scope.cancelled_caught
    assert terminal.seen[0].startswith("● web  updating")
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("piped", [False, True], ids=["terminal", "pipe"])
async def test_what_the_program_prints_stands_above_or_goes_where_it_is_sent(
    piped: bool, client: SwarmClient, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.services.create(task("web:1"), name="web")
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe if piped else terminal)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(progress.wait, client.services, "web", console=console(terminal)))
        while not terminal.frames:
            await anyio.lowlevel.checkpoint()
        print("a line of the program's own")
    said = ["a line of the program's own"]
    assert pipe.getvalue().splitlines() == (said if piped else [])
    assert terminal.seen[:-2] == ([] if piped else said)
    assert terminal.seen[-2].startswith("✓ web  converged")


async def test_of_two_waits_on_one_terminal_one_writes_lines(client: SwarmClient, terminal: Terminal) -> None:
    shared = console(terminal)
    async with anyio.create_task_group() as group:
        for name in ("web", "api"):
            await client.services.create(task("web:1"), name=name)
            group.start_soon(partial(progress.wait, client.services, name, console=shared))
    assert sorted(line for line in terminal.seen if not line.startswith(" ")) == [
        "0:00 api: updating, 0 of 1 tasks",
        "0:01 api: verifying, 1 of 1 tasks",
        "0:06 api: converged, 1 of 1 tasks",
        "✓ web  converged     1 of 1  0:06",
    ]
    await progress.wait(client.services, "api", console=shared)
    assert terminal.seen[-2].startswith("✓ api  converged")


async def test_a_display_of_the_programs_own_is_no_hindrance(client: SwarmClient, terminal: Terminal) -> None:
    await client.services.create(task("web:1"), name="web")
    with Live("the program's own", console=console(terminal), auto_refresh=False) as live:
        rollout = await progress.wait(client.services, "web", console=live.console)
    assert rollout.progress.arrived == 1
    assert any("web" in line and "converged" in line for line in terminal.seen)
    assert "the program's own" in terminal.seen


# --- in a log --------------------------------------------------------------------------------------------------------


async def test_a_log_has_a_line_for_each_change(engine: FakeEngine, client: SwarmClient) -> None:
    one_by_one = UpdateConfig(parallelism=1, monitor=timedelta(seconds=2))
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=2), update_config=one_by_one)
    log = io.StringIO()
    await progress.wait(client.services, "web", console=console(log))
    engine.fail_tasks(image="web:2", after=0.5)
    await client.services.update("web", task_template=task("web:2"))
    with pytest.raises(UpdatePaused) as failure:
        await progress.wait(client.services, "web", console=console(log, width=40))
    assert log.getvalue().splitlines() == [
        "0:00 web: updating, 0 of 2 tasks",
        "0:01 web: verifying, 2 of 2 tasks",
        "0:03 web: converged, 2 of 2 tasks",
        "0:00 web: updating, 0 of 2 tasks",
        "0:01 web: updating, 1 of 2 tasks",
        "0:01 web: error: task: non-zero exit (1)",
        f"0:01 web: paused, 1 of 2 tasks: {failure.value.progress.message}",
    ]


async def test_a_log_never_says_the_same_twice(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="web:1", after=0.15)
    at_once = TaskTemplate(restart_policy=RestartPolicy(delay=timedelta(0)), container_spec=ContainerSpec("web:1"))
    await client.services.create(at_once, name="web", mode=Replicated(replicas=3))
    log = io.StringIO()
    with pytest.raises(TasksFailing):
        await progress.wait(client.services, "web", failures=12, console=console(log))
    lines = log.getvalue().splitlines()
    assert len(lines) > 4
    assert len(lines) == len(set(lines))
    assert sum("non-zero exit" in line for line in lines) == 1


class _Played:
    """A watch to and fro, within a second."""

    clock = RealClock()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        for wanted in (2, 3, 2, 3):
            yield _standing(wanted=wanted)

    async def rollout(self) -> Rollout:
        return Rollout(services=(), seconds=0)


async def test_not_even_when_it_goes_to_and_fro(client: SwarmClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(*_: str, **__: Any) -> _Played:
        return _Played()

    monkeypatch.setattr(client.services, "watch", watch)
    log = io.StringIO()
    await progress.wait(client.services, "web", console=console(log))
    assert log.getvalue().splitlines() == ["0:00 web: updating, 0 of 2 tasks", "0:00 web: updating, 0 of 3 tasks"]


@pytest.mark.parametrize("kind", ["FORCE_COLOR", "dumb", "ascii"])
async def test_where_nothing_can_move_lines_are_written(
    kind: str, client: SwarmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.services.create(task("web:1"), name="web")
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii" if kind == "ascii" else "utf-8")
    if kind == "FORCE_COLOR":
        monkeypatch.setenv("FORCE_COLOR", "1")
    if kind == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    await progress.wait(client.services, "web", console=Console(file=log, force_terminal=kind != "FORCE_COLOR" or None))
    log.seek(0)
    assert log.read().splitlines()[-1] == "0:06 web: converged, 1 of 1 tasks"
    log.seek(0)
    assert "\x1b" not in log.read()


# --- in a notebook ---------------------------------------------------------------------------------------------------


async def test_a_notebook_has_one_place_that_changes(client: SwarmClient, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    updated: list[Any] = []

    def display(what: Any, *, display_id: bool) -> types.SimpleNamespace:
        assert display_id
        shown.append(what)
        return types.SimpleNamespace(update=updated.append)

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    await client.services.create(task("web:1"), name="web")
    written = io.StringIO()
    await progress.wait(client.services, "web", console=Console(file=written, force_jupyter=True))
    assert len(shown) == 1
    assert written.getvalue() == ""
    bundle = updated[-1]._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"].startswith("✓ web  converged     1 of 1  0:06\n  1  ━━━━━━━━━━━━━━━━━━  running ")
    assert bundle["text/html"].startswith("<pre")
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]


# --- what an engine says does nothing --------------------------------------------------------------------------------

_SAID: Final = "[red]\x1b[2J\x07\nno <b>exit</b>\u202e"
_SHOWN: Final = "[red] [2J no <b>exit</b>"


class _Malicious(httpx.AsyncBaseTransport):
    """An engine whose errors are made for terminals."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.clock = engine.clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._engine.transport.handle_async_request(request)
        body = (await answer.aread()).replace(b"non-zero exit (1)", json.dumps(_SAID)[1:-1].encode())
        answer.headers.pop("content-length", None)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


@pytest.mark.parametrize("there", [True, False], ids=["terminal", "log"])
async def test_an_engines_words_are_no_commands(there: bool, engine: FakeEngine, terminal: Terminal) -> None:
    engine.fail_tasks(image="web:1", after=0.2)
    client = SwarmClient(transport=_Malicious(engine), registry_auth=None)
    await client.services.create(task("web:1"), name="web")
    log = io.StringIO()
    with pytest.raises(TasksFailing):
        await progress.wait(client.services, "web", failures=1, console=console(terminal if there else log))
    lines = terminal.seen if there else log.getvalue().splitlines()
    assert ("  task: " if there else "0:01 web: error: task: ") + _SHOWN in lines


def test_html_is_text_as_well() -> None:
    shown: Any = progress.view(_standing(_slot(1, "failed", error=_SAID)))
    bundle = shown._repr_mimebundle_()
    assert "&lt;b&gt;exit" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]
    assert _SHOWN in bundle["text/plain"]


# --- the view alone --------------------------------------------------------------------------------------------------


def _slot(slot: int | None, state: str, **more: Any) -> SlotProgress:
    return SlotProgress(slot=slot, task_id=f"t{slot}", state=state, desired_state=more.pop("goal", "running"), **more)


def _standing(*slots: SlotProgress, wanted: int | None = None, **more: Any) -> Progress:
    phase = more.pop("phase", "updating")
    wanted = len(slots) if wanted is None else wanted
    return Progress(service_id="abc", service_name="web", phase=phase, wanted=wanted, arrived=0, slots=slots, **more)


def test_a_task_that_failed_fills_its_bar_and_says_why() -> None:
    slots = (_slot(1, "failed", error="it broke", failures=1), _slot(2, "rejected", error="no image", failures=2))
    assert drawn(_standing(*slots))[1:] == [
        "  1  ━━━━━━━━━━━━━━━━━━  failed     it broke",
        "  2  ━━━━━━━━━━━━━━━━━━  rejected   failed 2 times  no image",
    ]


def test_slots_that_no_range_holds_stand_in_order() -> None:
    assert [line[:10] for line in drawn(_standing(_slot(2, "new"), _slot(7, "new"), wanted=3))[1:]] == [
        "  2  ━━───",
        "  7  ━━───",
        "     ─────",
    ]


def test_a_state_that_is_not_known_is_shown_as_it_is() -> None:
    assert drawn(_standing(_slot(1, "dreaming")))[1:] == ["  1  ──────────────────  dreaming"]


def test_of_many_errors_a_few_are_shown() -> None:
    assert drawn(_standing(_slot(1, "new"), errors=tuple("abcde")))[2:] == ["  a", "  b", "  c", "  and 2 more"]
    assert len(drawn(_standing(_slot(1, "running"), errors=tuple("abcde"), phase="verifying"))) == 2


def test_nothing_wanted_is_a_headline() -> None:
    assert drawn(_standing(phase="converged"), seconds=3725) == ["✓ web  converged     0 of 0  1:02:05"]
    assert drawn(_standing(phase="converged")) == ["✓ web  converged     0 of 0"]
    assert drawn() == []


@pytest.mark.parametrize("width", [20, 40, 71, 72, 100])
def test_no_line_is_wider_than_there_is_room(width: int) -> None:
    slots = [_slot(number, "pending", node_id="n" * 25, error="no suitable node " * 6) for number in range(1, 4)]
    lines = drawn(_standing(*slots, errors=(slots[0].error,)), width=width)
    assert max(map(len, lines)) == width
    assert len(lines) == 6  # what the bars have no room for gets two of its own
    assert lines[4].startswith("  no suitable node")
    assert lines[5].endswith(" …") == (width < 71)


def test_without_rich_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['rich'] = None; import swarmkit.progress"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = told.stderr.splitlines()[-1]
    assert last == "ImportError: swarmkit.progress draws with rich: pip install 'docker-swarmkit[progress]'"


async def test_the_picture_in_the_documentation_is_what_is_drawn() -> None:
    page = io.StringIO()
    console(page, width=WIDTH).print(await moment())
    texts = re.findall(r"<text[^>]* y=\"([\d.]+)\"[^>]*>([^<]*)</text>", PICTURE.read_text())
    lines: dict[str, str] = {}
    for height, text in texts:
        lines[height] = lines.get(height, "") + unescape(text).replace("\xa0", " ")
    pictured = ["".join(line.split()) for line in lines.values()]
    wanted = ["".join(line.split()) for line in page.getvalue().splitlines() if line]
    assert wanted == [line for line in pictured if line in wanted], "draw it anew: python -m tests.picture"
