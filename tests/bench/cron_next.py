"""How long a step and a construction of a cron expression take: ours beside other libraries, in one interleaved run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tests.bench.environments import CRON_LIBRARIES, make

__all__ = ["Next", "measure", "medians"]

SCRIPT = Path(__file__).parent / "peers" / "step_cron.py"
OURS = "aioq-cron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The figures of one library, in microseconds of processor time: medians of all rounds."""

    library: str
    version: str
    steps: dict[str, float]
    """By expression."""
    construction: float

    def row(self) -> dict[str, object]:
        """Return a row of a table."""
        steps = {f"`{text}`".replace("|", "/"): round(passed, 1) for text, passed in self.steps.items()}
        middle = round(median(self.steps.values()), 1)
        named = {"library": self.library, "version": self.version}
        return {**named, **steps, "median": middle, "construction": round(self.construction)}


def measure(folder: Path, rounds: int) -> list[Next]:
    """Return the figures of each library; `folder` keeps the environments of the others.

    Every round measures all libraries in processes of their own, one after the other, so that all are disturbed alike.

    Raises:
        RuntimeError: The others cannot be installed, or a library failed.
    """
    make(CRON_LIBRARIES, folder)
    figures: defaultdict[str, list[dict[str, list[float]]]] = defaultdict(list)
    for _ in range(rounds):
        for library, python in _programs(folder):
            figures[library].append(_once(library, python))
    versions = dict(line.split("==") for line in CRON_LIBRARIES.requirements) | {OURS: version(OURS)}
    return [medians(library, versions[library], measured) for library, measured in figures.items()]


def _programs(folder: Path) -> Iterator[tuple[str, str]]:
    yield OURS, sys.executable
    for line in CRON_LIBRARIES.requirements:
        yield line.partition("==")[0], str(CRON_LIBRARIES.programs(folder) / "python")


def _once(library: str, python: str) -> dict[str, list[float]]:
    done = subprocess.run([python, str(SCRIPT), library], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{library} cannot be measured: {done.stderr.strip()[-500:]}")
    figures: dict[str, list[float]] = json.loads(done.stdout)
    return figures


def medians(library: str, its_version: str, measured: list[dict[str, list[float]]]) -> Next:
    """Return the medians of what the rounds of a library measured: by expression, a step and a construction."""
    texts = list(measured[0])
    return Next(
        library=library,
        version=its_version,
        steps={text: median(one[text][0] for one in measured) for text in texts},
        construction=median(one[text][1] for one in measured for text in texts),
    )
