"""Rollouts of every kind, judged on real engines, and by Docker's own program beside."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    ContainerSpec,
    Global,
    GlobalJob,
    Healthcheck,
    Placement,
    Replicated,
    ReplicatedJob,
    RestartPolicy,
    RollbackConfig,
    RolledBack,
    RolloutFailed,
    ServiceSpec,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
    UpdatePaused,
)
from swarmkit.models.service import Mode
from tests.fake import FakeHarness, nowhere
from tests.harness.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

SECOND: Final = timedelta(seconds=1)
FOREVER: Final = "exec sleep 1000"
CRASHES: Final = "exit 3"
AT_ONCE: Final = 6
LONG: Final = 10 * SECOND
"""The monitor period of what fails: on a busy machine it may take a container a while to end."""
NO_IMAGE: Final = "127.0.0.1:9/no/such:image"


def runs(script: str, **more: Any) -> TaskTemplate:
    """A task template for a script, tasks of which are replaced at once."""
    policy = more.pop("restart_policy", RestartPolicy(delay=timedelta(0)))
    placement = more.pop("placement", None)
    # Of what sleeps, many can run at once; it has to be killed, as the first process does not hear of anything else.
    container = ContainerSpec("busybox:1.36", command=["sh", "-c", script], stop_signal="KILL", **more)
    return TaskTemplate(container_spec=container, restart_policy=policy, placement=placement)


def updates(**more: Any) -> UpdateConfig:
    """An update config; what arrives is watched for a second."""
    given: dict[str, Any] = {"monitor": SECOND, **more}
    return UpdateConfig(**given)


Change = Callable[[ServiceSpec], None]


def script(text: str) -> Change:
    """Makes the tasks run another script."""

    def change(spec: ServiceSpec) -> None:
        spec.container.command = ["sh", "-c", text]

    return change


def image(name: str) -> Change:
    def change(spec: ServiceSpec) -> None:
        spec.container.image = name

    return change


def unhealthy(spec: ServiceSpec) -> None:
    fast = timedelta(milliseconds=200)
    spec.container.healthcheck = Healthcheck(test=["CMD-SHELL", "exit 1"], interval=fast, retries=2)


def healthy(spec: ServiceSpec) -> None:
    fast = timedelta(milliseconds=200)
    spec.container.healthcheck = Healthcheck(test=["CMD-SHELL", "exit 0"], interval=fast, retries=2)


def label(spec: ServiceSpec) -> None:
    spec.labels = {"changed": "yes"}


def scale(number: int) -> Change:
    def change(spec: ServiceSpec) -> None:
        assert spec.mode is not None
        assert spec.mode.replicated is not None
        spec.mode.replicated.replicas = number

    return change


@dataclass
class Story:
    """A service, what is done to it once it has arrived, and what comes of that."""

    name: str
    change: Change | None
    """None: it is about the rollout after create."""
    ends: type[RolloutFailed] | None = None
    """How the rollout fails; None where it arrives."""
    says: str = ""
    """What the failure says."""
    mode: Mode = field(default_factory=Replicated)
    config: UpdateConfig = field(default_factory=updates)
    template: TaskTemplate = field(default_factory=lambda: runs(FOREVER))
    limits: dict[str, Any] = field(default_factory=dict[str, Any])
    rolls_back: bool = False
    """The change is followed by a rollback by hand."""


IS_JOB: Final = (ReplicatedJob, GlobalJob)
TWO: Final = Replicated(replicas=2)
ONCE: Final = RestartPolicy(condition="none")
USED_UP: Final = RestartPolicy(condition="on-failure", max_attempts=1, delay=timedelta(0))
STORIES: Final = [
    Story("good", script(f": new; {FOREVER}")),
    Story("label", label),
    Story("down", scale(0)),
    Story("up", scale(3)),
    Story("one-by-one", script(f": new; {FOREVER}"), mode=TWO, config=updates(parallelism=1, delay=SECOND / 2)),
    Story("all-at-once", script(f": new; {FOREVER}"), mode=TWO, config=updates(parallelism=0)),
    Story("start-first", script(f": new; {FOREVER}"), mode=TWO, config=updates(order="start-first")),
    Story("everywhere", script(f": new; {FOREVER}"), mode=Global()),
    Story("healthy", healthy),
    Story("by-hand", script(f": new; {FOREVER}"), rolls_back=True),
    Story("pauses", script(CRASHES), UpdatePaused, r"update paused due to failure.*non-zero exit \(3\)"),
    Story(
        "start-first-pauses",
        script(CRASHES),
        UpdatePaused,
        "update paused due to failure",
        config=updates(order="start-first"),
    ),
    Story("no-image-pauses", image(NO_IMAGE), UpdatePaused, "No such image"),
    Story("unhealthy-pauses", unhealthy, UpdatePaused, "unhealthy"),
    Story("falls-back", script(CRASHES), RolledBack, r"exit \(3\)", config=updates(failure_action="rollback")),
    Story("no-image-falls-back", image(NO_IMAGE), RolledBack, "image", config=updates(failure_action="rollback")),
    Story(
        "goes-on",
        script(CRASHES),
        TasksFailing,
        "failed [3-9] times",
        config=updates(failure_action="continue"),
        limits={"failures": 3},
    ),
    Story(
        "crash-loop",
        None,
        TasksFailing,
        "failed [3-9] times",
        template=runs(CRASHES),
        limits={"failures": 3},
    ),
    Story("used-up", None, TasksFailing, "restart policy", template=runs(CRASHES, restart_policy=USED_UP)),
    Story("once", None, TasksFailing, "restart policy", template=runs(CRASHES, restart_policy=ONCE)),
    Story(
        "nowhere",
        None,
        TasksFailing,
        "for 1.5 s no node has taken a task: no suitable node",
        template=runs(FOREVER, placement=Placement(constraints=["node.labels.moon==full"])),
        limits={"pending": 1.5},
    ),
    Story("job", None, mode=ReplicatedJob(max_concurrent=1, total_completions=2), template=runs("true")),
    Story("global-job", None, mode=GlobalJob(), template=runs("true", restart_policy=ONCE)),
    Story(
        "failing-job", None, TasksFailing, "restart", mode=ReplicatedJob(), template=runs("false", restart_policy=ONCE)
    ),
]


async def told(client: SwarmClient, story: Story) -> tuple[type[RolloutFailed] | None, str, list[str]]:
    """How a story ends, in which words, and the phases on the way."""
    job = isinstance(story.mode, IS_JOB)
    fails_at_once = story.change is None and story.ends is not None
    config = updates(monitor=LONG) if fails_at_once else story.config
    await client.services.create(
        story.template,
        name=story.name,
        mode=story.mode,
        update_config=None if job else config,
        rollback_config=None if job else RollbackConfig(monitor=SECOND / 10),
    )
    if story.change is not None:
        await client.services.wait(story.name, timeout=60)
        if story.ends is not None:
            await client.services.update(story.name, update_config=UpdateConfig(monitor=LONG))
        await client.services.edit(story.name, story.change)
    if story.rolls_back:
        await client.services.wait(story.name, timeout=60)
        await client.services.rollback(story.name)
    phases: list[str] = []
    try:
        async with client.services.watch(story.name, timeout=90, **story.limits) as watch:
            async for progress in watch:
                phases.append(progress.phase)  # noqa: PERF401 -- what was seen before a failure counts
    except RolloutFailed as error:
        return type(error), str(error), phases
    return None, "", phases


LAST_PHASE: Final[dict[type[RolloutFailed] | None, str]] = {
    None: "converged",
    UpdatePaused: "paused",
    RolledBack: "rolled back",
    TasksFailing: "failing",
}


async def test_every_rollout_ends_as_it_should(client: SwarmClient, engine: Engine) -> None:
    nowhere(engine, NO_IMAGE)
    ended: dict[str, tuple[type[RolloutFailed] | None, str, list[str]]] = {}

    some = anyio.Semaphore(AT_ONCE)

    async def tell(story: Story) -> None:
        async with some:
            ended[story.name] = await told(client, story)

    async with anyio.create_task_group() as group:
        for story in STORIES:
            group.start_soon(tell, story)
    assert {story.name: story.ends for story in STORIES} == {name: kind for name, (kind, _, _) in ended.items()}
    for story in STORIES:
        kind, said, phases = ended[story.name]
        assert re.search(story.says, said), said
        assert LAST_PHASE[kind] == phases[-1]
        assert LAST_PHASE[kind] not in phases[:-1]
        assert kind is RolledBack or "rolling back" not in phases


# --- Docker's own program --------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """A change that Docker's own program makes and waits for, and how it and this package see it end."""

    name: str
    flags: Sequence[str]
    ends: type[RolloutFailed] | None = None
    status: tuple[int | None, ...] = (0,)
    """With which the program ends; None for when it does not."""
    says: str = "converged"
    """What the program says last."""
    options: Sequence[str] = ()
    """Of the service."""
    creates: bool = False
    """It is about `docker service create`."""


NEW: Final = ("--entrypoint", "sh -c ': new; exec sleep 1000'")
CRASHING: Final = ("--entrypoint", "sh -c 'exit 3'")
VERDICTS: Final = [
    Verdict("v-good", NEW, options=["--replicas", "2"]),
    Verdict("v-label", ["--label-add", "a=b"]),
    Verdict("v-force", ["--force"]),
    Verdict("v-none", ["--replicas", "0"]),
    Verdict("v-everywhere", NEW, options=["--mode", "global"]),
    Verdict("v-pauses", CRASHING, UpdatePaused, status=(1,), says="service update paused"),
    Verdict("v-job", ["--force"], says="job complete", options=["--mode", "replicated-job"]),
    # From here on the program is wrong: a rollback counts as success, and what never arrives is waited for for ever.
    Verdict("v-back", [*CRASHING, "--update-failure-action", "rollback"], RolledBack, says="rollback"),
    Verdict("v-on", [*CRASHING, "--update-failure-action", "continue"], TasksFailing, status=(None, 0)),
    Verdict("v-once", ["--restart-condition", "none"], TasksFailing, status=(None,), creates=True),
    Verdict("v-nowhere", ["--constraint", "node.labels.moon==full"], TasksFailing, status=(None,), creates=True),
]
FAST: Final = (
    "--update-monitor",
    "1s",
    "--rollback-monitor",
    "100ms",
    "--restart-delay",
    "0s",
    "--stop-signal",
    "KILL",
)


async def test_dockers_program_sees_rollouts_end_in_the_same_way_where_it_is_right(
    client: SwarmClient, engine: Engine, docker_program: Engine
) -> None:
    seen: dict[str, tuple[type[RolloutFailed] | None, int | None, str]] = {}

    some = anyio.Semaphore(AT_ONCE)

    async def compare(case: Verdict) -> None:
        async with some:
            seen[case.name] = await compared(case)

    async def compared(case: Verdict) -> tuple[type[RolloutFailed] | None, int | None, str]:
        job = "replicated-job" in case.options
        fast = () if job else FAST
        runs = "true" if job else "exit 3" if case.creates else FOREVER
        create = ["--name", case.name, *case.options, *fast, "--no-resolve-image"]
        container = ["busybox:1.36", "sh", "-c", runs]
        if case.creates:
            command = ["service", "create", *create, "--update-monitor", "10s", *case.flags, *container]
        else:
            flags = ["--detach=true", *(["--restart-condition", "none"] if job else [])]
            await anyio.to_thread.run_sync(
                lambda: docker_program.docker("service", "create", *flags, *create, *container)
            )
            await client.services.wait(case.name, timeout=60)
            monitor = [] if case.ends is None else ["--update-monitor", "10s"]
            command = ["service", "update", *monitor, *case.flags, case.name]
        return await beside(client, docker_program, case.name, command, leave=None in case.status)

    async with anyio.create_task_group() as group:
        for case in VERDICTS:
            group.start_soon(compare, case)
    assert {case.name: case.ends for case in VERDICTS} == {name: ours for name, (ours, _, _) in seen.items()}
    for case in VERDICTS:
        _, status, said = seen[case.name]
        assert status in case.status, case
        # Where time leaps ahead for us, the program sees the end, and little of what came before.
        assert None in case.status or isinstance(engine, FakeHarness) or case.says in said


async def beside(
    client: SwarmClient, engine: Engine, name: str, command: Sequence[str], *, leave: bool
) -> tuple[type[RolloutFailed] | None, int | None, str]:
    """How a wait ends for a change that Docker's program makes, and how the program does; None: not within our time."""

    async def version() -> int:
        found = await client.services.list(name=name)
        return found[0].version.index if found else 0

    arguments, environment = engine.docker_command(*command)
    before = await version()
    ours: type[RolloutFailed] | None = None
    async with await anyio.open_process(arguments, env=environment) as process:
        while await version() == before:
            await anyio.sleep(0.05)
        try:
            await client.services.wait(name, timeout=60, pending=2)
        except RolloutFailed as error:
            ours = type(error)
        if given_up := leave and process.returncode is None:
            process.kill()
        said = b""
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            async for part in stream:
                said += part
        status = await process.wait()
    return ours, None if given_up else status, said.decode()
