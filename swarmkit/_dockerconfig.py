"""Reads Docker's config file, for credentials and contexts.

Owns: where the file is, and how a broken one is reported: with its path and the reason, never its content.
Must not know: what the entries are used for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from .errors import CredentialsError

_SIZE_LIMIT = 1024 * 1024


def folder(environ: Mapping[str, str]) -> Path:
    """Docker's config folder: DOCKER_CONFIG, or .docker in the home folder; without one, in the present folder."""
    if given := environ.get("DOCKER_CONFIG"):
        return Path(given)
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:  # a user that nothing is known of, as in many containers
        home = Path()
    return home / ".docker"


def file(environ: Mapping[str, str]) -> Path:
    """Docker's config file, whether there is one or not."""
    return folder(environ) / "config.json"


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """What Docker's config file says; nothing where there is no file.

    Raises:
        CredentialsError: there is one and it cannot be read.
    """
    return read_object(file(environ))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is no file.

    Raises:
        CredentialsError: there is a file and it holds something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from None
    if len(content) > _SIZE_LIMIT:
        raise CredentialsError(f"{path}: larger than 1 MiB")
    parsed: object = None
    with suppress(ValueError, RecursionError):
        # Nothing is raised in here: the parser's own exception would come along, and holds the content.
        parsed = json.loads(content.decode())
    if not isinstance(parsed, dict):
        raise CredentialsError(f"{path}: not a JSON object")
    return cast("dict[str, Any]", parsed)
