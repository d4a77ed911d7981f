"""A broker for aioq that keeps jobs in one SQLite file."""

from aioq_file.broker import FileBroker
from aioq_file.jobs import MinimalFileBroker

__all__ = ["FileBroker", "MinimalFileBroker"]
