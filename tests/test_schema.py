"""Models are plain values to FastAPI: bodies and answers in Docker's own JSON, described for whoever reads the API."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

import fastapi
import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from swarmkit import (
    Config,
    ConfigSpec,
    ContainerSpec,
    DistributionInspect,
    Event,
    Network,
    NetworkCreateRequest,
    Node,
    NodeSpec,
    Ping,
    Progress,
    Rollout,
    Secret,
    SecretSpec,
    Service,
    ServiceCreated,
    ServiceSpec,
    Swarm,
    SwarmInitRequest,
    SystemInfo,
    SystemVersion,
    Task,
    TaskTemplate,
    UpdateConfig,
    WireModel,
)
from swarmkit.models._wire import Base64, Duration, Int, LowerCaseModel, Timestamp
from swarmkit.refusals import problems, unheard
from swarmkit.versions import Since
from tests.test_models import ANSWERS, MANAGER, NAMED_NODE, PUBLIC, SECRETS, in_utc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """FastAPI runs on asyncio alone."""
    return "asyncio"


SPEC: dict[str, Any] = {
    "Name": "web",
    "Labels": {"team": "shop"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "nginx:1.27",
            "Env": ["MODE=production"],
            "StopGracePeriod": 10000000000,
            "Init": False,
            "Healthcheck": {"Test": ["NONE"], "Interval": 1500000001},
            "Privileges": {"CredentialSpec": None, "Seccomp": {"Profile": "e30="}},
            "Secrets": [{"SecretID": "s1", "SecretName": "db", "File": {"Name": "db", "UID": "0", "Mode": 292}}],
            "Isolation": "default",
        },
        "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
        "ForceUpdate": 18446744073709551615,
        "Runtime": "container",
        "Networks": None,
    },
    "Mode": {"Replicated": {"Replicas": 0}},
    "UpdateConfig": {"Parallelism": 1, "MaxFailureRatio": 0, "Monitor": 0, "Order": "sideways"},
    "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "NewKey": {"a": [1]}}]},
    "NewKey": {"deep": [None, {"A": 1}]},
}
SNAKE_SPEC: dict[str, Any] = {
    "name": "web",
    "task_template": {
        "container_spec": {
            "image": "nginx:1.27",
            "stop_grace_period": 10000000000,
            "tty": False,
            "privileges": {"seccomp": {"profile": "e30="}},
        },
        "resources": {"limits": {"nano_cpus": 500000000}},
    },
    "mode": {"replicated": {"replicas": 0}},
    "endpoint_spec": {"ports": [{"target_port": 80, "publish_mode": "host"}]},
}
SERVICE: dict[str, Any] = {
    "ID": "7w0k5fhwfc70",
    "Version": {"Index": 17},
    "CreatedAt": "2026-11-24T11:19:05.569719Z",
    "UpdatedAt": "2026-11-24T11:19:05.569939Z",
    "Spec": SPEC,
    "Endpoint": {"Spec": {}, "VirtualIPs": [{"NetworkID": "n1", "Addr": "10.0.1.2/24"}]},
    "UpdateStatus": {"State": "completed", "StartedAt": "2026-11-24T11:19:06Z", "Message": "update completed"},
    "JobStatus": {"JobIteration": {}, "LastExecution": None},
}


def application() -> fastapi.FastAPI:
    """A backend as users write it."""
    app = fastapi.FastAPI()

    @app.put("/spec", response_model_exclude_unset=True)
    async def keep_spec(spec: ServiceSpec) -> ServiceSpec:
        return spec

    @app.get("/service", response_model_exclude_unset=True)
    async def read_service() -> Service:
        return Service.from_wire(json.dumps(SERVICE))

    @app.get("/nodes", response_model_exclude_unset=True)
    async def list_nodes() -> list[Node]:
        return [Node.from_wire(json.dumps(answer)) for answer in (MANAGER, NAMED_NODE)]

    @app.get("/secrets", response_model_exclude_unset=True)
    async def list_secrets() -> dict[str, Secret]:
        return {secret["ID"]: Secret.from_wire(json.dumps(secret)) for secret in SECRETS}

    @app.post("/secret", response_model_exclude_unset=True)
    async def keep_secret(spec: SecretSpec) -> dict[str, int]:
        return {"bytes": len(spec.data or b"")}

    for path, model in {
        "task": Task,
        "swarm": Swarm,
        "config": Config,
        "network": Network,
        "event": Event,
        "info": SystemInfo,
        "version": SystemVersion,
        "ping": Ping,
        "image": DistributionInspect,
    }.items():
        app.add_api_route(f"/{path}", lambda: None, response_model=model, response_model_exclude_unset=True)

    @app.post("/start")
    async def start(request: SwarmInitRequest, network: NetworkCreateRequest, node: NodeSpec, spec: ConfigSpec) -> None:
        """Take several bodies at once."""

    return app


@pytest.fixture
async def backend() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:
        yield client


# --- bodies and answers ----------------------------------------------------------------------------------------------


async def test_docker_s_json_goes_in_and_comes_out_as_it_was(backend: httpx.AsyncClient) -> None:
    answer = await backend.put("/spec", json=SPEC)

    assert 200 == answer.status_code, answer.text
    assert SPEC == answer.json()


async def test_a_body_may_have_python_s_names_and_the_answer_has_docker_s(backend: httpx.AsyncClient) -> None:
    answer = await backend.put("/spec", json=SNAKE_SPEC)

    assert 200 == answer.status_code, answer.text
    assert {
        "Name": "web",
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "nginx:1.27",
                "StopGracePeriod": 10000000000,
                "TTY": False,
                "Privileges": {"Seccomp": {"Profile": "e30="}},
            },
            "Resources": {"Limits": {"NanoCPUs": 500000000}},
        },
        "Mode": {"Replicated": {"Replicas": 0}},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishMode": "host"}]},
    } == answer.json()


async def test_an_empty_body_is_a_spec_that_says_nothing(backend: httpx.AsyncClient) -> None:
    assert {} == (await backend.put("/spec", json={})).json()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"naem": "web"}, ["naem"]),
        ({"task_template": {"container_spec": {"imgae": "x"}}}, ["task_template", "container_spec", "imgae"]),
        (
            {"TaskTemplate": {"ContainerSpec": {"Mounts": [{"readonly": True}]}}},
            ["TaskTemplate", "ContainerSpec", "Mounts", 0, "readonly"],
        ),
        ({"Name": "a", "name": "b"}, ["name"]),
    ],
)
async def test_a_typo_in_a_body_is_a_422_that_names_its_place(
    backend: httpx.AsyncClient, body: dict[str, Any], place: list[str]
) -> None:
    answer = await backend.put("/spec", json=body)

    assert 422 == answer.status_code
    assert [["body", *place]] == [error["loc"] for error in answer.json()["detail"]]


@pytest.mark.parametrize(
    "body",
    [
        {"Mode": {"Replicated": {"Replicas": "3"}}},
        {"UpdateConfig": {"Delay": "5s"}},
        {"update_config": {"delay": 5}},
        {"Labels": ["a"]},
        [],
    ],
)
async def test_a_value_of_the_wrong_type_is_a_422(backend: httpx.AsyncClient, body: Any) -> None:
    assert 422 == (await backend.put("/spec", json=body)).status_code


async def test_a_service_is_answered_as_the_engine_said_it(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/service")

    assert 200 == answer.status_code, answer.text
    assert in_utc(SERVICE) == in_utc(answer.json())


async def test_nodes_are_answered_as_the_engine_said_them(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/nodes")

    assert 200 == answer.status_code, answer.text
    assert in_utc([MANAGER, NAMED_NODE]) == in_utc(answer.json())


async def test_models_inside_mappings_are_answered_as_well(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/secrets")

    assert in_utc({secret["ID"]: secret for secret in SECRETS}) == in_utc(answer.json())


async def test_the_data_of_a_secret_comes_as_base64(backend: httpx.AsyncClient) -> None:
    assert {"bytes": 7} == (await backend.post("/secret", json={"name": "db", "data": "aHVudGVyMg=="})).json()
    assert {"bytes": 7} == (await backend.post("/secret", json={"Name": "db", "Data": "aHVudGVyMg=="})).json()
    assert 422 == (await backend.post("/secret", json={"Name": "db", "Data": "hunter2"})).status_code


def test_a_backend_runs_without_a_warning() -> None:
    program = """
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from swarmkit import ServiceSpec
import anyio

app = FastAPI()

@app.put("/spec", response_model_exclude_unset=True)
async def keep(spec: ServiceSpec) -> ServiceSpec:
    return spec

async def main():
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://backend") as client:
        print((await client.put("/spec", json={"Name": "web"})).text)

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ('{"Name":"web"}', "") == (done.stdout.strip(), done.stderr)


# --- what the API says about itself ----------------------------------------------------------------------------------

FASTAPI_S_OWN = {"HTTPValidationError", "ValidationError"}


async def described(backend: httpx.AsyncClient) -> dict[str, Any]:
    """The schema of each model; with older pydantics some have one for each way, under names with an ending."""
    answer = await backend.get("/openapi.json")
    assert 200 == answer.status_code
    return {
        name.removesuffix("-Input").removesuffix("-Output"): schema
        for name, schema in answer.json()["components"]["schemas"].items()
        if name not in FASTAPI_S_OWN and not name.startswith("Body_")
    }


async def test_the_api_describes_every_model_that_it_takes_and_answers(backend: httpx.AsyncClient) -> None:
    schemas = await described(backend)
    public = {model.__name__ for model in PUBLIC}

    assert set(schemas) <= public
    assert {"ServiceSpec", "TaskTemplate", "ContainerSpec", "SecretSpec", "Service", "Node", "TLSInfo"} <= set(schemas)
    assert {"SwarmInitRequest", "CAConfig", "NetworkCreateRequest", "Event", "OCIPlatform", "Ping"} <= set(schemas)
    for name, schema in schemas.items():
        assert name == schema["title"]
        assert "object" == schema["type"], name
        assert schema["description"], name


async def test_the_api_describes_every_property_and_does_not_repeat_its_name(backend: httpx.AsyncClient) -> None:
    for name, schema in (await described(backend)).items():
        for key, value in schema.get("properties", {}).items():
            assert len(value.get("description", "")) > 3, f"{name}.{key}"
            assert "title" not in value, f"{name}.{key}"


async def test_the_api_says_which_version_of_docker_s_a_property_needs(backend: httpx.AsyncClient) -> None:
    schemas = await described(backend)
    needs = {
        ("SecretSpec", "Templating"): "Needs API 1.37.",
        ("SwarmInitRequest", "SubnetSize"): "Needs API 1.39.",
        ("NetworkCreateRequest", "EnableIPv4"): "Needs API 1.48.",
        ("ContainerSpec", "Sysctls"): "Needs API 1.40.",
        ("PortConfig", "Protocol"): "Needs API 1.37 for sctp.",
    }

    for (model, key), need in needs.items():
        assert need in schemas[model]["properties"][key]["description"], f"{model}.{key}"
    assert "Needs" not in schemas["ContainerSpec"]["properties"]["Image"]["description"]


async def test_the_api_describes_scalars_as_they_are_on_the_wire(backend: httpx.AsyncClient) -> None:
    schemas = await described(backend)

    duration = kinds(schemas["ContainerSpec"]["properties"]["StopGracePeriod"])
    assert {("integer", "int64"), ("null", None)} == set(duration)
    assert {("string", "date-time"), ("null", None)} == set(kinds(schemas["Node"]["properties"]["CreatedAt"]))
    assert {("string", "byte"), ("null", None)} == set(kinds(schemas["SecretSpec"]["properties"]["Data"]))
    assert "nanoseconds" in json.dumps(schemas["ContainerSpec"]["properties"]["StopGracePeriod"])
    assert {("integer", None), ("null", None)} == set(kinds(schemas["Event"]["properties"]["timeNano"]))


def kinds(schema: dict[str, Any]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """The types, with their formats, that a value may have."""
    return {(one["type"], one.get("format")): one for one in schema.get("anyOf", [schema])}


# --- schemas without FastAPI -----------------------------------------------------------------------------------------

each_mode = pytest.mark.parametrize("mode", ["validation", "serialization"])


@each_mode
@pytest.mark.parametrize("model", PUBLIC)
def test_every_model_has_a_schema_that_describes_its_properties(model: type[WireModel], mode: Any) -> None:
    schema = model.model_json_schema(mode=mode)
    below = {model.__name__: schema, **schema.get("$defs", {})}

    if "$ref" not in schema:
        assert {field.alias or name for name, field in model.model_fields.items()} == set(schema.get("properties", {}))
    for name, one in below.items():
        for key, value in one.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"
            assert "title" not in value, f"{name}.{key}"


@each_mode
def test_all_models_fit_into_one_schema(mode: Any) -> None:
    _, schema = models_json_schema([(model, mode) for model in PUBLIC])

    assert {model.__name__ for model in PUBLIC} <= set(schema["$defs"])
    assert json.dumps(schema)


@pytest.mark.parametrize("model", PUBLIC)
def test_a_schema_with_python_s_names_is_described_as_well(model: type[WireModel]) -> None:
    schema = model.model_json_schema(by_alias=False)

    assert set(model.model_fields) == set(schema.get("properties", {}))
    for key, value in schema.get("properties", {}).items():
        assert value.get("description"), key


@pytest.mark.parametrize(("model", "answer"), ANSWERS)
def test_an_answer_as_python_s_json_reads_it_is_validated(model: type[WireModel], answer: dict[str, Any]) -> None:
    read = model.model_validate(json.loads(json.dumps(answer)))

    assert read == model.from_wire(json.dumps(answer))
    assert in_utc(answer) == in_utc(read.model_dump(mode="json", exclude_unset=True))
    assert read == model.model_validate(read.model_dump(exclude_unset=True))


def test_a_list_of_answers_is_read_at_once() -> None:
    nodes = TypeAdapter(list[Node]).validate_json(json.dumps([MANAGER, NAMED_NODE]))

    assert ["engine-28-5", "worker-1"] == [node.hostname for node in nodes]


def test_a_dump_for_python_has_python_s_values() -> None:
    dumped = UpdateConfig(delay=timedelta(seconds=1)).model_dump(exclude_unset=True)

    assert {"Delay": timedelta(seconds=1)} == dumped
    assert {"delay": timedelta(seconds=1)} == UpdateConfig(delay=timedelta(seconds=1)).model_dump(
        exclude_unset=True, by_alias=False
    )
    assert {"Delay": 1_000_000_000} == UpdateConfig(delay=timedelta(seconds=1)).model_dump(
        mode="json", exclude_unset=True
    )


@pytest.mark.parametrize("kind", [Progress, Rollout])
def test_what_is_no_model_is_described_as_well(kind: type[object]) -> None:
    schema = TypeAdapter(kind).json_schema()

    for one in (schema, schema["$defs"]["SlotProgress"]):
        assert all(len(value["description"]) > 3 for value in one["properties"].values())


def test_the_example_in_the_schema_of_a_spec_is_one_that_an_engine_takes() -> None:
    (example,) = ServiceSpec.model_json_schema()["examples"]
    spec = ServiceSpec.model_validate_json(json.dumps(example))

    assert example == json.loads(spec.wire())
    assert [] == problems(spec)
    assert [] == unheard(spec)


# --- a user's own models ---------------------------------------------------------------------------------------------


class Backup(WireModel):
    """A model as users add them."""

    volume_name: str
    """Which volume is saved."""
    every: Annotated[Duration | None, Since("1.41")] = None
    """How often
    it is saved."""
    content: Base64 | None = None
    last_ip: str | None = None
    """Where it went last."""


class NightlyBackup(Backup):
    """One that adds to it, and says one thing in other words."""

    hour: Int = 3
    """Hour of the night."""
    volume_name: str = "data"
    """Which volume is saved at night."""


class Unsaid(WireModel):
    """One of which little is said."""

    first: str | None = None
    ...
    second: str | None = None
    """What it is."""


class LowerBackup(LowerCaseModel):
    """One with keys in lower case."""

    done_at: Timestamp = None
    """When it was done."""


def descriptions(model: type[WireModel]) -> dict[str, str]:
    return {key: value.get("description", "") for key, value in model.model_json_schema()["properties"].items()}


def test_a_model_of_the_user_s_own_is_described_by_the_lines_below_its_fields() -> None:
    assert {
        "VolumeName": "Which volume is saved.",
        "Every": "How often\nit is saved. Needs API 1.41.",
        "Content": "",
        "LastIP": "Where it went last.",
    } == descriptions(Backup)
    assert {"done_at": "When it was done."} == descriptions(LowerBackup)


def test_only_text_below_a_field_describes_it() -> None:
    assert {"First": "", "Second": "What it is."} == descriptions(Unsaid)


def test_a_subclass_has_the_lines_of_its_base_and_its_own_first() -> None:
    described = descriptions(NightlyBackup)

    assert "Which volume is saved at night." == described["VolumeName"]
    assert "Hour of the night." == described["Hour"]
    assert "Where it went last." == described["LastIP"]


def test_a_subclass_of_one_of_our_models_keeps_its_descriptions() -> None:
    class Web(ContainerSpec):
        """A container with a default image."""

    class Labelled(TaskTemplate):
        """A task template with a key of its own."""

        own_key: str | None = None
        """What only this one has."""

    assert descriptions(ContainerSpec) == descriptions(Web)
    assert descriptions(TaskTemplate).items() <= descriptions(Labelled).items()
    assert {"OwnKey"} == set(descriptions(Labelled)) - set(descriptions(TaskTemplate))


def test_models_made_where_no_source_is_to_be_had_have_schemas_all_the_same() -> None:
    names: dict[str, Any] = {"__name__": "made.up", "WireModel": WireModel}
    exec("class Made(WireModel):\n    one_field: str | None = None\n    'What it is.'\n", names)
    made: type[WireModel] = names["Made"]

    assert {"OneField"} == set(made.model_json_schema()["properties"])
    assert b'{"OneField":"x"}' == made(**cast("Any", {"one_field": "x"})).wire()


def test_a_model_inside_a_function_works() -> None:
    class Local(WireModel):
        """Made where it is used."""

        a_field: Duration | None = None
        """What it is."""

    assert {"AField"} == set(descriptions(Local))
    assert b'{"AField":1000000}' == Local(a_field=timedelta(milliseconds=1)).wire()
    with pytest.raises(ValidationError):
        Local.model_validate({"a_feild": 1})


async def test_a_user_s_own_model_is_a_body_as_well() -> None:
    app = fastapi.FastAPI()

    @app.get("/backup", response_model_exclude_unset=True)
    async def read() -> NightlyBackup:
        return NightlyBackup(content=b"\xff", last_ip="10.0.0.1")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://backend") as client:
        assert {"Content": "/w==", "LastIP": "10.0.0.1"} == (await client.get("/backup")).json()
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]

    assert "Hour of the night." == schemas["NightlyBackup"]["properties"]["Hour"]["description"]


def test_timestamps_are_kept_as_moments_by_a_model_of_the_user_s_own() -> None:
    moment = datetime(2026, 11, 24, 11, 19, 5, tzinfo=UTC)

    assert moment == LowerBackup.from_wire(LowerBackup(done_at=moment).wire()).done_at
    assert LowerBackup.from_wire('{"done_at":"0001-01-01T00:00:00Z"}').done_at is None


def test_warnings_of_an_answer_are_a_list_in_the_schema() -> None:
    warned = ServiceCreated.model_json_schema()["properties"]["Warnings"]

    assert "array" == warned["type"]
