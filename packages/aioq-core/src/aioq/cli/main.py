"""The command `aioq` as a whole: its parser, and how its commands end."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from aioq.cli import check, cron, demo, doctor, jobs, worker
from aioq.cli.arguments import show_help
from aioq.cli.exit_codes import CommandError, Exit, exit_for
from aioq.cli.output import print_err, redact
from aioq.cli.version import versions
from aioq.errors import AioqError

__all__ = ["main"]


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Refuse what is left over here, where it is known which command it was meant for."""
        known, left = super().parse_known_args(*args, **options)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return known, left

    def error(self, message: str) -> NoReturn:
        """Print the message and where to read more, and exit."""
        command = self.prog.partition(" ")[2]
        print_err(f"{f'{command}: ' if command else ''}{message}; see {self.prog} --help")
        raise SystemExit(Exit.USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aioq` on arguments, those of the process when None, and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(words=words)
    try:
        _parser().parse_args(words, arguments)
        return int(arguments.run(arguments))
    except SystemExit as end:  # argparse, after --help and --version too
        return end.code if isinstance(end.code, int) else Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except (CommandError, AioqError) as error:
        if getattr(arguments, "log_level", None) == "debug":
            sys.stderr.write(redact("".join(traceback.format_exception(error.__cause__ or error))))
        print_err(str(error))
        return exit_for(error)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="aioq",
        description="An async job queue and cron scheduler: run workers, and look at schedules and jobs.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=versions(), help="show what is installed and exit")
    show_help(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (worker, cron, jobs, check, doctor, demo):
        command.register(commands)
    return parser
