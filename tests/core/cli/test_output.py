"""Printing: tables, progress, and passwords in URLs."""

from __future__ import annotations

import io
import json
import sys

import pytest

from aioq.cli import output
from aioq.cli.output import Column, Progress, Table, print_json, redact

COLUMNS = (Column("NAME", least=8, keep_end=True), Column("NOTE", least=6), Column("RUN"))
ROWS = [("myapp.tasks.report", "a remark", "now"), ("x", "y", "1\n2")]


def test_table_aligns_columns() -> None:
    """Each column is as wide as its longest text, and lines have no trailing blanks."""
    assert Table(COLUMNS, ROWS).text() == (
        "NAME                NOTE      RUN\n"
        "myapp.tasks.report  a remark  now\n"
        "x                   y         1\n"
        "                              2"
    )  # fmt: skip


def test_table_narrow_width_cuts_cells() -> None:
    """Long texts lose their end, or their beginning if the column keeps the end."""
    assert Table(COLUMNS, ROWS).text(22) == (
        "NAME      NOTE     RUN\n"
        "...eport  a re...  now\n"
        "x         y        1\n"
        "                   2"
    )  # fmt: skip


def test_table_keeps_least_widths() -> None:
    """If the least widths do not fit, lines are longer than the terminal."""
    assert Table(COLUMNS, ROWS).text(5).splitlines()[1] == "...eport  a r...  now"


def test_table_escapes_control_characters() -> None:
    """Control characters in a name from the broker are escaped."""
    shown = Table([Column("entry"), Column("why")], [["\x1b[2Ja\r", "b\x00"]]).text()
    assert shown.splitlines()[-1].split() == [r"\x1b[2Ja\r", r"b\x00"]


class Terminal(io.StringIO):
    """A terminal that keeps everything that is written to it."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_progress_terminal_rewrites_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number changes in place, and the line is cleared at the end."""
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    progress = Progress("report", 10_000)
    progress.show(1)
    progress.show(2_500)
    progress.clear()
    assert screen.getvalue() == "\r\x1b[Kreport: 1 of 10,000\r\x1b[Kreport: 2,500 of 10,000\r\x1b[K"


def test_progress_file_gets_a_line_per_interval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log gets whole lines, and none if the work ends quickly."""
    progress = Progress("report", 10)
    progress.show(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(output, "PROGRESS_INTERVAL", 0.0)
    progress.show(2)
    progress.clear()
    assert capsys.readouterr().err == "report: 2 of 10\n"


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
def test_redact_replaces_passwords(text: str, shown: str) -> None:
    """Text between the user's name and the host is never printed."""
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\x7f", "\x9b31m", "\u202egnp.exe", "\u2028", "\U000e0041", "\ud800", "a\nb\tc", "\u00e9 \U0001f986"],
)
def test_print_json_writes_printable_characters_only(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts from the broker cannot steer a terminal, and a program reads them unchanged."""
    print_json({"note": text, text: [text]})
    written = capsys.readouterr().out
    assert written.replace("\n", "").isprintable()
    assert json.loads(written) == {"note": text, text: [text]}


def test_print_json_keeps_printable_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Text in other scripts stays readable."""
    print_json({"note": "\u00e9\u4e2d\x1b"})
    assert capsys.readouterr().out == '{\n  "note": "\u00e9\u4e2d\\u001b"\n}\n'
