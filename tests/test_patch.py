"""A patch changes what it says and nothing else, and a diff says where two specs differ."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmkit.models._wire import WireModel
from swarmkit.models.container import ContainerSpec, CredentialSpec, Healthcheck, Privileges
from swarmkit.models.endpoint import PortConfig
from swarmkit.models.mount import Mount
from swarmkit.models.service import Global, Replicated, ServiceMode, ServiceSpec, UpdateConfig
from swarmkit.models.task import Placement, PluginSpec, Resources, TaskTemplate
from swarmkit.patch import Change, clear, diff, merge
from tests.paths import models_in
from tests.strategies import wire_objects

LIVE = {
    "Name": "web",
    "Labels": {"a": "1", "b": "2"},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "nginx:1.27", "Env": ["A=1"], "Healthcheck": {"Test": ["NONE"], "Retries": 3}},
        "Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2},
        "ForceUpdate": 4,
        "NewKey": {"x": [1]},
    },
    "Mode": {"Replicated": {"Replicas": 3}, "NewMode": {}},
    "UpdateConfig": {"Parallelism": 2, "Delay": 1500},
    "NewKey": 1,
}


def read(text: Any) -> ServiceSpec:
    return ServiceSpec.from_wire(json.dumps(text))


def written(model: WireModel) -> Any:
    return json.loads(model.wire())


def changed(patch: ServiceSpec) -> dict[str, Any]:
    """What the live spec becomes, as far as it changes at the top."""
    after = written(merge(read(LIVE), patch))
    return {key: after.get(key) for key in {*LIVE, *after} if after.get(key) != LIVE.get(key)}


def in_template(template: TaskTemplate) -> Any:
    """What of the task template a patch changes."""
    after = changed(ServiceSpec(task_template=template))
    before: dict[str, Any] = cast("Any", LIVE["TaskTemplate"])
    assert {"TaskTemplate"} == set(after)
    return {key: value for key, value in after["TaskTemplate"].items() if value != before.get(key)}


# --- merge -----------------------------------------------------------------------------------------------------------


def test_a_patch_of_the_image_changes_the_image_alone() -> None:
    patch = TaskTemplate(container_spec=ContainerSpec("nginx:1.28"))

    assert {
        "ContainerSpec": {"Image": "nginx:1.28", "Env": ["A=1"], "Healthcheck": {"Test": ["NONE"], "Retries": 3}}
    } == in_template(patch)


def test_models_are_merged_field_by_field_at_every_depth() -> None:
    patch = TaskTemplate(container_spec=ContainerSpec(healthcheck=Healthcheck(interval=timedelta(seconds=1))))

    assert {"Test": ["NONE"], "Retries": 3, "Interval": 10**9} == in_template(patch)["ContainerSpec"]["Healthcheck"]


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        (ServiceSpec(labels={"c": "3"}), {"Labels": {"c": "3"}}),
        (ServiceSpec(labels={}), {"Labels": {}}),
        (ServiceSpec(update_config=UpdateConfig(parallelism=0)), {"UpdateConfig": {"Parallelism": 0, "Delay": 1500}}),
        (ServiceSpec(), {}),
        (ServiceSpec(name="web"), {}),
    ],
)
def test_mappings_are_replaced_whole_and_defaults_count(patch: ServiceSpec, after: dict[str, Any]) -> None:
    assert after == changed(patch)


def test_lists_are_replaced_whole() -> None:
    container = in_template(TaskTemplate(container_spec=ContainerSpec(env={"B": "2"}, mounts=["v1:/v"])))

    assert ["B=2"] == container["ContainerSpec"]["Env"]
    assert [{"Type": "volume", "Source": "v1", "Target": "/v"}] == container["ContainerSpec"]["Mounts"]
    assert [] == in_template(TaskTemplate(placement=Placement(constraints=[])))["Placement"]["Constraints"]


def test_none_clears() -> None:
    patch = ServiceSpec(labels=None, update_config=None, task_template=TaskTemplate(placement=None))
    after = written(merge(read(LIVE), patch))

    assert {"Name", "TaskTemplate", "Mode", "NewKey"} == set(after)
    assert {"ContainerSpec", "ForceUpdate", "NewKey"} == set(after["TaskTemplate"])


def test_none_clears_one_field_of_a_part() -> None:
    assert {"UpdateConfig": {"Delay": 1500}} == changed(ServiceSpec(update_config=UpdateConfig(parallelism=None)))
    assert {"Constraints": ["node.role==worker"]} == in_template(TaskTemplate(placement=Placement(max_replicas=None)))[
        "Placement"
    ]


def test_clearing_what_is_not_there_changes_nothing() -> None:
    assert {} == changed(ServiceSpec(rollback_config=None, endpoint_spec=None))


@pytest.mark.parametrize(
    ("mode", "after"),
    [
        (ServiceMode(replicated=Replicated(replicas=0)), {"Replicated": {"Replicas": 0}}),
        (ServiceMode(replicated=Replicated()), {"Replicated": {}}),
        (ServiceMode(global_=Global()), {"Global": {}}),
    ],
)
def test_a_mode_replaces_the_mode(mode: ServiceMode, after: dict[str, Any]) -> None:
    assert {"Mode": after} == changed(ServiceSpec(mode=mode))


def test_a_credential_spec_is_replaced_whole_since_it_has_one_source() -> None:
    live = ContainerSpec(privileges=Privileges(credential_spec=CredentialSpec(file="a"), no_new_privileges=True))
    patch = ContainerSpec(privileges=Privileges(credential_spec=CredentialSpec(config="b")))

    assert {"Privileges": {"CredentialSpec": {"Config": "b"}, "NoNewPrivileges": True}} == written(merge(live, patch))


def test_a_part_that_was_not_there_comes_in_as_it_is() -> None:
    assert {"Resources": {"SwapBytes": 0}} == in_template(TaskTemplate(resources=Resources(swap_bytes=0)))


def test_unknown_keys_are_kept_added_changed_and_cleared() -> None:
    assert {"NewKey": 2, "Other": [3]} == changed(ServiceSpec(**cast("Any", {"NewKey": 2, "Other": [3]})))
    assert {"NewKey": None} == changed(ServiceSpec(**cast("Any", {"NewKey": None})))


def test_unknown_keys_in_lower_case_are_merged_as_well() -> None:
    patch = ServiceSpec.from_wire('{"newkey":1,"copy":2,"TaskTemplate":{"PluginSpec":{"wire":3}}}')
    live = ServiceSpec(task_template=TaskTemplate(plugin_spec=PluginSpec(name="p")))

    assert {"newkey": 1, "copy": 2, "TaskTemplate": {"PluginSpec": {"name": "p", "wire": 3}}} == written(
        merge(live, patch)
    )


def test_neither_argument_is_touched_or_shared() -> None:
    live = read(LIVE)
    mount = Mount(target="/x")
    template = TaskTemplate(container_spec=ContainerSpec(mounts=[mount]))
    patch = ServiceSpec(labels={"c": "3"}, task_template=template, **cast("Any", {"X": [1]}))
    before = patch.wire()
    merged = merge(live, patch)
    assert merged.labels is not None
    assert merged.container.mounts is not None
    assert merged.container.env is not None
    merged.labels["d"] = "4"
    merged.container.mounts[0].target = "/y"
    merged.container.env.append("B=2")
    cast("Any", merged).X.append(2)

    assert LIVE == written(live)
    assert before == patch.wire()
    assert "/x" == mount.target


def test_clear_takes_a_field_or_key_out_as_if_it_had_never_been_set() -> None:
    spec = read(LIVE)
    for name in ("labels", "mode", "update_config", "task_template", "NewKey", "rollback_config", "Nothing"):
        clear(spec, name)

    assert {"Name": "web"} == written(spec)
    assert spec.labels is None


def whole(model: type[WireModel]) -> bool:
    return model in (ServiceMode, CredentialSpec)


def expected(model: type[WireModel], live: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The laws of a merge, on plain JSON."""
    parts = {
        field.alias: child
        for field in model.model_fields.values()
        for suffix, child in models_in(field.annotation)
        if not suffix
    }
    result = dict(live)
    for key, new in patch.items():
        part = parts.get(key)
        if new is None:
            result.pop(key, None)
        elif part is not None and not whole(part) and isinstance(live.get(key), dict):
            result[key] = expected(part, live[key], new)
        else:
            result[key] = new
    return result


@pytest.mark.parametrize("nothing", ["{}", '{"X": []}', '{"X": null}'])
def test_an_object_that_says_nothing_differs_from_none(nothing: str) -> None:
    there = ServiceSpec.from_wire(f'{{"UpdateConfig": {nothing}}}')
    assert ["UpdateConfig"] == [change.path for change in diff(ServiceSpec(), there)]
    assert ["UpdateConfig"] == [change.path for change in diff(there, ServiceSpec())]
    assert () == diff(there, ServiceSpec.from_wire('{"UpdateConfig": {}}'))


SPECS = wire_objects(ServiceSpec)
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(SPECS, SPECS)
def test_any_merge_follows_the_laws(live: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge(read(live), read(patch))

    assert expected(ServiceSpec, live, patch) == written(merged)
    assert () == diff(merged, merge(merged, read(patch)))


@QUICK
@given(SPECS)
def test_an_empty_patch_and_the_spec_itself_change_nothing(live: dict[str, Any]) -> None:
    assert live == written(merge(read(live), ServiceSpec()))
    assert () == diff(read(live), merge(read(live), read(live)))


# --- diff ------------------------------------------------------------------------------------------------------------


def test_a_diff_says_every_place_down_to_the_leaves() -> None:
    after = read(LIVE)
    after.labels = {"a": "1", "b": "3", "c": "4"}
    after.container.image = "nginx:1.28"
    after.container.env = ["A=1", "B=2"]
    after.container.healthcheck = None
    after.mode = ServiceMode(replicated=Replicated(replicas=0), **cast("Any", {"NewMode": {}}))
    after.update_config = UpdateConfig.from_wire('{"Parallelism":2,"Delay":1700}')
    prefix = "TaskTemplate.ContainerSpec."

    assert {
        Change("Labels.b", "2", "3"),
        Change("Labels.c", None, "4"),
        Change(prefix + "Image", "nginx:1.27", "nginx:1.28"),
        Change(prefix + "Env[1]", None, "B=2"),
        Change(prefix + "Healthcheck.Test[0]", "NONE", None),
        Change(prefix + "Healthcheck.Retries", 3, None),
        Change("Mode.Replicated.Replicas", 3, 0),
        Change("UpdateConfig.Delay", 1500, 1700),
    } == set(diff(read(LIVE), after))


def test_a_difference_is_shown_without_its_values() -> None:
    found = diff(ContainerSpec(env=["TOKEN=hunter2"]), ContainerSpec(env=["TOKEN=hunter3"]))

    assert "(Change('Env[0]'),)" == repr(found)
    assert "hunter" not in f"{found} {found[0]}"


def test_lists_are_compared_by_position() -> None:
    one = Placement(constraints=["a", "b"])

    assert (
        Change("Constraints[0]", "a", "b"),
        Change("Constraints[1]", "b", None),
    ) == diff(one, Placement(constraints=["b"]))


def test_items_of_lists_are_compared_inside() -> None:
    before = ServiceSpec.from_wire('{"EndpointSpec":{"Ports":[{"TargetPort":80}]}}')
    after = ServiceSpec.from_wire(
        '{"EndpointSpec":{"Ports":[{"TargetPort":80,"PublishedPort":8080},{"TargetPort":90}]}}'
    )

    assert (
        Change("EndpointSpec.Ports[0].PublishedPort", None, 8080),
        Change("EndpointSpec.Ports[1].TargetPort", None, 90),
    ) == diff(before, after)


def test_the_presence_of_an_empty_part_is_a_difference() -> None:
    assert (Change("Global", None, {}),) == diff(ServiceMode(), ServiceMode(global_=Global()))


def test_absent_null_and_none_are_the_same() -> None:
    null = PortConfig.from_wire('{"Name":null,"X":null}')

    assert () == diff(null, PortConfig())
    assert () == diff(PortConfig(name=None), PortConfig())
    assert () == diff(None, None)


@QUICK
@given(SPECS)
def test_nothing_differs_from_itself(spec: dict[str, Any]) -> None:
    assert () == diff(read(spec), read(spec))


@QUICK
@given(SPECS, SPECS)
def test_a_diff_backwards_is_the_same_with_sides_changed(one: dict[str, Any], other: dict[str, Any]) -> None:
    forward = diff(read(one), read(other))
    backward = diff(read(other), read(one))

    turned = [Change(path, after, before) for path, before, after in backward]
    assert sorted(forward, key=repr) == sorted(turned, key=repr)
    assert all(before != after for _, before, after in forward)


@QUICK
@given(SPECS, st.sampled_from(["a", "b"]))
def test_a_change_in_one_place_is_found_there(spec: dict[str, Any], image: str) -> None:
    before, after = read({**spec, "Name": "x"}), read({**spec, "Name": image})

    assert (Change("Name", "x", image),) == diff(before, after)
