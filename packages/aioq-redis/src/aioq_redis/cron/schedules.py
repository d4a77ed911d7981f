"""Implements the schedules that clients store at run time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aioq.errors import PartlyUnavailable
from aioq.model.cron import CronKey, TickOutcome
from aioq.model.ids import check_name
from aioq.model.schedules import DueSchedules, Firing, PutOutcome, ScheduleRecord, StoredSchedule
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.cron.ledger import CLOCK_LEAD_MS, ENTRY_TTL_MS, OUTCOMES, arguments_of
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import gather_all, group_by, in_parts, ungroup
from aioq_redis.storage.keys import is_queue_name
from aioq_redis.storage.schedule_format import digest_of, moment_of, read_line, rest_of
from aioq_redis.storage.tick_format import body_of, to_milliseconds

__all__ = ["SchedulesRole"]

ASK_EVERY: Final = 1.0
"""Seconds after which a worker asks again: the server does not tell it of new schedules."""

MAX_LISTED: Final = 500
"""Schedules that are read with one command."""

MAX_PER_SCRIPT: Final = 50
"""Schedules that one script fires. It takes about 30 us for each, and the server runs nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class NextMoments:
    """When workers have to look at the schedules of a queue."""

    queue: str
    now: float
    """The server's clock in milliseconds, to the microsecond: by its answer workers set their clocks."""
    by_task: dict[str, float]
    """The earliest moment of each task that the worker knows, in milliseconds."""

    def due(self) -> list[str]:
        """Return the tasks that have due schedules."""
        return [task for task, moment in self.by_task.items() if moment <= self.now]


class SchedulesRole(BrokerRole):
    """Implements `aioq.protocols.Schedules`."""

    async def put_schedule(self, schedule: StoredSchedule, *, revision: str, due: float | None) -> PutOutcome:
        """Store a schedule; see `aioq.protocols.Schedules.put_schedule`."""
        key, task = schedule.key, schedule.job.task
        name = check_name("name", key.name)
        args = (
            name, revision, moment_of(due), task, check_name("name", schedule.app), digest_of(schedule),
            rest_of(schedule),
        )  # fmt: skip
        # `list_schedules` looks into the queues of this set.
        self._known_queues.add(key.queue, self._database.session)
        space = self._layout.queue(key.queue)
        return PutOutcome((await self._database.call("put_schedule", space, args, own=task, each=[name])).decode())

    async def get_schedule(self, cron: CronKey) -> ScheduleRecord | None:
        """Return a schedule; see `aioq.protocols.Schedules.get_schedule`."""
        key = self._layout.queue(cron.queue).key("schedules")
        line = await self._database.command("HGET", key, check_name("name", cron.name))
        return None if line is None else read_line(line)

    async def list_schedules(self, app: str, *, after: CronKey | None = None, limit: int = 100) -> list[ScheduleRecord]:
        """Return schedules of an app; see `aioq.protocols.Schedules.list_schedules`."""
        members = await self._database.command("SMEMBERS", self._layout.fleet.key("queue_names"))
        found: list[ScheduleRecord] = []
        for queue in sorted(name.decode() for name in members if is_queue_name(name)):
            if after is not None and queue < after.queue:
                continue
            name = after.name if after is not None and queue == after.queue else ""
            while len(found) < limit:
                records, name = await self._page(queue, name, min(limit, MAX_LISTED))
                found += [record for record in records if record.schedule.app == app]
                if not name:
                    break
        return found[: max(limit, 0)]

    async def remove_schedule(self, cron: CronKey) -> bool:
        """Remove a schedule; see `aioq.protocols.Schedules.remove_schedule`."""
        record = await self.get_schedule(cron)
        # A line that is damaged does not say its task. It is removed all the same.
        task = "" if record is None else record.schedule.job.task
        space = self._layout.queue(cron.queue)
        return bool(await self._database.call("remove_schedule", space, (cron.name, task), own=task))

    async def wait_for_schedules(self, queues: Sequence[str], tasks: Collection[str], *, timeout: float) -> None:
        """Wait for at most a second; see `aioq.protocols.Schedules.wait_for_schedules`."""
        await asyncio.sleep(min(timeout, ASK_EVERY))

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Return due schedules and reserve them; see `aioq.protocols.Schedules.reserve_schedules`."""
        moments, away = await in_parts({queue: self._next_moments(queue, tasks) for queue in queues})
        lines: list[bytes] = []
        for queue, known in moments.items():
            for task in known.due():
                if len(lines) < limit:
                    args = (task, limit - len(lines), milliseconds(seconds))
                    left, *found = await self._database.call(
                        "reserve_schedules", self._layout.queue(queue), args, own=task
                    )
                    known.by_task[task] = float(left) if left else float("inf")
                    lines += found
        due = _due_schedules(moments.values(), lines)
        if away:
            raise PartlyUnavailable(away, due)
        return due

    async def fire_schedules(self, firings: Sequence[Firing]) -> list[TickOutcome]:
        """Decide on firings; see `aioq.protocols.Schedules.fire_schedules`."""
        groups = group_by(firings, _place_of)
        answers, away = await in_parts({place: self._fire(*place, own) for place, own in groups.items()})
        if away:
            raise next(iter(away.values()))
        return ungroup(firings, answers, _place_of)

    async def _next_moments(self, queue: str, tasks: Collection[str]) -> NextMoments:
        space = self._layout.queue(queue)
        now, found = await self._database.call("next_schedules", space, (), patient=False)
        pairs = zip(found[::2], found[1::2], strict=True)
        by_task = {task: float(moment) for name, moment in pairs if (task := name.decode("utf-8", "replace")) in tasks}
        return NextMoments(queue, int(now) / 1_000, by_task)

    async def _page(self, queue: str, after: str, limit: int) -> tuple[list[ScheduleRecord], str]:
        """Return the schedules that follow a name, and the last name that was read; empty if there are no more."""
        space, first = self._layout.queue(queue), f"({after}" if after else "-"
        names = await self._database.command("ZRANGEBYLEX", space.key("schedule_names"), first, "+", "LIMIT", 0, limit)
        if not names:
            return [], ""
        lines = await self._database.command("HMGET", space.key("schedules"), *names)
        return [one for line in lines if line and (one := read_line(line))], names[-1].decode("utf-8", "replace")

    async def _fire(self, queue: str, task: str, firings: list[Firing]) -> list[TickOutcome]:
        """Fire schedules of one queue and task, some in each script."""
        self._known_queues.add(queue, self._database.session)
        parts = [firings[first : first + MAX_PER_SCRIPT] for first in range(0, len(firings), MAX_PER_SCRIPT)]
        answers = await gather_all([self._fire_part(queue, task, part) for part in parts])
        return [OUTCOMES[answer] for part in answers for answer in part]

    def _fire_part(self, queue: str, task: str, firings: list[Firing]) -> Coroutine[Any, Any, list[bytes]]:
        args: list[object] = [CLOCK_LEAD_MS, ENTRY_TTL_MS, task]
        for firing in firings:
            args += _arguments(firing)
        names = [check_name("name", firing.claim.name) for firing in firings]
        return self._database.call(
            "fire_schedules", self._layout.queue(queue), args, own=task, each=names, patient=False
        )


def _place_of(firing: Firing) -> tuple[str, str]:
    job = firing.claim.job
    return firing.claim.queue, job.task if job else ""


def _arguments(firing: Firing) -> list[object]:
    """Return a firing as arguments of `lua/cron/fire_schedules.lua`."""
    args: list[object] = [
        firing.revision,
        moment_of(firing.due),
        "" if firing.until is None else to_milliseconds(firing.until),
        moment_of(firing.next_due),
        len(firing.not_fired),
    ]
    for record in firing.not_fired:
        args += (to_milliseconds(record.tick), body_of(record))
    return args + list(arguments_of(firing.claim))


def _due_schedules(moments: Iterable[NextMoments], lines: Iterable[bytes]) -> DueSchedules:
    """Return reserved schedules, with the time until a worker has to look at the next ones."""
    waits = [moment - known.now for known in moments for moment in known.by_task.values() if moment != float("inf")]
    now = max((known.now for known in moments), default=0.0) / 1000
    records = [record for line in lines if (record := read_line(line)) is not None]
    return DueSchedules(now=now, schedules=records, next_due=min(waits) / 1000 if waits else None)
