"""Walks the fields of a wire model, for the tests that compare models with what is known of Docker's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from swarmkit.models._wire import WireModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

DATA = Path(__file__).parent / "data"


def data(name: str) -> Any:
    """What a file of facts about Docker's API says."""
    return json.loads((DATA / name).read_text())


def fields_below(model: type[WireModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field below a model with its wire path, `[]` behind lists."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        yield path, field
        for suffix, child in models_in(field.annotation):
            yield from fields_below(child, f"{path}{suffix}.")


def models_in(annotation: Any, suffix: str = "") -> Iterator[tuple[str, type[WireModel]]]:
    """The models a value of this type may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield suffix, annotation
    inner = suffix + "[]" if get_origin(annotation) is list else suffix
    for argument in get_args(annotation):
        yield from models_in(argument, inner)


def models_below(model: type[WireModel]) -> set[type[WireModel]]:
    """The model and every model below it."""
    found = {model}
    for _, field in fields_below(model):
        found.update(child for _, child in models_in(field.annotation))
    return found
