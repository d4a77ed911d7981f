"""Lists mutants that obey a person wrongly, or record wrongly what persons have changed."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["CONTROL"]

CONTROL = [
    Mutant(
        "wait-forgets-the-pause",
        "A job in a paused queue ends the wait of a worker, and is claimed.",
        "signals.py",
        "            if has_work(transaction, request):\n",
        "            transaction.execute(\"DELETE FROM stops WHERE task = ''\")\n            if has_work(transaction, request):\n",
    ),
    Mutant(
        "pause-is-work",
        "A job in a paused queue ends each wait, without a lease.",
        "claiming.py",
        "for queue in going_queues(transaction, request.queues)\n        for query in (_ready(transaction, queue), crashed)",
        "for queue in request.queues\n        for query in (_ready(transaction, queue), crashed)",
    ),
    Mutant(
        "claim-forgets-the-pause",
        "A claim takes jobs of a paused queue.",
        "claiming.py",
        "alone_for = _take(transaction, going)",
        "alone_for = _take(transaction, request)",
    ),
    Mutant(
        "pause-is-not-named",
        "A claim does not say which of its queues are paused.",
        "claiming.py",
        "alone_for=alone_for, paused=paused)",
        "alone_for=alone_for)",
    ),
    Mutant(
        "paused-jobs-come-due",
        "The due times of a paused queue count for the next claim.",
        "claiming.py",
        "next_due=next_due(transaction, going.queues)",
        "next_due=next_due(transaction, request.queues)",
    ),
    Mutant(
        "resume-wakes-no-worker",
        "Waiting workers do not notice that a queue is resumed, or a task restored.",
        "control.py",
        '    transaction.signal("work", queue)\n',
        "",
    ),
    Mutant(
        "stop-of-a-task-stops-the-queue",
        "If a task is stopped, no job of its queue is claimed.",
        "claiming.py",
        "WHERE queue = ? AND task = ''\"\n    return tuple",
        'WHERE queue = ?"\n    return tuple',
    ),
    Mutant(
        "suspects-of-a-stopped-task-run",
        "Jobs of a stopped task that have crashed are claimed.",
        "claiming.py",
        "crashes > 0 AND {GOING.format('jobs')}\"",
        'crashes > 0"',
    ),
    Mutant(
        "beside-a-stop-by-task",
        "While a task is stopped, the others are claimed task by task, not in the order of their jobs.",
        "claiming.py",
        'f" ORDER BY {READY_ORDER} LIMIT :limit"\n',
        'f" ORDER BY task, {READY_ORDER} LIMIT :limit"\n',
    ),
    Mutant(
        "second-pause-begins-anew",
        "A second pause says that the queue is paused since then.",
        "control.py",
        "stop_again(msgspec.json.decode(known, type=Stop) if known else None, stop)",
        "stop_again(None, stop)",
    ),
    Mutant(
        "changes-are-not-bounded",
        "All changes are kept for good.",
        "control.py",
        '            transaction.execute("DELETE FROM changes WHERE number <= ?", (number - MAX_CHANGES,))\n',
        "            del number\n",
    ),
    Mutant(
        "changes-oldest-first",
        "The oldest changes are listed.",
        "control.py",
        "ORDER BY number DESC LIMIT :limit",
        "ORDER BY number LIMIT :limit",
    ),
]
