"""A user's project, and workers of it as real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from tests import servers
from tests.integration.workers.processes import Client, Program

StartWorker = Callable[..., Program]

HEAD = """
import json, os, sys, time
import anyio
from datetime import timedelta
from pathlib import Path
from aioq import Aarq
from aioq.backends import RedisBroker
from aioq_cron import Every

app = Aarq(broker=RedisBroker(os.environ["TEST_URL"], namespace=os.environ["TEST_NAMESPACE"]))


def emit(event, **facts):
    line = json.dumps({"event": event, "at": time.time(), **facts})
    sys.stdout.write(f"{line}\\n")  # in one piece: a plain def task prints from a thread
    sys.stdout.flush()

"""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of slow tests."""
    config.addinivalue_line("markers", "slow: waits for real time; takes up to two minutes")


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """Use one kind of server: the tests of the broker cover the differences."""
    return servers.first()


@pytest.fixture(autouse=True)
def programs_heed_signals() -> Iterator[None]:
    """Let programs heed SIGHUP and SIGQUIT also if the tests run under nohup or in the background: they inherit it."""
    ignored = [one for one in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    yield
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)


@pytest.fixture
def write_tasks(tmp_path: Path) -> Callable[[str], None]:
    """Return a function that writes `tasks.py`: an app in the test's namespace, `emit(event, **facts)`, and a text."""

    def write(text: str) -> None:
        (tmp_path / "tasks.py").write_text(HEAD + dedent(text))

    return write


@pytest.fixture
def run_worker(tmp_path: Path, redis_url: str, namespace: str) -> Iterator[StartWorker]:
    """Return a function that starts `aioq worker tasks:app` with further options."""
    with ExitStack() as programs:

        def start(*options: str) -> Program:
            return programs.enter_context(
                Program(
                    "worker", "tasks:app", *options,
                    folder=tmp_path, environment={"TEST_URL": redis_url, "TEST_NAMESPACE": namespace},
                )
            )  # fmt: skip

        yield start


@pytest.fixture
def start_worker(run_worker: StartWorker) -> StartWorker:
    """Return a function that starts `aioq worker tasks:app` and waits until it has started."""

    def start(*options: str) -> Program:
        program = run_worker(*options)
        program.wait_for("INFO aioq.worker: worker .* started")
        return program

    return start


@pytest.fixture
def client(redis_url: str, namespace: str) -> Client:
    """Return a client that enqueues jobs for the workers."""
    return Client(redis_url, namespace)
