"""Filters and queries: any natural value is taken, a typo is refused, and the caller's mapping stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swarmkit.models.filters import ServiceFilters, ServiceListQuery, ServiceUpdateQuery, TaskFilters


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("web", ["web"]),
        (["web", "db"], ["web", "db"]),
        (("web", "db"), ["web", "db"]),
        ({"web"}, ["web"]),
        (frozenset(["web"]), ["web"]),
        (True, ["true"]),
        (False, ["false"]),
        (7, ["7"]),
        ([True, 7, "x"], ["true", "7", "x"]),
    ],
    ids=repr,
)
def test_a_filter_takes_one_value_or_several(value: Any, texts: list[str]) -> None:
    filters = ServiceFilters.of({"name": value})

    assert filters is not None
    assert texts == filters.name


def test_filters_have_docker_s_keys() -> None:
    filters = TaskFilters.of({"desired-state": "running", "_up-to-date": True})

    assert filters is not None
    assert b'{"desired-state":["running"],"_up-to-date":["true"]}' == filters.wire()
    assert filters == TaskFilters.of({"desired_state": "running", "up_to_date": True})


@pytest.mark.parametrize("wrong", [{"nmae": "x"}, {"Name": "x"}, {"name": {"a": True}}, {"name": 1.5}])
def test_a_filter_that_is_none_is_refused_and_never_ignored(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceFilters.of(wrong)


def test_a_typo_on_assignment_of_a_filter_is_refused_with_the_right_name() -> None:
    filters: Any = ServiceFilters()
    with pytest.raises(AttributeError, match="did you mean 'name'"):
        filters.nmae = ["x"]


def test_filters_that_are_ready_and_none_at_all_pass_through() -> None:
    ready = ServiceFilters(name=["web"])

    assert ready is ServiceFilters.of(ready)
    assert ServiceFilters.of(None) is None


def test_the_caller_s_mapping_is_never_touched() -> None:
    names = ["web"]
    mapping = {"name": names, "label": "a=b"}
    filters = ServiceFilters.of(mapping)
    assert filters is not None
    assert filters.name is not None
    filters.name.append("db")

    assert {"name": ["web"], "label": "a=b"} == mapping
    assert ["web"] == names


@pytest.mark.parametrize(
    "wrong",
    [{"status": "yes"}, {"statsu": True}, {"filters": {"nmae": ["x"]}}],
)
def test_a_query_refuses_what_engines_would_ignore(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceListQuery(**wrong)


@pytest.mark.parametrize(
    "wrong", [{}, {"version": "7"}, {"version": 7, "registry_auth_from": "bogus"}, {"version": True}]
)
def test_an_update_s_query_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceUpdateQuery(**wrong)
