"""A broker that deviates from the protocols is named in one line, by the check and by everything that connects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version

import pytest

from aioq import Aarq, BrokerConfigError, Worker
from aioq.backends import MemoryBroker
from aioq.conformance import check_broker, deviations
from aioq.model.job import CancelledRun, JobRecord, Reaped
from aioq.protocols import PROTOCOL_VERSION
from tests.core.brokers import BareBroker, FlakyBroker, PollableBroker

CORE = version("aioq-core")


class Older(MemoryBroker):
    protocol_version = PROTOCOL_VERSION - 1


class Newer(MemoryBroker):
    protocol_version = PROTOCOL_VERSION + 1


class Incomplete(BareBroker):
    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        return None

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        return False


class WithoutLease(BareBroker):
    async def reap(self, queues: list[str], limit: int = 100) -> list[Reaped]:  # type: ignore[override]
        return []


class Positional(MemoryBroker):
    async def get_job(self, id: str, queue: str) -> JobRecord | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None


class AwaitedAborts(MemoryBroker):
    async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:  # type: ignore[override]
        raise NotImplementedError


class Wider(MemoryBroker):
    async def reap(self, *args: object, **more: object) -> list[Reaped]:
        return []

    async def get_job(self, job_id: str, *, queue: str | None = None, deep: bool = False) -> JobRecord | None:
        return None


VERSIONS = {
    Older: f"Older implements version 0 of aioq.protocols, and aioq-core {CORE} uses version 1: upgrade its package",
    Newer: f"Newer implements version 2 of aioq.protocols, and aioq-core {CORE} uses version 1: upgrade aioq-core",
}

WRONG = {
    Incomplete: "JobStore lacks list_jobs, queue_stats, retry_job, list_dead_jobs",
    WithoutLease: "Broker.reap is async reap(queues, limit=100), and must be async reap(queues, *, lease=30.0, limit=100)",
    Positional: "JobStore.get_job is async get_job(id, queue), and must be async get_job(job_id, *, queue)",
    AwaitedAborts: "Signals.aborts is async aborts(worker_id), and must be aborts(worker_id)",
}


@pytest.mark.parametrize("broker", [MemoryBroker, FlakyBroker, BareBroker, Wider])
def test_deviations_conforming_broker_has_none(broker: type[MemoryBroker]) -> None:
    """Optional protocols may be left out, and methods may take more than they must; objects and classes are alike."""
    assert deviations(broker()) == []
    assert deviations(broker) == []


def test_deviations_methods_as_attributes_of_the_object_count() -> None:
    """A wrapper may set the methods of a protocol when it is made."""
    assert deviations(PollableBroker(MemoryBroker())) == []


@pytest.mark.parametrize("broker", WRONG)
def test_deviations_missing_method_and_wrong_signature_are_named(broker: type[MemoryBroker]) -> None:
    """Each line names the protocol, what is wrong and what must be; objects and classes are alike."""
    assert deviations(broker()) == [WRONG[broker]]
    assert deviations(broker) == [WRONG[broker]]


def test_deviations_every_missing_method_of_broker_is_named() -> None:
    """Without any method, all of `Broker` is missing and no optional protocol is."""
    (version_line, methods) = deviations(object())
    assert "object does not state which version of aioq.protocols it implements" in version_line
    assert methods == "Broker lacks connect, close, time, enqueue, claim, extend, settle, reap"


@pytest.mark.parametrize("broker", [*VERSIONS, *WRONG])
async def test_connect_deviating_broker_is_one_clear_line(broker: type[MemoryBroker]) -> None:
    """Client and worker raise the same error before the broker is connected, so that no protocol is silently unused."""
    text = VERSIONS.get(broker) or (
        f"{broker.__name__} does not conform to aioq.protocols: {WRONG[broker]}; upgrade it, or report this to its authors"
    )
    app = Aarq(broker())
    for connect in (app.connect, Worker(app, handle_signals=False).run):
        with pytest.raises(BrokerConfigError) as caught:
            await connect()
        assert str(caught.value) == text
    assert not app.connected


async def test_connect_broker_without_version_says_what_to_write() -> None:
    """The author reads which line to add."""

    class Silent(MemoryBroker):
        protocol_version = None  # type: ignore[assignment]

    with pytest.raises(BrokerConfigError, match=r"its class must set protocol_version = 1 if it implements this one$"):
        check_broker(Silent())


def test_check_broker_many_deviations_are_counted() -> None:
    """The error names three of them and the number of the others."""

    class Wrong(Positional):
        async def time(self, zone: str) -> float:  # type: ignore[override]
            return 0.0

        async def connect(self, url: str) -> None: ...  # type: ignore[override]

        async def close(self, hard: bool) -> None: ...  # type: ignore[override]

    with pytest.raises(
        BrokerConfigError, match=r"Broker\.connect .*; Broker\.close .*; Broker\.time .*; and 1 more; upgrade it, or"
    ):
        check_broker(Wrong())


def test_conformance_command_prints_each_deviation() -> None:
    """The check of an author names each deviation, or the protocols that the broker implements."""
    good, wrong = (
        _conformance(f"tests.core.conformance.test_deviations:{name}") for name in ("BareBroker", "Positional")
    )
    assert good == (0, "BareBroker conforms to version 1 of Broker\n")
    assert wrong == (1, WRONG[Positional] + "\n")


def _conformance(target: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "aioq.conformance", target], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout
