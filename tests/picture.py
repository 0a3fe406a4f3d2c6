"""Owns the picture in docs/progress.md, which shows the embedded engine at work: `python -m tests.picture` draws it."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Final

import anyio
from rich.console import Console, RenderableType

from swarmkit import (
    ContainerSpec,
    Placement,
    Progress,
    Replicated,
    ReplicatedJob,
    TaskTemplate,
    UpdateConfig,
    progress,
)
from swarmkit.testing import FakeEngine

PICTURE: Final = Path(__file__).parents[1] / "docs" / "progress.svg"
_SECONDS: Final = 2.6
WIDTH: Final = 106


def _task(image: str, placement: Placement | None = None) -> TaskTemplate:
    return TaskTemplate(container_spec=ContainerSpec(image), placement=placement)


async def moment() -> RenderableType:
    """Four services: an update that goes on over failures, a job, many replicas, and a task that no node takes."""
    engine = FakeEngine()
    for name in ("worker-1", "worker-2", "worker-3"):
        engine.add_node(name)
    services = engine.client().services
    slowly = UpdateConfig(parallelism=1, failure_action="continue", monitor=timedelta(seconds=1))
    by_tens = UpdateConfig(parallelism=10)
    await services.create(_task("shop:1"), name="shop", mode=Replicated(replicas=4), update_config=slowly)
    await services.create(_task("worker:1"), name="workers", mode=Replicated(replicas=40), update_config=by_tens)
    await services.wait("shop", "workers")
    engine.fail_tasks(image="shop:2", after=0.3, times=1)
    began = engine.clock.now()
    await services.create(_task("migrations:2"), name="migrate", mode=ReplicatedJob(total_completions=1))
    await services.create(_task("reports:2", Placement(constraints=["node.labels.gpu==yes"])), name="reports")
    await services.update("shop", task_template=_task("shop:2"))
    await services.update("workers", task_template=_task("worker:2"))
    stood: dict[str, Progress] = {}
    async for news in services.watch("shop", "migrate", "workers", "reports"):
        stood[news.service_id] = news
        if engine.clock.now() - began >= _SECONDS:
            break
    return progress.view(*stood.values(), seconds=engine.clock.now() - began)


def draw() -> str:
    """The picture, as a terminal has it."""
    page = Console(file=io.StringIO(), record=True, force_terminal=True, color_system="standard", width=WIDTH)
    page.print(anyio.run(moment), "")  # room below the last line
    return page.export_svg(title="python deploy.py", unique_id="progress")


if __name__ == "__main__":
    PICTURE.write_text(draw())
