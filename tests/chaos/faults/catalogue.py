"""All faults that jobs are put through, by the names that the bars have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.chaos.faults import f01, f02, f03, f04, f05, f06, f07, f08, f09, f10, f11, f13, f14, f15, f16, f18, f19
from tests.chaos.verdict import Verdict

__all__ = ["FAULTS", "Fault"]

Fault = Callable[[bool, int, Path], list[Verdict]]
"""Puts a fleet through it: in full size or small, with what is left to chance drawn from a seed, with a folder for logs."""

FAULTS: Mapping[str, Fault] = {
    "F1": f01.run_among,
    "F1b": f01.run_alone,
    "F2": f02.run,
    "F3": f03.run,
    "F4": f04.run,
    "F5": f05.run,
    "F6": f06.run,
    "F7": f07.run,
    "F8": f08.run,
    "F9": f09.run,
    "F10": f10.run,
    "F11": f11.run,
    "F13": f13.run,
    "F14": f14.run,
    "F15": f15.run,
    "F16": f16.run,
    "F18": f18.run,
    "F19": f19.run,
}
