"""Makes a broker lose answers, be unreachable, silent, slow or full, as a test says."""

from aioq.testing.faults.broker import FaultyBroker as FaultyBroker
from aioq.testing.faults.protocol import Faults as Faults
from aioq.testing.faults.proxy import FaultProxy as FaultProxy

__all__ = ["FaultProxy", "Faults", "FaultyBroker"]
