"""The main job, step by step: create a service, watch it converge, read its logs, update, scale, roll back, remove.

Runs on the engine that DOCKER_HOST, the current context or the default socket leads to, if it manages a swarm
(`docker swarm init` makes it one); it must have, or be able to pull, the two images. Where there is no such engine the
story is told on the embedded one, which needs no Docker and no time.

    python examples/rollout.py [IMAGE [NEWER_IMAGE]]
"""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial

import anyio

from swarmkit import (
    ContainerSpec,
    EngineUnreachable,
    HostError,
    NotAManager,
    Replicated,
    RolledBack,
    Rollout,
    Service,
    SwarmClient,
    SwarmkitError,
    TaskTemplate,
    UpdateConfig,
)
from swarmkit.testing import FakeEngine

NAME = "swarmkit-demo"
SCRIPT = 'trap "exit 0" TERM; echo "hello from task $TASK in slot $SLOT"; while :; do sleep 1; done'


def say(text: str) -> None:
    print(text, flush=True)


def arrived(rollout: Rollout) -> str:
    progress = rollout.progress
    return f"{progress.arrived} of {progress.wanted} tasks run, after {rollout.seconds:.1f} s"


def describe(service: Service) -> str:
    return f"{service.spec.replicas} replicas of {service.spec.image}, version index {service.version.index}"


async def tell(client: SwarmClient, image: str, newer: str) -> None:
    services = client.services
    say(f"1. create: {NAME}, two replicas of {image}")
    template = TaskTemplate(
        container_spec=ContainerSpec(
            image,
            command=["sh", "-c", SCRIPT],
            env={"TASK": "{{.Task.ID}}", "SLOT": "{{.Task.Slot}}"},
            stop_grace_period=timedelta(seconds=2),
        )
    )
    careful = UpdateConfig(parallelism=1, monitor=timedelta(seconds=1), failure_action="rollback")
    created = await services.create(template, name=NAME, mode=Replicated(replicas=2), update_config=careful)
    for warning in created.warnings:
        say(f"   warning: {warning}")

    say("2. converge")
    say(f"   {arrived(await services.wait(NAME, timeout=120))}")

    say("3. logs")
    async with services.logs(NAME, timestamps=True) as lines:
        async for line in lines:
            say(f"   {line.timestamp:%H:%M:%S} {line.stream}: {line.message}")

    say(f"4. update: the image alone, to {newer}")
    await services.update(NAME, task_template=TaskTemplate(container_spec=ContainerSpec(newer)))
    say(f"   {arrived(await services.wait(NAME, timeout=120))}")
    say(f"   {describe(await services.inspect(NAME))}")

    say("5. scale to 3")
    await services.scale(NAME, 3)
    say(f"   {arrived(await services.wait(NAME, timeout=120))}")

    say("6. an update whose tasks fail: the manager rolls it back, and wait says so")
    await services.update(NAME, task_template=TaskTemplate(container_spec=ContainerSpec(command=["false"])))
    try:
        await services.wait(NAME, timeout=300)
    except RolledBack as error:
        say(f"   RolledBack: {error}")
    say(f"   {describe(await services.inspect(NAME))}")

    say("7. roll back by hand: scale to 1, and return to what was before")
    await services.scale(NAME, 1)
    await services.rollback(NAME)
    say(f"   {arrived(await services.wait(NAME, timeout=120))}")
    say(f"   {describe(await services.inspect(NAME))}")


async def find_engine() -> SwarmClient:
    """A client of the user's engine; of the embedded one where that does not manage a swarm."""
    try:
        client = SwarmClient()
        await client.services.list(name=NAME)
    except (EngineUnreachable, HostError) as error:
        say(f"no Docker engine: {error}")
    except NotAManager as error:
        say(f"this engine does not manage a swarm (docker swarm init): {error.message}")
    else:
        return client
    say("so this is the embedded engine of swarmkit.testing: nothing runs, and the seconds below take no time")
    return FakeEngine().client()


async def main(image: str = "busybox:1.36", newer: str = "busybox:1.37") -> str | None:
    """Tell the story; return what went wrong where it cannot be told."""
    try:
        async with await find_engine() as client:
            say(f"talking API {await client.api_version()}")
            if await client.services.list(name=NAME):
                return f"there is a service {NAME} already; remove it first"
            try:
                await tell(client, image, newer)
            finally:
                with anyio.CancelScope(shield=True):
                    if await client.services.list(name=NAME):
                        await client.services.remove(NAME)
                        say("8. removed")
    except SwarmkitError as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(anyio.run(partial(main, *sys.argv[1:3])))
