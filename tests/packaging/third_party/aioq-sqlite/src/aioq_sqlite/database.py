"""Opens one SQLite file, and runs transactions on it that never block the event loop."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from aioq import BrokerConfigError, BrokerFull, BrokerUnavailable
from aioq.clock import Clock
from aioq.errors import MigrationRequired
from aioq_sqlite.migrations import migrate, missing_in, missing_migrations
from aioq_sqlite.transaction import Transaction

__all__ = ["Database", "Role"]

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for another process that is writing."""

PAUSE = 0.0005
"""Seconds between two looks whether it still writes. SQLite's own wait grows to 0.1 s, and the lock would lie idle."""

LOCKED = {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED"}
WRONG_FILE = {"SQLITE_CANTOPEN", "SQLITE_CANTOPEN_ISDIR", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY"}

# Threads of its own, for each event loop: tasks that are plain functions may occupy all of the default limiter.
_threads: RunVar[anyio.CapacityLimiter] = RunVar("aioq_sqlite_threads")


class Database:
    """A file that several processes have open, and one connection to it. Its methods block, but for `run`.

    Args:
        path: The file.
        clock: The clock of the broker: all processes are on one machine, so that of the host will do.
        synchronous: SQLite's setting of that name.
        patience: Seconds to wait for another process that is writing.

    Attributes:
        has_snapshots: Whether readers of the open file see what was committed while a writer goes on.
    """

    def __init__(self, path: str, clock: Clock, *, synchronous: str, patience: float = PATIENCE) -> None:
        self.path = path
        self.clock = clock
        self._synchronous = synchronous
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self.has_snapshots = True
        self._turn = threading.Lock()

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """Run a call in a thread. The thread does not end if the caller is cancelled."""
        try:
            limiter = _threads.get()
        except LookupError:
            _threads.set(limiter := anyio.CapacityLimiter(4))
        return await anyio.to_thread.run_sync(call, *args, limiter=limiter)

    def open(self) -> None:
        """Open the file."""
        with self._turn, self._translated():
            self._connection = self._connection or self._prepared()
            self._process = os.getpid()

    def close(self) -> None:
        """Close the file, once a running transaction has ended."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def transact(self, work: Callable[[Transaction], T], then: Callable[[T], object] = bool) -> T:
        """Run `work` as one transaction. After the commit call `then` with its result, and return the result."""
        with self._turn:
            # SQLite forbids a forked process to use the connection.
            if self._connection is None or self._process != os.getpid():
                raise BrokerUnavailable(f"{self.path} is not open in this process")
            with self._translated(), self._transaction(self._connection) as transaction:
                transaction.begin()
                answer = work(transaction)
            then(answer)
            return answer

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which must not write, on what is committed now."""
        with self._translated(), closing(self.connect()) as connection:
            connection.execute("BEGIN")
            return work(Transaction(connection, self.clock.time()))

    def missing_migrations(self) -> list[str]:
        """Return what the file lacks; see `aioq.protocols.Migratable.missing_migrations`."""
        with self._translated():
            return missing_migrations(self.path, patience=self._patience)

    def migrate(self) -> list[str]:
        """Do what the file lacks; see `aioq.protocols.Migratable.migrate`."""
        with self._translated():
            return migrate(self.path, patience=self._patience)

    def sibling(self, *, patience: float) -> Database:
        """Return the same file, to be opened with a connection of its own."""
        return Database(self.path, self.clock, synchronous=self._synchronous, patience=patience)

    def connect(self) -> sqlite3.Connection:
        """Return a new connection that does not wait for locks."""
        if not Path(self.path).exists():
            raise MigrationRequired(self.path, missing_migrations(self.path, patience=self._patience))
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection

    def _prepared(self) -> sqlite3.Connection:
        connection = self.connect()
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self.has_snapshots = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            if missing := missing_in(connection, self.path):
                raise MigrationRequired(self.path, missing)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[Transaction]:
        self._begin(connection)
        try:
            transaction = Transaction(connection, self.clock.time())
            yield transaction
            transaction.finish()
            connection.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Take the lock for writing: of two transactions that read first and then wrote, one would fail."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname not in LOCKED or time.monotonic() > give_up:
                    raise
            else:
                return
            time.sleep(PAUSE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise errors of SQLite as those that clients and workers distinguish."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name == "SQLITE_FULL":
                raise BrokerFull(f"no room in {self.path}") from error
            kind = BrokerConfigError if name in WRONG_FILE else BrokerUnavailable
            raise kind(f"{self.path}: {error}") from error


class Role:
    """Base of the classes that the broker consists of, one for each protocol."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _transact(self, work: Callable[[Transaction], T], then: Callable[[T], object] = bool) -> T:
        """Run `work` in a thread as one transaction; `then` is called even if the caller is cancelled meanwhile."""
        return await self._database.run(self._database.transact, work, then)
