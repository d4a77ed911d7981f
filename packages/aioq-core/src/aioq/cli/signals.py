"""Acts on the signals of a worker or a supervisor from a thread, so that a blocked event loop does not hold them up.

| signal | what happens |
| --- | --- |
| SIGTERM, SIGINT, SIGHUP | the first stops, a second one aborts, or ends a process whose event loop is blocked |
| SIGQUIT | the stacks of all threads and tasks are written to stderr |
| SIGUSR1, SIGUSR2 | nothing but a log line |
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from types import FrameType
from typing import Final

from aioq.cli.exit_codes import Exit
from aioq.cli.process import exit_now

__all__ = ["IGNORED", "STACKS", "STOPS", "SignalReceiver", "end_if_blocked", "ignore"]

LOOP_TIMEOUT: Final = 5.0
"""Seconds that the event loop has to answer after a second signal."""

ABORT_TIMEOUT: Final = 25.0
"""Seconds that a process has to end after a second signal."""

PROBE_INTERVAL: Final = 0.5
"""Seconds between two questions to the event loop after a second signal."""

MAX_FRAMES: Final = 30
"""Frames of each stack that are written, the innermost ones."""

LOGGER: Final = logging.getLogger("aioq.cli")


def _present(*names: str) -> tuple[signal.Signals, ...]:
    """Return the signals of these names that the platform has."""
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


STOPS: Final = _present("SIGTERM", "SIGINT", "SIGHUP")
IGNORED: Final = _present("SIGUSR1", "SIGUSR2")
STACKS: Final = _present("SIGQUIT")


class SignalReceiver:
    """Receives the signals of a process that stops in order.

    Args:
        stop: Called in the event loop for each signal to stop.
        forced: End the process if the event loop does not answer after the second signal to stop. A worker of a
            supervisor leaves that to the supervisor's order.
        on_stacks: Called in the event loop after the stacks were asked for.
        logger: Where it logs the signals.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        *,
        forced: bool,
        on_stacks: Callable[[], None] | None = None,
        logger: logging.Logger = LOGGER,
    ) -> None:
        self._stop = stop
        self._forced = forced
        self._on_stacks = on_stacks
        self._logger = logger
        self._numbers: SimpleQueue[int | None] = SimpleQueue()
        self._stops = 0
        self._writing_stacks = False

    @asynccontextmanager
    async def receiving(self) -> AsyncGenerator[None]:
        """Receive signals in the block, except those that the app handles itself.

        A SIGHUP or SIGINT that was ignored stays ignored, as `nohup` and shells want it.
        """
        loop = asyncio.get_running_loop()
        taken = [number for number in (*STOPS, *STACKS, *IGNORED) if _is_default(number)]
        before = {number: signal.getsignal(number) for number in taken}
        threading.Thread(target=self._act, args=(loop,), name="aioq signals", daemon=True).start()
        for number in taken:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._numbers.put(None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # In the main thread, in the middle of anything: a handler may neither wait for a lock nor log.
        self._numbers.put(number)

    def _act(self, loop: asyncio.AbstractEventLoop) -> None:
        while (number := self._numbers.get()) is not None:
            with suppress(RuntimeError):  # the event loop has ended in the meantime
                self._act_on(signal.Signals(number), loop)

    def _act_on(self, number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
        if number in STOPS:
            self._stops += 1
            if self._stops == 2 and self._forced:
                end_if_blocked(loop)
            loop.call_soon_threadsafe(self._stop)
            _log_aside(self._logger, logging.INFO, "signal_received", "received %s", number.name)
        elif number in STACKS:
            if self._on_stacks is not None:
                loop.call_soon_threadsafe(self._on_stacks)
            self._write_stacks(loop)
        else:
            _log_aside(
                self._logger, logging.INFO, "signal_ignored", "received %s, which has no meaning here", number.name
            )

    def _write_stacks(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._writing_stacks:  # stderr has not taken the ones before
            return
        self._writing_stacks = True

        def write() -> None:
            try:
                sys.stderr.write("\n".join(_stacks(loop)) + "\n")
                sys.stderr.flush()
            finally:
                self._writing_stacks = False

        threading.Thread(target=write, name="aioq stacks", daemon=True).start()


def end_if_blocked(loop: asyncio.AbstractEventLoop) -> None:
    """Start a thread that ends the process if the event loop does not answer, or does not end in time."""
    threading.Thread(target=_end_if_blocked, args=(loop,), name="aioq abort", daemon=True).start()


def ignore(numbers: Iterable[signal.Signals]) -> None:
    """Make signals do nothing until they are received."""
    for number in numbers:
        if _is_default(number):
            # A handler and not SIG_IGN: processes that tasks start would inherit that.
            signal.signal(number, _ignored)


def _ignored(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


def _is_default(number: signal.Signals) -> bool:
    """Return whether neither the app nor the caller of the process has decided what a signal does."""
    handler = signal.getsignal(number)
    # `asyncio.run` has a handler of its own for SIGINT.
    owner = getattr(getattr(handler, "func", handler), "__module__", None)
    return handler in (signal.SIG_DFL, signal.default_int_handler, _ignored) or owner == "asyncio.runners"


def _log_aside(logger: logging.Logger, level: int, event: str, message: str, *args: object) -> None:
    """Log from another thread: a handler of the user may block, and the next signal must not wait for it."""
    threading.Thread(
        target=logger.log,
        args=(level, message, *args),
        kwargs={"extra": {"event": event}},
        name="aioq signal log",
        daemon=True,
    ).start()


def _end_if_blocked(loop: asyncio.AbstractEventLoop) -> None:
    pause = threading.Event()
    for _ in range(round(ABORT_TIMEOUT / PROBE_INTERVAL)):
        answered = threading.Event()
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return  # the loop has ended, and signals have their default actions again
        if not answered.wait(LOOP_TIMEOUT):
            if loop.is_closed():
                return
            break
        pause.wait(PROBE_INTERVAL)
    _log_aside(
        LOGGER, logging.WARNING, "exit_forced", "exiting: the event loop does not answer, or the worker does not end"
    )
    exit_now(Exit.TERMINATED)


def _stacks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        yield f"Thread {names.get(ident, ident)} (most recent call last):"
        yield "".join(traceback.format_list(traceback.extract_stack(frame, MAX_FRAMES))).rstrip()
    for task in asyncio.all_tasks(loop):
        yield f"Task {task.get_name()} (most recent call last):"
        summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(task.get_coro()))
        yield "".join(traceback.format_list(summary[-MAX_FRAMES:])).rstrip()
    yield f"End of the stacks of process {os.getpid()}"


def _frames(awaited: object) -> Iterator[FrameType]:
    """Yield the frames of a coroutine and of all that it awaits. `Task.get_stack` has only the first of them."""
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):  # coroutines, generators, asynchronous generators
            if (frame := getattr(awaited, f"{kind}_frame", None)) is not None:
                yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
