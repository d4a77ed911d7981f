"""The pages show only commands and options that exist, and docs/cli.md shows all of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from inspect import signature
from typing import TypeAlias

import pytest

from aioq import Worker
from aioq.cli import main
from aioq.cli.exit_codes import Exit
from tests.docs.fences import PAGES, ROOT, fences

CLI = ROOT / "docs" / "cli.md"
Helper: TypeAlias = Callable[[str], str]

COMMANDS = (
    "worker", "cron list", "cron next", "cron explain", "cron run", "cron pause", "cron resume", "cron add", "cron remove",
    "cron backfill",
    "cron history", "cron diff", "jobs list", "jobs show", "jobs cancel", "jobs retry", "jobs replay", "jobs failures", "jobs failures dismiss", "queues list", "queues pause",
    "queues resume", "tasks list", "tasks diff", "tasks stop", "tasks restore", "stats", "workers", "enqueue", "check", "doctor", "broker migrate", "web", "demo", "completion",
)  # fmt: skip

GROUPS = {command.split()[0] for command in COMMANDS if " " in command}


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Return the help text of `aioq COMMAND --help`."""
    monkeypatch.setenv("COLUMNS", "200")

    def ask(command: str) -> str:
        assert main([*command.split(), "--help"]) == 0, f"there is no command aioq {command}"
        return capsys.readouterr().out

    return ask


def shown() -> Iterator[tuple[str, list[str]]]:
    """Yield every call of `aioq` in the pages, with its place."""
    for page in PAGES:
        for fence in fences(page):
            text = re.sub(r"\\\n\s*", "", fence.body)
            for line in text.splitlines() if fence.language not in ("python", "text") else ():
                if found := re.search(r"(?:^|[\s/\"])aioq\"?,? \"?[a-z].*", line):
                    yield fence.where, words(found[0])


def words(line: str) -> list[str]:
    """Return the words of a command line, or of a list of them as in a Dockerfile."""
    if line.strip().startswith('"'):
        return [str(word) for word in json.loads(f"[{line.strip().rstrip(']')}]")]
    text = line.partition(" && ")[0].lstrip(' /"').rstrip(" /")
    return shlex.split(text.rstrip('"') if text.count('"') % 2 else text)


CALLS = list(shown())


@pytest.mark.parametrize(("where", "call"), CALLS, ids=[where for where, _ in CALLS])
def test_shown_command_exists(where: str, call: list[str], help_of: Helper) -> None:
    """Each command in a page exists, with each of its options."""
    command = next(found for n in (4, 3, 2) if (found := " ".join(call[1:n])) in COMMANDS or n == 2)
    text = help_of(command)
    for option in [word.partition("=")[0] for word in call if word.startswith("-") and word != "--help"]:
        assert re.search(rf"(^|[\s,\[|]){option}\b", text), f"{where}: aioq {command} has no {option}"


def test_search_finds_known_commands() -> None:
    """The search finds the commands that the pages are known to have."""
    assert {"worker", "cron", "demo"} <= {call[1] for _, call in CALLS}


@pytest.mark.parametrize("command", COMMANDS)
def test_cli_page_lists_every_option(command: str, help_of: Helper) -> None:
    """The table below a command's heading has all of its options and no others."""
    section = CLI.read_text().partition(f"## aioq {command}\n")[2].partition("\n## ")[0]
    table = {name for line in section.splitlines() if line.startswith("| `-") for name in names(line.split("|")[1])}
    usage = help_of(command).partition("\n\n")[0]
    assert table == {name for name in names(help_of(command)) if name not in ("-h", "--help")}, usage


def test_worker_defaults_agree(help_of: Helper) -> None:
    """The page, the command and `Worker` have the same defaults."""
    section = CLI.read_text().partition("## aioq worker\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:3]] for line in section.splitlines() if line.startswith("| `-")
    ]
    page = {row[0].rpartition("--")[2].replace("-", "_"): row[1] for row in rows}
    worker = {name: parameter.default for name, parameter in signature(Worker).parameters.items()}
    for name in ("concurrency", "lease", "max_block", "grace"):
        assert page[name] == f"{worker[name]:g}"
        assert re.search(rf"--{name.replace('_', '-')}\s[^;]*; {page[name]} by default", help_of("worker"))


def names(text: str) -> set[str]:
    """Return the options that a text names."""
    return set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", text))


def test_cli_page_has_every_command(help_of: Helper) -> None:
    """The page has a heading for each command, and no other."""
    top = set(re.findall(r"^    (\w+)  ", help_of(""), re.MULTILINE))
    verbs = {
        f"{group} {verb}" for group in GROUPS for verb in re.findall(r"^    (\w+)  ", help_of(group), re.MULTILINE)
    }
    assert (top - GROUPS) | verbs == {command for command in COMMANDS if command.count(" ") < 2}
    assert re.findall(r"^## aioq (.+)$", CLI.read_text(), re.MULTILINE) == list(COMMANDS)


def test_cli_page_lists_exit_codes() -> None:
    """The page lists all exit codes."""
    table = CLI.read_text().partition("## Exit codes")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(Exit)
