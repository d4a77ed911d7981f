"""Expressions of every dialect compared with a model that tries every second and every day."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from croniter import CroniterBadDateError, croniter

from aioq_cron import CronExpression, InvalidCronExpression
from tests.cron.reference.dialects import DIALECTS
from tests.cron.reference.model import Case

CASES = max(20, int(os.environ.get("AIOQ_CRON_EXAMPLES", "0")))
"""Number of random expressions of each dialect; use more of them with `-o faulthandler_timeout=0`."""
SECOND = timedelta(seconds=1)


def parsed(case: Case) -> CronExpression | None:
    """Return the parsed expression of a case, or None if it rightly says that it never matches."""
    try:
        return CronExpression(case.text, **case.options)
    except InvalidCronExpression as refused:
        if "never matches" not in str(refused) or next(case.after(datetime(1970, 1, 1), years=230), None):
            raise
        return None


def assert_ticks(case: Case, expression: CronExpression, start: datetime) -> None:
    """Compare the ticks after an instant, and the answers of all questions about them."""
    expected = [tick.replace(tzinfo=UTC) for tick in islice(case.after(start), 25)]
    found = list(islice(expression.occurrences(start.replace(tzinfo=UTC)), len(expected)))
    assert found == expected
    if not expected:
        assert (tick := expression.next_after(start.replace(tzinfo=UTC))) is None or tick.year >= start.year + 45
        return
    span = expected[0], expected[-1] + timedelta.resolution
    assert list(expression.between(*span)) == expected
    assert expression.count(*span) == len(expected)
    assert all(map(expression.matches, expected))


def assert_instant(case: Case, expression: CronExpression, wall: datetime) -> None:
    """Compare the ticks on both sides of an instant, and whether it is one."""
    instant = wall.replace(tzinfo=UTC)
    assert expression.matches(instant) == case.matches(wall)
    assert not expression.matches(instant + timedelta(microseconds=1))
    if later := next(case.after(wall), None):
        assert expression.next_after(instant) == later.replace(tzinfo=UTC)
        assert expression.next_after(later.replace(tzinfo=UTC) - timedelta(microseconds=1)) == later.replace(tzinfo=UTC)
    if earlier := case.before(wall):
        assert expression.previous_before(instant) == earlier.replace(tzinfo=UTC)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.timeout(60 + CASES)
def test_expression_of_dialect_has_the_ticks_of_the_model(name: str) -> None:
    """Every expression of a dialect fires at the seconds that its documentation names, and answers all questions."""
    for number in range(CASES):
        random = Random(f"{name} {number}")
        case = DIALECTS[name].draw(random)
        start = datetime(2024, 1, 1) + SECOND * random.randrange(4 * 366 * 86_400)
        try:
            if (expression := parsed(case)) is not None:
                assert_ticks(case, expression, start)
                for _ in range(3):
                    assert_instant(case, expression, start + SECOND * random.randrange(6 * 366 * 86_400))
        except Exception as error:
            raise AssertionError(f"case {number}: {case.text!r} with {dict(case.options)}, from {start}") from error


def test_croniter_has_the_ticks_of_the_model_of_its_dialect() -> None:
    """The model of this dialect does not come from the documentation alone: croniter itself agrees with it."""
    for number in range(CASES):
        random = Random(f"oracle {number}")
        case, start = DIALECTS["croniter"].draw(random), datetime(2024, 1, 1) + SECOND * random.randrange(10**8)
        assert steps_of_croniter(case, start) == list(islice(case.after(start), 15)), f"case {number}: {case.text!r}"


def steps_of_croniter(case: Case, start: datetime) -> list[datetime]:
    """Return the first ticks after a naive time that croniter finds."""
    steps = croniter(case.text, start, datetime, max_years_between_matches=45)
    found = list[datetime]()
    try:
        for _ in range(15):
            found.append(steps.get_next(datetime))
    except CroniterBadDateError:
        pass
    return found
