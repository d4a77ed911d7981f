"""What `/live`, `/ready` and `/metrics` answer, as text and as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus

import anyio
import pytest

from aioq.cli.health import endpoints
from aioq.cli.health.endpoints import Endpoints, Report, no_metrics, rendered
from aioq.cli.health.server import Answer, Request
from aioq.worker.health import Phase, WorkerHealth

ADA = WorkerHealth(
    worker_id="ada", pid=7, phase=Phase.RUNNING, queues=("mails", "default"), running=3, slots=10, stuck=1,
    outage_since=datetime(2026, 1, 1, 9, tzinfo=UTC), queues_away=("far",),
)  # fmt: skip


class Fixed:
    """A source that gives the same report each time."""

    def __init__(self, live: Report, ready: Report) -> None:
        self._live = live
        self._ready = ready

    async def live(self) -> Report:
        return self._live

    async def ready(self) -> Report:
        return self._ready

    async def metrics(self) -> Answer:
        return no_metrics()


@pytest.fixture
def endpoints_of_ada() -> Endpoints:
    """Those of a worker that is live and not ready."""
    ready = Report(findings=("worker ada: the broker does not answer", "worker bob: stopping"), workers=(ADA,))
    return Endpoints(Fixed(Report(notes=("one process starts",), workers=(ADA,)), ready))


async def ask(endpoints: Endpoints, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Return status, type and text of an answer."""
    answer = await endpoints.answer(Request("GET", path, accept))
    return answer.status, answer.content_type, answer.body.decode()


async def test_yes_as_text(endpoints_of_ada: Endpoints) -> None:
    """The first line is the answer; notes and a line for each worker follow."""
    assert await ask(endpoints_of_ada, "/live") == (
        200,
        "text/plain; charset=utf-8",
        (
            "live\none process starts\n"
            "worker ada: 3 of 10 slots taken, 1 stuck; queues mails, default; out of reach: far\n"
        ),
    )


async def test_no_as_text(endpoints_of_ada: Endpoints) -> None:
    """Each line is a reason."""
    status, _, text = await ask(endpoints_of_ada, "/ready")
    assert (status, text) == (503, "worker ada: the broker does not answer\nworker bob: stopping\n")


@pytest.mark.parametrize("accept", ["application/json", "text/html, Application/JSON;q=0.9, */*;q=0.1"])
async def test_answer_as_json(endpoints_of_ada: Endpoints, accept: str) -> None:
    """A program that accepts JSON gets the verdict, the reasons and the figures, with times in ISO 8601."""
    status, kind, text = await ask(endpoints_of_ada, "/ready", accept)
    assert (status, kind) == (503, "application/json")
    assert json.loads(text) == {
        "ready": False,
        "findings": ["worker ada: the broker does not answer", "worker bob: stopping"],
        "notes": [],
        "workers": [
            {
                "worker_id": "ada",
                "pid": 7,
                "phase": "running",
                "queues": ["mails", "default"],
                "running": 3,
                "slots": 10,
                "stuck": 1,
                "not_live": [],
                "not_ready": [],
                "outage_since": "2026-01-01T09:00:00Z",
                "queues_away": ["far"],
            }
        ],
    }
    status, _, text = await ask(endpoints_of_ada, "/live", accept)
    assert (status, json.loads(text)["live"]) == (200, True)


@pytest.mark.parametrize("path", ["/", "/live/", "/LIVE", "//ready", "http://h/live", "*", "/../live"])
async def test_unknown_path_names_the_known_ones(endpoints_of_ada: Endpoints, path: str) -> None:
    """The answer says which paths there are."""
    status, _, text = await ask(endpoints_of_ada, path)
    assert (status, text) == (404, "there is /live, /ready and /metrics\n")


async def test_metrics_without_exporter_say_what_to_install(endpoints_of_ada: Endpoints) -> None:
    """The answer has the pip command."""
    status, _, text = await ask(endpoints_of_ada, "/metrics")
    assert (status, text) == (404, 'no installed package exports metrics; run: pip install "aioq[prometheus]"\n')


class Metrics:
    """An exporter whose text the test makes."""

    content_type = "text/metrics"

    def __init__(self, render: Callable[[], Awaitable[bytes]]) -> None:
        self.render = render


async def text_of(render: Callable[[], Awaitable[bytes]]) -> tuple[HTTPStatus, str, bytes]:
    """Return the answer with what an exporter renders."""
    answer = await rendered(Metrics(render))  # type: ignore[arg-type]  # an attribute in place of a method
    return answer.status, answer.content_type, answer.body


async def test_metrics_are_what_the_exporter_renders() -> None:
    """The answer has the type of the exporter."""

    async def render() -> bytes:
        return b"jobs 3\n"

    assert await text_of(render) == (200, "text/metrics", b"jobs 3\n")


async def test_metrics_that_fail_are_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is in the log, and not in the answer."""

    async def render() -> bytes:
        raise RuntimeError("secret")

    status, _, body = await text_of(render)
    assert (status, body) == (500, b"the metrics could not be rendered; see the log\n")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, "secret" in (record.exc_text or "")) == ("aioq.health", True)


async def test_metrics_that_take_too_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says how long was waited."""
    monkeypatch.setattr(endpoints, "RENDER_TIMEOUT", 0.01)

    async def render() -> bytes:
        await anyio.sleep_forever()
        raise AssertionError

    status, _, body = await text_of(render)
    assert (status, body) == (503, b"the metrics were not rendered within 0.01 s\n")
