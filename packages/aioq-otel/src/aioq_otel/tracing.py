"""Makes the spans of enqueues, runs and ticks, and takes the trace from the client to the worker in headers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context, propagate
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span

from aioq import TickFact
from aioq.instrumentation import Enqueue, Run, TickRun
from aioq.model.job import Lease
from aioq_otel.attributes import (
    CRON,
    DESTINATION,
    ERROR_TYPE,
    OUTCOME,
    QUEUE,
    Attributes,
    error_type,
    of_enqueue,
    of_run,
)

__all__ = ["Tracing"]

NANOSECONDS: Final = 1_000_000_000


class Tracing:
    """Implements `aioq.instrumentation.Instrumentation` with spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def enqueueing(self, enqueue: Enqueue) -> Generator[None]:
        """Make a span of the call, in the trace of its caller, and send its context with the jobs."""
        attributes = of_enqueue(enqueue.jobs)
        if enqueue.batch:
            attributes["messaging.batch.message_count"] = len(enqueue.jobs)
        else:
            attributes["messaging.message.id"] = enqueue.jobs[0].id
        name = _name("enqueue", attributes)
        with self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes) as span:
            propagate.inject(enqueue.headers)
            try:
                yield
            except Exception as error:
                span.set_attribute(ERROR_TYPE, error_type(error))
                raise
            if known := list(enqueue.is_new or ()).count(False):
                span.set_attribute("aioq.known_count", known)

    @contextmanager
    def running(self, run: Run) -> Generator[None]:
        """Make a span of the run, as a child of the span of the enqueue."""
        lease = run.lease
        # Not the context of the worker: if it was started in a span, the jobs of all clients would belong to that.
        sent = propagate.extract(lease.headers or {}, context=Context())
        attributes = of_run(lease)
        with (
            _current(sent),
            self._tracer.start_as_current_span(
                _name("run", attributes),
                kind=SpanKind.CONSUMER,
                attributes=attributes | _of_attempt(lease),
                links=_links(lease, sent),
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            yield
            if run.outcome is not None:
                span.set_attribute(OUTCOME, run.outcome.value.removeprefix("job_"))
            if run.error is not None:
                _note_error(span, run.error)

    @contextmanager
    def ticking(self, tick: TickRun) -> Generator[None]:
        """Make a span of the call of a cron, in a trace of its own."""
        attributes = _of_tick(tick.name, tick.queue, tick.worker_id)
        attributes["aioq.cron.tick"] = tick.tick.isoformat()
        with (
            _current(Context()),
            self._tracer.start_as_current_span(
                f"tick {tick.name}",
                kind=SpanKind.INTERNAL,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            yield
            if tick.interrupted:
                span.set_attribute("aioq.cron.interrupted", tick.interrupted)
            if tick.error is not None:
                _note_error(span, tick.error)

    def on_fired(self, fact: TickFact) -> None:
        """Make a span of a tick that has enqueued a job. One that calls a function has its span from `ticking`."""
        if not fact.job_id:
            return
        attributes = _of_tick(fact.name, fact.queue, fact.worker_id)
        attributes["messaging.message.id"] = fact.job_id
        if fact.late is not None:
            attributes["aioq.cron.late"] = fact.late
        at = round(fact.at * NANOSECONDS)
        span = self._tracer.start_span(f"tick {fact.name}", context=Context(), attributes=attributes, start_time=at)
        span.end(at)


@contextmanager
def _current(sent: Context) -> Generator[None]:
    token = context.attach(sent)
    try:
        yield
    finally:
        context.detach(token)


def _name(operation: str, attributes: Attributes) -> str:
    return f"{operation} {attributes[DESTINATION]}" if DESTINATION in attributes else operation


def _links(lease: Lease, sent: Context) -> list[Link]:
    """Return a link to the enqueue for each run but the first: its parent did not cause it alone."""
    enqueued = get_current_span(sent).get_span_context()
    again = lease.epoch > 1 and enqueued.is_valid
    return [Link(enqueued, {"aioq.attempt": lease.attempt, "aioq.epoch": lease.epoch})] if again else []


def _of_attempt(lease: Lease) -> Attributes:
    return {
        "messaging.message.id": lease.job_id,
        "messaging.client.id": lease.worker_id,
        "aioq.attempt": lease.attempt,
        "aioq.epoch": lease.epoch,
        "aioq.wait": lease.wait,
    }


def _of_tick(name: str, queue: str, worker_id: str) -> Attributes:
    return {CRON: name, QUEUE: queue, "aioq.worker_id": worker_id}


def _note_error(span: Span, error: BaseException) -> None:
    span.record_exception(error)
    span.set_attribute(ERROR_TYPE, error_type(error))
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
