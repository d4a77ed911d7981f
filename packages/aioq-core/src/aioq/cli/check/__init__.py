"""`aioq check`: a health probe for an app. `findings` decides what is wrong, and `command` asks and prints."""

from aioq.cli.check.command import register

__all__ = ["register"]
