"""Images are pinned to what their registry has, as the docker program does it, or the caller hears why not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from swarmkit import (
    BadRequest,
    ContainerSpec,
    CredentialsError,
    DistributionInspect,
    EngineError,
    EngineTimeout,
    InvalidReference,
    InvalidSpec,
    OutcomeUnknown,
    Placement,
    Platform,
    PluginSpec,
    ProtocolError,
    RegistryAuth,
    ReplicatedJob,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    UnsupportedFeature,
)
from swarmkit._pinning import pinned, platforms
from swarmkit.testing import FakeEngine, Request

from .helpers import put_helper
from .stub import Received, Say, StubEngine, answer, hang, hang_up, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_shows", "docker_config")]

SHA = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "f" * 64
GIVEN = RegistryAuth(username="me", password="correct horse")


def template(image: str = "app:1", **more: Any) -> TaskTemplate:
    return TaskTemplate(container_spec=ContainerSpec(image), **more)


def runs_on(*names: str) -> Placement:
    found = [Platform(os=name.partition("/")[0], architecture=name.partition("/")[2]) for name in names]
    return Placement(platforms=found)


@pytest.fixture
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    return tmp_path / "config.json"


@pytest.fixture
def engine() -> FakeEngine:
    """An engine whose registries have two images."""
    engine = FakeEngine()
    engine.add_image("app:1", digest=SHA, platforms=["linux/amd64", "linux/arm64/v8"])
    engine.add_image("app:2", digest=OTHER, platforms=["linux/amd64"])
    return engine


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[SwarmClient]:
    async with engine.client() as client:
        yield client


async def stored(client: SwarmClient, name: str = "web") -> tuple[str, list[str]]:
    """Image and platforms of a service."""
    spec = (await client.services.inspect(name)).spec
    placement = spec.task_template and spec.task_template.placement
    found = (placement and placement.platforms) or []
    return spec.image, [f"{platform.os}/{platform.architecture}" for platform in found]


# --- what a registry's answer does to a spec -------------------------------------------------------------------------


def said(digest: str | None = SHA, *found: str) -> DistributionInspect:
    described: dict[str, Any] = {"Descriptor": {"digest": digest}}
    if found:
        parts = [name.split("/") for name in found]
        described["Platforms"] = [
            {"os": part[0], "architecture": part[1], **({"variant": part[2]} if part[2:] else {})} for part in parts
        ]
    return DistributionInspect.model_validate(described)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app:1", f"app:1@{SHA}"),
        ("app", f"app:latest@{SHA}"),
        ("docker.io/library/app:1", f"app:1@{SHA}"),
        ("index.docker.io/team/app", f"team/app:latest@{SHA}"),
        ("registry.example:5000/app", f"registry.example:5000/app:latest@{SHA}"),
        (f"app@{OTHER}", f"app@{OTHER}"),
        (f"docker.io/library/app:1@{OTHER}", f"docker.io/library/app:1@{OTHER}"),
    ],
)
def test_an_image_gets_the_digest_beside_its_tag_unless_it_has_one(image: str, expected: str) -> None:
    assert expected == pinned(image, said())


@pytest.mark.parametrize("digest", [None, "", "sha256:abc", "latest", f"{SHA}\n"])
def test_an_answer_without_a_digest_is_no_answer(digest: str | None) -> None:
    with pytest.raises(ProtocolError, match=r"^what the registry of app:1 says about it: not a digest"):
        pinned("app:1", said(digest))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), []),
        (("linux/amd64",), [("linux", "amd64")]),
        (
            ("linux/amd64", "windows/amd64", "linux/arm64/v8"),
            [("linux", "amd64"), ("windows", "amd64"), ("linux", "arm64")],
        ),
        # What lies beside the images in an index.
        (("linux/amd64", "unknown/unknown", "linux/unknown"), [("linux", "amd64")]),
        # Nodes would never match.
        (("linux/arm/v6", "linux/arm/v7", "linux/ARM"), [("linux", "")]),
        (("linux/arm64/v8", "linux/arm64"), [("linux", "arm64")]),
    ],
)
def test_platforms_are_those_that_nodes_can_have(found: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    assert expected == [(platform.os, platform.architecture) for platform in platforms(said(SHA, *found))]


# --- on create -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pin", ["try", "require"])
async def test_a_new_service_is_pinned_with_the_platforms_of_its_image(
    client: SwarmClient, pin: Literal["try", "require"]
) -> None:
    given = template()
    created = await client.services.create(given, name="web", pin_digest=pin)

    assert [] == created.warnings
    assert (f"app:1@{SHA}", ["linux/amd64", "linux/arm64"]) == await stored(client)
    assert template() == given


async def test_unless_it_is_asked_for_an_image_is_sent_as_it_is(client: SwarmClient) -> None:
    await client.services.create(template(), name="web")

    assert ("app:1", []) == await stored(client)


async def test_a_client_has_a_default_and_a_call_goes_before_it(engine: FakeEngine) -> None:
    async with engine.client(pin_digest="require") as client:
        await client.services.create(ServiceSpec(name="web", task_template=template()))
        await client.services.create(ServiceSpec(name="not", task_template=template()), pin_digest="never")
        assert [f"app:1@{SHA}", "app:1"] == [(await stored(client, name))[0] for name in ("web", "not")]


async def test_platforms_that_the_caller_chose_stay(client: SwarmClient) -> None:
    await client.services.create(template(placement=runs_on("linux/amd64")), name="web", pin_digest="require")

    assert (f"app:1@{SHA}", ["linux/amd64"]) == await stored(client)


async def test_the_rest_of_a_placement_stays(client: SwarmClient) -> None:
    constraints = ["node.role==manager"]
    await client.services.create(
        template(placement=Placement(constraints=constraints)), name="web", pin_digest="require"
    )
    spec = (await client.services.inspect("web")).spec
    assert spec.task_template is not None
    assert spec.task_template.placement is not None
    assert constraints == spec.task_template.placement.constraints


async def test_an_image_without_platforms_limits_nothing(engine: FakeEngine, client: SwarmClient) -> None:
    engine.add_image("app:3", digest=SHA, platforms=[])
    await client.services.create(template("app:3"), name="web", pin_digest="require")

    assert (f"app:3@{SHA}", []) == await stored(client)


async def test_an_image_that_has_a_digest_keeps_it_and_gets_its_platforms(client: SwarmClient) -> None:
    await client.services.create(template(f"app:2@{SHA}"), name="web", pin_digest="require")

    assert (f"app:2@{SHA}", ["linux/amd64"]) == await stored(client)


FAILURES: dict[str, tuple[Callable[[FakeEngine], None], str]] = {
    "no credentials": (
        lambda engine: engine.protect_registry("docker.io", username="me", password="x"),
        'Head "https://docker.io/v2/library/app/manifests/1": no basic auth credentials',
    ),
    "down": (FakeEngine.registry_down, "connection refused"),
    "unknown": (lambda engine: engine.remove_image("app:1"), "manifest unknown"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_where_there_is_no_digest_trying_warns_and_requiring_fails(
    engine: FakeEngine, client: SwarmClient, name: str
) -> None:
    fail, words = FAILURES[name]
    fail(engine)
    with pytest.raises(EngineError, match=words.replace("?", ".")):
        await client.services.create(template(), name="web", pin_digest="require")
    assert [] == await client.services.list()
    created = await client.services.create(template(), name="web", pin_digest="try")
    (warning,) = created.warnings
    assert warning.startswith("app:1 is not pinned to a digest, each node will look it up by itself: GET /distribution")
    assert words in warning
    assert ("app:1", []) == await stored(client)


async def test_what_kept_credentials_away_is_said_with_a_failure_to_pin(
    engine: FakeEngine, docker_config: Path
) -> None:
    engine.protect_registry("docker.io", username="me", password="x")
    docker_config.write_text('{"credsStore": "missing"}')
    async with engine.client(registry_auth="config") as client:
        with pytest.raises(EngineError, match="no basic auth") as caught:
            await client.services.create(template(), name="web", pin_digest="require")
        created = await client.services.create(template(), name="web", pin_digest="try")
    trouble = (
        "docker-credential-missing gave no credentials for https://index.docker.io/v1/: there is no such program; "
        "none were sent"
    )
    assert [trouble] == caught.value.__notes__
    assert [trouble, True] == [created.warnings[0], "is not pinned" in created.warnings[1]]


async def test_no_image_cannot_be_pinned(client: SwarmClient) -> None:
    for given in (ServiceSpec(name="web"), ServiceSpec(name="web", task_template=template("NO IMAGE"))):
        with pytest.raises(InvalidReference):
            await client.services.create(given, pin_digest="require")
        with pytest.raises(BadRequest):  # as without
            await client.services.create(given, pin_digest="try")
    plugin = TaskTemplate(plugin_spec=PluginSpec(name="x", remote="y"), runtime="plugin")
    with pytest.raises(InvalidReference):
        await client.services.create(plugin, name="web", pin_digest="require")


def manager(distribution: Say, **more: Any) -> StubEngine:
    def script(request: Received) -> Say:
        if request.path.endswith("/create"):
            return answer({"ID": "new"}, status=201)
        return distribution

    return StubEngine(script, **more)


async def test_a_registry_that_never_answers_takes_half_of_the_time_and_no_more() -> None:
    with manager(hang) as engine:
        async with SwarmClient(engine.host, timeout=0.4, registry_auth=None) as client:
            created = await client.services.create(template(), name="web", pin_digest="try")
            with pytest.raises(EngineTimeout, match="GET /distribution/app:1/json"):
                await client.services.create(template(), name="web", pin_digest="require")
    assert ["no answer within 0.2 s" in warning for warning in created.warnings] == [True]
    assert 1 == sum(request.method == "POST" for request in engine.received)


async def test_pinning_needs_1_30() -> None:
    with manager(refusal(404, "page not found")) as engine:
        async with SwarmClient(engine.host, api_version="1.29", registry_auth=None) as client:
            with pytest.raises(UnsupportedFeature, match=r"1\.30"):
                await client.services.create(template(), name="web", pin_digest="require")
            created = await client.services.create(template(), name="web", pin_digest="try")
        assert ["1.30" in warning for warning in created.warnings] == [True]
        assert ["/v1.29/services/create"] == [request.path for request in engine.received]


async def test_the_registry_is_asked_with_the_credentials_that_are_sent() -> None:
    with manager(answer({"Descriptor": {"digest": SHA}})) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(
                template("registry.example/app"), name="web", pin_digest="require", registry_auth=GIVEN
            )
        question, change = engine.received
    assert ("GET", "/v1.51/distribution/registry.example/app:latest/json") == (question.method, question.target)
    assert question.headers["x-registry-auth"] == change.headers["x-registry-auth"]
    assert f"registry.example/app:latest@{SHA}" == change.json["TaskTemplate"]["ContainerSpec"]["Image"]


async def test_what_is_misspelt_does_not_pass_for_never(engine: FakeEngine, client: SwarmClient) -> None:
    wrong: Any = "required"
    with pytest.raises(ValueError, match="not 'required'"):
        engine.client(pin_digest=wrong)
    for option in ({"pin_digest": wrong}, {"registry_auth": "Config"}, {"registry_auth": "previous-spec"}):
        call: Any = client.services.create
        with pytest.raises(ValueError, match=r"pin_digest is|registry_auth is|no previous spec") as caught:
            await call(template(), name="web", **option)
        assert "Config" not in str(caught.value)
    assert [] == await client.services.list()


# --- on change -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pinned_web(client: SwarmClient) -> None:
    """A service that is pinned."""
    await client.services.create(template(), name="web", pin_digest="require")


def newer(spec: ServiceSpec) -> None:
    spec.container.image = "app:2"


async def change(client: SwarmClient, way: str, **more: Any) -> list[str]:
    """Change the image to app:2 in one of the three ways; the warnings."""
    match way:
        case "update":
            return (await client.services.update("web", task_template=template("app:2"), **more)).warnings
        case "edit":
            return (await client.services.edit("web", newer, **more)).warnings
        case _:
            live = await client.services.inspect("web")
            newer(live.spec)
            return (await client.services.replace("web", live.spec, version=live.version, **more)).warnings


every_way = pytest.mark.parametrize("way", ["update", "edit", "replace"])


@every_way
@pytest.mark.usefixtures("pinned_web")
async def test_a_new_image_gets_its_own_digest_and_platforms(client: SwarmClient, way: str) -> None:
    assert [] == await change(client, way, pin_digest="require")
    assert (f"app:2@{OTHER}", ["linux/amd64"]) == await stored(client)


@every_way
@pytest.mark.usefixtures("pinned_web")
async def test_a_new_image_that_is_not_pinned_keeps_the_platforms_of_the_one_before_with_a_warning(
    client: SwarmClient, way: str
) -> None:
    (warning,) = await change(client, way)

    assert warning.startswith(f"app:2 is new and its tasks go to the platforms of app:1@{SHA} only")
    assert ("app:2", ["linux/amd64", "linux/arm64"]) == await stored(client)


@pytest.mark.usefixtures("pinned_web")
async def test_so_does_one_whose_registry_names_no_platforms_or_does_not_answer(
    engine: FakeEngine, client: SwarmClient
) -> None:
    engine.add_image("app:2", digest=OTHER, platforms=[])
    (warning,) = await change(client, "update", pin_digest="require")
    assert "app:2@sha256:ffff" in warning
    assert "platforms of app:1@" in warning
    engine.registry_down()
    said = await client.services.update("web", task_template=template("app:3"), pin_digest="try")
    assert ["app:3 is not", "app:3 is new"] == [warning[:12] for warning in said.warnings]


@pytest.mark.usefixtures("pinned_web")
async def test_platforms_that_are_chosen_or_cleared_with_the_image_are_no_leftovers(client: SwarmClient) -> None:
    chosen = template("app:2", placement=runs_on("linux/s390x"))
    assert [] == (await client.services.update("web", task_template=chosen)).warnings
    cleared = template("app:3", placement=Placement(platforms=None))
    assert [] == (await client.services.update("web", task_template=cleared)).warnings
    assert ("app:3", []) == await stored(client)


@pytest.mark.usefixtures("pinned_web")
async def test_an_image_that_stays_is_left_alone_unless_the_call_asks(engine: FakeEngine) -> None:
    async with engine.client(pin_digest="require") as client:
        engine.registry_down()
        await client.services.update("web", labels={"a": "b"})
        await client.services.scale("web", 2)
        await client.services.rollback("web")
        engine.registry_up()
        await client.services.create(template(), name="plain", pin_digest="never")
        await client.services.update("plain", labels={"a": "b"})
        assert ("app:1", []) == await stored(client, "plain")
        await client.services.update("plain", pin_digest="require")
        assert (f"app:1@{SHA}", ["linux/amd64", "linux/arm64"]) == await stored(client, "plain")


@every_way
async def test_a_required_digest_that_cannot_be_had_changes_nothing(
    engine: FakeEngine, client: SwarmClient, way: str
) -> None:
    await client.services.create(template(), name="web")
    engine.registry_down()
    with pytest.raises(EngineError, match="connection refused"):
        await change(client, way, pin_digest="require")
    assert ("app:1", []) == await stored(client)


LIVE: dict[str, Any] = {
    "ID": "svc1",
    "Version": {"Index": 7},
    "Spec": {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "registry.example/app:1"}}},
}


async def test_a_change_that_meets_others_asks_helper_and_registry_once(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_helper(tmp_path / "bin", "test", f"echo >>{tmp_path}/asked; echo '{{}}'", monkeypatch)
    docker_config.write_text('{"credsStore": "test"}')
    version = 7

    def script(request: Received) -> Say:
        nonlocal version
        if "/distribution/" in request.path:
            return refusal(500, "no")
        if request.method == "GET":
            return answer({**LIVE, "Version": {"Index": version}})
        version += 1
        return answer({}) if version > 10 else refusal(500, "rpc error: code = Unknown desc = update out of sequence")

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            updated = await client.services.update(
                "web", task_template=template("registry.example/app:2"), pin_digest="try"
            )
    assert ["is not pinned" in warning for warning in updated.warnings] == [True]
    assert "\n" == (tmp_path / "asked").read_text()
    assert 1 == sum("/distribution/" in request.path for request in engine.received)
    assert 4 == sum(request.method == "POST" for request in engine.received)


# --- stored credentials ----------------------------------------------------------------------------------------------


async def test_those_of_the_previous_spec_are_asked_for(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web", registry_auth=GIVEN)
    given = engine.registry_auth("web")
    await client.services.update("web", labels={}, registry_auth=RegistryAuth(username="you"))
    for _ in range(2):  # now the others are the previous ones
        await client.services.edit("web", lambda spec: None, registry_auth="previous-spec")
        names = [(engine.registry_auth("web") or {})["username"]]
        await client.services.edit("web", lambda spec: None, registry_auth="previous-spec")
        names.append((engine.registry_auth("web") or {})["username"])
        assert ["me", "you"] == names
    assert given is not None


async def test_fresh_ones_are_put_in_their_place_by_an_update_that_changes_nothing(
    engine: FakeEngine, docker_config: Path
) -> None:
    docker_config.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": "bmV3OmNvcnJlY3Q="}}}))
    async with engine.client(registry_auth="config") as client:
        await client.services.create(template(), name="web", registry_auth=GIVEN)
        await client.services.wait("web", timeout=60)
        before, tasks = await client.services.inspect("web"), await client.services.ps("web")
        updated = await client.services.refresh_registry_auth("web")
        await client.services.wait("web", timeout=60)
        after = await client.services.inspect("web")
        assert [task.id for task in tasks] == [task.id for task in await client.services.ps("web")]
    assert [] == updated.warnings
    assert before.spec == after.spec == after.previous_spec
    assert {"username": "new", "password": "correct"}.items() <= (engine.registry_auth("web") or {}).items()


async def test_a_client_that_sends_none_must_be_given_them(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web")
    with pytest.raises(CredentialsError, match="registry_auth is None"):
        await client.services.refresh_registry_auth("web")
    await client.services.refresh_registry_auth("web", registry_auth=GIVEN)
    assert "me" == (engine.registry_auth("web") or {})["username"]


async def test_a_job_is_not_run_again_for_fresh_ones(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web", mode=ReplicatedJob())
    with pytest.raises(InvalidSpec, match="a job would run again"):
        await client.services.refresh_registry_auth("web", registry_auth=GIVEN)
    assert engine.registry_auth("web") is None


@pytest.fixture
def losing() -> Iterator[StubEngine]:
    """An engine whose answer to a change is lost, after which the service is at a newer version."""
    version = 7

    def script(request: Received) -> Say:
        nonlocal version
        if request.method == "GET":
            return answer({**LIVE, "Version": {"Index": version}})
        version += 1
        return hang_up

    with StubEngine(script) as engine:
        yield engine


async def test_whether_fresh_ones_arrived_cannot_be_read(losing: StubEngine) -> None:
    async with SwarmClient(losing.host) as client:
        with pytest.raises(OutcomeUnknown):
            await client.services.refresh_registry_auth("web", registry_auth=GIVEN)
        with pytest.raises(OutcomeUnknown):
            spec = ServiceSpec.model_validate(LIVE["Spec"])
            await client.services.replace("web", spec, version=8, registry_auth=GIVEN)
        with pytest.raises(OutcomeUnknown):
            await client.services.update("web", registry_auth="previous-spec")
        await client.services.update("web", labels=None)  # this changes nothing at all


async def test_warnings_come_with_a_change_whose_answer_was_lost(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web")
    engine.registry_down()
    engine.lose_answer()
    updated = await client.services.update("web", task_template=template("app:2"), pin_digest="try")
    assert ["app:2 is not pinned"] == [warning[:19] for warning in updated.warnings]


# --- the embedded engine's registries --------------------------------------------------------------------------------


def test_registries_answer_in_an_engine_s_words(engine: FakeEngine) -> None:
    def ask(image: str, auth: RegistryAuth | None = None) -> tuple[int, Any]:
        headers = {} if auth is None else {"x-registry-auth": auth.header()}
        found = engine.handle(Request("GET", f"/v1.51/distribution/{image}/json", "", headers, b""))
        assert isinstance(found.body, bytes)
        return found.status, json.loads(found.body)

    engine.protect_registry("127.0.0.1:5000", username="me", password="correct horse")
    bare = ask("127.0.0.1:5000/app")
    assert (500, {"message": 'Head "http://127.0.0.1:5000/v2/app/manifests/latest": no basic auth credentials'}) == bare
    assert (401, {"message": "unauthorized: authentication required"}) == ask(
        "127.0.0.1:5000/app", RegistryAuth(username="me", password="wrong password")
    )
    assert bare == ask("127.0.0.1:5000/app", RegistryAuth())
    assert SHA == ask(f"127.0.0.1:5000/app@{SHA}", GIVEN)[1]["Descriptor"]["digest"]
    assert (400, {"message": "invalid reference format"}) == ask("NO")
    assert ask("app:1")[1]["Platforms"][1] == {"architecture": "arm64", "os": "linux", "variant": "v8"}


# --- what a registry says, for whoever asks --------------------------------------------------------------------------


async def test_a_registry_is_asked_for_an_image_by_its_full_name(engine: FakeEngine, client: SwarmClient) -> None:
    for image in ("app:1", "docker.io/library/app:1"):
        found = await client.system.distribution(image)
        assert SHA == found.descriptor.digest
        assert [("linux", "amd64"), ("linux", "arm64")] == [(one.os, one.architecture) for one in found.platforms or ()]
    engine.registry_down()
    with pytest.raises(EngineError, match="connection refused"):
        await client.system.distribution("app:1")
    with pytest.raises(InvalidReference):
        await client.system.distribution("App:1")


async def test_a_registry_gets_the_credentials_of_the_client_or_those_of_the_call(engine: FakeEngine) -> None:
    engine.protect_registry("docker.io", username=GIVEN.username, password=GIVEN.password)
    async with engine.client(registry_auth=GIVEN) as client, engine.client(registry_auth=None) as nobody:
        assert SHA == (await client.system.distribution("app:1")).descriptor.digest
        assert SHA == (await nobody.system.distribution("app:1", registry_auth=GIVEN)).descriptor.digest
        for one, options in ((client, {"registry_auth": None}), (nobody, {})):
            with pytest.raises(EngineError, match="no basic auth credentials"):
                await one.system.distribution("app:1", **options)


async def test_credentials_that_cannot_be_had_are_told_where_the_registry_wants_some(
    engine: FakeEngine, docker_config: Path
) -> None:
    docker_config.write_text('{"credsStore": "missing"}')
    async with engine.client(registry_auth="config") as client:
        assert SHA == (await client.system.distribution("app:1")).descriptor.digest
        with pytest.raises(CredentialsError, match="docker-credential-missing"):
            await client.system.distribution("app:1", registry_auth="config")
        engine.protect_registry("docker.io", username="me", password="unknown")
        with pytest.raises(EngineError) as caught:
            await client.system.distribution("app:1")
        (note,) = caught.value.__notes__
        assert "docker-credential-missing" in note


async def test_an_engine_that_is_too_old_asks_no_registry() -> None:
    with StubEngine(lambda _: answer({})) as engine:
        async with SwarmClient(engine.host, api_version="1.29") as client:
            with pytest.raises(UnsupportedFeature, match=r"1\.30"):
                await client.system.distribution("app:1")
    assert [] == engine.received
