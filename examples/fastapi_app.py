"""A backend that runs services: deploy, scale, roll back, follow rollouts and logs. A file to copy and to change.

    pip install fastapi-offline uvicorn
    uvicorn --app-dir examples --timeout-graceful-shutdown 5 fastapi_app:app

It talks to the engine that DOCKER_HOST, the current context or the default socket leads to, which must manage a swarm.
http://127.0.0.1:8000/docs describes it and tries it out; fastapi-offline serves that page without the internet.
It asks nobody who they are: that belongs in front of it, or into a dependency of the router.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi_offline import FastAPIOffline
from pydantic import AwareDatetime, BaseModel, NonNegativeInt

import swarmkit as sk
from swarmkit import LogStream, Progress, Service, ServiceSpec, ServiceUpdated, SwarmClient

# --- errors ----------------------------------------------------------------------------------------------------------

KINDS: dict[int, tuple[type[Exception], ...]] = {
    400: (sk.BadRequest,),
    403: (sk.Forbidden,),
    404: (sk.NotFound, sk.ServiceRemoved),
    409: (
        sk.NameConflict,
        sk.OutOfSequence,
        sk.FailedPrecondition,
        sk.InUse,
        sk.PortInUse,
        sk.AlreadyInSwarm,
        sk.SwarmNotLocked,
        sk.RolloutFailed,
    ),
    422: (sk.InvalidSpec, sk.InvalidReference, sk.UnsupportedFeature, sk.Unimplemented, RequestValidationError),
    500: (sk.SwarmkitError,),  # all that is not named: this backend is not set up as it should be
    502: (sk.EngineError, sk.OutcomeUnknown, sk.ProtocolError, sk.StreamError),
    503: (sk.NotAManager, sk.NoQuorum, sk.SwarmLocked, sk.JoinPending, sk.EngineUnreachable, sk.ClientClosed),
    504: (sk.EngineTimeout, sk.RolloutTimeout),
}
STATUS = {kind: status for status, kinds in KINDS.items() for kind in kinds}
"""The status of each error. One that is not here has that of the nearest kind above it."""


class Failure(BaseModel):
    """Why something failed, as RFC 9457 has it. `error` is the name of swarmkit's error, for programs."""

    title: str
    status: int
    detail: str
    error: str
    problems: list[dict[str, str]] = []
    settle: str | None = None

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        status = HTTPStatus(next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS))
        failure = cls(title=status.phrase, status=status, detail=str(error), error=type(error).__name__)
        if isinstance(error, RequestValidationError):
            failure.detail = "the request is not as it should be"  # its own text shows what was sent
            failure.problems = [{"path": ".".join(map(str, e["loc"])), "reason": e["msg"]} for e in error.errors()]
        elif isinstance(error, sk.InvalidSpec | sk.UnsupportedFeature):
            failure.problems = [problem._asdict() for problem in error.problems]
        elif isinstance(error, sk.OutcomeUnknown):
            failure.settle = "Look at the service before sending this again; PUT and DELETE can simply be sent again."
        return failure


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    failure = Failure.of(error)
    body = failure.model_dump(exclude_defaults=True)
    return JSONResponse(body, failure.status, media_type="application/problem+json")


# --- what comes back besides swarmkit's own models -------------------------------------------------------------------


class Deployed(BaseModel):
    """What was done, and what was not as asked for."""

    id: str
    outcome: Literal["created", "updated", "unchanged"]
    changes: list[str]
    warnings: list[str]


class Line(BaseModel):
    """One line that a task wrote."""

    time: datetime | None
    stream: str
    slot: int | None
    task_id: str
    message: str


class Verdict(BaseModel):
    """What came of a rollout."""

    converged: bool
    failure: Failure | None = None


# Pages that show OpenAPI do not know yet how to show what a stream is made of.
EVENTS = 'event: progress\ndata: {"service_name": "web", "phase": "updating", "wanted": 2, "arrived": 1, …}\n\n' \
         'event: verdict\ndata: {"converged": true}\n'  # fmt: skip
LINE = {"time": "2026-11-24T11:19:05.569719Z", "stream": "stdout", "slot": 1, "task_id": "…", "message": "ready"}
FAILURE = {"title": "Not Found", "status": 404, "detail": "service web not found", "error": "NotFound"}


# --- what routes are given -------------------------------------------------------------------------------------------


def client_of(request: Request) -> SwarmClient:
    client: SwarmClient = request.state.client
    return client


Client = Annotated[SwarmClient, Depends(client_of)]
Name = Annotated[str, Path(description="Name or id of the service.")]


async def service_of(client: Client, name: Name) -> Service:
    return await client.services.inspect(name)


async def logs_of(
    client: Client,
    name: Name,
    follow: Annotated[bool, Query(description="Go on as lines are written, until the caller goes away.")] = False,
    tail: Annotated[NonNegativeInt | Literal["all"], Query(description="The last lines of each task.")] = "all",
    since: Annotated[AwareDatetime | None, Query(description="Nothing older than this.")] = None,
) -> AsyncGenerator[LogStream]:
    """The lines of a service: opened before the answer begins, so that errors have a status, and always closed."""
    stream = client.services.logs(name, follow=follow, tail=tail, since=since, timestamps=True, resume=follow)
    async with stream as lines:
        yield lines


# --- routes ----------------------------------------------------------------------------------------------------------

FAILS = {
    "description": "It failed: `status` says in which way, `error` and `detail` say why.",
    "content": {"application/problem+json": {"schema": Failure.model_json_schema(), "example": FAILURE}},
}
router = APIRouter(prefix="/services", tags=["services"], responses={"default": FAILS})


@router.get("", response_model_exclude_unset=True)
async def list_services(client: Client) -> list[Service]:
    """All services, with the numbers of their tasks."""
    return await client.services.list(status=True)


@router.put("/{name}", responses={201: {"model": Deployed}})
async def deploy(client: Client, name: str, spec: ServiceSpec, response: Response) -> Deployed:
    """Make the service of this name what the body says: create it, update it, or leave it alone if it is that."""
    if spec.name not in (None, name):
        raise sk.InvalidSpec([sk.Problem("Name", f"is {spec.name!r}, where the path says {name!r}")])
    spec.name = name
    done = await client.services.apply(spec)
    response.status_code = HTTPStatus.CREATED if done.outcome == "created" else HTTPStatus.OK
    changes = [str(change) for change in done.changes]  # as text, which leaves out what may be secret
    return Deployed(id=done.id, outcome=done.outcome, changes=changes, warnings=[*done.warnings])


@router.get("/{name}", response_model_exclude_unset=True)
async def inspect(service: Annotated[Service, Depends(service_of)]) -> Service:
    """The service as the engine has it."""
    return service


@router.delete("/{name}", status_code=204)
async def remove(client: Client, name: Name) -> None:
    """Remove the service. Its tasks are shut down after that."""
    await client.services.remove(name)


@router.post("/{name}/scale")
async def scale(client: Client, name: Name, replicas: NonNegativeInt) -> ServiceUpdated:
    """Set the number of replicas."""
    return await client.services.scale(name, replicas)


@router.post("/{name}/rollback")
async def roll_back(client: Client, name: Name) -> ServiceUpdated:
    """Go back to the spec before this one."""
    return await client.services.rollback(name)


@router.get("/{name}/status")
async def read_status(client: Client, name: Name) -> Progress:
    """Where the service is now, on its way to what it should be."""
    return await anext(client.services.watch(name))


@router.get(
    "/{name}/rollout",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": EVENTS}}}},
)
async def follow_rollout(
    client: Client,
    service: Annotated[Service, Depends(service_of)],
    timeout: Annotated[float, Query(gt=0, description="Seconds that the rollout may take.")] = 600,
) -> AsyncIterable[ServerSentEvent]:
    """The rollout step by step: an event `progress` for each step, and at the end one event `verdict`.

    Close an EventSource on the verdict: left open it connects again, and is told of the same rollout once more.
    """
    verdict = Verdict(converged=True)
    try:
        async for progress in client.services.watch(service.id, timeout=timeout):
            yield ServerSentEvent(event="progress", data=progress)
    except sk.SwarmkitError as error:
        verdict = Verdict(converged=False, failure=Failure.of(error))
    yield ServerSentEvent(event="verdict", data=verdict.model_dump(exclude_defaults=True))


@router.get("/{name}/logs", responses={200: {"content": {"application/jsonl": {"example": LINE}}}})
async def read_logs(lines: Annotated[LogStream, Depends(logs_of)]) -> AsyncIterable[Line]:
    """What the tasks wrote, one JSON object a line."""
    async for line in lines:
        yield Line(time=line.timestamp, stream=line.stream, slot=line.slot, task_id=line.task_id, message=line.message)


# --- the application -------------------------------------------------------------------------------------------------


def create_app(connect: Callable[[], SwarmClient] = SwarmClient) -> FastAPI:
    """The backend, with the client that `connect` makes; it is closed when the server stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, SwarmClient]]:
        async with connect() as client:
            yield {"client": client}

    app = FastAPIOffline(title="Services", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(sk.SwarmkitError, answer_error)
    app.add_exception_handler(RequestValidationError, answer_error)
    return app


app = create_app()
