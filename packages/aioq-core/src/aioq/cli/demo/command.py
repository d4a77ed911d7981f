"""`aioq demo`: shows crons, jobs, retries and a delay on the memory broker."""

from __future__ import annotations

import argparse
from typing import Final

import anyio

from aioq.cli.arguments import Commands
from aioq.cli.cron.overview import code_table
from aioq.cli.demo.app import DELAY, FAILURES, Demo
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.logs import configure_logging
from aioq.cli.output import exit_when_reader_leaves, print_err, print_out, terminal_width
from aioq.cli.times import now
from aioq.clock import SystemClock

__all__ = ["register"]

MIN_SECONDS: Final = 5
"""Long enough for the delayed job and the retries."""

MAX_SECONDS: Final = 3_600


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="watch crons and jobs run for ten seconds; needs no server",
        description="Watch a worker fire a cron and run jobs, with retries and a delay. Needs no server.",
    )
    parser.add_argument(
        "--seconds", type=int, default=10, metavar="N",
        help=f"seconds to run, at least {MIN_SECONDS}; %(default)s by default",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; fail if anything went wrong."""
    seconds: int = arguments.seconds
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise CommandError(f"demo: --seconds must be between {MIN_SECONDS} and {MAX_SECONDS:,}, got {seconds}")
    # The demo prints every event by itself; the log would show it twice.
    configure_logging("error")
    demo = Demo(EventPrinter().print_event)
    with exit_when_reader_leaves():
        _introduce(demo, seconds)
        anyio.run(demo.run, float(seconds))
        return _summarize(demo, seconds)


class EventPrinter:
    """Prints events as they happen, each with the seconds since the first one."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._start: float | None = None

    def print_event(self, kind: str, name: str, text: str) -> None:
        """Print one line."""
        if self._start is None:
            self._start = self._clock.monotonic()
        print_out(f"  {self._clock.monotonic() - self._start:5.2f} s  {kind:<4}  {name:<8} {text}")


def _introduce(demo: Demo, seconds: int) -> None:
    columns = terminal_width()
    print_out(f"aioq demo: an app and a worker on the memory broker, for {seconds} seconds.\n")
    print_out("1. The crons of the documentation, with their next runs:\n")
    print_out(_indented(code_table(demo.documented_crons, now()).text(columns and columns - 2)))
    print_out("\n2. A worker fires a cron every second and runs 5 jobs:")
    print_out(f"   greet runs at once, fetch fails {FAILURES} times and is retried, remind runs {DELAY:g} s later.")
    print_out("   cron and job mark lines of the worker; app is the program that enqueues jobs.\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _summarize(demo: Demo, seconds: int) -> int:
    print_out(f"\n3. What happened in {seconds} seconds:\n")
    for what, text in demo.report.lines():
        print_out(f"  {what:<15} {text}")
    if faults := list(demo.report.faults()):
        print_err(f"demo: not everything went as expected: {'; '.join(faults)}")
        return Exit.FAILED
    print_out('\nNext: write a module of your own and run "aioq worker MODULE:APP".')
    return Exit.OK
