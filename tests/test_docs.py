"""The documentation is true: its examples run, its links lead somewhere, its tables name what exists."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import subprocess
import sys
import types
import typing
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import anyio
import httpx
import pydantic
import pytest

import swarmkit
from swarmkit._clock import RealClock
from swarmkit._hosts import Address
from swarmkit._managers import Managers
from swarmkit.models._wire import WireModel
from swarmkit.testing import FakeEngine, Request
from swarmkit.versions import ANYTHING, Since
from tests import operations
from tests.paths import QUERIES, REQUESTS, marks_below
from tests.test_edits import CASES, METHODS, without_nothing, written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE: Final = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_KINDS: Final = ("python", "python docker-py", "python conftest", "python pytest", "python fastapi")
"""Blocks that run, that only show what is left behind, and that are files of a test suite."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# --- examples --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    info: str
    code: str

    def compiled(self) -> types.CodeType:
        """Its code; tracebacks point into the page."""
        padding = "\n" * (self.line - 1)
        code: types.CodeType = compile(
            padding + self.code, str(self.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        return code


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, fence.start(2)) + 1, fence[1].strip(), fence[2])


def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block as what it is: a program, or statements with `await` at the top."""
    program: Callable[[], Awaitable[None] | None] = types.FunctionType(block.compiled(), names)

    async def main() -> None:
        awaitable = program()
        assert awaitable is not None
        await awaitable

    if program.__code__.co_flags & inspect.CO_COROUTINE:
        anyio.run(main)
    else:
        program()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    """The engine that every client talks to; nothing of this machine's own Docker, and no waiting."""
    engine = FakeEngine()
    web = {
        "Name": "web",
        "TaskTemplate": {
            "ContainerSpec": {"Image": "nginx:1.27", "Env": ["A=1"]},
            "Placement": {"Constraints": ["node.role==manager"]},
        },
        "Mode": {"Replicated": {"Replicas": 2}},
    }
    body = json.dumps(web).encode()
    assert (
        engine.handle(Request("POST", "/services/create", "", {"content-type": "application/json"}, body)).status == 201
    )
    engine.run_tasks(image="nginx:1.27", output="ready\n")
    engine.advance(10)

    def transport(_: Managers, __: Address) -> httpx.AsyncBaseTransport:
        return engine.transport

    def read_clock(_: RealClock) -> float:
        return engine.clock.now()

    async def sleep(_: RealClock, seconds: float) -> None:
        await engine.clock.sleep(seconds)

    monkeypatch.setattr(Managers, "_new_transport", transport)
    monkeypatch.setattr(RealClock, "now", read_clock)
    monkeypatch.setattr(RealClock, "sleep", sleep)
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "DOCKER_AUTH_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return engine


def run_page(page: Path) -> dict[str, Any]:
    """Run the examples of a page one after the other, as a reader would; `client` is there."""
    names: dict[str, Any] = {"__name__": "__main__", "client": swarmkit.SwarmClient()}
    for block in blocks(page):
        if block.info == "python":
            run(block, names)
    return names


@every_page
@pytest.mark.usefixtures("engine")
def test_every_example_runs(page: Path) -> None:
    run_page(page)


@pytest.mark.parametrize("kind", ["pytest", "fastapi"])
def test_the_test_suites_on_the_pages_pass(kind: str, tmp_path: Path) -> None:
    page = ROOT / "docs" / "testing.md"
    for info, file in (("conftest", "conftest.py"), (kind, "test_of_the_page.py")):
        code = "\n".join(block.code for block in blocks(page) if block.info == f"python {info}")
        (tmp_path / file).write_text(code)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # not what lies further up
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


@every_page
def test_every_python_block_is_known_as_one(page: Path) -> None:
    odd = [block for block in blocks(page) if block.info.startswith("py") and block.info not in _KINDS]
    assert not odd
    for block in blocks(page):
        if block.info in _KINDS:
            block.compiled()


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_answer_to_a_create_is_settled_as_the_page_says(engine: FakeEngine, lost: int) -> None:
    names = run_page(ROOT / "docs" / "reliability.md")
    template = swarmkit.TaskTemplate(container_spec=swarmkit.ContainerSpec("nginx:1.27"))
    spec = swarmkit.ServiceSpec(name="lost", task_template=template)
    engine.lose_answer(lost)
    found = anyio.run(names["create_once"], names["client"], spec)
    services = anyio.run(partial(names["client"].services.list, name="lost"))
    assert [service.id for service in services] == [found]
    with pytest.raises(swarmkit.NameConflict):
        anyio.run(names["create_once"], names["client"], spec)


# --- links and size --------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosts of Git repositories make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


def test_every_page_and_every_public_name_has_its_place_where_pages_are_built() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert {page.stem for page in PAGES[1:]} - {"index"} <= set(re.findall(r"^([\w-]+)$", index, re.MULTILINE))
    places: dict[str, tuple[str, ...]] = runpy.run_path(str(ROOT / "docs" / "conf.py"))["PAGES"]
    homes: dict[str, str] = vars(swarmkit)["_HOMES"]
    assert sorted(homes) == sorted(module for _, *modules in places.values() for module in modules)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


# --- names in tables -------------------------------------------------------------------------------------------------


class Instance:
    """A value of which only the type is known."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


_UNKNOWN: Final = Instance(None)
_VARIABLES: Final = {
    "client": Instance(swarmkit.SwarmClient),
    "service": Instance(swarmkit.Service),
    "spec": Instance(swarmkit.ServiceSpec),
    "timedelta": _UNKNOWN,
    "pydantic": pydantic,
}


class Names(ast.NodeVisitor):
    """Finds out what an expression in a table speaks of; fails on the first name that does not exist."""

    @cached_property
    def scope(self) -> dict[str, Any]:
        """What a reader of the tables knows."""
        return {name: getattr(swarmkit, name) for name in swarmkit.__all__} | dict(_VARIABLES)

    def generic_visit(self, node: ast.AST) -> Any:
        for child in ast.iter_child_nodes(node):
            self.visit(child)
        return _UNKNOWN

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return _UNKNOWN

    def visit_Name(self, node: ast.Name) -> Any:
        assert node.id in self.scope, f"there is no {node.id}"
        return self.scope[node.id]

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        owner = self.visit(node.value)
        if owner is _UNKNOWN:
            return _UNKNOWN
        kind = owner.kind if isinstance(owner, Instance) else owner
        hints = typing.get_type_hints(kind) if isinstance(kind, type) else {}
        if node.attr in hints:
            return Instance(_class_of(hints[node.attr]))
        assert hasattr(kind, node.attr), f"{kind} has no {node.attr}"
        found = inspect.getattr_static(kind, node.attr)
        if isinstance(found, property):
            return Instance(_class_of(typing.get_type_hints(found.fget)["return"]))
        return getattr(kind, node.attr)

    def visit_Call(self, node: ast.Call) -> Any:
        called: Any = self.visit(node.func)
        self.generic_visit(ast.Tuple([*node.args, *(keyword.value for keyword in node.keywords)]))
        if isinstance(called, Instance):
            return _UNKNOWN
        given = {keyword.arg for keyword in node.keywords}
        unknown = given - _parameters(called)
        assert not unknown, f"{called} does not take {unknown}"
        return Instance(cast("object", called)) if inspect.isclass(called) else _UNKNOWN


def _parameters(called: Callable[..., Any]) -> set[str]:
    fields = getattr(called, "model_fields", None)
    return set(inspect.signature(called).parameters) if fields is None else set(fields)


def _class_of(annotation: Any) -> Any:
    """The class that an annotation is about; None where it is about none or several."""
    if isinstance(annotation, type):
        return annotation
    if typing.get_origin(annotation) is Annotated:
        return _class_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(annotation) if choice is not type(None)]
        return _class_of(choices[0]) if len(choices) == 1 else None
    return None


def cells_about_swarmkit(page: Path) -> Iterator[tuple[str, str]]:
    """Each cell in a column headed `swarmkit`, with its row."""
    column: int | None = None
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if column is None:
            column = cells.index("swarmkit")
        elif set(line) - set("|- "):
            yield cells[column], line


def test_the_migration_tables_name_what_exists() -> None:
    wrong: list[str] = []
    for cell, row in cells_about_swarmkit(ROOT / "docs" / "migration.md"):
        for code in re.findall(r"`([^`]+)`", cell):
            try:
                Names().visit(ast.parse(code, mode="eval"))
            except (AssertionError, SyntaxError) as error:
                wrong.append(f"{code}: {error}\n    {row}")
    assert not wrong, "\n".join(wrong)


def test_the_check_of_the_tables_finds_what_does_not_exist() -> None:
    for code in ("Absent", "Mount.absent", "Mount(absent=1)", "client.services.absent", "service.spec.absent",
                 'client.services.logs("web", absent=1)', "Limits(nano_cpus=absent(1))"):  # fmt: skip
        with pytest.raises(AssertionError):
            Names().visit(ast.parse(code, mode="eval"))


def test_the_errors_page_names_every_error() -> None:
    errors = {name for name in swarmkit.__all__ if isinstance(kind := getattr(swarmkit, name), type)
              and issubclass(kind, swarmkit.SwarmkitError)}  # fmt: skip
    named = set(re.findall(r"`(\w+)`", _FENCE.sub("", (ROOT / "docs" / "errors.md").read_text())))
    assert errors - named == set()


# --- changing a service ----------------------------------------------------------------------------------------------


def rows(page: Path, heading: str) -> Iterator[tuple[str, str]]:
    """The first two cells of each row of the tables whose second heading starts so."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        head, _, *below = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
        if head[1].startswith(heading):
            yield from ((row[0], row[1]) for row in below)


CHANGING: Final = ROOT / "docs" / "changing.md"


def documented_flags() -> set[str]:
    """The flags of `docker service update` that the tables of the page name."""
    tables = [row for heading in ("`client.services.", "Call") for row in rows(CHANGING, heading)]
    return {flag for first, _ in tables for flag in re.findall(r"--[a-z-]+", first)}


def test_every_edit_in_the_table_runs_and_what_it_adds_is_taken_away_again(engine: FakeEngine) -> None:
    names: dict[str, Any] = {name: getattr(swarmkit, name) for name in swarmkit.__all__}
    names["secret"] = swarmkit.Secret.from_wire(made(engine, "secret", {"Name": "password"}))
    names["config"] = swarmkit.Config.from_wire(made(engine, "config", {"Name": "nginx"}))
    names["network_id"] = json.loads(made(engine, "network", {"Name": "backend", "Driver": "overlay"}))["Id"]
    client = swarmkit.SwarmClient()
    table = [*rows(CHANGING, '`client.services.edit("web", lambda')]
    assert len(table) >= len(METHODS)

    async def main() -> None:
        before = written((await client.services.inspect("web")).spec)
        for flag, line in table:
            spec = (await client.services.inspect("web")).spec
            for code in re.findall(r"`([^`]+)`", line):
                await client.services.edit("web", eval(f"lambda spec: {code}", names))
            if "-add" in flag or "-drop" in flag:
                assert spec != (await client.services.inspect("web")).spec, flag
        after = written((await client.services.inspect("web")).spec)
        container = after["TaskTemplate"]["ContainerSpec"]
        left = container.pop("CapabilityAdd"), container.pop("CapabilityDrop"), after.pop("EndpointSpec")
        assert left == (["CAP_NET_ADMIN"], ["CAP_NET_RAW"], {"Mode": "vip"})
        assert without_nothing(before) == without_nothing(after)

    anyio.run(main)
    assert {re.search(r"spec\.(\w+)", line)[1] for _, line in table} == set(METHODS)  # type: ignore[index]


def made(engine: FakeEngine, kind: str, spec: dict[str, str]) -> str:
    """Something that an engine has now, as it shows it."""
    body, headers = json.dumps({**spec, "Data": "eA=="}).encode(), {"content-type": "application/json"}
    assert engine.handle(Request("POST", f"/{kind}s/create", "", headers, body)).status == 201
    answer = engine.handle(Request("GET", f"/{kind}s/{spec['Name']}", "", {}, b""))
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


@pytest.mark.usefixtures("engine")
def test_every_update_in_the_table_runs() -> None:
    names: dict[str, Any] = {name: getattr(swarmkit, name) for name in swarmkit.__all__}
    client = names["client"] = swarmkit.SwarmClient()
    names["timedelta"] = timedelta
    table = [*rows(CHANGING, '`client.services.update("web", …)')]

    async def main() -> None:
        for flag, line in table:
            before = (await client.services.inspect("web")).spec
            try:
                await eval(f'client.services.update("web", {line.strip("`")})', names)
            except swarmkit.UnsupportedFeature:
                assert flag.startswith("`--memory-swap"), flag
            else:
                assert before != (await client.services.inspect("web")).spec or "registry" in flag

    anyio.run(main)
    assert len(table) > 40


def test_the_tables_name_every_flag_that_adds_or_removes() -> None:
    flags = {case.flag if case.flag.startswith("cap-") else f"{case.flag}-{end}" for case in CASES
             for end in ("add", "rm")}  # fmt: skip
    assert {f"--{flag}" for flag in flags} - documented_flags() == set()


# --- the table of gates ----------------------------------------------------------------------------------------------


def gate_table() -> str:
    """The table of what needs which API version, as the page should have it."""
    lines = ["| Field | Needs | Asks for nothing |", "|---|---|---|"]
    lines += [_gate_line(f"`{path}`", mark) for path, mark in _sorted_marks(swarmkit.ServiceSpec)]
    for heads, models in (("Body | Field", REQUESTS), ("Endpoint | Parameter", QUERIES)):
        lines += ["", f"| {heads} | Needs | Asks for nothing |", "|---|---|---|---|"]
        for endpoint, model in models.items():
            for path, mark in _sorted_marks(model) if model is not swarmkit.ServiceSpec else ():
                lines.append(_gate_line(f"`{endpoint}` | `{path.replace('filters.', 'filter ')}`", mark))
    return "\n".join(lines)


def _sorted_marks(model: type[WireModel]) -> list[tuple[str, Since]]:
    named = [(path if mark.value is ANYTHING else f"{path}={mark.value}", mark) for path, mark in marks_below(model)]
    return sorted(named, key=lambda row: (row[1].version, row[0]))


def _gate_line(what: str, mark: Since) -> str:
    needs = str(mark.version)
    if mark.release is not None:
        needs += ", engine " + ".".join(map(str, mark.release))
    passes = f"`{mark.idle}`" if mark.idle is not None else "only None: its presence counts" if mark.presence else ""
    return f"| {what} | {needs} | {passes} |"


def test_the_table_of_versions_says_what_the_models_say() -> None:
    page = (ROOT / "docs" / "versions.md").read_text()
    found = re.search(r"<!-- gates:.*?-->\n(.*?)\n?<!-- /gates -->", page, re.DOTALL)
    right = gate_table()
    assert found is not None
    assert found[1].strip() == right, f"docs/versions.md should hold, between its marks:\n\n{right}\n"


# --- the operations --------------------------------------------------------------------------------------------------


def test_the_page_of_operations_says_what_the_docstrings_say() -> None:
    assert operations.page() == operations.PAGE.read_text(), "write it anew with python -m tests.operations"


def test_the_page_of_operations_has_every_noun_and_what_they_can() -> None:
    page = operations.PAGE.read_text()
    client = swarmkit.SwarmClient("unix:///nowhere.sock")
    called = {f"{noun}.{name}" for noun, value in vars(client).items() if not noun.startswith("_")
              for name in dir(value) if not name.startswith("_")}  # fmt: skip
    assert called == set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE))


def test_an_operation_without_its_endpoint_is_found_out() -> None:
    with pytest.raises(ValueError, match="no paragraph that begins with its endpoint"):
        operations.described(swarmkit.SwarmClient.aclose)


# --- the public names ------------------------------------------------------------------------------------------------


def test_the_typing_file_uses_every_public_name() -> None:
    tree = ast.parse((ROOT / "tests" / "typing" / "api.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(swarmkit.__all__) - used == set()
