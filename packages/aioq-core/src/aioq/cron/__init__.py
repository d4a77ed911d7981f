"""Cron entries, their policies, and the decisions about their ticks.

Everything here is a value or a pure function of values and a given moment, but for the few functions that get a broker:
those that a person's order needs.
"""

from aioq.cron.entry import CronEntry as CronEntry
from aioq.cron.entry import Tick as Tick
from aioq.cron.entry import upcoming as upcoming
from aioq.cron.options import CronOptions as CronOptions
from aioq.cron.options import Misfire as Misfire
from aioq.cron.schedule import ClockChange as ClockChange
from aioq.model.cron import Overlap as Overlap

__all__ = ["ClockChange", "CronEntry", "CronOptions", "Misfire", "Overlap", "Tick", "upcoming"]
