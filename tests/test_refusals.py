"""What engines accept and then do otherwise is refused, all of it at once, and of a change only what it is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit.models.container import ContainerSpec
from swarmkit.models.endpoint import EndpointSpec, PortConfig
from swarmkit.models.mount import Mount
from swarmkit.models.service import Replicated, ServiceSpec
from swarmkit.models.task import TaskTemplate
from swarmkit.refusals import problems, problems_of_part, unheard
from swarmkit.versions import NEWEST

CONTAINER = "TaskTemplate.ContainerSpec."


def read(**keys: Any) -> ServiceSpec:
    """A spec as an engine would answer it."""
    return ServiceSpec.from_wire(json.dumps(keys))


def template(**keys: Any) -> ServiceSpec:
    return read(Name="web", TaskTemplate=keys)


def container(**keys: Any) -> ServiceSpec:
    return template(ContainerSpec=keys)


def mounts(*items: dict[str, Any]) -> ServiceSpec:
    return container(Mounts=list(items))


def ports(*items: dict[str, Any], mode: str | None = None) -> ServiceSpec:
    return read(Name="web", EndpointSpec={"Mode": mode, "Ports": list(items)})


def paths(spec: ServiceSpec, live: ServiceSpec | None = None) -> list[str]:
    return [problem.path for problem in problems(spec, live)]


def a_mount(**keys: Any) -> dict[str, Any]:
    return {"Type": "bind", "Source": "/a", "Target": "/a", **keys}


def a_file(name: str, **keys: Any) -> dict[str, Any]:
    return {"File": {"Name": name, "UID": "0", "GID": "0", "Mode": 292, **keys}}


def privileges(*, path: str, **keys: Any) -> tuple[ServiceSpec, str]:
    return container(Privileges=keys), f"{CONTAINER}Privileges.{path}"


NAMED = {"NamedResourceSpec": {"Kind": "GPU", "Value": "a"}}
DISCRETE = {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}}
NO_SPREAD: list[dict[str, Any]] = [{}, {"Spread": None}, {"Spread": {}}, {"Spread": {"SpreadDescriptor": ""}}]
GENERIC = "TaskTemplate.Resources.Reservations.GenericResources[1]"


def resources(resource: dict[str, Any]) -> ServiceSpec:
    return template(Resources={"Reservations": {"GenericResources": [NAMED, resource, DISCRETE]}})


# --- each of them ----------------------------------------------------------------------------------------------------

SILENTLY_ACCEPTED: list[tuple[ServiceSpec, str]] = [
    (read(Name=""), "Name"),
    (ports({"TargetPort": 0}), "EndpointSpec.Ports[0].TargetPort"),
    (ports({"PublishedPort": 80}), "EndpointSpec.Ports[0].TargetPort"),
    (ports({"TargetPort": 65536}), "EndpointSpec.Ports[0].TargetPort"),
    (ports({"TargetPort": -1}), "EndpointSpec.Ports[0].TargetPort"),
    (ports({"TargetPort": 80}, {"TargetPort": 80, "PublishedPort": 65536}), "EndpointSpec.Ports[1].PublishedPort"),
    (ports({"TargetPort": 80, "PublishedPort": -1}), "EndpointSpec.Ports[0].PublishedPort"),
    (ports({"TargetPort": 80, "Protocol": "tcp6"}), "EndpointSpec.Ports[0].Protocol"),
    (ports({"TargetPort": 80, "Protocol": "icmp"}), "EndpointSpec.Ports[0].Protocol"),
    (ports({"TargetPort": 80, "PublishMode": "bogus"}), "EndpointSpec.Ports[0].PublishMode"),
    (ports({"TargetPort": 80}, mode="dnsrr"), "EndpointSpec.Ports[0].PublishMode"),
    (ports({"TargetPort": 80, "PublishMode": "ingress"}, mode="dnsrr"), "EndpointSpec.Ports[0].PublishMode"),
    (ports({"TargetPort": 80, "PublishMode": ""}, mode="dnsrr"), "EndpointSpec.Ports[0].PublishMode"),
    (
        ports({"TargetPort": 80, "PublishedPort": 8080}, {"TargetPort": 81, "PublishedPort": 8080, "Protocol": "tcp"}),
        "EndpointSpec.Ports[1].PublishedPort",
    ),
    (container(Isolation="total"), CONTAINER + "Isolation"),
    (mounts({"Type": "volume", "Source": "a"}), CONTAINER + "Mounts[0].Target"),
    (mounts(a_mount(Target="")), CONTAINER + "Mounts[0].Target"),
    (mounts(a_mount(Target="data")), CONTAINER + "Mounts[0].Target"),
    (mounts(a_mount(Target="./data")), CONTAINER + "Mounts[0].Target"),
    (mounts(a_mount(), a_mount(Source="/b")), CONTAINER + "Mounts[1].Target"),
    (mounts(a_mount(Type="image")), CONTAINER + "Mounts[0].Type"),
    (mounts(a_mount(Consistency="cached")), CONTAINER + "Mounts[0].Consistency"),
    (mounts(a_mount(ImageOptions={"Subpath": "x"})), CONTAINER + "Mounts[0].ImageOptions"),
    (mounts(a_mount(BindOptions={"CreateMountpoint": True})), CONTAINER + "Mounts[0].BindOptions.CreateMountpoint"),
    (
        mounts(a_mount(BindOptions={"ReadOnlyNonRecursive": True})),
        CONTAINER + "Mounts[0].BindOptions.ReadOnlyNonRecursive",
    ),
    (
        mounts(a_mount(BindOptions={"ReadOnlyForceRecursive": True})),
        CONTAINER + "Mounts[0].BindOptions.ReadOnlyForceRecursive",
    ),
    (
        container(Secrets=[{"SecretID": "1", **a_file("x")}, {"SecretID": "2", **a_file("x")}]),
        CONTAINER + "Secrets[1].File.Name",
    ),
    (
        container(Configs=[a_file("/x"), {"Runtime": {}}, a_file("/x")]),
        CONTAINER + "Configs[2].File.Name",
    ),
    (container(Secrets=[a_file("x", UID=None)]), CONTAINER + "Secrets[0].File.UID"),
    (container(Secrets=[a_file("x", GID="")]), CONTAINER + "Secrets[0].File.GID"),
    (container(Configs=[{"Runtime": {}}, a_file("x", Mode=None)]), CONTAINER + "Configs[1].File.Mode"),
    (mounts(a_mount(Type=None)), CONTAINER + "Mounts[0].Type"),
    (mounts(a_mount(Type="")), CONTAINER + "Mounts[0].Type"),
    (mounts(a_mount(Source="a")), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(Source=None)), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(Type="tmpfs")), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(VolumeOptions={})), CONTAINER + "Mounts[0].VolumeOptions"),
    (mounts(a_mount(Type="volume", Source="v", BindOptions={})), CONTAINER + "Mounts[0].BindOptions"),
    (mounts(a_mount(Type="volume", Source="v", TmpfsOptions={})), CONTAINER + "Mounts[0].TmpfsOptions"),
    (template(Resources={"SwapBytes": 5}), "TaskTemplate.Resources.SwapBytes"),
    (template(Resources={"SwapBytes": 0}), "TaskTemplate.Resources.SwapBytes"),
    (template(Resources={"SwapBytes": -1, "Limits": {"MemoryBytes": 0}}), "TaskTemplate.Resources.SwapBytes"),
    (read(Name="web", Mode={"ReplicatedJob": {}}, UpdateConfig={}), "UpdateConfig"),
    (read(Name="web", Mode={"GlobalJob": {}}, RollbackConfig={"Parallelism": 1}), "RollbackConfig"),
    (read(Name="web", Networks=[{"Target": "n"}]), "Networks"),
    (mounts(a_mount(Type="BIND", Source="a")), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(Type="Tmpfs")), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(Type="Bind", VolumeOptions={})), CONTAINER + "Mounts[0].VolumeOptions"),
    (mounts(a_mount(Type="volume")), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(Type="volume", Source=r"C:\data")), CONTAINER + "Mounts[0].Source"),
    (mounts({"Type": "npipe", "Target": r"\\.\pipe\x"}), CONTAINER + "Mounts[0].Source"),
    (mounts(a_mount(), a_mount(Source="/b", Target="//a/")), CONTAINER + "Mounts[1].Target"),
    (mounts(a_mount(), a_mount(Source="/b", Target="/b/../a")), CONTAINER + "Mounts[1].Target"),
    (mounts(a_mount(Target="/")), CONTAINER + "Mounts[0].Target"),
    (mounts(a_mount(Target="/a/..")), CONTAINER + "Mounts[0].Target"),
    *(
        (
            mounts({"Type": "volume", "Source": "v", "Target": "/a", "VolumeOptions": {"Subpath": subpath}}),
            CONTAINER + "Mounts[0].VolumeOptions.Subpath",
        )
        for subpath in ("/a", "..", "a/../../b")
    ),
    *(privileges(Seccomp={"Mode": mode}, path="Seccomp.Mode") for mode in ("Unconfined", "DEFAULT", "none")),
    *(privileges(AppArmor={"Mode": mode}, path="AppArmor.Mode") for mode in ("Disabled", "custom", "unconfined")),
    *(
        privileges(Seccomp={"Mode": mode, "Profile": "e30="}, path="Seccomp.Profile")
        for mode in (None, "", "default", "unconfined")
    ),
    privileges(Seccomp={"Mode": "custom"}, path="Seccomp.Profile"),
    privileges(Seccomp={"Mode": "custom", "Profile": ""}, path="Seccomp.Profile"),
    *((resources(resource), GENERIC) for resource in ({}, {"NamedResourceSpec": None}, {**NAMED, **DISCRETE})),
    (template(ContainerSpec={}, PluginSpec={"name": "p"}), "TaskTemplate.PluginSpec"),
    (template(ContainerSpec={}, NetworkAttachmentSpec={}), "TaskTemplate.NetworkAttachmentSpec"),
    *((container(Healthcheck={"Retries": n}), CONTAINER + "Healthcheck.Retries") for n in (2**31, 2**32 + 1, -(2**40))),
    *(
        (template(Placement={"Preferences": [preference]}), "TaskTemplate.Placement.Preferences[0]")
        for preference in NO_SPREAD
    ),
    *(
        (container(Hosts=["10.0.0.1 db", line]), CONTAINER + "Hosts[1]")
        for line in (
            "",
            "db",
            "10.0.0.1 db cache",
            "db 10.0.0.1",
            "db:10.0.0.1",
            "10.0.0.1",
            "10.0.0.1 d:b",
            "010.0.0.1 db",
            "fe80::1%eth0 db",
            "[::1] db",
            "# 10.0.0.1",
        )
    ),
    (read(Name="web", labls={}), "labls"),
    (read(Name="web", newKey=1), "newKey"),
    (template(ContainerSpec={"imgae": None}), CONTAINER + "imgae"),
]


@pytest.mark.parametrize(
    ("spec", "path"), SILENTLY_ACCEPTED, ids=[f"{s.wire().decode()}" for s, _ in SILENTLY_ACCEPTED]
)
def test_what_engines_accept_in_silence_is_refused_with_its_path(spec: ServiceSpec, path: str) -> None:
    assert [path] == paths(spec)
    assert problems(spec)[0].reason


@pytest.mark.parametrize(
    "name", ["a b", "-web", "web-", "web_", "_web", "we/b", "we\nb", "web\n", "wéb", "we.b", "w" * 64, " "]
)
def test_names_that_no_engine_takes_are_refused(name: str) -> None:
    assert ["Name"] == paths(read(Name=name))


@pytest.mark.parametrize("name", ["w", "0", "stack_service", "REL-A", "a--b", "w" * 63, "a_-_b"])
def test_names_that_engines_take_pass(name: str) -> None:
    assert [] == problems(read(Name=name))


def test_a_key_that_differs_from_a_field_in_case_alone_is_refused() -> None:
    spec = ServiceSpec.from_wire('{"Name":"web","LABELS":{},"TaskTemplate":{"ContainerSpec":{"HealthCheck":{}}}}')

    assert ["LABELS", CONTAINER + "HealthCheck"] == paths(spec)
    assert "Healthcheck" in problems(spec)[1].reason


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        (template(ContainerSpec={"imgae": "a"}), "did you mean Image?"),
        (read(task_templete={}), "did you mean TaskTemplate?"),
        (ServiceSpec().model_copy(update={"Labels": {}}), "is the field 'labels', spelled Labels"),
        (template(PluginSpec={"Remote": "a"}), "is the field 'remote', spelled remote"),
    ],
)
def test_a_misspelt_key_comes_with_what_was_meant(spec: ServiceSpec, hint: str) -> None:
    (problem,) = problems(spec)

    assert hint in problem.reason


# --- keys that nobody knows ------------------------------------------------------------------------------------------


def test_unknown_keys_are_said_with_their_paths_for_an_engine_that_knows_no_more() -> None:
    spec = read(
        NewKey=0,
        labls={},
        LABELS={},
        Null=None,
        TaskTemplate={
            "ContainerSpec": {"Imgae": "a", "Mounts": [a_mount(), a_mount(New={})]},
            "PluginSpec": {"nmae": "p"},
        },
    )
    found = {problem.path: problem.reason for problem in unheard(spec)}

    assert {"NewKey", CONTAINER + "Imgae", CONTAINER + "Mounts[1].New", "TaskTemplate.PluginSpec.nmae"} == set(found)
    assert f"no engine up to API {NEWEST} has such a key" in found["NewKey"]
    assert found[CONTAINER + "Imgae"].endswith("did you mean Image?")


def test_unknown_keys_that_the_live_spec_has_just_so_are_the_engine_s_own() -> None:
    live = read(NewKey={"a": [1]}, Other=1, TaskTemplate={"Kept": False})
    spec = live.model_copy(deep=True)
    spec.labels = {"a": "b"}
    assert [] == unheard(spec, live)

    changed = read(NewKey={"a": [2]}, TaskTemplate={"Kept": False, "Added": 1})
    assert ["NewKey", "TaskTemplate.Added"] == [problem.path for problem in unheard(changed, live)]


# --- what was put in past validation ---------------------------------------------------------------------------------


def whole() -> ServiceSpec:
    container = ContainerSpec("nginx", mounts=["data:/data"], secrets=[], env=["A=1"])
    endpoint = EndpointSpec(ports=[PortConfig.parse("80")])
    return ServiceSpec(name="web", task_template=TaskTemplate(container_spec=container), endpoint_spec=endpoint)


def set_past_validation(model: object, field: str, value: object) -> None:
    vars(model)[field] = value


PUT_IN: list[tuple[Callable[[Any], Any], str]] = [
    (lambda spec: spec.container.mounts.append("s3cr3t:/data"), CONTAINER + "Mounts[1]"),
    (lambda spec: spec.container.mounts.append(None), CONTAINER + "Mounts[1]"),
    (lambda spec: spec.container.secrets.append({"File": "s3cr3t"}), CONTAINER + "Secrets[0]"),
    (lambda spec: spec.container.secrets.append(Replicated()), CONTAINER + "Secrets[0]"),
    (lambda spec: spec.container.env.append(("A", "s3cr3t")), CONTAINER + "Env[1]"),
    (lambda spec: spec.endpoint_spec.ports.append("80:80"), "EndpointSpec.Ports[1]"),
    (
        lambda spec: set_past_validation(spec.endpoint_spec.ports[0], "target_port", "80"),
        "EndpointSpec.Ports[0].TargetPort",
    ),
    (lambda spec: spec.model_copy(update={"mode": Replicated(replicas=2)}), "Mode"),
    (lambda spec: spec.model_copy(update={"mode": SimpleNamespace(is_job=False)}), "Mode"),
    (lambda spec: spec.model_copy(update={"endpoint_spec": [EndpointSpec()]}), "EndpointSpec"),
    (lambda spec: spec.model_copy(update={"labels": {"a": 5}}), "Labels"),
    (lambda spec: spec.model_copy(update={"labels": None, "New": float("nan")}), ""),
    (lambda spec: spec.model_copy(update={"New": object()}), ""),
]


@pytest.mark.parametrize(("put_in", "path"), PUT_IN)
@pytest.mark.filterwarnings("error")
def test_a_value_of_another_type_is_refused_with_its_path_and_not_shown(
    put_in: Callable[[ServiceSpec], Any], path: str
) -> None:
    spec = whole()
    copied = put_in(spec)
    spec = copied if isinstance(copied, ServiceSpec) else spec

    assert path in paths(spec)
    assert all(found.startswith(path) for found in paths(spec))
    assert paths(spec) == paths(spec, whole()) == [problem.path for problem in problems_of_part(spec)]
    assert "s3cr3t" not in repr(problems(spec))


def test_all_values_of_another_type_are_said_at_once_and_before_anything_else() -> None:
    spec = whole()
    spec.name = ""
    for put_in, _ in PUT_IN[:3] + PUT_IN[4:7]:
        put_in(spec)

    assert {path for _, path in PUT_IN[:3] + PUT_IN[4:7]} | {CONTAINER + "Mounts[2]"} == set(paths(spec))


def test_a_model_of_ones_own_fits_where_its_base_does() -> None:
    class Labelled(Mount):
        pass

    spec = whole()
    spec.container.mounts = [Labelled(type="volume", source="data", target="/data")]

    assert [] == problems(spec)


def test_a_spec_read_with_the_engine_s_defaults_cannot_be_sent_back() -> None:
    full = ServiceSpec.from_wire('{"Name":"web","UpdateConfig":{"Parallelism":1},"TaskTemplate":{"ContainerSpec":{}}}')
    full.mark_with_defaults()

    assert [""] == paths(full)
    assert [""] == paths(full, read(Name="web"))
    assert [""] == paths(full.model_copy(deep=True))


def test_no_part_of_a_spec_read_with_the_engine_s_defaults_can_be_sent_back() -> None:
    full = ServiceSpec.from_wire('{"Name":"web","UpdateConfig":{"Parallelism":1},"TaskTemplate":{"ContainerSpec":{}}}')
    full.mark_with_defaults()

    spec = ServiceSpec(
        name="web", update_config=full.update_config, task_template=TaskTemplate(container_spec=full.container)
    )

    assert ["TaskTemplate.ContainerSpec", "UpdateConfig"] == sorted(paths(spec))
    assert "defaults" in str(problems(spec)[0])


def test_engines_read_protocols_and_publish_modes_without_regard_to_case() -> None:
    assert [] == paths(ports({"TargetPort": 80, "Protocol": "UDP", "PublishMode": "HOST"}))


def test_all_problems_are_said_at_once() -> None:
    spec = read(
        Name="a b",
        Mode={"ReplicatedJob": {}},
        UpdateConfig={},
        Networks=[{"Target": "n"}],
        TaskTemplate={
            "ContainerSpec": {"Isolation": "x", "Mounts": [{"Type": "image"}, a_mount(), a_mount(Consistency="x")]},
            "Resources": {"SwapBytes": 1},
        },
        EndpointSpec={
            "Mode": "dnsrr",
            "Ports": [{"Protocol": "x", "PublishMode": "y"}, {"TargetPort": 1, "PublishedPort": 70000}],
        },
    )

    assert {
        "Name",
        "Networks",
        "UpdateConfig",
        "TaskTemplate.Resources.SwapBytes",
        CONTAINER + "Isolation",
        CONTAINER + "Mounts[0].Type",
        CONTAINER + "Mounts[0].Target",
        CONTAINER + "Mounts[2].Consistency",
        CONTAINER + "Mounts[2].Target",
        "EndpointSpec.Ports[0].Protocol",
        "EndpointSpec.Ports[0].PublishMode",
        "EndpointSpec.Ports[0].TargetPort",
        "EndpointSpec.Ports[1].PublishedPort",
        "EndpointSpec.Ports[1].PublishMode",
    } == set(paths(spec))


# --- what is fine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        ServiceSpec(),
        read(Name="web"),
        container(Image="nginx", Isolation="default"),
        container(Isolation=""),
        container(Isolation="hyperv"),
        mounts(a_mount(), a_mount(Target="/b")),
        mounts({"Type": "volume", "Target": r"C:\data"}, {"Type": "npipe", "Source": "x", "Target": r"\\.\pipe\x"}),
        mounts({"Type": "VOLUME", "Source": "v", "Target": "/a/", "VolumeOptions": {"Subpath": "a/../b/..c"}}),
        mounts(a_mount(Type="Bind", Target="/a//b/", BindOptions={}), a_mount(Target="/a")),
        container(Privileges={"Seccomp": {"Mode": "custom", "Profile": "e30="}, "AppArmor": {"Mode": "disabled"}}),
        container(Privileges={"Seccomp": {"Mode": "", "Profile": ""}, "AppArmor": {"Mode": ""}}),
        container(Privileges={"Seccomp": {"Mode": "unconfined"}, "AppArmor": {"Mode": None}}),
        container(Privileges={"Seccomp": {}, "AppArmor": {}}),
        resources({"NewKind": 1}),
        template(Placement={"Preferences": [{"Spread": {"SpreadDescriptor": "node.id"}}, {"Pack": {}}]}),
        template(PluginSpec={"name": "p", "new": 1}, Runtime="plugin"),
        container(Healthcheck={"Retries": 2**31 - 1}),
        container(Healthcheck={"Retries": -1}),
        container(
            Hosts=[
                "10.0.0.1 db",
                " ::1\tdb ",
                "::ffff:10.0.0.1 db",
                "host-gateway db",
                "10.0.0.1 {{.Node.Hostname}}",
            ]
        ),
        mounts({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 0}}),
        mounts({"Type": "hologram", "Target": "/x"}),
        mounts(a_mount(Consistency="", BindOptions={"CreateMountpoint": False, "NonRecursive": True})),
        ports({"TargetPort": 53, "PublishedPort": 53}, {"TargetPort": 53, "PublishedPort": 53, "Protocol": "udp"}),
        ports({"TargetPort": 80}, {"TargetPort": 80}, {"TargetPort": 80, "PublishedPort": 0}),
        ports({"TargetPort": 65535, "PublishedPort": 65535, "Protocol": "sctp", "PublishMode": "host"}, mode="dnsrr"),
        ports({"TargetPort": 1, "Protocol": "", "PublishMode": ""}, mode="vip"),
        read(Name="web", EndpointSpec={"Mode": "dnsrr"}),
        read(Name="web", EndpointSpec={"Mode": "magic"}),
        container(Secrets=[a_file("x"), a_file("y", Mode=0)], Configs=[a_file("x", UID="1000")]),
        container(Configs=[{"Runtime": {}}, {"Runtime": {}}], Secrets=[{}, {}]),
        template(Resources={"SwapBytes": 0, "Limits": {"MemoryBytes": 4194304}}),
        template(Resources={"MemorySwappiness": 0}),
        template(Networks=[{"Target": "host"}]),
        template(Placement={"Constraints": ["foo", "node.bogus==1"]}),
        read(Name="web", Mode={"ReplicatedJob": {}}),
        read(Name="web", Mode={"Replicated": {"Replicas": 0}}, UpdateConfig={}, RollbackConfig={}),
        read(Name="web", Networks=[]),
        read(Name="web", NewKey=1),
    ],
    ids=lambda spec: spec.wire().decode(),
)
def test_a_good_spec_and_what_is_the_engine_s_to_judge_pass(spec: ServiceSpec) -> None:
    assert [] == problems(spec)


def test_a_service_without_a_name_gets_one_from_the_engine() -> None:
    assert [] == problems(template(ContainerSpec={"Image": "nginx"}))


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "path"), SILENTLY_ACCEPTED, ids=[f"{s.wire().decode()}" for s, _ in SILENTLY_ACCEPTED]
)
def test_a_service_that_is_odd_already_can_be_changed_elsewhere(live: ServiceSpec, path: str) -> None:
    changed = live.model_copy(deep=True)
    changed.labels = {"a": "b"}
    assert path

    assert [] == problems(changed, live)


@pytest.mark.parametrize(
    ("spec", "path"), SILENTLY_ACCEPTED, ids=[f"{s.wire().decode()}" for s, _ in SILENTLY_ACCEPTED]
)
def test_a_change_that_makes_a_service_odd_is_refused(spec: ServiceSpec, path: str) -> None:
    assert path in paths(spec, read(Name="old"))


@pytest.mark.parametrize(
    ("live", "spec", "path"),
    [
        (
            ports({"TargetPort": 80}),
            ports({"TargetPort": 80}, mode="dnsrr"),
            "EndpointSpec.Ports[0].PublishMode",
        ),
        (
            template(Resources={"SwapBytes": 5, "Limits": {"MemoryBytes": 9000000}}),
            template(Resources={"SwapBytes": 5, "Limits": {"NanoCPUs": 5}}),
            "TaskTemplate.Resources.SwapBytes",
        ),
        (
            ports({"TargetPort": 1, "PublishedPort": 8080}, {"TargetPort": 2, "PublishedPort": 9090}),
            ports({"TargetPort": 1, "PublishedPort": 9090}, {"TargetPort": 2, "PublishedPort": 9090}),
            "EndpointSpec.Ports[1].PublishedPort",
        ),
        (
            ports({"TargetPort": 1, "PublishedPort": 53}, {"TargetPort": 2, "PublishedPort": 53, "Protocol": "udp"}),
            ports({"TargetPort": 1, "PublishedPort": 53}, {"TargetPort": 2, "PublishedPort": 53, "Protocol": "tcp"}),
            "EndpointSpec.Ports[1].PublishedPort",
        ),
        (
            mounts(a_mount(), a_mount(Target="/b")),
            mounts(a_mount(Target="/b"), a_mount(Target="/b")),
            CONTAINER + "Mounts[1].Target",
        ),
        (mounts(a_mount()), mounts(a_mount(), {"Type": "volume", "Source": "v"}), CONTAINER + "Mounts[1].Target"),
        (
            ports({"TargetPort": 80}),
            ports({"TargetPort": 80}, {"PublishedPort": 90}),
            "EndpointSpec.Ports[1].TargetPort",
        ),
        (read(Name="web", UpdateConfig={}), read(Name="web", UpdateConfig={}, Mode={"GlobalJob": {}}), "UpdateConfig"),
        (mounts(a_mount(Target="x")), mounts(a_mount(Target="y")), CONTAINER + "Mounts[0].Target"),
        (read(Name="a b"), read(Name="a c"), "Name"),
        (read(Name="web"), read(Name=""), "Name"),
    ],
)
def test_a_change_is_refused_for_what_it_brings_about_elsewhere(
    live: ServiceSpec, spec: ServiceSpec, path: str
) -> None:
    assert [path] == paths(spec, live)


def test_of_a_change_only_what_it_is_about_is_refused() -> None:
    live = read(Name="we.b", TaskTemplate={"ContainerSpec": {"Isolation": "x", "Mounts": [a_mount(Target="x")]}})
    spec = live.model_copy(deep=True)
    spec.container.isolation = "y"

    assert [CONTAINER + "Isolation"] == paths(spec, live)


@given(st.sampled_from([spec for spec, _ in SILENTLY_ACCEPTED]))
def test_nothing_is_wrong_with_no_change(spec: ServiceSpec) -> None:
    assert [] == problems(spec.model_copy(deep=True), spec)


@given(st.sampled_from([spec for spec, _ in SILENTLY_ACCEPTED]))
def test_looking_changes_nothing(spec: ServiceSpec) -> None:
    before = spec.wire()
    problems(spec)
    problems(spec, ServiceSpec())

    assert before == spec.wire()
