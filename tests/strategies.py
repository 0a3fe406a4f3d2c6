"""Random JSON objects as engines could answer them, derived from the fields of a model."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from hypothesis import strategies as st

from swarmkit.models._wire import WireModel

INT64 = 2**63
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
TIMESTAMPS = st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC)).map(datetime.isoformat)
UNKNOWN_KEYS = st.from_regex(r"\AX[A-Za-z]{0,4}\Z")
UNKNOWN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INT64, INT64) | TEXT,
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


def wire_values(annotation: Any) -> st.SearchStrategy[Any]:
    """What an engine may say where a field of this type stands."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        return wire_objects(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return wire_values(arguments[0])
    if get_origin(annotation) is list:
        return st.lists(wire_values(arguments[0]), max_size=2)
    if get_origin(annotation) is dict:
        return st.dictionaries(TEXT, wire_values(arguments[1]), max_size=2)
    if get_origin(annotation) is Literal:
        return st.sampled_from(arguments)
    if arguments:
        return st.one_of([wire_values(argument) for argument in arguments])
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        str: TEXT,
        int: st.integers(-INT64, 2**64 - 1),
        bool: st.booleans(),
        float: st.floats(0, 1),
        timedelta: st.integers(-INT64, INT64 - 1),
        datetime: TIMESTAMPS,
        bytes: st.binary(max_size=6).map(lambda data: b64encode(data).decode()),
    }
    return simple[annotation]


@cache
def wire_objects(model: type[WireModel]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with what the model needs, some of its other fields, and perhaps a key it does not know."""
    model.model_rebuild()  # before it is built, pydantic 2.11 knows no alias
    needed = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
    fields = {field.alias or name: wire_values(field.annotation) for name, field in model.model_fields.items()}
    known = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True) if fields else st.just(list[str]())
    chosen = known.flatmap(lambda keys: st.fixed_dictionaries({key: fields[key] for key in {*keys, *needed}}))
    unknown = st.dictionaries(UNKNOWN_KEYS, UNKNOWN_VALUES, max_size=1)
    return st.tuples(chosen, unknown).map(lambda both: both[0] | both[1])
