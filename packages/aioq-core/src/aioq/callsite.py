"""Whose code called: the module and the line, as messages and names need them."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import FrameType

__all__ = ["calling_line", "calling_module", "imported_as"]


def calling_module() -> str:
    """Return the name of the module that called into aioq, as a worker would import it.

    Characters that names do not have are replaced.
    """
    frame = _caller()
    module = imported_as(frame.f_globals.get("__name__", "__main__")) if frame else "__main__"
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", module)[:200]


def calling_line() -> str:
    """Return file and line of the call into aioq."""
    frame = _caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"


def imported_as(module: str) -> str:
    """Return the name under which a worker would import a module.

    It differs for a script that is run, and so is called `__main__`.
    """
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules[module]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(file).stem if file is not None and file.endswith(".py") else module


def _caller() -> FrameType | None:
    frame = inspect.currentframe()
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith("aioq."):
        frame = frame.f_back
    return frame
