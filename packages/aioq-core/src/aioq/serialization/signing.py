"""Signatures: what the broker holds was put there by somebody who has a key, and is as it was.

A signed payload or result is `s1 <HMAC-SHA256 as 64 hexadecimal digits>`, a line feed, and the
data. The digest also covers what the data belong to, so that they mean nothing elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from aioq.errors import BadSignature
from aioq.model.ids import TICK_IDS

__all__ = ["OVERHEAD", "Signer", "Subject", "looks_signed"]

MARK = b"s1 "
DIGITS = 64
OVERHEAD = len(MARK) + DIGITS + 1
"""Bytes that a signature adds."""

SHORTEST_KEY = 16
"""Bytes."""


class Subject(NamedTuple):
    """What signed data belong to."""

    what: str
    """`call` or `result`: one can never stand for the other."""
    task: str
    queue: str
    job_id: str

    def __str__(self) -> str:
        return f"the {self.what} of job {self.job_id} of {self.task}"

    def prefix(self) -> bytes:
        """Return the subject as bytes that those of no other subject begin with."""
        parts = (self.what, self.task, self.queue, _as_signed(self.job_id))
        return b"".join(
            b"%d:%b," % (len(part), part) for part in (text.encode("utf-8", "surrogatepass") for text in parts)
        )


class Signer:
    """Signs with the first of its keys, and accepts what any of them has signed.

    Args:
        keys: Secrets of at least 16 bytes, or of text that has so many in UTF-8.

    Raises:
        TypeError, ValueError: There is no key, or one that is no secret; no message shows it.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        if isinstance(keys, str | bytes):
            raise TypeError("signing_keys must be a list of keys, of which the first signs; write [key]")
        self._keys = [_checked(key) for key in keys]
        if not self._keys:
            raise ValueError("signing_keys must have at least one key; leave it out to sign nothing")

    def seal(self, subject: Subject, data: bytes) -> bytes:
        """Return data with their signature in front."""
        return b"%b%b\n%b" % (MARK, _digest(self._keys[0], subject, data), data)

    def unseal(self, subject: Subject, sealed: bytes) -> bytes:
        """Return data that were signed for this very subject; nothing else of them is looked at before.

        Raises:
            BadSignature: They were not, or not with one of the keys, or have been changed since.
        """
        if sealed[: len(MARK)] != MARK or sealed[OVERHEAD - 1 : OVERHEAD] != b"\n":
            raise BadSignature(f"{subject} is not signed")
        digest, data = sealed[len(MARK) : OVERHEAD - 1], sealed[OVERHEAD:]
        # A list, so that it always takes as long as there are keys.
        if not any([hmac.compare_digest(digest, _digest(key, subject, data)) for key in self._keys]):  # noqa: C419
            raise BadSignature(f"{subject} was changed after it was signed, or signed with a key that is not ours")
        return data


def looks_signed(data: bytes) -> bool:
    """Whether data begin as signed ones do."""
    return data.startswith(MARK)


def _digest(key: bytes, subject: Subject, data: bytes) -> bytes:
    return hmac.digest(key, subject.prefix() + data, "sha256").hex().encode()


def _as_signed(job_id: str) -> str:
    """Return the id for which the job is signed: the jobs of one schedule are made from one template."""
    return job_id.rpartition(":")[0] if job_id.startswith(TICK_IDS) else job_id


def _checked(key: object) -> bytes:
    if not isinstance(key, str | bytes):
        raise TypeError(f"signing_keys must be text or bytes, got {type(key).__name__}")
    secret = key.encode() if isinstance(key, str) else key
    if len(secret) < SHORTEST_KEY:
        raise ValueError(f"signing_keys must have at least {SHORTEST_KEY} bytes each, got one of {len(secret)}")
    return secret
