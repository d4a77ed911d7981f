"""Runs `python -m aioq.conformance MODULE:CLASS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from aioq.conformance import OPTIONAL, deviations, lacking
from aioq.protocols import PROTOCOL_VERSION, Broker

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Print the deviations of the broker at MODULE:CLASS, and return the exit code."""
    module, _, name = arguments[0].partition(":") if len(arguments) == 1 else ("", "", "")
    if not module or not name:
        sys.stderr.write("usage: python -m aioq.conformance MODULE:CLASS\n")
        return 2
    broker = getattr(import_module(module), name)
    found = deviations(broker)
    has = [protocol.__name__ for protocol in (Broker, *OPTIONAL) if not lacking(broker, protocol)]
    lines = found or [f"{name} conforms to version {PROTOCOL_VERSION} of {', '.join(has)}"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
