"""Records which functions of some source folders the event loop's thread calls, in order.

Only the standard library is imported here: the recorder runs beside the packages of any checkout.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

__all__ = ["Recorder", "Recording", "Round", "RoundSelector", "Step"]

Step: TypeAlias = tuple[str, str]
"""A call of a function, or the resumption of a coroutine or generator: its file and its qualified name."""

Round: TypeAlias = list[Step]
"""The steps between two waits of the event loop."""

Recording: TypeAlias = list[Round]

INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
"""Code that is a part of the function around it; some versions of Python run it in a frame of its own."""


class Recorder:
    """Records the calls of functions that are defined in some folders.

    Args:
        folders: The folders; files are named by their path in them.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(f"{folder}{os.sep}" for folder in folders)
        self._steps: dict[CodeType, Step | None] = {}
        self._round: Round = []
        self._importing = 0
        self.recordings: list[Recording] = []
        """Every recording so far; the last one is under way while the recorder runs."""

    def end_round(self) -> None:
        """Begin a new round; a round without steps is left out."""
        if self._round:
            self._round = []

    @contextmanager
    def recording(self) -> Generator[None]:
        """Record the steps of this thread until the block ends."""
        self.recordings.append([])
        self._round = []
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    async def wait_quiet(self, seconds: float) -> None:
        """Wait until no step was recorded for this long."""
        before = -1
        while before != (before := sum(map(len, self.recordings[-1]))):
            await asyncio.sleep(seconds)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code not in self._steps:
            self._steps[code] = self._step(code)
        if (step := self._steps[code]) is None:
            return
        if code.co_name == "<module>":
            # A module that is imported on the way is no part of the walk, nor is anything that it calls.
            if frame.f_globals.get("__name__") != "__main__":
                self._importing += 1 if event == "call" else -1
        elif event == "call" and not self._importing and code.co_flags & CO_OPTIMIZED:
            self._add(step)

    def _step(self, code: CodeType) -> Step | None:
        folder = next((one for one in self._folders if code.co_filename.startswith(one)), None)
        if folder is None or code.co_name in INLINE:
            return None
        return code.co_filename.removeprefix(folder).replace(os.sep, "/"), code.co_qualname

    def _add(self, step: Step) -> None:
        if not self._round:
            self.recordings[-1].append(self._round)
        self._round.append(step)


class RoundSelector(selectors.DefaultSelector):
    """The selector of an event loop; calls `end_round` after every wait.

    Args:
        end_round: What to call.
    """

    def __init__(self, end_round: Callable[[], None]) -> None:
        super().__init__()
        self._end_round = end_round

    def select(self, timeout: float | None = None) -> Any:
        """Wait for events."""
        events = super().select(timeout)
        self._end_round()
        return events
