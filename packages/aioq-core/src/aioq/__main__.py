"""`python -m aioq` is the command `aioq`."""

import sys

from aioq.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
