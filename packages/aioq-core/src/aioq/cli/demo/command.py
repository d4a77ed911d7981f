"""`aioq demo`: shows crons, jobs, retries and a delay on the memory broker."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Final

import anyio

from aioq.cli.arguments import Commands
from aioq.cli.changes import user_at_host
from aioq.cli.cron.overview import code_table
from aioq.cli.demo.app import DELAY, FAILURES, Demo
from aioq.cli.demo.shop import DemoShop
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.logs import configure_logging
from aioq.cli.output import exit_when_reader_leaves, print_err, print_out, terminal_width
from aioq.cli.times import now
from aioq.clock import SystemClock

__all__ = ["register"]

MIN_SECONDS: Final = 5
"""Long enough for the delayed job and the retries."""

MAX_SECONDS: Final = 3_600

HOST: Final = "127.0.0.1"
PORT: Final = 8080


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
    parser.add_argument(
        "--web", action="store_true", help="keep a shop busy until Ctrl-C, and show it in a browser; needs aioq[web]"
    )
    parser.add_argument("--port", type=int, default=PORT, metavar="PORT", help="the port; %(default)s by default")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; fail if anything went wrong."""
    if arguments.web:
        return _run_with_dashboard(arguments.port)
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


def _run_with_dashboard(port: int) -> int:
    """Keep a shop busy and serve its dashboard, until Ctrl-C."""
    try:
        # By name, because core must not import the package.
        serving, access = import_module("aioq_web.serving"), import_module("aioq_web.access")
    except ModuleNotFoundError as error:
        raise CommandError('demo: --web needs the dashboard; run: pip install "aioq[web]"', Exit.CONFIG) from error
    configure_logging("error")
    shop = DemoShop()
    user = access.User(user_at_host(), frozenset(access.Right))

    async def run() -> None:
        async with anyio.create_task_group() as parts:
            parts.start_soon(shop.run)
            await serving.serve(shop.app, host=HOST, port=port, local_user=user)
            parts.cancel_scope.cancel()

    print_out(f"aioq demo: a shop on the memory broker. Open http://{HOST}:{port} in a browser; Ctrl-C ends it.")
    anyio.run(run)
    return Exit.OK


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
