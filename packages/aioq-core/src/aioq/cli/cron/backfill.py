"""`aioq cron backfill`: fires the ticks of an entry between two times in the past."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, Literal, TypeAlias

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_entry, add_json, add_log_level
from aioq.cli.broker_access import check_workers_see_jobs, is_embedded, run_connected
from aioq.cli.changes import add_author, add_note, author_of, note_of
from aioq.cli.colors import Color
from aioq.cli.cron.manual import ManualRun, note_firing
from aioq.cli.exit_codes import CommandError, Exit, exit_for
from aioq.cli.find_app import find_entry, load_app
from aioq.cli.logs import configure_logging
from aioq.cli.output import Column, Progress, Table, print_err, print_json, print_out, print_table
from aioq.cli.process import exit_if_threads_hang, note_earlier_threads
from aioq.cli.times import format_time, now, parse_time
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.cron.manual import EnqueuedTick, enqueue_ticks, ticks_between
from aioq.cron.outcomes import reason_text
from aioq.errors import AioqError
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.model.job import NewJob
from aioq.protocols import TickLedger

__all__ = ["BackfilledTick", "backfill", "fire_ticks", "register"]

MAX_TICKS: Final = 10_000
"""Ticks that one command fires."""

BATCH_SIZE: Final = 500
"""Jobs that are enqueued in one call."""

Status: TypeAlias = Literal["ok", "failed", "enqueued", "known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfilledTick:
    """The result of firing one tick."""

    tick: datetime
    status: Status
    """`known` if the tick had a job already."""
    error: str = ""
    job_id: str | None = None


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "backfill",
        help="fire the ticks between two times in the past",
        description="Fire all ticks of an entry between two times in the past, the oldest first. For a cron, call its "
        "function in this process at each tick; for a schedule, enqueue a job for each tick that has none.",
        epilog="example: aioq cron backfill shop:app report --from 2026-01-05 --to 2026-01-09",
    )
    add_entry(parser)
    for option, dest, what in (("--from", "first", "first"), ("--to", "last", "last")):
        parser.add_argument(
            option, dest=dest, required=True, metavar="TIME",
            help=f"the {what} time, in ISO 8601; in the entry's zone unless it has an offset",
        )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only show the ticks and their records")
    add_note(parser)
    add_author(parser)
    add_log_level(parser)
    add_json(parser)
    parser.set_defaults(run=backfill)


def backfill(arguments: argparse.Namespace) -> int:
    """Fire ticks of the past."""
    by, note = author_of(arguments), note_of(arguments)
    app = load_app(arguments.app)
    entry = find_entry(app, arguments.app, arguments.name)
    note_earlier_threads()
    configure_logging(arguments.log_level)
    zone = entry.zone
    first = parse_time("cron backfill: --from", arguments.first, zone)
    last = parse_time("cron backfill: --to", arguments.last, zone)
    ticks = _ticks(entry, first, last)
    if arguments.dry_run:
        return _show_ticks(app, entry, ticks, as_json=arguments.json)
    if entry.job is not None:
        check_workers_see_jobs(app, "cron backfill", entry.name)
    span = f"from {format_time(first)} to {format_time(last)}, in {entry.tz}"
    if not arguments.json:
        print_out(f"{entry.name} {span}: {_count_text(len(ticks))}")
    report = BackfillReport(entry, len(ticks))

    async def fire() -> None:
        if ticks:
            await note_firing(app, entry, f"backfill {_count_text(len(ticks))} {span}", by=by, note=note)
        await fire_ticks(app, entry, ticks, report.add, by=by)

    return _fire(app, fire, report, as_json=arguments.json)


def _ticks(entry: CronEntry, first: datetime, last: datetime) -> list[datetime]:
    if first > last:
        raise CommandError(f"cron backfill: --from {format_time(first)} is after --to {format_time(last)}")
    # A future tick would fire twice, now and at its time.
    if last > (time := now().astimezone(last.tzinfo)):
        raise CommandError(
            f"cron backfill: --to {format_time(last)} is in the future, and it is "
            f"{format_time(time.replace(microsecond=0))}; future ticks fire by themselves"
        )
    ticks = ticks_between(entry, first, last, most=MAX_TICKS)
    if len(ticks) > MAX_TICKS:
        limit = format_time(ticks[MAX_TICKS - 1].astimezone(first.tzinfo))
        raise CommandError(
            f"cron backfill: {entry.name} has more than {MAX_TICKS:,} ticks from {format_time(first)} to "
            f"{format_time(last)}; the {MAX_TICKS:,}th is {limit}: use several commands, the first up to there"
        )
    return ticks


def _fire(app: Aarq, fire: Callable[[], Awaitable[None]], report: BackfillReport, *, as_json: bool) -> int:
    try:
        run_connected(app, fire)
    except (KeyboardInterrupt, AioqError) as error:
        report.end()
        # What has fired cannot be undone: the numbers say where the next command has to go on.
        print_err(f"interrupted: {report.summary()}, {report.total - len(report.results):,} not finished")
        exit_if_threads_hang(Exit.INTERRUPTED if isinstance(error, KeyboardInterrupt) else exit_for(error))
        raise
    report.end()
    if as_json:
        print_json([_as_json(result, report.zone) for result in report.results])
    else:
        print_out(report.summary())
    code = Exit.FAILED if report.failed else Exit.OK
    exit_if_threads_hang(code)
    return code


async def fire_ticks(
    app: Aarq, entry: CronEntry, ticks: Sequence[datetime], on_result: Callable[[BackfilledTick], None], *, by: str
) -> None:
    """Fire ticks in order: call a cron's function, or enqueue a schedule's jobs.

    Args:
        app: The app, connected.
        entry: The entry.
        ticks: The ticks.
        on_result: Called with the result of each tick.
        by: The person, for the records.
    """
    if entry.job is None:
        await _call_function(app, entry, ticks, on_result, by=by)
    else:
        await _enqueue_jobs(app, entry, entry.job, ticks, on_result, by=by)


async def _call_function(
    app: Aarq, entry: CronEntry, ticks: Sequence[datetime], on_result: Callable[[BackfilledTick], None], *, by: str
) -> None:
    manual = ManualRun(app, entry, TickReason.BACKFILL, by=by)
    async with manual.ready():
        for tick in ticks:
            record = (await manual.fire(tick)).record
            status: Status = "ok" if record.status is TickStatus.OK else "failed"
            on_result(BackfilledTick(tick=tick, status=status, error=record.error))


async def _enqueue_jobs(
    app: Aarq,
    entry: CronEntry,
    template: NewJob,
    ticks: Sequence[datetime],
    on_result: Callable[[BackfilledTick], None],
    *,
    by: str,
) -> None:
    # In batches, so that an interrupted command leaves known jobs behind that the next one passes over.
    for start in range(0, len(ticks), BATCH_SIZE):
        batch = ticks[start : start + BATCH_SIZE]
        found = await enqueue_ticks(app.broker, entry, template, batch, reason=TickReason.BACKFILL, by=by)
        app.counts.add_enqueued([one.job for one in found], [one.new for one in found])
        for enqueued in found:
            on_result(_result(enqueued))


def _result(enqueued: EnqueuedTick) -> BackfilledTick:
    status: Status = "failed" if enqueued.error else "enqueued" if enqueued.new else "known"
    return BackfilledTick(tick=enqueued.tick, status=status, error=enqueued.error, job_id=enqueued.job.id)


class BackfillReport:
    """Prints progress and failures as they happen, and a summary at the end."""

    def __init__(self, entry: CronEntry, total: int) -> None:
        self.zone = entry.zone
        self.total = total
        self._progress = Progress(entry.name, total)
        self.results: list[BackfilledTick] = []

    @property
    def failed(self) -> int:
        """How many ticks failed."""
        return sum(result.status == "failed" for result in self.results)

    def add(self, result: BackfilledTick) -> None:
        """Add the result of a tick."""
        self.results.append(result)
        if result.status == "failed":
            self._progress.clear()
            print_err(f"{format_time(result.tick.astimezone(self.zone))} failed: {result.error}", Color.RED)
        self._progress.show(len(self.results))

    def end(self) -> None:
        """Remove the progress from the terminal."""
        self._progress.clear()

    def summary(self) -> str:
        """Return the number of ticks with each result."""
        counts = Counter[str](result.status for result in self.results)
        texts = {"ok": "ok", "enqueued": "enqueued", "known": "already enqueued", "failed": "failed"}
        return ", ".join(f"{counts[status]:,} {text}" for status, text in texts.items() if counts[status]) or "no ticks"


def _show_ticks(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], *, as_json: bool) -> int:
    """Show the ticks that would fire, with their records."""
    zone = entry.zone
    records = _records(app, entry)
    if as_json:
        print_json([{"tick": tick.astimezone(zone).isoformat(), "recorded": _status(records, tick)} for tick in ticks])
        return Exit.OK
    if ticks:
        rows = [
            (format_time(tick.astimezone(zone), weekday=True), _record_text(records.get(tick.timestamp())))
            for tick in ticks
        ]
        print_table(Table((Column(entry.tz), Column("RECORDED", least=12)), rows))
    print_out(f"{_count_text(len(ticks))} of {entry.name} would fire; this was a dry run")
    return Exit.OK


def _records(app: Aarq, entry: CronEntry) -> dict[float, TickRecord]:
    """Return the records of an entry by tick; none without a ledger that this process can see."""
    broker = app.broker
    if is_embedded(broker) or not supports(broker, TickLedger):
        return {}

    async def history() -> list[TickRecord]:
        return await broker.tick_history(entry.key) if supports(broker, TickLedger) else []

    # Oldest first: of several workers' records of one tick the newest is shown.
    return {record.tick: record for record in reversed(run_connected(app, history))}


def _status(records: dict[float, TickRecord], tick: datetime) -> str | None:
    record = records.get(tick.timestamp())
    return str(record.status) if record else None


def _record_text(record: TickRecord | None) -> str:
    return " ".join(text for text in (record.status.value, reason_text(record)) if text) if record else ""


def _as_json(result: BackfilledTick, zone: tzinfo) -> dict[str, object]:
    tick = result.tick.astimezone(zone).isoformat()
    return {"tick": tick, "status": result.status, "error": result.error, "job_id": result.job_id}


def _count_text(count: int) -> str:
    return f"{count:,} tick{'' if count == 1 else 's'}"
