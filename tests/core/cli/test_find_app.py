"""Finding apps by MODULE:APP and cron entries by name, and the errors for wrong ones."""

from __future__ import annotations

import re

import pytest

from tests.core.cli.conftest import Project

APP = "from aioq import Aarq\napp = Aarq()\n"


def test_load_app_finds_module_in_current_folder(project: Project) -> None:
    """The current folder need not be on the Python path."""
    project.write("tasks.py", APP)
    assert project.aioq("cron", "list", "tasks:app") == (0, "tasks:app has no crons\n", "")


def test_load_app_current_folder_has_precedence(project: Project) -> None:
    """The user's module is imported, not an installed one of the same name."""
    project.write("this.py", APP)
    assert project.aioq("cron", "list", "this:app").code == 0


def test_load_app_single_app_needs_no_name(project: Project) -> None:
    """`MODULE` alone means the module's only app, even if two names refer to it."""
    project.write("tasks.py", APP + "celery = app\n")
    assert project.aioq("cron", "list", "tasks").code == 0


def test_load_app_follows_attributes(project: Project) -> None:
    """`MODULE:OBJECT.APP` names an attribute of an object."""
    project.write("tasks.py", APP + "class Settings:\n    queue = app\n")
    assert project.aioq("cron", "list", "tasks:Settings.queue").code == 0


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("tsks:app", "there is no module tsks in {here} or elsewhere on the Python path; did you mean tasks?"),
        ("nothing_like_it", "there is no module nothing_like_it in {here} or elsewhere on the Python path"),
        ("shop.task:app", "there is no module shop.task in shop; did you mean shop.tasks?"),
        ("shp.tasks", "there is no module shp in {here} or elsewhere on the Python path; did you mean shop?"),
        ("tasks.app", "there is no module tasks.app; did you mean tasks:app?"),
        ("tasks:ap", "tasks has no ap; did you mean tasks:app?"),
        ("tasks:queue", "tasks has no queue; did you mean tasks:app?"),
        ("tasks:app.x", "tasks has no app.x; did you mean tasks:app?"),
        ("tasks:Aarq", "tasks:Aarq is the class Aarq, not an Aarq; did you mean tasks:app?"),
        ("two:app", "two has no app; name one of two:billing, two:mail"),
        ("two:mial", "two has no mial; did you mean two:mail?"),
        ("two:number", "two:number is of type int, not an Aarq; name one of two:billing, two:mail"),
        ("two", "two has several apps; name one of two:billing, two:mail"),
        ("shop", "shop has no Aarq; write app = Aarq() at the top level of the module, or name the module that has it"),
        ("tasks.py", "tasks.py is a file; write the module's import path: tasks"),
        ("./shop/tasks.py:app", "./shop/tasks.py:app is a file; write the module's import path: shop.tasks:app"),
        ("../x.py", "../x.py is a file; write the module's import path from its folder"),
        ("", "the path to an app is MODULE:APP, for example myapp.tasks:app; got ''"),
        ("tasks:app:x", "the path to an app is MODULE:APP, for example myapp.tasks:app; got 'tasks:app:x'"),
        (".tasks:app", "the path to an app is MODULE:APP, for example myapp.tasks:app; got '.tasks:app'"),
    ],
)
def test_load_app_wrong_path_suggests_another(project: Project, path: str, error: str) -> None:
    """The command prints one line that says what to write, and exits with 2."""
    project.write("tasks.py", APP)
    project.write("two.py", "from aioq import Aarq as A\nmail, billing, number = A(), A(), 7\n")
    project.write("shop/__init__.py", "")
    project.write("shop/tasks.py", APP)
    assert project.aioq("cron", "list", path) == (2, "", f"aioq: {error.format(here=project.folder)}\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def f():\n    raise OSError\n\nf()", "OSError (broken.py:2)"),
        ("raise ValueError('no number')", "ValueError: no number (broken.py:1)"),
        ("raise OSError('two\\nlines')", "OSError: two\\nlines (broken.py:1)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (broken.py:2)"),
        ("import helper", "KeyError: 'x' (helper.py:1)"),
        (
            APP + "\n@app.cron('60 * * * *')\nasync def night(ctx): ...",
            '@app.cron("60 * * * *") on broken.night: minute field: 60 is outside 0-59, in "60 * * * *" (broken.py:4)',
        ),
    ],
)
def test_load_app_failing_import_prints_file_and_line(project: Project, text: str, error: str) -> None:
    """The command prints one line with file and line of the error, and exits with 2."""
    project.write("broken.py", text)
    project.write("helper.py", "{}['x']")
    assert project.aioq("worker", "broken:app") == (2, "", f"aioq: broken cannot be imported: {error}\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import nosuchlib", r"ModuleNotFoundError: .*'nosuchlib'.* \(broken.py:1\)"),
        ("x = (", r"SyntaxError: .+ \(broken.py:1\)"),
        ("import json\njson.loads('[')", r"JSONDecodeError: .+ \(broken.py:2\)"),
    ],
)
def test_load_app_failing_import_prints_pythons_message(project: Project, text: str, error: str) -> None:
    """The line has the message in whatever words Python chooses, and the place in the user's own file."""
    project.write("broken.py", text)
    outcome = project.aioq("worker", "broken:app")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(rf"aioq: broken cannot be imported: {error}\n", outcome.err)


def test_load_app_log_level_debug_prints_traceback(project: Project) -> None:
    """`--log-level debug` prints the traceback above the line."""
    project.write("broken.py", "{}['x']")
    outcome = project.aioq("worker", "broken:app", "--log-level", "debug")
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert outcome.err.endswith("\naioq: broken cannot be imported: KeyError: 'x' (broken.py:1)\n")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mongo://u:secret@host/0", "no installed package provides a broker for mongo://"),
        ("memory://u:secret@host", "the memory broker takes no settings in its URL"),
    ],
)
def test_load_app_invalid_broker_exits_78(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str, error: str
) -> None:
    """The line has no password."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    monkeypatch.setenv("AIOQ_BROKER_URL", url)
    outcome = project.aioq("worker", "tasks:app", "--log-level", "debug")
    assert outcome.code == 78
    assert f"aioq: tasks cannot be imported: {error}" in outcome.err
    assert "secret" not in outcome.err


ENTRIES = """
    from aioq import Aarq

    app = Aarq()

    @app.cron("0 9 * * *")
    async def report(ctx): ...
"""


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("report", "tasks:app has no cron entry report; did you mean tasks.report?"),
        ("tasks.reportt", "tasks:app has no cron entry tasks.reportt; did you mean tasks.report?"),
        ("x", "tasks:app has no cron entry x; it has tasks.report"),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume", "run", "history"])
def test_find_entry_wrong_name_suggests_another(project: Project, verb: str, name: str, error: str) -> None:
    """Every command that takes the name of an entry suggests one or lists some."""
    project.write("tasks.py", ENTRIES)
    assert project.aioq("cron", verb, "tasks:app", name) == (2, "", f"aioq: {error}\n")


def test_find_entry_app_without_crons_suggests_none(project: Project) -> None:
    """There is no name to suggest."""
    project.write("tasks.py", APP)
    outcome = project.aioq("cron", "pause", "tasks:app", "x")
    assert outcome == (2, "", "aioq: tasks:app has no cron entry x; it has none\n")


def test_find_entry_many_names_lists_five(project: Project) -> None:
    """The line stays short."""
    project.write(
        "tasks.py",
        ENTRIES + "\n    for number in range(7):\n        app.cron('@daily', name=f'entry-{number}')(report)\n",
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "zzz")
    assert outcome.err == (
        "aioq: tasks:app has no cron entry zzz; it has entry-0, entry-1, entry-2, entry-3, entry-4, and 3 more\n"
    )
