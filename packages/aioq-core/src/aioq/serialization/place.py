"""Finds the place of an exception in the code of the application: the same one after an edit that moves lines."""

from __future__ import annotations

import sysconfig
from functools import lru_cache
from types import FrameType
from typing import Final

__all__ = ["place_of"]

OWN_PREFIXES: Final = ("aioq.", "aioq_")
"""How the names of modules of aioq begin."""

LIBRARY_FOLDERS: Final = ("site-packages", "dist-packages")

STANDARD_LIBRARY: Final = tuple(
    path.replace("\\", "/") + "/" for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")} if path
)


def place_of(error: BaseException, package: str) -> str:
    """Return `module:function` of the innermost frame of the application in a traceback; empty without one.

    It has no number of a line, so that it stays the same while the code around it changes.

    Args:
        error: The exception, with its traceback.
        package: The top-level package of the task, which belongs to the application also if it is installed among
            libraries. All code outside the folders of libraries does, too.
    """
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        if _is_of_application(traceback.tb_frame, package):
            found = f"{_module_of(traceback.tb_frame)}:{traceback.tb_frame.f_code.co_qualname}"
        traceback = traceback.tb_next
    return found


def _is_of_application(frame: FrameType, package: str) -> bool:
    module = _module_of(frame)
    if package and module.partition(".")[0] == package:
        return True
    return not module.startswith(OWN_PREFIXES) and not _is_library(frame.f_code.co_filename)


@lru_cache(maxsize=1024)
def _is_library(filename: str) -> bool:
    path = filename.replace("\\", "/")
    if path.startswith(("<frozen ", *STANDARD_LIBRARY)):
        return True
    return any(folder in path.split("/") for folder in LIBRARY_FOLDERS)


def _module_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else "?"
