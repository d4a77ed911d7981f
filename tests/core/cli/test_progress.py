"""How far a long piece of work has come, on stderr."""

from __future__ import annotations

import io
import sys

import pytest

from aioq.cli import output as progress
from aioq.cli.output import Progress


class Terminal(io.StringIO):
    """A screen that remembers all that was written to it."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_on_a_terminal_one_line_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure changes in place, and makes room in the end."""
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    told = Progress("report", 10_000)
    told.show(1)
    told.show(2_500)
    told.clear()
    assert screen.getvalue() == "\r\x1b[Kreport: 1 of 10,000\r\x1b[Kreport: 2,500 of 10,000\r\x1b[K"


def test_elsewhere_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log gets whole lines, and none for work that is quickly done."""
    told = Progress("report", 10)
    told.show(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    told.show(2)
    told.clear()
    assert capsys.readouterr().err == "report: 2 of 10\n"
