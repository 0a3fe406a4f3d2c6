"""What a manager does by itself after a change, told as a story: the same on real engines and on the embedded one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake import FakeHarness
from tests.harness.engine import Engine

FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
SECOND = 1_000_000_000
QUICK = {"Parallelism": 0, "Monitor": SECOND}


def ask(engine: Engine, method: str, path: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if method == "POST" else None
    status, _, said = engine.request(method, f"/v{engine.api_version}{path}", content, headers)
    assert status < 300, said
    return json.loads(said) if said else None


class Story:
    """One service, and all that is seen of it while time passes."""

    def __init__(self, engine: Engine, **spec: Any) -> None:
        self.engine = engine
        self.told: list[str] = []
        container = {"Image": "busybox:1.36", "Command": spec.pop("command", FOREVER)}
        template = {"ContainerSpec": container, "RestartPolicy": spec.pop("policy", {"Delay": 0})}
        body = {"Name": "story", "TaskTemplate": template, "UpdateConfig": QUICK, **spec}
        if any(mode.endswith("Job") for mode in body.get("Mode", {})):
            del body["UpdateConfig"]
        self.service_id = ask(engine, "POST", "/services/create", body)["ID"]

    @property
    def service(self) -> Any:
        return ask(self.engine, "GET", "/services/story")

    @property
    def tasks(self) -> list[Any]:
        # Engines 20.10 go on showing the tasks of jobs that were removed.
        return [task for task in ask(self.engine, "GET", "/tasks") if task["ServiceID"] == self.service_id]

    def change(self, query: str = "", **container: Any) -> None:
        """Change the container spec; a key in lower case belongs to the service spec."""
        while True:
            service = self.service
            spec = service["Spec"]
            for key, value in container.items():
                if key == "replicas":
                    spec["Mode"] = {"Replicated": {"Replicas": value}}
                else:
                    spec["TaskTemplate"]["ContainerSpec"][key] = value
            path = f"/v{self.engine.api_version}/services/story/update?version={service['Version']['Index']}{query}"
            body, headers = json.dumps(spec).encode(), {"Content-Type": "application/json"}
            status, _, said = self.engine.request("POST", path, body, headers)
            if status == 200:
                return
            assert b"out of sequence" in said, said

    def until(self, *wanted: str, seconds: float = 60) -> None:
        """Look again and again, noting each other update status, until there are exactly these tasks, or the status is
        this one: tasks are written `STATE/DESIRED`."""
        end = time.monotonic() + seconds
        tasks = Counter[str]()
        while time.monotonic() < end:
            status = self.service.get("UpdateStatus")
            said = f"{status['State']}: {status['Message']}" if status else "no update"
            for task in self.tasks:
                said = said.replace(task["ID"], "TASK")
            if not self.told or self.told[-1] != said:
                self.told.append(said)
            tasks = Counter(f"{task['Status']['State']}/{task['DesiredState']}" for task in self.tasks)
            if Counter(wanted) == tasks or wanted == (said.partition(":")[0],):
                return
            self.wait(0.02)
        raise AssertionError(f"not {wanted}: {tasks}, {self.told}")

    def tells(self, *expected: str) -> None:
        """Nothing else was seen of the update than this, in this order; a moment in the middle may be missed."""
        assert self.told == [said for said in expected if said in self.told]
        assert self.told[-1] == expected[-1]

    def wait(self, seconds: float) -> None:
        if isinstance(self.engine, FakeHarness):
            self.engine.fake.advance(seconds)
        else:
            time.sleep(seconds)


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> Iterator[None]:
    yield
    for service in ask(engine, "GET", "/services"):
        ask(engine, "DELETE", f"/services/{service['ID']}")
    end = time.monotonic() + 60
    while ask(engine, "GET", "/tasks") and time.monotonic() < end:
        time.sleep(0.05)
        if engine.api_version == "1.41" and all("JobIteration" in task for task in ask(engine, "GET", "/tasks")):
            break  # those of removed jobs stay for good


UP, OLD = "running/running", "shutdown/shutdown"


def test_an_update_is_in_progress_and_completed(engine: Engine) -> None:
    story = Story(engine, Mode={"Replicated": {"Replicas": 2}})
    story.until(UP, UP)
    story.change(Image="busybox:1.37")
    story.until(UP, UP, OLD, OLD)
    story.until("completed")
    story.tells("no update", "updating: update in progress", "completed: update completed")
    service = story.service
    assert service["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "busybox:1.36"
    assert {"State", "StartedAt", "CompletedAt", "Message"} == service["UpdateStatus"].keys()


def test_a_change_that_no_task_is_about_makes_no_update(engine: Engine) -> None:
    story = Story(engine)
    story.until(UP)
    before = {task["ID"] for task in story.tasks}
    story.change(replicas=2)
    story.until(UP, UP)
    story.wait(1)
    assert before < {task["ID"] for task in story.tasks}
    assert story.told == ["no update"]
    story.change(replicas=1)
    story.until(UP)
    story.change(replicas=0)
    story.until()
    assert story.tasks == []


def test_a_failing_update_is_paused_and_goes_on_when_it_is_changed(engine: Engine) -> None:
    story = Story(engine)
    story.until(UP)
    story.change(Command=["false"])
    story.until("paused")
    story.tells(
        "no update",
        "updating: update in progress",
        "paused: update paused due to failure or early termination of task TASK",
    )
    assert "CompletedAt" not in story.service["UpdateStatus"]
    story.change(Command=FOREVER)
    story.until("completed")


def test_a_failing_update_is_rolled_back_and_its_spec_forgotten(engine: Engine) -> None:
    story = Story(engine, UpdateConfig={**QUICK, "FailureAction": "rollback"}, RollbackConfig=QUICK)
    story.until(UP)
    story.change(Command=["false"])
    story.until("rollback_completed")
    story.tells(
        "no update",
        "updating: update in progress",
        "rollback_started: update rolled back due to failure or early termination of task TASK",
        "rollback_completed: rollback completed",
    )
    service = story.service
    assert (service["Spec"]["TaskTemplate"]["ContainerSpec"]["Command"], "PreviousSpec" in service) == (FOREVER, False)


def test_a_rollback_by_hand_swaps_the_specs(engine: Engine) -> None:
    story = Story(engine, RollbackConfig=QUICK)
    story.until(UP)
    story.change(Image="busybox:1.37")
    story.until("completed")
    story.told.clear()
    story.change("&rollback=previous")
    story.until("rollback_completed")
    story.tells("rollback_started: manually requested rollback", "rollback_completed: rollback completed")
    service = story.service
    images = [service[which]["TaskTemplate"]["ContainerSpec"]["Image"] for which in ("Spec", "PreviousSpec")]
    assert images == ["busybox:1.36", "busybox:1.37"]


def test_tasks_that_end_are_replaced_and_five_of_a_slot_are_kept(engine: Engine) -> None:
    story = Story(engine, command=["sh", "-c", "exit 3"])
    end = time.monotonic() + 60
    while len(story.tasks) < 5 and time.monotonic() < end:
        story.wait(0.1)
    for _ in range(20):
        story.wait(0.1)
        assert len(story.tasks) <= 6
    failed = [task for task in story.tasks if task["Status"]["State"] == "failed"]
    assert {"task: non-zero exit (3)"} == {task["Status"]["Err"] for task in failed}
    assert {"started"} == {task["Status"]["Message"] for task in failed}
    assert {3} == {task["Status"]["ContainerStatus"]["ExitCode"] for task in failed}


@pytest.mark.parametrize(
    ("policy", "command", "left"),
    [
        ({"Condition": "none"}, "exit 0", ["complete/shutdown"]),
        ({"Condition": "on-failure"}, "exit 0", ["complete/shutdown"]),
        ({"Condition": "on-failure", "MaxAttempts": 1, "Delay": 0}, "exit 1", ["failed/shutdown"] * 2),
        ({"Condition": "any", "MaxAttempts": 2, "Delay": 0}, "exit 0", ["complete/shutdown"] * 3),
    ],
)
def test_a_restart_policy_leaves_it_at_that(engine: Engine, policy: Any, command: str, left: list[str]) -> None:
    story = Story(engine, command=["sh", "-c", command], policy=policy)
    story.until(*left)
    story.wait(1)
    story.until(*left, seconds=0.1)


def test_an_image_that_is_not_there_is_rejected_again_and_again(engine: Engine) -> None:
    if isinstance(engine, FakeHarness):
        engine.fake.remove_image("127.0.0.1:9/none:1")
    story = Story(engine, policy={"Delay": SECOND})
    story.until(UP)
    story.change(Image="127.0.0.1:9/none:1")
    story.until("paused")
    (rejected, *_) = [task for task in story.tasks if task["Status"]["State"] == "rejected"]
    assert rejected["Status"]["Err"] == "No such image: 127.0.0.1:9/none:1"
    assert rejected["Status"]["Message"] == "preparing"
    assert rejected["Status"]["ContainerStatus"] == {"ContainerID": "", "PID": 0, "ExitCode": 0}


def test_a_job_counts_its_runs(engine: Engine) -> None:
    story = Story(engine, command=["true"], Mode={"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}})
    story.until(*["complete/complete"] * 3)
    assert {None, 1, 2} == {task.get("Slot") for task in story.tasks}
    assert story.service["JobStatus"]["JobIteration"] == {}
    story.change(Env=["A=1"])
    end = time.monotonic() + 60
    while time.monotonic() < end:
        story.wait(0.05)
        now = [task for task in story.tasks if task["JobIteration"].get("Index") == 1]
        if len(now) == 3 and {"complete"} == {task["Status"]["State"] for task in now}:
            break
    assert story.service["JobStatus"]["JobIteration"] == {"Index": 1}
    assert len(story.tasks) == 6


def test_a_global_service_and_a_global_job_have_a_task_a_node(engine: Engine) -> None:
    story = Story(engine, Mode={"Global": {}})
    story.until(UP)
    assert "Slot" not in story.tasks[0]
    (node,) = ask(engine, "GET", "/nodes")
    for availability, wanted in (("drain", []), ("active", [UP])):
        version = ask(engine, "GET", f"/nodes/{node['ID']}")["Version"]["Index"]
        spec = {"Role": "manager", "Availability": availability}
        ask(engine, "POST", f"/nodes/{node['ID']}/update?version={version}", spec)
        end = time.monotonic() + 60
        running = ["not looked yet"]
        while running != wanted and time.monotonic() < end:
            story.wait(0.05)
            running = [UP for task in story.tasks if task["Status"]["State"] == "running"]
        assert running == wanted


def test_a_task_without_a_node_says_why(engine: Engine) -> None:
    body = {
        "Name": "story",
        "TaskTemplate": {
            "ContainerSpec": {"Image": "busybox:1.36"},
            "Resources": {"Reservations": {"MemoryBytes": 1 << 50}},
        },
    }
    ask(engine, "POST", "/services/create", body)
    end = time.monotonic() + 30
    task: Any = {"Status": {}}
    while "Err" not in task["Status"] and time.monotonic() < end:
        time.sleep(0.02)
        (task,) = (task for task in ask(engine, "GET", "/tasks") if "JobIteration" not in task)
    assert task["Status"]["Err"] == "no suitable node (insufficient resources on 1 node)"
    assert (task["Status"]["State"], task["Status"]["Message"]) == ("pending", "pending task scheduling")
    assert "NodeID" not in task
