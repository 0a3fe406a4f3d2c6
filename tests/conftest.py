"""Owns what concerns every test run: markers, the spread over workers, and why engines were not used."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.harness.engine import short_temporary_folder
from tests.harness.packages import HOW_TO_GET, RELEASES
from tests.secrecy import nothing_shows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["nothing_shows"]
_SCOPE = "_split_scope"

# On a busy machine specs take their time to be made up, which says nothing about what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: needs a real engine")
    # Known without pytest-xdist as well, so that a plain `pytest` accepts the marks of the engines.
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Under `--dist loadgroup`, find a test's group in its id as well.

    pytest-xdist 3.8 hands groups over in an attribute that pytest 9.2 no longer reads: the marks then have no
    effect, and every worker starts every engine.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    scheduler: Any = importlib.import_module("xdist.scheduler").LoadGroupScheduling(config, log)
    by_mark: Callable[[str], str] = getattr(scheduler, _SCOPE)

    def scope(nodeid: str) -> str:
        return _engine_of(nodeid) or by_mark(nodeid)

    setattr(scheduler, _SCOPE, scope)
    return scheduler


def _engine_of(nodeid: str) -> str | None:
    """Return the engine release, or the cluster, among a test's parameters, if there is one."""
    parameters = nodeid.partition("[")[2].rpartition("]")[0].split("-")
    return next((parameter for parameter in parameters if parameter in (*RELEASES, "cluster")), None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped: list[pytest.TestReport] = terminalreporter.getreports("skipped")
    told = {report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)}
    # One line for each reason, where pytest itself (-rs) would have one for each test.
    for reason in sorted(reason.removeprefix("Skipped: ") for reason in told):
        what = "tests against real engines" if HOW_TO_GET in reason else "tests"
        terminalreporter.write_line(f"{what} were skipped: {reason}", yellow=True)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both."""
    backend: str = request.param
    return backend


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name: pytest's own can be too long."""
    with tempfile.TemporaryDirectory(prefix="swk", dir=short_temporary_folder()) as folder:
        yield Path(folder)
