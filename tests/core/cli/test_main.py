"""The command `aioq` as a whole."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from aioq.cli import main
from tests.core.cli.conftest import Project


def test_console_script_is_main() -> None:
    """`aioq` on the command line calls `aioq.cli.main`."""
    (script,) = entry_points(group="console_scripts", name="aioq")
    assert script.load() is main


def test_main_without_arguments_prints_help(project: Project) -> None:
    """`aioq` alone prints the help, and so does `aioq cron`."""
    alone = project.aioq()
    assert alone.code == 0
    assert [name for name in ("worker", "cron", "demo") if f"\n    {name} " in alone.out] == ["worker", "cron", "demo"]
    assert alone == project.aioq("--help")
    assert project.aioq("cron") == project.aioq("cron", "--help")


def test_version_lists_installed_distributions(project: Project) -> None:
    """`--version` prints one line with every installed distribution, and Python's version."""
    outcome = project.aioq("--version")
    assert outcome.code == 0
    assert outcome.out.startswith(f"aioq {version('aioq-core')} (aioq-core {version('aioq-core')}, ")
    assert outcome.out.endswith(f"Python {platform.python_version()})\n")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["worker", "tasks:app", "-c", "0"], "worker: concurrency must be between 1 and 10000, got 0"),
        (["worker", "tasks:app", "--lease", "0.5"], "worker: lease must be between 1 and 3600, got 0.5"),
        (["worker", "tasks:app", "--grace", "nan"], "worker: grace must be between 0 and 86400, got nan"),
        (["worker", "tasks:app", "-q", ""], "worker: queue "),
        (["cron", "next", "* * * * *", "-n", "0"], "cron next: -n must be between 1 and 10,000, got 0"),
        (["demo", "--seconds", "2"], "demo: --seconds must be between 5 and 3,600, got 2"),
    ],
)
def test_main_invalid_arguments_print_one_line(project: Project, argv: list[str], text: str) -> None:
    """The command prints one line to stderr and exits with 2."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    outcome = project.aioq(*argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"aioq: {text}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["wroker"], "'wroker'"),
        (["worker"], "MODULE:APP"),
        (["worker", "tasks:app", "--conc", "3"], "--conc 3"),
        (["worker", "tasks:app", "-c", "many"], "-c/--concurrency: .*'many'"),
        (["worker", "tasks:app", "--log-level", "loud"], "--log-level: .*'loud'"),
        (["doctor", "--jsno"], "--jsno"),
        (["cron", "next"], "EXPR"),
        (["cron", "next", "* * * * *", "--n", "3"], "--n 3"),
    ],
)
def test_main_unparsable_arguments_name_the_help(project: Project, argv: list[str], named: str) -> None:
    """One line on stderr has the command, argparse's error, and the option to get help."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    outcome = project.aioq(*argv)
    assert (outcome.code, outcome.out) == (2, "")
    words = {"cron": "cron next", "wroker": ""}.get(argv[0], argv[0])
    start = f"{words}: " if words else ""
    assert re.fullmatch(rf"aioq: {start}.*{named}.*; see aioq {words}{' ' if words else ''}--help\n", outcome.err)


def test_python_m_aioq_runs_main() -> None:
    """`python -m aioq` works if the script is not on the PATH."""
    done = subprocess.run([sys.executable, "-m", "aioq", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("aioq ")


@pytest.mark.parametrize(
    ("argv", "code"), [(["cron", "next", "* * * * *", "-n", "10000"], 141), (["demo"], -signal.SIGPIPE)]
)
def test_main_closed_pipe_ends_silently(argv: list[str], code: int) -> None:
    """If the reader closes the pipe, the command ends without output."""
    command = [sys.executable, "-m", "aioq", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == code


def test_help_never_shows_broker_url(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command shows AIOQ_BROKER_URL in its help."""
    monkeypatch.setenv("AIOQ_BROKER_URL", "redis://me:hunter2@localhost:6379/0")
    seen: list[list[str]] = [[]]
    for words in seen:  # which grows
        outcome = project.aioq(*words, "--help")
        assert outcome.code == 0
        assert "hunter2" not in outcome.out + outcome.err
        _, _, commands = outcome.out.partition("\n  COMMAND\n")
        seen += [[*words, name] for name in re.findall(r"^    (\w+)", commands, re.MULTILINE)]
    assert len(seen) > 14
    assert ["cron", "backfill"] in seen
    assert "hunter2" not in project.aioq("--version").out
