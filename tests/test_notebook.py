"""The example in a notebook, run from top to bottom; and the tables that notebooks show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest

from swarmkit import (
    ContainerSpec,
    EndpointSpec,
    Global,
    Node,
    PortConfig,
    Replicated,
    ReplicatedJob,
    Service,
    SwarmClient,
    Task,
    TaskTemplate,
    UpdateConfig,
)
from swarmkit.notebook import Table, table
from swarmkit.testing import FakeEngine

pytestmark = pytest.mark.anyio

NOTEBOOK: Final = Path(__file__).parents[1] / "examples" / "rollout.ipynb"


# --- the notebook ----------------------------------------------------------------------------------------------------


def stored() -> Any:
    return json.loads(NOTEBOOK.read_text())


def test_the_notebook_is_stored_without_what_a_run_leaves_behind() -> None:
    notebook = stored()
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert re.fullmatch(r"[a-z-]+", cell["id"])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    nbformat.validate(notebook)
    assert NOTEBOOK.read_text() == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


_RUN: Final = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def outputs_of_a_run(place: Path) -> dict[str, list[Any]]:
    """The outputs of each cell, where there is no engine of the user's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "MPL"))}
    environment |= {"DOCKER_HOST": f"unix://{place}/docker.sock", "DOCKER_CONFIG": str(place)}
    environment |= {"IPYTHONDIR": str(place), "JUPYTER_RUNTIME_DIR": str(place), "MPLCONFIGDIR": str(place)}
    ran = place / "ran.ipynb"
    # A process of its own, because nbclient leaves sockets open.
    done = subprocess.run(
        [sys.executable, "-c", _RUN, NOTEBOOK, ran],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads(ran.read_text())["cells"]
    return {cell["id"]: cell["outputs"] for cell in cells if cell["cell_type"] == "code"}


def shown(outputs: Iterable[Any], kind: str = "text/plain") -> str:
    """What stands below a cell."""
    return "".join(
        "".join(output["text"] if output["output_type"] == "stream" else output["data"][kind]) for output in outputs
    )


def test_the_notebook_tells_its_story_from_top_to_bottom(tmp_path: Path) -> None:
    told = outputs_of_a_run(tmp_path)
    every = [output for outputs in told.values() for output in outputs]
    assert {"display_data", "execute_result", "stream"} == {output["output_type"] for output in every}
    assert {"stdout"} == {output["name"] for output in every if output["output_type"] == "stream"}
    assert "embedded engine" in shown(told["connect"])
    assert not told["end"]

    for cell, word, number in (("connect", "worker-2", 3), ("services", "notebook-demo", 1), ("tasks", "busybox", 4)):
        html = shown(told[cell][-1:], "text/html")
        assert word in html
        assert html.count("<tr>") == number + 1
    assert "task: non-zero exit (1)" in shown(told["history"])

    for cell, end in (("create", "converged"), ("update", "converged"), ("fail", "rolled back")):
        (picture,) = (output for output in told[cell] if output["output_type"] == "display_data")
        assert re.search(rf"notebook-demo\s+{end}\s+4 of 4", shown([picture]))
        assert "<pre" in shown([picture], "text/html")
    assert "RolledBack: service notebook-demo" in shown(told["fail"])

    assert len(shown(told["plot"], "image/png")) > 10_000
    assert {f"slot {slot}: slot {slot} is up" for slot in range(1, 5)} == set(shown(told["logs"]).splitlines())


# --- tables ----------------------------------------------------------------------------------------------------------


def rows(seen: Table) -> list[list[str]]:
    """What a notebook shows: the text of each cell."""
    html = seen._repr_html_()  # pyright: ignore[reportPrivateUsage] -- by notebooks
    lines = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in lines]


def task(image: str, **more: Any) -> TaskTemplate:
    return TaskTemplate(container_spec=ContainerSpec(image, env={"PASSWORD": "hunter2"}, **more))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def client(engine: FakeEngine) -> SwarmClient:
    return engine.client()


async def test_a_table_of_services(client: SwarmClient) -> None:
    services = client.services
    published = EndpointSpec(ports=[PortConfig.parse("8080:80"), PortConfig.parse("53:53/udp")])
    await services.create(task("web:1"), name="web", mode=Replicated(replicas=2), endpoint_spec=published)
    await services.create(task("job:1"), name="backup", mode=ReplicatedJob(total_completions=3))
    await services.create(task(f"agent:1@sha256:{'a' * 64}"), name="agent", mode=Global())
    before = rows(table(await services.list()))
    await services.wait("web", "backup", "agent")
    head, *after = rows(table(await services.list(status=True)))
    assert head == ["Name", "Mode", "Tasks", "Image", "Ports", "ID"]
    assert [row[:-1] for row in after] == [
        ["agent", "global", "1 of 1", "agent:1", ""],
        ["backup", "replicated job", "0 running, 3 completed", "job:1", ""],
        ["web", "replicated", "2 of 2", "web:1", "8080:80/tcp, 53:53/udp"],
    ]
    assert ["", "", "2"] == [row[2] for row in before[1:]]
    assert {12} == {len(row[-1]) for row in after}


async def test_a_table_of_services_says_how_their_updates_went(engine: FakeEngine, client: SwarmClient) -> None:
    services = client.services
    once = UpdateConfig(monitor=timedelta(seconds=1))
    for name in ("bad", "good"):
        await services.create(task("web:1"), name=name, update_config=once)
    await services.wait("good", "bad")
    engine.fail_tasks(image="web:2", after=0.1)
    await services.update("good", task_template=task("web:3"))
    await services.wait("good")
    await services.update("bad", task_template=task("web:2"))
    engine.advance(30)
    seen = table(await services.list())
    assert [["bad", "paused"], ["good", "completed"]] == [[row[0], row[-2]] for row in rows(seen)[1:]]
    assert ["bad", "quiet"] == [row[-2].tone for row in seen.rows]


async def test_a_table_of_tasks(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="web:1", after=0.5, times=1)
    await client.services.create(task("web:1"), name="web", mode=Replicated(replicas=2))
    await client.services.wait("web")
    seen = table(await client.services.ps("web"))
    head, *tasks = rows(seen)
    assert head == ["Slot", "State", "Since (UTC)", "Wanted", "Image", "Node", "Error", "ID"]
    assert [(row[1], row[3], row[4], row[6]) for row in tasks if row[6]] == [
        ("failed", "shutdown", "web:1", "task: non-zero exit (1)")
    ]
    assert ["running", "running"] == [row[1] for row in tasks if not row[6]]
    assert sorted(row[0] for row in tasks) == [row[0] for row in tasks]
    of_one_slot = [row[1] for row in tasks if row[0] == next(row[0] for row in tasks if row[6])]
    assert of_one_slot == ["running", "failed"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", tasks[0][2])
    assert {"good", "bad"} == {row[1].tone for row in seen.rows}


async def test_a_table_of_the_tasks_of_several_services_says_whose_they_are(client: SwarmClient) -> None:
    made = [(await client.services.create(task("web:1"), name=name)).id for name in ("web", "api")]
    head, *tasks = rows(table(await client.tasks.list()))
    assert head[0] == "Service"
    assert sorted(one[:12] for one in made) == [row[0] for row in tasks]


async def test_a_table_of_nodes(engine: FakeEngine, client: SwarmClient) -> None:
    engine.add_node("worker-2", cpus=2.5, memory=4 << 30).drain()
    engine.add_node("worker-1").kill()
    engine.advance(30)
    seen = table(await client.nodes.list())
    head, *nodes = rows(seen)
    assert head == ["Host name", "Role", "State", "Availability", "CPUs", "Memory", "Engine", "ID"]
    assert [row[1:6] for row in nodes] == [
        ["leader", "ready", "active", "4", "8.0 GiB"],
        ["worker", "down", "active", "4", "8.0 GiB"],
        ["worker", "ready", "drain", "2.5", "4.0 GiB"],
    ]
    assert ["worker-1", "worker-2"] == [row[0] for row in nodes[1:]]
    assert ["good", "bad", "good"] == [row[2].tone for row in seen.rows]


async def test_a_table_is_printed_as_plain_text(client: SwarmClient) -> None:
    await client.services.create(task("web:1"), name="web")
    (service,) = await client.services.list()
    assert f"Name  Mode        Tasks  Image  ID\nweb   replicated  1      web:1  {service.id[:12]}" == str(
        table([service])
    )


def wire(model: type[Any], **parts: Any) -> Any:
    return model.from_wire(json.dumps({"ID": "1" * 25, "Version": {"Index": 1}, "Spec": {}, **parts}))


EVIL: Final = '<script>alert("x")</script>&amp;$x$\x1b[31m\nend'


def test_nothing_that_anyone_wrote_is_markup() -> None:
    spec: dict[str, Any] = {"Name": EVIL, "TaskTemplate": {"ContainerSpec": {"Image": EVIL}}, "Mode": {EVIL: {}}}
    for one in (
        table([wire(Service, Spec=spec, UpdateStatus={"State": EVIL})]),
        table([wire(Task, Status={"State": EVIL, "Err": EVIL}, NodeID=EVIL, Spec={"ContainerSpec": {"Image": EVIL}})]),
        table([wire(Node, Spec={"Role": EVIL}, Description={"Hostname": EVIL, "Engine": {"EngineVersion": EVIL}})]),
    ):
        html = one._repr_html_()  # pyright: ignore[reportPrivateUsage] -- by notebooks
        assert "<script" not in html
        assert html.startswith('<div class="tex2jax_ignore"')
        assert '<script>alert("x")</script>&amp;$x$ [31m end' in [cell for row in rows(one) for cell in row]
        for text in (html, str(one)):
            assert "\x1b" not in text
        assert len(str(one).splitlines()) == 2


async def test_no_value_of_an_environment_is_shown(client: SwarmClient) -> None:
    await client.services.create(task("web:1", labels={"key": "hunter2"}), name="web")
    for one in (table(await client.services.list()), table(await client.services.ps("web"))):
        assert "hunter2" not in one._repr_html_() + repr(one)  # pyright: ignore[reportPrivateUsage]


def test_what_an_engine_does_not_say_leaves_no_column() -> None:
    assert rows(table([wire(Service), wire(Service, Spec={"Name": "b"})])) == [
        ["Name", "Mode", "Tasks", "ID"],
        ["", "replicated", "1", "1" * 12],
        ["b", "replicated", "1", "1" * 12],
    ]
    assert rows(table([wire(Task)]))[0] == ["State", "ID"]
    assert rows(table([wire(Node)]))[1] == ["unknown", "1" * 12]


def test_a_table_of_nothing_says_so() -> None:
    nothing: list[Service] = []
    assert ("<i>none</i>", "none") == (table(nothing)._repr_html_(), str(table(nothing)))  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("odd", [["web"], [wire(Task), wire(Node)], [1]])
def test_a_table_is_of_one_kind(odd: Any) -> None:
    with pytest.raises(TypeError, match="of services, tasks or nodes"):
        table(odd)
