"""API versions: their order, how one is agreed on, and the mark that says what a field needs.

Owns: `ApiVersion`, the range this package speaks, `negotiate`, `Since`.
Must not know: models, HTTP, or why a version is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")


class ApiVersion(NamedTuple):
    """An Engine API version such as 1.41. Versions compare as numbers: 1.9 is older than 1.41."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> ApiVersion:
        """The version written as `1.41` (a leading `v` is allowed).

        Raises:
            ValueError: the text is not of that form.
        """
        match = _VERSION.fullmatch(text.strip().removeprefix("v"))
        if match is None:
            raise ValueError(f"not an API version (expected a form like '1.41'): {text[:40]!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST: Final = ApiVersion(1, 24)
"""The oldest API version this package speaks: the first one with services."""
NEWEST: Final = ApiVersion(1, 56)
"""The newest API version whose fields this package knows."""

Release = tuple[int, int, int]
"""An engine release such as (26, 1, 5)."""


def parse_release(server: str) -> Release | None:
    """The release in a `Server` header such as `Docker/26.1.5 (linux)`; None where there is none to read."""
    match = _RELEASE.match(server.removeprefix("Docker/")) if server.startswith("Docker/") else None
    release = None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))
    return release if release != (0, 0, 0) else None  # what engines built from source call themselves


def negotiate(engine_maximum: ApiVersion) -> ApiVersion | None:
    """The highest version that both this package and an engine with that maximum speak; None if there is none."""
    agreed = min(NEWEST, engine_maximum)
    return agreed if agreed >= OLDEST else None


class _Anything:
    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = _Anything()


@dataclass(frozen=True, slots=True, init=False)
class Since:
    """Says on a field, or on one value of it, which API version every engine that honours it speaks.

    Put on the outer `Annotated` of a model field. Below that version engines drop the field and say nothing,
    so it is refused before the request goes out. A value that would do nothing (None, False, 0, an empty string,
    container or model, or `idle`) does not need the version; with `presence` every value but None and `idle` does.
    """

    version: ApiVersion
    value: object
    """The one value the mark is about; ANYTHING where it is about the field."""
    idle: object
    """A value beside the empty ones that engines echo and that asks for nothing."""
    presence: bool
    """The field's being there is what asks for something, as with an empty `Init` or a job mode."""
    release: Release | None
    """The first engine release that honours it, where the API version alone does not prove it."""

    def __init__(
        self,
        version: str,
        *,
        value: object = ANYTHING,
        idle: object = None,
        presence: bool = False,
        release: str | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "version", ApiVersion.parse(version))
        put(self, "value", value)
        put(self, "idle", idle)
        put(self, "presence", presence)
        put(self, "release", None if release is None else parse_release(f"Docker/{release}"))

    def describe(self) -> str:
        """What it needs, in words: `API 1.41`, `API 1.45 and engine 26.1.0`, `API 1.41 for replicated-job`."""
        value = "" if self.value is ANYTHING else f" for {self.value}"
        engine = "" if self.release is None else f" and engine {'.'.join(map(str, self.release))}"
        return f"API {self.version}{engine}{value}"
