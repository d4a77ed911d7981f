"""What a supervisor tells a worker over the line between them."""

from __future__ import annotations

from enum import Enum

__all__ = ["Order"]


class Order(bytes, Enum):
    """One byte each. The end of the line, when the supervisor is gone, means `DRAIN`."""

    DRAIN = b"d"
    ABORT = b"a"
