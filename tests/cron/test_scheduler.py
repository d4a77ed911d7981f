"""CronScheduler as core meets it, and what the package shows to the world."""

from __future__ import annotations

import inspect

import pytest

import aioq_cron
from aioq.cron.scheduler import Scheduler
from aioq.testing import SchedulerContract
from aioq_cron import CronExpression, CronScheduler, InvalidCronExpression


class TestContract(SchedulerContract):
    """The suite that every scheduler passes."""

    expression = "30 2 * * 1-5"

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """The scheduler of this package."""
        return CronScheduler()


def test_parsed_schedules_are_shared() -> None:
    """The same text in the same zone is one object, whichever scheduler parsed it."""
    parsed = CronScheduler().parse("0 9 * * *", tz="Europe/Berlin")
    assert parsed is CronScheduler().parse("0 9 * * *", tz="Europe/Berlin")
    assert parsed == CronExpression("0 9 * * *", "Europe/Berlin")
    assert parsed != CronScheduler().parse("0 9 * * *")


def test_errors_come_through() -> None:
    """What is wrong with the expression or its zone is raised, each time it is asked for."""
    for _ in range(2):
        with pytest.raises(InvalidCronExpression, match=r"^minute field: 60 is outside 0-59"):
            CronScheduler().parse("60 * * * *")
    with pytest.raises(InvalidCronExpression, match=r"did you mean 'Asia/Tokyo'\?$"):
        CronScheduler().parse("* * * * *", tz="Asia/Tokio")


@pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["*"] * 5])
def test_a_wrong_type_is_told_in_our_words(expression: object) -> None:
    """Sharing does not get in the way of the message, not even for what cannot be hashed."""
    with pytest.raises(TypeError, match=r"^a cron expression is a str such as"):
        CronScheduler().parse(expression)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", aioq_cron.__all__)
def test_all_public_names_are_documented(name: str) -> None:
    """Everything in `__all__` exists and has a docstring, and so have its public methods."""
    public: object = getattr(aioq_cron, name)
    assert inspect.getdoc(public)
    for member, value in inspect.getmembers(public, inspect.isfunction):
        assert member.startswith("_") or inspect.getdoc(value)
