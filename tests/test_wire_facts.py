"""The models against what is known of the wire: every key is typed, every gate marked, and nothing made up."""

from __future__ import annotations

import copy
import json
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import swarmkit
from swarmkit.models import filters
from swarmkit.models._wire import WireModel
from swarmkit.models.filters import Filters
from swarmkit.refusals import problems
from swarmkit.versions import ANYTHING, NEWEST, OLDEST
from tests.paths import QUERIES, REQUESTS, RESPONSES, data, fields_below, marks_below, models_below
from tests.strategies import wire_objects

BODIES = REQUESTS | RESPONSES
EVERY_MODEL = sorted({one for body in BODIES.values() for one in models_below(body)}, key=lambda one: one.__name__)

# --- keys ------------------------------------------------------------------------------------------------------------

WIRE_PATHS: dict[str, list[str]] = data("fields.json")
SPECS_OF_THEIR_OWN = {"GET /services/{id}": ("Spec.", "PreviousSpec."), "GET /tasks/{id}": ("Spec.",),
                      "POST /swarm/init": ("Spec.",), "GET /info": ("Swarm.Cluster.",)}  # fmt: skip
"""Parts that are bodies by themselves, and so are not told twice among the facts."""
NOT_OF_THE_SWARM = (
    "BridgeNfIp6tables", "BridgeNfIptables", "CDISpecDirs", "CPUSet", "CPUShares", "ClusterAdvertise",
    "ClusterStore", "Containerd", "ContainerdCommit", "CpuCfsPeriod", "CpuCfsQuota", "Debug",
    "DiscoveredDevices", "DriverStatus", "ExecutionDriver", "FirewallBackend", "IPv4Forwarding", "InitBinary",
    "InitCommit", "KernelMemory", "KernelMemoryTCP", "MemoryLimit", "NEventsListener", "NFd", "NGoroutines",
    "NRI", "OomKillDisable", "PidsLimit", "ProductLicense", "RegistryConfig", "RuncCommit", "Runtimes",
    "SwapLimit", "SystemStatus"
)  # fmt: skip
NOT_TYPED = {
    "POST /services/create": {
        "TaskTemplate.Resources.Limits.GenericResources": "no engine since 19.03 does anything with it; refused",
    },
    "POST /networks/{id}/connect": {
        f"EndpointConfig.{key}": "what engines say of an endpoint; not for a user to give"
        for key in ("NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "DNSNames",
                    "GlobalIPv6Address", "GlobalIPv6PrefixLen")
    },
    "GET /info": dict.fromkeys(NOT_OF_THE_SWARM, "nothing that a user of a swarm reads: kept as it comes"),
}  # fmt: skip


def typed_paths(body: str) -> set[str]:
    elsewhere = SPECS_OF_THEIR_OWN.get(body, ())
    return {path for path, _ in fields_below(BODIES[body]) if not path.startswith(elsewhere)}


def test_every_body_that_is_known_has_a_model() -> None:
    assert set(WIRE_PATHS) == set(BODIES)


@pytest.mark.parametrize("body", sorted(BODIES))
def test_every_key_that_engines_know_is_a_typed_field(body: str) -> None:
    reasons = NOT_TYPED.get(body, {})
    missing = set(WIRE_PATHS[body]) - typed_paths(body)

    assert set(reasons) == {path for path in missing if path not in below(reasons, missing)}


def below(paths: Any, among: set[str]) -> set[str]:
    return {
        one for one in among if one.startswith(tuple(f"{path}{end}" for path in paths for end in (".", "[]", "{}")))
    }


@pytest.mark.parametrize("body", sorted(BODIES))
def test_every_typed_field_is_a_key_that_engines_know(body: str) -> None:
    assert set() == typed_paths(body) - set(WIRE_PATHS[body])


# --- gates -----------------------------------------------------------------------------------------------------------


class Gate(NamedTuple):
    body: str
    path: str
    value: str | None
    min: str | None
    release: str | None


FACTS = {Gate(**row) for row in data("gates.json")}
MARKED = {
    Gate(
        body,
        path,
        None if mark.value is ANYTHING else cast("str", mark.value),
        str(mark.version),
        None if mark.release is None else ".".join(map(str, mark.release)),
    )
    for body, model in REQUESTS.items()
    for path, mark in marks_below(model)
    if not path.startswith(SPECS_OF_THEIR_OWN.get(body, ()) or "-")
}
SERVICE = "POST /services/create"
NEVER_WORKS: dict[str, dict[str, Any]] = {
    "TaskTemplate.ContainerSpec.Mounts[].Type": {"Type": "image"},
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.CreateMountpoint": {"BindOptions": {"CreateMountpoint": True}},
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.ReadOnlyNonRecursive": {
        "BindOptions": {"ReadOnlyNonRecursive": True}
    },
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.ReadOnlyForceRecursive": {
        "BindOptions": {"ReadOnlyForceRecursive": True}
    },
    "TaskTemplate.ContainerSpec.Mounts[].Consistency": {"Consistency": "cached"},
    "TaskTemplate.ContainerSpec.Mounts[].ImageOptions": {"Type": "image", "ImageOptions": {"Subpath": "x"}},
    "TaskTemplate.Resources.Limits.GenericResources": {},
    "Networks": {},
}
"""Fields and values that engines take and do nothing with, at any version: refused with the spec."""
NOT_MARKED = {
    (SERVICE, "TaskTemplate.Placement.Constraints", "node.platform.os"): "inside an expression, the engine's to judge",
    (SERVICE, "TaskTemplate.Placement.Constraints", "node.platform.arch"): "the same",
    (SERVICE, "TaskTemplate.Resources.Limits.GenericResources", None): "no engine since 19.03 does anything with it",
}
NOT_AMONG_THE_FACTS = {
    Gate(SERVICE, "Networks[].DriverOpts", None, "1.30", None): "the same model as TaskTemplate.Networks[].DriverOpts",
    Gate(SERVICE, "TaskTemplate.PluginSpec.env", None, "1.41", None): "in a note there: first decoded by 20.10",
}


def test_the_facts_are_92_and_three_of_them_name_several_values() -> None:
    assert 92 == len(FACTS) - len(["volume", "tmpfs", "node.platform.arch"])


def test_every_measured_gate_is_marked_as_measured() -> None:
    needed = {gate for gate in FACTS if gate.min not in (None, str(OLDEST))}

    assert set(NOT_MARKED) == {(gate.body, gate.path, gate.value) for gate in needed - MARKED}


def test_every_mark_is_a_measured_gate() -> None:
    assert set(NOT_AMONG_THE_FACTS) == MARKED - FACTS


def test_no_mark_is_as_old_as_the_oldest_version() -> None:
    everything = [*REQUESTS.values(), *QUERIES.values()]

    assert [] == [
        path for model in everything for path, mark in marks_below(model) if not OLDEST < mark.version <= NEWEST
    ]


def test_what_never_works_is_known_to_be_so() -> None:
    assert {gate.path for gate in FACTS if gate.min is None} <= set(NEVER_WORKS)


@pytest.mark.parametrize("path", NEVER_WORKS)
def test_what_never_works_is_refused_with_the_spec(path: str) -> None:
    resources: dict[str, Any] = {"Limits": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "a", "Value": 1}}]}}
    mount: dict[str, Any] = {"Type": "bind", "Source": "/a", "Target": "/b"} | NEVER_WORKS[path]
    sent: dict[str, Any] = {"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}
    match path.split("."):
        case ["Networks"]:
            sent["Networks"] = [{"Target": "n"}]
        case ["TaskTemplate", "Resources", *_]:
            sent["TaskTemplate"]["Resources"] = resources
        case _:
            sent["TaskTemplate"]["ContainerSpec"]["Mounts"] = [mount]

    found = problems(swarmkit.ServiceSpec.from_wire(json.dumps(sent)))

    assert path.replace("[]", "[0]") in [problem.path for problem in found]


# --- parameters and filters ------------------------------------------------------------------------------------------

KNOWN: dict[str, dict[str, Any]] = data("queries.json")


def test_every_endpoint_with_parameters_has_a_query() -> None:
    assert set(KNOWN) == set(QUERIES)


@pytest.mark.parametrize("endpoint", sorted(QUERIES))
def test_parameters_and_filters_are_those_that_engines_know_with_their_versions(endpoint: str) -> None:
    query = QUERIES[endpoint]
    known = KNOWN[endpoint]["parameters"] | {
        f"filters.{name}": version for name, version in KNOWN[endpoint].get("filters", {}).items()
    }
    typed: dict[str, str | None] = {path: None for path, _ in fields_below(query)}
    for path, mark in marks_below(query):
        typed[path if mark.value is ANYTHING else f"{path}={mark.value}"] = str(mark.version)

    assert known == typed


def test_no_filter_is_known_for_an_endpoint_that_has_none() -> None:
    used = {one for query in QUERIES.values() for one in models_below(query) if issubclass(one, Filters)}

    assert used == {one for one in vars(filters).values() if isinstance(one, type) and issubclass(one, Filters)} - {
        Filters
    }


# --- any body --------------------------------------------------------------------------------------------------------


NEVER_NONE = {
    ("ObjectVersion", "index"): "engines leave out 0",
    ("ServiceCreated", "warnings"): "a caller loops over them",
    ("ServiceUpdated", "warnings"): "the same",
    ("NetworkCreated", "warning"): "text, and mostly none",
}


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_no_optional_field_defaults_to_a_container_or_model(model: type[WireModel]) -> None:
    for name, field in model.model_fields.items():
        told = (model.__name__, name) in NEVER_NONE
        assert field.is_required() or field.default is None or told, name


@pytest.mark.parametrize("body", sorted(REQUESTS))
@settings(max_examples=100, deadline=None)
@given(drawn=st.data())
def test_any_body_goes_out_as_it_was_read(body: str, drawn: st.DataObject) -> None:
    sent = drawn.draw(wire_objects(REQUESTS[body]))
    model = REQUESTS[body].from_wire(json.dumps(sent))

    assert sent == json.loads(model.wire())
    assert model == REQUESTS[body].from_wire(model.wire()) == copy.deepcopy(model)


@pytest.mark.parametrize("body", sorted(RESPONSES))
@settings(max_examples=50, deadline=None)
@given(drawn=st.data())
def test_any_answer_is_read_and_keeps_every_key(body: str, drawn: st.DataObject) -> None:
    answer = drawn.draw(wire_objects(RESPONSES[body]))
    model = RESPONSES[body].from_wire(json.dumps(answer))
    again = json.loads(model.wire())

    assert set(answer) == set(again)
    assert model == RESPONSES[body].from_wire(model.wire())
    assert repr(model) == repr(copy.deepcopy(model))
