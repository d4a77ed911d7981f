"""Does what the ledger's answers to bids say, and accounts for what nobody has fired."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from anyio.lowlevel import checkpoint

from aioq.ticks import TickOutcome
from aioq.worker.cron.bidding import Bid
from aioq.worker.cron.case import Case
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import STOPPED
from aioq.worker.cron.runs import Runs
from aioq.worker.log import logger
from aioq.worker.stop import Stop

__all__ = ["Acting"]

DECIDED = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
"""What makes a worker the owner of the ticks before its own."""


class Acting:
    """Runs what was won, and records what was not to be had."""

    def __init__(self, runs: Runs, recorder: Recorder, stop: Stop) -> None:
        self._runs, self._recorder, self._stop = runs, recorder, stop
        self._accounted: dict[str, datetime] = {}

    async def act(self, case: Case, bid: Bid) -> None:
        """Do what the answer says; without one the ticks are missed, unless the worker stops."""
        if bid.reply is None:
            if not self._stop.requested():
                self._miss(bid)
            return
        logger.debug("cron task %s: the bid for %s is %s", case.entry.name, bid.claim.ticks, bid.reply.outcome.value)
        if bid.reply.outcome is TickOutcome.LOST:
            self._runs.outrun(case.entry)
        if bid.reply.outcome in DECIDED and bid.reply.previous is not None:
            previous = datetime.fromtimestamp(bid.reply.previous, UTC)
            accounted = max(previous, self._accounted.pop(case.entry.name, previous))
            self._recorder.left(case.entry, case.unfired_since(accounted))
        await self._run(bid)

    def give_up(self, bid: Bid) -> None:
        """Record that what was won is not run: a cancellation came before it."""
        for moment in bid.to_run():
            self._recorder.not_run(bid.entry, moment, STOPPED)

    async def _run(self, bid: Bid) -> None:
        """Begin what was won, the oldest first; what a cancellation comes before was cut short."""
        moments = deque(bid.to_run())
        try:
            while moments:
                self._runs.begin(bid.entry, moments.popleft())
                if moments:
                    await checkpoint()
        finally:
            for moment in moments:
                self._recorder.not_run(bid.entry, moment, STOPPED)

    def _miss(self, bid: Bid) -> None:
        for moment in bid.moments:
            logger.error(
                "cron task %s missed its run of %s: the broker was away for %g s",
                bid.entry.name, moment.isoformat(), bid.entry.options.grace, extra={"cron_name": bid.entry.name},
            )  # fmt: skip
            self._recorder.missed(bid.entry, moment, "broker away")
            self._accounted[bid.entry.name] = moment
