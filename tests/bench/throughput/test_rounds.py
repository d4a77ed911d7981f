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
    """A server that nobody asks."""

    def wipe(self) -> None:
        """Forget nothing."""


class Scene:
    """A stage on which nothing is run."""

    def __init__(self, contestant: Any = OURS) -> None:
        self.contestant, self.environments = contestant, Path()
        self.cleared: list[bool] = []

    def clear(self, *, producer: bool = True) -> None:
        self.cleared.append(producer)


def test_what_fails_is_noted_and_the_next_is_measured() -> None:
    """One library that hangs must not cost a run of half an hour. Its producer may hang too, so it gets a new one."""

    def fails(stage: object, size: object) -> Figures:
        raise Failed("hung: nothing for 60 s")

    stage: Any = Scene()
    bad = Measure(name="bad", figures=("bad",), run=fails, seconds=(1, 1))
    good = Measure(name="good", figures=("good",), run=lambda stage, size: {"good": 1.0}, seconds=(1, 1))
    appearance = appear(stage, [bad, good], FULL)
    assert (appearance.figures, appearance.failed) == ({"good": 1.0}, {"bad": "hung: nothing for 60 s"})
    assert stage.cleared == [True, False, True]


def test_whatever_goes_wrong_is_the_reason() -> None:
    """Figures that a library has never printed are no reason to end either."""
    stage: Any = Scene()
    printed: dict[str, float] = {}
    odd = Measure(name="odd", figures=("odd",), run=lambda stage, size: {"odd": printed["seconds"]}, seconds=(1, 1))
    assert appear(stage, [odd], FULL).failed == {"odd": "KeyError: 'seconds'"}


def test_who_hangs_twice_is_given_up() -> None:
    """Each time costs a minute, and there are ten measures."""
    ran: list[str] = []

    def hangs(stage: object, size: object) -> Figures:
        ran.append("")
        raise Failed("hung: nothing for 60 s")

    stage: Any = Scene()
    measures = [Measure(name=f"m{n}", figures=("f",), run=hangs, seconds=(1, 1)) for n in range(4)]
    appearance = appear(stage, measures, FULL)
    assert (len(ran), appearance.failed["m3"]) == (2, "not tried: 2 others hung")


def test_a_series_goes_on_where_it_was_broken_off() -> None:
    """What there is of a round is not measured again; figures are handed over after each appearance."""
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
def test_what_takes_long_is_measured_in_the_first_round_only(number: int) -> None:
    """It depends little on the moment."""
    million = next(measure for measure in MEASURES if measure.name == "million-delayed")
    assert million.due(OURS, number, FULL) is (number == 0)


def test_the_error_of_a_process_is_the_last_that_is_named() -> None:
    """Tracebacks of groups end with a ruler."""
    text = "Traceback\n  | ExceptionGroup: unhandled\n    | x.UnknownError: no FUNCTION\n    +------\n"
    assert last_error(text) == "x.UnknownError: no FUNCTION"
    assert last_error("a\njust words\n") == "just words"
    assert last_error("") == ""


def test_a_library_that_cannot_be_installed_fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason stands in all of its cells, and it is not tried again for each."""
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
