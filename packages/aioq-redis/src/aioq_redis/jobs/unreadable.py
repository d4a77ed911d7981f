"""Sets claimed jobs aside that cannot be read: they are damaged, or of a later version of aioq."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from aioq.serialization.failure import one_line
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.storage.job_format import JobHistory, Unreadable

__all__ = ["UnreadableClaim", "UnreadableClaims", "printable_id"]

HAND_BACK_DELAY: Final = 30.0
"""Seconds before a job of a later version is offered again, in case a newer worker is up by then."""

MAX_HAND_BACKS: Final = 120
"""How often such a job is handed back, for an hour in all, before it is dead."""

logger = logging.getLogger("aioq.redis")

_ENQUEUED: Final = re.compile(rb"(\d+) ")


class UnreadableClaim(NamedTuple):
    """A claimed job that cannot be read."""

    id: bytes
    record: bytes
    history: JobHistory
    error: Unreadable

    @property
    def fence(self) -> bytes:
        """The fencing token of its lease; a damaged record counts as enqueued at 0, as in `lua/jobs/claim.lua`."""
        enqueued = _ENQUEUED.match(self.record)
        return b"%d %b" % (self.history.epoch, enqueued[1] if enqueued else b"0")


class UnreadableClaims:
    """Decides how claims that cannot be read are settled, and logs it: once for each later version."""

    def __init__(self) -> None:
        self._logged_versions: set[int] = set()

    def settlements(self, queue: str, claims: Sequence[UnreadableClaim]) -> list[object]:
        """Return how to settle claims of one queue, as `lua/jobs/settle.lua` takes it.

        Jobs of a later version are handed back, for newer workers; all others are dead.
        """
        args: list[object] = []
        for claim in claims:
            args += (claim.id, claim.fence)
            if claim.error.version and claim.history.hand_backs < MAX_HAND_BACKS:
                args += ("h", claim.error.priority, milliseconds(HAND_BACK_DELAY), "")
                self._log_version(queue, claim)
            else:
                args += ("b", claim.error.reason, "")
                logger.warning(
                    "job %s of queue %s is dead: %s",
                    printable_id(claim.id),
                    queue,
                    claim.error,
                    extra={"event": "job_dead"},
                )
        return args

    def _log_version(self, queue: str, claim: UnreadableClaim) -> None:
        if claim.error.version not in self._logged_versions:
            self._logged_versions.add(claim.error.version)
            text = "job %s of queue %s is left for newer workers: %s"
            logger.warning(text, printable_id(claim.id), queue, claim.error, extra={"event": "job_handed_back"})


def printable_id(raw: bytes) -> str:
    """Return a stored id for a log line: on one line, and not too long."""
    return one_line(raw.decode("ascii", "backslashreplace"), 80)
