"""Ourselves on the stage, in little: every role of the harness is played once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.throughput.contestants import OURS
from tests.bench.throughput.measures import MEASURES
from tests.bench.throughput.rounds import appear
from tests.bench.throughput.sizes import Size
from tests.bench.throughput.stage import Failed, Stage
from tests.bench.throughput.store import serving
from tests.servers import found

pytestmark = pytest.mark.skipif(not {"redis", "valkey"} & found().keys(), reason="no server is installed")

LITTLE = Size(
    quick=True, rounds=1, share=0.005, singles=20, many=1000, counted=100, late=10, naps=10, idle=0.5, patience=30
)
LONG = {"delayed", "million-delayed", "idle-crons"}


def test_stage_every_measure_has_figures() -> None:
    """Each measure returns all figures that it names, so that no row of the table stays empty."""
    measures = [measure for measure in MEASURES if measure.name not in LONG]
    with serving() as store:
        appearance = appear(Stage(OURS, store, Path(), LITTLE.patience), measures, LITTLE)
    assert appearance.failed == {}
    assert list(appearance.figures) == [name for measure in measures for name in measure.names(LITTLE)]
    assert all(value >= 0 for value in appearance.figures.values())


def test_stage_stuck_worker_is_killed() -> None:
    """A worker that runs two of three jobs fails its measure, and its process has ended afterwards."""
    with serving() as store:
        stage = Stage(OURS, store, Path(), patience=1)
        stage.ask("fill", "nothing", 2)
        with pytest.raises(Failed, match="hung: ran 2 of 3 jobs in 1 s"):
            stage.drained("nothing", 3)
        stage.clear()
        assert store.memory() == 0
