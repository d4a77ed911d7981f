"""Finds an app by `MODULE:APP`, and a cron entry of an app by its name."""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Final

from aioq.app import Aarq
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cron import CronEntry
from aioq.errors import AioqError, BrokerConfigError, DiscoveryError

__all__ = ["find_entry", "load_app", "load_target"]

PATH: Final = r"\w+(\.\w+)*(:\w+(\.\w+)*)?"

LIKE_URL: Final = re.compile(r"@|^[A-Za-z][A-Za-z0-9+.-]+:/")

OWN_PACKAGES: Final = ("aioq", "aioq_cron", "aioq_otel", "aioq_prometheus", "aioq_redis", "aioq_web", "importlib")
"""Packages whose lines are not the cause of a failed import."""

MAX_NAMES: Final = 5
"""Entries that an error lists."""


def load_target(target: str | None, name: str, namespace: str | None = None) -> Aarq:
    """Import the app at `MODULE:APP`, or return an app on the broker at a URL or, if None, at AIOQ_BROKER_URL.

    Args:
        target: The path or the URL.
        name: The name of an app that is made for a URL, and of the command in errors.
        namespace: The namespace of the broker at a URL; its default when None.

    Raises:
        CommandError: As `load_app`; or an app is given a namespace, or the broker has none.
    """
    # An import path cannot contain it.
    if target is None or "://" in target:
        try:
            return Aarq(target, name=name, namespace=namespace)
        except (TypeError, ValueError) as error:
            raise CommandError(f"{name}: {error}") from error
    if namespace is not None:
        raise CommandError(f"{name}: --namespace is for a broker given by its URL; {target} has its own namespace")
    return load_app(target)


def load_app(path: str) -> Aarq:
    """Import the app at `MODULE:APP`, from the current folder if it is there.

    `MODULE` alone will do if the module has a single app.

    Raises:
        CommandError: There is no such module or app, or the module cannot be imported.
    """
    module_name, _, attribute = _checked(path).partition(":")
    module = _import(module_name)
    return _attribute_of(module, attribute) if attribute else _single_app(module)


def find_entry(app: Aarq, path: str, name: str) -> CronEntry:
    """Return a cron entry of the app at `path`.

    Raises:
        CommandError: There is none of this name; suggests another or lists them.
    """
    if (entry := app.crons.get(name)) is not None:
        return entry
    names = sorted(entry.name for entry in app.crons)
    same_function = [known for known in names if known.endswith(f".{name}")]
    if close := same_function or get_close_matches(name, names, n=1):
        raise CommandError(f"{path} has no cron entry {name}; did you mean {close[0]}?")
    more = f", and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    existing = f"it has {', '.join(names[:MAX_NAMES])}{more}" if names else "it has none"
    raise CommandError(f"{path} has no cron entry {name}; {existing}")


def _checked(path: str) -> str:
    module = path.partition(":")[0]
    if LIKE_URL.search(path):
        # Not shown, because it may have a password.
        raise CommandError(
            "this looks like the URL of a broker, which starts with a scheme and ://, as in redis://host"
        )
    if "/" in path or "\\" in path or module.endswith(".py"):
        # The most frequent mistake, so the error has the right path.
        better = re.sub(r"\.py(?=:|$)", "", path).replace("\\", "/").removeprefix("./").strip("/").replace("/", ".")
        hint = f": {better}" if re.fullmatch(PATH, better) else " from its folder"
        raise CommandError(f"{path} is a file; write the module's import path{hint}")
    if not re.fullmatch(PATH, path):
        raise CommandError(f"the path to an app is MODULE:APP, for example myapp.tasks:app; got {path!r}")
    return path


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    # As `python -m` does. The path of an installed command begins with the folder of its script.
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The module itself or a package above it is missing, and not something that it imports.
        if error.name is not None and (error.name == name or name.startswith(f"{error.name}.")):
            raise _no_module(name, error.name) from error
        raise _broken(name, error) from error
    # SystemExit, too: a script may call `main()` without asking for its `__name__`.
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _no_module(name: str, missing: str) -> CommandError:
    parent, _, last = name.rpartition(".")
    if parent in sys.modules and isinstance(getattr(sys.modules[parent], last, None), Aarq):
        return CommandError(f"there is no module {name}; did you mean {parent}:{last}?")
    package, _, wanted = missing.rpartition(".")
    where = f"in {package}" if package else f"in {Path.cwd()} or elsewhere on the Python path"
    folders = list(getattr(sys.modules.get(package), "__path__", [])) if package else [str(Path.cwd())]
    close = get_close_matches(wanted, [found.name for found in iter_modules(folders)], n=1)
    hint = f"; did you mean {f'{package}.' if package else ''}{close[0]}?" if close else ""
    return CommandError(f"there is no module {missing} {where}{hint}")


def _broken(name: str, error: BaseException) -> CommandError:
    text = (error.msg if isinstance(error, SyntaxError) else str(error)).strip()
    kind = type(error).__name__
    what = text if isinstance(error, AioqError) and text else f"{kind}: {text}" if text else kind
    code = Exit.CONFIG if isinstance(error, (BrokerConfigError, DiscoveryError)) else Exit.USAGE
    return CommandError(f"{name} cannot be imported: {what} ({_place(error, name)})", code)


def _place(error: BaseException, name: str) -> str:
    """Return the file and line that failed: the last one that is not in a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}:{error.lineno}"
    # aioq calls the import, and so is part of every traceback.
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _in_aioq(frame.f_globals)]
    spots = [(frame.f_code.co_filename, line, str(frame.f_globals.get("__name__", ""))) for frame, line in frames]
    in_project = [spot for spot in spots if not _in_library(spot[0])]
    package = name.partition(".")[0]
    installed = [spot for spot in spots if spot[2].partition(".")[0] == package]
    # Best is a line of the user's project, then one of the installed package that has the app.
    for file, line, _ in reversed(in_project or installed or spots):
        return f"{_relative(file)}:{line}"
    return "unknown line"


def _in_aioq(names: dict[str, object]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] in OWN_PACKAGES


def _in_library(file: str) -> bool:
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return file.startswith("<") or any(Path(file).is_relative_to(folder) for folder in folders)


def _relative(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _attribute_of(module: ModuleType, attribute: str) -> Aarq:
    found: object = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise CommandError(f"{module.__name__} has no {attribute}; {_instead(module, attribute)}") from error
        except Exception as error:
            raise _broken(f"{module.__name__}:{attribute}", error) from error
    if not isinstance(found, Aarq):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise CommandError(f"{module.__name__}:{attribute} is {kind}, not an Aarq; {_instead(module, attribute)}")
    return found


def _single_app(module: ModuleType) -> Aarq:
    apps = {id(app): app for _, app in _apps(module)}  # one app may have several names
    if len(apps) != 1:
        found = "several apps" if apps else "no Aarq"
        raise CommandError(f"{module.__name__} has {found}; {_instead(module, '')}")
    return next(iter(apps.values()))


def _instead(module: ModuleType, attribute: str) -> str:
    names = [name for name, _ in _apps(module)]
    if not names:
        return "write app = Aarq() at the top level of the module, or name the module that has it"
    paths = [f"{module.__name__}:{name}" for name in names]
    close = get_close_matches(attribute, names, n=1)
    if close or (attribute and len(paths) == 1):
        return f"did you mean {module.__name__}:{(close or names)[0]}?"
    return f"name one of {', '.join(paths)}"


def _apps(module: ModuleType) -> Iterator[tuple[str, Aarq]]:
    for name, value in sorted(vars(module).items()):
        if isinstance(value, Aarq):
            yield name, value
