"""A broker for aioq that keeps jobs in one SQLite file."""

from aioq_file.broker import FileBroker
from aioq_file.line import FileLine

__all__ = ["FileBroker", "FileLine"]
