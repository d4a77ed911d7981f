"""Holds what the steps of one transaction share: the connection, the moment, turns and signals."""

from __future__ import annotations

import sqlite3
from typing import Any

from aioq.model.failures import FAILURE_TTL

__all__ = ["Transaction"]

KEPT_SIGNALS = 10_000
"""Signals that are kept: a listener that was further behind wakes all of its waits."""


class Transaction:
    """One transaction, which sees one moment of the broker's clock."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.now = now
        self.execute = connection.execute
        self.executemany = connection.executemany
        # A dictionary as an ordered set: a batch of jobs gives one signal for its queue.
        self._signals: dict[tuple[str, str, bytes], None] = {}
        self._latest_turn: int | None = None

    def begin(self) -> None:
        """Make jobs pending that came due, and drop records whose retention is over."""
        due = "UPDATE jobs SET state = 'pending' WHERE state IN ('scheduled', 'retrying') AND run_at <= ?"
        self.execute(due, (self.now,))
        self.execute("DELETE FROM jobs WHERE forget_at <= ?", (self.now,))
        self.execute("DELETE FROM failures WHERE failed_at <= ?", (self.now - FAILURE_TTL,))

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query."""
        row: sqlite3.Row | None = self.execute(query, values).fetchone()
        return row

    def value(self, query: str, *values: object) -> Any:
        """Return the first column of the first row; None without a row."""
        row = self.execute(query, values).fetchone()
        return row[0] if row else None

    def turn(self) -> int:
        """Return the next number of all jobs that line up."""
        if self._latest_turn is None:
            self._latest_turn = int(self.value("SELECT latest FROM turns"))
        self._latest_turn += 1
        return self._latest_turn

    def signal(self, kind: str, name: str, body: bytes = b"") -> None:
        """Wake those who wait for something, in every process, once the transaction is committed."""
        self._signals[kind, name, body] = None

    def finish(self) -> None:
        """Store the turns and the signals."""
        if self._latest_turn is not None:
            self.execute("UPDATE turns SET latest = ?", (self._latest_turn,))
        if self._signals:
            self.executemany("INSERT INTO signals (kind, name, body) VALUES (?, ?, ?)", self._signals)
            self.execute("DELETE FROM signals WHERE number <= (SELECT MAX(number) FROM signals) - ?", (KEPT_SIGNALS,))
