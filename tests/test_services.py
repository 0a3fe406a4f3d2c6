"""What the operations put on the wire and make of the answers, where a real engine would not show it."""

from __future__ import annotations

import json
import socket
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import anyio
import pytest
from pydantic import ValidationError

from swarmkit import (
    UNSET,
    ContainerSpec,
    CredentialsError,
    EngineTimeout,
    EngineUnreachable,
    Global,
    InvalidReference,
    InvalidSpec,
    NetworkAttachmentConfig,
    OutcomeUnknown,
    OutOfSequence,
    RegistryAuth,
    Replicated,
    RolloutTimeout,
    ServiceMode,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    UpdateConfig,
)

from .stub import SERVICE, Received, Say, StubEngine, answer, hang, hang_up, refusal

pytestmark = pytest.mark.anyio

OUT_OF_SEQUENCE = refusal(500, "rpc error: code = Unknown desc = update out of sequence")
UPDATED = answer({"Warnings": None})
CREATED = answer({"ID": "new", "Warnings": None}, status=201)


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder of its own for each test."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    return tmp_path / "config.json"


def service(index: int = 7, **spec: Any) -> dict[str, Any]:
    return {**SERVICE, "Version": {"Index": index}, "Spec": {**SERVICE["Spec"], **spec}}


def manager(*, posts: list[Say] | None = None, versions: list[int] | None = None) -> Callable[[Received], Say]:
    """A manager with one service; what it says to changes and which version index it shows, one after another."""
    says, shown = list(posts or [UPDATED]), list(versions or [7])

    def script(request: Received) -> Say:
        if request.method == "POST":
            if request.path.endswith("/create"):
                return CREATED
            return says.pop(0) if len(says) > 1 else says[0]
        return answer(service(shown.pop(0) if len(shown) > 1 else shown[0]))

    return script


def change(engine: StubEngine) -> Received:
    (request,) = (one for one in engine.received if one.method == "POST")
    return request


def auth_of(request: Received) -> Any:
    return json.loads(urlsafe_b64decode(request.headers["x-registry-auth"]))


# --- create ----------------------------------------------------------------------------------------------------------


async def test_a_whole_spec_and_its_parts_are_the_same_request() -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx"))
    whole = ServiceSpec(
        name="web",
        labels={"a": "b"},
        task_template=TaskTemplate(
            container_spec=ContainerSpec("nginx"), networks=[NetworkAttachmentConfig(target="host")]
        ),
        mode=ServiceMode(replicated=Replicated(replicas=0)),
        update_config=UpdateConfig(parallelism=0),
    )
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(
                template,
                name="web",
                labels={"a": "b"},
                mode=Replicated(replicas=0),
                update_config=UpdateConfig(parallelism=0),
                networks=["host"],
            )
            await client.services.create(whole)
        parts, at_once = engine.received
    assert parts.json == at_once.json
    assert template == TaskTemplate(container_spec=ContainerSpec("nginx"))


async def test_a_whole_spec_takes_nothing_beside_it() -> None:
    spec = ServiceSpec(name="web", task_template=TaskTemplate(container_spec=ContainerSpec("nginx")))
    create: Any = SwarmClient("unix:///nowhere.sock").services.create
    with pytest.raises(TypeError, match="name"):
        await create(spec, name="other")
    with pytest.raises(TypeError, match="networks"):
        await create(spec, networks=[])


async def test_a_mode_is_sent_as_the_part_that_says_it() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            template = TaskTemplate(container_spec=ContainerSpec("nginx"))
            for mode in (Global(), ServiceMode(global_=Global())):
                await client.services.create(template, name="everywhere", mode=mode)
        assert [{"Global": {}}, {"Global": {}}] == [request.json["Mode"] for request in engine.received]


@pytest.mark.parametrize("wrong", ["global", UpdateConfig(), 3, {"Replicas": 2}, {"global": {}}])
async def test_what_is_no_mode_is_refused_and_never_dropped(wrong: Any) -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            template = TaskTemplate(container_spec=ContainerSpec("nginx"))
            # An unknown wire key is kept, until it is known that no engine has it.
            refused = InvalidSpec if wrong == {"Replicas": 2} else ValidationError
            with pytest.raises(refused):
                await client.services.create(template, name="web", mode=wrong)
            with pytest.raises(refused):
                await client.services.update("web", mode=wrong)
        assert [] == [request for request in engine.received if request.method == "POST"]


async def test_one_string_is_no_list_of_networks() -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx"))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(TypeError, match="a list of networks"):
                await client.services.create(template, name="web", networks="backend")
            with pytest.raises(TypeError, match="a list of networks"):
                await client.services.update("web", networks="backend")
        assert engine.received == []


async def test_a_change_returns_a_spec_or_nothing() -> None:
    async def later(spec: ServiceSpec) -> None:
        raise AssertionError

    def labels(spec: ServiceSpec) -> object:
        return spec.labels

    changes: list[Any] = [later, labels]
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            for change_ in changes:
                with pytest.raises(TypeError, match="must return a ServiceSpec or None"):
                    await client.services.edit("web", change_)
        assert all(request.method == "GET" for request in engine.received)


async def test_parts_read_with_defaults_are_not_sent_back() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            full = await client.services.inspect("web", insert_defaults=True)
            template = full.spec.task_template or TaskTemplate()
            for call in (
                client.services.create(template, name="copy"),
                client.services.create(TaskTemplate(container_spec=full.spec.container), name="copy"),
                client.services.update("web", task_template=template),
                client.services.edit("web", lambda spec: setattr(spec, "task_template", template)),
            ):
                with pytest.raises(InvalidSpec, match="defaults"):
                    await call
            plain = await client.services.inspect("web")
            await client.services.update("web", task_template=plain.spec.task_template)
        assert len([request for request in engine.received if request.method == "POST"]) == 1


async def test_top_level_networks_are_refused() -> None:
    spec = ServiceSpec(
        name="web",
        task_template=TaskTemplate(container_spec=ContainerSpec("nginx")),
        networks=[NetworkAttachmentConfig(target="front")],
    )
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(InvalidSpec, match=r"TaskTemplate\.Networks"):
                await client.services.create(spec)
        assert engine.received == []


# --- registry auth ---------------------------------------------------------------------------------------------------

BASIC = {"auths": {"registry.example:5000": {"auth": "dTpw"}, "https://index.docker.io/v1/": {"auth": "aHViOnB3"}}}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("registry.example:5000/a/b:1", {"username": "u", "password": "p", "serveraddress": "registry.example:5000"}),
        ("nginx", {"username": "hub", "password": "pw", "serveraddress": "https://index.docker.io/v1/"}),
        ("docker.io/me/app", {"username": "hub", "password": "pw", "serveraddress": "https://index.docker.io/v1/"}),
        ("elsewhere.example/a", None),
    ],
)
async def test_create_sends_what_the_config_file_has_for_the_registry(
    image: str, expected: Any, docker_config: Path
) -> None:
    docker_config.write_text(json.dumps(BASIC))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(TaskTemplate(container_spec=ContainerSpec(image)), name="web")
    request = change(engine)
    assert expected == (auth_of(request) if expected else request.headers.get("x-registry-auth"))


async def test_the_config_file_is_read_anew_for_each_create(docker_config: Path) -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx"))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(template, name="web")
            docker_config.write_text(json.dumps(BASIC))
            await client.services.create(template, name="web")
        assert [False, True] == ["x-registry-auth" in request.headers for request in engine.received]


@pytest.mark.parametrize("where", ["client", "call"])
async def test_credentials_can_be_switched_off_and_given(where: str, docker_config: Path) -> None:
    docker_config.write_text("broken")
    given = RegistryAuth(username="me", password="s3cr3t")
    template = TaskTemplate(container_spec=ContainerSpec("nginx"))
    with StubEngine(manager()) as engine:
        for option in (None, given):
            more: dict[str, Any] = {"registry_auth": option}
            async with SwarmClient(engine.host, **(more if where == "client" else {})) as client:
                await client.services.create(template, name="web", **(more if where == "call" else {}))
        without, with_it = engine.received
    assert "x-registry-auth" not in without.headers
    assert auth_of(with_it) == {
        "username": "me",
        "password": "s3cr3t",
        "serveraddress": "https://index.docker.io/v1/",
    }


async def test_a_broken_config_file_is_an_error_before_anything_is_sent(docker_config: Path) -> None:
    docker_config.write_text('{"auths": {"nginx": "s3cr3t"')
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(CredentialsError) as caught:
                await client.services.create(TaskTemplate(container_spec=ContainerSpec("nginx")), name="web")
        assert engine.received == []
    assert str(docker_config) in str(caught.value)
    assert "s3cr3t" not in repr(caught.value)


async def test_credentials_kept_by_a_helper_are_a_warning(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"credsStore": "desktop"}))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            created = await client.services.create(TaskTemplate(container_spec=ContainerSpec("nginx")), name="web")
    assert ["desktop" in warning for warning in created.warnings] == [True]


@pytest.mark.parametrize(
    ("call", "sent", "kept"),
    [
        ({"labels": {}}, None, "spec"),
        ({"task_template": TaskTemplate(container_spec=ContainerSpec("nginx:1.27"))}, None, "spec"),
        ({"task_template": TaskTemplate(container_spec=ContainerSpec("nginx:1.28"))}, "hub", None),
        # Nothing is known for the other registry, and the stored ones are not for it: empty ones take their place.
        ({"task_template": TaskTemplate(container_spec=ContainerSpec("other.example/x"))}, "", None),
        ({"labels": {}, "registry_auth": "config"}, "hub", None),
        ({"labels": {}, "registry_auth": RegistryAuth(username="me", password="x")}, "me", None),
        (
            {"task_template": TaskTemplate(container_spec=ContainerSpec("nginx:1.28")), "registry_auth": None},
            None,
            "spec",
        ),
    ],
)
async def test_a_change_keeps_the_stored_credentials_unless_the_image_changes_or_the_caller_asks(
    call: dict[str, Any], sent: str | None, kept: str | None, docker_config: Path
) -> None:
    docker_config.write_text(json.dumps(BASIC))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.update("web", **call)
    request = change(engine)
    assert sent == (auth_of(request).get("username", "") if "x-registry-auth" in request.headers else None)
    assert ([kept] if kept else None) == parse_qs(request.query).get("registryAuthFrom")


@pytest.mark.parametrize(
    ("image", "option", "sent", "kept"),
    [
        ("nginx:1.27", UNSET, None, "spec"),
        ("nginx:1.28", UNSET, "hub", None),
        ("other.example/x", UNSET, "", None),
        ("nginx:1.28", None, None, "spec"),
        ("nginx:1.27", "config", "hub", None),
        ("nginx:1.28", "previous-spec", None, "previous-spec"),
    ],
)
async def test_a_whole_new_spec_is_a_change_like_others(
    image: str, option: Any, sent: str | None, kept: str | None, docker_config: Path
) -> None:
    docker_config.write_text(json.dumps(BASIC))
    spec = ServiceSpec(name="web", task_template=TaskTemplate(container_spec=ContainerSpec(image)))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.replace("web", spec, version=7, registry_auth=option)
    request = change(engine)
    assert sent == (auth_of(request).get("username", "") if "x-registry-auth" in request.headers else None)
    assert ([kept] if kept else None) == parse_qs(request.query).get("registryAuthFrom")


async def test_a_rollback_sends_no_credentials_and_asks_to_keep_none(docker_config: Path) -> None:
    docker_config.write_text(json.dumps(BASIC))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.rollback("web")
    request = change(engine)
    assert request.target == "/v1.51/services/svc1/update?version=7&rollback=previous"
    assert request.json == SERVICE["Spec"]
    assert "x-registry-auth" not in request.headers


async def test_an_image_that_is_no_reference_is_left_to_the_engine_without_credentials() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host, registry_auth=None) as client:
            await client.services.create(TaskTemplate(container_spec=ContainerSpec("Not An Image")), name="web")
        assert len(engine.received) == 1


# --- change ----------------------------------------------------------------------------------------------------------


async def test_an_update_is_the_live_spec_with_the_patch_at_its_version() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            updated = await client.services.update(
                "web", task_template=TaskTemplate(container_spec=ContainerSpec("nginx:1.28")), labels=None
            )
        read, post = engine.received
    assert updated.warnings == []
    assert (read.method, read.target) == ("GET", "/v1.51/services/web")
    assert post.target == "/v1.51/services/svc1/update?version=7&registryAuthFrom=spec"
    expected = json.loads(json.dumps(SERVICE["Spec"]))
    expected["TaskTemplate"]["ContainerSpec"]["Image"] = "nginx:1.28"
    del expected["Labels"]
    assert post.json == expected


async def test_a_conflict_is_read_again_and_applied_again() -> None:
    seen: list[int] = []

    def relabel(spec: ServiceSpec) -> None:
        seen.append(1)
        spec.labels = {"n": str(len(seen))}

    script = manager(posts=[OUT_OF_SEQUENCE, UPDATED], versions=[7, 7, 7, 9])
    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.edit("web", relabel)
    posts = [request for request in engine.received if request.method == "POST"]
    # What was read after the conflict and still was the old version is not taken for fresh.
    assert ["7", "9"] == [parse_qs(request.query)["version"][0] for request in posts]
    assert posts[-1].json["Labels"] == {"n": "2"}


async def test_conflicts_without_end_are_out_of_sequence_within_the_timeout() -> None:
    index = iter(range(7, 100_000))

    def script(request: Received) -> Say:
        return OUT_OF_SEQUENCE if request.method == "POST" else answer(service(next(index)))

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, timeout=0.3) as client:
            with anyio.fail_after(10):
                with pytest.raises(OutOfSequence) as caught:
                    await client.services.scale("web", 3)
    assert caught.value.sent is not None


async def test_a_strict_update_of_what_has_changed_sends_nothing() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutOfSequence) as caught:
                await client.services.update("web", version=6, labels={})
        assert ["GET"] == [request.method for request in engine.received]
    assert (caught.value.sent, caught.value.current) == (6, 7)


async def test_a_strict_update_that_meets_a_conflict_says_both_versions() -> None:
    with StubEngine(manager(posts=[OUT_OF_SEQUENCE], versions=[7, 8])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutOfSequence) as caught:
                await client.services.update("web", version=7, labels={})
    assert (caught.value.sent, caught.value.current) == (7, 8)


@pytest.mark.parametrize("call", ["update", "strict", "replace", "rollback"])
@pytest.mark.parametrize("fate", ["landed", "never came", "landed late", "overtaken"])
async def test_a_lost_answer_to_a_change_is_settled_by_reading(call: str, fate: str) -> None:
    goal = {"tier": "back"}
    stored: dict[str, Any] = {**service(7), "PreviousSpec": {**SERVICE["Spec"], "Labels": goal}}

    def apply(labels: dict[str, str]) -> None:
        stored.update(service(stored["Version"]["Index"] + 1, Labels=labels))

    posts: list[Received] = []

    def script(request: Received) -> Say:
        if request.method == "GET":
            return answer(stored)
        posts.append(request)
        if parse_qs(request.query)["version"] != [str(stored["Version"]["Index"])]:
            return OUT_OF_SEQUENCE
        first = len(posts) == 1
        if fate == "landed late" and not first:
            apply(goal)  # the first one, just now
            return OUT_OF_SEQUENCE
        if fate == "landed" or (fate == "never came" and not first):
            apply(goal)
        if fate == "overtaken":
            apply({"by": "another"})
        return hang_up if first else UPDATED

    async def change(client: SwarmClient) -> None:
        live = await client.services.inspect("web")
        match call:
            case "update":
                await client.services.update("web", labels=goal)
            case "strict":
                await client.services.update("web", version=7, labels=goal)
            case "replace":
                await client.services.replace("web", live.spec.model_copy(update={"labels": goal}), version=7)
            case _:
                await client.services.rollback("web")

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            if fate == "overtaken":
                with pytest.raises(OutcomeUnknown):
                    await change(client)
            else:
                await change(client)
    assert ({"by": "another"} if fate == "overtaken" else goal) == stored["Spec"]["Labels"]
    assert len(posts) == (1 if fate in ("landed", "overtaken") else 2)


async def test_a_change_is_made_once_for_each_read_and_sent_again_as_it_was() -> None:
    made: list[int] = []

    def relabel(spec: ServiceSpec) -> None:
        made.append(1)
        spec.labels = {"n": str(len(made))}

    with StubEngine(manager(posts=[hang_up, UPDATED])) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.edit("web", relabel)
    first, second = (request for request in engine.received if request.method == "POST")
    assert (first.target, first.body) == (second.target, second.body)
    assert len(made) == 1


async def test_an_operation_has_one_time_limit_for_all_its_requests() -> None:
    with StubEngine(lambda request: hang if request.method == "POST" else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host, timeout=0.4) as client:
            began = anyio.current_time()
            with pytest.raises(OutcomeUnknown):
                await client.services.scale("web", 3)
            assert anyio.current_time() - began < 0.75


async def test_a_wait_ends_in_its_own_time_also_when_the_engine_does_not_answer() -> None:
    calls = 0

    def script(request: Received) -> Say:
        nonlocal calls
        calls += request.path.endswith("/tasks")
        return hang if calls > 1 else answer([] if "services/" not in request.path else SERVICE)

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, timeout=30) as client:
            with anyio.fail_after(10):
                with pytest.raises(RolloutTimeout):
                    await client.services.wait("web", timeout=0.5)


async def test_what_a_conflict_led_to_is_a_courtesy() -> None:
    reads = 0

    def script(request: Received) -> Say:
        nonlocal reads
        if request.method == "POST":
            return OUT_OF_SEQUENCE
        reads += 1
        return answer(SERVICE) if reads == 1 else refusal(500, "boom")

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutOfSequence) as caught:
                await client.services.update("web", version=7, labels={})
    assert (caught.value.sent, caught.value.current) == (7, None)


async def test_a_change_that_waits_for_others_all_the_time_says_that_nothing_was_sent() -> None:
    hold = threading.Event()

    def slow(sock: socket.socket) -> None:
        hold.wait(5)
        sock.sendall(UPDATED)

    with StubEngine(lambda request: slow if request.method == "POST" else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(partial(client.services.update, "web", labels={"n": "1"}))
                while not any(request.method == "POST" for request in engine.received):
                    await anyio.sleep(0.001)
                client._engine.timeout = 0.2  # pyright: ignore[reportPrivateUsage] -- one client, two limits
                with pytest.raises(EngineTimeout, match="nothing was sent"):
                    await client.services.update("web", labels={"n": "2"})
                hold.set()
        assert len([request for request in engine.received if request.method == "POST"]) == 1


async def test_a_lost_answer_stays_unknown_when_the_engine_is_gone_at_the_second_try() -> None:
    def script(request: Received) -> Say:
        if request.method == "POST":
            return hang_up
        if len(engine.received) > 1:
            Path(engine.path).unlink()
        return answer(SERVICE)

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, timeout=0.5) as client:
            with pytest.raises(OutcomeUnknown):
                await client.services.update("web", labels={})
        assert ["GET", "POST", "GET"] == [request.method for request in engine.received]


async def test_a_task_started_in_a_change_has_time_of_its_own() -> None:
    late: list[str] = []

    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host, timeout=0.4) as client, anyio.create_task_group() as group:

            async def background() -> None:
                await over.wait()
                late.append((await client.services.inspect("web")).id)

            def begin(spec: ServiceSpec) -> None:
                group.start_soon(background)

            over = anyio.Event()
            await client.services.edit("web", begin)
            await anyio.sleep(0.5)  # the time of the edit is over
            over.set()
    assert late == ["svc1"]


async def test_an_answer_lost_twice_is_unknown() -> None:
    with StubEngine(lambda request: hang_up if request.method == "POST" else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(OutcomeUnknown):
                await client.services.update("web", labels={})
        assert len([request for request in engine.received if request.method == "POST"]) == 2


async def test_a_lost_answer_with_nobody_to_ask_stays_unknown() -> None:
    with StubEngine(
        lambda request: hang_up if request.method == "POST" or len(engine.received) > 1 else answer(SERVICE)
    ) as engine:
        async with SwarmClient(engine.host, timeout=0.5) as client:
            with pytest.raises(OutcomeUnknown):
                await client.services.update("web", labels={})


async def test_a_value_put_in_past_validation_is_an_invalid_spec_and_is_not_shown() -> None:
    container = ContainerSpec("nginx").model_copy(update={"env": {"TOKEN": "s3cr3t"}})
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            template = TaskTemplate().model_copy(update={"container_spec": container})
            for call in (
                lambda: client.services.create(template, name="web"),
                lambda: client.services.update("web", task_template=template),
                lambda: client.services.edit("web", lambda spec: setattr(spec, "task_template", template)),
                lambda: client.services.replace("web", ServiceSpec(name="web", task_template=template), version=7),
            ):
                with pytest.raises(InvalidSpec, match=r"TaskTemplate\.ContainerSpec\.Env: ") as caught:
                    await call()
                assert "s3cr3t" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert [] == [request for request in engine.received if request.method == "POST"]


# --- keys that nobody knows ------------------------------------------------------------------------------------------


def unheard_of() -> ServiceSpec:
    return ServiceSpec.model_validate({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}, "NewKey": 1})


async def test_a_key_that_no_engine_knows_is_refused_and_not_dropped() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            for call in (
                lambda: client.services.create(unheard_of()),
                lambda: client.services.edit("web", lambda spec: unheard_of()),
                lambda: client.services.replace("web", unheard_of(), version=7),
            ):
                with pytest.raises(InvalidSpec, match=r"NewKey: no engine up to API 1\.56 has such a key"):
                    await call()
        assert [] == [request for request in engine.received if request.method == "POST"]
        assert 1 == engine.pings


async def test_a_newer_engine_gets_keys_that_are_unknown_here() -> None:
    with StubEngine(manager(), ping=lambda: answer(b"OK", api="1.99")) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(unheard_of())
        assert 1 == change(engine).json["NewKey"]
        assert change(engine).target.startswith("/v1.99/")


async def test_keys_that_the_engine_itself_shows_go_back_to_it() -> None:
    future = {**SERVICE["Spec"]["TaskTemplate"], "Later": {"a": 1}}
    with StubEngine(
        lambda request: UPDATED if request.method == "POST" else answer(service(TaskTemplate=future))
    ) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.update("web", labels={})
            live = await client.services.inspect("web")
            await client.services.replace("web", live.spec, version=7)
            with pytest.raises(InvalidSpec, match="Later"):
                await client.services.edit("web", lambda spec: setattr(spec.task_template, "Later", {"a": 2}))
        sent = [request.json["TaskTemplate"] for request in engine.received if request.method == "POST"]
    assert [future, future] == sent


async def test_an_ordinary_spec_costs_no_question() -> None:
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(ServiceSpec.from_wire('{"Name":"web"}'))
            await client.services.replace("web", ServiceSpec(name="web"), version=7)
        assert ["POST", "POST"] == [request.method for request in engine.received]


async def test_text_that_no_json_can_say_never_reaches_the_wire() -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx"))
    with StubEngine(manager()) as engine:
        async with SwarmClient(engine.host) as client:
            for labels in ({"\ud800": ""}, {"a": "x\udfff"}):
                with pytest.raises(InvalidSpec, match="surrogate"):
                    await client.services.create(template, name="web", labels=labels)
            assert engine.received == []
            await client.services.create(template, name="web", labels={"a": "\ufffd \U0001f600"})
    assert engine.received[0].json["Labels"] == {"a": "\ufffd \U0001f600"}


async def test_edits_of_one_service_inside_a_client_do_not_meet() -> None:
    index = 7
    labels: dict[str, str] = {}

    def script(request: Received) -> Say:
        nonlocal index
        if request.method == "GET":
            return answer(service(index, Labels=dict(labels)))
        if int(parse_qs(request.query)["version"][0]) != index:
            return OUT_OF_SEQUENCE
        index += 1
        labels.update(request.json["Labels"])
        return UPDATED

    async def add(client: SwarmClient, target: str, number: int) -> None:
        def change(spec: ServiceSpec) -> None:
            spec.labels = {**(spec.labels or {}), str(number): "x"}

        await client.services.edit(target, change)

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client, anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(add, client, "web" if number % 2 else "svc1", number)
        assert {str(number) for number in range(30)} == set(labels)
        assert len([request for request in engine.received if request.method == "POST"]) == 30


async def test_a_bad_value_that_is_live_already_can_be_updated_elsewhere() -> None:
    ports = [{"TargetPort": 0, "Protocol": "icmp"}]
    with StubEngine(
        lambda request: UPDATED if request.method == "POST" else answer(service(EndpointSpec={"Ports": ports}))
    ) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.update("web", labels={"a": "b"})
            with pytest.raises(InvalidSpec, match="Protocol"):
                await client.services.edit("web", lambda spec: setattr(spec.endpoint_spec.ports[0], "protocol", "xx"))  # type: ignore[union-attr, index]
    assert change(engine).json["EndpointSpec"] == {"Ports": ports}


async def test_networks_on_update_replace_those_of_the_task_template_and_old_ones() -> None:
    with StubEngine(
        lambda request: UPDATED if request.method == "POST" else answer(service(Networks=[{"Target": "old"}]))
    ) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.update("web", networks=["host"])
    sent = change(engine).json
    assert "Networks" not in sent
    assert sent["TaskTemplate"]["Networks"] == [{"Target": "host"}]


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_name_is_exact_and_joins_the_filters() -> None:
    both = [service(Name="web"), service(Name="web-2")]
    with StubEngine(lambda _: answer(both)) as engine:
        async with SwarmClient(engine.host) as client:
            found = await client.services.list(name="web", filters={"label": ["a=b", "c"]}, status=True)
        (request,) = engine.received
    assert ["web"] == [one.name for one in found]
    query = parse_qs(request.query)
    assert {"label": ["a=b", "c"], "name": ["web"]} == json.loads(query["filters"][0])
    assert query["status"] == ["true"]


async def test_a_name_and_a_filter_for_it_are_one_too_many() -> None:
    with StubEngine(lambda _: answer([])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ValueError, match="not both"):
                await client.services.list(name="web", filters={"name": "api"})
            for wrong in (5, "\ud800"):
                with pytest.raises((ValidationError, InvalidSpec)):
                    await client.services.list(name=cast("Any", wrong))
        assert engine.received == []


async def test_a_filter_may_be_long() -> None:
    ids = [f"{number:025}" for number in range(3000)]
    with StubEngine(lambda _: answer([])) as engine:
        async with SwarmClient(engine.host) as client:
            assert [] == await client.tasks.list(filters={"id": ids})
        (request,) = engine.received
    assert ids == json.loads(parse_qs(request.target.partition("?")[2])["filters"][0])["id"]


async def test_an_answer_of_null_is_an_empty_list_of_nothing() -> None:
    with StubEngine(lambda _: answer(b"[]")) as engine:
        async with SwarmClient(engine.host) as client:
            assert await client.services.list() == []
            assert await client.tasks.list() == []
        assert ["/v1.51/services", "/v1.51/tasks"] == [request.target for request in engine.received]


async def test_tasks_come_by_slot_and_the_newest_first() -> None:
    def task(number: int, slot: int, hour: int) -> dict[str, Any]:
        return {
            "ID": f"t{number}",
            "Version": {"Index": 1},
            "Spec": {},
            "Slot": slot,
            "CreatedAt": f"2026-01-01T{hour:02}:00:00Z",
        }

    with StubEngine(lambda _: answer([task(1, 2, 1), task(2, 1, 1), task(3, 1, 5), task(4, 2, 9)])) as engine:
        async with SwarmClient(engine.host) as client:
            tasks = await client.services.ps("web")
        (request,) = engine.received
    assert ["t3", "t2", "t4", "t1"] == [one.id for one in tasks]
    assert unquote(request.query) == 'filters={"service":["web"]}'


# --- wait ------------------------------------------------------------------------------------------------------------


async def test_waiting_reads_only_the_tasks_of_the_present_spec() -> None:
    def script(request: Received) -> Say:
        match request.path.rpartition("/")[2]:
            case "tasks":
                return answer([])
            case "nodes":
                return answer([{"ID": "n1", "Version": {"Index": 1}, "Spec": {}, "Status": {"State": "ready"}}])
            case "services":
                return answer([idle])
            case _:
                return answer(idle)

    idle = service(Mode={"Replicated": {"Replicas": 0}}, UpdateConfig={"Monitor": 1_000_000})
    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            rollout = await client.services.wait("web", timeout=5)
    assert (rollout.progress.wanted, rollout.progress.phase) == (0, "converged")
    queries = {unquote(request.query) for request in engine.received if request.path.endswith("/tasks")}
    assert queries == {'filters={"service":["svc1"],"_up-to-date":["true"]}'}


async def test_an_engine_that_goes_away_while_waiting_is_its_own_error() -> None:
    with StubEngine(lambda _: answer(SERVICE)) as engine:
        client = SwarmClient(engine.host, timeout=0.3)
        await client.services.inspect("web")
    with pytest.raises(EngineUnreachable):
        await client.services.wait("web", timeout=10)


async def test_what_is_no_network_reference_is_no_path() -> None:
    with pytest.raises(InvalidReference):
        await SwarmClient("unix:///nowhere.sock").services.ps("../nodes")
