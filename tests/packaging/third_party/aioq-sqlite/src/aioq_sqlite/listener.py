"""Hears the signals of every process that uses the file.

SQLite cannot call a client. A thread asks it every `POLL` seconds for `PRAGMA data_version`, which changes with each
commit of another connection. That takes some microseconds, and no lock for which a writer waits. Only after a change
it reads the new signals, and wakes the waits that these name. A datagram to each other process would be faster by a
millisecond or two. But the sender would have to know all processes, and a lost datagram would be a lost signal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeAlias

__all__ = ["Listener"]

POLL = 0.004
"""Seconds between two looks at the file."""

RECONNECT = 0.5
"""Seconds until the file is opened again after an error."""

Notify: TypeAlias = Callable[[bytes], None]
"""Takes the body of a signal, in the event loop of the wait; empty if the signal itself may have been missed."""

Schedule: TypeAlias = Callable[[Callable[[], Any]], Any]
"""Calls a function soon in an event loop, from any thread."""


class Listener:
    """Wakes the waits of this process; its thread runs from the first wait until `close`.

    Args:
        connect: Opens a connection to the file.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._waits: defaultdict[tuple[str, str], dict[object, tuple[Schedule, Notify]]] = defaultdict(dict)
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def listening(self, kind: str, names: Iterable[str], notify: Notify) -> Iterator[None]:
        """Call `notify` for each signal of this kind with one of the names that is given during the block."""
        wait, keys = object(), [(kind, name) for name in names]
        with self._lock:
            for key in keys:
                self._waits[key][wait] = (_scheduler(), notify)
            self._start()
        try:
            yield
        finally:
            with self._lock:
                for key in keys:
                    del self._waits[key][wait]
                    if not self._waits[key]:
                        del self._waits[key]
                if not self._waits:
                    self._wanted.clear()

    def close(self) -> None:
        """End the thread. The next wait starts another one."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _start(self) -> None:
        self._wanted.set()
        if self._thread is None:
            self._closed.clear()
            self._thread = threading.Thread(target=self._run, name="aioq-sqlite signals", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            with suppress(sqlite3.Error):
                self._follow()
            self._closed.wait(RECONNECT)

    def _follow(self) -> None:
        """Read signals until the thread ends or the file cannot be read."""
        with closing(self._connect()) as connection:
            latest, version = _latest(connection), None
            # What was given before the connection was there went unheard.
            self._wake_all()
            while not self._closed.wait(POLL):
                self._wanted.wait()
                if version == (version := connection.execute("PRAGMA data_version").fetchone()[0]):
                    continue
                if latest < (newest := _latest(connection)):
                    self._hear(connection, latest)
                    latest = newest

    def _hear(self, connection: sqlite3.Connection, latest: int) -> None:
        """Wake those that wait for the signals after the latest that was heard."""
        rows = connection.execute("SELECT number, kind, name, body FROM signals WHERE number > ? ORDER BY 1", (latest,))
        signals = rows.fetchall()
        if not signals or signals[0]["number"] > latest + 1:
            self._wake_all()  # some were dropped before they were heard
            return
        for signal in signals:
            self._wake([(signal["kind"], signal["name"])], signal["body"])

    def _wake_all(self) -> None:
        with self._lock:
            keys = list(self._waits)
        self._wake(keys, b"")

    def _wake(self, keys: Iterable[tuple[str, str]], body: bytes) -> None:
        with self._lock:
            waits = [wait for key in keys for wait in self._waits.get(key, {}).values()]
        for schedule, notify in waits:
            with suppress(RuntimeError):  # the event loop was closed
                schedule(lambda notify=notify: notify(body))  # type: ignore[misc]


def _latest(connection: sqlite3.Connection) -> int:
    number: int | None = connection.execute("SELECT MAX(number) FROM signals").fetchone()[0]
    return number or 0


def _scheduler() -> Schedule:
    """Return what calls functions in the event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio  # only programs that run on it have it

        return trio.lowlevel.current_trio_token().run_sync_soon
