"""The command line that starts the process again."""

from __future__ import annotations

import sys

import pytest

from aioq.cli.process import own_command_line


@pytest.mark.parametrize(
    ("started", "command"),
    [
        (["python", "-X", "dev", "-m", "aioq", "worker", "a:b"], ["-X", "dev", "-m", "aioq", "worker", "x"]),
        (["/venv/bin/python", "/venv/bin/aioq", "worker", "a:b"], ["/venv/bin/aioq", "worker", "x"]),
        (["python", "-m", "pytest"], ["-m", "aioq", "worker", "x"]),
        (["worker", "a:b"], ["-m", "aioq", "worker", "x"]),
    ],
)
def test_own_command_line_keeps_interpreter_and_script(
    monkeypatch: pytest.MonkeyPatch, started: list[str], command: list[str]
) -> None:
    """The command line has the same interpreter options and script; without a script it uses the module."""
    monkeypatch.setattr(sys, "orig_argv", started)
    assert own_command_line(["worker", "a:b"], ["worker", "x"]) == [sys.executable, *command]
