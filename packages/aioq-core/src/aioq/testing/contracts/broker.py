"""What every broker must do."""

from __future__ import annotations

from aioq.protocols import Broker, Diagnosable, JobStore, Signals, ThreadedLeases, TickLedger, WorkerRegistry
from aioq.testing.contracts.claiming import ClaimContract
from aioq.testing.contracts.enqueueing import EnqueueContract
from aioq.testing.contracts.leases import LeaseContract
from aioq.testing.contracts.settling import SettleContract
from aioq.testing.contracts.suspects import SuspectContract

__all__ = ["BrokerContract"]


class BrokerContract(EnqueueContract, ClaimContract, SuspectContract, LeaseContract, SettleContract):
    """The suite for `aioq.protocols.Broker`.

    Subclass it, give a fixture named `broker` that yields a connected and empty broker, and
    every promise of the protocol is a test. A broker that implements further protocols
    subclasses their suites in the same class.
    """

    async def test_conforms_to_the_protocol(self, broker: Broker) -> None:
        """The object has the methods of `Broker`."""
        assert isinstance(broker, Broker)

    async def test_every_protocol_it_speaks_is_put_to_the_test(self, broker: Broker) -> None:
        """A broker with the methods of an optional protocol runs that protocol's suite too."""
        suites: dict[type, str] = {
            JobStore: "JobStoreContract",
            WorkerRegistry: "WorkerRegistryContract",
            Signals: "SignalsContract",
            ThreadedLeases: "ThreadedLeasesContract",
            TickLedger: "TickLedgerContract",
            Diagnosable: "DiagnosableContract",
        }
        spoken = {suite for protocol, suite in suites.items() if isinstance(broker, protocol)}
        assert spoken <= {suite.__name__ for suite in type(self).__mro__}

    async def test_connect_and_close_may_be_repeated(self, broker: Broker) -> None:
        """Connecting twice and closing twice do no harm, and jobs outlive both."""
        await broker.enqueue([self.job("a")])
        await broker.connect()
        await broker.close()
        await broker.close()
        await broker.connect()
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_the_clock_goes_forward(self, broker: Broker) -> None:
        """`time` is in seconds and advances with time."""
        before = await broker.time()
        await self.pass_time(self.tick)
        assert self.tick * 0.5 <= await broker.time() - before < 30
