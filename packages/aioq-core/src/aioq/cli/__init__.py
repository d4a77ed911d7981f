"""The command `aioq`: one module per command. `main` has the list of them."""

from aioq.cli.main import main as main

__all__ = ["main"]
