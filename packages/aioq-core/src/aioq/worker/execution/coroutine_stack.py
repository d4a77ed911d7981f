"""Shows where a suspended coroutine waits."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Generator
from itertools import dropwhile
from types import FrameType
from typing import Any

__all__ = ["coroutine_stack"]

MAX_FRAMES = 30
"""Frames that are shown, the innermost ones."""

OWN_MODULES = "aioq."
"""How the names of the modules begin whose frames stand before those of a task."""


def coroutine_stack(coroutine: object) -> str:
    """Return the stack of a suspended coroutine, innermost frame last, without the frames of the worker."""
    # `Task.get_stack` shows the outermost frame only. Before the frames of the worker stand those of a task group.
    frames = dropwhile(_is_own, dropwhile(lambda frame: not _is_own(frame), _frames(coroutine)))
    shown = deque(frames, MAX_FRAMES)
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in shown)
    return "".join(traceback.format_list(summary)).rstrip()


def _frames(awaited: Any) -> Generator[FrameType]:
    while awaited is not None:
        for prefix, inner in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
                awaited = getattr(awaited, inner)
                break
        else:
            return


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(OWN_MODULES)
