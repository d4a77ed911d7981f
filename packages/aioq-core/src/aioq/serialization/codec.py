"""Defines the protocol of codecs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Codec"]


class Codec(Protocol):
    """Converts arguments and results to bytes and back."""

    def encode(self, value: object) -> bytes:
        """Return `value` as bytes.

        Raises:
            SerializationError: It cannot be encoded; the message has the path to the part that cannot.
        """
        ...

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """Return a function from bytes to a value of `type`, which may be any annotation.

        The function raises `SerializationError` if the bytes do not fit the type; the message has the
        path. The bytes come from the network, so the function must not execute anything in them.

        Raises:
            SerializationError: No value of `type` can be decoded.
        """
        ...
