"""Signs payloads and results, and verifies that stored data come from an owner of a key and are unchanged.

Signed data are `s1 <HMAC-SHA256 as 64 hexadecimal digits> <terms>`, a line feed, and the data. The terms are options
of a job that change its run, as text; a result has none. The digest covers terms, data, and the subject that the data
belong to, so that they cannot be moved to another job.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from aioq.errors import BadSignature

__all__ = ["OVERHEAD", "Signer", "Subject", "looks_signed"]

MARK = b"s1 "
DIGITS = 64
END = len(MARK) + DIGITS
"""The place of the blank after the digest."""

MAX_TERMS = 100
"""Bytes."""

OVERHEAD = END + 1 + MAX_TERMS + 1
"""Bytes that a signature adds at most."""

MIN_KEY_SIZE = 16
"""Bytes."""


class Subject(NamedTuple):
    """What the signed data belong to."""

    what: str
    """`call` or `result`: a signature of one is not valid for the other."""
    task: str
    queue: str
    job_id: str

    def __str__(self) -> str:
        return f"the {self.what} of job {self.job_id} of {self.task}"

    def prefix(self) -> bytes:
        """Return the subject as bytes. No two subjects have the same bytes, or bytes that begin alike."""
        # Each part goes with its length. Otherwise characters could move from one part into the next.
        parts = (self.what, self.task, self.queue, self.job_id)
        return b"".join(
            b"%d:%b," % (len(part), part) for part in (text.encode("utf-8", "surrogatepass") for text in parts)
        )


class Signer:
    """Signs with its first key, and accepts signatures of all its keys.

    Args:
        keys: Secrets of at least 16 bytes, or text of at least 16 bytes in UTF-8.

    Raises:
        TypeError, ValueError: There is no key, or one is invalid. The message does not contain the key.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        if isinstance(keys, str | bytes):
            raise TypeError("signing_keys must be a list of keys; write [key]")
        self._keys = [_checked(key) for key in keys]
        if not self._keys:
            raise ValueError("signing_keys must have at least one key; leave it out to sign nothing")

    def seal(self, subject: Subject, data: bytes, *, terms: bytes = b"") -> bytes:
        """Return the data with a signature and the terms, which have no line feed, in front."""
        signed = terms + b"\n" + data
        return b"%b%b %b" % (MARK, _digest(self._keys[0], subject, signed), signed)

    def unseal(self, subject: Subject, sealed: bytes) -> tuple[bytes, bytes]:
        """Verify the signature for this subject, and return the data and the terms.

        Raises:
            BadSignature: The data are not signed, are signed with another key or for another subject, or
                were changed.
        """
        digest, blank, signed = sealed[len(MARK) : END], sealed[END : END + 1], sealed[END + 1 :]
        terms, newline, data = signed.partition(b"\n")
        if sealed[: len(MARK)] != MARK or blank != b" " or not newline:
            raise BadSignature(f"{subject} is not signed")
        # A list, not a generator: the time must not depend on which key matches.
        if not any([hmac.compare_digest(digest, _digest(key, subject, signed)) for key in self._keys]):  # noqa: C419
            raise BadSignature(f"{subject} was changed after it was signed, or signed with an unknown key")
        return data, terms


def looks_signed(data: bytes) -> bool:
    """Return whether data begin like signed data."""
    return data.startswith(MARK)


def _digest(key: bytes, subject: Subject, data: bytes) -> bytes:
    return hmac.digest(key, subject.prefix() + data, "sha256").hex().encode()


def _checked(key: object) -> bytes:
    if not isinstance(key, str | bytes):
        raise TypeError(f"signing_keys must be text or bytes, got {type(key).__name__}")
    secret = key.encode() if isinstance(key, str) else key
    if len(secret) < MIN_KEY_SIZE:
        raise ValueError(f"signing_keys must have at least {MIN_KEY_SIZE} bytes each, got one with {len(secret)}")
    return secret
