"""Credential helpers are asked as Docker asks them, whatever they do is survived, and nothing of it stays or shows."""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from swarmkit import _helper
from swarmkit._helper import Kept, Run, ask
from swarmkit.errors import CredentialsError

from .helpers import put_helper

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_shows")]
SECRET = "hunter2"


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make the helper `test` of a script."""
    return lambda script: put_helper(tmp_path / "bin", "test", script, monkeypatch)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a short time only."""
    monkeypatch.setattr(_helper, "_SECONDS", 0.3)


def gone(pid: int) -> bool:
    """A process has ended; where it is nobody's child any more, the first process may not have heard yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not done():
            await anyio.sleep(0.005)


async def trouble(registry: str = "ghcr.io", name: str = "test") -> str:
    """What the error says that a helper ends in; it shows nothing of what the helper said."""
    with pytest.raises(CredentialsError) as caught:
        await ask(name, registry)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    said, colon, reason = str(caught.value).partition(": ")
    assert (f"docker-credential-{name} gave no credentials for {registry}", ": ") == (said, colon)
    return reason


@pytest.mark.parametrize("registry", ["https://index.docker.io/v1/", "ghcr.io", "[::1]:5000"])
async def test_a_helper_is_asked_by_get_and_the_registry_s_name_alone(
    helper: Callable[[str], Path], tmp_path: Path, registry: str
) -> None:
    asked = tmp_path / "asked"
    helper(f'echo "$@" >{asked}; cat >>{asked}; printf \'{{"ServerURL":"x","Username":"me","Secret":"{SECRET}"}}\'')

    assert Kept("me", SECRET) == await ask("test", registry)
    assert f"get\n{registry}" == asked.read_text()


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ('{"Username":"me","Secret":"pw"}', Kept("me", "pw")),
        ('  {"Username":"mé","Secret":"a\\\\u00e9\\"","More":{}}\n', Kept("mé", 'aé"')),
        ('{"Username":"<token>","Secret":"tok"}', Kept("<token>", "tok")),
        ('{"Secret":"pw"}', Kept("", "pw")),
        ('{"ServerURL":"x","Username":"","Secret":""}', None),
        ("{}", None),
    ],
)
async def test_its_answer_is_read(helper: Callable[[str], Path], answer: str, kept: Kept | None) -> None:
    helper(f"printf '%b' '{answer}'")

    assert kept == await ask("test", "ghcr.io")


@pytest.mark.parametrize("end", ["", "\n", "  \r\n"])
async def test_a_helper_that_has_nothing_is_no_error(helper: Callable[[str], Path], end: str) -> None:
    helper(f"printf '%b' 'credentials not found in native keychain{end}'; exit 1")

    assert await ask("test", "ghcr.io") is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "it failed with exit code 3"),
        ("exec kill -9 $$", "it was ended by signal 9"),
        ("echo credentials not found in native keychain", "what it said is no answer"),
        ("", "what it said is no answer"),
        (f"echo {SECRET}", "what it said is no answer"),
        (f"echo '[\"{SECRET}\"]'", "what it said is no answer"),
        (f'echo \'{{"Username":"{SECRET}"\'', "what it said is no answer"),
        (f'echo \'{{"Username":["{SECRET}"],"Secret":"x"}}\'', "what it said is no answer"),
        (f'echo \'{{"Username":"x","Secret":{{"{SECRET}":1}}}}\'', "what it said is no answer"),
        ("printf '%b' '{\"Username\":\"\\0377\"}'", "what it said is no answer"),
        ("head -c 60000 /dev/zero | tr '\\0' '['", "what it said is no answer"),
        (f"while echo {SECRET}; do :; done", "it said more than 64 KiB"),
        (f"yes {SECRET} | head -c 50000000", "it said more than 64 KiB"),
    ],
)
async def test_what_a_helper_does_wrong_is_told_and_what_it_says_is_not(
    helper: Callable[[str], Path], script: str, reason: str
) -> None:
    helper(script)

    assert reason == await trouble()


@pytest.mark.parametrize("name", ["", "..", "../test", "a/b", "a b", "a;b", "-x", "x\n", "$(x)", "é"])
async def test_a_helper_s_name_is_never_a_path_or_more(helper: Callable[[str], Path], name: str) -> None:
    helper("echo '{}'")

    assert "there is no such program" == await trouble(name=name)


async def test_a_helper_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no such program" == await trouble(name="nowhere")

    put_helper(tmp_path, "test", "echo '{}'", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}/usr/bin")
    assert "there is no such program" == await trouble()


async def test_a_helper_that_cannot_be_run(helper: Callable[[str], Path]) -> None:
    helper("").write_bytes(b"\x7fELF")
    assert "it cannot be run: Exec format error" == await trouble()

    helper("").write_text("#!/nowhere/sh\n")
    assert "it cannot be run: No such file or directory" == await trouble()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("script", ["sleep 1000", "exec >&-; sleep 1000", "trap '' TERM HUP; sleep 1000; sleep 1000"])
async def test_a_helper_that_takes_too_long_is_ended_with_its_children(
    helper: Callable[[str], Path], tmp_path: Path, script: str
) -> None:
    helper(f"echo $$ >{tmp_path}/pids; sleep 1000 & echo $! >>{tmp_path}/pids; {script}")

    assert "it took longer than 0.3 s" == await trouble()
    helper_pid, child = map(int, (tmp_path / "pids").read_text().split())
    assert not Path(f"/proc/{helper_pid}").exists()  # reaped as well
    await until(lambda: gone(child))


async def test_a_child_that_outlives_its_helper_holds_nothing_up_and_is_ended(
    helper: Callable[[str], Path], tmp_path: Path
) -> None:
    helper(f'sleep 1000 & echo $! >{tmp_path}/pid; echo \'{{"Username":"me","Secret":"pw"}}\'')

    with anyio.fail_after(5):
        assert Kept("me", "pw") == await ask("test", "ghcr.io")
    await until(lambda: gone(int((tmp_path / "pid").read_text())))


async def test_a_caller_who_is_cancelled_takes_the_helper_and_its_children_along(
    helper: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "pids"
    helper(f"echo $$ >{path}.new; sleep 1000 & echo $! >>{path}.new; mv {path}.new {path}; sleep 1000")

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "test", "ghcr.io")
        await until(path.exists)
        group.cancel_scope.cancel()
    await until(lambda: all(gone(int(pid)) for pid in path.read_text().split()))


async def test_a_caller_who_is_cancelled_before_the_helper_started_starts_none(
    helper: Callable[[str], Path], tmp_path: Path
) -> None:
    helper(f"touch {tmp_path}/ran; echo '{{}}'")
    limiter, gate = anyio.to_thread.current_default_thread_limiter(), threading.Event()
    async with anyio.create_task_group() as group:
        for _ in range(int(limiter.total_tokens)):
            group.start_soon(anyio.to_thread.run_sync, partial(gate.wait, 5))
        await until(lambda: limiter.available_tokens == 0)
        with anyio.move_on_after(0.01):
            await ask("test", "ghcr.io")
        gate.set()
    await anyio.to_thread.run_sync(int)
    assert not (tmp_path / "ran").exists()


async def test_a_helper_that_nobody_waits_for_any_more_is_not_started(
    helper: Callable[[str], Path], tmp_path: Path
) -> None:
    helper(f"touch {tmp_path}/ran")
    run = Run("test", "ghcr.io")
    run.end()
    with pytest.raises(CredentialsError, match="nobody waits"):
        run.hold()
    assert not (tmp_path / "ran").exists()


async def test_the_event_loop_goes_on_while_helpers_work(helper: Callable[[str], Path], tmp_path: Path) -> None:
    helper(f'while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo \'{{"Username":"me","Secret":"pw"}}\'')
    found: list[Kept | None] = []

    async def one() -> None:
        found.append(await ask("test", "ghcr.io"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
        await anyio.lowlevel.checkpoint()
        (tmp_path / "go").touch()  # nobody would, were the loop held up
    assert [Kept("me", "pw")] * 5 == found


async def test_helpers_leave_no_descriptor_open(helper: Callable[[str], Path]) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    for script in ("echo '{}'", "exit 3", f"yes {SECRET}"):
        helper(script)
        await anyio.to_thread.run_sync(int)
        before = descriptors()
        with suppress(CredentialsError):
            await ask("test", "ghcr.io")
        assert before == descriptors()
