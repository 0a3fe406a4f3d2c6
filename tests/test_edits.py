"""One line of an edit does what a flag of `docker service update` does to a spec, and nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings

from swarmkit.models._edits import Edits
from swarmkit.models.config import Config, ConfigReference, ConfigReferenceRuntime
from swarmkit.models.endpoint import PortConfig
from swarmkit.models.mount import Mount
from swarmkit.models.network import NetworkAttachmentConfig
from swarmkit.models.secret import Secret, SecretReference
from swarmkit.models.service import ServiceSpec
from swarmkit.models.task import PlacementPreference, SpreadOver
from tests.strategies import wire_objects

Change = Callable[[ServiceSpec], None]

ID: Final = "xbin3ppxste44gwilsw6cdkkf"


def written(spec: ServiceSpec) -> Any:
    return json.loads(spec.wire())


def read(path: str, value: Any) -> ServiceSpec:
    """A spec that holds this at a path of Docker's keys."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return ServiceSpec.from_wire(json.dumps(value))


def at(path: str, spec: ServiceSpec) -> Any:
    """What a spec holds at a path of Docker's keys."""
    found = written(spec)
    for key in path.split("."):
        found = found[key]
    return found


def as_read(kind: type[Secret | Config], name: str) -> Any:
    return kind.from_wire(json.dumps({"ID": f"id-of-{name}", "Version": {"Index": 7}, "Spec": {"Name": name}}))


def file_of(kind: str, name: str, path: str | None = None, mode: int = 0o444) -> Any:
    file = {"Name": path or name, "UID": "0", "GID": "0", "Mode": mode}
    return {f"{kind}ID": f"id-of-{name}", f"{kind}Name": name, "File": file}


@dataclass(frozen=True)
class Case:
    """What adds something, what takes it away again, and how it looks in between."""

    flag: str
    path: str
    add: Change
    remove: Change
    added: Any


_C: Final = "TaskTemplate.ContainerSpec"
_HOST_PORT: Final = PortConfig(target_port=50082, protocol="udp", publish_mode="host")
CASES: Final[list[Case]] = [
    Case("label", "Labels",
         lambda s: s.add_label({"com.example.a": "1"}, com_example_b="2"),
         lambda s: s.remove_label("com.example.a", "com_example_b"),
         {"com.example.a": "1", "com_example_b": "2"}),
    Case("container-label", f"{_C}.Labels",
         lambda s: s.add_container_label({"com.example.a": "1"}, com_example_b="2"),
         lambda s: s.remove_container_label("com.example.a", "com_example_b"),
         {"com.example.a": "1", "com_example_b": "2"}),
    Case("env", f"{_C}.Env",
         lambda s: s.add_env({"LOG.LEVEL": "debug", "BARE": None}, MODE="a=b"),
         lambda s: s.remove_env("LOG.LEVEL", "BARE", "MODE"),
         ["LOG.LEVEL=debug", "BARE", "MODE=a=b"]),
    Case("sysctl", f"{_C}.Sysctls",
         lambda s: s.add_sysctl({"net.core.somaxconn": "1024"}), lambda s: s.remove_sysctl("net.core.somaxconn"),
         {"net.core.somaxconn": "1024"}),
    Case("mount", f"{_C}.Mounts",
         lambda s: s.add_mount("data:/data:ro", Mount(type="tmpfs", target="/tmp/x")),
         lambda s: s.remove_mount("/data", "/tmp/x"),
         [{"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True},
          {"Type": "tmpfs", "Target": "/tmp/x"}]),
    Case("secret", f"{_C}.Secrets",
         lambda s: s.add_secret(as_read(Secret, "password"), SecretReference.as_file("id-of-key", "key", target="k")),
         lambda s: s.remove_secret("password", "key"),
         [file_of("Secret", "password"), file_of("Secret", "key", "k")]),
    Case("config", f"{_C}.Configs",
         lambda s: s.add_config(as_read(Config, "nginx"), ConfigReference.as_file("id-of-b", "b", mode=0o400)),
         lambda s: s.remove_config("nginx", "b"),
         [file_of("Config", "nginx"), file_of("Config", "b", mode=0o400)]),
    Case("group", f"{_C}.Groups",
         lambda s: s.add_group("operators", "audit"), lambda s: s.remove_group("operators", "audit"),
         ["operators", "audit"]),
    Case("host", f"{_C}.Hosts",
         lambda s: s.add_host({"database": "10.0.0.5"}, {"database": "2001:db8::5"}, cache="10.0.0.6"),
         lambda s: s.remove_host("database:10.0.0.5", "database:2001:db8::5", "cache"),
         ["10.0.0.5 database", "2001:db8::5 database", "10.0.0.6 cache"]),
    Case("dns", f"{_C}.DNSConfig.Nameservers",
         lambda s: s.add_dns("10.0.0.2", "10.0.0.1"), lambda s: s.remove_dns("10.0.0.2", "10.0.0.1"),
         ["10.0.0.2", "10.0.0.1"]),
    Case("dns-option", f"{_C}.DNSConfig.Options",
         lambda s: s.add_dns_option("ndots:2", "rotate"), lambda s: s.remove_dns_option("rotate", "ndots:2"),
         ["ndots:2", "rotate"]),
    Case("dns-search", f"{_C}.DNSConfig.Search",
         lambda s: s.add_dns_search("example.com"), lambda s: s.remove_dns_search("example.com"),
         ["example.com"]),
    Case("ulimit", f"{_C}.Ulimits",
         lambda s: s.add_ulimit({"nofile": (1024, 2048)}, nproc=512), lambda s: s.remove_ulimit("nofile", "nproc"),
         [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "nproc", "Soft": 512, "Hard": 512}]),
    Case("cap-add", f"{_C}.CapabilityAdd",
         lambda s: s.add_capability("NET_ADMIN", "cap_sys_time"),
         lambda s: s.drop_capability("CAP_NET_ADMIN", "SYS_TIME"),
         ["CAP_NET_ADMIN", "CAP_SYS_TIME"]),
    Case("cap-drop", f"{_C}.CapabilityDrop",
         lambda s: s.drop_capability("net_raw"), lambda s: s.add_capability("CAP_NET_RAW"),
         ["CAP_NET_RAW"]),
    Case("constraint", "TaskTemplate.Placement.Constraints",
         lambda s: s.add_constraint("node.role==worker", "node.labels.a != b"),
         lambda s: s.remove_constraint("node.role == worker", "node.labels.a!=b"),
         ["node.role==worker", "node.labels.a != b"]),
    Case("placement-pref", "TaskTemplate.Placement.Preferences",
         lambda s: s.add_placement_preference("node.labels.zone", "spread=node.labels.rack"),
         lambda s: s.remove_placement_preference(
             PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone")), "node.labels.rack"),
         [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}, {"Spread": {"SpreadDescriptor": "node.labels.rack"}}]),
    Case("generic-resource", "TaskTemplate.Resources.Reservations.GenericResources",
         lambda s: s.add_generic_resource({"com.example.ssd": 1}, gpu=2),
         lambda s: s.remove_generic_resource("com.example.ssd", "gpu"),
         [{"DiscreteResourceSpec": {"Kind": "com.example.ssd", "Value": 1}},
          {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]),
    Case("network", "TaskTemplate.Networks",
         lambda s: s.add_network("backend", NetworkAttachmentConfig(target=ID, aliases=["web"])),
         lambda s: s.remove_network("backend", ID),
         [{"Target": "backend"}, {"Target": ID, "Aliases": ["web"]}]),
    Case("publish", "EndpointSpec.Ports",
         lambda s: s.add_port("58080:50080", 50081, _HOST_PORT),
         lambda s: s.remove_port(50080, "50081/tcp", _HOST_PORT),
         [{"TargetPort": 50080, "PublishedPort": 58080}, {"TargetPort": 50081},
          {"TargetPort": 50082, "Protocol": "udp", "PublishMode": "host"}]),
]  # fmt: skip

each = pytest.mark.parametrize("case", CASES, ids=[case.flag for case in CASES])
METHODS: Final = sorted(name for name in dir(Edits) if name[0] != "_")


def test_every_method_is_tried() -> None:
    tried = {name for case in CASES for change in (case.add, case.remove) for name in change.__code__.co_names}
    assert set(METHODS) - tried == set()


@each
def test_a_spec_without_the_part_gets_it(case: Case) -> None:
    spec = ServiceSpec()
    case.add(spec)

    assert json.loads(read(case.path, case.added).wire()) == written(spec)


@pytest.mark.parametrize("name", METHODS)
def test_naming_nothing_changes_nothing(name: str) -> None:
    spec = ServiceSpec(name="web")
    getattr(spec, name)()

    assert {"Name": "web"} == written(spec)


@pytest.mark.parametrize("case", [case for case in CASES if not case.flag.startswith("cap-")])
def test_removing_what_is_not_there_makes_no_part(case: Case) -> None:
    spec = ServiceSpec(name="web")
    case.remove(spec)

    assert {"Name": "web"} == written(spec)


# --- for any spec ----------------------------------------------------------------------------------------------------


def without_nothing(value: Any) -> Any:
    """JSON without null and what is empty: they say as much as what is missing."""
    if isinstance(value, dict):
        parts = {key: without_nothing(part) for key, part in cast("dict[str, Any]", value).items()}
        return {key: part for key, part in parts.items() if part not in (None, [], {})}
    return [without_nothing(part) for part in cast("list[object]", value)] if isinstance(value, list) else value


def take(spec: Any, path: str) -> list[Any]:
    """The items at a path, taken out."""
    *above, last = path.split(".")
    for key in above:
        spec = spec.get(key, {})
    found = spec.pop(last, [])
    return list(cast("dict[str, Any]", found).items()) if isinstance(found, dict) else found


@each
@given(live=wire_objects(ServiceSpec))
@settings(max_examples=25, deadline=None)
def test_adding_is_done_once_touches_nothing_else_and_is_taken_back(case: Case, live: dict[str, Any]) -> None:
    live.pop("Networks", None)  # where API 1.24 had them: see below
    spec = ServiceSpec.from_wire(json.dumps(live))
    case.add(spec)
    once = spec.wire()
    case.add(spec)
    assert once == spec.wire()

    before, after = without_nothing(written(ServiceSpec.from_wire(json.dumps(live)))), without_nothing(written(spec))
    old, new = take(before, case.path), take(after, case.path)
    assert without_nothing(before) == without_nothing(after)
    assert old + take({"": case.added}, "") == new

    case.remove(spec)
    assert without_nothing(live) == without_nothing(written(spec))


# --- what replaces what ----------------------------------------------------------------------------------------------


_REPLACED: Final[list[tuple[str, Any, Change, Any]]] = [
    (f"{_C}.Env", ["A=1", "B=2", "A=3"], lambda s: s.add_env(A="4"), ["A=4", "B=2", "A=4"]),
    (f"{_C}.Env", ["A=1", "AB=2"], lambda s: s.remove_env("A"), ["AB=2"]),
    (f"{_C}.Env", ["A=1"], lambda s: s.remove_env("A=1"), ["A=1"]),
    ("Labels", {"a": "1", "b": "2"}, lambda s: s.add_label({"a": "2"}, {"a": "3"}), {"a": "3", "b": "2"}),
    (
        f"{_C}.Mounts",
        [{"Type": "volume", "Source": "old", "Target": "/data"}, {"Type": "tmpfs", "Target": "/tmp"}],
        lambda s: s.add_mount("new:/data/"),
        [{"Type": "volume", "Source": "new", "Target": "/data/"}, {"Type": "tmpfs", "Target": "/tmp"}],
    ),
    (f"{_C}.Mounts", [{"Type": "tmpfs", "Target": "/tmp"}], lambda s: s.remove_mount("/tmp/"), []),
    (
        f"{_C}.Secrets",
        [file_of("Secret", "old", "password"), file_of("Secret", "other")],
        lambda s: s.add_secret(SecretReference.as_file("id-of-new", "new", target="password")),
        [file_of("Secret", "new", "password"), file_of("Secret", "other")],
    ),
    (
        f"{_C}.Secrets",
        [file_of("Secret", "key"), file_of("Secret", "key", "k"), file_of("Secret", "other", "key2")],
        lambda s: s.remove_secret("key"),
        [file_of("Secret", "other", "key2")],
    ),
    (f"{_C}.Ulimits", [{"Name": "nofile", "Soft": 1, "Hard": 2}], lambda s: s.add_ulimit(nofile=3),
     [{"Name": "nofile", "Soft": 3, "Hard": 3}]),
    (
        "TaskTemplate.Resources.Reservations.GenericResources",
        [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}, {"NamedResourceSpec": {"Kind": "gpu"}}],
        lambda s: s.add_generic_resource(gpu=2),
        [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}, {"NamedResourceSpec": {"Kind": "gpu"}}],
    ),
    ("TaskTemplate.Placement.Constraints", ["node.role == worker"], lambda s: s.add_constraint("node.role==worker"),
     ["node.role == worker"]),
    (
        "TaskTemplate.Placement.Preferences", [{}], lambda s: s.add_placement_preference("node.labels.zone"),
        [{}, {"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
    ),
    (f"{_C}.Hosts", ["10.0.0.5  a b c"], lambda s: s.remove_host("x", "a:10.0.0.6"), ["10.0.0.5  a b c"]),
    (f"{_C}.Hosts", ["10.0.0.5 a b c", "10.0.0.6 b"], lambda s: s.remove_host("b"), ["10.0.0.5 a c"]),
    (f"{_C}.Hosts", ["10.0.0.5 a", "10.0.0.6 a"], lambda s: s.add_host(a="10.0.0.6"),
     ["10.0.0.5 a", "10.0.0.6 a"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "live", "change", "after"), _REPLACED)
def test_what_has_the_same_key_is_replaced_in_its_place(path: str, live: Any, change: Change, after: Any) -> None:
    spec = read(path, live)
    change(spec)

    assert after == at(path, spec)


_PORTS: Final = [
    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8081, "PublishMode": "ingress"},
    {"Protocol": "udp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8082, "PublishMode": "host"},
]


@pytest.mark.parametrize(
    ("port", "left"),
    [
        (80, [2, 3]),
        ("80/udp", [0, 1, 3]),
        ("8081:80", [0, 2, 3]),
        ("9999:80", [0, 1, 2, 3]),
        (PortConfig(target_port=80, publish_mode="host"), [0, 1, 2]),
        (81, [0, 1, 2, 3]),
    ],
)
def test_a_port_is_meant_by_what_is_said_of_it(port: Any, left: list[int]) -> None:
    spec = read("EndpointSpec.Ports", _PORTS)
    spec.remove_port(port)

    assert [_PORTS[index] for index in left] == at("EndpointSpec.Ports", spec)


def test_a_port_that_is_published_so_is_not_published_again() -> None:
    spec = read("EndpointSpec.Ports", _PORTS)
    spec.add_port("8080:80", "8080:80/udp", PortConfig(target_port=80, published_port=8082, publish_mode="host"))
    assert _PORTS == at("EndpointSpec.Ports", spec)
    spec.add_port("8083:80", PortConfig(name="http", target_port=80, published_port=8080))
    assert 6 == len(at("EndpointSpec.Ports", spec))


def test_a_config_for_the_runtime_is_no_file() -> None:
    runtime = ConfigReference(config_id="id-of-a", config_name="a", runtime=ConfigReferenceRuntime())
    spec = ServiceSpec()
    spec.add_config(runtime, as_read(Config, "a"))
    spec.add_config(runtime)
    assert 2 == len(spec.container.configs or ())
    spec.remove_config("a")
    assert [runtime] == spec.container.configs


# --- networks --------------------------------------------------------------------------------------------------------


def test_a_network_that_is_attached_keeps_its_aliases_unless_others_are_given() -> None:
    spec = read("TaskTemplate.Networks", [{"Target": ID, "Aliases": ["web"]}])
    spec.add_network(ID)
    assert [{"Target": ID, "Aliases": ["web"]}] == at("TaskTemplate.Networks", spec)
    spec.add_network(NetworkAttachmentConfig(target=ID, aliases=["www"]))
    assert [{"Target": ID, "Aliases": ["www"]}] == at("TaskTemplate.Networks", spec)


def test_a_name_is_no_network_to_remove_where_the_spec_has_ids() -> None:
    spec = read("TaskTemplate.Networks", [{"Target": ID}, {"Target": "front"}])
    with pytest.raises(ValueError, match="'backend'"):
        spec.remove_network("front", "backend")
    spec.remove_network(ID[::-1])
    assert [{"Target": ID}, {"Target": "front"}] == at("TaskTemplate.Networks", spec)
    spec.remove_network("front", ID)
    spec.remove_network("backend")
    assert [] == at("TaskTemplate.Networks", spec)


_MOVED: Final[list[tuple[Change, list[str]]]] = [
    (lambda s: s.add_network("new"), [ID, "new"]),
    (lambda s: s.remove_network(ID), []),
]


@pytest.mark.parametrize(("change", "after"), _MOVED, ids=["add", "remove"])
def test_networks_of_api_1_24_move_to_where_the_others_are(change: Change, after: list[str]) -> None:
    spec = read("Networks", [{"Target": ID}])
    change(spec)

    assert after == [network["Target"] for network in at("TaskTemplate.Networks", spec)]
    assert not spec.networks


def test_networks_of_api_1_24_that_engines_do_not_look_at_are_not_brought_back() -> None:
    spec = read("TaskTemplate.Networks", [{"Target": "front"}])
    spec.networks = [NetworkAttachmentConfig(target=ID)]
    spec.add_network("new")

    assert ["front", "new"] == [network["Target"] for network in at("TaskTemplate.Networks", spec)]


# --- capabilities ----------------------------------------------------------------------------------------------------


_WEIGHED: Final[list[tuple[list[str], list[str], Change, tuple[list[str], list[str]]]]] = [
    ([], ["CAP_A"], lambda s: s.add_capability("a"), ([], [])),
    (["CAP_A"], [], lambda s: s.drop_capability("a"), ([], [])),
    (["A", "CAP_B"], [], lambda s: s.add_capability("cap_a", "b"), (["A", "CAP_B"], [])),
    (["CAP_A"], [], lambda s: s.add_capability("all"), (["ALL"], [])),
    (["ALL"], [], lambda s: s.add_capability("A"), (["ALL"], [])),
    (["ALL"], [], lambda s: s.drop_capability("A"), (["ALL"], ["CAP_A"])),
    (["CAP_A"], ["CAP_B"], lambda s: s.add_capability("RESET"), ([], ["CAP_B"])),
    (["CAP_A"], ["CAP_B"], lambda s: s.add_capability("RESET", "B", "C"), (["CAP_C"], [])),
    (["CAP_A"], ["CAP_B"], lambda s: s.drop_capability("RESET", "A"), ([], [])),
]


@pytest.mark.parametrize(("added", "dropped", "change", "after"), _WEIGHED)
def test_a_capability_is_added_dropped_or_neither(
    added: list[str], dropped: list[str], change: Change, after: tuple[list[str], list[str]]
) -> None:
    spec = read(_C, {"CapabilityAdd": added, "CapabilityDrop": dropped})
    change(spec)

    assert after == (at(f"{_C}.CapabilityAdd", spec), at(f"{_C}.CapabilityDrop", spec))


# --- arguments -------------------------------------------------------------------------------------------------------


def test_the_callers_models_are_not_in_the_spec() -> None:
    mount, spec = Mount.parse("data:/data"), ServiceSpec()
    spec.add_mount(mount)
    (spec.container.mounts or [])[0].read_only = True

    assert Mount.parse("data:/data") == mount


_REFUSED: Final[list[Callable[[Any], None]]] = [
    lambda s: s.add_env({"A=hunter2": "b"}),
    lambda s: s.add_env(A=["hunter2"]),
    lambda s: s.add_env("A=hunter2"),
    lambda s: s.add_label(a=1),
    lambda s: s.add_mount("./relative:/data"),
    lambda s: s.add_port("80/hunter"),
    lambda s: s.add_host(a=None),
    lambda s: s.add_group(1),
    lambda s: s.add_ulimit(nofile="1"),
    lambda s: s.add_secret("source=password,mode=hunter"),
    lambda s: s.add_config("target=hunter"),
]


@pytest.mark.parametrize("change", _REFUSED)
def test_what_cannot_be_meant_is_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises((ValueError, AttributeError)) as caught:
        change(ServiceSpec())

    assert "hunter2" not in str(caught.value)
