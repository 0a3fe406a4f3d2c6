"""Owns docs/operations.md, which says what the docstrings of the nouns say: `python -m tests.operations` writes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_type_hints

from swarmkit import SwarmClient

PAGE: Final = Path(__file__).parents[1] / "docs" / "operations.md"
_HEAD: Final = """\
# Operations

Each call of a `SwarmClient`, its endpoints, and the API version that each needs. Changes read the object first, and one
`GET /_ping` agrees on the version. The docstrings have the parameters and the errors: `help(client.services.update)`.

This page is made from them by `python -m tests.operations`.
"""
_ENDPOINT: Final = re.compile(r"(?:GET|POST|DELETE) /")
_SENTENCE: Final = re.compile(r".*?[.:](?=\s|$)")


def nouns() -> Iterator[tuple[str, type]]:
    """What hangs on a client, in the order of its annotations."""
    hints = get_type_hints(SwarmClient)
    return ((name, hints[name]) for name in SwarmClient.__annotations__ if not name.startswith("_"))


def operations(kind: type) -> Iterator[str]:
    """The names of the public methods of a noun, in the order of its source."""
    return (name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_"))


def described(method: object) -> tuple[str, str]:
    """The endpoints of an operation, and what it does in one sentence, as its docstring has them.

    Raises:
        ValueError: it does not say which endpoints it uses.
    """
    paragraphs = [" ".join(paragraph.split()) for paragraph in (inspect.getdoc(method) or "").split("\n\n")]
    endpoints = next((text for text in paragraphs if _ENDPOINT.match(text)), None)
    if endpoints is None:
        raise ValueError(f"the docstring of {method} has no paragraph that begins with its endpoint")
    return _first(endpoints), _first(paragraphs[0])


def _first(text: str) -> str:
    """The first sentence, which is no sentence any more."""
    found = _SENTENCE.match(text)
    return (found[0] if found else text).rstrip(".:")


def page() -> str:
    """The page as it should be."""
    parts = [_HEAD]
    for noun, kind in nouns():
        rows = [(name, *described(getattr(kind, name))) for name in operations(kind)]
        table = [f"| `{noun}.{name}` | {code(endpoints)} | {says} |" for name, endpoints, says in rows]
        parts.append("\n".join([f"## {noun}", "", "| Call | Endpoint | What it does |", "|---|---|---|", *table, ""]))
    return "\n".join(parts)


def code(endpoints: str) -> str:
    """The endpoints with what is code as code."""
    return re.sub(r"(?<!`)((?:GET|POST|DELETE) )?/[\w{}/]+", lambda found: f"`{found[0]}`", endpoints)


if __name__ == "__main__":
    PAGE.write_text(page())
