"""What engines answer to raw requests: the same on real engines and on the embedded one, which must say as they do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.harness.engine import Engine
from tests.integration.conftest import FAKES

RPC = "rpc error: code = {} desc = {}"


def invalid(message: str) -> str:
    return RPC.format("InvalidArgument", message)


def spec(**more: Any) -> dict[str, Any]:
    """A small service spec; parts of the container spec and the template are given by their lower-case beginnings."""
    container = {"Image": "busybox:1.36", "Command": ["sleep", "1000"], **more.pop("container", {})}
    return {"Name": "raw", "TaskTemplate": {"ContainerSpec": container, **more.pop("template", {})}, **more}


def ask(engine: Engine, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and message, or JSON, of one request."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if content is not None or method == "POST" else None
    status, _, said = engine.request(method, f"/v{engine.api_version}{path}", content, headers)
    try:
        answer: Any = json.loads(said) if said else None
    except ValueError:
        return status, said.decode()
    return status, answer["message"] if status >= 400 else answer


def now(engine: Engine) -> float:
    """The engine's time: the embedded one's is ahead of the world's."""
    text: str = ask(engine, "GET", "/info")[1]["SystemTime"]
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> Iterator[None]:
    yield
    for service in ask(engine, "GET", "/services")[1]:
        ask(engine, "DELETE", f"/services/{service['ID']}")
    for kind in ("secrets", "configs"):
        for one in ask(engine, "GET", f"/{kind}")[1]:
            ask(engine, "DELETE", f"/{kind}/{one['ID']}")


PORT = {"TargetPort": 80, "PublishedPort": 28080}
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no template": ({"Name": "raw"}, 400, "mismatched Runtime and *Spec fields"),
    "name with a space": (spec(Name="a b"), 400, invalid("name must be valid as a DNS name component")),
    "name with a dot": (spec(Name="rel.x"), 400, invalid("name must be valid as a DNS name component")),
    "long name": (spec(Name="a" * 64), 400, invalid("name must be 63 characters or fewer")),
    "no image": (spec(container={"Image": ""}), 400, invalid("ContainerSpec: image reference must be provided")),
    "odd image": (
        spec(container={"Image": "Foo/Bar"}),
        400,
        invalid('ContainerSpec: "Foo/Bar" is not a valid repository/tag'),
    ),
    "two modes": (spec(Mode={"Global": {}, "Replicated": {}}), 400, "must specify only one service mode"),
    "job with an update config": (
        spec(Mode={"ReplicatedJob": {}}, UpdateConfig={}),
        400,
        invalid("Jobs may not have an update config"),
    ),
    "ports twice": (
        spec(EndpointSpec={"Ports": [PORT, PORT]}),
        400,
        invalid("EndpointSpec: duplicate published ports provided"),
    ),
    "dnsrr with ingress": (
        spec(EndpointSpec={"Mode": "dnsrr", "Ports": [PORT]}),
        400,
        invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode"),
    ),
    "endpoint mode": (spec(EndpointSpec={"Mode": "bogus"}), 400, 'invalid resolution mode: "bogus"'),
    "mount type": (
        spec(container={"Mounts": [{"Type": "bogus", "Target": "/x"}]}),
        400,
        'invalid MountType: "bogus"',
    ),
    "mount type image": (
        spec(container={"Mounts": [{"Type": "image", "Target": "/x"}]}),
        400,
        'invalid MountType: "image"',
    ),
    "mount targets": (
        spec(container={"Mounts": [{"Type": "volume", "Target": "/x"}, {"Type": "tmpfs", "Target": "/x"}]}),
        400,
        invalid("ContainerSpec: duplicate mount point: /x"),
    ),
    "mount propagation": (
        spec(container={"Mounts": [{"Source": "/", "Target": "/x", "BindOptions": {"Propagation": "bogus"}}]}),
        400,
        'invalid MountPropagation: "bogus"',
    ),
    "no such runtime": (spec(template={"Runtime": "bogus"}), 400, "unsupported runtime"),
    "restart window": (
        spec(template={"RestartPolicy": {"Window": -1}}),
        400,
        invalid("TaskSpec: restart-window cannot be negative"),
    ),
    "update delay": (spec(UpdateConfig={"Delay": -1}), 400, invalid("TaskSpec: update-delay cannot be negative")),
    "update monitor": (spec(UpdateConfig={"Monitor": -1}), 400, invalid("TaskSpec: update-monitor cannot be negative")),
    "health retries": (
        spec(container={"Healthcheck": {"Retries": -1}}),
        400,
        invalid("ContainerSpec: Retries in HealthConfig cannot be negative"),
    ),
    "secret without a name": (
        spec(container={"Secrets": [{"SecretID": "x", "File": {"Name": "f"}}]}),
        400,
        invalid("malformed secret reference"),
    ),
    "secret without a file name": (
        spec(container={"Secrets": [{"SecretID": "x", "SecretName": "x", "File": {"UID": "0"}}]}),
        400,
        invalid("malformed file secret reference, invalid target file name provided"),
    ),
    "credential spec of a config": (
        spec(container={"Privileges": {"CredentialSpec": {"Config": "x"}}}),
        400,
        invalid("CredentialSpec references config 'x', but that config isn't in config references with RuntimeTarget"),
    ),
    "constraint value": (
        spec(template={"Placement": {"Constraints": ["node.id==ü"]}}),
        500,
        RPC.format("Unknown", "value 'ü' is invalid"),
    ),
    "restart condition": (
        spec(template={"RestartPolicy": {"Condition": "bogus"}}),
        400,
        'invalid RestartCondition: "bogus"',
    ),
    "restart delay": (
        spec(template={"RestartPolicy": {"Delay": -1}}),
        400,
        invalid("TaskSpec: restart-delay cannot be negative"),
    ),
    "failure action": (
        spec(UpdateConfig={"FailureAction": "bogus"}),
        400,
        "unrecognized update failure action bogus",
    ),
    "order": (spec(UpdateConfig={"Order": "bogus"}), 400, "unrecognized update order bogus"),
    "ratio": (
        spec(UpdateConfig={"MaxFailureRatio": 2}),
        400,
        invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"),
    ),
    "cpus": (
        spec(template={"Resources": {"Limits": {"NanoCPUs": 1}}}),
        400,
        invalid("invalid cpu value 1e-09: Must be at least 0.001"),
    ),
    "memory": (
        spec(template={"Resources": {"Reservations": {"MemoryBytes": 1}}}),
        400,
        invalid("invalid memory value 1: Must be at least 4MiB"),
    ),
    "health": (
        spec(container={"Healthcheck": {"Interval": 1}}),
        400,
        invalid("ContainerSpec: Interval in HealthConfig cannot be less than 1ms"),
    ),
    "constraint": (
        spec(template={"Placement": {"Constraints": ["foo"]}}),
        500,
        RPC.format("Unknown", "constraint expected one operator from ==, !="),
    ),
    "constraint key": (
        spec(template={"Placement": {"Constraints": ["a b==c"]}}),
        500,
        RPC.format("Unknown", "key 'a b' is invalid"),
    ),
    "network": (spec(template={"Networks": [{"Target": "rel-nonet"}]}), 500, "network rel-nonet not found"),
    "network ingress": (
        spec(template={"Networks": [{"Target": "ingress"}]}),
        400,
        invalid('Service cannot be explicitly attached to the ingress network "ingress"'),
    ),
    "secret": (
        spec(container={"Secrets": [{"SecretID": "x", "SecretName": "nope", "File": {"Name": "f"}}]}),
        400,
        invalid("secret not found: nope"),
    ),
    "secret without a target": (
        spec(container={"Secrets": [{"SecretID": "x", "SecretName": "nope"}]}),
        400,
        invalid("malformed secret reference, no target provided"),
    ),
    "configs": (
        spec(
            container={
                "Configs": [{"ConfigID": n, "ConfigName": n, "File": {"Name": n}} for n in ("a", "b")],
            }
        ),
        400,
        invalid("configs not found: a, b"),
    ),
    "config without a target": (
        spec(container={"Configs": [{"ConfigID": "x", "ConfigName": "nope"}]}),
        400,
        "invalid Config: either File or Runtime should be set",
    ),
    "credential spec": (
        spec(container={"Privileges": {"CredentialSpec": {}}}),
        400,
        'invalid CredentialSpec: must either provide "file", "registry", or "config" for credential spec',
    ),
    "two credential specs": (
        spec(container={"Privileges": {"CredentialSpec": {"File": "a", "Registry": "b"}}}),
        400,
        'invalid CredentialSpec: cannot specify both "file" and "registry" credential specs',
    ),
    "plugin without its spec": (
        spec(template={"Runtime": "plugin"}),
        400,
        "mismatched Runtime and *Spec fields",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spec_is_refused_in_these_words(engine: Engine, case: str) -> None:
    body, status, message = REFUSED[case]
    assert (status, message) == ask(engine, "POST", "/services/create", body)


def test_json_of_the_wrong_type_is_refused_in_gos_words(engine: Engine) -> None:
    prefix = "" if engine.api_version == "1.41" else "invalid JSON: "
    owner = {"1.51": "ServiceSpec"}.get(engine.api_version, "ReplicatedService")
    numbers: list[tuple[Any, str]] = [
        (-1, "number -1"),
        (1.5, "number 1.5"),
        ("3", "string"),
        (True, "bool"),
        ([], "array"),
    ]
    for value, kind in numbers:
        status, said = ask(engine, "POST", "/services/create", spec(Mode={"Replicated": {"Replicas": value}}))
        where = f"Go struct field {owner}.Mode.Replicated.Replicas of type uint64"
        assert (status, said) == (400, f"{prefix}json: cannot unmarshal {kind} into {where}")
    owner = {"1.51": "ServiceSpec"}.get(engine.api_version, "ContainerSpec")
    others: list[tuple[str, Any, str]] = [
        ("Env", "A=1", "[]string"),
        ("TTY", 1, "bool"),
        ("Labels", [], "map[string]string"),
    ]
    for key, value, kind in others:
        status, said = ask(engine, "POST", "/services/create", spec(container={key: value}))
        assert status == 400
        assert f"Go struct field {owner}.TaskTemplate.ContainerSpec.{key} of type {kind}" in said
    assert ask(engine, "POST", "/services/create", b"{")[1] == f"{prefix}unexpected EOF"
    status, said = ask(engine, "POST", "/services/create", b"[]")
    assert (status, said) == (400, f"{prefix}json: cannot unmarshal array into Go value of type swarm.ServiceSpec")
    status, said = ask(engine, "POST", "/services/create", b"")
    nothing = "got EOF while reading request body" if not prefix else "mismatched Runtime and *Spec fields"
    assert (status, said) == (400, nothing)


def test_services_are_found_and_changed_as_engines_do(engine: Engine) -> None:
    status, said = ask(engine, "POST", "/services/create", spec(EndpointSpec={"Ports": [PORT]}))
    assert status == 201
    identity = said["ID"]
    assert ("Warnings" in said) == (engine.api_version != "1.41")
    taken = RPC.format("AlreadyExists", "name conflicts with an existing object: service {} already exists")
    for name in ("raw", "RAW"):
        assert ask(engine, "POST", "/services/create", spec(Name=name)) == (409, taken.format(name))
    clash = invalid(f"port '28080' is already in use by service 'raw' ({identity}) as an ingress port")
    for more in ({}, {"PublishMode": "host"}):
        rival = spec(Name="rival", EndpointSpec={"Ports": [{**PORT, **more}]})
        assert ask(engine, "POST", "/services/create", rival) == (400, clash)
    for path in ("/services/nope", "/services/nope/logs?stdout=1"):
        assert ask(engine, "GET", path) == (404, "service nope not found")
    assert ask(engine, "DELETE", "/services/nope") == (404, "service nope not found")
    assert ask(engine, "GET", f"/services/{identity[:6]}")[1]["ID"] == identity
    update = f"/services/{identity}/update?version="
    for bad, why in (("", "invalid syntax"), ("abc", "invalid syntax"), (str(2**64), "value out of range")):
        message = f"invalid service version '{bad}': strconv.ParseUint: parsing \"{bad}\": {why}"
        assert ask(engine, "POST", update + bad, spec()) == (400, message)
    for stale in ("0", "1", "99999"):
        out = RPC.format("Unknown", "update out of sequence")
        assert ask(engine, "POST", update + stale, spec()) == (500, out)
    version = ask(engine, "GET", f"/services/{identity}")[1]["Version"]["Index"]
    assert ask(engine, "POST", f"{update}{version}", spec(Name="other")) == (
        501,
        RPC.format("Unimplemented", "renaming services is not supported"),
    )
    assert ask(engine, "POST", f"{update}{version}", spec(Mode={"Global": {}})) == (
        501,
        RPC.format("Unimplemented", "service mode change is not allowed"),
    )
    assert ask(engine, "POST", f"{update}{version}&rollback=previous", spec()) == (
        400,
        RPC.format("FailedPrecondition", f"service {identity} does not have a previous spec"),
    )
    assert ask(engine, "POST", f"{update}{version}&rollback=bogus", spec()) == (
        500,
        "unrecognized rollback option bogus",
    )
    assert ask(engine, "POST", f"{update}{version}&registryAuthFrom=bogus", spec()) == (
        500,
        "unsupported registryAuthFrom value",
    )
    assert ask(engine, "POST", f"{update}{version}&registryAuthFrom=previous-spec", spec()) == (
        500,
        "service does not have a previous spec",
    )
    status, said = ask(engine, "GET", f"/services/{identity}?insertDefaults=maybe")
    assert status == 400
    assert said.startswith("invalid value for insertDefaults: maybe: strconv.ParseBool: ")
    assert ask(engine, "DELETE", "/services/raw") == (200, None)


def test_what_cannot_be_filtered_or_found_says_so(engine: Engine) -> None:
    old = engine.api_version == "1.41"
    for kind in ("services", "tasks", "nodes", "secrets", "configs"):
        unknown = "Invalid filter 'foo'" if old else "invalid filter 'foo'"
        assert ask(engine, "GET", f"/{kind}?filters=%7B%22foo%22%3A%5B%22x%22%5D%7D") == (400, unknown)
    if not old:
        for broken in ("nope", "%5B%5D", "%7B%22name%22%3A%22x%22%7D"):
            assert ask(engine, "GET", f"/services?filters={broken}") == (400, "invalid filter")
    states = "/tasks?filters=%7B%22desired-state%22%3A%5B%22bogus%22%5D%7D"
    assert ask(engine, "GET", states) == (500, "Invalid desired-state filter: 'bogus'")
    assert ask(engine, "GET", "/services?filters=%7B%22mode%22%3A%5B%22bogus%22%5D%7D") == (200, [])
    for kind in ("task", "node", "secret", "config", "network"):
        assert ask(engine, "GET", f"/{kind}s/relnope") == (404, f"{kind} relnope not found")
    assert ask(engine, "GET", "/nowhere")[0] == 404
    status, said = ask(engine, "GET", "/tasks?filters=%7B%22service%22%3A%5B%22nope%22%5D%7D")
    assert (status, said) == (404, "service nope not found")


def test_logs_want_sensible_parameters(engine: Engine) -> None:
    ask(engine, "POST", "/services/create", spec())
    streams = "Bad parameters: you must choose at least one stream"
    assert ask(engine, "GET", "/services/raw/logs") == (500, streams)
    tail = 'tail value must be a positive integer or "all"'
    assert ask(engine, "GET", "/services/raw/logs?stdout=1&tail=abc") == (500, tail)
    assert ask(engine, "GET", "/services/raw/logs?stdout=1&tail=-1") == (500, "negative tail values not supported")
    status, said = ask(engine, "GET", "/services/raw/logs?stdout=1&since=abc")
    assert status == 500
    assert "since" in said or "strconv" in said


def test_secrets_and_configs_are_kept_and_refused_as_engines_do(engine: Engine) -> None:
    for kind, limit in (("secret", 512000), ("config", 1024000)):
        title = kind.capitalize()
        create, data = f"/{kind}s/create", "YQ=="
        assert ask(engine, "POST", create, {"Data": data}) == (400, invalid("name must be provided"))
        status, said = ask(engine, "POST", create, {"Name": "a b", "Data": data})
        assert (status, said.startswith(invalid("invalid name, only 64 [a-zA-Z0-9-_.] characters allowed,"))) == (
            400,
            True,
        )
        empty = invalid(f"{kind} data must be larger than 0 and less than {limit} bytes")
        assert ask(engine, "POST", create, {"Name": "key"}) == (400, empty)
        assert "illegal base64 data at input byte" in ask(engine, "POST", create, {"Name": "k", "Data": "?"})[1]
        status, said = ask(engine, "POST", create, {"Name": "key", "Data": data, "Labels": {"a": "b"}})
        assert status == 201
        identity = said["ID"]
        exists = RPC.format("AlreadyExists", f"{kind} key already exists")
        assert ask(engine, "POST", create, {"Name": "key", "Data": data}) == (409, exists)
        found = ask(engine, "GET", f"/{kind}s/key")[1]
        expected = {"Name": "key", "Labels": {"a": "b"}, **({"Data": data} if kind == "config" else {})}
        assert (found["ID"], found["Spec"]) == (identity, expected)
        version = found["Version"]["Index"]
        changed: dict[str, Any] = {"Name": "key", "Data": "Yg==", "Labels": {}}
        update = f"/{kind}s/{identity}/update?version="
        only = invalid("only updates to Labels are allowed")
        assert ask(engine, "POST", f"{update}{version}", changed) == (400, only)
        out = RPC.format("Unknown", "update out of sequence")
        assert ask(engine, "POST", f"{update}1", {**changed, "Data": data}) == (500, out)
        assert ask(engine, "POST", f"{update}{version}", {"Name": "key", "Labels": {"c": "d"}}) == (200, None)
        assert ask(engine, "GET", f"/{kind}s/key")[1]["Spec"]["Labels"] == {"c": "d"}
        reference = {f"{title}ID": identity, f"{title}Name": "key", "File": {"Name": "f", "UID": "0", "GID": "0"}}
        user = spec(Name="user", container={f"{title}s": [reference]})
        twice = spec(Name="user", container={f"{title}s": [reference, reference]})
        conflict = invalid(f"{kind} references 'key' and 'key' have a conflicting target: 'f'")
        assert ask(engine, "POST", "/services/create", twice) == (400, conflict)
        assert ask(engine, "POST", "/services/create", user)[0] == 201
        used = invalid(f"{kind} 'key' is in use by the following service: user")
        assert ask(engine, "DELETE", f"/{kind}s/key") == (400, used)
        ask(engine, "DELETE", "/services/user")
        assert ask(engine, "DELETE", f"/{kind}s/key") == (204, None)


# On one release alone: engines look for the plugin for 15 s.
@pytest.mark.parametrize(
    "engine", [pytest.param("20.10", marks=pytest.mark.xdist_group("20.10")), *FAKES], indirect=True
)
def test_a_driver_that_there_is_not(engine: Engine) -> None:
    refused = (404, 'plugin "bogus" not found')
    assert ask(engine, "POST", "/networks/create", {"Name": "n", "Driver": "bogus"}) == refused


def test_networks_are_kept_and_refused_as_engines_do(engine: Engine) -> None:
    body = {"Name": "wired", "Driver": "overlay", "CheckDuplicate": True, "Labels": {"a": "b"}, "Attachable": True}
    status, made = ask(engine, "POST", "/networks/create", body)
    assert (status, sorted(made)) == (201, ["Id", "Warning"])
    try:
        status, said = ask(engine, "POST", "/networks/create", body)
        assert status == 409
        assert "network with name wired already exists" in said
        found = ask(engine, "GET", "/networks/wired")[1]
        shown = {key: found[key] for key in ("Id", "Scope", "Driver", "Attachable", "Ingress", "Internal", "Labels")}
        assert shown == {
            "Id": made["Id"],
            "Scope": "swarm",
            "Driver": "overlay",
            "Attachable": True,
            "Ingress": False,
            "Internal": False,
            "Labels": {"a": "b"},
        }
        joined = spec(template={"Networks": [{"Target": "wired", "Aliases": ["x"]}]})
        service = ask(engine, "POST", "/services/create", joined)[1]["ID"]
        used = RPC.format("FailedPrecondition", f"network {made['Id']} is in use by service {service}")
        assert ask(engine, "DELETE", "/networks/wired") == (400, used)
        ask(engine, "DELETE", f"/services/{service}")
    finally:
        end = time.monotonic() + 30
        while ask(engine, "DELETE", f"/networks/{made['Id']}")[0] not in (204, 404) and time.monotonic() < end:
            time.sleep(0.05)


def test_nodes_are_changed_and_refused_as_engines_do(engine: Engine) -> None:
    (node,) = ask(engine, "GET", "/nodes")[1]
    update = f"/nodes/{node['ID']}/update?version={{}}"
    version = node["Version"]["Index"]
    assert ask(engine, "POST", update.format(version), {}) == (400, 'invalid Role: ""')
    assert ask(engine, "POST", update.format(version), {"Role": "manager"}) == (400, 'invalid Availability: ""')
    last = RPC.format("FailedPrecondition", "attempting to demote the last manager of the swarm")
    worker = {"Role": "worker", "Availability": "active"}
    assert ask(engine, "POST", update.format(version), worker) == (400, last)
    out = RPC.format("Unknown", "update out of sequence")
    good = {"Role": "manager", "Availability": "active", "Labels": {"zone": "a"}}
    assert ask(engine, "POST", update.format(1), good) == (500, out)
    assert ask(engine, "POST", update.format(version), good) == (200, None)
    changed = ask(engine, "GET", f"/nodes/{node['ID']}")[1]
    assert changed["Spec"] == good
    assert ask(engine, "POST", update.format(changed["Version"]["Index"]), {**good, "Labels": {}}) == (200, None)
    member = f"node {node['ID']} is a cluster manager and is a member of the raft cluster"
    demote = RPC.format("FailedPrecondition", f"{member}. It must be demoted to worker before removal")
    assert ask(engine, "DELETE", f"/nodes/{node['ID']}") == (400, demote)


def test_an_engine_says_which_versions_it_speaks(engine: Engine) -> None:
    for method in ("GET", "HEAD"):
        status, headers, body = engine.request(method, "/_ping")
        assert (status, headers["api-version"], body) == (200, engine.api_version, b"OK" if method == "GET" else b"")
        assert headers.get("swarm") == (None if engine.api_version == "1.41" else "active/manager")
        assert headers["ostype"] == "linux"
    status, _, body = engine.request("GET", "/v9.99/services")
    new = f"client version 9.99 is too new. Maximum supported API version is {engine.api_version}"
    assert (status, json.loads(body)["message"]) == (400, new)
    oldest = "1.12" if engine.api_version == "1.41" else "1.24"
    status, _, body = engine.request("GET", "/v1.10/services")
    old = f"client version 1.10 is too old. Minimum supported API version is {oldest}"
    assert status == 400
    assert old in body.decode()
    assert engine.request("GET", "/vabc/services")[0] == 404
    about = ask(engine, "GET", "/version")[1]
    assert (about["ApiVersion"], about["MinAPIVersion"]) == (engine.api_version, oldest)
    swarm = ask(engine, "GET", "/info")[1]["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Nodes"], swarm["Managers"]) == (
        "active",
        True,
        1,
        1,
    )
    assert ask(engine, "GET", "/swarm")[1]["ID"] == swarm["Cluster"]["ID"]


FULL = spec(
    Labels={"a": ""},
    container={
        "Init": False,
        "StopGracePeriod": 0,
        "Isolation": "bogus",
        "Mounts": [
            {"Source": "/", "Target": "/a", "BindOptions": {}, "Consistency": "cached"},
            {"Type": "BIND", "Source": "/", "Target": "/b", "BindOptions": {"NonRecursive": True}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Options": [["noexec"]]}},
            {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"Subpath": "s"}},
        ],
        "Healthcheck": {"Test": ["NONE"], "Interval": 0, "StartInterval": 1_000_000_000},
        "Privileges": {"SELinuxContext": {"Disable": True}, "NoNewPrivileges": True, "Seccomp": {}},
        "DNSConfig": {},
        "CapabilityAdd": ["CAP_CHOWN"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "OomScoreAdj": 5,
        "Bogus": 1,
        "labels": {"lower": "case"},
    },
    template={
        "Resources": {"Limits": {"Pids": 5, "NanoCPUs": 0}, "Reservations": {}, "SwapBytes": 1},
        "RestartPolicy": {},
        "Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.x"}}, {}], "MaxReplicas": 0},
        "LogDriver": {"Name": "json-file", "Options": {}},
        "Networks": [],
    },
    UpdateConfig={"Parallelism": 0, "Monitor": 0, "Delay": 0},
    RollbackConfig={"FailureAction": "rollback"},
    EndpointSpec={"Ports": [{"TargetPort": 80, "Protocol": "bogus", "PublishMode": "bogus", "PublishedPort": 0}]},
)


def test_a_spec_is_stored_with_what_the_engine_knows_and_shown_with_what_it_fills_in(engine: Engine) -> None:
    created = ask(engine, "POST", "/services/create", FULL)
    assert created[0] == 201, created
    stored = ask(engine, "GET", "/services/raw")[1]["Spec"]
    container, template = stored["TaskTemplate"]["ContainerSpec"], stored["TaskTemplate"]
    new, newest = engine.api_version != "1.41", engine.api_version == "1.51"
    mounts: list[dict[str, Any]] = [
        {"Type": "bind", "Source": "/", "Target": "/a"},
        {
            "Type": "bind",
            "Source": "/",
            "Target": "/b",
            "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
        },
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20}},
        {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {}},
    ]
    if newest:
        mounts[2]["TmpfsOptions"] = {"SizeBytes": 1 << 20, "Options": [["noexec"]]}
    if new:
        mounts[3]["VolumeOptions"] = {"Subpath": "s"}
    context = {"Disable": True, "User": "", "Role": "", "Type": "", "Level": ""}
    privileges: dict[str, Any] = {"CredentialSpec": None, "SELinuxContext": context}
    health: dict[str, Any] = {"Test": ["NONE"]}
    if new:
        privileges |= {"Seccomp": {"Mode": "default"}, "NoNewPrivileges": True}
        health["StartInterval"] = 1_000_000_000
    assert container == {
        "Image": "busybox:1.36",
        "Labels": {"lower": "case"},
        "Command": ["sleep", "1000"],
        "Privileges": privileges,
        "Mounts": mounts,
        "StopGracePeriod": 0,
        "Healthcheck": health,
        "DNSConfig": {},
        "Isolation": "default",
        "Init": False,
        "CapabilityAdd": ["CAP_CHOWN"],
        "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}],
        **({"OomScoreAdj": 5} if newest else {}),
    }
    del template["ContainerSpec"]
    assert template == {
        "Resources": {"Limits": {"Pids": 5}, "Reservations": {}},
        "RestartPolicy": {"Condition": "any", "MaxAttempts": 0},
        "Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.x"}}]},
        "LogDriver": {"Name": "json-file"},
        "ForceUpdate": 0,
        "Runtime": "container",
    }
    rollout = {"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"}
    del stored["TaskTemplate"]
    assert stored == {
        "Name": "raw",
        "Labels": {"a": ""},
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": rollout,
        "RollbackConfig": {**rollout, "FailureAction": "rollback"},
        "EndpointSpec": {
            "Mode": "vip",
            "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"}],
        },
    }


def test_a_request_of_a_lower_version_loses_what_that_version_lacks(engine: Engine) -> None:
    body = json.dumps(FULL).encode()
    headers = {"Content-Type": "application/json"}
    assert engine.request("POST", "/v1.40/services/create", body, headers)[0] == 201
    template = ask(engine, "GET", "/services/raw")[1]["Spec"]["TaskTemplate"]
    container = template["ContainerSpec"]
    for gone in ("CapabilityAdd", "Ulimits", "OomScoreAdj"):
        assert gone not in container
    assert template["Resources"] == {"Limits": {}, "Reservations": {}}
    assert container["Mounts"][1]["BindOptions"]["NonRecursive"] is True
    assert container["Mounts"][2]["TmpfsOptions"] == {"SizeBytes": 1 << 20}
    assert "StartInterval" not in container["Healthcheck"]
    new = {} if engine.api_version == "1.41" else {"NoNewPrivileges": False}
    context = {"Disable": True, "User": "", "Role": "", "Type": "", "Level": ""}
    assert container["Privileges"] == {"CredentialSpec": None, "SELinuxContext": context, **new}
    ask(engine, "DELETE", "/services/raw")
    job = json.dumps(spec(Mode={"ReplicatedJob": {"MaxConcurrent": 2}})).encode()
    assert engine.request("POST", "/v1.40/services/create", job, headers)[0] == 201
    assert ask(engine, "GET", "/services/raw")[1]["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}


def test_the_defaults_that_can_be_inserted(engine: Engine) -> None:
    ask(engine, "POST", "/services/create", spec())
    full = ask(engine, "GET", "/services/raw?insertDefaults=true")[1]["Spec"]
    rollout = {
        "Parallelism": 1,
        "FailureAction": "pause",
        "Monitor": 5_000_000_000,
        "MaxFailureRatio": 0,
        "Order": "stop-first",
    }
    assert full == {
        "Name": "raw",
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "busybox:1.36",
                "Command": ["sleep", "1000"],
                "StopGracePeriod": 10_000_000_000,
                "DNSConfig": {},
                "Isolation": "default",
            },
            "Resources": {},
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
            "Placement": {},
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": rollout,
        "RollbackConfig": rollout,
    }


def test_events_tell_what_happened_to_services(engine: Engine) -> None:
    since = now(engine)
    identity = ask(engine, "POST", "/services/create", spec())[1]["ID"]
    found = ask(engine, "GET", f"/services/{identity}")[1]
    found["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "busybox:1.37"
    found["Spec"]["Mode"]["Replicated"]["Replicas"] = 2
    update = f"/services/{identity}/update?version={found['Version']['Index']}"
    assert ask(engine, "POST", update, found["Spec"])[0] == 200
    ask(engine, "DELETE", f"/services/{identity}")
    time.sleep(0.1)
    path = f"/v{engine.api_version}/events?since={since}&until={now(engine)}"
    _, headers, body = engine.request("GET", f"{path}&filters=%7B%22type%22%3A%5B%22service%22%5D%7D")
    assert headers["content-type"] == "application/json"
    events = [json.loads(line) for line in body.splitlines()]
    told = [(event["Action"], event["Actor"]["Attributes"]) for event in events if event["Actor"]["ID"] == identity]
    told = [one for one in told if "updatestate.new" not in one[1]]
    changed = {
        "name": "raw",
        "image.old": "busybox:1.36",
        "image.new": "busybox:1.37",
        "replicas.old": "1",
        "replicas.new": "2",
    }
    assert told == [("create", {"name": "raw"}), ("update", changed), ("remove", {"name": "raw"})]
    assert {event["scope"] for event in events} == {"swarm"}
    status, _ = ask(engine, "GET", "/events?since=abc")
    assert status == 500
