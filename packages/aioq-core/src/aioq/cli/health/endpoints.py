"""What `/live`, `/ready` and `/metrics` answer, for one worker and for the workers of a supervisor alike."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final, Protocol

import anyio
import msgspec
from msgspec import Struct

from aioq.cli.health.server import Answer, Request
from aioq.exporters import Exporter
from aioq.worker.health import WorkerHealth

__all__ = ["JSON", "RENDER_TIMEOUT", "Endpoints", "Report", "Source", "no_metrics", "rendered"]

JSON: Final = "application/json"

RENDER_TIMEOUT: Final = 10.0
"""Seconds that an exporter has for its metrics. Prometheus waits as long by default."""

logger = logging.getLogger("aioq.health")


class Report(Struct, frozen=True, kw_only=True):
    """The answer to whether workers are live, or ready."""

    findings: tuple[str, ...] = ()
    """Why not, in one line each; empty if yes."""
    notes: tuple[str, ...] = ()
    """What a reader should know although the answer is yes."""
    workers: tuple[WorkerHealth, ...] = ()
    """The workers that were asked and have answered."""


class Source(Protocol):
    """Where the answers come from."""

    async def live(self) -> Report:
        """Return whether the workers are live."""
        ...

    async def ready(self) -> Report:
        """Return whether the workers are ready."""
        ...

    async def metrics(self) -> Answer:
        """Return the metrics of the workers."""
        ...


class Endpoints:
    """Answers requests by their path."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""
        match request.path:
            case "/live":
                return _answer("live", await self._source.live(), request)
            case "/ready":
                return _answer("ready", await self._source.ready(), request)
            case "/metrics":
                return await self._source.metrics()
            case _:
                return Answer.of_text(HTTPStatus.NOT_FOUND, "there is /live, /ready and /metrics")


def _answer(what: str, report: Report, request: Request) -> Answer:
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.findings else HTTPStatus.OK
    if JSON in request.accept.lower():
        fields = {what: not report.findings, **msgspec.structs.asdict(report)}
        return Answer(status, msgspec.json.encode(fields), JSON)
    if report.findings:
        return Answer.of_text(status, *report.findings)
    return Answer.of_text(status, what, *report.notes, *map(_in_a_line, report.workers))


def _in_a_line(worker: WorkerHealth) -> str:
    away = f"; out of reach: {', '.join(worker.queues_away)}" if worker.queues_away else ""
    stuck = f", {worker.stuck} stuck" if worker.stuck else ""
    queues = ", ".join(worker.queues)
    return f"worker {worker.worker_id}: {worker.running} of {worker.slots} slots taken{stuck}; queues {queues}{away}"


def no_metrics() -> Answer:
    """Return the answer of `/metrics` if no package provides metrics."""
    return Answer.of_text(
        HTTPStatus.NOT_FOUND, 'no installed package exports metrics; run: pip install "aioq[prometheus]"'
    )


async def rendered(exporter: Exporter) -> Answer:
    """Return what an exporter renders; an error or a timeout is an answer, too."""
    try:
        with anyio.fail_after(RENDER_TIMEOUT):
            return Answer(HTTPStatus.OK, await exporter.render(), exporter.content_type)
    except TimeoutError:
        return Answer.of_text(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the metrics were not rendered within {RENDER_TIMEOUT:g} s"
        )
    except Exception:
        logger.exception("the metrics could not be rendered", extra={"event": "metrics_not_rendered"})
        return Answer.of_text(HTTPStatus.INTERNAL_SERVER_ERROR, "the metrics could not be rendered; see the log")
