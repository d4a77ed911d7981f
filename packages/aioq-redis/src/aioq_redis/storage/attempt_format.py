"""Encodes failures, and reads failures and attempts; see `lua/lib/attempts.lua` for the format of both."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import msgspec
from msgspec import structs

from aioq.model.attempts import without_traceback
from aioq.model.job import MAX_ATTEMPTS, Attempt, Failure
from aioq_redis.storage.job_states import ATTEMPT_LETTERS

__all__ = ["encode_failure", "read_attempts", "read_failure", "split_attempts"]

MAX_FAILURE_BYTES: Final = 131_072
"""Bytes of a stored failure that is parsed. Workers store at most 10 KiB of text."""

_ATTEMPT: Final = re.compile(rb"(\d{1,9}) ([a-z]) (\d{1,15}) (\d{1,15}) (.*?) (\{.*)?")

_OUTCOMES: Final = {letter.encode(): outcome for outcome, letter in ATTEMPT_LETTERS.items()}

_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Failure).decode


def encode_failure(failure: Failure | None) -> bytes:
    """Return a failure as scripts store it: its traceback apart, so that they can leave it out. Empty for None."""
    if failure is None:
        return b""
    return _encode(without_traceback(failure)) + b"\n" + failure.traceback.encode("utf-8", "backslashreplace")


def read_failure(text: bytes) -> Failure | None:
    """Read a failure; None if there is none, or if another program has stored the text."""
    if not text or len(text) > MAX_FAILURE_BYTES:
        return None
    short, _, traceback = text.partition(b"\n")
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        return structs.replace(_read(short), traceback=traceback.decode("utf-8", "replace"))
    return None


def split_attempts(text: bytes) -> tuple[bytes, bytes]:
    """Return the lines of the attempts of a job that has not ended, and its latest failure."""
    if text.startswith(b"\n"):
        return b"", text[1:]
    lines, _, failure = text.partition(b"\n\n")
    return lines, failure


def read_attempts(lines: bytes) -> tuple[Attempt, ...]:
    """Read the latest attempts. Lines that another program has stored are left out."""
    found = [_ATTEMPT.fullmatch(line) for line in lines.split(b"\n")]
    return tuple(_attempt(one) for one in found if one and one[2] in _OUTCOMES)[-MAX_ATTEMPTS:]


def _attempt(found: re.Match[bytes]) -> Attempt:
    number, letter, started, duration, worker, failure = found.groups()
    return Attempt(
        number=int(number),
        worker_id=worker.decode("utf-8", "replace"),
        started_at=int(started) / 1000,
        duration=int(duration) / 1000,
        outcome=_OUTCOMES[letter],
        failure=read_failure(failure or b""),
    )
