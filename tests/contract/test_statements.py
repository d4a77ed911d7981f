"""What a broker states, and the suites that are run because of it."""

from __future__ import annotations

import pytest

from aioq.backends import MemoryBroker
from aioq.testing import AttemptHistoryContract, BrokerContract, SuspectContract
from aioq.testing.contracts.suspects import skip_unless_stated
from tests.core.brokers import BareBroker


async def test_suspects_stated_without_suite_is_an_error() -> None:
    """A broker that states that it finds poison jobs has to subclass the suite."""

    class Finds(BareBroker):
        finds_poison_jobs = True

    class Without(BrokerContract):
        pass

    class With(BrokerContract, SuspectContract):
        pass

    with pytest.raises(AssertionError, match="Without must subclass SuspectContract of aioq.testing, too"):
        await Without().test_optional_protocols_have_their_suites(Finds())
    await With().test_optional_protocols_have_their_suites(Finds())
    await Without().test_optional_protocols_have_their_suites(BareBroker())


async def test_attempts_stated_without_suite_is_an_error() -> None:
    """A broker that states that it stores attempts has to subclass the suite."""

    class Stores(BareBroker):
        stores_attempts = True

    class Without(BrokerContract):
        pass

    class With(BrokerContract, AttemptHistoryContract):
        pass

    with pytest.raises(AssertionError, match="Without must subclass AttemptHistoryContract of aioq.testing, too"):
        await Without().test_optional_protocols_have_their_suites(Stores())
    await With().test_optional_protocols_have_their_suites(Stores())


def test_suspects_not_stated_skips_suite() -> None:
    """The tests are skipped for a broker that states nothing, and run for one that does."""
    with pytest.raises(pytest.skip.Exception, match="does not state finds_poison_jobs"):
        skip_unless_stated(BareBroker())
    skip_unless_stated(MemoryBroker())
