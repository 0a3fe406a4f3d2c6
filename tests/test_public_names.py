"""The public names: pinned, sorted, lazy, and the example in the README is the one that is tested."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import swarmkit

HERE = Path(__file__).parent
PINNED = HERE / "data" / "public_names.txt"


def test_the_public_names_are_pinned() -> None:
    assert PINNED.read_text().split() == sorted(swarmkit.__all__)


@pytest.mark.parametrize("name", swarmkit.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(swarmkit, name)
    assert inspect.getdoc(value)
    assert name in dir(swarmkit)


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Swarmclient'"):
        importlib.import_module("swarmkit").Swarmclient  # noqa: B018 -- looking it up is the test


def test_importing_the_package_loads_nothing_else() -> None:
    program = (
        "import sys, swarmkit; print([m for m in sys.modules if m.split('.')[0] in ('pydantic', 'httpx', 'anyio')])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_every_model_of_a_public_module_is_public() -> None:
    homes = ("service", "task", "container", "mount", "network", "secret", "config", "node", "rollout")
    missing = [
        f"{home}.{name}"
        for home in homes
        for name, value in vars(importlib.import_module(f"swarmkit.models.{home}")).items()
        if inspect.isclass(value) and value.__module__.endswith(f".{home}") and name not in swarmkit.__all__
    ]
    assert missing == []


def test_the_example_in_the_readme_is_the_tested_one() -> None:
    readme = (HERE.parent / "README.md").read_text()
    example = (HERE.parent / "examples" / "quickstart.py").read_text()
    assert f"```python\n{example}```" in readme
    assert len([line for line in example.splitlines() if line]) < 15
