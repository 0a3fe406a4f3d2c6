"""Logs on real engines: what tasks wrote, complete and in order, as Docker's own program prints it."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    ContainerSpec,
    Driver,
    LogLine,
    NotFound,
    Replicated,
    ReplicatedJob,
    RestartPolicy,
    ServiceSpec,
    SwarmClient,
    Task,
    TaskTemplate,
    UpdateConfig,
)
from tests.fake import FakeHarness
from tests.harness.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

LONG: Final = 100 * 1024


async def create(client: SwarmClient, name: str, template: TaskTemplate, *, replicas: int = 1) -> str:
    """A service whose tasks run."""
    config = UpdateConfig(parallelism=0, monitor=timedelta(milliseconds=100))
    mode = Replicated(replicas=replicas)
    created = await client.services.create(template, name=name, mode=mode, update_config=config)
    await client.services.wait(name, timeout=60)
    return created.id


def runs(script: str, **more: Any) -> TaskTemplate:
    """A task template for a script that ends. What sleeps is killed at once."""
    container = ContainerSpec("busybox:1.36", command=["sh", "-c", script], stop_signal="KILL", **more)
    return TaskTemplate(container_spec=container, restart_policy=RestartPolicy(delay=timedelta(0)))


async def read(client: SwarmClient, name: str, **more: Any) -> list[LogLine]:
    async with client.services.logs(name, **more) as lines:
        return [line async for line in lines]


async def logged(client: SwarmClient, name: str, count: int, **more: Any) -> list[LogLine]:
    """The lines of tasks that run, as soon as there are that many."""
    lines: list[LogLine] = []
    with anyio.move_on_after(60):
        while len(lines) < count:
            await anyio.sleep(0.1)
            lines = await read(client, name, **more)
    assert len(lines) == count, lines
    return lines


def talker(script: str, **more: Any) -> TaskTemplate:
    return runs(f"{script}; sleep 1000", **more)


async def test_log_lines_say_who_wrote_them_and_where(client: SwarmClient) -> None:
    script = "echo out; echo err >&2; printf 'é ü\\n'; printf '\\377\\n'"
    service_id = await create(client, "talks", talker(script), replicas=2)
    lines = await logged(client, "talks", 8, timestamps=True)
    tasks = {task.id: task for task in await client.services.ps("talks")}
    assert len(lines) == 8
    assert set(tasks) == {line.task_id for line in lines}
    for line in lines:
        assert (line.service_id, line.node_id) == (service_id, tasks[line.task_id].node_id)
        assert line.timestamp is not None
        assert abs(line.timestamp - datetime.now(UTC)) < timedelta(hours=1)  # the embedded engine is ahead of the world
    of_one = [(line.stream, line.message) for line in lines if line.task_id == lines[0].task_id]
    assert sorted(of_one) == [("stderr", "err"), ("stdout", "out"), ("stdout", "é ü"), ("stdout", "\ufffd")]
    assert {"stderr"} == {line.stream for line in await read(client, "talks", stdout=False)}


async def test_logs_of_a_terminal_areread(client: SwarmClient) -> None:
    await create(client, "terminal", talker("echo one; echo two >&2", tty=True))
    lines = await logged(client, "terminal", 2)
    assert [("stdout", "one"), ("stdout", "two")] == [(line.stream, line.message) for line in lines]
    (task,) = await client.services.ps("terminal")
    assert {task.id} == {line.task_id for line in lines}


async def test_a_long_line_is_one_line(client: SwarmClient) -> None:
    await create(client, "long", talker("head -c 40000 /dev/zero | tr '\\0' x; echo; echo end"))
    lines = await logged(client, "long", 2)
    assert [40000, 3] == [len(line.message) for line in lines]


@pytest.mark.parametrize("size", [16383, 16384, 16385, 32768, 40000])
async def test_a_long_line_of_a_terminal_is_one_line(client: SwarmClient, size: int) -> None:
    script = f"head -c {size} /dev/zero | tr '\\0' x; echo; echo end; printf 'prompt> '; exit 0"
    template = TaskTemplate(
        container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", script], tty=True),
        restart_policy=RestartPolicy(condition="none"),
    )
    await client.services.create(template, name="wide", mode=ReplicatedJob(max_concurrent=2, total_completions=2))
    await client.services.wait("wide", timeout=30)
    for task in await client.services.ps("wide"):
        of_it = await written(client, task, 3)
        assert [len(line.message) for line in of_it] == [size, 3, len("prompt> ")]


async def test_an_unfinished_long_line_is_handed_over_when_its_task_ends(client: SwarmClient) -> None:
    template = TaskTemplate(
        container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x"]),
        restart_policy=RestartPolicy(condition="none"),
    )
    await client.services.create(template, name="unfinished", mode=ReplicatedJob())
    # An engine 20.10 that is followed from the start keeps the end of such a line to itself.
    await client.services.wait("unfinished", timeout=30)
    with anyio.fail_after(30):
        async with client.services.logs("unfinished", follow=True) as lines:
            assert 20000 == len((await anext(lines)).message)


async def test_tail_and_since(client: SwarmClient) -> None:
    await create(client, "counted", talker("for i in 1 2 3 4 5; do echo $i; done"))
    await logged(client, "counted", 5)
    assert ["4", "5"] == [line.message for line in await read(client, "counted", tail=2)]
    assert [] == await read(client, "counted", tail=0)
    assert 5 == len(await read(client, "counted", since=timedelta(hours=9)))
    assert 5 == len(await read(client, "counted", since=time.time() - 9 * 3600))
    assert [] == await read(client, "counted", since=datetime.now(UTC) + timedelta(hours=9))
    with pytest.raises(ValueError, match="tail"):
        client.services.logs("counted", tail=-1)
    with pytest.raises(ValueError, match="time zone"):
        client.services.logs("counted", since=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="stdout"):
        client.services.logs("counted", stdout=False, stderr=False)


async def test_details_are_what_the_log_options_ask_for(client: SwarmClient) -> None:
    template = talker("echo x", env={"SHOWN": "a b,c=d"})
    template.log_driver = Driver(name="json-file", options={"env": "SHOWN"})
    await create(client, "detailed", template)
    (line,) = await logged(client, "detailed", 1)
    assert line.details == {"SHOWN": "a b,c=d"}


async def test_following_goes_on_and_leaving_ends_it(client: SwarmClient) -> None:
    await create(client, "follows", talker("while :; do echo tick; sleep 0.05; done"))
    seen = 0
    with anyio.fail_after(30):
        async with client.services.logs("follows", follow=True, tail=0) as lines:
            async for line in lines:
                assert line.message == "tick"
                seen += 1
                if seen == 5:
                    break
    with pytest.raises(RuntimeError, match="once"):
        await lines.__aenter__()
    assert (await client.services.inspect("follows")).name == "follows"


async def test_logs_of_no_service_are_not_found(client: SwarmClient) -> None:
    with pytest.raises(NotFound):
        async with client.services.logs("nope"):
            pass


async def run(client: SwarmClient, name: str, template: TaskTemplate, *, tasks: int) -> list[Task]:
    """Run tasks to their end."""
    template.restart_policy = RestartPolicy(condition="none")
    mode = ReplicatedJob(max_concurrent=tasks, total_completions=tasks)
    await client.services.create(template, name=name, mode=mode)
    await client.services.wait(name, timeout=60)
    return await client.services.ps(name)


async def written(client: SwarmClient, task: Task, count: int) -> list[LogLine]:
    """The lines of a task that has ended. Now and then engines never end an answer about one that just has: then they
    are asked again, about one at a time, because of several they now and then lose the last lines."""
    lines: list[LogLine] = []
    for _ in range(12):
        with anyio.move_on_after(5):
            lines = await client.tasks.logs(task.id).lines()
            if len(lines) == count:
                break
    assert len(lines) == count, lines
    return lines


async def told(engine: Engine, *args: str) -> str:
    """What `docker service logs` prints, of both streams one after the other."""
    return await anyio.to_thread.run_sync(partial(engine.docker, "service", "logs", *args, check=False))


BOTH: Final = (
    "echo out; echo err >&2; echo out again; printf 'h\\303\\251 \\377 \\303\\n'; echo '  indented'; echo; echo end"
)


async def test_lines_are_what_dockers_program_prints(client: SwarmClient, docker_program: Engine) -> None:
    # They go on running: of several tasks that have ended, engines now and then lose the last lines of all but one.
    template = talker(BOTH, env={"SHOWN": "x y"})
    template.log_driver = Driver(name="json-file", options={"env": "SHOWN"})
    await create(client, "printed", template, replicas=2)
    await logged(client, "printed", 14)
    for timestamps in (True, False):
        async with client.services.logs("printed", timestamps=timestamps) as lines:
            ours = [await lines.formatted(line) async for line in lines]
        theirs = await told(docker_program, "printed", *(["--timestamps"] if timestamps else []))
        assert sorted(theirs.split("\n")) == sorted(ours)
    for task in await client.services.ps("printed"):
        async with client.tasks.logs(task.id) as lines:
            of_one = [(line.stream, await lines.formatted(line), line) async for line in lines]
        assert {(task.id, task.slot, "x y")} == {(one.task_id, one.slot, one.details["SHOWN"]) for *_, one in of_one}
        theirs = await told(docker_program, task.id)
        ours = [text for kind in ("stdout", "stderr") for stream, text, _ in of_one if stream == kind]
        assert theirs.split("\n") == ours


@pytest.mark.parametrize("tty", [True, False])
async def test_text_is_what_dockers_program_prints(client: SwarmClient, docker_program: Engine, tty: bool) -> None:
    script = f"{BOTH}; head -c {LONG} /dev/zero | tr '\\0' x; echo; head -c 20000 /dev/zero | tr '\\0' y; echo; echo z"
    tasks = await run(client, "text", runs(script, tty=tty), tasks=2)
    for task in tasks:
        lines = await written(client, task, 10)
        assert LONG in [len(line.data) for line in lines]
        ours = "".join(f"{line.message}\n" for line in sorted(lines, key=lambda line: line.stream == "stderr"))
        theirs = await told(docker_program, "--raw", task.id)
        assert theirs.rstrip("\r").replace("\r\n", "\n") + "\n" == ours


async def test_many_lines_are_complete_and_in_order(client: SwarmClient, engine: Engine) -> None:
    is_fake = isinstance(engine, FakeHarness)
    number = 1_000 if is_fake else 50_000
    loop = f"i=1; while [ $i -le {number} ]; do echo $i; i=$((i+1)); done"
    template = runs(loop if is_fake else f"busybox seq {number}")
    template.restart_policy = RestartPolicy(condition="none")
    await client.services.create(template, name="many", mode=ReplicatedJob(max_concurrent=2, total_completions=2))
    of_each = defaultdict[str, list[str]](list)
    # Followed: without that, engines now and then keep back the last of so many lines, and never end the answer.
    with anyio.fail_after(90):
        async with client.services.logs("many", follow=True, until_finished=True) as lines:
            async for line in lines:
                of_each[line.task_id].append(line.message)
    expected = [str(count + 1) for count in range(number)]
    assert [expected, expected] == list(of_each.values())


async def test_a_followed_stream_has_the_unfinished_line_of_a_task_that_ends(client: SwarmClient) -> None:
    template = runs("echo whole; head -c 20000 /dev/zero | tr '\\0' x")
    template.restart_policy = RestartPolicy(condition="none")
    await client.services.create(template, name="ends", mode=ReplicatedJob())
    with anyio.fail_after(60):
        lines = await client.services.logs("ends", follow=True, until_finished=True).lines()
        assert ["whole", "x" * 20000] == [line.message for line in lines]
        (task,) = await client.services.ps("ends")
        lines = await client.tasks.logs(task.id, follow=True, until_finished=True).lines()
        assert ["whole", "x" * 20000] == [line.message for line in lines]


COUNTS: Final = "i=0; while :; do echo $WHO $i; i=$((i+1)); sleep 0.02; done"


async def test_following_across_an_update_a_scale_down_and_the_end(client: SwarmClient) -> None:
    await create(client, "counts", runs(COUNTS, env={"WHO": "old"}), replicas=2)
    of_each = defaultdict[str, list[str]](list)
    last: LogLine | None = None

    async def follow() -> None:
        nonlocal last
        async with client.services.logs("counts", follow=True, until_finished=True) as lines:
            async for last in lines:
                of_each[last.task_id].append(last.message)

    def new() -> list[list[str]]:
        return [said for said in of_each.values() if said[0].startswith("new")]

    async def until(what: str, number: int) -> None:
        while len([said for said in of_each.values() if said[0].startswith(what) and len(said) > 5]) < number:
            await anyio.sleep(0.02)

    def rename(spec: ServiceSpec) -> None:
        spec.add_env(WHO="new")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await until("old", 2)
            await client.services.edit("counts", rename)
            await until("new", 2)
            await client.services.scale("counts", 1)
            await client.services.wait("counts")
            before = max(map(len, new()))
            while max(map(len, new())) < before + 10:
                await anyio.sleep(0.02)
            await client.services.scale("counts", 0)
    assert 4 == len(of_each)
    for said in of_each.values():
        who = said[0].split()[0]
        assert [f"{who} {count}" for count in range(len(said))] == said
    assert last is not None
    assert last.slot in (1, 2)


async def test_a_followed_stream_ends_with_its_service(client: SwarmClient) -> None:
    await create(client, "removed", talker("echo up"), replicas=2)
    with anyio.fail_after(60):
        async with client.services.logs("removed", follow=True, until_finished=True) as lines:
            assert ["up", "up"] == [str(await anext(lines)), str(await anext(lines))]
            await client.services.remove("removed")
            assert [] == [line async for line in lines]
