"""Merges a partial spec into a whole one, has a function change one, and says where two specs differ.

Pure. Works on any wire model; knows no one of them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

from .models._wire import WireModel

M = TypeVar("M", bound=WireModel)


def merge(live: M, patch: M) -> M:
    """A copy of `live` with what is set in `patch`.

    What is not set in the patch stays; None clears; models merge field by field, except those that say they are
    replaced whole (a mode); lists and mappings are replaced whole. Neither argument is touched.
    """
    merged = live.model_copy(deep=True)
    _apply(merged, patch)
    return merged


def _apply(target: WireModel, patch: WireModel) -> None:
    fields = type(patch).__pydantic_fields__
    for name in patch.model_fields_set:
        if name not in fields:
            _put_unknown(target, name, (patch.__pydantic_extra__ or {}).get(name))
            continue
        new: Any = getattr(patch, name)
        old: Any = getattr(target, name, None)
        if isinstance(new, WireModel) and type(old) is type(new) and not getattr(new, "replaced_whole", False):
            _apply(old, new)
        elif new is None:
            clear(target, name)
        else:
            setattr(target, name, deepcopy(new))


def _put_unknown(model: WireModel, key: str, value: object) -> None:
    """Set a key no field has, past the refusal of typos: it was read from JSON, which may hold any."""
    if value is None or model.__pydantic_extra__ is None:
        clear(model, key)
    else:
        model.__pydantic_extra__[key] = deepcopy(value)
        model.model_fields_set.add(key)


def clear(model: WireModel, name: str) -> None:
    """Take a field or an unknown key out of a model, as if it had never been set."""
    if name in type(model).__pydantic_fields__:
        vars(model)[name] = None
    else:
        (model.__pydantic_extra__ or {}).pop(name, None)
    model.model_fields_set.discard(name)


def changed(live: M, change: Callable[[M], M | None]) -> M:
    """What the user's function makes of a copy.

    Raises:
        TypeError: it returned something else than such a spec, or None.
    """
    spec = live.model_copy(deep=True)
    returned: object = cast("object", change(spec))  # whatever it says it returns
    if returned is None:
        return spec
    if isinstance(returned, type(live)):
        return returned.model_copy(deep=True)
    if inspect.iscoroutine(returned):
        returned.close()  # it will not be awaited, and would warn about that
    wanted = type(live).__name__
    raise TypeError(f"the change must return a {wanted} or None, not {type(returned).__name__}; it is not awaited")


class Change(NamedTuple):
    """One place where two specs differ."""

    path: str
    """Where, in Docker's keys: `TaskTemplate.ContainerSpec.Image`."""
    before: object
    after: object

    def __repr__(self) -> str:
        return f"Change({self.path!r})"  # the values may be secrets

    def __str__(self) -> str:
        secret = not _MAY_BE_SECRET.isdisjoint(re.split(r"[.\[]", self.path))
        if secret or not isinstance(self.before, _SHOWN) or not isinstance(self.after, _SHOWN):
            return f"{self.path}: {'added' if self.before is None else 'removed' if self.after is None else 'changed'}"
        return f"{self.path}: {self.before!r} -> {self.after!r}"


_MAY_BE_SECRET: Final = frozenset(("Env", "Options", "DriverOpts", "Data"))
_SHOWN: Final = (str, int, float, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What a change of a service would change; false where that is nothing."""

    changes: tuple[Change, ...]
    """Every place in the spec that would be another."""
    replaces_tasks: bool
    """Whether the manager would replace all tasks; those of a job run again."""

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What it took to make a service what was asked for."""

    id: str
    """Id of the service."""
    outcome: Literal["created", "updated", "unchanged"]
    """What was done."""
    changes: tuple[Change, ...] = ()
    """Every place in the spec that was not as asked for, where it was updated."""
    warnings: tuple[str, ...] = ()
    """Remarks of the engine, or of this package."""


def diff(before: WireModel | None, after: WireModel | None) -> tuple[Change, ...]:
    """Every place where what two models say differs, down to the leaves. Absent, null and None are the same."""
    return tuple(differences(_plain(before), _plain(after)))


def _plain(value: object) -> object:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(value, WireModel) else value


def differences(before: object, after: object, path: str = "") -> Iterator[Change]:
    """Every place where two JSON values differ, down to the leaves. Absent and None are the same."""
    if before == after:
        return
    if isinstance(before, dict | None) and isinstance(after, dict | None):
        old, new = cast("dict[str, object]", before or {}), cast("dict[str, object]", after or {})
        found = [
            change
            for key in old | new
            for change in differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        ]
        if not found and (before is None or after is None):
            found = [Change(path, before, after)]  # that there is an object, though it says nothing, is a difference
        yield from found
    elif isinstance(before, list | None) and isinstance(after, list | None):
        olds, news = cast("list[object]", before or []), cast("list[object]", after or [])
        for index in range(max(len(olds), len(news))):
            yield from differences(
                olds[index] if index < len(olds) else None,
                news[index] if index < len(news) else None,
                f"{path}[{index}]",
            )
    else:
        yield Change(path, before, after)
