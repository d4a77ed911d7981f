"""Finds the schedules of an app that its broker stores, and returns them as entries."""

from __future__ import annotations

from typing import Final

from aioq.app import Aarq
from aioq.cli.broker_access import is_embedded, run_connected
from aioq.cli.exit_codes import CommandError
from aioq.cli.find_app import find_entry
from aioq.cli.output import print_err
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.cron.stored import read_entry
from aioq.errors import AioqError
from aioq.model.cron import CronKey
from aioq.model.schedules import ScheduleRecord
from aioq.protocols import Schedules

__all__ = ["MAX_STORED", "entry_named", "entry_of", "stored_entries"]

MAX_STORED: Final = 1_000
"""Stored schedules that a list shows."""


def entry_named(app: Aarq, path: str, name: str) -> CronEntry:
    """Return an entry of the code, or a stored schedule as one.

    Raises:
        CommandError: There is none of this name, or the schedule cannot be read.
        BrokerUnavailable: The broker cannot be reached.
    """
    if name not in app.crons and not is_embedded(app.broker) and supports(app.broker, Schedules):
        store = app.broker

        async def find() -> ScheduleRecord | None:
            for queue in app.queues:
                record = await store.get_schedule(CronKey(queue, name))
                if record is not None and record.schedule.app == app.name:
                    return record
            return None

        if (record := run_connected(app, find)) is not None:
            return entry_of(app, record)
    return find_entry(app, path, name)


def entry_of(app: Aarq, record: ScheduleRecord) -> CronEntry:
    """Return a stored schedule as an entry.

    Raises:
        CommandError: The code has no task of its name, or it cannot be read.
    """
    stored = record.schedule
    task = app.tasks.get(stored.job.task)
    if task is None:
        raise CommandError(f"schedule {stored.key.name} is of task {stored.job.task}, which this code does not have")
    try:
        return read_entry(stored, task, app.scheduler, app.signer)
    except (AioqError, TypeError, ValueError) as error:
        raise CommandError(f"schedule {stored.key.name} cannot be read: {error}") from error


async def stored_entries(app: Aarq, store: Schedules) -> list[CronEntry]:
    """Return the stored schedules of an app as entries; those that cannot be read are named on stderr."""
    records = await store.list_schedules(app.name, limit=MAX_STORED + 1)
    if len(records) > MAX_STORED:
        print_err(f"showing {MAX_STORED} of the stored schedules; app.schedules.list has all of them")
    entries: list[CronEntry] = []
    for record in records[:MAX_STORED]:
        try:
            entries.append(entry_of(app, record))
        except CommandError as error:
            print_err(str(error))
    return entries
