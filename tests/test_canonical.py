"""Two specs that mean the same are the same, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from swarmkit import ServiceSpec, patch
from swarmkit.canonical import changes, keep_what_is_settled, replaces_tasks

from .strategies import wire_objects

SPECS = wire_objects(ServiceSpec).map(lambda found: ServiceSpec.from_wire(json.dumps(found)))


def spec(**keys: Any) -> ServiceSpec:
    """A spec as a user writes it, in Docker's keys."""
    return ServiceSpec.from_wire(json.dumps({"Name": "web", **keys}))


def container(**keys: Any) -> ServiceSpec:
    return spec(TaskTemplate={"ContainerSpec": {"Image": "nginx", **keys}})


def template(**keys: Any) -> ServiceSpec:
    return spec(TaskTemplate={"ContainerSpec": {"Image": "nginx"}, **keys})


def ports(*ports: dict[str, Any]) -> ServiceSpec:
    return spec(EndpointSpec={"Ports": list(ports)})


STORED = {
    "Labels": {},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "nginx",
            "Isolation": "default",
            "DNSConfig": {},
            "Privileges": {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False},
            "StopGracePeriod": 10 * 10**9,
        },
        "Resources": {},
        "RestartPolicy": {"Condition": "any", "Delay": 5 * 10**9, "MaxAttempts": 0},
        "Placement": {},
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 1}},
    "UpdateConfig": {
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * 10**9, "MaxFailureRatio": 0, "Order": "stop-first"
    },
    "RollbackConfig": {
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * 10**9, "MaxFailureRatio": 0, "Order": "stop-first"
    },
    "EndpointSpec": {"Mode": "vip"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (container(), spec(**STORED)),
        (spec(), spec(Mode={"Replicated": {}})),
        (spec(), spec(Labels=None, Mode=None)),
        (spec(Mode={"ReplicatedJob": {}}), spec(Mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}})),
        (
            spec(Mode={"ReplicatedJob": {"MaxConcurrent": 3}}),
            spec(Mode={"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}}),
        ),
        (spec(UpdateConfig={}), spec(UpdateConfig={"Parallelism": 0, "Order": "stop-first", "Delay": 0})),
        (spec(UpdateConfig={"Monitor": 0}), spec(UpdateConfig={"Monitor": 5 * 10**9})),
        (ports({"TargetPort": 80}), ports({"TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"})),
        (ports({"TargetPort": 80}, {"TargetPort": 53}), ports({"TargetPort": 53}, {"TargetPort": 80})),
        (container(Env=["A=1", "B=2"]), container(Env=["B=2", "A=1"])),
        (container(Mounts=[{"Target": "/a", "Type": "tmpfs"}]), container(Mounts=[{"Type": "tmpfs", "Target": "/a"}])),
        (container(TTY=False, Hosts=[], Sysctls={}), container()),
        (
            template(Placement={"Constraints": ["node.role==manager", "node.labels.a==b"]}),
            template(Placement={"Constraints": ["node.labels.a==b", "node.role==manager"]}),
        ),
    ],
)
def test_what_is_written_in_two_ways_and_means_the_same_is_no_change(one: ServiceSpec, other: ServiceSpec) -> None:
    assert () == changes(one, other)
    assert () == changes(other, one)


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (spec(), spec(Mode={"Replicated": {"Replicas": 0}}), "Mode.Replicated.Replicas"),
        (spec(), spec(Mode={"Global": {}}), "Mode."),
        (spec(Mode={"GlobalJob": {}}), spec(Mode={"Global": {}}), "Mode."),
        (spec(), spec(UpdateConfig={}), "UpdateConfig.Parallelism"),
        (spec(), spec(RollbackConfig={"Order": "start-first"}), "RollbackConfig."),
        (container(), container(StopGracePeriod=0), "TaskTemplate.ContainerSpec.StopGracePeriod"),
        (container(), container(Init=False), "TaskTemplate.ContainerSpec.Init"),
        (container(Init=True), container(Init=False), "TaskTemplate.ContainerSpec.Init"),
        (container(), container(Labels={"a": ""}), "TaskTemplate.ContainerSpec.Labels.a"),
        (container(Command=["a", "b"]), container(Command=["b", "a"]), "TaskTemplate.ContainerSpec.Command"),
        (container(Env=["A=1"]), container(Env=["A=1", "A=1"]), "TaskTemplate.ContainerSpec.Env"),
        (container(), container(CapAhead=["x"]), "TaskTemplate.ContainerSpec.CapAhead[0]"),
        (
            container(DNSConfig={"Nameservers": ["1.1.1.1", "9.9.9.9"]}),
            container(DNSConfig={"Nameservers": ["9.9.9.9", "1.1.1.1"]}),
            "TaskTemplate.ContainerSpec.DNSConfig.Nameservers",
        ),
        (template(), template(RestartPolicy={"Delay": 0}), "TaskTemplate.RestartPolicy.Delay"),
        (template(), template(ForceUpdate=1), "TaskTemplate.ForceUpdate"),
        (template(), template(Resources={"MemorySwappiness": 0}), "TaskTemplate.Resources.MemorySwappiness"),
        (ports({"TargetPort": 80}), ports({"TargetPort": 80, "PublishMode": "host"}), "EndpointSpec.Ports"),
        (spec(), spec(EndpointSpec={"Mode": "dnsrr"}), "EndpointSpec.Mode"),
    ],
)
def test_what_does_not_mean_the_same_is_a_change_with_its_path(one: ServiceSpec, other: ServiceSpec, path: str) -> None:
    for found in (changes(one, other), changes(other, one)):
        assert found
        assert all(change.path.startswith(path) for change in found)


@given(SPECS)
def test_a_spec_means_what_it_means_when_it_is_read_back(given_spec: ServiceSpec) -> None:
    assert () == changes(given_spec, ServiceSpec.from_wire(given_spec.wire()))


@given(SPECS, SPECS)
def test_where_meanings_differ_the_specs_do(one: ServiceSpec, other: ServiceSpec) -> None:
    if changes(one, other):
        assert patch.diff(one, other)
    assert bool(changes(one, other)) == bool(changes(other, one))


# --- what is settled -------------------------------------------------------------------------------------------------

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("live", "wanted", "kept"),
    [
        (f"nginx:1.27@{DIGEST}", "nginx:1.27", True),
        (f"nginx:latest@{DIGEST}", "nginx", True),
        (f"nginx@{DIGEST}", "nginx", True),
        (f"docker.io/library/nginx:1@{DIGEST}", "nginx:1", True),
        ("nginx:latest", "nginx", True),
        (f"nginx:1.27@{DIGEST}", f"nginx@{DIGEST}", True),
        (f"nginx:1.27@{DIGEST}", "nginx:1.28", False),
        (f"nginx:1.27@{DIGEST}", f"nginx:1.27@{OTHER}", False),
        (f"nginx:1.27@{DIGEST}", "caddy:1.27", False),
        (f"registry.example/nginx:1@{DIGEST}", "nginx:1", False),
        ("nginx:1.27", f"nginx:1.27@{DIGEST}", False),
        ("no image:", "nginx", False),
    ],
)
def test_a_digest_is_kept_for_the_tag_it_was_pinned_from(live: str, wanted: str, kept: bool) -> None:
    new, old = container(Image=wanted), container(Image=live)
    keep_what_is_settled(new, old)

    assert (live if kept else wanted) == new.image
    assert kept == (changes(old, new) == ())


def test_with_a_digest_its_platforms_are_kept_unless_others_are_asked_for() -> None:
    platforms = [{"Architecture": "amd64", "OS": "linux"}]
    pinned = {"ContainerSpec": {"Image": f"nginx:1@{DIGEST}"}, "Placement": {"Platforms": platforms}}
    old = spec(TaskTemplate=pinned)
    plain = spec(TaskTemplate={"ContainerSpec": {"Image": "nginx:1"}})
    keep_what_is_settled(plain, old)
    assert () == changes(old, plain)

    told: dict[str, Any] = {"ContainerSpec": {"Image": "nginx:1"}, "Placement": {"Platforms": []}}
    other = spec(TaskTemplate=told)
    keep_what_is_settled(other, old)
    assert ["TaskTemplate.Placement"] == [change.path[:22] for change in changes(old, other)]


def test_the_force_update_counter_is_kept_unless_one_is_asked_for() -> None:
    new, old = template(), template(ForceUpdate=3)
    keep_what_is_settled(new, old)
    assert () == changes(old, new)
    asked = template(ForceUpdate=0)
    keep_what_is_settled(asked, old)
    assert ["TaskTemplate.ForceUpdate"] == [change.path for change in changes(old, asked)]


def test_a_spec_without_a_task_template_has_nothing_settled() -> None:
    for new, old in ((spec(), container()), (container(), spec())):
        before = new.wire()
        keep_what_is_settled(new, old)
        assert before == new.wire()


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_changes_show_plain_values_and_never_what_may_be_secret() -> None:
    options = {
        "Type": "volume",
        "Target": "/d",
        "VolumeOptions": {"DriverConfig": {"Options": {"password": "hunter2"}}},
    }
    before = spec(Labels={"a": "1", "b": "x"}, TaskTemplate={"ContainerSpec": {"Image": "nginx:1"}})
    after = spec(
        Labels={"a": "2"},
        TaskTemplate={
            "ContainerSpec": {"Image": "nginx:2", "Env": ["P=hunter2"], "Mounts": [options]},
            "LogDriver": {"Options": {"token": "hunter2"}},
        },
    )
    for found in (changes(before, after), patch.diff(before, after)):
        text = "\n".join(map(str, found))
        assert "hunter2" not in text + repr(found)
        assert "Labels.a: '1' -> '2'" in text
        assert "Labels.b: removed" in text or "Labels.b: 'x' -> None" in text
        assert "TaskTemplate.ContainerSpec.Image: 'nginx:1' -> 'nginx:2'" in text


@pytest.mark.parametrize(
    ("path", "is_job", "replaced"),
    [
        ("TaskTemplate.ContainerSpec.Image", False, True),
        ("EndpointSpec.Ports[0].PublishedPort", False, True),
        ("TaskTemplate.Placement.Constraints[0]", False, False),
        ("Labels.a", False, False),
        ("Labels.a", True, True),
        ("Mode.Replicated.Replicas", False, False),
    ],
)
def test_tasks_are_replaced_for_what_they_are_made_of(path: str, is_job: bool, replaced: bool) -> None:
    assert replaced == replaces_tasks([patch.Change(path, 1, 2)], is_job=is_job)
    assert not replaces_tasks([], is_job=is_job)
