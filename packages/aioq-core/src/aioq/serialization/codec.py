"""The protocol of codecs: values to bytes and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Codec"]


class Codec(Protocol):
    """Values to bytes and back, for arguments and results."""

    def encode(self, value: object) -> bytes:
        """Return `value` as bytes.

        Raises:
            SerializationError: It cannot be represented; names the path to the offender.
        """
        ...

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """Return a function from bytes to a value of `type`, which may be any annotation.

        The function raises `SerializationError` when the bytes do not fit the type, naming
        the path. Bytes come from the network: nothing in them is ever executed.
        """
        ...
