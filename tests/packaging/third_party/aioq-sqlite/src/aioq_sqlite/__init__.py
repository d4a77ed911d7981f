"""A broker for aioq that keeps jobs and crons in one SQLite file, shared by the processes of one machine."""

from aioq_sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
