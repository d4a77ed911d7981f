"""CronScheduler: the contract, and the cache of parsed schedules."""

from __future__ import annotations

import inspect

import pytest

import aioq_cron
from aioq.cron.scheduler import Scheduler
from aioq.testing import SchedulerContract
from aioq_cron import CronExpression, CronScheduler, InvalidCronExpression


class TestContract(SchedulerContract):
    """CronScheduler passes the suite for schedulers."""

    expression = "30 2 * * 1-5"

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """Return the scheduler of this package."""
        return CronScheduler()


def test_parse_same_text_and_zone_returns_one_object() -> None:
    """The same text in the same zone gives the same object, from any CronScheduler."""
    parsed = CronScheduler().parse("0 9 * * *", tz="Europe/Berlin")
    assert parsed is CronScheduler().parse("0 9 * * *", tz="Europe/Berlin")
    assert parsed == CronExpression("0 9 * * *", "Europe/Berlin")
    assert parsed != CronScheduler().parse("0 9 * * *")


def test_parse_error_is_raised_every_time() -> None:
    """An error in the expression or its zone is raised by every call, although schedules are cached."""
    for _ in range(2):
        with pytest.raises(InvalidCronExpression, match=r"^minute field: 60 is outside 0-59"):
            CronScheduler().parse("60 * * * *")
    with pytest.raises(InvalidCronExpression, match=r"did you mean 'Asia/Tokyo'\?$"):
        CronScheduler().parse("* * * * *", tz="Asia/Tokio")


@pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["*"] * 5])
def test_parse_unhashable_argument_raises_own_type_error(expression: object) -> None:
    """The cache does not replace the TypeError of the parser, not even for unhashable values."""
    with pytest.raises(TypeError, match=r"^a cron expression is a str such as"):
        CronScheduler().parse(expression)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", aioq_cron.__all__)
def test_public_names_have_docstrings(name: str) -> None:
    """Each name in `__all__` exists and has a docstring, and so has each of its public methods."""
    public: object = getattr(aioq_cron, name)
    assert inspect.getdoc(public)
    for member, value in inspect.getmembers(public, inspect.isfunction):
        assert member.startswith("_") or inspect.getdoc(value)
