"""Spans of enqueues, runs and ticks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from opentelemetry import baggage, context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, get_current_span

import aioq_otel
from aioq import Aarq, BrokerUnavailable, JobContext
from aioq.testing import VirtualClock
from tests.core.rig import Hold, drain, settle_down, working
from tests.otel.conftest import Telemetry


def of(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span."""
    return span.attributes or {}


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    return int(span.context.span_id)


async def test_enqueue_is_producer_span_of_the_caller(app: Aarq, telemetry: Telemetry) -> None:
    """The span has the attributes of the conventions, and is a child of the caller's."""

    @app.task(name="send", queue="mails")
    async def send(ctx: JobContext) -> None: ...

    with telemetry.provider.get_tracer("test").start_as_current_span("request"):
        job = await send.enqueue()
    span, request = telemetry.span("enqueue"), telemetry.span("request")
    assert (span.name, span.kind) == ("enqueue mails", SpanKind.PRODUCER)
    assert of(span) == {
        "messaging.system": "aioq", "messaging.operation.name": "enqueue", "messaging.operation.type": "send",
        "messaging.destination.name": "mails", "messaging.message.id": job.id, "aioq.task": "send",
    }  # fmt: skip
    assert span.parent is not None
    assert span.parent.span_id == id_of(request)


async def test_enqueue_many_is_one_span(app: Aarq, telemetry: Telemetry) -> None:
    """A batch has one span with the number of its jobs, and with what they have in common."""

    @app.task(name="a", queue="one")
    async def a(ctx: JobContext) -> None: ...

    @app.task(name="b", queue="two")
    async def b(ctx: JobContext) -> None: ...

    call = a.call()
    await app.enqueue_many([call, b.call()])
    await a.enqueue_many([call])
    mixed, single = telemetry.spans("enqueue")
    assert (mixed.name, single.name) == ("enqueue", "enqueue one")
    assert of(mixed)["messaging.batch.message_count"] == 2
    assert not {"messaging.destination.name", "aioq.task", "messaging.message.id"} & of(mixed).keys()
    assert (of(single)["messaging.batch.message_count"], of(single)["aioq.known_count"]) == (1, 1)


async def test_enqueue_that_fails_has_error(app: Aarq, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the broker is recorded."""

    async def enqueue(_: object) -> list[bool]:
        raise BrokerUnavailable("connection refused")

    @app.task
    async def send(ctx: JobContext) -> None: ...

    await app.connect()
    monkeypatch.setattr(app.broker, "enqueue", enqueue)
    with pytest.raises(BrokerUnavailable):
        await send.enqueue()
    span = telemetry.span("enqueue")
    assert span.status.status_code is StatusCode.ERROR
    assert of(span)["error.type"] == "aioq.errors.BrokerUnavailable"
    assert [event.name for event in span.events] == ["exception"]


async def test_run_is_consumer_span_in_the_trace_of_the_enqueue(app: Aarq, telemetry: Telemetry) -> None:
    """A run is a child of the enqueue, also in a batch, and the current span of its task, also in a thread."""
    current: list[int] = []

    @app.task(name="in_loop")
    async def in_loop(ctx: JobContext) -> None:
        current.append(get_current_span().get_span_context().span_id)

    @app.task(name="in_thread")
    def in_thread(ctx: JobContext) -> None:
        current.append(get_current_span().get_span_context().span_id)

    jobs = await app.enqueue_many([in_loop.call(), in_thread.call()])
    with telemetry.provider.get_tracer("test").start_as_current_span("the worker's own"):
        await drain(app, id="w1")
    enqueue, runs = telemetry.span("enqueue"), telemetry.spans("run")
    assert [(span.name, span.kind, span.links) for span in runs] == [("run default", SpanKind.CONSUMER, ())] * 2
    assert {span.parent.span_id for span in runs if span.parent} == {id_of(enqueue)}
    assert sorted(current) == sorted(map(id_of, runs))
    assert {of(span)["messaging.message.id"] for span in runs} == {job.id for job in jobs}
    (first,) = [span for span in runs if of(span)["aioq.task"] == "in_loop"]
    assert {name: value for name, value in of(first).items() if name not in ("messaging.message.id", "aioq.wait")} == {
        "messaging.system": "aioq", "messaging.operation.name": "run", "messaging.operation.type": "process",
        "messaging.destination.name": "default", "messaging.client.id": "w1", "aioq.task": "in_loop",
        "aioq.attempt": 1, "aioq.epoch": 1, "aioq.outcome": "completed",
    }  # fmt: skip
    assert first.status.status_code is StatusCode.UNSET


async def test_run_has_baggage_of_the_client(app: Aarq) -> None:
    """The worker takes all of the propagated context, and none of its own."""
    seen: list[object] = []

    @app.task
    async def look(ctx: JobContext) -> None:
        seen.append((baggage.get_baggage("tenant"), baggage.get_baggage("worker")))

    token = context.attach(baggage.set_baggage("tenant", "north"))
    await look.enqueue()
    context.detach(token)
    token = context.attach(baggage.set_baggage("worker", "w1"))
    await drain(app)
    context.detach(token)
    assert seen == [("north", None)]


async def test_retry_is_child_of_the_enqueue_and_linked_to_it(app: Aarq, telemetry: Telemetry) -> None:
    """Each attempt is a child of the enqueue with its error; those after the first have a link to it."""

    @app.task(retries=1, retry_delay=0)
    async def fail(ctx: JobContext) -> None:
        raise KeyError("no such order")

    await fail.enqueue()
    await drain(app)
    enqueue, (first, second) = telemetry.span("enqueue"), telemetry.spans("run")
    assert {span.parent.span_id for span in (first, second) if span.parent} == {id_of(enqueue)}
    assert [of(span)["aioq.outcome"] for span in (first, second)] == ["retried", "failed"]
    assert first.links == ()
    (link,) = second.links
    assert link.context.span_id == id_of(enqueue)
    assert dict(link.attributes or {}) == {"aioq.attempt": 2, "aioq.epoch": 2}
    for span in (first, second):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "KeyError: 'no such order'")
        assert of(span)["error.type"] == "KeyError"
        assert "no such order" in str((span.events[0].attributes or {})["exception.stacktrace"])


async def test_cancelled_and_released_runs_say_so(app: Aarq, telemetry: Telemetry) -> None:
    """Neither is an error."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, abort=True):
        await hold.started.wait()
        await job.cancel()
        with anyio.fail_after(30):
            while not telemetry.spans("run"):
                await settle_down()
            await hold.task.enqueue()
            while len(hold.attempts) < 2:
                await settle_down()
    runs = telemetry.spans("run")
    assert [(of(span)["aioq.outcome"], span.status.status_code) for span in runs] == [
        ("cancelled", StatusCode.UNSET),
        ("released", StatusCode.UNSET),
    ]


async def test_tick_of_a_function_is_a_span_around_its_call(
    app: Aarq, telemetry: Telemetry, clock: VirtualClock
) -> None:
    """The span begins a trace, is current in the function, and has its error."""
    current: list[int] = []

    @app.cron("every 5", name="sweep")
    async def sweep(_: object) -> None:
        current.append(get_current_span().get_span_context().span_id)
        raise ValueError("no disk")

    async with working(app, clock=clock, id="w1"):
        await clock.advance(6)
    span = telemetry.span("tick")
    assert (span.name, span.parent, span.kind) == ("tick sweep", None, SpanKind.INTERNAL)
    assert current == [id_of(span)]
    assert of(span) == {
        "aioq.cron.name": "sweep", "aioq.queue": "default", "aioq.worker_id": "w1",
        "aioq.cron.tick": "2026-01-01T00:00:05+00:00", "error.type": "ValueError",
    }  # fmt: skip
    assert span.status.description == "ValueError: no disk"


async def test_tick_of_a_schedule_is_a_span_with_its_job(app: Aarq, telemetry: Telemetry, clock: VirtualClock) -> None:
    """A tick that enqueues a job is a span that names the job, and the run of the job is another one."""

    @app.task(name="bill")
    async def bill(ctx: JobContext) -> None: ...

    app.schedule(bill, "every 5", name="billing")
    async with working(app, clock=clock):
        await clock.advance(7)
    tick, run = telemetry.span("tick"), telemetry.span("run")
    assert of(tick)["messaging.message.id"] == of(run)["messaging.message.id"] == "cron:billing:1767225605000"
    assert of(tick)["aioq.cron.late"] >= 0
    assert tick.parent is None


def test_instrument_twice_is_refused(app: Aarq) -> None:
    """Each span would be there twice."""
    with pytest.raises(ValueError, match="app shop is instrumented already"):
        aioq_otel.instrument(app)


async def test_instrument_without_sdk_records_nothing_and_jobs_run() -> None:
    """With the providers of the API alone, jobs have no headers."""
    app = Aarq("memory://")
    aioq_otel.instrument(app, tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())

    @app.task
    async def work(ctx: JobContext) -> dict[str, str]:
        return dict(ctx["headers"])

    job = await work.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == {}
