"""Rounds of made-up measures, which run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.environments import Environment
from tests.bench.throughput.contestants import CONTESTANTS, OURS
from tests.bench.throughput.measures import MEASURES, Figures, Measure
from tests.bench.throughput.rounds import Appearance, Series, appear
from tests.bench.throughput.sizes import FULL
from tests.bench.throughput.stage import Failed, last_error


class Store:
    """A server that is not used."""

    def wipe(self) -> None:
        """Forget nothing."""


class Scene:
    """A stage on which nothing is run."""

    def __init__(self, contestant: Any = OURS) -> None:
        self.contestant, self.environments = contestant, Path()
        self.cleared: list[bool] = []

    def clear(self, *, producer: bool = True) -> None:
        self.cleared.append(producer)


def test_appear_failed_measure_does_not_stop_next() -> None:
    """A library that hangs costs one measure and not the run. Its producer may hang too, so it gets a new one."""

    def fails(stage: object, size: object) -> Figures:
        raise Failed("hung: nothing for 60 s")

    stage: Any = Scene()
    bad = Measure(name="bad", figures=("bad",), run=fails, seconds=(1, 1))
    good = Measure(name="good", figures=("good",), run=lambda stage, size: {"good": 1.0}, seconds=(1, 1))
    appearance = appear(stage, [bad, good], FULL)
    assert (appearance.figures, appearance.failed) == ({"good": 1.0}, {"bad": "hung: nothing for 60 s"})
    assert stage.cleared == [True, False, True]


def test_appear_unexpected_error_is_reason() -> None:
    """Figures that a library has not printed fail their measure, and not the run."""
    stage: Any = Scene()
    printed: dict[str, float] = {}
    odd = Measure(name="odd", figures=("odd",), run=lambda stage, size: {"odd": printed["seconds"]}, seconds=(1, 1))
    assert appear(stage, [odd], FULL).failed == {"odd": "KeyError: 'seconds'"}


def test_appear_library_hung_twice_is_skipped() -> None:
    """The remaining measures are not tried, because each would cost a minute."""
    ran: list[str] = []

    def hangs(stage: object, size: object) -> Figures:
        ran.append("")
        raise Failed("hung: nothing for 60 s")

    stage: Any = Scene()
    measures = [Measure(name=f"m{n}", figures=("f",), run=hangs, seconds=(1, 1)) for n in range(4)]
    appearance = appear(stage, measures, FULL)
    assert (len(ran), appearance.failed["m3"]) == (2, "not tried: 2 others hung")


def test_series_resumed_measures_missing_rounds() -> None:
    """Rounds that exist are not measured again, and figures are handed over after each appearance."""
    ran: list[str] = []

    def note(stage: Any, size: object) -> Figures:
        ran.append(stage.contestant.name)
        return {"figure": float(len(ran))}

    measure = Measure(name="note", figures=("figure",), run=note, seconds=(1, 1))
    kept: list[int] = []
    series = Series(
        [OURS], [measure], FULL, Path(), lambda rounds: kept.append(len(rounds)), [{"aioq": Appearance({}, {}, {})}]
    )
    store: Any = Store()
    assert series.planned() == FULL.rounds - 1
    series.run(store)
    assert (len(ran), kept) == (FULL.rounds - 1, [2, 3, 4, 5])


@pytest.mark.parametrize("number", [0, 1])
def test_measure_once_is_due_in_first_round_only(number: int) -> None:
    """A long measure varies little, so one round suffices."""
    million = next(measure for measure in MEASURES if measure.name == "million-delayed")
    assert million.due(OURS, number, FULL) is (number == 0)


def test_last_error_returns_last_named_error() -> None:
    """The last line with a name is the error; tracebacks of groups end with a ruler."""
    text = "Traceback\n  | ExceptionGroup: unhandled\n    | x.UnknownError: no FUNCTION\n    +------\n"
    assert last_error(text) == "x.UnknownError: no FUNCTION"
    assert last_error("a\njust words\n") == "just words"
    assert last_error("") == ""


def test_appear_failed_installation_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All measures of the library get the reason, and the installation is not repeated for each."""
    tried: list[str] = []

    def refuse(environment: Environment, folder: Path) -> None:
        tried.append(environment.name)
        raise RuntimeError("the environment of repid cannot be made: no network")

    monkeypatch.setattr("tests.bench.throughput.rounds.make", refuse)
    stage: Any = Scene(next(one for one in CONTESTANTS if one.name == "repid"))
    appearance = appear(stage, MEASURES[:2], FULL)
    assert tried == ["repid"]
    assert appearance.failed == dict.fromkeys(
        ("one", "together"), "the environment of repid cannot be made: no network"
    )
