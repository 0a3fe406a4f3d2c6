"""The service spec with its mode, update, rollback and endpoint parts, and the service that a manager keeps of it."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from ..versions import Since
from ._edits import Edits
from ._wire import Duration, Float, Int, Timestamp, WireModel
from .common import ObjectVersion, SwarmObject
from .container import ContainerSpec
from .endpoint import Endpoint, EndpointSpec
from .network import NetworkAttachmentConfig
from .task import TaskTemplate

FailureAction = Literal["pause", "continue", "rollback"] | str
Order = Literal["stop-first", "start-first"] | str


class Replicated(WireModel):
    """A number of tasks."""

    replicas: Int | None = None
    """How many; engines default to 1."""


class Global(WireModel):
    """One task on every node."""


class ReplicatedJob(WireModel):
    """A number of tasks that each run to completion."""

    max_concurrent: Int | None = None
    """How many at a time; engines default to 1."""
    total_completions: Int | None = None
    """How many have to complete; engines default to `max_concurrent`."""


class GlobalJob(WireModel):
    """One task on every node that runs to completion."""


class ServiceMode(WireModel):
    """How many tasks there are: exactly one of the four."""

    replaced_whole: ClassVar[bool] = True

    replicated: Replicated | None = None
    """A number of tasks."""
    global_: Annotated[Global | None, Field(alias="Global")] = None
    """One task on every node."""
    replicated_job: Annotated[ReplicatedJob | None, Since("1.41", presence=True)] = None
    """A number of tasks that each run to completion."""
    global_job: Annotated[GlobalJob | None, Since("1.41", presence=True)] = None
    """One task on every node that runs to completion."""

    @classmethod
    def of(cls, mode: "Mode") -> Self:
        """The mode that this part describes; a whole mode as it is."""
        match mode:
            case Replicated():
                return cls(replicated=mode)
            case Global():
                return cls(global_=mode)
            case ReplicatedJob():
                return cls(replicated_job=mode)
            case GlobalJob():
                return cls(global_job=mode)
            case _:
                return cls.model_validate(mode)

    @property
    def is_job(self) -> bool:
        """Its tasks run to completion."""
        return self.replicated_job is not None or self.global_job is not None


Mode = ServiceMode | Replicated | Global | ReplicatedJob | GlobalJob
"""What a `mode=` takes: a whole mode, or the part that says it."""


class UpdateConfig(WireModel):
    """How an update replaces tasks."""

    parallelism: Int | None = None
    """Tasks replaced at a time, 0 for all; 1 without an update config, 0 with one that does not say."""
    delay: Duration | None = None
    """Time between one batch and the next."""
    failure_action: Annotated[FailureAction | None, Since("1.28", value="rollback")] = None
    """What to do when too many new tasks fail; engines default to pause."""
    monitor: Annotated[Duration | None, Since("1.25")] = None
    """Time after which a new task that still runs counts as good; 0 is the engine's default, 5 s."""
    max_failure_ratio: Annotated[Float | None, Since("1.25")] = None
    """Share of new tasks that may fail, 0 to 1."""
    order: Annotated[Order | None, Since("1.29", idle="stop-first")] = None
    """Whether the old task stops before the new one starts; engines default to stop-first."""


class RollbackConfig(WireModel):
    """How a rollback replaces tasks."""

    parallelism: Int | None = None
    """Tasks replaced at a time, 0 for all."""
    delay: Duration | None = None
    """Time between one batch and the next."""
    failure_action: Literal["pause", "continue"] | str | None = None
    """What to do when too many tasks fail; engines default to pause."""
    monitor: Duration | None = None
    """Time after which a task that still runs counts as good; 0 is the engine's default, 5 s."""
    max_failure_ratio: Float | None = None
    """Share of tasks that may fail, 0 to 1."""
    order: Annotated[Order | None, Since("1.29", idle="stop-first")] = None
    """Whether the old task stops before the new one starts; engines default to stop-first."""


_EXAMPLE: Final[JsonDict] = {
    "Name": "web",
    "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1.28", "Env": ["TZ=UTC"]}},
    "Mode": {"Replicated": {"Replicas": 2}},
    "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]},
}
"""What pages show that are made from its schema: without one they show every field there is."""


class ServiceSpec(WireModel, Edits):
    """All that a user says about a service."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: str | None = None
    """Name, unique in the swarm; it cannot change."""
    labels: dict[str, str] | None = None
    """Labels of the service."""
    task_template: TaskTemplate | None = None
    """What its tasks run."""
    mode: ServiceMode | None = None
    """How many tasks; engines default to one replica."""
    update_config: UpdateConfig | None = None
    """How updates replace tasks."""
    rollback_config: Annotated[RollbackConfig | None, Since("1.28", presence=True)] = None
    """How rollbacks replace tasks."""
    networks: list[NetworkAttachmentConfig] | None = None
    """Left over from API 1.24: networks belong into the task template."""
    endpoint_spec: EndpointSpec | None = None
    """How it is reached."""

    @property
    def container(self) -> ContainerSpec:
        """The container spec, to read and to change.

        Raises:
            ValueError: there is none, as in a plugin service.
        """
        if self.task_template is None or self.task_template.container_spec is None:
            raise ValueError("this service spec has no container spec")
        return self.task_template.container_spec

    @property
    def image(self) -> str:
        """The image of the container; empty where there is none."""
        container = None if self.task_template is None else self.task_template.container_spec
        return (container and container.image) or ""

    @property
    def replicas(self) -> int:
        """The number of tasks that should run at a time.

        Raises:
            ValueError: the mode is global: the number of nodes decides.
        """
        mode = self.mode
        if mode is None or (mode.replicated is not None and mode.replicated.replicas is None):
            return 1
        if mode.replicated is not None and mode.replicated.replicas is not None:
            return mode.replicated.replicas
        if mode.replicated_job is not None:
            job = mode.replicated_job
            return 1 if job.max_concurrent is None else job.max_concurrent
        raise ValueError("a global service has no number of replicas: the nodes decide")


class UpdateStatus(WireModel):
    """How far the last update or rollback has come."""

    state: (
        Literal["updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"]
        | str
        | None
    ) = None
    """The state."""
    started_at: Timestamp = None
    """When it began."""
    completed_at: Timestamp = None
    """When it ended; None while it runs."""
    message: str | None = None
    """What the manager says about it."""


class JobStatus(WireModel):
    """The last run of a job."""

    job_iteration: ObjectVersion | None = None
    """Its number: tasks carry the same."""
    last_execution: Timestamp = None
    """When it began."""


class ServiceStatus(WireModel):
    """Numbers of tasks, in lists asked for with `status`."""

    running_tasks: Int | None = None
    """Tasks that run."""
    desired_tasks: Int | None = None
    """Tasks that should run."""
    completed_tasks: Int | None = None
    """Tasks of a job that have completed."""


class Service(SwarmObject):
    """A service as the manager keeps it."""

    spec: ServiceSpec
    """What the user asked for."""
    previous_spec: ServiceSpec | None = None
    """What a rollback goes back to."""
    endpoint: Endpoint | None = None
    """How it is reached."""
    update_status: UpdateStatus | None = None
    """The last update or rollback, if there was one."""
    service_status: ServiceStatus | None = None
    """Numbers of tasks, in lists asked for with `status`."""
    job_status: JobStatus | None = None
    """The last run, of a job."""

    @property
    def name(self) -> str:
        """Name of the service."""
        return self.spec.name or ""


Warnings = Annotated[list[str], BeforeValidator(lambda value: value or [])]
"""What the engine, or this package, remarks; engines send null for none."""


class ServiceCreated(WireModel):
    """The service that was created."""

    id: str
    """Id of the service."""
    warnings: Warnings = Field(default_factory=list)
    """Remarks, mostly none."""


class ServiceUpdated(WireModel):
    """A change that was accepted."""

    warnings: Warnings = Field(default_factory=list)
    """Remarks, mostly none."""
