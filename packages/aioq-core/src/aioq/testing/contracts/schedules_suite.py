"""Contains the helpers that the suites of stored schedules share."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pytest
from msgspec import structs

from aioq.conformance import lacking
from aioq.model.cron import TickOutcome
from aioq.model.schedules import Firing, PutOutcome, ScheduleRecord, ScheduleText, StoredSchedule
from aioq.protocols import Broker, Schedules
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["SchedulesSuite"]

TASK = "tasks.work"

# One count for all tests: a broker may keep revisions of an earlier one.
_revisions = count(1)


class SchedulesSuite(LedgerSuite):
    """Puts and fires schedules of the app `app`, in queue `q` and under the name `report` by default."""

    @pytest.fixture
    def schedules(self, broker: Broker) -> Schedules:
        """The broker as a store of schedules."""
        assert isinstance(broker, Schedules), f"it lacks {lacking(broker, Schedules)}"
        return broker

    def stored(
        self, name: str = "report", *, app: str = "app", payload: bytes = b"[1]", task: str = TASK, **changes: Any
    ) -> StoredSchedule:
        """Return a schedule; `changes` are those of its definition."""
        definition = self.entry(name, **{"fingerprint": HOURLY, "kind": "schedule", **changes})
        job = self.job(f"cron:{name}", task=task, payload=payload, queue=definition.queue)
        text = ScheduleText(expression=definition.expression, tz=definition.tz)
        return StoredSchedule(definition=definition, text=text, app=app, job=job)

    async def put(self, schedules: Schedules, schedule: StoredSchedule, due: float | None = None) -> PutOutcome:
        """Store a schedule under a new revision; it is due now unless `due` says otherwise."""
        moment = await self.now_of(schedules) if due is None else due
        return await schedules.put_schedule(schedule, revision=f"revision-{next(_revisions)}", due=moment)

    async def now_of(self, schedules: Schedules) -> float:
        """Return the broker's clock, rounded down to an eighth of a second: sums of such moments are exact."""
        assert isinstance(schedules, Broker)
        return self.eighth(await schedules.time())

    @staticmethod
    def eighth(moment: float) -> float:
        """Return a moment rounded down to an eighth of a second."""
        return math.floor(moment * 8) / 8

    async def found(self, schedules: Schedules, name: str = "report") -> ScheduleRecord:
        """Return a schedule that must be stored."""
        record = await schedules.get_schedule(self.key(name))
        assert record is not None
        return record

    async def reserve(
        self,
        schedules: Schedules,
        *,
        queues: tuple[str, ...] = ("q",),
        tasks: tuple[str, ...] = (TASK,),
        limit: int = 10,
        seconds: float = 60.0,
    ) -> list[str]:
        """Reserve due schedules, and return their names."""
        due = await schedules.reserve_schedules(queues, tasks, limit=limit, seconds=seconds)
        return [record.schedule.key.name for record in due.schedules]

    def firing(self, record: ScheduleRecord, *ticks: float, next_due: float | None = None, **changes: Any) -> Firing:
        """Return a firing of ticks of a schedule; `changes` are those of its claim."""
        assert record.due is not None
        definition = record.schedule.definition
        fields: dict[str, Any] = {
            "name": definition.name,
            "queue": definition.queue,
            "fingerprint": definition.fingerprint,
            "job": record.schedule.job,
        }
        return Firing(
            claim=self.claim_of(*ticks, **{**fields, **changes}),
            revision=record.revision,
            due=record.due,
            until=ticks[-1] if ticks else None,
            next_due=next_due,
        )

    async def fire(self, schedules: Schedules, firing: Firing, **changes: Any) -> TickOutcome:
        """Fire one schedule; `changes` are those of the firing."""
        (outcome,) = await schedules.fire_schedules([structs.replace(firing, **changes)])
        return outcome
