"""Lists mutants that wake waiting workers and clients too rarely, too often or wrongly."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["SIGNALS"]

SIGNALS = [
    Mutant(
        "new-job-wakes-nobody",
        "A new job waits until a worker looks for jobs by itself.",
        "enqueueing.py",
        '    transaction.signal("work", job.queue)\n',
        "",
    ),
    Mutant(
        "earlier-job-wakes-nobody",
        "A job that comes due earlier than others does not end a wait.",
        "enqueueing.py",
        '    transaction.signal("work", job.queue)\n',
        '    if state is JobState.PENDING:\n        transaction.signal("work", job.queue)\n',
    ),
    Mutant(
        "wait-sees-first-queue",
        "A wait listens to the first queue of its request only.",
        "signals.py",
        'listening("work", request.queues, news.note)',
        'listening("work", request.queues[:1], news.note)',
    ),
    Mutant(
        "wait-overlooks-due-times",
        "A wait does not end when a delayed job comes due.",
        "signals.py",
        "min(left, found - self._database.clock.time())",
        "left",
    ),
    Mutant(
        "wait-never-times-out",
        "A wait for jobs goes on after its timeout.",
        "signals.py",
        "deadline = self._database.clock.monotonic() + timeout\n        news = _News()\n        # Before",
        "deadline = self._database.clock.monotonic() + timeout + 3600\n        news = _News()\n        # Before",
    ),
    Mutant(
        "wait-ends-without-a-claim",
        "A wait that times out does not claim.",
        "signals.py",
        "return await self._transact(lambda transaction: claim(transaction, request))",
        "return Claim(leases=[])",
    ),
    Mutant(
        "suspect-wakes-busy-workers",
        "A suspect ends the waits of workers that cannot take it.",
        "claiming.py",
        'suspects = "FALSE" if request.running else',
        "suspects =",
    ),
    Mutant(
        "suspect-is-no-work",
        "A suspect does not end the wait of an idle worker.",
        "claiming.py",
        'suspects = "FALSE" if request.running else f"crashes >= {SUSPECT_AFTER}"',
        'suspects = "FALSE"',
    ),
    Mutant(
        "reconnected-listener-wakes-nobody",
        "What was signalled before a listener reads the file goes unheard.",
        "listener.py",
        "            self._wake_all()\n            while",
        "            while",
    ),
    Mutant(
        "signals-of-this-process-only",
        "A signal wakes only waits of the process that gave it.",
        "listener.py",
        "if latest < (newest := _latest(connection)):",
        "if (newest := _latest(connection)) is None:",
    ),
    Mutant(
        "one-signal-of-each-look-is-heard",
        "Of the signals that are found together only the first is heard.",
        "listener.py",
        "for signal in signals:",
        "for signal in signals[:1]:",
    ),
    Mutant(
        "end-without-record-wakes-nobody",
        "The wait for a result goes on if the job left no record.",
        "jobs.py",
        'if row["awaited"]:',
        'if row["awaited"] and retain_for > 0:',
    ),
    Mutant(
        "cancellation-wakes-no-client",
        "The wait for a result goes on if the job is cancelled.",
        "jobs.py",
        'if row["awaited"]:',
        'if row["awaited"] and verb is not Verb.CANCEL:',
    ),
    Mutant(
        "crash-wakes-no-client",
        "The wait for a result goes on if the job dies of crashes.",
        "jobs.py",
        'if row["awaited"]:',
        'if row["awaited"] and changes.get("reason") != "crashed":',
    ),
    Mutant(
        "retry-ends-the-wait",
        "The wait for a result ends when an attempt fails.",
        "signals.py",
        'row["state"] in FINAL_STATES:',
        'row["state"] in {*FINAL_STATES, "retrying", "pending"} and row["attempt"]:',
    ),
    Mutant(
        "unknown-job-is-awaited",
        "The wait for the result of a job without a record goes on until its timeout.",
        "signals.py",
        'if row is None or row["state"] in FINAL_STATES:\n                return True',
        'if row is None:\n                return False\n            if row["state"] in FINAL_STATES:\n                return True',
    ),
    Mutant(
        "timeout-counts-as-end",
        "The wait for a result returns True after its timeout.",
        "signals.py",
        "                    return False\n                await news",
        "                    return True\n                await news",
    ),
    Mutant(
        "cancellation-goes-to-every-worker",
        "Each worker hears of the cancelled runs of all workers.",
        "lookup.py",
        'transaction.signal("cancelled", row["worker_id"], msgspec.json.encode(run))',
        'for (worker,) in transaction.execute("SELECT DISTINCT worker_id FROM jobs").fetchall():\n'
        '            transaction.signal("cancelled", worker or "", msgspec.json.encode(run))',
    ),
    Mutant(
        "cancelled-run-has-no-epoch",
        "A cancellation does not say which run was cancelled.",
        "lookup.py",
        'epoch=row["epoch"], enqueued_at',
        "epoch=1, enqueued_at",
    ),
    Mutant(
        "cancellation-is-not-signalled",
        "A worker notices a cancellation when it next extends the lease.",
        "lookup.py",
        '        transaction.signal("cancelled", row["worker_id"], msgspec.json.encode(run))\n',
        "        del run\n",
    ),
]
