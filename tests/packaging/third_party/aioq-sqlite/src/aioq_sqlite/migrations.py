"""Makes the schema of a file, and says what the schema lacks.

The file stores as its `user_version` how many migrations were done. To change the schema, add a migration: those that
exist are never changed, because files have them already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

from aioq import BrokerConfigError

__all__ = ["migrate", "missing_in", "missing_migrations"]

MIGRATIONS = {
    "1: tables of jobs, workers and signals": "1_jobs.sql",
    "2: tables of entries and ticks": "2_crons.sql",
    "3: table of workers that fire entries": "3_attendance.sql",
    "4: table of schedules that clients store": "4_schedules.sql",
    "5: attempts of jobs": "5_attempts.sql",
    "6: tables of counts": "6_counts.sql",
    "7: table of failures": "7_failures.sql",
    "8: tables of orders and changes": "8_control.sql",
}


def missing_migrations(path: str, *, patience: float) -> list[str]:
    """Return what a file lacks, without a change to it; everything if there is no file."""
    if not Path(path).exists():
        return list(MIGRATIONS)
    with closing(_connect(path, "ro", patience)) as connection:
        return missing_in(connection, path)


def migrate(path: str, *, patience: float) -> list[str]:
    """Do what a file lacks in one transaction, and return it; the file is made if there is none."""
    with closing(_connect(path, "rwc", patience)) as connection:
        # The setting stays in the file. Readers and the writer do not wait for each other then.
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            missing = missing_in(connection, path)
            for name in missing:
                script = resources.files("aioq_sqlite").joinpath("schema", MIGRATIONS[name]).read_text("utf-8")
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return missing


def missing_in(connection: sqlite3.Connection, path: str) -> list[str]:
    """Return what an open file lacks.

    Raises:
        BrokerConfigError: A newer release has migrated the file.
    """
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    if done > len(MIGRATIONS):
        raise BrokerConfigError(
            f"{path} has {done} migrations, and this release of aioq-sqlite knows {len(MIGRATIONS)}: update it"
        )
    return list(MIGRATIONS)[done:]


def _connect(path: str, mode: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(path).as_uri()}?mode={mode}", uri=True, timeout=patience, isolation_level=None)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: `executescript` would commit the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
