"""One request on its way through the embedded engine, and what all its routes read off it in the same way.

Owns: requests and answers, flags, versions, filters, and how an object is found. Must not know: any one route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, unquote

from ..versions import ApiVersion
from ._decode import Reader
from ._store import Entity, Refusal
from ._streams import Stream

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came: the path with its version, the query string as sent, header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One answer; its body is whole, or comes piece by piece."""

    status: int
    headers: dict[str, str]
    body: bytes | Stream


def answer(status: int, body: object) -> Response:
    """An answer in JSON."""
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return Response(status, {"Content-Type": "application/json"}, content)


def nothing(status: int = 200) -> Response:
    """An answer without a body."""
    return Response(status, {}, b"")


def nowhere() -> Refusal:
    """The engine has no such route."""
    return Refusal(404, "page not found")


@dataclass(slots=True)
class Call:
    """A request to an engine of some version, taken apart."""

    engine: ApiVersion
    request: Request
    version: ApiVersion = field(init=False)
    """The API version of the request: the engine's own where it names none."""
    parts: list[str] = field(init=False)
    """Its path without the version, cut at the slashes."""
    query: dict[str, str] = field(init=False)
    reader: Reader = field(init=False)
    """Reads its body."""

    def __post_init__(self) -> None:
        self.version = self.engine
        self.parts = [unquote(part) for part in self.request.path.split("/")[1:]]
        if self.parts and re.fullmatch(r"v\d+\.\d+(?:\.\d+)?", self.parts[0]):
            self.version = ApiVersion(*map(int, self.parts.pop(0)[1:].split(".")[:2]))
        found = parse_qs(self.request.query, keep_blank_values=True)
        self.query = {key: values[0] for key, values in found.items()}
        self.reader = Reader(self.engine, self.version)

    @property
    def method(self) -> str:
        """Its method."""
        return self.request.method

    def flag(self, name: str) -> bool:
        """A flag as engines read most of them: everything but these is a yes."""
        return self.query.get(name, "").strip().lower() not in ("", "0", "no", "false", "none")

    def boolean(self, name: str, message: str = "invalid value '{}' for {}: {}") -> bool:
        """A flag where engines are strict."""
        text = self.query.get(name, "")
        if text not in ("", *_TRUE, *_FALSE):
            parsing = f"strconv.ParseBool: parsing {json.dumps(text)}: invalid syntax"
            raise Refusal(400, message.format(text, name, parsing))
        return text in _TRUE

    def version_of(self, kind: str) -> int:
        """The version index that a change is based on."""
        text = self.query.get("version", "")
        digits = re.fullmatch(r"\d+", text) is not None
        if digits and int(text) < 1 << 64:
            return int(text)
        why = "value out of range" if digits else "invalid syntax"
        raise Refusal(400, f"invalid {kind} version '{text}': strconv.ParseUint: parsing {json.dumps(text)}: {why}")

    def moment(self, name: str, refusal: Refusal, newer: str) -> int | None:
        """Nanoseconds since 1970, from seconds with a fraction; the refusal's words depend on the engine."""
        text = self.query.get(name, "")
        seconds, _, fraction = text.partition(".")
        if text and not re.fullmatch(r"\d+(\.\d+)?", text):
            said = f"strconv.ParseInt: parsing {json.dumps(seconds)}: invalid syntax"
            if self.engine >= (1, 54):
                raise Refusal(400, f"{newer}: {said}")
            raise Refusal(refusal.status, refusal.message + said)
        return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0) if text else None

    def filters(self, *known: str) -> dict[str, list[str]]:
        """The filters of a list, and a refusal of those that it does not have; with none named, all pass."""
        found = _parse_filters(self.query.get("filters", ""))
        if found is None:
            raise Refusal(400, "invalid filter")
        if known and (unknown := [key for key in found if key not in known]):
            word = "Invalid" if self.engine < (1, 42) else "invalid"
            raise Refusal(400, f"{word} filter '{unknown[0]}'")
        return found


def _parse_filters(text: str) -> dict[str, list[str]] | None:
    """Filters in either of their two forms; None for anything else."""
    try:
        found: object = json.loads(text) if text else {}
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    filters: dict[str, list[str]] = {}
    for key, values in cast("dict[str, object]", found).items():
        if isinstance(values, dict):
            named = cast("dict[str, Any]", values)
            if not all(isinstance(value, bool) for value in named.values()):
                return None
            filters[key] = [*named]
        elif isinstance(values, list) and all(isinstance(value, str) for value in cast("list[object]", values)):
            filters[key] = cast("list[str]", values)
        else:
            return None
    return {key: values for key, values in filters.items() if values}


def find(known: Mapping[str, E], name: str, kind: str, name_of: Callable[[E], str], *, folded: bool = True) -> E:
    """The object with this id, name, or beginning of an id; in any case where names are `folded`."""
    if name in known:
        return known[name]
    fold: Callable[[str], str] = str.lower if folded else str
    found = [one for one in known.values() if fold(name_of(one)) == fold(name)]
    found = found or [one for one in known.values() if one.id.startswith(name)]
    if not found:
        raise Refusal(404, f"{kind} {name} not found")
    if len(found) > 1:
        raise Refusal(400, f"{kind} {name} is ambiguous ({len(found)} matches found)")
    return found[0]


def has_prefix(text: str, prefixes: list[str] | None) -> bool:
    """Whether a text begins with one of these, where there are any."""
    return not prefixes or any(text.startswith(prefix) for prefix in prefixes)


def has_labels(labels: Mapping[str, str], wanted: list[str] | None) -> bool:
    """Whether all these labels, written `name` or `name=value`, are there."""
    pairs = {name: value for name, _, value in (text.partition("=") for text in wanted or [])}
    return all(name in labels and (not value or labels[name] == value) for name, value in pairs.items())


def matches(entity: Entity, filters: Mapping[str, list[str]]) -> bool:
    """Whether an object passes the filters that most lists have."""
    return (
        has_prefix(entity.name, filters.get("name"))
        and has_prefix(entity.id, filters.get("id"))
        and has_labels(entity.labels, filters.get("label"))
    )
