"""How `nox -s docs` builds the guide and the API reference, whose pages are written from the code."""

from __future__ import annotations

import inspect
import re
import shutil
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import pydantic

import swarmkit
from swarmkit.versions import Since

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "swarmkit"
version = release = version_of("docker-swarmkit")
copyright = "the swarmkit contributors"  # noqa: A001 -- Sphinx calls it that
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"swarmkit {version}"
html_show_sourcelink = False
suppress_warnings = ["ref.python"]  # a literal such as "ingress" is no link to one of the fields of that name
myst_heading_anchors = 3
autodoc_member_order = "bysource"
python_display_short_literal_types = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_ENTRY: Final = re.compile(r" {4}([\w.]+): (.+)")
HERE: Final = Path(__file__).parent
REFERENCE: Final = HERE / "reference"
PAGES: Final = {
    "client": ("The client", "client", "_tls", "versions"),
    "services": ("Services", "services", "models.service", "models.endpoint", "patch"),
    "tasks": ("Tasks", "tasks", "models.task", "models.container", "models.mount"),
    "rollouts": ("Rollouts", "rollouts", "models.rollout"),
    "nodes": ("Nodes", "nodes", "models.node"),
    "swarm": ("The swarm", "swarm", "models.swarm"),
    "secrets": ("Secrets", "secrets", "models.secret", "_rotation"),
    "configs": ("Configs", "configs", "models.config"),
    "networks": ("Networks", "networks", "models.network"),
    "system": ("The engine", "system", "models.system"),
    "streams": ("Logs and events", "logs", "events", "models.event"),
    "registries": ("Images and registries", "auth", "images"),
    "common": ("What models share", "models._wire", "models.common", "models.filters"),
    "errors": ("Errors", "errors"),
}
"""Pages of the reference: title and modules, whose public names they describe."""
MADE: Final = (
    swarmkit.SwarmClient,
    swarmkit.TLSConfig,
    swarmkit.RegistryAuth,
    swarmkit.ContainerSpec,
    swarmkit.SecretSpec,
    swarmkit.ConfigSpec,
)
"""Classes with a constructor worth reading."""


def write_reference(_: Sphinx) -> None:
    """Write a page for each part of the public names. That all have their place is tested."""
    homes: dict[str, str] = vars(swarmkit)["_HOMES"]
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir()
    for page, (title, *modules) in PAGES.items():
        names = [name for module in modules for name in in_order(module, homes[module].split())]
        parts = "\n".join(directive(name) for name in names)
        (REFERENCE / f"{page}.rst").write_text(
            f"{title}\n{'=' * len(title)}\n\n.. py:currentmodule:: swarmkit\n\n{parts}"
        )
    testing = "Testing\n=======\n\n.. autoclass:: swarmkit.testing.FakeEngine\n   :members:\n\n"
    (REFERENCE / "testing.rst").write_text(testing + ".. autoclass:: swarmkit.testing.FakeNode\n   :members:\n")
    tree = "\n".join(f"   {page}" for page in (*PAGES, "testing"))
    (REFERENCE / "index.rst").write_text(f"Reference\n=========\n\n.. toctree::\n   :maxdepth: 1\n\n{tree}\n")


def in_order(module: str, names: list[str]) -> list[str]:
    """Public names of a module as they stand in it."""
    there = [*vars(import_module(f"swarmkit.{module}"))]
    return sorted(names, key=there.index)


def directive(name: str) -> str:
    """What has Sphinx describe one public name."""
    found = getattr(swarmkit, name)
    if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
        # Without what is beside a type for pydantic and for the gate.
        found.__annotations__ = {field: get_type_hints(found)[field] for field in found.__annotations__}
    if not isinstance(found, type):
        kind = "autofunction" if inspect.isfunction(found) else "autodata"
        return f".. {kind}:: swarmkit.{name}\n"
    bases = "BaseModel, tuple" + (", WireModel" if found is not swarmkit.WireModel else "")
    is_error = issubclass(found, swarmkit.SwarmkitError)
    more = "   :show-inheritance:" if is_error else f"   :inherited-members: {bases}\n   :exclude-members: model_config"
    return f".. autoclass:: swarmkit.{name}\n   :members:\n{more}\n"


def without_constructor(
    _app: Sphinx, kind: str, _name: str, found: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Fields say how a model is made; and nobody but the package makes a noun, a stream or an error."""
    if kind != "class" or found in MADE or not signature:
        return None
    return "", returns


def as_restructured_text(_app: Sphinx, _kind: str, name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Our docstrings are Markdown, with the sections `Args` and `Raises`."""
    section = ""
    told = list[str]()
    for line in lines:
        line = _CODE.sub(r"``\1``", line)
        if line in ("Args:", "Raises:"):
            section = "param" if line == "Args:" else "raises"
        elif section and (entry := _ENTRY.fullmatch(line)):
            told.append(f":{section} {entry[1]}: {entry[2]}")
        else:
            told.append(line)
    model, _, field = name.rpartition(".")
    if (needs := _needs(model, field)) is not None:
        told[-1:-1] = ["", f"Needs API {needs}."]
    lines[:] = told


def _needs(model: str, field: str) -> str | None:
    """The API version that a model's field needs."""
    found = getattr(swarmkit, model.removeprefix("swarmkit."), None) if model else None
    known = found.model_fields.get(field) if isinstance(found, type) and issubclass(found, pydantic.BaseModel) else None
    marks = [mark for mark in known.metadata if isinstance(mark, Since)] if known else []
    return str(marks[0].version) if marks else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", without_constructor)
