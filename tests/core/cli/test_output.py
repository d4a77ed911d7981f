"""Plain text tables."""

from __future__ import annotations

from aioq.cli.output import Column, table

COLUMNS = (Column("NAME", least=8, keep_end=True), Column("NOTE", least=6), Column("RUN"))
ROWS = [("myapp.tasks.report", "a remark", "now"), ("x", "y", "1\n2")]


def test_columns_are_aligned() -> None:
    """Each column is as wide as its widest text; nothing stands at the end of a line but text."""
    assert table(COLUMNS, ROWS) == (
        "NAME                NOTE      RUN\n"
        "myapp.tasks.report  a remark  now\n"
        "x                   y         1\n"
        "                              2"
    )  # fmt: skip


def test_a_narrow_terminal_cuts_what_may_be_cut() -> None:
    """Long texts lose their end, or their beginning where the end tells them apart."""
    assert table(COLUMNS, ROWS, width=22) == (
        "NAME      NOTE     RUN\n"
        "...eport  a re...  now\n"
        "x         y        1\n"
        "                   2"
    )  # fmt: skip


def test_what_may_not_be_cut_stays() -> None:
    """A terminal that is too narrow for the least widths gets longer lines, not lost facts."""
    assert table(COLUMNS, ROWS, width=5).splitlines()[1] == "...eport  a r...  now"


def test_a_cell_cannot_steer_the_terminal() -> None:
    """What a name from the broker has of control characters is shown, not obeyed."""
    shown = table([Column("entry"), Column("why")], [["\x1b[2Ja\r", "b\x00"]])
    assert shown.splitlines()[-1].split() == [r"\x1b[2Ja\r", r"b\x00"]
