"""Lists all mutants."""

from __future__ import annotations

from tests.mutants.of_control import CONTROL
from tests.mutants.of_jobs import JOBS
from tests.mutants.of_leases import LEASES
from tests.mutants.of_ledgers import LEDGERS
from tests.mutants.of_lookups import LOOKUPS
from tests.mutants.of_schedules import SCHEDULES
from tests.mutants.of_signals import SIGNALS

__all__ = ["MUTANTS"]

MUTANTS = [*JOBS, *LEASES, *LOOKUPS, *SIGNALS, *LEDGERS, *SCHEDULES, *CONTROL]
