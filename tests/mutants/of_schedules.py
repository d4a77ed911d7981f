"""Lists mutants that store, reserve or fire schedules of clients wrongly."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["SCHEDULES"]

KNOWN = "    decision = decide_firing(\n        known, state_of(transaction, entry), firing, declared=entry.is_declared, now=transaction.now\n    )\n"
"""What a firing is decided by."""

SCHEDULES = [
    Mutant(
        "firing-of-any-revision-counts",
        "A worker fires a schedule as it was before it was replaced.",
        "schedules.py",
        KNOWN,
        KNOWN.replace(" known,", " known and replace(known, revision=firing.revision),"),
    ),
    Mutant(
        "repeated-firing-counts",
        "A firing that is repeated is decided again, and moves the schedule once more.",
        "schedules.py",
        KNOWN,
        KNOWN.replace(" known,", " known and replace(known, due=to_milliseconds(firing.due)),"),
    ),
    Mutant(
        "fired-schedule-stays-due",
        "A schedule is not moved on by a firing.",
        "schedules.py",
        "    if decision.schedule is not None:\n",
        "    if False:\n",
    ),
    Mutant(
        "paused-schedule-fires",
        "The pause of a schedule is shown and has no effect.",
        "schedules.py",
        KNOWN,
        KNOWN.replace("state_of(transaction, entry)", "replace(state_of(transaction, entry), paused=False)"),
    ),
    Mutant(
        "declared-schedule-fires",
        "A schedule fires although the code declares an entry of its name.",
        "schedules.py",
        KNOWN,
        KNOWN.replace("entry.is_declared", "False"),
    ),
    Mutant(
        "ticks-left-out-are-not-recorded",
        "A firing does not record what it leaves out.",
        "schedules.py",
        KNOWN,
        KNOWN.replace(" firing,", " replace(firing, not_fired=()),"),
    ),
    Mutant(
        "reservation-never-ends",
        "A schedule whose worker vanished is lost to all others.",
        "schedules.py",
        "to_milliseconds(now + seconds)",
        "to_milliseconds(now + 1e9)",
    ),
    Mutant(
        "reservation-holds-no-worker-off",
        "Workers that ask at the same time get the same schedules.",
        "schedules.py",
        '[(until, row["queue"], row["name"]) for row in rows]',
        "[]",
    ),
    Mutant(
        "reservation-takes-one-more",
        "A worker reserves more schedules than it asked for.",
        "schedules.py",
        "ORDER BY look_at, queue, name LIMIT ?",
        "ORDER BY look_at, queue, name LIMIT ? + 1",
    ),
    Mutant(
        "reservation-of-any-task",
        "A worker reserves schedules whose tasks it does not know.",
        "schedules.py",
        "AND task IN (SELECT value FROM json_each(?))",
        "AND (TRUE OR task IN (SELECT value FROM json_each(?)))",
    ),
    Mutant(
        "unknown-tasks-take-the-places",
        "Due schedules of tasks that a worker does not know count in its limit.",
        "schedules.py",
        "            until = to_milliseconds(now + seconds)\n",
        '            until, first = to_milliseconds(now + seconds), "SELECT queue, name FROM schedules ORDER BY look_at LIMIT ?"\n'
        "            places = [tuple(place) for place in transaction.execute(first, (limit,))]\n"
        '            rows = [row for row in rows if (row["queue"], row["name"]) in places]\n',
    ),
    Mutant(
        "schedules-of-all-queues-are-one",
        "A schedule is found by its name alone.",
        "schedules.py",
        '"SELECT state FROM schedules WHERE queue = ? AND name = ?"',
        "\"SELECT state FROM schedules WHERE ? <> '' AND name = ?\"",
    ),
    Mutant(
        "removal-counts-in-all-queues",
        "A removal removes the schedules of this name of all queues.",
        "schedules.py",
        '"DELETE FROM schedules WHERE queue = ? AND name = ?"',
        "\"DELETE FROM schedules WHERE ? <> '' AND name = ?\"",
    ),
    Mutant(
        "removed-schedule-stays-stored",
        "A removed schedule fires no more, and is still listed.",
        "schedules.py",
        '"DELETE FROM schedules WHERE',
        '"UPDATE schedules SET look_at = NULL WHERE',
    ),
    Mutant(
        "put-wakes-no-worker",
        "A worker that waits does not hear of a new schedule.",
        "schedules.py",
        '                transaction.signal("schedule", schedule.key.queue)\n',
        "",
    ),
    Mutant(
        "wait-overlooks-what-is-due",
        "A wait that begins after a put, or before a schedule comes due, sleeps through it.",
        "signals.py",
        "min(timeout, due - self._database.clock.time())",
        "timeout",
    ),
    Mutant(
        "put-leaves-the-reservation",
        "A schedule that was replaced waits until the reservation of the one before is over.",
        "schedules.py",
        "schedule.job.task, state.due, msgspec",
        "schedule.job.task, max(state.due or 0, transaction.value('SELECT look_at FROM schedules WHERE queue = ? AND name"
        " = ?', key.queue, key.name) or 0) or None, msgspec",
    ),
    Mutant(
        "other-arguments-forgive-owed-ticks",
        "A schedule that gets other arguments loses the ticks that it owed.",
        "schedules.py",
        "                known, schedule, revision",
        "                known and replace(known, since=to_milliseconds(transaction.now)), schedule, revision",
    ),
    Mutant(
        "put-ignores-the-code",
        "A schedule is stored under a name that the code declares.",
        "schedules.py",
        "due=due, declared=entry.is_declared",
        "due=due, declared=False",
    ),
    Mutant(
        "retired-entry-counts-as-declared",
        "A name that was once in the code is taken for good.",
        "entries.py",
        "return self.definition is not None and self.retired_at is None",
        "return self.definition is not None",
    ),
    Mutant(
        "app-replaces-schedule-of-another",
        "A schedule belongs to the app that has put it last.",
        "schedules.py",
        "                known, schedule, revision",
        "                known and replace(known, schedule=replace(known.schedule, app=schedule.app)), schedule, revision",
    ),
    Mutant(
        "page-repeats-the-latest",
        "A page begins with the last schedule of the page before.",
        "schedules.py",
        "(queue, name) > (?, ?)",
        "(queue, name) >= (?, ?)",
    ),
    Mutant(
        "listing-has-schedules-of-all-apps",
        "An app lists the schedules of others.",
        "schedules.py",
        "WHERE app = ? AND (queue",
        "WHERE ? <> '' AND (queue",
    ),
    Mutant(
        "status-hides-the-entry-of-the-code",
        "The status of an entry is that of a schedule of its name.",
        "schedules.py",
        "if stored is None or entry.is_declared:",
        "if stored is None:",
    ),
    Mutant(
        "schedule-has-no-status",
        "A stored schedule is unknown to callers that ask for its status.",
        "schedules.py",
        "if stored is None or entry.is_declared:",
        "if True:",
    ),
]
