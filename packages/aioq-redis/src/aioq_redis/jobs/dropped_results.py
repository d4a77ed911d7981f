"""Counts and logs the results that a full server did not store."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aioq.model.job import Completed, Settlement

__all__ = ["DroppedResults"]

logger = logging.getLogger("aioq.redis")


class DroppedResults:
    """Counts dropped results, and logs when the server fills up and when it has room again.

    Args:
        server: The name of the server, for log lines.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._count = 0
        self._full = False

    def count(self, settlements: Sequence[Settlement]) -> None:
        """Count the results in settlements that were written while the server was full."""
        self._count += sum(isinstance(one, Completed) and one.retain_for > 0 for one in settlements)
        if not self._full:
            self._full = True
            logger.warning(
                "%s is full: until it has room, results of completed jobs are dropped, and errors are shortened; "
                "raise maxmemory, add workers, or store results for a shorter time",
                self._server,
                extra={"event": "results_dropped"},
            )

    def note_room(self) -> None:
        """Note that the server is not full; log how many results were dropped while it was."""
        if self._full:
            logger.warning(
                "%s has room again; %d results were dropped",
                self._server,
                self._count,
                extra={"event": "results_kept_again"},
            )
            self._full = False
            self._count = 0
