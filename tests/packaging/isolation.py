"""Checks that a distribution works with nothing but its declared requirements.

Run it as `python -I isolation.py DISTRIBUTION [EXTRA]` in an environment that has only the distribution and its
requirements: without the checkout on the path, and without pytest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, resources
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType

import anyio


def job() -> None:
    """Enqueue a job, run it and read its result, on the broker of the core."""
    from aioq import Aarq, Worker

    app = Aarq("memory://")

    @app.task
    async def double(_: object, number: int) -> int:
        return 2 * number

    async def play() -> None:
        async with app:
            made = await double.enqueue(21)
            await Worker(app, burst=True, handle_signals=False).run()
            assert await made.result(timeout=5) == 42

    anyio.run(play)


def satellites_are_named() -> None:
    """Check that a missing distribution is named, with the command that installs it."""
    from aioq import backends
    from aioq.discovery import broker_from_url, scheduler_named

    attempts: dict[str, Callable[[], object]] = {
        "aioq-redis distribution": lambda: backends.RedisBroker,
        "pip install aioq-redis": lambda: broker_from_url("redis://localhost"),
        'pip install "aioq[cron]"': lambda: scheduler_named("cron"),
    }
    for line, attempt in attempts.items():
        assert line in refusal(attempt)


def refusal(attempt: Callable[[], object]) -> str:
    """Return the message of the error that a call raises."""
    try:
        attempt()
    except Exception as error:
        return str(error)
    raise AssertionError("something is here that should not be")


def health() -> None:
    """Ask a worker whether it is live, over a socket."""
    from aioq import Aarq, Worker
    from aioq.cli.health.sockets import listen
    from aioq.cli.health.start import serve_worker

    async def ask() -> bytes:
        port = listen("127.0.0.1", 0)
        async with serve_worker(Worker(Aarq("memory://")), port):
            stream = await anyio.connect_tcp(*port[0].getsockname())
            async with stream:
                await stream.send(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n")
                return await stream.receive()

    assert anyio.run(ask).startswith(b"HTTP/1.1 200 OK")


def cron() -> None:
    """Find the scheduler, and let it compute the next noon."""
    from datetime import UTC, datetime

    from aioq.discovery import scheduler_named

    schedule = scheduler_named("cron").parse("0 12 * * *")
    assert schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 12, tzinfo=UTC)


def redis() -> None:
    """Find the broker by each of its schemes, and read its scripts."""
    import aioq_redis
    from aioq.backends import RedisBroker
    from aioq.discovery import broker_from_url

    assert RedisBroker is aioq_redis.RedisBroker
    for scheme in ("redis", "rediss", "valkey", "valkeys"):
        assert isinstance(broker_from_url(f"{scheme}://localhost:1"), RedisBroker)
    assert isinstance(broker_from_url("unix:///nowhere/socket"), RedisBroker)
    with resources.as_file(resources.files("aioq_redis").joinpath("lua")) as folder:
        scripts = [path.read_text("utf-8") for path in folder.rglob("*.lua")]
    assert scripts
    assert all(script.startswith("--") for script in scripts)


def pages() -> None:
    """Make a dashboard, and find its templates and files."""
    from aioq import Aarq
    from aioq_web import dashboard
    from aioq_web.environment import ASSETS, new_environment

    assert dashboard(Aarq("memory://")).routes
    assert all(ASSETS.values())
    assert "layout.html" in new_environment().list_templates()


def spans() -> None:
    """Instrument an app without an SDK, which records nothing."""
    import aioq_otel
    from aioq import Aarq

    app = Aarq("memory://")
    aioq_otel.instrument(app)
    assert len(app.instruments) == 2


def metrics() -> None:
    """Instrument an app, enqueue a job, and render the metrics."""
    import aioq_prometheus
    from aioq import Aarq

    app = Aarq("memory://")
    exporter = aioq_prometheus.exporter(app)

    @app.task(name="t")
    async def task(ctx: object) -> None: ...

    async def play() -> bytes:
        async with app:
            await task.enqueue()
            return await exporter.render()

    assert b'aioq_jobs_enqueued_total{queue="default",task="t"} 1.0' in anyio.run(play)


def suites() -> None:
    """Find the suites and machines that the brokers of third parties must pass."""
    from aioq import testing
    from aioq.testing import machines

    assert all(hasattr(testing, name) for name in ("BrokerContract", "SchedulerContract"))
    assert all(hasattr(machines, name) for name in ("BrokerMachine", "LedgerMachine"))


@dataclass(frozen=True)
class Case:
    """The modules of a distribution, those that must be missing, and the checks that must pass."""

    packages: tuple[str, ...]
    absent: tuple[str, ...]
    proofs: tuple[Callable[[], None], ...]
    skip: tuple[str, ...] = ("aioq.cli.health", "aioq.testing")
    """Modules that need an extra."""


CASES = {
    "aioq-core": Case(
        ("aioq",), ("aioq_cron", "aioq_redis", "croniter", "h11", "redis", "pytest"), (job, satellites_are_named)
    ),
    "aioq-core[health]": Case(("aioq",), ("aioq_cron", "aioq_redis", "pytest"), (job, health), skip=("aioq.testing",)),
    "aioq-core[testing]": Case(
        ("aioq",), ("aioq_cron", "aioq_redis", "croniter", "redis"), (job, suites), skip=("aioq.cli.health",)
    ),
    "aioq-cron": Case(("aioq_cron",), ("aioq_redis", "redis", "pytest"), (job, cron)),
    "aioq-otel": Case(
        ("aioq_otel",), ("aioq_cron", "aioq_redis", "croniter", "opentelemetry.sdk", "pytest"), (job, spans)
    ),
    "aioq-prometheus": Case(("aioq_prometheus",), ("aioq_cron", "aioq_redis", "croniter", "pytest"), (job, metrics)),
    "aioq-redis": Case(("aioq_redis",), ("aioq_cron", "croniter", "redis", "pytest"), (job, redis)),
    "aioq-web": Case(("aioq_web",), ("aioq_cron", "aioq_redis", "croniter", "redis", "pytest"), (job, pages)),
    "aioq": Case(("aioq", "aioq_redis"), ("aioq_cron", "croniter", "redis", "pytest"), (job, redis)),
    "aioq[cron]": Case(("aioq", "aioq_cron", "aioq_redis"), ("redis", "pytest"), (job, cron, redis)),
}


def modules(package: ModuleType, skip: tuple[str, ...]) -> Iterator[str]:
    """Import all modules of a package except programs, and yield their names."""
    yield package.__name__
    for found in iter_modules(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__") and not found.name.startswith(skip or ("-",)):
            module = import_module(found.name)
            yield from modules(module, skip) if found.ispkg else [found.name]


def main(name: str) -> None:
    """Check one case, and print the result."""
    case = CASES[name]
    here = [name for name in case.absent if find_spec(name)]
    assert not here, f"{name} drags in {', '.join(here)}"
    count = sum(1 for package in case.packages for _ in modules(import_module(package), case.skip))
    for proof in case.proofs:
        proof()
    print(f"{name}: {count} modules imported; works: {', '.join(proof.__name__ for proof in case.proofs)}")


if __name__ == "__main__":
    main(sys.argv[1])
