"""Composes the suite for `aioq.protocols.Broker`."""

from __future__ import annotations

from importlib.metadata import entry_points

import anyio
import pytest

from aioq.conformance import OPTIONAL, deviations, supports
from aioq.discovery import BROKERS
from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.protocols import Broker, Restricted
from aioq.testing.contracts.attempts import AttemptContract
from aioq.testing.contracts.claiming import ClaimContract
from aioq.testing.contracts.enqueueing import EnqueueContract
from aioq.testing.contracts.identity import IdentityContract
from aioq.testing.contracts.leases import LeaseContract
from aioq.testing.contracts.multi_process import MultiProcessContract
from aioq.testing.contracts.outages import OutageContract
from aioq.testing.contracts.retention import RetentionContract
from aioq.testing.contracts.settling import SettleContract

__all__ = ["BrokerContract"]

PASSWORD = "s3cr3t-horse"  # noqa: S105  # of no server


class BrokerContract(
    EnqueueContract,
    IdentityContract,
    ClaimContract,
    LeaseContract,
    OutageContract,
    SettleContract,
    AttemptContract,
    MultiProcessContract,
    RetentionContract,
):
    """The suite for `aioq.protocols.Broker`.

    Subclass it, give a fixture named `broker` that yields a connected and empty broker, and one
    named `peer` that yields another broker on the same store, and every promise of the protocol
    is a test. A broker that implements further protocols subclasses their suites in the same class, one that
    finds poison jobs `SuspectContract`, and one that stores attempts `AttemptHistoryContract`.
    """

    async def test_broker_conforms_to_protocols(self, broker: Broker) -> None:
        """It states the version, and has all methods of its protocols with their signatures.

        With only some of the methods of an optional protocol none would be used.
        """
        assert deviations(broker) == []

    async def test_optional_protocols_have_their_suites(self, broker: Broker) -> None:
        """A broker that implements an optional protocol, finds poison jobs or stores attempts has the suite for it."""
        # A protocol without its suite would be used by workers, and tested by none.
        spoken = {protocol for protocol in OPTIONAL if supports(broker, protocol)} - {Restricted}
        needed = {f"{protocol.__name__}Contract" for protocol in spoken}
        needed |= {"SuspectContract"} if getattr(broker, "finds_poison_jobs", False) else set()
        needed |= {"AttemptHistoryContract"} if getattr(broker, "stores_attempts", False) else set()
        missing = needed - {suite.__name__ for suite in type(self).__mro__}
        assert not missing, f"{type(self).__name__} must subclass {', '.join(sorted(missing))} of aioq.testing, too"

    async def test_repr_and_errors_show_no_password(self, broker: Broker) -> None:
        """The password of a URL is neither in the representation of the broker nor in the error of `connect`."""
        urls = [f"{scheme}://ada:{PASSWORD}@127.0.0.1:1/1" for scheme in self.schemes(broker)]
        if not urls:
            pytest.skip("no installed package provides this broker for a URL")
        shown: list[str] = []

        async def connect(url: str) -> None:
            try:
                named = type(broker)(url)  # type: ignore[call-arg]  # an entry point is called with the URL
                shown.append(f"{named!r} {named}")
                await named.connect()
                await named.close()
            except (BrokerConfigError, BrokerUnavailable) as error:
                shown.append(f"{error!r} {error}")

        # Together: each may wait for as long as the broker waits for a server that does not answer.
        async with anyio.create_task_group() as group:
            for url in urls:
                group.start_soon(connect, url)
        assert len(shown) >= len(urls)
        assert not [text for text in shown if PASSWORD in text]

    @staticmethod
    def schemes(broker: Broker) -> list[str]:
        """Return the schemes of the URLs that stand for the class of a broker; override it for a class of tests."""
        kind = type(broker)
        points = [point for point in entry_points(group=BROKERS) if point.attr == kind.__name__]
        return [point.name for point in points if point.load() is kind]

    async def test_connect_and_close_are_idempotent(self, broker: Broker) -> None:
        """Connecting twice and closing twice raise nothing, and jobs outlive both."""
        await broker.enqueue([self.job("a")])
        await broker.connect()
        await broker.close()
        await broker.close()
        await broker.connect()
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_time_advances(self, broker: Broker) -> None:
        """`time` returns seconds and advances with time."""
        before = await broker.time()
        await self.pass_time(self.tick)
        # Wide limits: the clock may be that of another machine, and the store slow.
        assert self.tick * 0.5 <= await broker.time() - before < 30
