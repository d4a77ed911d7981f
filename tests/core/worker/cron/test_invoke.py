"""The context, the timeout and `on_error` of a cron's function."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq
from aioq.testing import VirtualClock
from tests.core.rig import until, working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes

HERE = "tests.core.worker.cron.test_invoke"


async def fail(_: object) -> None:
    """Fail at once."""
    raise ConnectionError("connection refused")


async def hang(_: object) -> None:
    """Never end."""
    await anyio.sleep_forever()


async def test_invoke_args_follow_context(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Positional ones and named ones."""
    app.cron("every 10", args=(1, "a"), kwargs={"flag": True})(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert (notes.contexts[0]["args"], notes.contexts[0]["kwargs"]) == ((1, "a"), {"flag": True})


async def test_invoke_plain_function_runs_in_thread(app: Aarq, clock: VirtualClock) -> None:
    """With their arguments as well."""
    calls: list[tuple[int, bool]] = []

    @app.cron("every 10", args=(7,))
    def plain(_: object, n: int) -> None:
        calls.append((n, threading.current_thread() is threading.main_thread()))

    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
        await until(lambda: calls)
    assert (calls, plain.__name__) == ([(7, False)], "plain")


async def test_disabled_entry_does_not_fire(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """It is registered, and shown as it is."""
    app.cron("every 10", name="entry", enabled=False)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(30)
    assert (notes.ticks, (await ledger.status()).definition.enabled) == ([], False)


async def test_bounded_entry_fires_between_start_and_end(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """The bounds are part of the schedule."""
    start, end = datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 40, tzinfo=UTC)
    app.cron("every 10", start=start, end=end)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(100)
    assert notes.ticks == [20, 30, 40]


# Timeouts


async def test_timeout_cancels_run(
    app: Aarq, clock: VirtualClock, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """It has failed, in the words of the log and of the ledger; the next run comes as planned."""
    app.cron("every 10", name="entry", timeout=2.5)(hang)
    async with working(app, clock=clock, abort=True):
        await clock.advance(23)
    line = f"Cron task {HERE}.hang failed: timed out after 2.5 s"
    assert caplog.record_tuples == [("aioq.worker", logging.ERROR, line)] * 2
    records = await ledger.records()
    assert [(record.status.value, record.error) for record in records] == [
        ("failed", "TimeoutError: timed out after 2.5 s")
    ] * 2
    assert [record.finished_at - record.tick for record in records if record.finished_at] == [2.5, 2.5]


async def test_timeout_leaves_short_run_alone(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """Up to the last moment."""
    notes.lasts = 2.4
    app.cron("every 10", name="entry", timeout=2.5)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(13)
    assert (await ledger.told(), notes.ended) == ([(10, "ok", "", 1)], [12.4])


async def test_timeout_ignores_error_raised_by_cancelled_run(
    app: Aarq, clock: VirtualClock, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is the timeout, whatever the cancelled function raises."""

    @app.cron("every 10", name="entry", timeout=1)
    async def raises(_: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("interrupted")

    async with working(app, clock=clock, abort=True):
        await clock.advance(12)
    assert await ledger.told() == [(10, "failed", "TimeoutError: timed out after 1 s", 1)]
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["timed out after 1 s"]
    assert raises.__name__ == "raises"


async def test_timeout_abandons_thread(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can end it; the run is over nevertheless."""
    release = threading.Event()

    @app.cron("every 10", timeout=1)
    def blocks(_: object) -> None:
        release.wait(10)

    async with working(app, clock=clock, abort=True):
        await clock.advance(12)
        assert [message.rpartition(": ")[2] for message in caplog.messages] == ["timed out after 1 s"]
        release.set()
    assert blocks.__name__ == "blocks"


# on_error


class Heard:
    """An `on_error` that notes what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    async def later(self, ctx: dict[str, Any], error: BaseException) -> None:
        """Take a note, in the event loop."""
        await anyio.lowlevel.checkpoint()
        self.calls.append((ctx["cron_name"], str(error)))

    def at_once(self, ctx: dict[str, Any], error: BaseException) -> None:
        """Take a note, in a thread."""
        self.calls.append((ctx["cron_name"], str(error)))


@pytest.mark.parametrize("kind", ["later", "at_once"])
@pytest.mark.parametrize(
    ("function", "text"), [(fail, "connection refused"), (hang, "timed out after 1 s")], ids=["raises", "timeout"]
)
async def test_on_error_gets_context_and_exception(
    app: Aarq, clock: VirtualClock, kind: str, function: Any, text: str
) -> None:
    """With context and exception; `async def` or not."""
    heard = Heard()
    app.cron("every 10", name="entry", timeout=1, on_error=getattr(heard, kind))(function)
    async with working(app, clock=clock, abort=True):
        await clock.advance(12)
        await until(lambda: heard.calls)
    assert heard.calls == [("entry", text)]


async def test_on_error_failure_is_logged(
    app: Aarq, clock: VirtualClock, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """That is logged, with its traceback, and the ledger tells the failure of the run."""

    async def broken(_: object, error: BaseException) -> None:
        raise LookupError("no pager")

    app.cron("every 10", name="entry", on_error=broken)(fail)
    async with working(app, clock=clock, abort=True):
        await clock.advance(21)
    lines = [f"Cron task {HERE}.fail failed: connection refused", f"on_error of cron task {HERE}.fail failed: no pager"]
    assert caplog.messages == lines * 2
    assert "LookupError: no pager" in caplog.text
    assert [record[2] for record in await ledger.told()] == ["ConnectionError: connection refused"] * 2


async def test_on_error_is_not_called_without_failure(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """It is called neither for runs that succeed nor for interrupted ones."""
    heard = Heard()
    app.cron("every 10", on_error=heard.later)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(15)
        notes.lasts = 100
        await clock.advance(10)
    assert (notes.cut, heard.calls) == ([20], [])


async def test_stop_records_interrupted_run(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """As failed, for it did not get through; nothing is logged of it."""
    notes.lasts = 100
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(15)
    assert await ledger.told() == [(10, "failed", "interrupted: the worker stopped", 1)]
    assert caplog.messages == []
