"""What a rollout looks like from outside: where each slot or node is, and what came of it."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from .service import UpdateStatus

Phase = Literal["updating", "verifying", "converged", "rolling back", "rolled back", "paused", "failing"]
_DESCRIBED: Final = ConfigDict(use_attribute_docstrings=True)
"""For what makes a schema of these classes, as FastAPI does; nothing else reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotProgress:
    """One slot of a replicated service, or one node of a global one."""

    __pydantic_config__: ClassVar = _DESCRIBED

    slot: int | None = None
    """The slot; None in global services."""
    node_id: str | None = None
    """The node, once one is assigned."""
    task_id: str
    """The task that stands for the slot now."""
    state: str
    """Where that task is."""
    desired_state: str
    """Where the manager wants it."""
    error: str = ""
    """What went wrong with it, in the engine's words."""
    failures: int = 0
    """How many tasks of the slot have failed since the wait began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the rollout of a service is."""

    __pydantic_config__: ClassVar = _DESCRIBED

    service_id: str
    """Id of the service."""
    service_name: str
    """Name of the service."""
    phase: Phase
    """Where the rollout is as a whole."""
    wanted: int
    """Tasks that should run, or complete in a job."""
    arrived: int
    """Tasks that do."""
    slots: tuple[SlotProgress, ...] = ()
    """Slots or nodes with a task made from the present spec."""
    update_status: UpdateStatus | None = None
    """What the manager says about the last update or rollback."""
    message: str = ""
    """What stands in the way, in one line; empty where nothing does."""
    errors: tuple[str, ...] = ()
    """What went wrong with tasks since the wait began, in the engine's words, each once."""

    def __str__(self) -> str:
        line = f"service {self.service_name or self.service_id}: {self.phase}, {self.arrived} of {self.wanted} tasks"
        return f"{line}: {self.message}" if self.message else line


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Rollouts that arrived."""

    __pydantic_config__: ClassVar = _DESCRIBED

    services: tuple[Progress, ...]
    """Where each service ended, in the order in which they were asked for."""
    seconds: float = field(compare=False)
    """How long the wait took."""

    @property
    def progress(self) -> Progress:
        """Where the one service ended.

        Raises:
            ValueError: there are several.
        """
        if len(self.services) != 1:
            raise ValueError(f"the rollout is of {len(self.services)} services: look into `services`")
        return self.services[0]
