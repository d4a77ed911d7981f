"""Jobs of schedules that a person orders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from aioq import Aarq
from aioq.cron.manual import manual_worker_id, time_between_ticks
from aioq.model.ids import check_name
from aioq.protocols import Broker
from tests.core.cli.far import FarBroker


def test_manual_worker_id_is_valid_worker_id() -> None:
    """Every broker can store it, whatever the name of the user."""
    worker_id = manual_worker_id("Ada Lovelace@host" + "x" * 300)
    assert worker_id.startswith("by-hand-Ada-Lovelace@host")
    assert check_name("worker id", worker_id) == worker_id


def test_time_between_ticks_skips_ticks() -> None:
    """The job of a tick at the same time keeps its id."""
    app = Aarq(cast("Broker", FarBroker()))
    app.cron("0 9 * * *", name="report")(print)
    entry = app.crons["report"]
    nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert time_between_ticks(entry, nine) == nine.replace(microsecond=1000)
    assert time_between_ticks(entry, nine.replace(microsecond=5678)) == nine.replace(microsecond=5000)
