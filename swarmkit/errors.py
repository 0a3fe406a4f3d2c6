"""Every error of this package, and the reading of an engine's error answers. All are SwarmkitError:

    SwarmkitError
    ├ HostError                  the engine's address cannot be found out or used
    ├ CredentialsError           Docker's config file cannot be read, or the credentials asked for cannot be had
    ├ ClientClosed               the client was closed
    ├ UnsupportedFeature         the API version in use lacks what was asked for; nothing was sent
    ├ UnsupportedApiVersion      this package and the engine share no API version, or not the pinned one
    ├ InvalidReference           not an id, name or image reference; nothing was sent           (also a ValueError)
    ├ InvalidSpec                the engine would do something else, or it names what is not there; nothing was sent
    ├ EngineUnreachable          no connection, or it was lost; nothing was changed
    ├ EngineTimeout              no answer in time; nothing was changed
    ├ ProtocolError              what answered does not speak the Engine API
    ├ OutcomeUnknown             a change was sent and its answer lost
    ├ EngineError                the engine says no
    │   ├ BadRequest
    │   │   └ FailedPrecondition
    │   ├ Forbidden  NotFound  NameConflict  OutOfSequence  InUse  PortInUse
    │   ├ Unimplemented  NotAManager  SwarmLocked  NoQuorum
    │   └ AlreadyInSwarm  JoinPending  SwarmNotLocked
    ├ RolloutFailed              a rollout did not arrive
    │   └ UpdatePaused  RolledBack  TasksFailing  RolloutTimeout  Superseded  ServiceRemoved
    └ StreamError                a stream ended early
        └ StreamTruncated  LogStreamError

Owns: the tree; which engine answer is which error. Must not know: how an answer travels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from .models.rollout import Progress
from .versions import ApiVersion


class SwarmkitError(Exception):
    """The base of all errors of this package."""

    host: str = ""
    """The host that was asked, where the client has several; all of them where none could answer."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders whole, and are raised anew for each caller that shared one failed attempt.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[SwarmkitError], args: tuple[Any, ...], state: dict[str, Any]) -> SwarmkitError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Problem(NamedTuple):
    """One thing that is wrong with a request."""

    path: str
    """Where, in Docker's keys: `TaskTemplate.ContainerSpec.Mounts[0].Target`; empty for the whole."""
    reason: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class HostError(SwarmkitError):
    """The engine's address cannot be found out, is malformed, or of a kind that cannot be used."""


class CredentialsError(SwarmkitError):
    """Docker's config file cannot be read, or the credentials that were asked for cannot be had."""


class ClientClosed(SwarmkitError):
    """The client was closed, before the call or during it."""


class UnsupportedFeature(SwarmkitError):
    """The API version in use lacks something that was asked for. Nothing was sent."""

    problems: tuple[Problem, ...]
    """All that it lacks, each with what it needs."""
    version: ApiVersion
    """The API version in use."""

    def __init__(self, problems: Sequence[Problem], version: ApiVersion) -> None:
        super().__init__(f"API {version} lacks what was asked for: " + "; ".join(map(str, problems)))
        self.problems = tuple(problems)
        self.version = version


class UnsupportedApiVersion(SwarmkitError):
    """This package and the engine share no API version, or the engine does not speak the pinned one."""


class InvalidReference(SwarmkitError, ValueError):
    """Not an id, a name or an image reference. Nothing was sent."""


class InvalidSpec(SwarmkitError, ValueError):
    """The engine would accept this and do something else than it says, or it names what does not exist.

    Nothing was sent.
    """

    problems: tuple[Problem, ...]
    """All that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class EngineUnreachable(SwarmkitError):
    """There is no connection to the engine, or it was lost. The request changed nothing."""

    reason: str
    """A word for why: `missing`, `refused`, `silent`, `permission`, `address`, `tls`, `lost` or `other`."""
    reasons: dict[str, str]
    """Each host that was tried, and why it cannot be reached, in words."""

    def __init__(self, message: str, reason: str = "other", reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.reasons = dict(reasons or {})


class EngineTimeout(SwarmkitError):
    """The engine did not answer in time. The request changed nothing."""


class ProtocolError(SwarmkitError):
    """What answered does not speak the Engine API, or not as it is known."""


class OutcomeUnknown(SwarmkitError):
    """A change was sent and its answer lost: it may have happened. Look before you send it again."""

    method: str
    """HTTP method of the request."""
    path: str
    """Path of the request."""
    cause: str
    """What happened to the answer."""

    def __init__(self, method: str, path: str, cause: str) -> None:
        super().__init__(f"{method} {path} was sent, but its answer was lost ({cause}): it may have happened")
        self.method = method
        self.path = path
        self.cause = cause


class EngineError(SwarmkitError):
    """The engine says no."""

    status: int
    """HTTP status."""
    code: str | None
    """The manager's own code, such as `InvalidArgument`, where it gave one."""
    message: str
    """What the engine said, without that code."""
    method: str
    """HTTP method of the request."""
    path: str
    """Path of the request."""

    def __init__(self, status: int, code: str | None, message: str, method: str, path: str) -> None:
        super().__init__(f"{method} {path}: {message} (HTTP {status}{f', {code}' if code else ''})")
        self.status = status
        self.code = code
        self.message = message
        self.method = method
        self.path = path


class BadRequest(EngineError):
    """The engine cannot make sense of the request."""


class FailedPrecondition(BadRequest):
    """It makes sense, but not as things are: a node that is up cannot be removed, nor the last manager demoted."""


class Forbidden(EngineError):
    """The engine does not allow it."""


class NotFound(EngineError):
    """There is no such object."""


class NameConflict(EngineError):
    """The name is taken."""


class OutOfSequence(EngineError):
    """The object has changed since the version that the change was based on."""

    sent: int | None = None
    """The version index the change was based on."""
    current: int | None = None
    """The version index the object had when it was looked at after that."""


class InUse(EngineError):
    """The object cannot be removed while something uses it."""

    kind: str = ""
    """What it is: `secret`, `config` or `network`."""
    name: str = ""
    """Its name, or its id where the engine says that."""
    by: tuple[str, ...] = ()
    """What uses it, as the engine says it: names of services; of a network, the id of a service or task, or names."""


class PortInUse(EngineError):
    """Another service publishes the port."""


class Unimplemented(EngineError):
    """No engine can do it, such as renaming a service or changing its mode."""


class NotAManager(EngineError):
    """The engine is not a manager of a swarm."""

    state: str = "inactive"
    """What it is: `inactive`, `worker`, or `pending` while it starts."""


class SwarmLocked(EngineError):
    """The manager was restarted, and its swarm is locked: it needs the unlock key."""


class NoQuorum(EngineError):
    """The swarm has no leader, or no manager can be reached. A change answered so may have happened."""


class AlreadyInSwarm(EngineError):
    """The engine is part of a swarm already."""


class JoinPending(EngineError):
    """The engine has not joined the swarm in its 20 s, and goes on trying: its /info says when it is in."""


class SwarmNotLocked(EngineError):
    """The manager is not locked: there is nothing to unlock, and the key was not looked at."""


class RolloutFailed(SwarmkitError):
    """A rollout did not arrive."""

    progress: Progress
    """Where it was when that was known."""
    others: tuple[Progress, ...]
    """Where the other services were that were waited for with it."""

    def __init__(self, progress: Progress, others: Sequence[Progress] = ()) -> None:
        errors = f" ({'; '.join(progress.errors[:3])})" if progress.errors else ""
        super().__init__(f"{progress}{errors}")
        self.progress = progress
        self.others = tuple(others)


class UpdatePaused(RolloutFailed):
    """The manager paused the update, or the rollback, because tasks fail."""


class RolledBack(RolloutFailed):
    """The manager went back to the previous spec because tasks of the new one fail."""


class TasksFailing(RolloutFailed):
    """Tasks fail again and again, or end and are not replaced, or no node takes them."""


class RolloutTimeout(RolloutFailed):
    """It did not arrive in the time given. It may still."""


class Superseded(RolloutFailed):
    """Another change came in between."""


class ServiceRemoved(RolloutFailed):
    """The service was removed."""


class StreamError(SwarmkitError):
    """A stream ended early."""


class StreamTruncated(StreamError):
    """The connection was lost in the middle of a stream."""


class LogStreamError(StreamError):
    """The engine says inside a log stream that it cannot go on."""


# --- reading an engine's answer ------------------------------------------------------------------------------------

_RPC: Final = re.compile(r"rpc error: code = (\w+) desc = (.*)", re.DOTALL)
_MESSAGE_LIMIT: Final = 64 * 1024


def engine_error(status: int, body: bytes, method: str, path: str, *, reason: str = "") -> SwarmkitError:
    """The error that an answer with this status and body means.

    The manager's code and words tell errors apart, the status only where those say nothing: a conflict is a 500,
    an object in use a 400, a lost leader a 500.
    """
    raw = _message(body) or reason or f"HTTP status {status}"
    code, message = rpc.groups() if (rpc := _RPC.fullmatch(raw)) else (None, raw)
    if re.match(r"client version \S+ is too (new|old)\b", message):
        return UnsupportedApiVersion(f"{method} {path}: {message}")
    kind = _BY_CODE.get(code or "")
    found: re.Match[str] | None = None
    for pattern, meaning in _BY_MESSAGE if kind is None else ():
        if found := pattern.match(message):
            kind = meaning
            break
    kind = kind or _BY_CODE_AT_LAST.get(code or "") or _BY_STATUS.get(status, EngineError)
    error = kind(status, code, message, method, path)
    if isinstance(error, InUse) and found is not None:
        error.kind, error.name = found["kind"], found["name"]
        error.by = tuple(re.split(r",\s*", found["by"])) if found["by"] else ()
    elif isinstance(error, NotAManager):
        error.state = (
            "worker" if "Worker nodes" in message else "pending" if "being prepared" in message else "inactive"
        )
    return error


def _message(body: bytes) -> str:
    text = body[:_MESSAGE_LIMIT].decode(errors="replace").strip()
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    message = cast("dict[str, Any]", parsed).get("message") if isinstance(parsed, dict) else None
    return message.strip() if isinstance(message, str) and message.strip() else text


_BY_CODE: Final[dict[str, type[EngineError]]] = {
    "AlreadyExists": NameConflict,
    "Canceled": NoQuorum,
    "DeadlineExceeded": NoQuorum,
    "NotFound": NotFound,
    "PermissionDenied": Forbidden,
    "Unavailable": NoQuorum,  # a manager passed it on to one that was killed, or could not
    "Unimplemented": Unimplemented,
}
# Anchored, because messages quote what users wrote.
_BY_MESSAGE: Final[tuple[tuple[re.Pattern[str], type[EngineError]], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (r"update out of sequence\Z", OutOfSequence),
        (r"name conflicts with an existing object\Z", NameConflict),
        (r"The swarm does not have a leader", NoQuorum),
        (r"raft: failed to process the request: node lost leader status\Z", NoQuorum),
        (r"context deadline exceeded\Z", NoQuorum),
        (r"could not find local IP address: ", NoQuorum),
        (r"Swarm is encrypted and (?:needs to be unlocked|locked)", SwarmLocked),
        (r"swarm is not locked\Z", SwarmNotLocked),
        (r"swarm could not be unlocked: invalid key provided\Z", Forbidden),
        (r"You are attempting to leave the swarm", Forbidden),
        (r"This node is already part of a swarm", AlreadyInSwarm),
        (r"Timeout was reached before node joined", JoinPending),
        (r"invalid join token\Z|remote CA does not match fingerprint", BadRequest),
        (r"could not parse listen address |invalid Availability: |Datapath port number is not in valid ", BadRequest),
        (r"invalid base pool |invalid CIDR: ", BadRequest),
        (r"This node is not (?:a swarm manager|part of a swarm)", NotAManager),
        (r"(?P<kind>secret|config) '(?P<name>[^']*)' is in use by the following services?: (?P<by>.+)\Z", InUse),
        (r"(?P<kind>network) (?P<name>\S+) is in use by (?:service|task) (?P<by>\S+)\Z", InUse),
        (
            r"error while removing network: (?P<kind>network) (?P<name>\S+) (?:id \S+ )?has active endpoints"
            r"(?: \((?P<by>.*)\))?\Z",
            InUse,
        ),
        (r"(?P<name>ingress) (?P<kind>network) cannot be removed because service (?P<by>\S+) depends on it\Z", InUse),
        (r"port '\d+' is already in use by service ", PortInUse),
    )
)
_BY_CODE_AT_LAST: Final[dict[str, type[EngineError]]] = {"FailedPrecondition": FailedPrecondition}
"""Codes that say less than the words."""
_BY_STATUS: Final[dict[int, type[EngineError]]] = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    409: NameConflict,
    501: Unimplemented,
}
