"""How models read, refuse typos, hide secrets, and write themselves: nothing is lost and nothing is made up."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from swarmkit.models._wire import WireModel, cpus, nanoseconds, parse_bytes
from swarmkit.models.common import Driver, GenericResource
from swarmkit.models.config import ConfigReference
from swarmkit.models.container import (
    ContainerSpec,
    DNSConfig,
    Healthcheck,
    Privileges,
    SeccompOpts,
    SELinuxContext,
    Ulimit,
)
from swarmkit.models.endpoint import EndpointSpec, PortConfig
from swarmkit.models.mount import BindOptions, DriverConfig, Mount, TmpfsOptions, VolumeOptions
from swarmkit.models.network import NetworkAttachmentConfig
from swarmkit.models.secret import SecretReference, SecretReferenceFile
from swarmkit.models.service import (
    Global,
    Replicated,
    ReplicatedJob,
    Service,
    ServiceCreated,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateStatus,
)
from swarmkit.models.task import (
    Limits,
    Placement,
    PluginSpec,
    Reservations,
    Resources,
    RestartPolicy,
    TaskTemplate,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

INT64 = 2**63


def untyped(model: object) -> Any:
    """The same object, past the type checkers: for what they would refuse as well."""
    return cast("Any", model)


def written(model: WireModel) -> Any:
    """What goes to the engine, as JSON reads it."""
    return json.loads(model.wire())


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def model_copied(model: Any) -> Any:
    return model.model_copy(deep=True)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "field", "key", "value"),
    [
        (ServiceMode, "global_", "Global", {}),
        (ServiceMode, "replicated_job", "ReplicatedJob", {}),
        (Limits, "nano_cpus", "NanoCPUs", 5),
        (Limits, "memory_bytes", "MemoryBytes", 5),
        (ContainerSpec, "tty", "TTY", True),
        (ContainerSpec, "dns_config", "DNSConfig", {}),
        (ContainerSpec, "oom_score_adj", "OomScoreAdj", -5),
        (ContainerSpec, "healthcheck", "Healthcheck", {}),
        (ContainerSpec, "open_stdin", "OpenStdin", False),
        (Privileges, "selinux_context", "SELinuxContext", {}),
        (Privileges, "apparmor", "AppArmor", {}),
        (SecretReference, "secret_id", "SecretID", "x"),
        (SecretReferenceFile, "uid", "UID", "0"),
        (SecretReferenceFile, "gid", "GID", "0"),
        (PluginSpec, "remote", "remote", "x"),
        (PluginSpec, "privileges", "privileges", []),
    ],
)
def test_both_spellings_of_a_field_are_accepted_and_docker_s_is_written(
    model: type[WireModel], field: str, key: str, value: Any
) -> None:
    text = json.dumps({key: value})

    assert {key: value} == written(model(**{field: value}))
    assert {key: value} == written(model(**{key: value}))
    assert {key: value} == written(model.from_wire(text))
    assert model(**{field: value}) == model(**{key: value}) == model.from_wire(text)


def test_both_spellings_of_one_field_at_once_are_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        untyped(ContainerSpec)("a", Image="b")

    assert "given twice" in str(caught.value)
    with pytest.raises(ValidationError):
        untyped(Replicated)(replicas=1, Replicas=1)


@pytest.mark.parametrize(
    ("model", "typo"),
    [
        (ContainerSpec, "imgae"),
        (ServiceSpec, "task_templete"),
        (Mount, "readonly"),
        (Replicated, "replica"),
        (Global, "replicas"),
        (ServiceMode, "global"),
        (ServiceSpec, ""),
    ],
)
def test_a_typo_is_refused_at_construction(model: type[WireModel], typo: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model(**{typo: None})

    assert (typo,) == caught.value.errors()[0]["loc"]


def test_a_typo_deep_inside_plain_dicts_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        ServiceSpec(**untyped({"mode": {"replicated": {"replica": 3}}}))

    assert ("mode", "replicated", "replica") == caught.value.errors()[0]["loc"]


@pytest.mark.parametrize(
    ("model", "typo", "right"),
    [
        (ContainerSpec(), "imgae", "'image'"),
        (ContainerSpec(), "read_onyl", "'read_only'"),
        (Limits(), "nano_cpu", "'nano_cpus'"),
        (Replicated(), "replica", "'replicas'"),
    ],
)
def test_a_typo_on_assignment_is_refused_with_the_right_name(model: WireModel, typo: str, right: str) -> None:
    with pytest.raises(AttributeError) as caught:
        setattr(model, typo, 1)

    assert f"did you mean {right}" in str(caught.value)
    assert b"{}" == model.wire()


def test_a_typo_that_resembles_nothing_is_refused_on_assignment_as_well() -> None:
    with pytest.raises(AttributeError, match="Global has no field 'xyz'"):
        untyped(Global()).xyz = 1


@pytest.mark.parametrize(
    ("model", "key", "field"),
    [
        (ContainerSpec(), "Image", "image"),
        (ContainerSpec(), "HealthCheck", "healthcheck"),
        (ServiceMode(), "Global", "global_"),
        (Limits(), "NanoCpus", "nano_cpus"),
    ],
)
def test_a_wire_key_on_assignment_is_refused_and_the_field_named(model: WireModel, key: str, field: str) -> None:
    with pytest.raises(AttributeError, match=f"the field is called '{field}'"):
        setattr(model, key, None)


def test_a_door_for_reading_cannot_be_assigned() -> None:
    with pytest.raises(AttributeError):
        untyped(ServiceSpec()).image = "nginx"


# --- unknown keys ----------------------------------------------------------------------------------------------------


def test_unknown_keys_of_newer_engines_are_kept_and_sent_back() -> None:
    sent: dict[str, Any] = {
        "Name": "web",
        "NewThing": {"A": [1, None, {"b": 2.5}]},
        "TaskTemplate": {"ContainerSpec": {"Image": "x", "NewFlag": False}, "NewList": []},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "NewKey": "y"}]},
    }

    assert sent == written(ServiceSpec.from_wire(json.dumps(sent)))


def test_an_unknown_wire_key_can_be_given_and_assigned_in_python() -> None:
    spec = ServiceSpec(name="web", **untyped({"NewThing": 1}))
    untyped(spec).NewOther = [2]
    untyped(spec).NewThing = 3

    assert {"Name": "web", "NewThing": 3, "NewOther": [2]} == written(spec)


@pytest.mark.parametrize("text", ['{"Image":"a","newkey":1}', '{"Image":"a","":1,"é":2}'])
def test_an_answer_with_odd_keys_is_still_read_changed_and_sent_back(text: str) -> None:
    container = ContainerSpec.from_wire(text)
    container.user = "root"

    assert {**json.loads(text), "User": "root"} == written(container)
    assert "a" == container.image


@pytest.mark.parametrize("model", [ServiceSpec, TaskTemplate, ContainerSpec, Mount, PortConfig, Resources])
def test_null_for_every_field_is_read_and_sent_back(model: type[WireModel]) -> None:
    nothing = {field.alias: None for field in model.model_fields.values()}

    assert nothing == written(model.from_wire(json.dumps(nothing)))


def test_a_service_needs_no_more_than_its_id_version_and_spec() -> None:
    service = Service.from_wire('{"ID":"abc","Version":{},"Spec":{}}')

    assert ("abc", 0, "") == (service.id, service.version.index, service.name)


def test_null_warnings_are_none_at_all() -> None:
    assert [] == ServiceCreated.from_wire('{"ID":"abc","Warnings":null}').warnings
    assert [] == ServiceCreated.from_wire('{"ID":"abc"}').warnings
    assert ["careful"] == ServiceCreated.from_wire('{"ID":"abc","Warnings":["careful"]}').warnings


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (PortConfig, '{"Protocol":"quic","PublishMode":"anycast"}'),
        (Mount, '{"Type":"hologram"}'),
        (UpdateConfig, '{"FailureAction":"shrug","Order":"sideways"}'),
        (RestartPolicy, '{"Condition":"sometimes"}'),
        (EndpointSpec, '{"Mode":"magic"}'),
        (ContainerSpec, '{"Isolation":"total"}'),
        (TaskTemplate, '{"Runtime":"wasm"}'),
        (UpdateStatus, '{"State":"pondering"}'),
    ],
)
def test_enum_values_of_newer_engines_are_read_and_sent_back(model: type[WireModel], text: str) -> None:
    assert json.loads(text) == written(model.from_wire(text))


# --- what reaches the wire -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (Replicated(replicas=0), {"Replicas": 0}),
        (ReplicatedJob(max_concurrent=1), {"MaxConcurrent": 1}),
        (ContainerSpec(tty=False, init=False), {"TTY": False, "Init": False}),
        (ContainerSpec("", env=[], labels={}), {"Image": "", "Env": [], "Labels": {}}),
        (ContainerSpec(dns_config=DNSConfig()), {"DNSConfig": {}}),
        (UpdateConfig(delay=timedelta(0), max_failure_ratio=0.0), {"Delay": 0, "MaxFailureRatio": 0.0}),
        (TaskTemplate(networks=[], force_update=0), {"Networks": [], "ForceUpdate": 0}),
        (ServiceMode(global_=Global()), {"Global": {}}),
        (UpdateConfig(order="stop-first", failure_action="pause"), {"Order": "stop-first", "FailureAction": "pause"}),
    ],
)
def test_a_value_that_equals_a_default_reaches_the_wire(model: WireModel, sent: dict[str, Any]) -> None:
    assert sent == written(model)


@pytest.mark.parametrize("model", [ServiceSpec, TaskTemplate, ContainerSpec, Mount, PortConfig, UpdateConfig, Global])
def test_what_was_not_set_is_absent(model: type[WireModel]) -> None:
    assert b"{}" == model().wire()


def test_none_is_written_as_null() -> None:
    spec = ServiceSpec(labels=None, task_template=TaskTemplate(container_spec=ContainerSpec(env=None)))
    spec.mode = None

    assert {"Labels": None, "TaskTemplate": {"ContainerSpec": {"Env": None}}, "Mode": None} == written(spec)


def test_what_is_changed_inside_is_written() -> None:
    spec = ServiceSpec.from_wire('{"TaskTemplate":{"ContainerSpec":{"Image":"a","Env":["A=1"],"Labels":{"x":"y"}}}}')
    container = spec.container
    container.image = "b"
    assert container.env is not None
    assert container.labels is not None
    container.env.append("B=2")
    container.labels["z"] = ""
    container.mounts = []
    container.mounts.append(Mount(target="/x"))

    changed = {"Image": "b", "Env": ["A=1", "B=2"], "Labels": {"x": "y", "z": ""}, "Mounts": [{"Target": "/x"}]}
    assert {"TaskTemplate": {"ContainerSpec": changed}} == written(spec)


def test_a_value_of_the_wrong_type_never_reaches_the_wire() -> None:
    spec = ServiceSpec(name="web", labels={})
    labels: dict[str, Any] = untyped(spec.labels)
    labels["a"] = 1
    with pytest.raises(ValueError, match="past validation"):
        spec.wire()

    other = ServiceSpec(name="web")
    vars(other)["name"] = 5
    with pytest.raises(ValueError, match="past validation"):
        other.wire()


@pytest.mark.parametrize(
    ("model", "field", "wrong"),
    [
        (Replicated(replicas=1), "replicas", "3"),
        (ServiceSpec(name="web"), "name", 3),
        (ContainerSpec(env=[]), "env", "A=1"),
        (ServiceSpec(), "mode", Replicated()),
        (UpdateConfig(), "delay", 5),
    ],
)
def test_assignment_is_validated_and_a_refused_value_changes_nothing(model: WireModel, field: str, wrong: Any) -> None:
    before = model.wire()

    with pytest.raises(ValidationError):
        setattr(model, field, wrong)

    assert before == model.wire()


# --- whole numbers, bools, ratios ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [True, 3.0, "3", 1.5, [3]])
def test_only_a_whole_number_is_a_whole_number(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        untyped(Replicated)(replicas=wrong)
    with pytest.raises(ValidationError):
        Replicated.from_wire(json.dumps({"Replicas": wrong}))


@pytest.mark.parametrize("wrong", [1, 0, "true", "yes", 1.0])
def test_only_a_bool_is_a_bool(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        untyped(ContainerSpec)("a", tty=wrong)
    with pytest.raises(ValidationError):
        ContainerSpec.from_wire(json.dumps({"TTY": wrong}))


def test_counters_up_to_64_bits_are_exact() -> None:
    text = f'{{"ForceUpdate":{2**64 - 1}}}'

    assert 2**64 - 1 == TaskTemplate.from_wire(text).force_update
    assert text.encode() == TaskTemplate.from_wire(text).wire()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_ratio_that_json_cannot_say_is_refused_and_not_dropped(wrong: float) -> None:
    with pytest.raises(ValidationError):
        UpdateConfig(max_failure_ratio=wrong)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_a_number_that_json_cannot_say_does_not_go_out_as_null_under_an_unknown_key(wrong: object) -> None:
    with pytest.raises(ValueError, match="a number that is none"):
        UpdateConfig(**untyped({"New": wrong})).wire()
    with pytest.raises(ValueError, match="a number that is none"):
        ServiceSpec(name="NaN", update_config=UpdateConfig(**untyped({"New": wrong}))).wire()


def test_text_that_reads_like_such_a_number_is_text() -> None:
    spec = ServiceSpec(name="NaN", labels={"-Infinity": '"NaN'}, **untyped({"New": ["NaN", 1.5]}))

    assert {"Name": "NaN", "Labels": {"-Infinity": '"NaN'}, "New": ["NaN", 1.5]} == written(spec)


@pytest.mark.parametrize("uid", [1000, 0])
def test_owners_are_strings_as_engines_want_them(uid: Any) -> None:
    with pytest.raises(ValidationError):
        SecretReferenceFile(uid=uid)


# --- durations -------------------------------------------------------------------------------------------------------


@given(st.integers(-INT64, INT64 - 1))
def test_a_duration_is_exact_to_the_nanosecond_both_ways(ns: int) -> None:
    read = UpdateConfig.from_wire(f'{{"Delay":{ns}}}')

    assert f'{{"Delay":{ns}}}'.encode() == read.wire()
    assert read.delay is not None
    assert ns == nanoseconds(read.delay)
    assert abs(read.delay - timedelta(microseconds=ns // 1000)) <= timedelta(microseconds=1)


@given(st.timedeltas(timedelta(microseconds=-INT64 // 1000), timedelta(microseconds=INT64 // 1000)))
def test_a_timedelta_is_written_in_nanoseconds(delay: timedelta) -> None:
    assert {"Delay": delay // timedelta(microseconds=1) * 1000} == written(UpdateConfig(delay=delay))


@pytest.mark.parametrize("ns", [1, -1, 1_500, 10_000_000_001, INT64 - 1, -INT64, 5_000_000_000])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_nanoseconds_survive_copies(ns: int, duplicate: Callable[[Any], Any]) -> None:
    read = UpdateConfig.from_wire(f'{{"Delay":{ns}}}')

    assert ns == written(duplicate(read))["Delay"]
    assert ns == nanoseconds(duplicate(read.delay))
    assert ns == written(UpdateConfig(delay=duplicate(read.delay)))["Delay"]


def test_durations_that_differ_on_the_wire_are_not_equal() -> None:
    one, other = (UpdateConfig.from_wire(f'{{"Delay":{ns}}}') for ns in (1_500, 1_700))
    whole = UpdateConfig(delay=timedelta(microseconds=1))

    assert one == copy.deepcopy(one)
    assert one != other
    assert one != whole
    assert whole != one
    assert 3 == len({one.delay, other.delay, whole.delay, copy.deepcopy(one.delay)})


@pytest.mark.parametrize("ns", [1, -1, 999])
def test_less_than_a_microsecond_is_something(ns: int) -> None:
    assert UpdateConfig.from_wire(f'{{"Delay":{ns}}}').delay
    assert not UpdateConfig.from_wire('{"Delay":0}').delay


def test_a_whole_duration_equals_the_plain_timedelta() -> None:
    assert timedelta(seconds=10) == ContainerSpec.from_wire('{"StopGracePeriod":10000000000}').stop_grace_period


@pytest.mark.parametrize("bare", [1, 5, -5, 999_999, -999_999])
def test_a_small_bare_number_is_refused_as_it_would_be_nanoseconds(bare: Any) -> None:
    with pytest.raises(ValidationError, match="would be nanoseconds"):
        Healthcheck(interval=bare)


@pytest.mark.parametrize("bare", [0, 1_000_000, 5_000_000_001, -1_000_000])
def test_nought_and_plausible_nanoseconds_are_accepted(bare: Any) -> None:
    assert {"Interval": bare} == written(Healthcheck(interval=bare))


@pytest.mark.parametrize("wrong", ["5s", "5", "PT5S", "00:00:05", True, False, 5.0, b"5", 10**30, -(10**30)])
def test_anything_else_is_no_duration_in_python(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Healthcheck(interval=wrong)


@pytest.mark.parametrize("wrong", ['"5s"', '"5"', "true", "1.5", "5.0", "[]", "{}", "1" + "0" * 30])
def test_anything_else_is_no_duration_in_json(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Healthcheck.from_wire(f'{{"Interval":{wrong}}}')


# --- timestamps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.123456789Z", datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
        ("2024-05-06T07:08:09.1Z", datetime(2024, 5, 6, 7, 8, 9, 100000, tzinfo=UTC)),
        ("2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_timestamps_are_read_to_the_microsecond_and_the_zero_time_is_none(
    text: str | None, read: datetime | None
) -> None:
    status = UpdateStatus.from_wire(json.dumps({"StartedAt": text}))

    assert read == status.started_at
    assert status.started_at is None or status.started_at.tzinfo is not None


@pytest.mark.parametrize(
    "wrong", ["yesterday", "", "2024-05-06", "2024-05-06T07:08:09", True, {}, "2024-13-01T00:00:00Z"]
)
def test_garbage_is_no_timestamp(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="RFC 3339"):
        UpdateStatus.from_wire(json.dumps({"StartedAt": wrong}))


def test_timestamps_are_taken_from_python_and_written() -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    status = UpdateStatus(started_at=moment, completed_at=datetime(1, 1, 1, tzinfo=UTC))

    assert status.completed_at is None
    assert moment == UpdateStatus.from_wire(status.wire()).started_at


@pytest.mark.parametrize(
    "zero",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z", "0001-01-01T05:00:00+05:00", "0001-01-01T23:59:59-12:00",
     "0001-01-01T00:00:00+14:00", "0001-01-01T04:56:02Z"],
)  # fmt: skip
def test_the_first_day_of_all_is_never(zero: str) -> None:
    assert UpdateStatus.from_wire(json.dumps({"StartedAt": zero})).started_at is None
    assert UpdateStatus.model_validate({"StartedAt": zero}).started_at is None


def test_the_second_day_of_all_is_a_day() -> None:
    for day in ("0001-01-02T00:00:00Z", "0001-01-02T23:59:59+01:00", "0001-01-03T00:00:00Z"):
        assert UpdateStatus.from_wire(json.dumps({"StartedAt": day})).started_at == datetime.fromisoformat(day)
    assert UpdateStatus(started_at=datetime(1, 1, 1, 5, tzinfo=UTC)).started_at is None
    for junk in ("0001-01-01", "0001-01-02T00:00:00", "0000-12-31T00:00:00Z"):
        with pytest.raises(ValidationError):
            UpdateStatus.from_wire(json.dumps({"StartedAt": junk}))


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValidationError):
        UpdateStatus(started_at=datetime(1, 1, 1))
    with pytest.raises(ValidationError):
        UpdateStatus(started_at=datetime(2024, 5, 6))


# --- base64 ----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=64))
def test_a_seccomp_profile_is_standard_base64_on_the_wire(profile: bytes) -> None:
    seccomp = SeccompOpts(profile=profile)

    assert {"Profile": b64encode(profile).decode()} == written(seccomp)
    assert seccomp == SeccompOpts.from_wire(seccomp.wire())
    assert profile == SeccompOpts.from_wire(seccomp.wire()).profile


@pytest.mark.parametrize("wrong", ["_-_-", "a", "é", "a b=", 5, ["eA=="]])
def test_what_is_no_standard_base64_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        SeccompOpts.from_wire(json.dumps({"Profile": wrong}))
    with pytest.raises(ValidationError):
        SeccompOpts(**untyped({"Profile": wrong}))


# --- sizes and CPUs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1b", 1),
        ("1k", 1024),
        ("1kb", 1024),
        ("1Ki", 1024),
        ("1KiB", 1024),
        ("512m", 512 * 1024**2),
        ("512MiB", 512 * 1024**2),
        ("1Mi", 1024**2),
        ("1.5g", 1536 * 1024**2),
        ("2 GB", 2 * 1024**3),
        ("1Gi", 1024**3),
        ("1t", 1024**4),
        ("1Ti", 1024**4),
        ("1p", 1024**5),
        (" 64M ", 64 * 1024**2),
        ("0.1m", 104857),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text: str, size: int) -> None:
    assert size == parse_bytes(text)


@pytest.mark.parametrize(
    "junk", ["", " ", "m", "-1", "-1m", "1e3", "1x", "1mm", "1.m", ".5m", "1,5g", "1ib", "0x10", "NaN", "1 2m", "٣"]
)
def test_what_is_no_size_is_refused(junk: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_bytes(junk)


def test_a_size_that_would_come_to_no_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="less than a byte"):
        parse_bytes("0.0001k")
    assert parse_bytes("0") == parse_bytes("0.0m") == 0


@pytest.mark.parametrize(
    ("count", "nano"),
    [
        (0.5, 500_000_000),
        (1, 10**9),
        ("0.1", 10**8),
        (0.1, 10**8),
        (2.5, 2_500_000_000),
        ("1.25", 1_250_000_000),
        (0, 0),
    ],
)
def test_cpus_are_exact_billionths(count: float | str, nano: int) -> None:
    assert nano == cpus(count)


@pytest.mark.parametrize("junk", ["", "half", "1 cpu", float("nan"), float("inf"), "-inf", True, -1, "1e-10"])
def test_what_is_no_number_of_cpus_is_refused(junk: Any) -> None:
    with pytest.raises(ValueError, match="not a number of CPUs"):
        cpus(junk)


# --- short forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data:/data", Mount(type="volume", source="data", target="/data")),
        ("data:/data:ro", Mount(type="volume", source="data", target="/data", read_only=True)),
        ("data:/data:rw", Mount(type="volume", source="data", target="/data", read_only=False)),
        (
            "data:/data:nocopy",
            Mount(type="volume", source="data", target="/data", volume_options=VolumeOptions(no_copy=True)),
        ),
        (
            "data:/data:ro,nocopy",
            Mount(
                type="volume", source="data", target="/data", read_only=True, volume_options=VolumeOptions(no_copy=True)
            ),
        ),
        ("/srv:/data", Mount(type="bind", source="/srv", target="/data")),
        (
            "/srv:/data:rw,rslave",
            Mount(
                type="bind",
                source="/srv",
                target="/data",
                read_only=False,
                bind_options=BindOptions(propagation="rslave"),
            ),
        ),
        ("/data", Mount(type="volume", target="/data")),
        (r"C:\src:D:\dst", Mount(type="bind", source=r"C:\src", target=r"D:\dst")),
        (r"C:\src:D:\dst:ro", Mount(type="bind", source=r"C:\src", target=r"D:\dst", read_only=True)),
        ("c:/src:/dst", Mount(type="bind", source="c:/src", target="/dst")),
        (r"data:C:\dst:ro", Mount(type="volume", source="data", target=r"C:\dst", read_only=True)),
        (r"C:\dst", Mount(type="volume", target=r"C:\dst")),
        (
            r"\\.\pipe\docker_engine:\\.\pipe\docker_engine",
            Mount(type="npipe", source=r"\\.\pipe\docker_engine", target=r"\\.\pipe\docker_engine"),
        ),
    ],
)
def test_a_mount_is_read_from_docker_s_short_form(text: str, mount: Mount) -> None:
    assert mount == Mount.parse(text)
    assert mount.wire() == Mount.parse(text).wire()


@pytest.mark.parametrize(
    "junk",
    [
        "",
        ":",
        ":/data",
        "data:",
        "data:/data:",
        "data:/data:ro,",
        "data:/data:z",
        "data:/data:rw,z",
        "data:/data:RO",
        "data:/data:rslave",
        "/srv:/data:nocopy",
        "/srv:/data:ro:rw",
        "a:b:c:d",
        "./data:/data",
        "../data:/data",
        "~/data:/data",
    ],
)
def test_what_is_no_mount_is_refused(junk: str) -> None:
    with pytest.raises(ValueError, match="mount"):
        Mount.parse(junk)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("80", PortConfig(target_port=80)),
        ("8080:80", PortConfig(published_port=8080, target_port=80)),
        ("8080:80/udp", PortConfig(published_port=8080, target_port=80, protocol="udp")),
        ("53:53/tcp", PortConfig(published_port=53, target_port=53, protocol="tcp")),
        ("53:53/udp", PortConfig(published_port=53, target_port=53, protocol="udp")),
        ("9/sctp", PortConfig(target_port=9, protocol="sctp")),
        ("65535:1", PortConfig(published_port=65535, target_port=1)),
    ],
)
def test_a_port_is_read_from_docker_s_short_form(text: str, port: PortConfig) -> None:
    assert port == PortConfig.parse(text)
    assert port.wire() == PortConfig.parse(text).wire()


def test_one_port_can_be_published_for_two_protocols() -> None:
    endpoint = EndpointSpec(ports=[PortConfig.parse("53:53/tcp"), PortConfig.parse("53:53/udp")])

    assert [("tcp", 53), ("udp", 53)] == [
        (port["Protocol"], port["PublishedPort"]) for port in written(endpoint)["Ports"]
    ]


@pytest.mark.parametrize(
    "junk",
    ["", ":", "0", "65536", "80/", "80/TCP", "80/icmp", ":80", "80:", "0:80", "8000-8010:80", "127.0.0.1:80:80", "-1",
     " 80", "8o", "٨٠", "000080", "80/tcp/udp", "http"],
)  # fmt: skip
def test_what_is_no_port_is_refused(junk: str) -> None:
    with pytest.raises(ValueError, match="port"):
        PortConfig.parse(junk)


# --- the container spec's own constructor ----------------------------------------------------------------------------


def test_a_container_spec_takes_what_python_code_has_at_hand() -> None:
    container = ContainerSpec(
        "nginx",
        command="sh -c 'echo hello world'",
        args=("a", "b c"),
        env={"A": "1", "EMPTY": "", "FROM_IMAGE": None},
        hosts={"db": "10.0.0.2"},
        mounts=["data:/data:ro", Mount(type="tmpfs", target="/tmp")],
        sysctls=MappingProxyType({"net.core.somaxconn": "1024"}),
        **untyped({"NewKey": 1}),
    )

    assert {
        "Image": "nginx",
        "Command": ["sh", "-c", "echo hello world"],
        "Args": ["a", "b c"],
        "Env": ["A=1", "EMPTY=", "FROM_IMAGE"],
        "Hosts": ["10.0.0.2 db"],
        "Mounts": [
            {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True},
            {"Type": "tmpfs", "Target": "/tmp"},
        ],
        "Sysctls": {"net.core.somaxconn": "1024"},
        "NewKey": 1,
    } == written(container)


def test_a_container_spec_takes_lists_and_wire_keys_as_they_are() -> None:
    container = ContainerSpec(
        env=["A=1", "B"], hosts=["10.0.0.2 db cache"], command=["sh"], **untyped({"TTY": True, "ReadOnly": False})
    )

    assert {"Env": ["A=1", "B"], "Hosts": ["10.0.0.2 db cache"], "Command": ["sh"], "TTY": True, "ReadOnly": False} == (
        written(container)
    )


def test_the_environment_reads_back_as_a_mapping() -> None:
    container = ContainerSpec(env={"A": "1", "URL": "a=b", "NONE": None})
    doubled = ContainerSpec(env=["A=1", "A=2"])

    assert {"A": "1", "URL": "a=b", "NONE": None} == container.environment
    assert {"A": "2"} == doubled.environment
    assert {} == ContainerSpec().environment


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": 5},
        {"command": [5]},
        {"env": "A=1"},
        {"env": {"A": 1}},
        {"env": {"A": True}},
        {"env": {"A": b"x"}},
        {"hosts": {"db": 5}},
        {"mounts": "/data"},
        {"mounts": "data:/data"},
        {"mounts": [5]},
        {"groups": "wheel"},
        {"labels": ["a"]},
        {"image": 5},
        {"image": "a", "Image": "b"},
        {"imgae": "a"},
    ],
    ids=str,
)
def test_a_container_spec_refuses_values_of_other_types(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        untyped(ContainerSpec)(**wrong)


@pytest.mark.parametrize("wrong", [{"command": "sh -c 'unclosed"}, {"mounts": ["data:/data:z"]}, {"mounts": [""]}])
def test_a_container_spec_refuses_text_it_cannot_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"quotation|mount"):
        untyped(ContainerSpec)(**wrong)


def test_the_caller_s_values_are_never_touched() -> None:
    env, hosts, mounts = {"A": "1", "B": None}, {"db": "10.0.0.2"}, ["data:/data"]
    labels, lines, ulimits = {"a": "b"}, ["C=3"], [Ulimit(name="nofile", soft=1)]

    first = ContainerSpec("a", env=env, hosts=hosts, mounts=mounts, labels=labels, ulimits=ulimits)
    second = ContainerSpec("a", env=env, hosts=hosts, mounts=mounts, labels=labels, ulimits=ulimits)
    third = ContainerSpec("a", env=lines)
    assert first == second
    for changed in (first.env, third.env, first.mounts, first.ulimits):
        assert changed is not None
        changed.clear()
    assert first.labels is not None
    first.labels["x"] = "y"

    assert {"A": "1", "B": None} == env
    assert {"db": "10.0.0.2"} == hosts
    assert ["data:/data"] == mounts
    assert {"a": "b"} == labels
    assert ["C=3"] == lines
    assert [Ulimit(name="nofile", soft=1)] == ulimits


def test_reading_json_does_not_pay_for_the_python_constructor() -> None:
    text = '{"TaskTemplate":{"ContainerSpec":{"Image":"a","Env":["A=1"],"StopGracePeriod":10000000000}}}'
    ServiceSpec.from_wire(text)  # builds what pydantic puts off until it is used
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals["__name__"].startswith("swarmkit."):
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        spec = ServiceSpec.from_wire(text)
    finally:
        sys.setprofile(None)

    assert "a" == spec.image
    assert ["WireModel.from_wire"] == called


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_a_repr_shows_no_secret_value_and_nothing_that_is_not_set() -> None:
    spec = ServiceSpec(
        name="web",
        task_template=TaskTemplate(
            container_spec=ContainerSpec(
                "nginx",
                env={"PASSWORD": "hunter2"},
                mounts=[
                    Mount(
                        target="/x",
                        volume_options=VolumeOptions(driver_config=DriverConfig(name="nfs", options={"o": "hunter2"})),
                    )
                ],
            ),
            plugin_spec=PluginSpec(name="p", env=["TOKEN=hunter2"]),
            log_driver=Driver(name="splunk", options={"splunk-token": "hunter2"}),
            networks=[NetworkAttachmentConfig(target="n", driver_opts={"key": "hunter2"})],
        ),
        **untyped({"NewKey": {"password": "hunter2"}}),
    )

    for shown in (repr(spec), str(spec), f"{spec}", repr([spec])):
        assert "hunter2" not in shown
        assert "None" not in shown
        assert "name='web'" in shown
        assert "image='nginx'" in shown
        assert "NewKey" in shown
    assert "ServiceSpec()" == repr(ServiceSpec(name=None))


def test_a_refusal_does_not_quote_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        ContainerSpec(env=untyped([("PASSWORD", "hunter2")]))

    assert "hunter2" not in str(caught.value)


# --- models as values ------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "Name": "web",
    "Labels": {"a": ""},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "nginx", "Env": ["A=1"], "Healthcheck": {"Interval": 1_500}},
        "Resources": {"Limits": {"NanoCPUs": 0}, "Reservations": {"GenericResources": []}},
        "Unknown": {"x": [1]},
    },
    "Mode": {"Replicated": {"Replicas": 0}},
}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled, model_copied])
def test_a_copy_is_equal_writes_the_same_and_shares_nothing(duplicate: Callable[[Any], Any]) -> None:
    spec = ServiceSpec.from_wire(json.dumps(WHOLE))
    other = duplicate(spec)

    assert spec == other
    assert spec.wire() == other.wire()
    other.container.env.append("B=2")
    other.labels["b"] = ""
    untyped(other.task_template).__pydantic_extra__["Unknown"]["x"].append(2)
    assert WHOLE == written(spec)
    assert spec != other


def test_equality_is_about_what_is_said() -> None:
    assert Replicated(replicas=3) == Replicated(replicas=3)
    assert Replicated(replicas=3) != Replicated(replicas=0)
    assert Replicated(replicas=None) == Replicated()
    assert untyped(Replicated()) != Global()
    assert Global(**untyped({"New": 1})) != Global()


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("model", [ServiceSpec, Service])
def test_models_describe_themselves_as_json_schema(model: type[WireModel], mode: Any) -> None:
    schema = model.model_json_schema(mode=mode)

    assert {field.alias for field in model.model_fields.values()} == set(schema["properties"])
    text = json.dumps(schema)
    assert '"StopGracePeriod": {"anyOf": [{"description": "nanoseconds", "format": "int64", "type": "integer"}' in text


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Replicated(replicas=2), {"Replicated": {"Replicas": 2}}),
        (Global(), {"Global": {}}),
        (ReplicatedJob(), {"ReplicatedJob": {}}),
        (ServiceMode(global_=Global()), {"Global": {}}),
    ],
)
def test_a_mode_is_made_of_its_part(part: Any, sent: dict[str, Any]) -> None:
    assert sent == written(ServiceMode.of(part))


@pytest.mark.parametrize(
    ("mode", "replicas"),
    [
        (None, 1),
        (ServiceMode(replicated=Replicated()), 1),
        (ServiceMode(replicated=Replicated(replicas=0)), 0),
        (ServiceMode(replicated=Replicated(replicas=7)), 7),
        (ServiceMode(replicated_job=ReplicatedJob()), 1),
        (ServiceMode(replicated_job=ReplicatedJob(max_concurrent=3, total_completions=9)), 3),
        (ServiceMode(replicated_job=ReplicatedJob(max_concurrent=0)), 0),
    ],
)
def test_the_number_of_replicas_is_what_the_engine_would_run(mode: ServiceMode | None, replicas: int) -> None:
    assert replicas == ServiceSpec(mode=mode).replicas


def test_a_global_service_has_no_number_of_replicas() -> None:
    with pytest.raises(ValueError, match="the nodes decide"):
        _ = ServiceSpec(mode=ServiceMode(global_=Global())).replicas


def test_the_doors_for_reading_work_on_plugin_services_too() -> None:
    spec = ServiceSpec(task_template=TaskTemplate(plugin_spec=PluginSpec(name="p")))

    assert "" == spec.image == ServiceSpec().image
    with pytest.raises(ValueError, match="no container spec"):
        _ = spec.container


def test_a_secret_and_a_config_are_given_as_files_that_tasks_can_read() -> None:
    file = {"UID": "0", "GID": "0", "Mode": 0o444}

    assert {"SecretID": "1", "SecretName": "db", "File": {"Name": "db", **file}} == written(
        SecretReference.as_file("1", "db")
    )
    assert {"ConfigID": "2", "ConfigName": "c", "File": {**file, "Name": "/etc/c", "UID": "33", "Mode": 0}} == written(
        ConfigReference.as_file("2", "c", target="/etc/c", uid="33", mode=0)
    )


def test_generic_resources_are_named_or_counted() -> None:
    reservations = Reservations(
        generic_resources=[GenericResource.named("GPU", "a"), GenericResource.discrete("SSD", 2)]
    )

    assert {
        "Reservations": {
            "GenericResources": [
                {"NamedResourceSpec": {"Kind": "GPU", "Value": "a"}},
                {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 2}},
            ]
        }
    } == written(Resources(reservations=reservations))


# --- parts -----------------------------------------------------------------------------------------------------------


def test_placement_is_read_with_all_its_parts() -> None:
    sent = {
        "Constraints": ["node.role==worker"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
        "MaxReplicas": 0,
        "Platforms": [{"Architecture": "", "OS": "linux"}],
    }

    assert sent == written(Placement.from_wire(json.dumps(sent)))


def test_tmpfs_options_take_flags_and_pairs() -> None:
    options = TmpfsOptions(mode=0o1777, options=[["noexec"], ["uid", "1000"]])

    assert {"Mode": 1023, "Options": [["noexec"], ["uid", "1000"]]} == written(options)


def test_selinux_labels_have_docker_s_keys() -> None:
    context = SELinuxContext(disable=False, user="u", role="r", type="t", level="l")

    assert {"Disable": False, "User": "u", "Role": "r", "Type": "t", "Level": "l"} == written(context)
