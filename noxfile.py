"""Every routine of this project: `nox -s demo tests lint types docs bench endurance`."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import chain
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
HERE = Path(__file__).parent
# Tests run against the built wheel: they and what they read are copied to where the source tree is not.
TESTED = ("tests", "docs", "examples", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml")
COVERAGE = 97
# What the tests of oldest versions leave out: it says nothing about dependencies, and takes long.
NOT_ABOUT_DEPENDENCIES = (
    "integration",
    "test_canonical.py",
    "test_convergence.py",
    "test_demo.py",
    "test_docs.py",
    "test_doctor.py",
    "test_edits.py",
    "test_fake_engine.py",
    "test_fake_shell.py",
    "test_fastapi_app.py",
    "test_hosts_several.py",
    "test_notebook.py",
    "test_patch.py",
    "test_refusals.py",
    "test_rollouts.py",
    "test_secrecy.py",
    "test_server.py",
)

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "virtualenv"


def group(name: str) -> list[str]:
    """The packages of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


def lowest() -> list[str]:
    """The oldest version of each direct dependency that pyproject.toml allows, those of extras included."""
    extras = chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    return [spec.partition(",")[0].replace(">=", "==") for spec in (*PROJECT["project"]["dependencies"], *extras)]


def away_from_the_source(session: nox.Session) -> None:
    """Go to a folder that has the tests and not the package."""
    folder = Path(session.create_tmp()) / "away"
    # nox has just moved TMPDIR below the checkout, whose path may be too long for the sockets that tests put there.
    session.env["TMPDIR"] = tempfile.gettempdir()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in TESTED:
        source = HERE / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)  # type: ignore[operator]
    session.chdir(folder)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite on each Python there is; the engines take part on the first one."""
    first = next((version for version in PYTHONS if shutil.which(f"python{version}")), session.python)
    session.install(".", *group("tests"), *group("notebook"))
    away_from_the_source(session)
    # A worker for each release, one for the cluster, one for the rest.
    arguments = ["-n", "5", "--dist", "loadgroup", *session.posargs]
    if session.python != first:
        session.run("pytest", "-m", "not engine", *arguments)
        return
    cover = ["--cov=swarmkit", "--cov-branch", "--cov-report=term"]
    if os.environ.get("SWARMKIT_REQUIRE_ENGINES") and not session.posargs:
        cover.append(f"--cov-fail-under={COVERAGE}")
    session.run("pytest", *cover, *arguments)


@nox.session
def tests_lowest(session: nox.Session) -> None:
    """The suite without engines on the oldest versions of the direct dependencies."""
    session.install(".", *group("tests"), *lowest())
    away_from_the_source(session)
    left_out = chain.from_iterable(("--ignore", f"tests/{name}") for name in NOT_ABOUT_DEPENDENCIES)
    session.run("pytest", "-m", "not engine", *left_out, "-n", "3", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and which module may import which."""
    session.install(".", *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Both type checkers, strict."""
    session.install(".", *group("types"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """The guide and the API reference, into docs/_build; a warning is an error."""
    session.install(".", *group("docs"))
    session.run("sphinx-build", "-qW", "--keep-going", "-b", "html", "docs", "docs/_build", *session.posargs)
    session.log("docs/_build/index.html")


@nox.session
def demo(session: nox.Session) -> None:
    """The main job, told step by step, on the engine that DOCKER_HOST or the default socket leads to."""
    session.install(".")
    session.run("python", "examples/rollout.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed beside other clients, as ratios measured in one run."""
    session.install(".", *group("bench"))
    session.run("python", "-m", "tests.benchmarks.bench", *session.posargs)


@nox.session
def endurance(session: nox.Session) -> None:
    """Minutes of elections under load, on three managers of each release that the tests know."""
    session.install(".", *group("tests"))
    away_from_the_source(session)
    session.run("pytest", "tests/endurance", "-s", *session.posargs)
