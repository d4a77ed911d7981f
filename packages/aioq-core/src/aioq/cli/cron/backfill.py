"""`aioq cron backfill`: fire the ticks of a stretch of the past, one after the other."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Literal

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_entry, add_json, add_log_level
from aioq.cli.broker_access import check_workers_see_jobs, is_embedded, run_connected
from aioq.cli.cron.manual import EnqueuedTick, ManualRun, enqueue_ticks
from aioq.cli.cron.tick_text import reason_text
from aioq.cli.exit_codes import CommandError, Exit, exit_for
from aioq.cli.find_app import find_entry, load_app
from aioq.cli.logs import configure_logging
from aioq.cli.output import Column, Progress, print_err, print_json, print_out, table, terminal_width
from aioq.cli.process import exit_if_threads_hang
from aioq.cli.times import format_time, now, parse_time, zone_of
from aioq.cron import CronEntry, upcoming
from aioq.cron.steps import INSTANT
from aioq.errors import AioqError
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.model.job import NewJob
from aioq.protocols import TickLedger

__all__ = ["BackfilledTick", "backfill", "fill", "register", "ticks_between"]

MOST = 10_000
"""Ticks that are fired in one go."""


def register(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "backfill",
        help="fire the ticks of a stretch of the past",
        description="Fire all ticks of an entry from one moment to another, oldest first. The function of a cron is "
        "called in this process for each; a schedule enqueues a job for each that has none.",
        epilog="example: aioq cron backfill myapp.tasks:app myapp.tasks.report --from 2026-01-05 --to 2026-01-09T18:00",
        allow_abbrev=False,
    )
    add_entry(parser)
    for option, dest, what in (("--from", "first", "first"), ("--to", "last", "last")):
        parser.add_argument(
            option, dest=dest, required=True, metavar="MOMENT",
            help=f"the {what} moment, in ISO 8601; in the entry's zone unless it says an offset",
        )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show the ticks, and what is recorded of them")
    add_log_level(parser)
    add_json(parser)
    parser.set_defaults(run=backfill)


def backfill(arguments: argparse.Namespace) -> int:
    """Fire ticks of the past."""
    app = load_app(arguments.app)
    entry = find_entry(app, arguments.app, arguments.name)
    configure_logging(arguments.log_level)
    zone = zone_of(entry.tz)
    first, last = (
        parse_time(f"cron backfill: {option}", text, zone)
        for option, text in (("--from", arguments.first), ("--to", arguments.last))
    )
    ticks = _ticks(entry, first, last)
    if arguments.dry_run:
        return _show(app, entry, ticks, as_json=arguments.json)
    if entry.job is not None:
        check_workers_see_jobs(app, "cron backfill", entry.name)
    if not arguments.json:
        print_out(
            f"{entry.name} from {format_time(first)} to {format_time(last)}, in {zone.key}: {_ticks_of(len(ticks))}"
        )
    return _fill(app, entry, ticks, as_json=arguments.json)


def _ticks(entry: CronEntry, first: datetime, last: datetime) -> list[datetime]:
    if first > last:
        raise CommandError(f"cron backfill: --from {format_time(first)} is after --to {format_time(last)}")
    if last > (moment := now().astimezone(last.tzinfo)):
        raise CommandError(
            f"cron backfill: --to {format_time(last)} is in the future, and it is "
            f"{format_time(moment.replace(microsecond=0))}; ticks that are yet to come fire by themselves"
        )
    ticks = ticks_between(entry, first, last, most=MOST)
    if len(ticks) > MOST:
        raise CommandError(
            f"cron backfill: {entry.name} has more than {MOST:,} ticks from {format_time(first)} to "
            f"{format_time(last)}; "
            f"the {MOST:,}th is {format_time(ticks[MOST - 1].astimezone(first.tzinfo))}: go in steps up to there"
        )
    return ticks


def _fill(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], *, as_json: bool) -> int:
    told = BackfillReport(entry, len(ticks))
    try:
        run_connected(app, lambda: fill(app, entry, ticks, told.tell))
    except (KeyboardInterrupt, AioqError) as error:
        told.end()
        print_err(f"cut short: {told.summary()}, {len(ticks) - len(told.filled):,} not ended")
        exit_if_threads_hang(Exit.INTERRUPTED if isinstance(error, KeyboardInterrupt) else exit_for(error))
        raise
    told.end()
    print_json([_as_json(filled, entry) for filled in told.filled]) if as_json else print_out(told.summary())
    code = Exit.FAILED if told.failed else Exit.OK
    exit_if_threads_hang(code)
    return code


class BackfillReport:
    """Shows progress and failures as they happen, and sums up."""

    def __init__(self, entry: CronEntry, total: int) -> None:
        self._zone = zone_of(entry.tz)
        self._progress = Progress(entry.name, total)
        self.filled: list[BackfilledTick] = []

    @property
    def failed(self) -> int:
        """How many ticks failed."""
        return sum(filled.status == "failed" for filled in self.filled)

    def tell(self, filled: BackfilledTick) -> None:
        """Take in what became of a tick."""
        self.filled.append(filled)
        if filled.status == "failed":
            self._progress.clear()
            print_err(f"{format_time(filled.tick.astimezone(self._zone))} failed: {filled.error}")
        self._progress.show(len(self.filled))

    def end(self) -> None:
        """Take the progress off the screen."""
        self._progress.clear()

    def summary(self) -> str:
        """Return how many ticks came to what."""
        counts = Counter[str](filled.status for filled in self.filled)
        named = {"ok": "ok", "enqueued": "enqueued", "known": "known already", "failed": "failed"}
        return ", ".join(f"{counts[status]:,} {text}" for status, text in named.items() if counts[status]) or "no ticks"


def _show(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], *, as_json: bool) -> int:
    """Show what would be fired, with what is recorded of it."""
    zone = zone_of(entry.tz)
    records = _recorded(app, entry)
    if as_json:
        print_json([{"tick": tick.astimezone(zone).isoformat(), "recorded": _status(records, tick)} for tick in ticks])
        return Exit.OK
    if ticks:
        rows = [
            (format_time(tick.astimezone(zone), weekday=True), _text(records.get(tick.timestamp()))) for tick in ticks
        ]
        print_out(table((Column(zone.key), Column("RECORDED", least=12)), rows, width=terminal_width()))
    print_out(f"{_ticks_of(len(ticks))} of {entry.name} would be fired, and nothing was")
    return Exit.OK


def _recorded(app: Aarq, entry: CronEntry) -> dict[float, TickRecord]:
    """Return what is recorded of ticks; nothing where no ledger can be seen from here."""
    broker = app.broker
    if is_embedded(broker) or not isinstance(broker, TickLedger):
        return {}
    return {record.tick: record for record in reversed(run_connected(app, lambda: broker.tick_history(entry.key)))}


def _status(records: dict[float, TickRecord], tick: datetime) -> str | None:
    record = records.get(tick.timestamp())
    return str(record.status) if record else None


def _text(record: TickRecord | None) -> str:
    return " ".join(text for text in (record.status.value, reason_text(record)) if text) if record else ""


def _as_json(filled: BackfilledTick, entry: CronEntry) -> dict[str, object]:
    at = filled.tick.astimezone(zone_of(entry.tz)).isoformat()
    return {"tick": at, "status": filled.status, "error": filled.error, "job_id": filled.job_id}


def _ticks_of(count: int) -> str:
    return f"{count:,} tick{'' if count == 1 else 's'}"


BATCH = 500
"""Jobs that are enqueued in one round trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfilledTick:
    """What became of one tick."""

    tick: datetime
    status: Literal["ok", "failed", "enqueued", "known"]
    error: str = ""
    job_id: str | None = None


def ticks_between(entry: CronEntry, first: datetime, last: datetime, *, most: int) -> list[datetime]:
    """Return the ticks of an entry from `first` to `last`, both included; up to one more than `most`."""
    ticks = takewhile(lambda tick: tick <= last, upcoming(entry.schedule, first - INSTANT))
    return list(islice(ticks, most + 1))


async def fill(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], tell: Callable[[BackfilledTick], None]) -> None:
    """Fire ticks in order, and tell what became of each: a cron's function runs here, a schedule's job is enqueued."""
    if entry.job is None:
        await _call(app, entry, ticks, tell)
    else:
        await _enqueue(app, entry, entry.job, ticks, tell)


async def _call(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], tell: Callable[[BackfilledTick], None]) -> None:
    hand = ManualRun(app, entry, reason=TickReason.BACKFILL)
    async with hand.ready():
        for tick in ticks:
            record = (await hand.fire(tick)).record
            tell(
                BackfilledTick(
                    tick=tick, status="ok" if record.status is TickStatus.OK else "failed", error=record.error
                )
            )


async def _enqueue(
    app: Aarq, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], tell: Callable[[BackfilledTick], None]
) -> None:
    for start in range(0, len(ticks), BATCH):
        for stored in await enqueue_ticks(
            app.broker, entry, template, ticks[start : start + BATCH], reason=TickReason.BACKFILL
        ):
            tell(_filled(stored))


def _filled(stored: EnqueuedTick) -> BackfilledTick:
    status: Literal["failed", "enqueued", "known"] = "failed" if stored.error else "enqueued" if stored.new else "known"
    return BackfilledTick(tick=stored.tick, status=status, error=stored.error, job_id=stored.job.id)
