"""What becomes of changes to nodes where others change them too, answers get lost, or nothing is to be changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from pydantic import ValidationError

from swarmkit import (
    BadRequest,
    FailedPrecondition,
    InvalidReference,
    InvalidSpec,
    NodeSpec,
    NotAManager,
    NotFound,
    ObjectVersion,
    OutcomeUnknown,
    OutOfSequence,
    SwarmClient,
)
from swarmkit.nodes import Nodes
from swarmkit.testing import FakeEngine

from .stub import Received, Say, StubEngine, answer, hang_up, refusal

pytestmark = pytest.mark.anyio

Call = Callable[[Nodes], Awaitable[None]]

DONE = answer()
OUT_OF_SEQUENCE = refusal(500, "rpc error: code = Unknown desc = update out of sequence")
SPEC: dict[str, Any] = {"Role": "worker", "Availability": "active", "Labels": {"zone": "a", "disk": "ssd"}}


def node(index: int = 7, **spec: Any) -> dict[str, Any]:
    return {"ID": "n1", "Version": {"Index": index}, "Spec": {**SPEC, **spec}}


def manager(*posts: Say, shown: list[dict[str, Any]]) -> Callable[[Received], Say]:
    """A manager with one node: what it says to changes, and how it shows the node, one after another."""
    says = list(posts or [DONE])

    def script(request: Received) -> Say:
        if request.method == "POST":
            return says.pop(0) if len(says) > 1 else says[0]
        return answer(shown.pop(0) if len(shown) > 1 else shown[0])

    return script


def posts(engine: StubEngine) -> list[Received]:
    return [one for one in engine.received if one.method == "POST"]


# --- what is sent ----------------------------------------------------------------------------------------------------


CHANGES: list[tuple[Call, dict[str, Any]]] = [
    (lambda nodes: nodes.update("n1", labels={"zone": "b"}), {"Labels": {"zone": "b"}}),
    (lambda nodes: nodes.update("n1", labels={}), {"Labels": {}}),
    (
        lambda nodes: nodes.edit("n1", lambda spec: spec.add_label(zone="b")),
        {"Labels": {"zone": "b", "disk": "ssd"}},
    ),
    (lambda nodes: nodes.edit("n1", lambda spec: spec.remove_label("zone")), {"Labels": {"disk": "ssd"}}),
    (lambda nodes: nodes.drain("n1"), {"Availability": "drain"}),
    (lambda nodes: nodes.pause("n1"), {"Availability": "pause"}),
    (lambda nodes: nodes.promote("n1"), {"Role": "manager"}),
    (
        lambda nodes: nodes.update("n1", role="manager", availability="pause"),
        {"Role": "manager", "Availability": "pause"},
    ),
]


@pytest.mark.parametrize(("call", "changed"), CHANGES)
async def test_a_change_says_all_the_rest_as_well(call: Call, changed: dict[str, Any]) -> None:
    with StubEngine(manager(shown=[node(NewKey={"X": 1})])) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            await call(client.nodes)

    (sent,) = posts(engine)
    assert ("/v1.51/nodes/n1/update", "version=7") == (sent.path, sent.query)
    assert {**SPEC, "NewKey": {"X": 1}, **changed} == sent.json


async def test_no_labels_are_none() -> None:
    with StubEngine(manager(shown=[node()])) as engine:
        async with SwarmClient(engine.host) as client:
            await client.nodes.update("n1", labels=None)

    assert "Labels" not in posts(engine)[0].json


NO_CHANGES: list[Call] = [
    lambda nodes: nodes.activate("n1"),
    lambda nodes: nodes.demote("n1"),
    lambda nodes: nodes.update("n1", availability="ACTIVE", role="Worker"),
    lambda nodes: nodes.update("n1", labels=SPEC["Labels"]),
    lambda nodes: nodes.update("n1"),
    lambda nodes: nodes.update("n1", version=7, availability="active"),
    lambda nodes: nodes.edit("n1", lambda spec: None),
    lambda nodes: nodes.edit("n1", lambda spec: spec.add_label(zone="a")),
    lambda nodes: nodes.edit("n1", lambda spec: spec.remove_label("rack")),
]


@pytest.mark.parametrize("call", NO_CHANGES)
async def test_what_is_so_already_is_not_sent(call: Call) -> None:
    with StubEngine(manager(shown=[node()])) as engine:
        async with SwarmClient(engine.host) as client:
            await call(client.nodes)

    assert [] == posts(engine)


async def test_without_labels_there_are_none_to_take_away() -> None:
    with StubEngine(manager(shown=[node(Labels={})])) as engine:
        async with SwarmClient(engine.host) as client:
            await client.nodes.update("n1", labels=None)

    assert [] == posts(engine)


async def test_filters_go_out_as_engines_read_them() -> None:
    with StubEngine(lambda _: answer([])) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            await client.nodes.list(filters={"node.label": "zone=a", "role": ["worker"]})
            with pytest.raises(ValidationError):
                await client.nodes.list(filters={"zone": "a"})

    (asked,) = engine.received
    assert 'filters={"node.label":["zone=a"],"role":["worker"]}' == unquote(asked.query)


@pytest.mark.parametrize(("force", "query"), [(False, ""), (True, "force=true")])
async def test_a_removal_says_whether_it_is_forced(force: bool, query: str) -> None:
    with StubEngine(lambda _: DONE) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            await client.nodes.remove("n1", force=force)

    (sent,) = engine.received
    assert ("DELETE", "/v1.51/nodes/n1", query) == (sent.method, sent.path, sent.query)


@pytest.mark.parametrize("bad", ["", "..", "a/b", "n1?x"])
async def test_no_other_path_can_be_addressed(bad: str) -> None:
    engine = FakeEngine()
    async with engine.client() as client:
        for call in (client.nodes.inspect, client.nodes.drain, client.nodes.remove):
            with pytest.raises(InvalidReference):
                await call(bad)


# --- self ------------------------------------------------------------------------------------------------------------


async def test_self_is_the_node_of_the_engine() -> None:
    engine = FakeEngine()
    engine.add_node("worker-1")
    async with engine.client() as client:
        await client.nodes.edit("self", lambda spec: spec.add_label(here="yes"))

        assert engine.nodes[0].id == (found := await client.nodes.inspect("self")).id
        assert {"here": "yes"} == found.spec.labels
        with pytest.raises(FailedPrecondition, match="must be demoted"):
            await client.nodes.remove("self")


async def test_self_is_found_out_once_for_a_change() -> None:
    shown = [node(), node(), node(9)]
    says = manager(OUT_OF_SEQUENCE, DONE, shown=shown)
    infos = [answer({"Swarm": {"NodeID": "n1"}}), answer({"Swarm": {"NodeID": "another"}})]

    def script(request: Received) -> Say:
        return infos.pop(0) if request.path.endswith("/info") else says(request)

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            await client.nodes.drain("self")

    assert {"/v1.51/info", "/v1.51/nodes/n1", "/v1.51/nodes/n1/update"} == {one.path for one in engine.received}


async def test_without_a_swarm_there_is_no_self() -> None:
    refused = refusal(503, "This node is not a swarm manager. Use ...")
    with StubEngine(
        lambda request: answer({"Swarm": {"NodeID": ""}}) if "/info" in request.path else refused
    ) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            with pytest.raises(NotAManager):
                await client.nodes.inspect("self")


# --- conflicts and lost answers --------------------------------------------------------------------------------------


async def test_a_conflict_is_read_and_applied_again() -> None:
    shown = [node(), node(), node(9, Labels={"rack": "2"})]
    with StubEngine(manager(OUT_OF_SEQUENCE, DONE, shown=shown)) as engine:
        async with SwarmClient(engine.host) as client:
            await client.nodes.edit("n1", lambda spec: spec.add_label(zone="b"))

    first, second = posts(engine)
    assert ("version=7", "version=9") == (first.query, second.query)
    assert {"rack": "2", "zone": "b"} == second.json["Labels"]


@pytest.mark.parametrize("version", [6, ObjectVersion(index=6)])
async def test_a_change_of_another_version_is_refused(version: int | ObjectVersion) -> None:
    with StubEngine(manager(shown=[node()])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutOfSequence) as caught:
                await client.nodes.update("n1", version=version, availability="drain")

    assert (6, 7, "/nodes/n1/update") == (caught.value.sent, caught.value.current, caught.value.path)
    assert [] == posts(engine)


async def test_a_strict_change_that_comes_too_late_says_so() -> None:
    with StubEngine(manager(OUT_OF_SEQUENCE, shown=[node(), node(9)])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutOfSequence) as caught:
                await client.nodes.update("n1", version=7, availability="drain")

    assert (7, 9) == (caught.value.sent, caught.value.current)
    assert len(posts(engine)) == 1


SETTLED: list[tuple[Call, dict[str, Any]]] = [
    (lambda nodes: nodes.drain("n1"), {"Availability": "drain"}),
    (lambda nodes: nodes.update("n1", availability="Drain", version=7), {"Availability": "drain"}),
    (lambda nodes: nodes.update("n1", labels=None), {"Labels": {}}),
]


@pytest.mark.parametrize(("call", "now"), SETTLED)
async def test_a_lost_answer_is_settled_by_reading(call: Call, now: dict[str, Any]) -> None:
    with StubEngine(manager(hang_up, shown=[node(), node(8, **now)])) as engine:
        async with SwarmClient(engine.host) as client:
            await call(client.nodes)

    assert len(posts(engine)) == 1


async def test_a_lost_change_that_did_not_happen_is_sent_once_more() -> None:
    with StubEngine(manager(hang_up, DONE, shown=[node()])) as engine:
        async with SwarmClient(engine.host) as client:
            await client.nodes.drain("n1")

    assert ["version=7", "version=7"] == [one.query for one in posts(engine)]


async def test_a_lost_answer_under_another_change_is_told() -> None:
    with StubEngine(manager(hang_up, shown=[node(), node(9, Role="manager")])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutcomeUnknown):
                await client.nodes.drain("n1")

    assert len(posts(engine)) == 1


# --- what is refused -------------------------------------------------------------------------------------------------


def misspell(spec: NodeSpec) -> NodeSpec:
    return NodeSpec.model_validate_json(b'{"Role": "worker", "Availability": "active", "lables": {"zone": "a"}}')


def invent(spec: NodeSpec) -> NodeSpec:
    return NodeSpec.model_validate({"Role": "worker", "Availability": "active", "Zone": "a"})


def mistype(spec: NodeSpec) -> NodeSpec:
    return spec.model_copy(update={"labels": {"zone": 1}})


@pytest.mark.parametrize(("change", "path"), [(misspell, "lables"), (invent, "Zone"), (mistype, "Labels")])
async def test_what_engines_would_drop_is_refused(change: Callable[[NodeSpec], NodeSpec], path: str) -> None:
    engine = FakeEngine()
    before = engine.nodes[0].id
    async with engine.client() as client:
        with pytest.raises(InvalidSpec) as caught:
            await client.nodes.edit(before, change)
        assert path in [problem.path.partition(".")[0] for problem in caught.value.problems]


async def test_a_change_that_returns_something_else_is_a_mistake() -> None:
    engine = FakeEngine()
    async with engine.client() as client:
        with pytest.raises(TypeError, match="must return a NodeSpec or None, not dict"):
            await client.nodes.edit(engine.nodes[0].id, lambda spec: {"Role": "worker"})  # type: ignore[arg-type,return-value] # pyright: ignore


async def test_what_the_manager_refuses_says_why() -> None:
    engine = FakeEngine()
    worker = engine.add_node("worker-1")
    engine.add_node("worker-1")
    async with engine.client() as client:
        with pytest.raises(FailedPrecondition, match="last manager"):
            await client.nodes.demote(engine.nodes[0].id)
        with pytest.raises(FailedPrecondition, match="is not down"):
            await client.nodes.remove(worker.id)
        with pytest.raises(BadRequest, match="ambiguous"):
            await client.nodes.inspect("worker-1")
        with pytest.raises(BadRequest, match="invalid Availability"):
            await client.nodes.update(worker.id, availability="away")
        with pytest.raises(NotFound):
            await client.nodes.drain("worker-2")
        await client.nodes.remove(worker.id, force=True)
        assert worker.id not in [one.id for one in await client.nodes.list()]


async def test_many_changes_at_once_all_land() -> None:
    engine = FakeEngine()
    name = engine.nodes[0].id

    async def label(client: SwarmClient, number: int) -> None:
        await client.nodes.edit(name, lambda spec: spec.add_label({f"n{number}": "x"}))

    async with engine.client() as one, engine.client() as other, anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(label, (one, other)[number % 2], number)

    async with engine.client() as client:
        labels = (await client.nodes.inspect(name)).spec.labels
    assert {f"n{number}" for number in range(8)} == set(labels or ())
