"""One SQLite file, and transactions on it that never block the event loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from importlib import resources
from typing import TypeVar

import anyio.to_thread

from aioq import BrokerConfigError, BrokerFull, BrokerUnavailable

__all__ = ["Database"]

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for another process that is writing."""

WRONG_FILE = {"SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY"}


class Database:
    """A file that several processes may have open at the same time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.Lock()

    async def open(self) -> None:
        """Open the file, and create what is missing in it."""
        await anyio.to_thread.run_sync(self._open)

    async def close(self) -> None:
        """Close the file."""
        await anyio.to_thread.run_sync(self._close)

    async def transact(self, work: Callable[[sqlite3.Connection], T], then: Callable[[T], object] = bool) -> T:
        """Run `work` in a thread, as one transaction.

        The transaction also commits if the caller is cancelled meanwhile. After the commit `then` is called with the
        result of `work`, whether the caller still waits or not.
        """
        return await anyio.to_thread.run_sync(self._transact, work, then)

    def _open(self) -> None:
        with self._turn:
            try:
                self._connection = self._connection or self._connected()
            except sqlite3.Error as error:
                raise self._translated(error) from error

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(resources.files("aioq_file").joinpath("schema.sql").read_text())
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _transact(self, work: Callable[[sqlite3.Connection], T], then: Callable[[T], object]) -> T:
        with self._turn:
            if self._connection is None:
                raise BrokerUnavailable(f"{self.path} is not open")
            try:
                # The end of the block commits; an exception rolls back.
                with self._connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    answer = work(connection)
            except sqlite3.Error as error:
                raise self._translated(error) from error
            then(answer)
            return answer

    def _translated(self, error: sqlite3.Error) -> Exception:
        """Return the error as one that clients and workers handle."""
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            return BrokerFull(f"no room in {self.path}")
        kind = BrokerConfigError if name in WRONG_FILE else BrokerUnavailable
        return kind(f"{self.path}: {error}")
