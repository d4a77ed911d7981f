"""The command `aioq`: one file per command, `program` puts them together."""

from aioq.cli.main import main as main

__all__ = ["main"]
