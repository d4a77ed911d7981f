"""Shows on a terminal, below the log, what a worker does: one line that is written again twice a second."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Mapping
from typing import Final, TextIO

import anyio

from aioq.cli.colors import Color, has_color, painted
from aioq.cli.log_format import JsonFormatter
from aioq.cli.log_handler import BackgroundHandler
from aioq.clock import SystemClock
from aioq.conformance import supports
from aioq.events import JobEvent
from aioq.protocols import JobStore
from aioq.worker import Worker

__all__ = ["LiveLine", "live_handler", "line_text"]

INTERVAL: Final = 0.5
"""Seconds between two texts of the line."""

SAMPLES: Final = 11
"""The rate is that of the latest 5 seconds."""

WAITING_INTERVAL: Final = 1.0
"""Seconds between two questions to the broker."""

FAILURES: Final = (JobEvent.FAILED, JobEvent.EXPIRED, JobEvent.DEAD)


def live_handler(stream: TextIO, environment: Mapping[str, str]) -> BackgroundHandler | None:
    """Return the handler below whose lines a live line can stand; None if there is none, or `stream` is no terminal.

    A dumb terminal cannot clear a line, and lines of JSON are for programs. An app that configures logging has handlers
    of its own, whose lines would tear the live line.
    """
    if not stream.isatty() or environment.get("TERM", "dumb") == "dumb":
        return None
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BackgroundHandler) and not isinstance(handler.formatter, JsonFormatter):
            return handler
    return None


class LiveLine:
    """The line of one worker.

    Args:
        worker: The worker.
        handler: Writes the line, so that records of the log stand above it.
        environment: The environment variables, which decide whether the line has colours.
    """

    def __init__(self, worker: Worker, handler: BackgroundHandler, environment: Mapping[str, str]) -> None:
        self._worker = worker
        self._handler = handler
        self._color = has_color(sys.stderr, environment)
        self._clock = SystemClock()
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        """Moments, and the jobs that had ended by then."""
        self._waiting: int | None = None

    async def run(self) -> None:
        """Show the line until cancelled."""
        self._worker.summary.each_minute = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._count_waiting)
            try:
                while True:
                    self._handler.show_line(self._text())
                    await self._clock.sleep(INTERVAL)
            finally:
                self._handler.show_line("")

    async def _count_waiting(self) -> None:
        """Ask the broker for the jobs that are due and wait, beside the line: it goes on during an outage."""
        broker = self._worker.app.broker
        while supports(broker, JobStore):
            try:
                stats = await broker.queue_stats()
                self._waiting = sum(one.pending for one in stats if one.queue in self._worker.queues)
            except Exception:  # the log of the worker tells of outages
                self._waiting = None
            await self._clock.sleep(WAITING_INTERVAL)

    def _text(self) -> str:
        summary = self._worker.summary
        counts = summary.counts()
        done, failed = counts[JobEvent.COMPLETED], sum(counts[event] for event in FAILURES)
        now = self._clock.monotonic()
        self._samples.append((now, done + failed))
        began, before = self._samples[0]
        rate = (done + failed - before) / (now - began) if now > began else 0.0
        return line_text(
            running=summary.running, done=done, failed=failed, rate=rate, waiting=self._waiting,
            width=_width(sys.stderr), color=self._color,
        )  # fmt: skip


def line_text(
    *, running: int, done: int, failed: int, rate: float, waiting: int | None, width: int, color: bool
) -> str:
    """Return the text of the line, cut to fit into one line of the terminal.

    Args:
        waiting: Jobs that are due and wait; None if that is not known.
        width: The columns of the terminal.
        color: Show failures in red.
    """
    failures = f"{failed:,} failed"
    parts = [f"{running:,} running", f"{done:,} done", failures, f"{rate:,.1f}/s"]
    if waiting is not None:
        parts.append(f"{waiting:,} waiting")
    # One column stays empty: a full line makes some terminals begin the next one.
    text = " | ".join(parts)[: max(0, width - 1)]
    return text.replace(failures, painted(failures, Color.RED)) if color and failed else text


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
