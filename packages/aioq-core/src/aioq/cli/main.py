"""The command `aioq`: its parser, and its exit codes."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Final, NoReturn, cast

from aioq.cli.arguments import Commands
from aioq.cli.colors import Color
from aioq.cli.exit_codes import CommandError, Exit, exit_for
from aioq.cli.extensions import COMMAND_GROUP, extension_names, list_extension, register_extension
from aioq.cli.output import print_err, print_out, redact
from aioq.discovery import BROKERS, EXPORTERS, SCHEDULERS
from aioq.errors import AioqError

__all__ = ["main", "versions"]

DISTRIBUTIONS: Final = ("aioq-core", "aioq-cron", "aioq-otel", "aioq-prometheus", "aioq-redis", "aioq-web")


@dataclass(frozen=True, slots=True)
class Group:
    """A command that only has subcommands."""

    help: str
    commands: Mapping[str, str | Group]
    """The module of each subcommand."""
    default: str = ""
    """The module of the command itself, for words that are no subcommand; empty if it prints its help then."""


COMMANDS: Final[Mapping[str, str | Group]] = {
    "worker": "aioq.cli.worker",
    "cron": Group(
        "show and control cron entries",
        {
            "list": "aioq.cli.cron.list",
            "next": "aioq.cli.cron.preview",
            "explain": "aioq.cli.cron.preview",
            "run": "aioq.cli.cron.run",
            "pause": "aioq.cli.cron.pause",
            "resume": "aioq.cli.cron.pause",
            "add": "aioq.cli.cron.add",
            "remove": "aioq.cli.cron.add",
            "backfill": "aioq.cli.cron.backfill",
            "history": "aioq.cli.cron.history",
            "diff": "aioq.cli.cron.diff",
        },
    ),
    "broker": Group("migrate the store of a broker", {"migrate": "aioq.cli.broker.migrate"}),
    "jobs": Group(
        "show and change jobs, and those that need a person",
        {
            "list": "aioq.cli.jobs.list",
            "show": "aioq.cli.jobs.show",
            "cancel": "aioq.cli.jobs.change",
            "retry": "aioq.cli.jobs.change",
            "replay": "aioq.cli.jobs.replay",
            "failures": Group(
                "list failures by cause; dismiss them",
                {"dismiss": "aioq.cli.jobs.dismiss"},
                default="aioq.cli.jobs.failures",
            ),
        },
    ),
    "queues": Group(
        "show and control queues",
        {
            "list": "aioq.cli.queues.list",
            "pause": "aioq.cli.queues.pause",
            "resume": "aioq.cli.queues.pause",
        },
    ),
    "tasks": Group(
        "show, compare and control tasks",
        {
            "list": "aioq.cli.tasks.list",
            "diff": "aioq.cli.tasks.diff",
            "stop": "aioq.cli.tasks.stop",
            "restore": "aioq.cli.tasks.stop",
        },
    ),
    "workers": "aioq.cli.workers",
    "stats": "aioq.cli.stats",
    "enqueue": "aioq.cli.enqueue",
    "check": "aioq.cli.check",
    "doctor": "aioq.cli.doctor",
    "demo": "aioq.cli.demo.command",
    "completion": "aioq.cli.completion",
}
"""Every command, and the module whose `register` adds it to the parser."""


COMPLETING: Final = "_ARGCOMPLETE"
"""The environment variable by which a shell asks what may come next, see `aioq completion`."""


class AlignedHelp(argparse.HelpFormatter):
    """Help whose texts begin right of the longest subcommand: argparse does not count the indent of subcommands."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add an argument to the help."""
        super().add_argument(action)
        choices: object = action.choices
        if isinstance(choices, Mapping):  # those of subcommands are their parsers
            names = cast("Mapping[str, argparse.ArgumentParser]", choices)
            longest = max(map(len, names), default=0) + self._current_indent + self._indent_increment
            self._action_max_length = max(self._action_max_length, longest)


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviated options, and reports errors in one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", AlignedHelp)
        super().__init__(**options)

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Parse arguments; reject unknown ones here, where the name of the subcommand is known."""
        known, left = super().parse_known_args(*args, **options)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return known, left

    def error(self, message: str) -> NoReturn:
        """Print the message and how to get help, and exit."""
        command = self.prog.partition(" ")[2]
        print_err(f"{f'{command}: ' if command else ''}{message}; see {self.prog} --help", Color.RED)
        raise SystemExit(Exit.USAGE)


class VersionAction(argparse.Action):
    """Prints the versions and exits; reads them only if they are asked for, because that takes time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Handle the option."""
        print_out(versions())
        raise SystemExit(Exit.OK)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aioq` with these arguments, or those of the process if None, and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(words=words)
    if argv is None and COMPLETING in os.environ:
        complete: Callable[..., int] = import_module("aioq.cli.completion").complete
        return complete(_parser, _subcommands_beside)
    try:
        _parser(words).parse_args(words, arguments)
        return int(arguments.run(arguments))
    except SystemExit as end:  # argparse raises it after --help, too
        return end.code if isinstance(end.code, int) else Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has gone. Python would report the error again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except (CommandError, AioqError) as error:
        if getattr(arguments, "log_level", None) == "debug":
            sys.stderr.write(redact("".join(traceback.format_exception(error.__cause__ or error))))
        print_err(str(error), Color.RED)
        return exit_for(error)


def versions() -> str:
    """Return the versions of aioq's distributions, of those that extend it, and of Python, in one line."""
    # aioq is a bundle of the others, and need not be installed itself.
    installed = dict(_installed(("aioq", *DISTRIBUTIONS, *_extending())))
    parts = [f"{name} {installed[name]}" for name in installed if name != "aioq"]
    parts.append(f"Python {platform.python_version()}")
    return f"aioq {next(iter(installed.values()), 'unknown')} ({', '.join(parts)})"


def _extending() -> list[str]:
    """Return the names of other distributions that extend aioq by an entry point, sorted."""
    groups = (BROKERS, SCHEDULERS, EXPORTERS, COMMAND_GROUP)
    points = [point for group in groups for point in entry_points(group=group)]
    return sorted({point.dist.name for point in points if point.dist} - set(DISTRIBUTIONS))


def _installed(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="aioq",
        description="An async job queue and cron scheduler: run workers, show and control cron entries and jobs.",
    )
    parser.add_argument("--version", action=VersionAction, nargs=0, help="show the installed versions and exit")
    first = words[0] if words else ""
    # Looked for only if needed: it takes longer than importing a command.
    extensions = [] if first in COMMANDS else extension_names()
    if first in extensions:
        register_extension(first, _add_commands(parser, {}, words))
        return parser
    subparsers = _add_commands(parser, COMMANDS, words)
    for name in extensions:
        if name in COMMANDS:
            print_err(f"an installed package provides the command {name}, which is left out: aioq has one of this name")
        else:
            list_extension(name, subparsers)
    return parser


def _subcommands_beside(words: Sequence[str]) -> Sequence[str]:
    """Return the subcommands of the command that these words are, if it can do without; its parser has none of them."""
    command: str | Group | None = Group("", COMMANDS)
    for word in words:
        command = command.commands.get(word) if isinstance(command, Group) else None
    return [*command.commands] if isinstance(command, Group) and command.default else []


def _add_commands(
    parser: argparse.ArgumentParser, commands: Mapping[str, str | Group], words: Sequence[str]
) -> Commands:
    """Add subcommands to a parser, and return its subparsers; without one on the command line it prints its help.

    If the words begin with a subcommand, only that one is added: importing all takes longer than most commands run.
    """

    def show_help(_: argparse.Namespace) -> int:
        print_out(parser.format_help().rstrip())
        return Exit.OK

    parser.set_defaults(run=show_help)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    chosen = {words[0]: commands[words[0]]} if words and words[0] in commands else commands
    added: set[str] = set()
    for name, command in chosen.items():
        if isinstance(command, Group) and command.default and not set(words[1:2]) & command.commands.keys():
            import_module(command.default).register(subparsers)
        elif isinstance(command, Group):
            description = f"{command.help.capitalize()}."
            group = subparsers.add_parser(name, help=command.help, description=description)
            _add_commands(group, command.commands, words[1:])
        elif command not in added:
            # A module may have several commands, and registers all of them.
            added.add(command)
            import_module(command).register(subparsers)
    return subparsers
