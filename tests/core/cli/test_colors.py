"""Output has colours on a terminal, and none in a pipe, in JSON, with NO_COLOR, or on a dumb terminal."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from aioq.cli.colors import Color, count_color, has_color, painted, state_color
from aioq.cli.output import Column, Table
from aioq.model.cron import TickStatus
from aioq.model.health import Level
from aioq.model.states import JobState
from tests.core.cli.terminal import aioq_on_terminal, environment_with

TASKS = """
    import anyio
    from aioq import Aarq
    from aioq.model.job import ClaimRequest, Completed, Failed, Failure, NewJob
    from tests.core.cli.far import FarBroker

    broker = FarBroker()
    app = Aarq(broker)

    @app.cron("0 0 1 1 *")
    async def broken(ctx) -> None:
        raise OSError("disk full")

    async def run_jobs() -> None:
        jobs = [NewJob(id=id, task="shop.send", queue="mails", payload=b"{}", delay=delay) for id, delay in JOBS.items()]
        await broker.near.enqueue(jobs)
        request = ClaimRequest(worker_id="w", queues=("mails",), limit=2, lease=30, request_id="1")
        done, bad = (await broker.near.claim(request)).leases
        failure = Failure("KeyError", "no address", "", "shop:f")
        await broker.near.settle([
            Completed(lease=done, retain_for=999), Failed(lease=bad, failure=failure, retain_for=999)
        ])

    JOBS = {"done": 0, "bad": 0, "late": 60}
    anyio.run(run_jobs)
"""

SEQUENCE = re.compile(r"\x1b\[\d+m")


def bold(text: str) -> str:
    """Return a text in bold."""
    return f"\x1b[1m{text}\x1b[0m"


def red(text: str) -> str:
    """Return a text in red."""
    return f"\x1b[31m{text}\x1b[0m"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app of which one job has failed, one has completed, and one is not due yet."""
    (tmp_path / "tasks.py").write_text(dedent(TASKS))
    return tmp_path


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return what it is."""
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "colored"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (True, {"WT_SESSION": "7"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "0"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (False, {"TERM": "xterm"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": ""}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_has_color_follows_stream_and_environment(terminal: bool, environment: dict[str, str], colored: bool) -> None:
    """NO_COLOR is strongest, then FORCE_COLOR, then what the stream is."""
    assert has_color(Stream(terminal=terminal), environment) is colored


def test_painted_text_ends_its_color() -> None:
    """A colour ends with its text; without a colour or a text nothing is added."""
    assert painted("failed", Color.RED) == red("failed")
    assert painted("failed", None) == "failed"
    assert painted("", Color.RED) == ""


def test_failures_are_red_and_every_outcome_has_a_color() -> None:
    """Jobs that need a person are red in each place; states that wait are plain."""
    colors = {state: state_color(state) for state in JobState}
    assert [state for state, color in colors.items() if color is Color.RED] == ["failed", "dead", "expired"]
    assert [state for state, color in colors.items() if color is None] == ["pending", "scheduled"]
    assert all(state_color(word) for word in [*TickStatus, *Level])
    assert state_color("dead: malformed") is state_color("OVERDUE 12:00") is Color.RED
    assert state_color("failure") is None


def test_only_counts_of_something_are_red() -> None:
    """A 0 is no alarm."""
    assert [count_color(text) for text in ("", "0", "1", "1,000")] == [None, None, Color.RED, Color.RED]


@pytest.mark.parametrize("width", [None, 22])
def test_colors_change_no_width_of_a_table(width: int | None) -> None:
    """Without its colours a coloured table is the plain one, also if cells are cut or have several lines."""
    columns = (Column("NAME", least=8, keep_end=True), Column("STATE", least=6, color=state_color), Column("RUN"))
    table = Table(columns, [("myapp.tasks.report", "failed at noon", "now"), ("x", "ok", "1\n2"), ("y", "", "")])
    colored = table.text(width, color=True)
    assert SEQUENCE.sub("", colored) == table.text(width)
    assert red("failed at noon" if width is None else "fail...") in colored
    assert colored.splitlines()[0].split() == [bold("NAME"), bold("STATE"), bold("RUN")]


def test_text_of_the_broker_brings_no_color() -> None:
    """A name with a sequence for the terminal is escaped, in a coloured table, too."""
    shown = Table([Column("NAME")], [["\x1b[32mok"]]).text(color=True)
    assert shown == f"{bold('NAME')}\n\\x1b[32mok"


def test_terminal_shows_states_in_color(folder: Path) -> None:
    """`jobs list` has a bold heading, and the state of a failed job in red."""
    code, text = aioq_on_terminal(folder, "jobs", "list", "tasks:app")
    assert code == 0
    heading, *rows = text.splitlines()
    assert heading.split() == [bold(name) for name in ("ID", "QUEUE", "TASK", "STATE", "AT", "ERROR")]
    states = {row.split()[3]: row for row in rows}
    assert states.keys() == {red("failed"), "\x1b[32mcompleted\x1b[0m", "scheduled"}
    assert all(len(SEQUENCE.sub("", line)) <= 80 for line in text.splitlines())


def test_terminal_shows_fields_of_a_job_in_color(folder: Path) -> None:
    """`jobs show` has bold names, and the state and the error of a failed job in red."""
    code, text = aioq_on_terminal(folder, "jobs", "show", "tasks:app", "bad")
    assert code == 0
    assert f"{bold('state')}     {red('failed')}\n" in text
    assert f"{bold('failure')}   {red('KeyError: no address')}\n" in text


def test_terminal_shows_failed_commands_in_red(folder: Path) -> None:
    """An error, the finding of a check and the failure of a cron are red lines."""
    assert aioq_on_terminal(folder, "jobs", "show", "tasks:app", "nope").text.startswith("\x1b[31maioq: jobs show")
    assert aioq_on_terminal(folder, "jobs", "nothing").text.startswith("\x1b[31maioq: jobs: ")
    check = aioq_on_terminal(folder, "check", "tasks:app")
    assert check.code == 1
    assert check.text.startswith("\x1b[31maioq: check: ")
    run = aioq_on_terminal(folder, "cron", "run", "tasks:app", "tasks.broken")
    assert run.code == 1
    assert run.text.splitlines()[-1].startswith("\x1b[31maioq: tasks.broken failed")


def test_terminal_shows_headings_of_an_explanation_in_bold(folder: Path) -> None:
    """`cron explain` has bold headings and a yellow warning; `cron next` has a bold heading."""
    _, text = aioq_on_terminal(folder, "cron", "explain", "30 2 * * *", "--tz", "Europe/Berlin")
    assert f"\n{bold('Next runs:')}\n" in text
    assert "\n\x1b[33mWarning: " in text
    assert re.search(r"\n\x1b\[1mClock changes of Europe/Berlin until [\d-]+:\x1b\[0m\n", text)
    assert aioq_on_terminal(folder, "cron", "next", "@daily").text.startswith(f"{bold('UTC')}\n")


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (["jobs", "list", "tasks:app"], {"NO_COLOR": "1"}),
        (["jobs", "list", "tasks:app"], {"TERM": "dumb"}),
        (["jobs", "list", "tasks:app", "--json"], {"FORCE_COLOR": "1"}),
        (["check", "tasks:app"], {"NO_COLOR": "1"}),
        (["cron", "explain", "30 2 * * *", "--tz", "Europe/Berlin"], {"NO_COLOR": "1"}),
    ],
    ids=["NO_COLOR", "dumb terminal", "JSON", "stderr", "headings"],
)
def test_terminal_without_colors(folder: Path, argv: list[str], environment: dict[str, str]) -> None:
    """Nothing but text is written."""
    assert "\x1b" not in aioq_on_terminal(folder, *argv, **environment).text


@pytest.mark.parametrize(("environment", "colored"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_pipe_has_colors_only_if_they_are_forced(folder: Path, environment: dict[str, str], colored: bool) -> None:
    """A file has text only, unless a tool such as a CI service asks for colours."""
    done = subprocess.run(
        [sys.executable, "-m", "aioq", "jobs", "list", "tasks:app"], cwd=folder, env=environment_with(**environment),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (red("failed") in done.stdout) is colored
    assert ("\x1b" in done.stdout) is colored


def test_json_on_a_terminal_is_json(folder: Path) -> None:
    """A program may read it."""
    shown = aioq_on_terminal(folder, "jobs", "list", "tasks:app", "--json")
    assert {job["state"] for job in json.loads(shown.text)} == {"failed", "completed", "scheduled"}
