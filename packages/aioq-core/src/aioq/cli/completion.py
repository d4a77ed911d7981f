"""`aioq completion`: makes a shell complete command lines of `aioq`, and answers when it asks what may come next."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from aioq.app import Aarq
from aioq.cli.arguments import Commands
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_out

__all__ = ["app_paths", "complete", "register"]

SHELLS: Final = ("bash", "zsh", "fish")

APP: Final = re.compile(r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(?:aioq\.)?Aarq\(", re.MULTILINE)
"""An app at the top level of a module."""

MAX_DEPTH: Final = 3
"""Folders below the current one in which apps are looked for."""

MAX_ENTRIES: Final = 2_000
"""Files and folders that are looked at."""

MAX_FILE: Final = 200_000
"""Characters of a module in which apps are looked for."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands in bash, zsh or fish",
        description="Print a script with which a shell completes the command lines of aioq: commands, options, apps of "
        "the current folder, and the tasks, queues and crons of an app, which is imported for that.",
        epilog='example: eval "$(aioq completion bash)" in ~/.bashrc',
        allow_abbrev=False,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}")
    parser.set_defaults(run=print_script)


def print_script(arguments: argparse.Namespace) -> int:
    """Print the script of a shell.

    Raises:
        CommandError: argcomplete is not installed.
    """
    if find_spec("argcomplete") is None:
        raise CommandError('argcomplete is not installed; run: pip install "aioq-core[completion]"', Exit.CONFIG)
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - of an extra

    # Without the options by which bash offers files if there is nothing else to offer.
    script = shellcode(["aioq"], shell=arguments.shell, complete_arguments=["-o", "nospace"])
    print_out(script.strip())
    return Exit.OK


def complete(
    parser_of: Callable[[Sequence[str]], argparse.ArgumentParser], also_of: Callable[[Sequence[str]], Iterable[str]]
) -> int:
    """Write what may stand at the cursor of a shell, which runs the command with the line in its environment.

    Args:
        parser_of: Returns the parser of a command line that begins with these words.
        also_of: Returns what may follow these words and is not in the parser: a subcommand, if the words are a command
            themselves.
    """
    if find_spec("argcomplete") is None:
        return Exit.CONFIG  # without a word: it would appear within the line that the user writes
    from argcomplete.completers import SuppressCompleter  # noqa: PLC0415 - of an extra
    from argcomplete.finders import CompletionFinder  # noqa: PLC0415 - of an extra
    from argcomplete.lexers import split_line  # noqa: PLC0415 - of an extra

    _, _, _, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    words = words[1:]

    class Finder(CompletionFinder):
        """Offers subcommands of a command that can do without, and options only if there is nothing else."""

        def collect_completions(self, active_parsers: Any, parsed_args: Any, cword_prefix: str) -> list[str]:
            found = super().collect_completions(active_parsers, parsed_args, cword_prefix)
            found += [name for name in also_of(words) if name.startswith(cword_prefix)]
            if not found and not cword_prefix:
                self.always_complete_options = "long"
                found = super().collect_completions(active_parsers, parsed_args, cword_prefix)
            return found

    parser = parser_of(words)
    _add_completers(parser)
    Finder()(parser, always_complete_options=False, default_completer=SuppressCompleter())
    return Exit.OK


def _add_completers(parser: argparse.ArgumentParser) -> None:
    """Tell argcomplete what stands for each argument of a parser and its subcommands: the help says it, too."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way, and argcomplete does the same
        choices: object = action.choices
        if isinstance(choices, Mapping):  # those of subcommands are their parsers
            for command in cast("Mapping[str, argparse.ArgumentParser]", choices).values():
                _add_completers(command)
        elif isinstance(action.metavar, str) and (completer := COMPLETERS.get(action.metavar)):
            action.completer = completer  # type: ignore[attr-defined]


def _offer_apps(**_: object) -> Iterable[str]:
    return app_paths(Path.cwd())


def app_paths(folder: Path) -> list[str]:
    """Return `MODULE:APP` of the apps in the modules below a folder, sorted. Nothing is imported."""
    found: list[str] = []
    for file in _modules(folder):
        module = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        try:
            with file.open(encoding="utf-8", errors="ignore") as source:
                found += [f"{module}:{name}" for name in APP.findall(source.read(MAX_FILE))]
        except OSError:
            continue
    return sorted(found)


def _modules(folder: Path) -> Iterator[Path]:
    """Yield the modules below a folder that can be imported, those of the upper folders first."""
    folders, entries = [(folder, 0)], 0
    for place, depth in folders:  # which grows
        try:
            inside = sorted(place.iterdir())
        except OSError:
            continue
        for entry in inside[: MAX_ENTRIES - entries]:
            entries += 1
            if entry.suffix == ".py" and entry.stem.isidentifier():
                yield entry
            elif depth < MAX_DEPTH and entry.name.isidentifier() and entry.is_dir():
                folders.append((entry, depth + 1))


def _of_app(names_of: Callable[[Aarq], Mapping[str, str]]) -> Callable[..., Mapping[str, str]]:
    """Return a completer that offers names of the app on the command line, with what they are."""

    def offer(parsed_args: argparse.Namespace, **_: object) -> Mapping[str, str]:
        path: str | None = getattr(parsed_args, "app", None) or getattr(parsed_args, "target", None)
        # At a URL there is no code to ask, and a broker may be slow.
        if path is None or "://" in path:
            return {}
        try:
            return names_of(load_app(path))
        # The user sees the error when the command runs.
        except (Exception, SystemExit):
            return {}

    return offer


COMPLETERS: Final[Mapping[str, Callable[..., Iterable[str]]]] = {
    "MODULE:APP": _offer_apps,
    "MODULE:APP|URL": _offer_apps,
    "QUEUE": _of_app(lambda app: dict.fromkeys(app.queues, "")),
    "TASK": _of_app(lambda app: {task.name: f"queue {task.defaults.queue}" for task in app.tasks}),
    "ENTRY": _of_app(lambda app: {entry.name: entry.expression for entry in app.crons}),
}
"""What is offered for arguments by their names in the help."""
