"""The log of a worker reaches Sentry's logging integration, and its events of one fault are alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from aioq import Aarq, Retry
from tests.core.rig import drain


class Kept(Transport):
    """Keeps the events that would be sent."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep the event of an envelope."""
        if (event := envelope.get_event()) is not None:
            self.events.append(event)


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """The events that the SDK, with its default settings, would send."""
    kept = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=kept, auto_enabling_integrations=False)
        yield kept.events
        sentry_sdk.init()


def frames(event: Any) -> list[tuple[str, str]]:
    """Return module and function of each frame of the exception: what Sentry groups by."""
    (exception,) = event["exception"]["values"]
    return [(frame["module"], frame["function"]) for frame in exception["stacktrace"]["frames"]]


async def test_failed_jobs_of_one_fault_group_together(app: Aarq, events: list[Any]) -> None:
    """Two jobs that fail at one place are two events with one stack and one template; the ids are extra data."""

    @app.task(name="charge")
    async def charge(_: object, amount: int) -> None:
        raise ValueError(f"no cover for {amount}")

    jobs = [await charge.enqueue(amount) for amount in (5, 7)]
    await drain(app)
    one, other = events
    assert frames(one) == frames(other)
    module, function = frames(one)[-1]
    assert (module, function.rpartition(".")[2]) == (__name__, "charge")
    assert one["logentry"]["message"] == other["logentry"]["message"]
    assert {event["extra"]["job_id"] for event in events} == {job.id for job in jobs}
    assert {(event["extra"]["task"], event["extra"]["queue"]) for event in events} == {("charge", "default")}
    assert {event["exception"]["values"][0]["value"] for event in events} == {"no cover for 5", "no cover for 7"}
    assert all("fingerprint" not in event and event["logger"] == "aioq.worker" for event in events)


async def test_other_fault_has_another_stack(app: Aarq, events: list[Any]) -> None:
    """Jobs of two tasks that fail are told apart by their stacks."""

    @app.task(name="one")
    async def one(_: object) -> None:
        raise ValueError("broken")

    @app.task(name="other")
    def other(_: object) -> None:
        raise ValueError("broken")

    await one.enqueue()
    await other.enqueue()
    await drain(app)
    first, second = events
    assert frames(first) != frames(second)


async def test_retries_make_no_event(app: Aarq, events: list[Any]) -> None:
    """A job that fails after three attempts is one event; those before are breadcrumbs of it at most."""

    @app.task(name="t", retries=2)
    async def work(_: object) -> None:
        raise Retry("not yet", delay=0)

    await work.enqueue()
    await drain(app)
    assert [event["extra"]["attempt"] for event in events] == [3]
