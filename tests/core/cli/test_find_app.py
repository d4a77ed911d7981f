"""MODULE:APP: where it leads, and what is said when it leads nowhere."""

from __future__ import annotations

import pytest

from aioq.cli.output import redact
from tests.core.cli.conftest import Project

APP = "from aioq import Aarq\napp = Aarq()\n"


def test_an_app_is_found_in_the_current_folder(project: Project) -> None:
    """The current folder need not be on the Python path."""
    project.write("tasks.py", APP)
    assert project.aioq("cron", "list", "tasks:app") == (0, "tasks:app has no crons\n", "")


def test_the_current_folder_goes_before_installed_modules(project: Project) -> None:
    """A user's module wins over an installed one of the same name."""
    project.write("this.py", APP)
    assert project.aioq("cron", "list", "this:app").code == 0


def test_a_module_with_one_app_needs_no_app_name(project: Project) -> None:
    """`MODULE` alone means the module's only app, even when it goes by two names."""
    project.write("tasks.py", APP + "celery = app\n")
    assert project.aioq("cron", "list", "tasks").code == 0


def test_an_app_may_be_an_attribute_of_an_object(project: Project) -> None:
    """`MODULE:OBJECT.APP` is followed."""
    project.write("tasks.py", APP + "class Settings:\n    queue = app\n")
    assert project.aioq("cron", "list", "tasks:Settings.queue").code == 0


@pytest.mark.parametrize(
    ("path", "said"),
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
        ("two", "two holds more than one Aarq; name one of two:billing, two:mail"),
        ("shop", "shop holds no Aarq; write app = Aarq() at the top level of the module, or name the module that does"),
        ("tasks.py", "tasks.py is a file; name the module as Python imports it: tasks"),
        ("./shop/tasks.py:app", "./shop/tasks.py:app is a file; name the module as Python imports it: shop.tasks:app"),
        ("../x.py", "../x.py is a file; name the module as Python imports it, from the folder that it is in"),
        ("", "an app is named MODULE:APP, for example myapp.tasks:app; got ''"),
        ("tasks:app:x", "an app is named MODULE:APP, for example myapp.tasks:app; got 'tasks:app:x'"),
        (".tasks:app", "an app is named MODULE:APP, for example myapp.tasks:app; got '.tasks:app'"),
    ],
)
def test_a_wrong_path_is_answered_with_the_right_one(project: Project, path: str, said: str) -> None:
    """A path that leads nowhere gets one line, which says what to write instead, and exit code 2."""
    project.write("tasks.py", APP)
    project.write("two.py", "from aioq import Aarq as A\nmail, billing, number = A(), A(), 7\n")
    project.write("shop/__init__.py", "")
    project.write("shop/tasks.py", APP)
    assert project.aioq("cron", "list", path) == (2, "", f"aioq: {said.format(here=project.folder)}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nosuchlib", "ModuleNotFoundError: No module named 'nosuchlib' (broken.py:1)"),
        ("x = (", "SyntaxError: '(' was never closed (broken.py:1)"),
        ("def f():\n    raise OSError\n\nf()", "OSError (broken.py:2)"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x' (broken.py:1)"),
        ("raise OSError('two\\nlines')", "OSError: two\\nlines (broken.py:1)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (broken.py:2)"),
        ("import helper", "KeyError: 'x' (helper.py:1)"),
        (
            "import json\njson.loads('[')",
            "JSONDecodeError: Expecting value: line 1 column 2 (char 1) (broken.py:2)",
        ),
        (
            APP + "\n@app.cron('60 * * * *')\nasync def night(ctx): ...",
            '@app.cron("60 * * * *") on broken.night: minute field: 60 is outside 0-59, in "60 * * * *" (broken.py:4)',
        ),
    ],
)
def test_a_module_that_raises_is_said_with_its_line(project: Project, text: str, said: str) -> None:
    """An error while the app's module is imported is one line with file and line, and exit code 2."""
    project.write("broken.py", text)
    project.write("helper.py", "{}['x']")
    assert project.aioq("worker", "broken:app") == (2, "", f"aioq: broken cannot be imported: {said}\n")


def test_the_traceback_is_there_for_those_who_ask(project: Project) -> None:
    """`--log-level debug` shows the whole traceback above the line."""
    project.write("broken.py", "{}['x']")
    outcome = project.aioq("worker", "broken:app", "--log-level", "debug")
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert outcome.err.endswith("\naioq: broken cannot be imported: KeyError: 'x' (broken.py:1)\n")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mongo://u:secret@host/0", "no installed package provides a broker for mongo://"),
        ("memory://u:secret@host", "the memory broker takes no settings in its URL"),
    ],
)
def test_a_wrong_broker_is_a_fault_of_configuration(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    """A broker that will never do gives exit code 78, and its password is not shown."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    monkeypatch.setenv("AIOQ_BROKER_URL", url)
    outcome = project.aioq("worker", "tasks:app", "--log-level", "debug")
    assert outcome.code == 78
    assert f"aioq: tasks cannot be imported: {said}" in outcome.err
    assert "secret" not in outcome.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://me:pw@host:6379/2", "redis://me:***@host:6379/2"),
        ("redis://:pw@host", "redis://:***@host"),
        ("at 'redis://:p@w/x:y@host' and rediss://u:q@h", "at 'redis://:***@host' and rediss://u:***@h"),
        ("unix:///tmp/s?db=1", "unix:///tmp/s?db=1"),
        ("http://host/a@b and mail@host", "http://host/a@b and mail@host"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, shown: str) -> None:
    """What stands between the user's name and the host is never printed."""
    assert redact(text) == shown
