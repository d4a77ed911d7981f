"""How the demo is asked for, and how it is told."""

from __future__ import annotations

import argparse

import anyio

from aioq.cli.arguments import Commands
from aioq.cli.cron import entry_table
from aioq.cli.demo.app import DELAY, FAILURES, Play
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.logs import configure
from aioq.cli.output import complain, ending_with_its_reader, say, width
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
    play = Play(Narrator().tell)
    with ending_with_its_reader():
        _introduce(play, seconds)
        anyio.run(play.perform, float(seconds))
        return _summarize(play, seconds)


class Narrator:
    """Prints what happens as it happens, with the seconds since the first event."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._start: float | None = None

    def tell(self, kind: str, name: str, text: str) -> None:
        """Print one line."""
        if self._start is None:
            self._start = self._clock.monotonic()
        say(f"  {self._clock.monotonic() - self._start:5.2f} s  {kind:<4}  {name:<8} {text}")


def _introduce(play: Play, seconds: int) -> None:
    columns = width()
    say(f"aioq demo: an app and a worker on the embedded broker, for {seconds} seconds.\n")
    say("1. The crons of the documentation, and when each runs next:\n")
    say(_indented(entry_table(play.documented, now(), width=columns and columns - 2)))
    say("\n2. A worker fires a cron every second and runs 5 jobs:")
    say(f"   greet runs at once, fetch fails {FAILURES} times and is tried again, remind waits {DELAY:g} s.")
    say("   Lines of the worker say cron or job; app is the program that enqueues and gets results.\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _summarize(play: Play, seconds: int) -> int:
    say(f"\n3. What happened in {seconds} seconds:\n")
    for what, text in play.score.lines():
        say(f"  {what:<15} {text}")
    if faults := list(play.score.faults()):
        complain(f"demo: this is not what should have happened: {'; '.join(faults)}")
        return Exit.FAILED
    say('\nNext: write a module of your own and run "aioq worker MODULE:APP".')
    return Exit.OK
