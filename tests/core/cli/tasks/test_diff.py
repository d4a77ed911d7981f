"""`aioq tasks diff`."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from msgspec import structs

from aioq.model.workers import WorkerInfo
from aioq.task_changes import describe_tasks
from tests.core.cli.conftest import Project

BEFORE = """
    from datetime import datetime
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker(), name="shop")

    @app.task(name="archive")
    async def archive(ctx): ...

    @app.task(name="kept")
    async def kept(ctx, a: int, b: str = "x"): ...

    @app.task(name="resize", queue="images")
    async def resize(ctx, path: str, width: int, height: int = 100): ...

    @app.task(name="rest")
    async def rest(ctx, a: int, b: int): ...
"""

AFTER = """
    from datetime import datetime
    from aioq import Aarq
    from tasks import app as old

    app = Aarq(old.broker, name="shop")

    @app.task(name="kept")
    async def kept(ctx, a: int, b: str = "y", c: datetime | None = None): ...

    @app.task(name="resize", queue="pictures")
    async def resize(ctx, path: list[str], height: int, format: str): ...

    @app.task(name="rest")
    async def rest(ctx, a: int, **kwargs): ...

    @app.task(name="added")
    async def added(ctx, x: int): ...
"""

BROKEN = """\
    archive (queue default): task removed
    resize (queue images): parameter width removed
    resize (queue images): type of path changed: str -> list[str]
    resize (queue images): parameter height has no default any more
    resize (queue images): parameter format added, without a default
    queue images: no worker would consume it; start one with -q, or without any -q
    a deploy of shop would break 2 of 4 tasks of 1 running worker, and leave 1 queue without a worker
"""


def registration(project: Project) -> WorkerInfo:
    """Return what a worker of the first release registers."""
    app = project.app
    return WorkerInfo(
        id="w", queues=app.queues, concurrency=1, running=0, hostname="h", pid=1, started_at=0.0,
        app=app.name, all_queues=True, tasks=describe_tasks(app.tasks),
    )  # fmt: skip


def run_workers(project: Project, *changes: dict[str, object]) -> None:
    """Register workers of the first release, each with some fields changed."""
    info = registration(project)
    for number, changed in enumerate(changes):
        worker = structs.replace(info, id=f"w{number}", **changed)
        project.do(lambda worker=worker: project.app.broker.heartbeat(worker, ttl=60))  # type: ignore[attr-defined,misc]


@pytest.fixture
def deploy(project: Project) -> Project:
    """The code of two releases."""
    project.write("tasks.py", BEFORE)
    project.write("other.py", AFTER)
    return project


def test_diff_same_code_exits_0(deploy: Project) -> None:
    """Workers of the same release break nothing."""
    run_workers(deploy, {}, {})
    assert deploy.aioq("tasks", "diff", "tasks:app") == (
        0,
        "a deploy of shop would break nothing: the code can run all tasks of 2 running workers\n",
        "",
    )


def test_diff_broken_tasks_exit_1(deploy: Project) -> None:
    """Each break has a line; added tasks, defaults and `**kwargs` break nothing."""
    run_workers(deploy, {})
    assert deploy.aioq("tasks", "diff", "other:app") == (1, dedent(BROKEN), "")


def test_diff_json_names_each_break(deploy: Project) -> None:
    """Programs get the same as values."""
    run_workers(deploy, {})
    outcome = deploy.aioq("tasks", "diff", "other:app", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["app"], found["workers"], found["tasks"]) == (1, "shop", 1, 4)
    assert found["unconsumed_queues"] == ["images"]
    assert found["breaks"][0] == {
        "kind": "task removed", "task": "archive", "queue": "default", "parameter": None, "before": None, "after": None,
    }  # fmt: skip
    assert [(change["kind"], change["parameter"]) for change in found["breaks"][1:]] == [
        ("parameter removed", "width"),
        ("type changed", "path"),
        ("default removed", "height"),
        ("parameter added", "format"),
    ]


def test_diff_queue_is_consumed_by_any_worker_of_the_app(deploy: Project) -> None:
    """Workers that were started with -q keep their queues; those of another app do not count."""
    some = {"all_queues": False, "queues": ("images", "default")}
    run_workers(deploy, some, {"app": "other", "all_queues": False, "queues": ("pictures",)})
    out = deploy.aioq("tasks", "diff", "other:app").out
    assert "queue pictures: no worker would consume it" in out
    assert "queue images:" not in out


def test_diff_two_running_releases_are_compared_once_each(deploy: Project) -> None:
    """A deploy that is under way has workers of two releases; each break is shown once."""
    run_workers(deploy, {}, {}, {"tasks": ()})
    assert deploy.aioq("tasks", "diff", "other:app").out.count("archive (queue default): task removed") == 1


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_diff_without_a_worker_exits_1(deploy: Project, option: tuple[str, ...]) -> None:
    """If no worker of the app is up there is nothing to compare with, and the command says so."""
    run_workers(deploy, {"app": "other"})
    outcome = deploy.aioq("tasks", "diff", "tasks:app", *option)
    assert outcome.code == 1
    assert outcome.err.startswith("aioq: tasks diff: no worker of app shop is up, so there is nothing to compare with")
    assert bool(outcome.out) is bool(option)


def test_diff_says_how_many_tasks_are_not_compared(deploy: Project) -> None:
    """Workers with very many tasks register only some of them."""
    run_workers(deploy, {"tasks_left_out": 7})
    outcome = deploy.aioq("tasks", "diff", "tasks:app")
    assert outcome.code == 0
    assert (
        outcome.err == "aioq: tasks diff: 7 tasks were not compared: the workers have too many to register them all\n"
    )


def test_diff_control_characters_stay_on_one_line(deploy: Project) -> None:
    """What another program has registered cannot forge a line."""
    info = registration(deploy)
    run_workers(deploy, {"tasks": (structs.replace(info.tasks[0], name="a\n\x1b[2J"),)})
    assert "a\\n\\x1b[2J (queue default): task removed\n" in deploy.aioq("tasks", "diff", "tasks:app").out
