"""How the demo is asked for, and how it is told."""

from __future__ import annotations

import argparse

import anyio

from aioq.cli.arguments import Commands
from aioq.cli.cron import entry_table
from aioq.cli.demo.app import DELAY, FAILURES, Demo
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.logs import configure
from aioq.cli.output import exit_when_reader_leaves, print_err, print_out, terminal_width
from aioq.cli.times import now
from aioq.clock import SystemClock

__all__ = ["register"]

LEAST = 5
"""Seconds: the delayed job and the retries fit in."""
MOST = 3_600


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="watch crons and jobs run for ten seconds; needs no server",
        description="Watch a worker fire a cron and run jobs, with a retry and a delay. Needs no server.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seconds", type=int, default=10, metavar="N", help="how long; %(default)s by default, at least 5"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the demo; fail unless all that it shows has happened."""
    seconds: int = arguments.seconds
    if not LEAST <= seconds <= MOST:
        raise CommandError(f"demo: --seconds must be between {LEAST} and {MOST:,}, got {seconds}")
    configure("error")
    play = Demo(EventPrinter().tell)
    with exit_when_reader_leaves():
        _introduce(play, seconds)
        anyio.run(play.perform, float(seconds))
        return _summarize(play, seconds)


class EventPrinter:
    """Prints what happens as it happens, with the seconds since the first event."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._start: float | None = None

    def tell(self, kind: str, name: str, text: str) -> None:
        """Print one line."""
        if self._start is None:
            self._start = self._clock.monotonic()
        print_out(f"  {self._clock.monotonic() - self._start:5.2f} s  {kind:<4}  {name:<8} {text}")


def _introduce(play: Demo, seconds: int) -> None:
    columns = terminal_width()
    print_out(f"aioq demo: an app and a worker on the embedded broker, for {seconds} seconds.\n")
    print_out("1. The crons of the documentation, and when each runs next:\n")
    print_out(_indented(entry_table(play.documented, now(), width=columns and columns - 2)))
    print_out("\n2. A worker fires a cron every second and runs 5 jobs:")
    print_out(f"   greet runs at once, fetch fails {FAILURES} times and is tried again, remind waits {DELAY:g} s.")
    print_out("   Lines of the worker say cron or job; app is the program that enqueues and gets results.\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _summarize(play: Demo, seconds: int) -> int:
    print_out(f"\n3. What happened in {seconds} seconds:\n")
    for what, text in play.score.lines():
        print_out(f"  {what:<15} {text}")
    if faults := list(play.score.faults()):
        print_err(f"demo: this is not what should have happened: {'; '.join(faults)}")
        return Exit.FAILED
    print_out('\nNext: write a module of your own and run "aioq worker MODULE:APP".')
    return Exit.OK
