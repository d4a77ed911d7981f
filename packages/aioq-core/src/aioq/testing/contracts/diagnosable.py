"""Tests `Diagnosable.diagnose`."""

from __future__ import annotations

import pytest

from aioq.conformance import lacking
from aioq.model.health import Level
from aioq.model.job import Completed, Retried, Settled
from aioq.model.workers import WorkerInfo
from aioq.protocols import Broker, Diagnosable, WorkerRegistry
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["DiagnosableContract"]


WORKER = WorkerInfo(id="worker-1", queues=("q",), concurrency=10, running=0, hostname="host", pid=1, started_at=0.0)


class DiagnosableContract(BrokerSuite):
    """The suite for `aioq.protocols.Diagnosable`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def patient(self, broker: Broker) -> Diagnosable:
        """The broker, as one that can look at itself."""
        assert isinstance(broker, Diagnosable), f"it lacks {lacking(broker, Diagnosable)}"
        return broker

    async def test_diagnose_empty_broker_has_no_failure(self, patient: Diagnosable) -> None:
        """An empty broker has findings, and none of level FAIL."""
        findings = await patient.diagnose()
        assert findings
        assert [finding for finding in findings if finding.level is Level.FAIL] == []

    async def test_diagnose_used_broker_has_no_failure(self, broker: Broker, patient: Diagnosable) -> None:
        """Jobs in every state cause no finding of level FAIL if a worker is up."""
        if isinstance(broker, WorkerRegistry):
            await broker.heartbeat(WORKER, ttl=60.0)
        await broker.enqueue([self.job(id) for id in "abc"] + [self.job("d", delay=60.0)])
        a, b, _ = await self.claim(broker, 3)
        await broker.settle([Completed(lease=a, retain_for=60.0), Retried(lease=b, delay=60.0, failure=FAILURE)])
        await broker.enqueue([self.job("e")])
        assert [finding for finding in await patient.diagnose() if finding.level is Level.FAIL] == []

    async def test_diagnose_findings_have_advice(self, broker: Broker, patient: Diagnosable) -> None:
        """Each finding has a subject and a text, and advice unless its level is OK."""
        await broker.enqueue([self.job("a")])
        findings = await patient.diagnose()
        assert [finding for finding in findings if not (finding.subject and finding.text)] == []
        assert [finding for finding in findings if finding.level is not Level.OK and not finding.advice] == []

    async def test_diagnose_changes_nothing(self, broker: Broker, patient: Diagnosable) -> None:
        """After `diagnose` jobs can be claimed and leases are held as before."""
        await broker.enqueue([self.job("a"), self.job("b")])
        lease = await self.claim_one(broker)
        await patient.diagnose()
        assert await broker.extend([lease], seconds=60.0) == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["b"]

    async def test_diagnose_fix_keeps_jobs_and_records(self, broker: Broker, patient: Diagnosable) -> None:
        """After `diagnose` with `fix` jobs can be claimed, leases are held, and settled jobs are known."""
        await broker.enqueue([self.job("a"), self.job("b"), self.job("c")])
        first, second = await self.claim(broker, 2)
        completed = Completed(lease=first, retain_for=60.0)
        await broker.settle([completed])
        await patient.diagnose(fix=True)
        assert await broker.settle([completed]) == [Settled.ALREADY]
        assert await broker.extend([second], seconds=60.0) == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["c"]
