"""The base of every wire model, and the scalars whose Python type is not their JSON type.

Owns: how a model reads, refuses typos, and writes itself; durations, timestamps, base64 bytes.
Must not know: any Docker noun.
"""

# No `from __future__ import annotations` here or in the models: pydantic reads the annotations at run time, faster so,
# and resolves those of `__pydantic_extra__` in the module of the subclass.

import ast
import inspect
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from itertools import pairwise
from operator import methodcaller
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticSerializationError
from pydantic_core import core_schema as cs

from ..versions import Since

_ACRONYMS: Final = {"ca": "CA", "cas": "CAs", "cpus": "CPUs", "csi": "CSI", "dns": "DNS", "gid": "GID", "id": "ID",
                    "ip": "IP", "ipam": "IPAM", "ips": "IPs", "ipv4": "IPv4", "ipv6": "IPv6", "os": "OS", "pid": "PID",
                    "tls": "TLS", "tty": "TTY", "uid": "UID", "url": "URL", "vip": "VIP"}  # fmt: skip


def pascal(name: str) -> str:
    """Docker's key for a Python field name: `oom_score_adj` is `OomScoreAdj`, `nano_cpus` is `NanoCPUs`."""
    return "".join(_ACRONYMS.get(word) or word.capitalize() for word in name.split("_"))


_WITH_DEFAULTS: Final = "with defaults"


class _ExtraKey:
    """A key no field has. JSON may hold any (engines grow); Python code may add wire keys, never a misspelt field."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cs.json_or_python_schema(
            json_schema=cs.str_schema(),
            python_schema=cs.custom_error_schema(
                cs.str_schema(pattern="^[^a-z]"),
                custom_error_type="unknown_field",
                custom_error_message="No such field, or given twice (as the field and as its wire key)",
            ),
        )


class WireModel(BaseModel):
    """A JSON object of the Engine API: snake_case in Python, Docker's own keys on the wire, both accepted on input.

    Keys this package does not know are kept and sent back. Only what was set is written, also where it equals a
    default. Values are checked for their type and nothing else. Fields that a subclass adds are not written where a
    field of another model holds it as its base.
    """

    model_config = ConfigDict(
        alias_generator=pascal,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        validate_assignment=True,
        extra="allow",
        hide_input_in_errors=True,
        allow_inf_nan=False,  # JSON has no word for them: they would go out as null, which is the engine's default
        ser_json_inf_nan="constants",  # under unknown keys they can be: written so that `_json` can tell
        # Deferred, but not `is True`: what others build around a model, as FastAPI around a body, is built at once.
        defer_build=cast("bool", 1),
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:  # type checkers would take it for a field
        __pydantic_extra__: dict[Annotated[str, _ExtraKey()], Any]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # `use_attribute_docstrings` reads the sources of all models at import, which takes longer than all the rest.
        described = handler(schema)
        fields = handler.resolve_ref_schema(described).get("properties", {})
        for name, field in cls.__pydantic_fields__.items():
            for key in {name, field.alias} & fields.keys():
                fields[key].pop("title", None)  # the key once more, in another case
                if text := _describe(cls, name):
                    fields[key]["description"] = text
        return described

    def wire(self) -> bytes:
        """The JSON that goes to the engine: what was set, under Docker's keys.

        Raises:
            ValueError: it holds what JSON cannot say.
        """
        return self._json(exclude_unset=True)

    def _json(self, *, exclude_unset: bool = False, exclude_none: bool = False) -> bytes:
        reason = "text with half of a surrogate pair, or a value put in past validation, as by model_copy(update=...)"
        with suppress(PydanticSerializationError):
            content = self.__pydantic_serializer__.to_json(
                self, by_alias=True, exclude_unset=exclude_unset, exclude_none=exclude_none, warnings="error"
            )
            if not (b"NaN" in content or b"Infinity" in content) or _is_json(content):
                return content
            reason = "a number that is none, or has no end"
        # Raised out here, so that the error does not carry pydantic's along, which shows the value.
        raise ValueError(f"the {type(self).__name__} holds what JSON cannot say: {reason}")

    @classmethod
    def from_wire(cls, data: bytes | str) -> Self:
        """The model that this JSON describes.

        Raises:
            pydantic.ValidationError: the JSON is broken or a value has the wrong type.
        """
        return cls.model_validate_json(data)

    def mark_with_defaults(self) -> None:
        """Note, here and in every part, that an engine filled it up with its defaults: they must not be sent back.

        What is marked equals nothing that is not.
        """
        # Not a pydantic private attribute: those cost a Python call for each model that is ever read.
        object.__setattr__(self, "__pydantic_private__", {_WITH_DEFAULTS: True})
        for value in self.__dict__.values():
            for part in cast("list[object]", value) if isinstance(value, list) else (value,):
                if isinstance(part, WireModel):
                    part.mark_with_defaults()

    @property
    def has_defaults(self) -> bool:
        """An engine filled it up with its defaults: it is for reading."""
        return bool(self.__pydantic_private__ and self.__pydantic_private__.get(_WITH_DEFAULTS))

    def __setattr__(self, name: str, value: Any) -> None:
        # pydantic would take an unknown name as an extra key: a typo would be sent and dropped by the engine.
        field = type(self).__pydantic_fields__.get(name)
        if field is None and name[:1] != "_":
            refuse_unknown(type(self), name, self.__pydantic_extra__ or {})
        if field is not None and isinstance(value, str) and TEXT in field.metadata:
            value = Text(value)
        super().__setattr__(name, value)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        fields = type(self).__pydantic_fields__
        for name, value in self.__dict__.items():
            if value is not None and (field := fields[name]).repr:
                yield name, _Octal(value) if OCTAL in field.metadata else value
        # The values of keys we do not know may be secrets.
        for key in self.__pydantic_extra__ or ():
            yield key, ...


class LowerCaseModel(WireModel):
    """A JSON object whose keys are lower case on the wire: an unknown one cannot be told from a misspelt field."""

    model_config = ConfigDict(alias_generator=None)

    if not TYPE_CHECKING:  # type checkers would take it for a field
        __pydantic_extra__: dict[Annotated[str, "any"], Any]  # pydantic 2.11 passes over a plain `str`


def refuse_unknown(model: type[WireModel], name: str, extra: Mapping[str, Any]) -> None:
    """Raise AttributeError for a name that is neither a field nor a plain unknown wire key of the model."""
    if name in extra or isinstance(getattr(model, name, None), property):
        return
    keys = wire_keys(model)
    if (field := keys.get(name.lower())) is not None:
        raise AttributeError(f"{model.__name__}.{name}: the field is called {field!r}", name=name, obj=model)
    if name[:1].islower():
        close = nearest(model, name)
        hint = f"; did you mean {close!r}?" if close else ""
        raise AttributeError(f"{model.__name__} has no field {name!r}{hint}", name=name, obj=model)


def nearest(model: type[WireModel], name: str) -> str | None:
    """The field whose wire key is most like a name or key that is none, if one is much like it."""
    keys = wire_keys(model)
    import difflib  # for who has mistyped, and nobody else

    close = difflib.get_close_matches(name.replace("_", "").lower(), keys, n=1)
    return keys[close[0]] if close else None


@cache
def _field_docstrings(module: str) -> dict[tuple[str, str], str]:
    """The line below each field of each class of a module, as far as its source is at hand."""
    try:
        classes = ast.parse(inspect.getsource(sys.modules[module])).body
    except (KeyError, OSError, SyntaxError, TypeError):
        return {}
    return {
        (owner.name, field.target.id): inspect.cleandoc(line.value.value)
        for owner in classes
        if isinstance(owner, ast.ClassDef)
        for field, line in pairwise(owner.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
    }


def _describe(model: type[WireModel], name: str) -> str:
    """What a field is, and which API version it needs."""
    field = model.__pydantic_fields__[name]
    lines = (_field_docstrings(owner.__module__).get((owner.__name__, name)) for owner in model.__mro__)
    needs = ", ".join(mark.describe() for mark in field.metadata if isinstance(mark, Since))
    return " ".join(filter(None, [next(filter(None, lines), None), needs and f"Needs {needs}."]))


@cache
def wire_keys(model: type[WireModel]) -> Mapping[str, str]:
    """The field of each wire key of a model, by the key in lower case: Go matches keys without regard to case."""
    model.model_rebuild()  # before it is built, pydantic 2.11 knows no alias
    return {(field.alias or name).lower(): name for name, field in model.__pydantic_fields__.items()}


def _is_json(content: bytes) -> bool:
    """Whether it holds no number that JSON has no word for (Python's reader takes some)."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(content, parse_constant=refuse)
    except ValueError:
        return False
    return True


class Unset(Enum):
    """The type of UNSET, which says: not given. None is a value, and means something else."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given: what is live stays as it is."""


Int = Annotated[int, Strict()]
"""A whole number; True, 3.0 and "3" are not."""
Float = Annotated[float, Strict()]
"""A number; True and "0.5" are not."""
Bool = Annotated[bool, Strict()]
"""True or False; 1 and "yes" are not."""

OCTAL: Final = "octal"
"""Put on the outer `Annotated` of a field that holds permission bits: a repr shows 0o444 and not 292."""

TEXT: Final = "text"
"""Put on the outer `Annotated` of a Base64 field whose content is mostly text: a string assigned to it is that text."""


class _Octal(int):
    def __repr__(self) -> str:
        return oct(self)


# --- durations ---------------------------------------------------------------------------------------------------

_LEAST_PLAUSIBLE_NS: Final = 1_000_000


class _Nanoseconds(timedelta):
    """A duration that is no whole number of microseconds, as an engine may hold one: it must go back unchanged."""

    ns: int

    @classmethod
    def of(cls, ns: int) -> timedelta:
        whole, rest = divmod(ns, 1000)
        if not rest:
            return timedelta(microseconds=whole)
        duration = cls(microseconds=whole)
        duration.ns = ns
        return duration

    def __eq__(self, other: object) -> bool:
        return nanoseconds(other) == self.ns if isinstance(other, timedelta) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ns)

    def __bool__(self) -> bool:
        return self.ns != 0  # below a microsecond a timedelta would take it for nothing

    def __reduce__(self) -> tuple[Any, ...]:
        return _Nanoseconds.of, (self.ns,)

    def __copy__(self) -> timedelta:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> timedelta:
        return self


def nanoseconds(duration: timedelta) -> int:
    """The duration as Docker counts it."""
    if isinstance(duration, _Nanoseconds):
        return duration.ns
    return (duration.days * 86_400 + duration.seconds) * 1_000_000_000 + duration.microseconds * 1_000


def _duration_from_python(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 < abs(value) < _LEAST_PLAUSIBLE_NS:
            raise PydanticCustomError(
                "bare_duration", "A bare number would be nanoseconds: give a timedelta, such as timedelta(seconds=5)"
            )
        try:
            return _Nanoseconds.of(value)
        except OverflowError:
            raise PydanticCustomError("duration_range", "More nanoseconds than a duration can have") from None
    raise PydanticCustomError("duration_type", "Input should be a timedelta, or nanoseconds as a whole number")


class _DurationSchema:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Lists decode several of these a row. Built of C functions that do no arithmetic on more than 30 bits beyond
        # 2**30 µs: a Python frame, or a long multiplication, gives the garbage collector an occasion in mid-list.
        whole_microseconds = cs.chain_schema(
            [
                cs.int_schema(strict=True, multiple_of=1000),
                cs.no_info_plain_validator_function(methodcaller("__floordiv__", 1000)),
                cs.no_info_plain_validator_function(cast("Any", partial(timedelta, 0, 0))),
            ]
        )
        exact = cs.no_info_after_validator_function(_Nanoseconds.of, cs.int_schema(strict=True))
        return cs.json_or_python_schema(
            json_schema=cs.custom_error_schema(
                cs.union_schema([whole_microseconds, exact], mode="left_to_right"),
                custom_error_type="duration_type",
                custom_error_message="Input should be nanoseconds as a whole number",
            ),
            python_schema=cs.no_info_plain_validator_function(_duration_from_python),
            serialization=cs.plain_serializer_function_ser_schema(
                nanoseconds, return_schema=cs.int_schema(), when_used="json-unless-none"
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "integer", "format": "int64", "description": "nanoseconds"}


Duration = Annotated[timedelta, _DurationSchema()]
"""A timedelta in Python, nanoseconds on the wire, exact both ways."""


# --- timestamps --------------------------------------------------------------------------------------------------

_AFTER_ZERO: Final = datetime(1, 1, 3, tzinfo=UTC)  # in every time zone


def _zero_time(value: object) -> None:
    text = value.isoformat() if isinstance(value, datetime) and value.tzinfo is not None else value
    if not isinstance(text, str) or not text.startswith("0001-01-01T"):
        raise ValueError("not the zero time")


class _TimestampSchema:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Only the zero time, Go's way to say "never", reaches the Python function: see _DurationSchema.
        return cs.custom_error_schema(
            cs.union_schema(
                [
                    cs.none_schema(),
                    cs.datetime_schema(ge=_AFTER_ZERO, tz_constraint="aware"),
                    cs.no_info_plain_validator_function(_zero_time),
                    cs.datetime_schema(tz_constraint="aware"),
                ],
                mode="left_to_right",
            ),
            custom_error_type="timestamp",
            custom_error_message="Input should be an RFC 3339 timestamp",
            serialization=cs.plain_serializer_function_ser_schema(
                datetime.isoformat, return_schema=cs.str_schema(), when_used="json-unless-none"
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}


Timestamp = Annotated[datetime | None, _TimestampSchema()]
"""An aware datetime to the microsecond; None for Docker's zero time, its way to say "never"."""


# --- bytes -------------------------------------------------------------------------------------------------------


class Text(str):
    """The content itself, where a plain string would be the wire's base64."""

    __slots__ = ()


def as_text(content: str | bytes | Unset | None) -> bytes | Unset | None:
    """What Python code gives for bytes: a string is the text itself and not the wire's base64."""
    return cast("Any", Text(content)) if isinstance(content, str) else content  # the field makes bytes of it


def _bytes_from_python(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("base64_type", "Input should be bytes")
    with suppress(ValueError):
        return value.encode() if isinstance(value, Text) else b64decode(value, validate=True)
    if isinstance(value, Text):
        raise PydanticCustomError("text", "Text with half of a surrogate pair has no form in UTF-8")
    raise PydanticCustomError("base64", "A string here is the wire's base64; give plain content as bytes")


class _Base64Schema:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Not pydantic's own base64, which reads and writes the URL alphabet: the engine refuses that.
        return cs.no_info_plain_validator_function(
            _bytes_from_python,
            serialization=cs.plain_serializer_function_ser_schema(
                lambda data: b64encode(data).decode(), return_schema=cs.str_schema(), when_used="json-unless-none"
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "byte"}


Base64 = Annotated[bytes, _Base64Schema()]
"""Bytes in Python, standard base64 on the wire. A string is read as that base64; see TEXT for where it is not."""


# --- sizes and CPUs ----------------------------------------------------------------------------------------------

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtp])i?b?|b)?", re.IGNORECASE | re.ASCII)
_EXPONENT: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_bytes(size: str) -> int:
    """The number of bytes in a size such as `512MiB`, `512m` or `1.5g`. Units are powers of 1024, as in Docker.

    Raises:
        ValueError: the text is not a size, or one below a byte, which would come to 0: no limit.
    """
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise ValueError(f"not a size (expected a form like '512MiB'): {size[:40]!r}")
    exact = Decimal(match[1]) * 1024 ** _EXPONENT[(match[2] or "").lower()]
    if 0 < exact < 1:
        raise ValueError(f"less than a byte: {size[:40]!r}")
    return int(exact)


def cpus(count: float | str) -> int:
    """A number of CPUs, such as 0.5, as the billionths of a CPU that `nano_cpus` takes.

    Raises:
        ValueError: not a number from 0, or one below a billionth, which would come to 0: no limit.
    """
    try:
        exact = Decimal(str(count)) * 1_000_000_000
        billionths = int(exact)
    except (ArithmeticError, ValueError):
        raise ValueError(f"not a number of CPUs: {str(count)[:40]!r}") from None
    if exact < 0 or (billionths == 0 and exact):
        raise ValueError(f"not a number of CPUs that can be had: {str(count)[:40]!r}")
    return billionths
