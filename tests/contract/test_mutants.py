"""Each suite finds the defects that it was written for, and none in the memory broker."""

from __future__ import annotations

import inspect

import anyio
import pytest

from aioq.backends import MemoryBroker
from aioq.errors import BrokerUnavailable
from aioq.protocols import Broker
from aioq.testing import FaultyBroker, VirtualClock
from tests.contract import fault_mutants, mutants
from tests.contract.test_memory import TestMemoryBroker as MemorySuites
from tests.contract.test_memory_faults import TestMemoryFaults as MemoryFaults

CAUGHT = [
    (mutants.ForgetsRequest, "test_claim_repeated_later_returns_same_leases", "broker"),
    (mutants.AcceptsLateRequest, "test_claim_that_arrives_late_takes_nothing", "broker"),
    (mutants.DropsHeaders, "test_enqueue_headers_reach_every_lease", "broker"),
    (mutants.ForgetsDeadJobs, "test_settle_dead_job_is_kept_for_a_day", "broker"),
    (mutants.ForgetsCancelledJobs, "test_cancel_job_is_kept_for_an_hour", "broker"),
    (mutants.ForgetsTickClaim, "test_claim_tick_repeated_later_gets_same_answer", "broker ledger"),
    (mutants.LosesRepeatedLease, "test_extend_lease_named_twice_is_held", "broker"),
    (mutants.NamesDueJobAsNext, "test_claim_next_due_omits_jobs_that_are_due", "broker"),
    (mutants.ShowsPassword, "test_repr_and_errors_show_no_password", "broker"),
    (mutants.LacksVersion, "test_broker_conforms_to_protocols", "broker"),
    (mutants.AwaitsAborts, "test_broker_conforms_to_protocols", "broker"),
]
"""A class, the test of a suite that must find its defect, and the fixtures of that test."""

UNHEARD = [
    (mutants.ReplaysSilently, "test_wait_and_claim_wakes_on_replay"),
    (mutants.ReapsSilently, "test_wait_and_claim_wakes_on_reap"),
]
"""A class that does not wake a waiter, and the test that must find that."""

FAULTS = [
    (fault_mutants.HangsForEver, "test_silent_store_raises_broker_unavailable"),
    (fault_mutants.RaisesOtherError, "test_unreachable_store_raises_broker_unavailable"),
    (fault_mutants.TakesSlowForAway, "test_slow_store_works"),
    (fault_mutants.StoresThoughFull, "test_full_store_raises_broker_full_and_loses_nothing"),
    (fault_mutants.LosesJobsWhenFull, "test_full_store_raises_broker_full_and_loses_nothing"),
    (fault_mutants.StoresTwice, "test_enqueue_with_lost_reply_stores_one_job"),
    (fault_mutants.ClaimsAgain, "test_claim_with_lost_reply_leases_job_once"),
    (fault_mutants.ReleasesTwice, "test_settle_with_lost_reply_is_done_once"),
    (fault_mutants.SleepsThroughOutage, "test_wait_and_claim_through_outage_gets_job"),
    (fault_mutants.SleepsThroughOutage, "test_wait_for_result_through_outage_ends"),
    (fault_mutants.MissesCancellations, "test_aborts_after_outage_yield_cancelled_run"),
]
"""A class, and the test of the suite of faults that must find its defect."""


class Suites(MemorySuites):
    """The suites on a broker of any class."""

    @staticmethod
    def schemes(broker: Broker) -> list[str]:
        """Name a scheme although no entry point names the class."""
        return ["mutant"]


@pytest.fixture
def anyio_backend() -> str:
    """The defects do not depend on the event loop."""
    return "asyncio"


async def failure(
    make: type[MemoryBroker], test: str, fixtures: str, *, real_time: bool = False
) -> AssertionError | None:
    """Run a test of the suites on a new broker, and return the assertion that fails; None if none does."""
    suites = Suites()
    suites.time_of_test = VirtualClock()
    suites.virtual_time = not real_time
    broker = make(clock=suites.time_of_test)
    try:
        await getattr(suites, test)(**dict.fromkeys(fixtures.split(), broker))
    except AssertionError as error:
        return error
    return None


@pytest.mark.parametrize("real_time", [False, True], ids=["days", "seconds"])
@pytest.mark.parametrize(("make", "test", "fixtures"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
async def test_suite_finds_defect(make: type[MemoryBroker], test: str, fixtures: str, real_time: bool) -> None:
    """A test of the suite fails with the defect, also if only seconds pass, as on a real clock."""
    assert await failure(make, test, fixtures, real_time=real_time) is not None


@pytest.mark.parametrize(("make", "test"), UNHEARD, ids=lambda value: getattr(value, "__name__", None))
async def test_suite_finds_waiter_that_is_not_woken(make: type[MemoryBroker], test: str) -> None:
    """The test of the suite waits for a signal that does not come."""
    with pytest.raises(TimeoutError), anyio.fail_after(3):
        await failure(make, test, "broker peer signals")


@pytest.mark.parametrize(
    ("test", "fixtures"),
    sorted(
        {*((test, fixtures) for _, test, fixtures in CAUGHT), *((test, "broker peer signals") for _, test in UNHEARD)}
    ),
)
async def test_suite_finds_nothing_in_memory_broker(test: str, fixtures: str) -> None:
    """The same tests pass without the defect."""
    assert await failure(MemoryBroker, test, fixtures) is None


@pytest.mark.parametrize(("make", "test"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
async def test_fault_suite_finds_defect(make: type[FaultyBroker], test: str) -> None:
    """A test of the suite of faults fails, or waits for what does not come."""
    suites = MemoryFaults()
    suites.tick = suites.timeout = 0.1
    peer = MemoryBroker()
    suites.faulty = make(peer, timeout=suites.timeout)
    known = {"broker": suites.faulty, "peer": peer, "faults": suites.faulty}
    method = getattr(suites, test)
    fixtures = {name: known[name] for name in inspect.signature(method).parameters}
    with pytest.raises((AssertionError, TimeoutError, OSError, ExceptionGroup, BrokerUnavailable)):
        await method(**fixtures)
