"""What a request needs of the API version: every mark, every violation at once, and the marks against the facts."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from swarmkit.errors import Problem, UnsupportedFeature
from swarmkit.features import Endpoint, check, too_old
from swarmkit.models._wire import Int, WireModel
from swarmkit.models.filters import (
    LogsQuery,
    ServiceFilters,
    ServiceInspectQuery,
    ServiceListQuery,
    ServiceUpdateQuery,
    TaskFilters,
    TaskListQuery,
)
from swarmkit.models.service import ServiceSpec
from swarmkit.versions import NEWEST, OLDEST, ApiVersion, Release, Since
from tests.paths import marks_below


def at(version: str, maximum: str | None = None, *, release: Release | None = None, pinned: bool = False) -> Endpoint:
    """An endpoint that speaks this version; its engine's newest one is the same unless given."""
    return Endpoint(ApiVersion.parse(version), ApiVersion.parse(maximum or version), release, pinned)


def refused(model: WireModel, endpoint: Endpoint) -> list[tuple[str, str]]:
    """What the gate says of one model: paths and what they need; nothing where it lets it pass."""
    try:
        assert endpoint.version == check((model,), endpoint)
    except UnsupportedFeature as error:
        return [(problem.path, problem.reason) for problem in error.problems]
    return []


def spec(**keys: Any) -> ServiceSpec:
    return ServiceSpec.model_validate(keys)


def template(**keys: Any) -> ServiceSpec:
    return spec(TaskTemplate=keys)


def container(**keys: Any) -> ServiceSpec:
    return template(ContainerSpec=keys)


# --- marks, on a model of their own ----------------------------------------------------------------------------------


class Part(WireModel):
    inner: Annotated[Int | None, Since("1.42")] = None
    free: Int | None = None


class Marked(WireModel):
    number: Annotated[Int | None, Since("1.41")] = None
    flag: Annotated[bool | None, Since("1.41")] = None
    text: Annotated[str | None, Since("1.41", idle="default")] = None
    lines: Annotated[list[str] | None, Since("1.41")] = None
    labels: Annotated[dict[str, str] | None, Since("1.41")] = None
    part: Annotated[Part | None, Since("1.41")] = None
    present: Annotated[bool | None, Since("1.41", presence=True)] = None
    kind: Annotated[str | None, Since("1.41", value="new"), Since("1.43", value="newer")] = None
    kinds: Annotated[list[str] | None, Since("1.40"), Since("1.41", value="new")] = None
    late: Annotated[str | None, Since("1.45", release="26.1.0")] = None
    parts: list[Part] | None = None
    plain: Part | None = None


@pytest.mark.parametrize(
    "value",
    [
        {"Number": 5},
        {"Number": -1},
        {"Flag": True},
        {"Text": "x"},
        {"Lines": [""]},
        {"Labels": {"": ""}},
        {"Part": {"Free": 1}},
        {"Part": {"New": 1}},
        {"Present": True},
        {"Present": False},
        {"Kind": "new"},
        {"Kinds": ["old", "new"]},
    ],
    ids=str,
)
def test_a_value_that_asks_for_something_needs_the_version(value: dict[str, Any]) -> None:
    key = next(iter(value))
    path = {"Kind": "Kind=new", "Kinds": "Kinds=new"}.get(key, key)

    assert [(path, "needs API 1.41")] == refused(Marked.model_validate(value), at("1.40"))
    assert [] == refused(Marked.model_validate(value), at("1.41"))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"Number": None},
        {"Number": 0},
        {"Flag": False},
        {"Text": ""},
        {"Text": "default"},
        {"Lines": []},
        {"Labels": {}},
        {"Part": {}},
        {"Part": {"Free": 0, "Inner": None}},
        {"Part": {"New": None}},
        {"Present": None},
        {"Kind": "old"},
        {"Kind": ""},
        {"Kinds": []},
        {"Parts": [{}, {"Free": 1}]},
        {"Late": ""},
    ],
    ids=str,
)
def test_a_value_that_asks_for_nothing_passes_at_any_version(value: dict[str, Any]) -> None:
    assert [] == refused(Marked.model_validate(value), at("1.24"))


@pytest.mark.parametrize("value", [{"Kind": "NEW"}, {"Kinds": ["old", "New"]}])
def test_a_value_of_a_mark_is_found_in_any_case_as_engines_read_it(value: dict[str, Any]) -> None:
    key = next(iter(value))

    assert [(f"{key}=new", "needs API 1.41")] == refused(Marked.model_validate(value), at("1.40"))


def test_protocols_and_kinds_of_mounts_are_gated_in_any_case() -> None:
    asked = spec(
        EndpointSpec={"Ports": [{"TargetPort": 80, "Protocol": "SCTP"}]},
        TaskTemplate={"ContainerSpec": {"Mounts": [{"Type": "Cluster", "Target": "/c"}]}},
    )

    assert [
        ("TaskTemplate.ContainerSpec.Mounts[0].Type=cluster", "needs API 1.42"),
        ("EndpointSpec.Ports[0].Protocol=sctp", "needs API 1.37"),
    ] == refused(asked, at("1.36"))


def test_a_value_of_a_mark_is_gated_by_its_own_version() -> None:
    assert [("Kind=newer", "needs API 1.43")] == refused(Marked(kind="newer"), at("1.42"))
    assert [("Kinds", "needs API 1.40"), ("Kinds=new", "needs API 1.41")] == refused(Marked(kinds=["new"]), at("1.39"))


@pytest.mark.parametrize(
    ("release", "needs"),
    [((26, 0, 2), [("Late", "needs engine 26.1.0")]), ((26, 1, 0), []), ((26, 1, 5), []), ((27, 0, 1), []), (None, [])],
)
def test_where_the_version_proves_nothing_the_release_decides(
    release: Release | None, needs: list[tuple[str, str]]
) -> None:
    assert needs == refused(Marked(late="x"), at("1.45", release=release))


def test_below_the_version_the_version_is_named_and_not_the_release() -> None:
    assert [("Late", "needs API 1.45")] == refused(Marked(late="x"), at("1.44", release=(25, 0, 0)))


def test_lists_report_their_indexes() -> None:
    parts = [Part(), Part(inner=1), Part(free=1), Part(inner=2)]

    assert [("Parts[1].Inner", "needs API 1.42"), ("Parts[3].Inner", "needs API 1.42")] == refused(
        Marked(parts=parts), at("1.41")
    )


def test_marks_below_marks_count_as_well() -> None:
    assert [("Part", "needs API 1.41"), ("Part.Inner", "needs API 1.42")] == refused(
        Marked(part=Part(inner=1)), at("1.40")
    )
    assert [("Plain.Inner", "needs API 1.42")] == refused(Marked(plain=Part(inner=1)), at("1.41"))


def test_what_is_changed_after_construction_counts() -> None:
    model = Marked(parts=[Part()])
    assert model.parts is not None
    model.parts[0].inner = 5
    model.parts.append(Part(inner=6))

    assert ["Parts[0].Inner", "Parts[1].Inner"] == [path for path, _ in refused(model, at("1.41"))]


# --- service specs ---------------------------------------------------------------------------------------------------


def test_all_violations_of_a_spec_are_named_at_once_with_docker_s_paths() -> None:
    asked = spec(
        Mode={"ReplicatedJob": {}},
        RollbackConfig={},
        UpdateConfig={"FailureAction": "rollback", "Order": "start-first"},
        TaskTemplate={
            "ContainerSpec": {
                "Init": False,
                "CapabilityDrop": ["ALL"],
                "Mounts": [
                    {"Type": "bind", "Source": "/a", "Target": "/a"},
                    {"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"Options": [["noexec"]]}},
                    {"Type": "cluster", "Target": "/c"},
                ],
                "Configs": [{"Runtime": {}}],
                "Privileges": {"NoNewPrivileges": True},
            },
            "Resources": {"SwapBytes": 0, "Limits": {"Pids": 5}},
            "Networks": [{"Target": "n", "DriverOpts": {"a": "b"}}],
        },
        EndpointSpec={"Ports": [{"TargetPort": 80}, {"TargetPort": 90, "Protocol": "sctp", "PublishMode": "host"}]},
    )
    prefix = "TaskTemplate.ContainerSpec."

    assert {
        ("Mode.ReplicatedJob", "needs API 1.41"),
        ("RollbackConfig", "needs API 1.28"),
        ("UpdateConfig.FailureAction=rollback", "needs API 1.28"),
        ("UpdateConfig.Order", "needs API 1.29"),
        (prefix + "Init", "needs API 1.38"),
        (prefix + "CapabilityDrop", "needs API 1.41"),
        (prefix + "Mounts[1].TmpfsOptions", "needs API 1.25"),
        (prefix + "Mounts[1].TmpfsOptions.Options", "needs API 1.46"),
        (prefix + "Mounts[2].Type=cluster", "needs API 1.42"),
        (prefix + "Configs", "needs API 1.30"),
        (prefix + "Configs[0].Runtime", "needs API 1.40"),
        (prefix + "Privileges.NoNewPrivileges", "needs API 1.44"),
        ("TaskTemplate.Resources.SwapBytes", "needs API 1.52"),
        ("TaskTemplate.Resources.Limits.Pids", "needs API 1.41"),
        ("TaskTemplate.Networks", "needs API 1.25"),
        ("TaskTemplate.Networks[0].DriverOpts", "needs API 1.30"),
        ("EndpointSpec.Ports[1].Protocol=sctp", "needs API 1.37"),
        ("EndpointSpec.Ports[1].PublishMode", "needs API 1.25"),
    } == set(refused(asked, at("1.24")))
    assert [] == refused(asked, at("1.52"))


ECHOED = [
    container(Image="a", Isolation="default"),
    template(Runtime="container", ForceUpdate=0, ContainerSpec={"Image": "a"}),
    container(Image="a", Privileges={"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}),
    container(Image="a", DNSConfig={}, Configs=None, Secrets=None, Hosts=[], Healthcheck={}),
    container(
        Image="a", Sysctls={}, CapabilityAdd=[], Ulimits=None, OomScoreAdj=0, Init=None, TTY=False, ReadOnly=False
    ),
    container(
        Image="a", Mounts=[{"Type": "volume", "Target": "/a", "VolumeOptions": {"NoCopy": False, "Subpath": ""}}]
    ),
    template(Placement={"MaxReplicas": 0, "Platforms": [], "Preferences": None}, Resources={"Limits": {"Pids": 0}}),
    template(Networks=[], Resources={"Reservations": {"GenericResources": []}, "SwapBytes": None}),
    spec(UpdateConfig={"Parallelism": 1, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"}),
    spec(EndpointSpec={"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"}]}),
    spec(Mode={"Replicated": {"Replicas": 3}, "ReplicatedJob": None}),
]


@pytest.mark.parametrize("echoed", ECHOED, ids=lambda echoed: echoed.wire().decode()[:60])
def test_what_engines_echo_needs_nothing(echoed: ServiceSpec) -> None:
    assert [] == refused(echoed, at("1.24"))


def test_presence_alone_means_something_for_these_fields_and_no_others() -> None:
    assert {
        "RollbackConfig",
        "Mode.ReplicatedJob",
        "Mode.GlobalJob",
        "TaskTemplate.ContainerSpec.Init",
        "TaskTemplate.ContainerSpec.Configs[].Runtime",
        "TaskTemplate.Resources.SwapBytes",
        "TaskTemplate.Resources.MemorySwappiness",
    } == {path for path, mark in marks_below(ServiceSpec) if mark.presence}


# --- newer engines ---------------------------------------------------------------------------------------------------

BEYOND = f"1.{NEWEST.minor + 4}"
UNKNOWN = spec(Name="a", NewA=1, TaskTemplate={"NewB": {}, "ContainerSpec": {"Mounts": [{}, {"NewC": None}]}})


def test_unknown_keys_go_out_at_the_engine_s_own_version_where_that_is_newer() -> None:
    assert ApiVersion.parse(BEYOND) == check((UNKNOWN,), at(str(NEWEST), BEYOND))
    assert ApiVersion.parse(BEYOND) == check((None, ServiceUpdateQuery(version=1), UNKNOWN), at(str(NEWEST), BEYOND))


def test_known_keys_go_out_at_the_version_that_was_agreed_on() -> None:
    assert NEWEST == check((spec(Name="a", Mode={"GlobalJob": {}}),), at(str(NEWEST), BEYOND))


@pytest.mark.parametrize("maximum", [str(NEWEST), "1.41", None])
def test_unknown_keys_need_nothing_where_the_engine_is_not_newer(maximum: str | None) -> None:
    known = None if maximum is None else ApiVersion.parse(maximum)
    endpoint = Endpoint(known or NEWEST, known, pinned=maximum is None)

    assert endpoint.version == check((UNKNOWN,), endpoint)


def test_a_pinned_version_that_would_lose_unknown_keys_is_refused_and_they_are_named() -> None:
    needs = f"is newer than API {NEWEST}, the newest known here"

    assert [
        ("NewA", needs),
        ("TaskTemplate.NewB", needs),
        ("TaskTemplate.ContainerSpec.Mounts[1].NewC", needs),
    ] == refused(UNKNOWN, at(str(NEWEST), BEYOND, pinned=True))
    assert [] == refused(spec(Name="a"), at(str(NEWEST), BEYOND, pinned=True))


def test_a_pinned_older_version_names_unknown_keys_and_marks_together() -> None:
    asked = spec(NewA=1, Mode={"GlobalJob": {}})

    assert {"NewA", "Mode.GlobalJob"} == {path for path, _ in refused(asked, at("1.40", BEYOND, pinned=True))}


# --- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path", "since"),
    [
        (ServiceListQuery(status=True), "status", "1.41"),
        (ServiceListQuery(filters=ServiceFilters(mode=["global"])), "filters.mode", "1.29"),
        (ServiceListQuery(filters=ServiceFilters(runtime=["plugin"])), "filters.runtime", "1.30"),
        (ServiceInspectQuery(insert_defaults=True), "insertDefaults", "1.29"),
        (ServiceUpdateQuery(version=1, rollback="previous"), "rollback", "1.28"),
        (ServiceUpdateQuery(version=1, registry_auth_from="previous-spec"), "registryAuthFrom", "1.25"),
        (TaskListQuery(filters=TaskFilters(up_to_date=["true"])), "filters._up-to-date", "1.29"),
        (TaskListQuery(filters=TaskFilters(runtime=["container"])), "filters.runtime", "1.31"),
        (LogsQuery(stdout=True, stderr=True, details=True), "details", "1.30"),
    ],
)
def test_query_parameters_and_filters_are_gated_too(query: WireModel, path: str, since: str) -> None:
    needed = ApiVersion.parse(since)
    below = ApiVersion(needed.major, needed.minor - 1)

    assert [(path, f"needs API {since}")] == refused(query, at(str(below)))
    assert [] == refused(query, at(since))


@pytest.mark.parametrize("mode", ["replicated-job", "global-job"])
def test_the_job_modes_are_filters_since_jobs_exist(mode: str) -> None:
    query = ServiceListQuery(filters=ServiceFilters(mode=["global", mode]))

    assert [(f"filters.mode={mode}", "needs API 1.41")] == refused(query, at("1.40"))


@pytest.mark.parametrize(
    "query",
    [
        ServiceListQuery(status=False, filters=ServiceFilters(name=["a"], label=["b"], id=["c"])),
        TaskListQuery(filters=TaskFilters(service=["a"], node=["b"], desired_state=["running"])),
        ServiceUpdateQuery(version=1),
        ServiceInspectQuery(),
    ],
)
def test_old_queries_pass_everywhere(query: WireModel) -> None:
    assert [] == refused(query, at(str(OLDEST)))


def test_a_refusal_says_the_version_in_use() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        check((spec(Mode={"GlobalJob": {}}),), at("1.40"))

    assert ApiVersion(1, 40) == caught.value.version
    assert "API 1.40 lacks what was asked for: Mode.GlobalJob: needs API 1.41" == str(caught.value)


def test_query_and_body_are_refused_together() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        check((ServiceUpdateQuery(version=1, rollback="previous"), spec(Mode={"GlobalJob": {}}), None), at("1.24"))

    assert ("rollback", "Mode.GlobalJob") == tuple(problem.path for problem in caught.value.problems)


def test_an_endpoint_that_does_not_exist_yet_is_named_with_its_version() -> None:
    error = too_old("/tasks/x/logs", ApiVersion(1, 29), at("1.24"))

    assert ((Problem("/tasks/x/logs", "needs API 1.29"),), ApiVersion(1, 24)) == (error.problems, error.version)
