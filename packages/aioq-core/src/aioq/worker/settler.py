"""Reports the outcomes of attempts to the broker. Outcomes that arrive during one report go into the next.

If the broker cannot reach some queues, their outcomes are held, and tried again beside those of the other queues.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import anyio

from aioq.clock import Clock
from aioq.counts import JobCounts
from aioq.errors import PartlyUnavailable
from aioq.events import Events, JobEvent, run_fact
from aioq.model.ids import TICK_IDS
from aioq.model.job import Completed, Dead, Expired, Failed, HandedBack, Lease, Released, Retried, Settled, Settlement
from aioq.protocols import Broker
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import OUTAGES, BrokerRetry
from aioq.worker.log import extra, job_of, logger
from aioq.worker.workload import LeaseTable

__all__ = ["EVENTS", "RunReport", "Settler"]

EVENTS: Final[Mapping[type[object], JobEvent]] = {
    Completed: JobEvent.COMPLETED,
    Retried: JobEvent.RETRIED,
    Failed: JobEvent.FAILED,
    Expired: JobEvent.EXPIRED,
    Dead: JobEvent.DEAD,
    Released: JobEvent.RELEASED,
    HandedBack: JobEvent.RELEASED,
}
"""The event of each settlement that the broker has accepted."""


class RunReport(NamedTuple):
    """What is known of a run beside its settlement, for listeners. A completion says all itself."""

    duration: float | None = None
    """None if the task was not called."""
    error: BaseException | None = None


class Settler:
    """Collects settlements, and writes one batch at a time.

    Args:
        scheduled: Called with each settlement of a schedule's job that the broker has accepted.
    """

    def __init__(
        self,
        broker: Broker,
        retry: BrokerRetry,
        leases: LeaseTable,
        scheduled: Callable[[Settlement], None],
        *,
        counts: JobCounts,
        events: Events,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._retry = retry
        self._leases = leases
        self._scheduled = scheduled
        self._counts = counts
        self._events = events
        self._clock = clock
        self.outcomes: Counter[JobEvent] = Counter()
        """How many outcomes of each kind the broker has accepted."""
        self._reports: dict[tuple[str, str, int], RunReport] = {}
        """The reports of runs whose settlements the broker has not accepted yet."""
        self._waiting: list[Settlement] = []
        self._held: dict[str, list[Settlement]] = {}
        """Settlements by queue, of the queues that could not be reached."""
        self._hold_began = anyio.Event()
        self._arrived = anyio.Event()
        self._flushed = anyio.Event()
        self._one_by_one = False

    def add(self, settlement: Settlement, report: RunReport | None = None) -> None:
        """Write how an attempt ended, now or with the next batch."""
        if report is not None:
            self._reports[_run_of(settlement.lease)] = report
        if not self._waiting:  # else `run` is writing, and looks again afterwards
            self._arrived.set()
        self._waiting.append(settlement)

    def release(self, lease: Lease) -> None:
        """Give back a lease whose job was not started."""
        if not self._waiting:
            self._arrived.set()
        self._waiting.append(Released(lease=lease))

    async def run(self) -> None:
        """Write settlements as they arrive, until cancelled."""
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write_held)
            await self._write_arrived()

    async def _write_arrived(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._waiting:
                try:
                    await self._write()
                except Exception as error:
                    await self._retry.repeat(self._write, after=error)
            self._one_by_one = False  # all were accepted: batches again
            self._note_flush()

    async def close(self) -> None:
        """Write all settlements that are left and release all other leases, in one attempt.

        If the broker rejects some of them, it still gets the rest.
        """
        waiting = [*self._waiting, *self._all_held()]
        # A job whose outcome is waiting must not be released as well; its later run here has another epoch.
        reported = {_run_of(settlement.lease) for settlement in waiting}
        rest = [Released(lease=lease) for lease in self._leases.all() if _run_of(lease) not in reported]
        # One request for both: the process may be killed before it can send a second one.
        if not (batch := [*waiting, *rest]):
            return
        try:
            await self._settle(batch)
        except OUTAGES:
            raise
        except Exception:
            for settlement in batch:
                await self._settle_last(settlement)

    @property
    def has_reports(self) -> bool:
        """Whether outcomes wait for the broker to accept them, those left out whose queues cannot be reached."""
        return bool(self._waiting)

    async def wait_flushed(self, *, held: bool = True) -> None:
        """Wait until nothing is left to report; if not `held`, leave out the queues that cannot be reached."""
        while self._waiting or (held and self._held):
            await self._flushed.wait()

    async def _write(self) -> None:
        """Write what has arrived, and keep it until the broker has answered.

        One settlement that the broker rejects must not block the others: after a rejection they are written one by
        one, and the rejected one goes to the end.
        """
        batch = self._waiting[:1] if self._one_by_one else self._waiting[:]
        # A queue that could not be reached has one report at a time, that of `_write_held`.
        later = set(self._held)
        report = [one for one in batch if one.lease.queue not in later] if later else batch
        try:
            if report:
                await self._settle(report)
        except PartlyUnavailable as error:
            self._retry.note_queues((), error)
            later |= error.away.keys()
        except Exception as error:
            queues = {one.lease.queue for one in report}
            if not (isinstance(error, OUTAGES) and queues <= self._retry.queues_away.keys()):
                if self._one_by_one:
                    self._waiting.append(self._waiting.pop(0))
                self._one_by_one = self._one_by_one or not isinstance(error, OUTAGES)
                raise
            later |= queues
        # `add` and `release` only append, so the batch still stands at the front.
        del self._waiting[: len(batch)]
        if later:
            self._hold([one for one in batch if one.lease.queue in later])

    def _hold(self, settlements: Iterable[Settlement]) -> None:
        for settlement in settlements:
            self._held.setdefault(settlement.lease.queue, []).append(settlement)
            self._hold_began.set()

    def _all_held(self) -> list[Settlement]:
        return [settlement for own in self._held.values() for settlement in own]

    async def _write_held(self) -> None:
        """Write the settlements that are held, again and again, until cancelled."""
        while True:
            await self._hold_began.wait()
            self._hold_began = anyio.Event()
            while self._held:
                try:
                    await self._try_held()
                except Exception as error:
                    await self._retry.repeat(self._try_held, after=error)
            self._note_flush()

    async def _try_held(self) -> None:
        sizes = {queue: len(own) for queue, own in self._held.items()}
        try:
            await self._settle(self._all_held())
        except PartlyUnavailable as error:
            self._let_go({queue: size for queue, size in sizes.items() if queue not in error.away})
            raise
        except OUTAGES:
            raise
        except Exception:
            # The broker is there, and rejects one of them: `_write` finds out which.
            self._waiting += self._all_held()
            self._held.clear()
            self._arrived.set()
        else:
            self._let_go(sizes)

    def _let_go(self, sizes: Mapping[str, int]) -> None:
        """Forget the settlements that were written: of each queue the first ones, as more may have arrived since."""
        for queue, size in sizes.items():
            del self._held[queue][:size]
            if not self._held[queue]:
                del self._held[queue]

    def _note_flush(self) -> None:
        self._flushed.set()
        self._flushed = anyio.Event()

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        """Write settlements, and forget the leases of those that the broker accepts.

        Raises:
            PartlyUnavailable: Those of some queues were not written; the others were.
        """
        try:
            answers: Sequence[Settled | None] = await self._broker.settle(batch)
        except PartlyUnavailable as error:
            self._accept(batch, error.answer)
            raise
        self._accept(batch, answers)

    def _accept(self, batch: Sequence[Settlement], answers: Sequence[Settled | None]) -> None:
        listeners = self._events.listeners
        completed: list[Completed] = []
        # `strict`: a broker that leaves out answers must not make the worker forget the settlements.
        for settlement, answer in zip(batch, answers, strict=True):
            if answer is None:
                continue
            # Not earlier: the heartbeat extends the lease while the report is repeated during an outage. If the lease
            # ran out meanwhile, another worker would run the job a second time.
            self._leases.drop(settlement.lease)
            report = self._reports.pop(_run_of(settlement.lease), None) if self._reports else None
            if answer is Settled.STALE:
                self._note_stale(settlement, report or RunReport())
                continue
            # Also `ALREADY`: the answer to an earlier report of this run got lost.
            if (event := EVENTS[type(settlement)]) in listeners:
                self._tell(event, settlement, report or RunReport())
            if type(settlement) is Completed:
                completed.append(settlement)
            else:
                self.outcomes[event] += 1
                self._counts.add_settled(settlement, report.duration if report else None)
            if settlement.lease.job_id.startswith(TICK_IDS):
                self._scheduled(settlement)
        if completed:
            self.outcomes[JobEvent.COMPLETED] += len(completed)
            self._counts.add_completed(completed)

    def _tell(self, event: JobEvent, settlement: Settlement, report: RunReport) -> None:
        """Fire the event of an outcome."""
        fact = run_fact(
            event, settlement.lease, at=self._clock.time(), error=report.error,
            duration=_duration(settlement, report),
            delay=getattr(settlement, "delay", None), failure=getattr(settlement, "failure", None),
            reason=_reason(settlement),
        )  # fmt: skip
        self._events.fire(fact)

    def _note_stale(self, settlement: Settlement, report: RunReport) -> None:
        """Log that the broker has rejected an outcome, with the exception of the attempt, and fire `LOST`."""
        lease = settlement.lease
        logger.warning(
            "%s was reported too late and the report was rejected: its lease was lost, or it was cancelled",
            job_of(lease), exc_info=report.error, extra=extra("report_too_late", lease),
        )  # fmt: skip
        duration = _duration(settlement, report)
        if duration is not None and JobEvent.LOST in self._events.listeners:
            fact = run_fact(JobEvent.LOST, lease, at=self._clock.time(), duration=duration, error=report.error)
            self._events.fire(fact)

    async def _settle_last(self, settlement: Settlement) -> None:
        """Write one settlement when the worker stops; if the broker rejects it, log that instead of retrying."""
        try:
            await self._settle([settlement])
        except OUTAGES:
            raise
        except Exception as error:
            logger.warning(
                "broker rejected the last report of %s, which runs again when its lease expires: %s",
                job_of(settlement.lease),
                error_text(error),
                extra=extra("report_rejected", settlement.lease),
            )


def _run_of(lease: Lease) -> tuple[str, str, int]:
    return lease.queue, lease.job_id, lease.epoch


def _duration(settlement: Settlement, report: RunReport) -> float | None:
    return settlement.duration if isinstance(settlement, Completed) else report.duration


def _reason(settlement: Settlement) -> str:
    match settlement:
        case Dead(reason=reason):
            return reason
        case HandedBack():
            return "handed back"
        case Released(delay=delay):
            return "postponed" if delay else "stopping"
        case _:
            return ""
