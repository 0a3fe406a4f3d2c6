"""Which engine answer is which error, what errors keep, and that the tree drawn in `swarmkit.errors` is the tree."""

from __future__ import annotations

import copy
import json
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from swarmkit import errors
from swarmkit.errors import (
    AlreadyInSwarm,
    BadRequest,
    ClientClosed,
    CredentialsError,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    FailedPrecondition,
    Forbidden,
    HostError,
    InUse,
    InvalidReference,
    InvalidSpec,
    JoinPending,
    LogStreamError,
    NameConflict,
    NoQuorum,
    NotAManager,
    NotFound,
    OutcomeUnknown,
    OutOfSequence,
    PortInUse,
    Problem,
    ProtocolError,
    RolledBack,
    RolloutFailed,
    RolloutTimeout,
    ServiceRemoved,
    StreamError,
    StreamTruncated,
    Superseded,
    SwarmkitError,
    SwarmLocked,
    SwarmNotLocked,
    TasksFailing,
    Unimplemented,
    UnsupportedApiVersion,
    UnsupportedFeature,
    UpdatePaused,
    engine_error,
)
from swarmkit.models.rollout import Progress
from swarmkit.models.service import UpdateStatus
from swarmkit.versions import ApiVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def answered(status: int, message: str) -> SwarmkitError:
    body = json.dumps({"message": message}).encode() + b"\n"
    return engine_error(status, body, "POST", "/services/create")


def rpc(code: str, message: str) -> str:
    return f"rpc error: code = {code} desc = {message}"


# --- what real engines answer ----------------------------------------------------------------------------------------

ANSWERS: list[tuple[int, str, type[SwarmkitError]]] = [
    (409, rpc("AlreadyExists", "name conflicts with an existing object: service rel-a already exists"), NameConflict),
    (500, rpc("Unknown", "update out of sequence"), OutOfSequence),
    (400, "invalid service version '': strconv.ParseUint: parsing \"\": invalid syntax", BadRequest),
    (400, "invalid service version '18446744073709551616': value out of range", BadRequest),
    (404, "service rel-nope not found", NotFound),
    (404, "task relnope not found", NotFound),
    (404, "node relnope not found", NotFound),
    (404, "secret relnope not found", NotFound),
    (404, "config relnope not found", NotFound),
    (404, "network rel-nope not found", NotFound),
    (400, "service q is ambiguous (5 matches found)", BadRequest),
    (501, rpc("Unimplemented", "renaming services is not supported"), Unimplemented),
    (501, rpc("Unimplemented", "service mode change is not allowed"), Unimplemented),
    (400, "mismatched Runtime and *Spec fields", BadRequest),
    (400, rpc("FailedPrecondition", "service abc does not have a previous spec"), FailedPrecondition),
    (500, "unrecognized rollback option bogus", EngineError),
    (500, "unsupported registryAuthFrom value", EngineError),
    (400, "invalid registryAuthFrom 'bogus'", BadRequest),
    (400, 'invalid value for insertDefaults: maybe: strconv.ParseBool: parsing "maybe": invalid syntax', BadRequest),
    (400, "unexpected EOF", BadRequest),
    (400, "invalid JSON: unexpected EOF", BadRequest),
    (400, "got EOF while reading request body", BadRequest),
    (400, "json: cannot unmarshal array into Go value of type swarm.ServiceSpec", BadRequest),
    (400, "invalid JSON: json: cannot unmarshal number -1 into Go struct field ServiceSpec.Mode", BadRequest),
    (400, rpc("InvalidArgument", "name must be valid as a DNS name component"), BadRequest),
    (400, rpc("InvalidArgument", "name must be 63 characters or fewer"), BadRequest),
    (400, rpc("InvalidArgument", "ContainerSpec: image reference must be provided"), BadRequest),
    (400, rpc("InvalidArgument", 'ContainerSpec: "INVALID IMAGE" is not a valid repository/tag'), BadRequest),
    (400, "must specify only one service mode", BadRequest),
    (
        400,
        rpc("InvalidArgument", "port '28080' is already in use by service 'rel-port' (abc) as an ingress port"),
        PortInUse,
    ),
    (400, rpc("InvalidArgument", "EndpointSpec: duplicate published ports provided"), BadRequest),
    (
        400,
        rpc("InvalidArgument", "EndpointSpec: port published with ingress mode can't be used with dnsrr mode"),
        BadRequest,
    ),
    (400, 'invalid resolution mode: "bogus"', BadRequest),
    (400, 'invalid MountType: "bogus"', BadRequest),
    (400, 'invalid RestartCondition: "bogus"', BadRequest),
    (400, "unrecognized update failure action bogus", BadRequest),
    (400, "unrecognized update order bogus", BadRequest),
    (400, rpc("InvalidArgument", "ContainerSpec: duplicate mount point: /x"), BadRequest),
    (400, rpc("InvalidArgument", "invalid cpu value 1e-09: Must be at least 0.001"), BadRequest),
    (400, rpc("InvalidArgument", "invalid memory value 1: Must be at least 4MiB"), BadRequest),
    (400, rpc("InvalidArgument", "TaskSpec: restart-delay cannot be negative"), BadRequest),
    (500, rpc("Unknown", "constraint expected one operator from ==, !="), EngineError),
    (500, "network rel-nonet not found", EngineError),
    (
        400,
        rpc("InvalidArgument", 'Service cannot be explicitly attached to the ingress network "ingress"'),
        BadRequest,
    ),
    (400, rpc("InvalidArgument", "secret not found: rel-nope"), BadRequest),
    (400, rpc("InvalidArgument", "config not found: rel-nope"), BadRequest),
    (400, rpc("InvalidArgument", "malformed secret reference, no target provided"), BadRequest),
    (400, rpc("InvalidArgument", "secret references 'a' and 'b' have a conflicting target: 'x'"), BadRequest),
    (400, rpc("InvalidArgument", "secret 'rel-sec' is in use by the following service: rel-user"), InUse),
    (400, rpc("InvalidArgument", "config 'rel-cfg' is in use by the following service: rel-user"), InUse),
    (400, rpc("FailedPrecondition", "network abc is in use by service def"), InUse),
    (409, rpc("AlreadyExists", "secret rel-sec already exists"), NameConflict),
    (409, rpc("AlreadyExists", "config rel-cfg already exists"), NameConflict),
    (409, rpc("AlreadyExists", "network with name rel-net already exists"), NameConflict),
    (400, rpc("InvalidArgument", "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed"), BadRequest),
    (400, rpc("InvalidArgument", "secret data must be larger than 0 and less than 512000 bytes"), BadRequest),
    (400, "illegal base64 data at input byte 0", BadRequest),
    (400, rpc("InvalidArgument", "config data must be larger than 0 and less than 1024000 bytes"), BadRequest),
    (500, rpc("ResourceExhausted", "grpc: received message larger than max (6000021 vs. 4194304)"), EngineError),
    (400, rpc("InvalidArgument", "only updates to Labels are allowed"), BadRequest),
    (404, 'plugin "bogus" not found', NotFound),
    (400, "Invalid filter 'foo'", BadRequest),
    (400, "invalid filter 'foo'", BadRequest),
    (500, "Invalid desired-state filter: 'bogus'", EngineError),
    (500, "Bad parameters: you must choose at least one stream", EngineError),
    (400, "must specify at least one of 'stdout' or 'stderr'", BadRequest),
    (500, 'tail value must be a positive integer or "all"', EngineError),
    (400, "invalid value for 'since': strconv.ParseInt", BadRequest),
    (
        503,
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
        " and try again.",
        NotAManager,
    ),
    (
        503,
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this"
        " command on a manager node or promote the current node to a manager.",
        NotAManager,
    ),
    (
        503,
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use"
        ' "docker swarm unlock" to unlock it.',
        SwarmLocked,
    ),
    (
        500,
        rpc(
            "Unknown",
            "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half"
            " of the managers are online.",
        ),
        NoQuorum,
    ),
    (500, "raft: failed to process the request: node lost leader status", NoQuorum),
    (500, rpc("Unknown", "raft: failed to process the request: node lost leader status"), NoQuorum),
    (500, rpc("DeadlineExceeded", "context deadline exceeded"), NoQuorum),
    (
        503,
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
        AlreadyInSwarm,
    ),
    (503, "This node is not part of a swarm", NotAManager),
    (
        503,
        "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the"
        ' "docker info" command to see the current swarm status of your node.',
        JoinPending,
    ),
    (500, "invalid join token", BadRequest),
    (400, rpc("InvalidArgument", "A valid join token is necessary to join this cluster"), BadRequest),
    (500, "remote CA does not match fingerprint. Expected: 9529c6", BadRequest),
    (
        503,
        rpc("Unavailable", 'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:9"'),
        NoQuorum,
    ),
    (500, "could not find local IP address: dial udp 10.1.2.3:2377: connect: network is unreachable", NoQuorum),
    (500, "could not parse listen address x:y:z", BadRequest),
    (500, 'invalid Availability: "nope"', BadRequest),
    (500, "Datapath port number is not in valid range (1024-49151) : 80", BadRequest),
    (500, "invalid base pool bad: invalid CIDR address: bad", BadRequest),
    (500, 'invalid CIDR: "10.20.0.0/16". Subnet size is too small for pool: 8', BadRequest),
    (
        503,
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
        SwarmLocked,
    ),
    (409, "swarm is not locked", SwarmNotLocked),
    (401, "swarm could not be unlocked: invalid key provided", Forbidden),
    (400, "invalid key string", BadRequest),
    (503, "You are attempting to leave the swarm on a node that is participating as a manager.", Forbidden),
    (400, rpc("FailedPrecondition", "attempting to demote the last manager of the swarm"), FailedPrecondition),
    (
        400,
        rpc(
            "FailedPrecondition",
            "node abc is a cluster manager and is a member of the raft cluster. It must be demoted to worker before"
            " removal",
        ),
        FailedPrecondition,
    ),
    (400, rpc("FailedPrecondition", "node abc is not down and can't be removed"), FailedPrecondition),
    (400, rpc("FailedPrecondition", "ingress network cannot be removed because service abc depends on it"), InUse),
    (500, rpc("Unknown", "name conflicts with an existing object"), NameConflict),
    (
        400,
        "client version 9.99 is too new. Maximum supported API version is 1.41",
        UnsupportedApiVersion,
    ),
    (
        400,
        "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer"
        " version",
        UnsupportedApiVersion,
    ),
    (403, "network foo is not in the scope of the swarm", Forbidden),
    (403, rpc("PermissionDenied", "no"), Forbidden),
    (404, rpc("NotFound", "service abc not found"), NotFound),
    # The manager's code says more than the status, and more than words do.
    (500, rpc("NotFound", "service abc not found"), NotFound),
    (500, rpc("AlreadyExists", "taken"), NameConflict),
    (500, rpc("PermissionDenied", "no"), Forbidden),
    (500, rpc("Unimplemented", "not yet"), Unimplemented),
    (500, rpc("DeadlineExceeded", "too slow"), NoQuorum),
    (404, rpc("NotFound", "update out of sequence"), NotFound),
    (503, rpc("Unavailable", "error reading from server: read tcp: connection reset by peer"), NoQuorum),
    (500, "something nobody has seen before", EngineError),
    (418, "a teapot", EngineError),
]


@pytest.mark.parametrize(("status", "message", "kind"), ANSWERS, ids=[f"{s} {m[:60]}" for s, m, _ in ANSWERS])
def test_what_engines_answer_is_told_apart_by_code_and_words_first(
    status: int, message: str, kind: type[SwarmkitError]
) -> None:
    error = answered(status, message)

    assert kind is type(error)
    bare = message.partition(" desc = ")[2] or message
    assert bare in str(error)
    assert "POST /services/create" in str(error)


@pytest.mark.parametrize(("status", "message", "kind"), [row for row in ANSWERS if issubclass(row[2], EngineError)])
def test_an_engine_s_answer_is_kept_whole(status: int, message: str, kind: type[EngineError]) -> None:
    error = answered(status, message)
    assert isinstance(error, kind)
    code = re.match(r"rpc error: code = (\w+)", message)

    assert status == error.status
    assert (code[1] if code else None) == error.code
    assert (message.partition(" desc = ")[2] or message) == error.message
    assert ("POST", "/services/create") == (error.method, error.path)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            400,
            rpc("InvalidArgument", 'ContainerSpec: "update out of sequence" is not a valid repository/tag'),
            BadRequest,
        ),
        (400, rpc("InvalidArgument", "ContainerSpec: duplicate mount point: /update out of sequence"), BadRequest),
        (400, 'invalid MountType: "This node is not a swarm manager"', BadRequest),
        (400, "invalid MountType: \"port '80' is already in use by service \"", BadRequest),
        (400, "invalid filter 'client version 1.99 is too new'", BadRequest),
        (500, rpc("Unknown", "constraint update out of sequence expected one operator from ==, !="), EngineError),
        (500, "network The swarm does not have a leader not found", EngineError),
        (500, "Invalid desired-state filter: 'context deadline exceeded'", EngineError),
        (404, "service Swarm is encrypted and needs to be unlocked not found", NotFound),
        (400, rpc("InvalidArgument", "secret not found: secret 'x' is in use by the following service: y"), BadRequest),
        (400, 'invalid RestartCondition: "rpc error: code = NotFound desc = x"', BadRequest),
    ],
)
def test_what_users_wrote_is_not_mistaken_for_the_engine_s_words(
    status: int, message: str, kind: type[SwarmkitError]
) -> None:
    assert kind is type(answered(status, message))


@pytest.mark.parametrize(
    ("message", "kind", "name", "by"),
    [
        (rpc("InvalidArgument", "secret 'db' is in use by the following service: api"), "secret", "db", ("api",)),
        (
            rpc("InvalidArgument", "config 'c.1' is in use by the following services: api, web,db"),
            "config",
            "c.1",
            ("api", "web", "db"),
        ),
        (rpc("FailedPrecondition", "network n1 is in use by service s1"), "network", "n1", ("s1",)),
        (rpc("FailedPrecondition", "network n1 is in use by task t1"), "network", "n1", ("t1",)),
        (
            rpc("FailedPrecondition", "ingress network cannot be removed because service s1 depends on it"),
            "network",
            "ingress",
            ("s1",),
        ),
        ("error while removing network: network br id e2bda9a7 has active endpoints", "network", "br", ()),
        (
            'error while removing network: network br has active endpoints (name:"db" id:"2be0", name:"web" id:"4c1d")',
            "network",
            "br",
            ('name:"db" id:"2be0"', 'name:"web" id:"4c1d"'),
        ),
    ],
)
def test_what_is_in_use_says_by_whom(message: str, kind: str, name: str, by: tuple[str, ...]) -> None:
    error = answered(403 if "endpoints" in message else 400, message)

    assert isinstance(error, InUse)
    assert (kind, name, by) == (error.kind, error.name, error.by)


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" …', "inactive"),
        ("This node is not part of a swarm", "inactive"),
        ("This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.", "worker"),
        ("This node is not a swarm manager. Manager is being prepared or has trouble connecting.", "pending"),
    ],
)
def test_what_is_no_manager_says_what_it_is(message: str, state: str) -> None:
    error = answered(503, message)

    assert isinstance(error, NotAManager)
    assert state == error.state


# --- odd bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Internal Server Error"),
        (b" \n", "Internal Server Error"),
        (b"plain text\n", "plain text"),
        (b"<html><h1>502 Bad Gateway</h1></html>", "<html><h1>502 Bad Gateway</h1></html>"),
        (b'{"error":"x"}', '{"error":"x"}'),
        (b'{"message":null}', '{"message":null}'),
        (b'{"message":5}', '{"message":5}'),
        (b'{"message":["x"]}', '{"message":["x"]}'),
        (b'{"message":""}', '{"message":""}'),
        (b"null", "null"),
        (b'["message"]', '["message"]'),
        (b'"message"', '"message"'),
        (b'{"message":"cut', '{"message":"cut'),
        (b'{"message":"  x  "}', "x"),
        (b"\xff\xfe", "��"),
        (b"1" * 5000, "1" * 5000),
        (b"[" * 50_000, "[" * 50_000),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_an_odd_error_body_is_still_the_engine_s_error(body: bytes, message: str) -> None:
    error = engine_error(500, body, "GET", "/services", reason="Internal Server Error")

    assert isinstance(error, EngineError)
    assert (EngineError, message) == (type(error), error.message)


def test_without_body_and_reason_the_status_speaks() -> None:
    assert "HTTP status 500" in str(engine_error(500, b"", "GET", "/services"))


def test_a_huge_body_is_cut() -> None:
    error = engine_error(500, b"x" * (2 * 1024 * 1024), "GET", "/services")

    assert len(str(error)) < 70_000


def test_plain_text_that_says_the_version_is_too_old_is_understood() -> None:
    body = b"client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client"

    assert UnsupportedApiVersion is type(engine_error(400, body, "GET", "/services"))


# --- errors as values ------------------------------------------------------------------------------------------------

PROGRESS = Progress(
    service_id="abc",
    service_name="web",
    phase="failing",
    wanted=3,
    arrived=1,
    message="no suitable node",
    errors=("one", "two", "three", "four"),
    update_status=UpdateStatus(state="paused"),
)
REFUSED = ("POST", "/services/abc/update")


def in_use() -> InUse:
    error = InUse(400, "InvalidArgument", "secret 'db' is in use by the following service: api", *REFUSED)
    error.kind, error.name, error.by = "secret", "db", ("api",)
    return error


def out_of_sequence() -> OutOfSequence:
    error = OutOfSequence(500, "Unknown", "update out of sequence", *REFUSED)
    error.sent, error.current = 7, 9
    return error


def not_a_manager() -> NotAManager:
    error = NotAManager(503, None, "This node is not a swarm manager.", *REFUSED)
    error.state = "worker"
    return error


EVERY: list[SwarmkitError] = [
    SwarmkitError("x"),
    HostError("x"),
    CredentialsError("x"),
    ClientClosed("x"),
    UnsupportedFeature([Problem("Mode.GlobalJob", "needs API 1.41"), Problem("a", "b")], ApiVersion(1, 40)),
    UnsupportedApiVersion("x"),
    InvalidReference("x"),
    InvalidSpec([Problem("Name", "is empty")]),
    EngineUnreachable("x", "refused"),
    EngineTimeout("x"),
    ProtocolError("x"),
    OutcomeUnknown("POST", "/services/create", "reset"),
    EngineError(500, None, "x", *REFUSED),
    BadRequest(400, "InvalidArgument", "x", *REFUSED),
    FailedPrecondition(400, "FailedPrecondition", "x", *REFUSED),
    Forbidden(403, "PermissionDenied", "x", *REFUSED),
    NotFound(404, "NotFound", "x", *REFUSED),
    NameConflict(409, "AlreadyExists", "x", *REFUSED),
    out_of_sequence(),
    in_use(),
    PortInUse(400, "InvalidArgument", "x", *REFUSED),
    Unimplemented(501, "Unimplemented", "x", *REFUSED),
    not_a_manager(),
    SwarmLocked(503, None, "x", *REFUSED),
    NoQuorum(500, "Unknown", "x", *REFUSED),
    AlreadyInSwarm(503, None, "x", *REFUSED),
    JoinPending(503, None, "x", *REFUSED),
    SwarmNotLocked(409, None, "x", *REFUSED),
    RolloutFailed(PROGRESS),
    UpdatePaused(PROGRESS),
    RolledBack(PROGRESS),
    TasksFailing(PROGRESS),
    RolloutTimeout(PROGRESS),
    Superseded(PROGRESS),
    ServiceRemoved(PROGRESS),
    StreamError("x"),
    StreamTruncated("x"),
    LogStreamError("x"),
]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_survives_copies_and_pickling_whole(error: SwarmkitError, duplicate: Callable[[Any], Any]) -> None:
    other = duplicate(error)

    assert other is not error
    assert type(error) is type(other)
    assert str(error) == str(other)
    assert error.args == other.args
    assert vars(error) == vars(other)


def every_class(kind: type[SwarmkitError]) -> Iterator[type[SwarmkitError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from every_class(child)


def test_every_error_class_is_among_those_tested() -> None:
    assert set(every_class(SwarmkitError)) == {type(error) for error in EVERY}


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_class_says_what_it_means(error: SwarmkitError) -> None:
    assert type(error).__doc__
    assert type(error).__doc__ != type(error).__mro__[1].__doc__


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    parents: list[tuple[int, str]] = []
    drawn: set[tuple[str, str]] = set()
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ]*)[├└]? ?((?:[A-Z]\w+(?:  |$))+|[A-Z]\w+)", line)
        if match is None or not (line.startswith("    SwarmkitError") or re.search(r"[├└]", line)):
            continue
        depth = len(match[1]) // 4 + (0 if line.startswith("    SwarmkitError") else 1)
        for name in match[2].split():
            parents = [*(entry for entry in parents if entry[0] < depth), (depth, name)]
            drawn.add((parents[-2][1] if depth else "", name))

    real = {
        (kind.__bases__[0].__name__ if kind is not SwarmkitError else "", kind.__name__)
        for kind in every_class(SwarmkitError)
    }
    assert real == drawn


@pytest.mark.parametrize("kind", [InvalidReference, InvalidSpec])
def test_wrong_values_are_value_errors_too(kind: type[SwarmkitError]) -> None:
    assert issubclass(kind, ValueError)


# --- messages --------------------------------------------------------------------------------------------------------


def test_an_unsupported_feature_names_everything_it_needs() -> None:
    problems = [Problem("Mode.GlobalJob", "needs API 1.41"), Problem("TaskTemplate.Runtime", "needs API 1.30")]
    error = UnsupportedFeature(problems, ApiVersion(1, 24))

    assert tuple(problems) == error.problems
    assert "API 1.24 lacks" in str(error)
    assert "Mode.GlobalJob: needs API 1.41" in str(error)
    assert "TaskTemplate.Runtime: needs API 1.30" in str(error)


def test_an_invalid_spec_names_all_problems() -> None:
    error = InvalidSpec([Problem("Name", "is empty"), Problem("", "the whole is wrong")])

    assert "Name: is empty; the whole is wrong" == str(error)


def test_an_engine_s_error_says_who_said_what_to_which_request() -> None:
    error = EngineError(500, "Unknown", "boom", "POST", "/services/create")

    assert "POST /services/create: boom (HTTP 500, Unknown)" == str(error)
    assert "GET /x: boom (HTTP 500)" == str(EngineError(500, None, "boom", "GET", "/x"))


def test_a_lost_answer_says_what_may_have_happened() -> None:
    assert "may have happened" in str(OutcomeUnknown("POST", "/services/create", "reset"))


def test_a_failed_rollout_says_where_it_was_and_why() -> None:
    shown = str(TasksFailing(PROGRESS))

    assert "service web: failing, 1 of 3 tasks: no suitable node (one; two; three)" == shown
