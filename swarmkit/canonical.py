"""Says when two service specs mean the same, though they are not written the same way.

Owns: which values say nothing, the engines' defaults, where order does not count, what a pinned digest stands for.
Must not know: who asks, or what a difference is good for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json import dumps
from typing import Any, Final, cast

from . import patch
from .errors import InvalidReference
from .images import ImageReference
from .models._wire import WireModel
from .models.service import ServiceMode, ServiceSpec
from .models.task import Placement
from .versions import Since

_SECOND: Final = 10**9
_ROLLOUT: Final = {"Parallelism": 1, "Delay": 0, "Monitor": 5 * _SECOND, "FailureAction": "pause"}
_RESTART: Final = {"Condition": "any", "Delay": 5 * _SECOND}
_STOP_GRACE_PERIOD: Final = 10 * _SECOND
_PORT: Final = {"Protocol": "tcp", "PublishMode": "ingress"}
_LATEST: Final = "latest"
_OF_TASKS: Final = ("TaskTemplate", "EndpointSpec")

_WHERE_ZERO_COUNTS: Final = frozenset(
    ("Replicas", "MaxConcurrent", "TotalCompletions", "Parallelism", "Delay", "StopGracePeriod")
)
_IN_ANY_ORDER: Final = frozenset(
    ("Env", "Mounts", "Secrets", "Configs", "Networks", "Aliases", "Ports", "Constraints", "Platforms", "Groups",
     "Ulimits", "CapabilityAdd", "CapabilityDrop", "GenericResources")
)  # fmt: skip


def changes(live: ServiceSpec, wanted: ServiceSpec) -> tuple[patch.Change, ...]:
    """Every place where two specs do not mean the same, in Docker's keys; none where an update would do nothing.

    A default that is said and one that is left out are the same, and so are two orders where order does not count.
    """
    return tuple(patch.differences(_meaning(live), _meaning(wanted)))


def replaces_tasks(changes: Iterable[patch.Change], *, is_job: bool) -> bool:
    """Whether a manager replaces all tasks for these changes; a job it runs again, for any."""
    paths = [change.path for change in changes]
    if is_job:
        return bool(paths)
    # With another placement a task stays where its node still meets the constraints.
    return any(path.startswith(_OF_TASKS) and not path.startswith("TaskTemplate.Placement") for path in paths)


def keep_what_is_settled(wanted: ServiceSpec, live: ServiceSpec) -> None:
    """Put into a whole new spec what it leaves open and the live one has: a pinned digest, the force-update counter.

    The digest of the same image and tag only, and with it the platforms that were found with it.
    """
    template, before = wanted.task_template, live.task_template
    if template is None or before is None:
        return
    if template.force_update is None and before.force_update:
        template.force_update = before.force_update
    if wanted.image == live.image or not _stands_for(live.image, wanted.image):
        return
    wanted.container.image = live.image
    if before.placement is not None and before.placement.platforms:
        placement = template.placement = template.placement or Placement()
        if placement.platforms is None:
            placement.platforms = list(before.placement.platforms)


def _stands_for(live: str, wanted: str) -> bool:
    """Whether the live image is what is wanted: the same, or the digest that its tag was pinned to."""
    try:
        one, other = ImageReference.parse(live), ImageReference.parse(wanted)
    except InvalidReference:
        return False
    if (one.domain, one.path) != (other.domain, other.path):
        return False
    if other.digest is not None:
        return one.digest == other.digest
    return (one.tag or _LATEST) == (other.tag or _LATEST)


# --- what a spec means -----------------------------------------------------------------------------------------------


def _meaning(spec: ServiceSpec) -> dict[str, Any]:
    """All that a spec asks for, in Docker's keys, said or left to the engines' defaults."""
    meant = _said(spec, spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    meant["Mode"] = _mode(meant.get("Mode", {}))
    template = meant.setdefault("TaskTemplate", {})
    template["RestartPolicy"] = {**_RESTART, **template.get("RestartPolicy", {})}
    if (container := template.get("ContainerSpec")) is not None:
        template["ContainerSpec"] = {"StopGracePeriod": _STOP_GRACE_PERIOD, **container}
    for key, config in (("UpdateConfig", spec.update_config), ("RollbackConfig", spec.rollback_config)):
        # Of a config that is there, what it does not say is a zero where it can be.
        meant[key] = {**_ROLLOUT, "Parallelism": 1 if config is None else 0, **meant.get(key, {})}
    endpoint = meant.get("EndpointSpec", {})
    ports = [{**_PORT, **port} for port in endpoint.get("Ports", ())]
    meant["EndpointSpec"] = {"Mode": "vip", **endpoint, "Ports": ports}
    return cast("dict[str, Any]", _in_one_order("", meant))


def _mode(mode: dict[str, Any]) -> dict[str, Any]:
    if (job := mode.get("ReplicatedJob")) is not None:
        at_once = job.get("MaxConcurrent", 1)
        return {"ReplicatedJob": {"MaxConcurrent": at_once, "TotalCompletions": at_once, **job}}
    if not mode or "Replicated" in mode:
        return {"Replicated": {"Replicas": 1, **mode.get("Replicated", {})}}
    return mode


def _said(model: WireModel, dumped: Mapping[str, Any]) -> dict[str, Any]:
    """What a model says, in Docker's keys, without what is the same as saying nothing."""
    said: dict[str, Any] = {}
    for name, field in type(model).__pydantic_fields__.items():
        key, value = field.alias or name, getattr(model, name)
        if key not in dumped:
            continue
        plain = _plain(value, dumped[key])
        marks = [mark for mark in field.metadata if isinstance(mark, Since)]
        there_is_enough = isinstance(model, ServiceMode) or any(mark.presence for mark in marks)
        if (plain or there_is_enough or key in _WHERE_ZERO_COUNTS) and all(plain != mark.idle for mark in marks):
            said[key] = plain
    unknown = {key: value for key, value in dumped.items() if key in (model.__pydantic_extra__ or {}) and value}
    return said | unknown


def _plain(value: object, dumped: Any) -> Any:
    if isinstance(value, WireModel):
        return _said(value, dumped)
    if isinstance(value, list):
        return [_plain(one, plain) for one, plain in zip(cast("list[object]", value), dumped, strict=True)]
    return dumped


def _in_one_order(key: str, value: object) -> object:
    """The same with every list whose order says nothing sorted: a tuple, which differs as a whole or not at all."""
    if isinstance(value, dict):
        return {name: _in_one_order(name, one) for name, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        items = [_in_one_order("", one) for one in cast("list[object]", value)]
        return tuple(sorted(items, key=lambda one: dumps(one, sort_keys=True))) if key in _IN_ANY_ORDER else items
    return value
