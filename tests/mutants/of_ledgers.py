"""Lists mutants that register entries, decide on ticks or record them wrongly."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["LEDGERS"]

MEMO = """    memo, now = globals().setdefault("_memo", {}), transaction.now
    at, known = memo.get((id(transaction.execute.__self__), key), (-1.0, None))
    if known and now < at + 1:
        return known
    state = transaction.value("SELECT state FROM entries WHERE queue = ? AND name = ?", key.queue, key.name)
    known = msgspec.json.decode(state, type=Entry) if state else Entry(key)
    memo[id(transaction.execute.__self__), key] = now, known
    return known
"""

LEDGERS = [
    Mutant(
        "ledger-remembers-for-1-s",
        "For a second a process does not see what others have decided.",
        "entries.py",
        '    state = transaction.value("SELECT state FROM entries WHERE queue = ? AND name = ?", key.queue, key.name)\n'
        "    return msgspec.json.decode(state, type=Entry) if state else Entry(key)\n",
        MEMO,
    ),
    Mutant(
        "tick-ids-count-in-all-queues",
        "The tick of an entry becomes no job if an entry of another queue has its name.",
        "tick_claims.py",
        "if not find(transaction, *new.key):",
        "if not transaction.row('SELECT 1 FROM jobs WHERE id = ?', new.id):",
    ),
    Mutant(
        "known-tick-job-is-stored-again",
        "The job of a tick that exists already makes the claim fail.",
        "tick_claims.py",
        "if not find(transaction, *new.key):",
        "if new:",
    ),
    Mutant(
        "tick-job-is-not-stored",
        "A tick that is won with a job stores none.",
        "tick_claims.py",
        "            insert(transaction, new)\n",
        "            pass\n",
    ),
    Mutant(
        "paused-entry-fires",
        "A pause is shown and has no effect.",
        "tick_claims.py",
        "paused=entry.pause is not None",
        "paused=False",
    ),
    Mutant(
        "retired-entry-fires",
        "Workers of an older version fire an entry that was removed.",
        "tick_claims.py",
        "retired=entry.retired_at is not None",
        "retired=False",
    ),
    Mutant(
        "ended-job-is-going-on",
        "A run goes on as long as there is a record of its job.",
        "tick_claims.py",
        'job_state=job["state"] if job else None',
        'job_state="running" if job else None',
    ),
    Mutant(
        "waiting-job-counts-as-started",
        "A second job of an entry waits although the first one was not started.",
        "tick_claims.py",
        'started=job is not None and (job["state"] == JobState.RUNNING or job["attempt"] > 0)',
        "started=job is not None",
    ),
    Mutant(
        "decision-is-not-saved",
        "A tick that was claimed can be claimed again.",
        "tick_claims.py",
        "    save(transaction, entry)\n    return answer.reply\n",
        "    return answer.reply\n",
    ),
    Mutant(
        "fired-tick-is-not-recorded",
        "A tick whose worker vanishes leaves no record.",
        "tick_claims.py",
        "    for record in answer.records:\n",
        "    for record in answer.records[:0]:\n",
    ),
    Mutant(
        "extension-keeps-replaced-runs",
        "A run that another one has replaced is not named.",
        "tick_claims.py",
        "        return False\n    current.until",
        "        return True\n    current.until",
    ),
    Mutant(
        "extension-of-a-run-is-lost",
        "A run ends although it was extended.",
        "tick_claims.py",
        "    current.until = until\n",
        "",
    ),
    Mutant(
        "unknown-run-counts-as-replaced",
        "A run of which the ledger knows nothing is named as replaced.",
        "tick_claims.py",
        "has replaced this one\n        return True",
        "has replaced this one\n        return False",
    ),
    Mutant(
        "record-of-replaced-worker-ends-run",
        "The record of a run that was replaced ends the one that goes on.",
        "tick_claims.py",
        "run.ended = run.ended or run.job_id is not None or run.worker_id == record.worker_id",
        "run.ended = True",
    ),
    Mutant(
        "record-ends-no-run",
        "A run goes on after the record of its end.",
        "tick_claims.py",
        "run.ended = run.ended or run.job_id is not None or run.worker_id == record.worker_id",
        "pass",
    ),
    Mutant(
        "removed-entry-stays",
        "An entry that a version of its app lacks is not retired.",
        "ledger.py",
        "        entry.retired_at = now\n",
        "",
    ),
    Mutant(
        "entries-of-other-apps-are-retired",
        "A registration retires the entries of all apps.",
        "ledger.py",
        "        for entry in entries_of(transaction, app)\n        if entry.definition and",
        "        for entry in entries_of(transaction, None)\n        if entry.definition and",
    ),
    Mutant(
        "options-make-an-entry-changed",
        "An entry with another policy is listed as changed.",
        "ledger.py",
        "if before[key] != after[key].fingerprint)",
        "if before[key])",
    ),
    Mutant(
        "version-stays-for-good",
        "A version is registered although no worker renewed it.",
        "ledger.py",
        'WHERE app = ? AND until > ?", app, now)',
        'WHERE app = ? AND until > ? - 3600", app, now)',
    ),
    Mutant(
        "renewal-renews-nothing",
        "A version expires although a worker renewed it.",
        "ledger.py",
        "(now + ttl, app))\n            paused",
        "(now, app))\n            paused",
    ),
    Mutant(
        "renewal-lists-pauses-of-all-apps",
        "A renewal lists paused entries of other apps.",
        "ledger.py",
        "[entry.key for entry in entries_of(transaction, app) if entry.pause]",
        "[entry.key for entry in entries_of(transaction, None) if entry.pause]",
    ),
    Mutant(
        "second-pause-is-new",
        "Pausing a paused entry returns True.",
        "ledger.py",
        "is_new = entry.pause is None",
        "is_new = True",
    ),
    Mutant(
        "second-pause-keeps-the-note",
        "The note of a second pause is dropped.",
        "ledger.py",
        "entry.pause = Pause(note=note, by=by, at=transaction.now)",
        "entry.pause = entry.pause or Pause(note=note, by=by, at=transaction.now)",
    ),
    Mutant(
        "resumed-entry-owes-its-pause",
        "A resumed entry makes up for the ticks of its pause.",
        "ledger.py",
        "            entry.arm(transaction.now)  # no tick of the pause is made up for\n",
        "",
    ),
    Mutant(
        "resuming-always-succeeds",
        "Resuming an entry that is not paused returns True.",
        "ledger.py",
        "            if entry.pause is None:\n                return False\n",
        "",
    ),
    Mutant(
        "new-entry-owes-its-past",
        "A new entry makes up for ticks from before its registration.",
        "entries.py",
        "if known is None or enabled_again or",
        "if known is not None and (enabled_again) or known is not None and",
    ),
    Mutant(
        "enabled-entry-owes-its-past",
        "An entry that is enabled again makes up for the time when it was disabled.",
        "entries.py",
        "if known is None or enabled_again or",
        "if known is None or",
    ),
    Mutant(
        "changed-entry-owes-its-past",
        "An entry with another schedule makes up for earlier ticks.",
        "entries.py",
        "or known.fingerprint != definition.fingerprint:",
        "or False:",
    ),
    Mutant(
        "returned-entry-stays-retired",
        "An entry that an app registers again stays retired.",
        "entries.py",
        "definition, app, None\n",
        "definition, app, self.retired_at\n",
    ),
    Mutant(
        "last-tick-goes-back",
        "A registration moves the last tick back.",
        "entries.py",
        "max(self.decided.last_tick or 0, round(now * 1000))",
        "round(now * 1000)",
    ),
    Mutant(
        "unregistered-entry-has-status",
        "An entry that no app has registered is in the list of statuses.",
        "entries.py",
        "    if entry.definition is None:\n        return None\n",
        '    if entry.definition is None:\n        entry.definition = CronDefinition(\n            queue=entry.key.queue, name=entry.key.name, kind="cron", expression="", tz="", fingerprint=""\n        )\n',
    ),
    Mutant(
        "statuses-in-any-order",
        "Statuses are sorted by name and queue.",
        "entries.py",
        'ORDER BY queue, name"',
        'ORDER BY name, queue"',
    ),
    Mutant(
        "local-entry-has-last-tick",
        "An entry that each worker fires shows a last tick.",
        "entries.py",
        "if entry.definition.unique and last_tick is not None",
        "if last_tick is not None",
    ),
    Mutant(
        "history-keeps-ten",
        "Ten records of an entry are kept.",
        "tick_history.py",
        "MAX_RECORDS = 100",
        "MAX_RECORDS = 10",
    ),
    Mutant(
        "history-is-oldest-first",
        "The oldest record of an entry comes first.",
        "tick_history.py",
        "ORDER BY tick DESC, owner DESC LIMIT ?",
        "ORDER BY tick, owner LIMIT ?",
    ),
    Mutant(
        "tick-counts-twice",
        "A tick counts once as fired, and again when its run has ended.",
        "tick_history.py",
        "    if known is not None:\n",
        "    if False:\n",
    ),
    Mutant(
        "workers-share-a-record",
        "An entry that each worker fires has one record for all.",
        "tick_history.py",
        '"" if record.job_id is not None else worker)',
        '"")',
    ),
    Mutant(
        "skipped-tick-has-a-worker",
        "A tick that was skipped or missed has a record for each worker that says so.",
        "tick_history.py",
        'worker = "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id',
        "worker = record.worker_id",
    ),
    Mutant(
        "job-tick-has-a-record-per-worker",
        "The end of a tick that became a job does not replace the record of its start.",
        "tick_history.py",
        '"" if record.job_id is not None else worker)',
        "worker)",
    ),
    Mutant(
        "latest-result-is-any-result",
        "The result of an older tick replaces that of a newer one.",
        "tick_history.py",
        "tick >= (totals.latest_success or tick)",
        "tick",
    ),
    Mutant(
        "late-end-is-not-counted",
        "The end of a tick whose record was dropped is not counted.",
        "tick_history.py",
        '        totals.add(Counter({part: counted[part] for part in ("ok", "failed")}))\n',
        "",
    ),
    Mutant(
        "dropped-record-comes-back",
        "A tick whose record was dropped counts as fired once more.",
        "tick_history.py",
        "if known is None and totals.forgotten is not None and tick <= totals.forgotten:",
        "if False:",
    ),
    Mutant(
        "coalesced-counts-as-skipped",
        "A coalesced tick counts as skipped.",
        "tick_history.py",
        '        parts = ("coalesced",)\n',
        "        pass\n",
    ),
    Mutant(
        "record-of-several-ticks-counts-once",
        "A record of several ticks counts as one.",
        "tick_history.py",
        "dict.fromkeys(parts, record.count)",
        "dict.fromkeys(parts, 1)",
    ),
]
