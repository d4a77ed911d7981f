"""Writes log records to a stream from a thread, so that a stream that nobody reads blocks neither tasks nor signals."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Final, TextIO

__all__ = ["CLEAR", "BackgroundHandler"]

MAX_LINES: Final = 10_000
"""Lines that wait for the stream. Further lines are dropped and counted."""

FLUSH_TIMEOUT: Final = 1.0
"""Seconds for which `flush` waits for a stream that takes no lines."""


CLEAR: Final = "\r\x1b[K"
"""Moves to the start of a terminal's line, and clears it."""


class BackgroundHandler(logging.Handler):
    """Formats records where they are logged, and writes their text from a daemon thread.

    The pipe behind stderr may be full because its reader stands still. A `logging.StreamHandler` would then block
    the event loop. This handler drops what does not fit, and writes how many lines that were as soon as it can.

    Args:
        stream: Where the lines go.
        max_lines: How many lines may wait for the stream.
    """

    def __init__(self, stream: TextIO, *, max_lines: int = MAX_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._max_lines = max_lines
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()
        self._unwritten = 0
        """Lines that wait or are being written."""
        self._dropped = 0
        self._live = ""
        self._shown = ""
        """What stands on the terminal of `_live`."""
        self._thread: threading.Thread | None = None
        self._closed = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_over)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the text of a record; count it as dropped if too many lines wait."""
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if len(self._lines) >= self._max_lines:
                self._dropped += 1
                return
            self._lines.append(text)
            self._unwritten += 1
            self._wake()

    def show_line(self, text: str) -> None:
        """Keep a line below all others on a terminal, in place of the one before; the empty text removes it.

        Args:
            text: One line that fits into the width of the terminal.
        """
        with self._changed:
            self._live = text
            self._wake()

    def flush(self) -> None:
        """Wait until all lines are written, or the stream has taken none for a second."""
        with self._changed:
            while left := self._unwritten:
                self._changed.wait_for(lambda: self._unwritten < left, FLUSH_TIMEOUT)
                if self._unwritten >= left:
                    return

    def close(self) -> None:
        """Write what waits, as `flush` does, and end the thread."""
        self.flush()
        with self._changed:
            self._live = ""
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(FLUSH_TIMEOUT)
        super().close()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="aioq log", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _start_over(self) -> None:
        """Forget the lines of the parent in a forked child, which has no thread, and perhaps a locked lock."""
        self._changed = threading.Condition()
        self._lines.clear()
        self._unwritten = 0
        self._dropped = 0
        self._live = ""
        self._shown = ""
        self._thread = None

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._live != self._shown or self._closed)
                if not self._lines and self._live == self._shown:
                    return
                taken = len(self._lines)
                text = self._take()
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                pass  # the reader has gone, or the stream is closed: there is no place to say so
            with self._changed:
                self._unwritten -= taken
                self._changed.notify_all()

    def _take(self) -> str:
        """Return what is to be written: the lines that wait, above the live line."""
        text = CLEAR if self._shown else ""
        text += "".join(f"{line}\n" for line in self._lines)
        self._lines.clear()
        if self._dropped:
            text += f"aioq: {self._dropped} log lines were dropped, because stderr took no more\n"
            self._dropped = 0
        self._shown = self._live
        return text + self._live
