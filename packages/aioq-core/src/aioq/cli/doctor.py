"""`aioq doctor`: checks a broker and says what to do about each problem."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from aioq.cli.arguments import Commands, add_json, add_target, add_timeout, timeout_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import state_color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import GAP, Column, Table, out_has_color, print_json, print_out, terminal_width
from aioq.model.health import Finding, Level
from aioq.protocols import Diagnosable
from aioq.serialization.failure import one_line

__all__ = ["doctor", "findings_text", "register", "summary"]

MAX_TEXT: Final = 4096
"""Characters of a finding or of its advice that are shown."""

MIN_WRAP: Final = 30
"""Columns of a finding in a narrow terminal."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="check a broker for problems",
        description="Check a broker: its settings, leaked keys, and the state of its queues. Changes nothing without "
        f"--fix. The exit code is {Exit.FAILED} if jobs are lost or do not run, or soon will be.",
    )
    add_target(parser, optional=True)
    add_timeout(parser, 60.0)
    parser.add_argument(
        "--fix", action="store_true", help="first remove stored data that belong to no job, and put damaged data right"
    )
    add_json(parser)
    parser.set_defaults(run=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print the findings of a broker."""
    timeout = timeout_of(arguments, "doctor")
    app = load_target(arguments.target, "doctor", arguments.namespace)
    findings = run_connected(
        app, lambda: feature_of(app, Diagnosable, "doctor").diagnose(fix=arguments.fix), timeout=timeout
    )
    if arguments.json:
        print_json({"ok": not _failed(findings), "findings": [_as_json(finding) for finding in findings]})
    else:
        print_out(findings_text(findings, terminal_width(), color=out_has_color()))
        worst = max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)
        print_out(summary(findings), state_color(worst))
    return Exit.FAILED if _failed(findings) else Exit.OK


def findings_text(findings: Sequence[Finding], width: int | None, *, color: bool = False) -> str:
    """Return findings as a table, each with its advice below, wrapped to `width` columns, in colours if asked for."""
    subject = max((len(one_line(finding.subject)) for finding in findings), default=0)
    room = None if width is None else max(MIN_WRAP, width - len("LEVEL") - subject - 2 * len(GAP))
    columns = (Column("LEVEL", color=state_color), Column("WHAT", least=12), Column("FINDING"))
    return Table(columns, [_row(finding, room) for finding in findings]).text(width, color=color)


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of findings of each level."""
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return f"{counts[Level.FAIL]} fail, {counts[Level.WARN]} warn, {counts[Level.OK]} ok"


def _row(finding: Finding, room: int | None) -> tuple[str, str, str]:
    # A store may hold names with any characters, such as escape sequences of terminals.
    texts = [finding.text, *([f"-> {finding.advice}"] if finding.advice else [])]
    lines = [one_line(text, MAX_TEXT) for text in texts]
    if room is not None:
        lines = [part for line in lines for part in wrap(line, room, subsequent_indent="   ")]
    return finding.level.value, one_line(finding.subject), "\n".join(lines)


def _failed(findings: Sequence[Finding]) -> bool:
    return any(finding.level is Level.FAIL for finding in findings)


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "level": finding.level.value,
        "subject": finding.subject,
        "text": finding.text,
        "advice": finding.advice,
        "facts": dict(finding.facts),
    }
