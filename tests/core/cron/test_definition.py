"""Definitions of entries, and the differences between two sets of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq import Aarq
from aioq.cron import CronEntry, CronOptions
from aioq.cron.definition import CronDiff, compare, define, version_of
from aioq.model.cron import CronDefinition, CronKey
from tests.core.plain_scheduler import EverySeconds


def entry(**options: Any) -> CronEntry:
    """Return an entry with policies."""
    return CronEntry(
        name="entry",
        function=print,
        schedule=EverySeconds(5),
        expression="every 5",
        tz="Europe/Berlin",
        options=CronOptions(**options),
    )


ONE = define(entry())


def test_definition_has_schedule_and_policies() -> None:
    """Options with default values are left out."""
    assert define(entry()) == CronDefinition(
        queue="default",
        name="entry",
        kind="cron",
        expression="every 5",
        tz="Europe/Berlin",
        fingerprint="every 5 [Europe/Berlin]",
    )


def test_definition_has_options_as_text() -> None:
    """The options are in documented order; `enabled` has a field of its own."""
    definition = define(
        entry(
            misfire="all",
            grace=315_576_000,
            catchup=0,
            overlap="queue_one",
            jitter=0.25,
            timeout=30.0,
            enabled=False,
            start=datetime(2026, 1, 1, tzinfo=UTC),
            end=datetime(2027, 1, 1, tzinfo=UTC),
        )
    )
    assert not definition.enabled
    assert list(definition.options.items()) == [
        ("misfire", "all"),
        ("grace", "315576000"),
        ("catchup", "0"),
        ("overlap", "queue_one"),
        ("jitter", "0.25"),
        ("timeout", "30"),
        ("start", "2026-01-01T00:00:00+00:00"),
        ("end", "2027-01-01T00:00:00+00:00"),
    ]


def test_definition_of_equal_numbers_is_equal(app: Aarq) -> None:
    """Whether it is written with a point or without."""
    assert define(entry(jitter=5)) == define(entry(jitter=5.0))
    assert define(entry(grace=60)) == define(entry())


def test_definition_has_kind(app: Aarq) -> None:
    """It makes jobs, one per tick for the fleet, in the queue of its task."""

    async def send(_: object) -> None: ...

    name = app.schedule(app.task(queue="mail")(send), "every 5")
    definition = define(app.crons[name])
    assert (definition.kind, definition.unique, definition.queue) == ("schedule", True, "mail")


def test_definition_has_digest_of_job(app: Aarq) -> None:
    """Other arguments, or another priority, are a change that a deploy makes; the arguments stay private."""

    async def send(_: object, to: str) -> None: ...

    mail, urgent = app.task(name="mail")(send), app.task(name="urgent", priority=9)(send)
    names = [
        app.schedule(mail, "every 5", args=("ada",)),
        app.schedule(mail, "every 7", args=("ada",)),
        app.schedule(mail, "every 5", args=("bob",)),
        app.schedule(urgent, "every 5", args=("ada",)),
    ]
    ada, again, bob, fast = [define(app.crons[name]).options["job"] for name in names]
    assert ada == again
    assert len({ada, bob, fast}) == 3
    assert "ada" not in ada


def meaning(definition: CronDefinition) -> CronDefinition:
    """Return a definition without the texts that its author may rewrite."""
    return msgspec.structs.replace(definition, expression="", tz="")


def test_compare_ignores_how_a_schedule_is_written() -> None:
    """An expression or a zone that is written in another way, with the same fingerprint, changes no version."""
    one = define(entry())
    other = msgspec.structs.replace(one, expression="EVERY 5", tz="europe/berlin")
    assert not compare([one], [other])
    assert version_of([one]) == version_of([other])


names = st.text("abc", min_size=1, max_size=2)
definitions = st.builds(
    CronDefinition,
    queue=names,
    name=names,
    kind=st.sampled_from(["cron", "schedule"]),
    expression=names,
    tz=names,
    fingerprint=names,
    unique=st.booleans(),
    enabled=st.booleans(),
    options=st.dictionaries(names, names, max_size=3),
)
apps = st.lists(definitions, unique_by=lambda definition: definition.key, max_size=6)


@given(apps, st.randoms())
def test_version_is_independent_of_order(app: list[CronDefinition], random: Any) -> None:
    """The order of entries is of no account, nor is that of their options."""
    turned = [
        msgspec.structs.replace(one, options=dict(reversed(one.options.items())))
        for one in random.sample(app, len(app))
    ]
    assert version_of(turned) == version_of(iter(app))


@given(apps, apps)
def test_version_is_equal_without_changes(one: list[CronDefinition], other: list[CronDefinition]) -> None:
    """And only then."""
    assert (version_of(one) == version_of(other)) == (not compare(one, other))


def test_version_is_equal_in_every_process() -> None:
    """The one here was worked out in another."""
    assert version_of([define(entry())]) == "40080f5ec57c9253"


@given(apps, apps)
def test_compare_leads_from_one_set_to_other(registered: list[CronDefinition], code: list[CronDefinition]) -> None:
    """Taking away, replacing and adding what it says turns one set into the other."""
    diff = compare(registered, code)
    result = {definition.key: definition for definition in registered}
    for gone in diff.removed:
        assert result.pop(gone.key) == gone
    for before, after in diff.changed:
        assert (result[before.key], before.key) == (before, after.key)
        assert before != after
        result[after.key] = after
    for new in diff.added:
        assert new.key not in result
        result[new.key] = new
    assert {key: meaning(one) for key, one in result.items()} == {one.key: meaning(one) for one in code}


@given(apps, apps)
def test_compare_sorts_by_queue_and_name(registered: list[CronDefinition], code: list[CronDefinition]) -> None:
    """By queue, then by name."""
    diff = compare(registered, code)
    for part in (diff.added, [after for _, after in diff.changed], diff.removed):
        assert [one.key for one in part] == sorted(one.key for one in part)


@given(apps)
def test_compare_of_equal_sets_is_empty(app: list[CronDefinition]) -> None:
    """Such a difference is false."""
    assert compare(app, app[::-1]) == CronDiff()
    assert not compare(app, app)


@pytest.mark.parametrize("diff", [CronDiff(added=(ONE,)), CronDiff(removed=(ONE,)), CronDiff(changed=((ONE, ONE),))])
def test_compare_of_different_sets_is_true(diff: CronDiff) -> None:
    """Whichever it is."""
    assert diff


def test_compare_takes_other_queue_for_other_entry() -> None:
    """It is removed here and added there."""
    one = define(entry())
    other = msgspec.structs.replace(one, queue="other")
    diff = compare([one], [other])
    assert [added.key for added in diff.added] == [CronKey("other", "entry")]
    assert [removed.key for removed in diff.removed] == [CronKey("default", "entry")]
