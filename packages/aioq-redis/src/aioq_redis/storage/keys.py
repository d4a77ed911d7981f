"""The names of all keys and channels in Redis.

Keys of one queue share the hash tag `{namespace:queue}`, those of the fleet `{namespace}`:

    jobs        hash    job id -> record: all jobs that have not ended
    ready:0-9   lists   ids of due jobs, by priority
    suspects    zset    ids of due jobs that crashed: those that run alone first, then observed ones
    awaited     string  the end of a turn, and the worker that makes room for a suspect until then
    crashed     zset    workers that crashed, by the time at which that was noticed
    due         zset    ids of jobs that wait for their time
    leased      zset    ids of running jobs, by the time at which their lease runs out
    runs        hash    job id -> its history, once it was claimed
    attempts    hash    job id -> its latest attempts and its latest failure, while the job has not ended
    failures    hash    id of a failure -> what is listed of a job that failed, is dead or expired
    failure_times
                zset    ids of failures, by the time at which the job ended
    failure_causes
                zset    group, time and id of each failure, in alphabetical order
    failure_groups
                hash    group of failures with one cause -> how many there are
    failed_jobs hash    id of a failure -> record of the ended job
    signs       string  the signs of life of the workers, and the latest outage
    cancelled_ids
                set     ids of cancelled jobs that are still in a ready list; every 1,000 are removed from the first
                        20,000 ids of the lists
    ended       hash    job id -> record of an ended job, kept for a while
    completed, failed, cancelled, dead, expired
                zsets   ids of ended jobs, by the time at which their record is removed
    dropped     zset    ids of completed jobs that left no record because the server was full, by the time at which
                        they are forgotten
    wake        list    tokens on which idle workers block
    stops       hash    what a person has stopped: `queue` if the queue is paused, `task:<name>` for each stopped task;
                        and which of the jobs in `held` belong to restored tasks
    held        zset    ids of due jobs of stopped tasks that a claim has met, by the order in which they are to run
    latest_order
                string  the latest request that changed `stops`, and its answer
    resumed     list    tokens on which the workers of a paused queue block
    waits       zset    ids of jobs that clients wait for
    claim:<worker>, memo:<client>
                strings the latest answers, for repeated requests
    copied      string  empty; written before the client waits for replicas
    cron:<name> hash    an entry: its last tick, latest claim and run, registration, pause, counts
    ticks:<name>
                zset    the records of its latest ticks, by tick
    schedules   hash    name of a stored schedule -> revision, since, due, definition
    schedule_names
                zset    the names of the stored schedules, in alphabetical order
    scheduled_tasks
                zset    names of tasks that have stored schedules, by the earliest moment of the next set
    schedule_moments:<task>
                zset    names of stored schedules of the task, by the time at which workers have to look at them

    queue_names set     names of all queues that were ever used
    registrations
                string  the number of the latest registration of entries
    apps        zset    names of apps with entries, by the time at which a worker was last up
    crons:<app> hash    queue and name of an entry -> time of its retirement, definition
    version:<app>
                string  the version of an app that is open (in force) or coming (announced)
    attendance:<app>
                zset    ids of the workers of the app that fire entries, with a version for each of their queues, by
                        the time at which they are no longer taken to be up
    pauses      hash    queue and name of a paused entry -> time of the pause
    stopped_queues
                set     names of the queues in which a person has ever stopped something
    changes     list    the latest 1,000 changes that persons have made, the newest first
    workers     zset    ids of the workers that are up
    worker:<id> string  the latest heartbeat of a worker
    counted     zset    names of the series of counts, by the time at which they were last counted; 2,000 at most
    counts:<queue>:<outcome>:<task>
                hash    the counts of a series: a field for 60 minutes or 20 hours each; `lua/statistics/add_counts.lua`
                        describes the values. 80 KB at most
    reported:<process>
                string  the number of the latest report of counts of a process, for an hour

Each key has a time to live, or is bounded by the jobs that have not ended, by the names that an application uses, or by
the schedules that it stores. An entry is removed 400 days after it was last registered, fired or changed, an app after
400 days without a worker, and the counts of a series 30 days after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

from aioq.model.ids import check_name
from aioq_redis.storage.job_states import ENDED_LETTERS

__all__ = [
    "FAILURE_LIST",
    "FLEET",
    "FORMAT",
    "KEYS_OF_FORMAT_0",
    "MAX_QUEUES",
    "TYPES",
    "WITHOUT_TTL",
    "WITH_OWNER",
    "KeySpace",
    "Layout",
    "is_queue_name",
    "sibling_key",
]

MAX_QUEUES: Final = 4096
"""A client keeps data of this number of queues at most."""

FORMAT: Final = 1
"""The format of the stored data. Commits before 0.5.0 stored format 0, which has other fields in `cron:<name>`."""

# A format is recognized by the names of two keys of the fleet, so no client has to write a number before it may
# enqueue. Each namespace in use has one of the two: `queue_names` once a job was enqueued, `registrations` once an
# app has registered its entries. A new format renames both.
KEYS_OF_FORMAT_0: Final = ("queues", "deploys")
"""The keys that only a namespace in format 0 has. `RedisBroker.connect` looks for them."""

TYPES: Final = {
    "apps": "zset",
    "attempts": "hash",
    "attendance": "zset",
    "awaited": "string",
    "changes": "list",
    "claim": "string",
    "copied": "string",
    "counted": "zset",
    "counts": "hash",
    "crashed": "zset",
    "dropped": "zset",
    "cron": "hash",
    "crons": "hash",
    "due": "zset",
    "ended": "hash",
    "held": "zset",
    "cancelled_ids": "set",
    "jobs": "hash",
    "latest_order": "string",
    "failed_jobs": "hash",
    "failure_causes": "zset",
    "failure_groups": "hash",
    "failure_times": "zset",
    "failures": "hash",
    "leased": "zset",
    "memo": "string",
    "pauses": "hash",
    "queue_names": "set",
    "ready": "list",
    "resumed": "list",
    "registrations": "string",
    "reported": "string",
    "runs": "hash",
    "schedule_moments": "zset",
    "schedule_names": "zset",
    "scheduled_tasks": "zset",
    "schedules": "hash",
    "signs": "string",
    "stopped_queues": "set",
    "stops": "hash",
    "suspects": "zset",
    "ticks": "zset",
    "version": "string",
    "waits": "zset",
    "wake": "list",
    "worker": "string",
    "workers": "zset",
    **{state.value: "zset" for state in ENDED_LETTERS},
}
"""The Redis type of each key, by the part of its name before the first colon."""

FAILURE_LIST: Final = ("failures", "failure_times", "failure_causes", "failure_groups", "failed_jobs")
"""The keys of the listed failures, in the order in which scripts get them."""

FLEET: Final = frozenset(
    {
        *("apps", "attendance", "changes", "counted", "counts", "crons", "pauses", "queue_names", "registrations"),
        *("reported", "stopped_queues", "version", "worker", "workers"),
    }
)  # fmt: skip
"""Keys of the fleet. All others belong to a queue."""

WITH_OWNER: Final = frozenset(
    {
        *("attendance", "claim", "counts", "cron", "crons", "memo", "reported", "schedule_moments", "ticks"),
        *("version", "worker"),
    }
)  # fmt: skip
"""Keys whose name continues with a colon and the name of their owner."""

WITHOUT_TTL: Final = frozenset(
    {
        *("attempts", "due", "cancelled_ids", "jobs", "leased", "queue_names", "ready", "runs", "suspects", "wake"),
        *("schedules", "schedule_names", "scheduled_tasks", "schedule_moments"),
        *("changes", "held", "stopped_queues", "stops"),
    }
)  # fmt: skip
"""Keys without a time to live. Jobs that have not ended, names that an application uses, or stored schedules bound
them."""


class KeySpace:
    """The keys that share one hash tag, and so one hash slot of a cluster."""

    def __init__(self, tag: str) -> None:
        self._prefix = f"{{{tag}}}:"
        self._picked: dict[tuple[str, ...], list[str]] = {}

    def key(self, name: str) -> str:
        """Return the full name of a key or channel."""
        return self._prefix + name

    def pick(self, names: tuple[str, ...], own: str = "", each: Sequence[str] = ()) -> list[str]:
        """Return full names in order.

        `own` replaces `<...>` in a name. A name that ends with `...` stands for one key for each text
        in `each`.
        """
        # Cached: every call of a script needs its keys, and a claim needs all ready lists.
        keys = self._picked.get(names)
        if keys is None:
            keys = self._picked[names] = [self.key(name) for name in names]
        if not own and not each:
            return keys
        return [full for key in keys for full in (_filled(key, own, each) if "<" in key else (key,))]

    def type_of(self, key: str) -> str:
        """Return the Redis type of one of these keys."""
        return TYPES[key.removeprefix(self._prefix).partition(":")[0]]


def is_queue_name(name: bytes) -> bool:
    """Return whether a stored name can be that of a queue: another program may have stored any bytes."""
    try:
        check_name("queue", name.decode("ascii"))
    except ValueError:
        return False
    return True


def sibling_key(key: str, name: str) -> str:
    """Return the full name of another key with the same hash tag as `key`."""
    return key.partition("}")[0] + "}:" + name


def _filled(key: str, own: str, each: Sequence[str]) -> list[str]:
    stem, _, rest = key.partition("<")
    return [stem + one for one in each] if rest.endswith("...") else [stem + own]


class Layout:
    """The keys of one namespace.

    Raises:
        ValueError: The namespace is not of the form [A-Za-z0-9_.-]{1,64}.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = check_name("namespace", namespace)
        self.fleet = KeySpace(self.namespace)
        # A client may use any number of queues in its life, such as one for each of its users.
        self._queue = lru_cache(MAX_QUEUES)(partial(_queue_space, namespace))

    def queue(self, name: str) -> KeySpace:
        """Return the keys of a queue.

        Raises:
            ValueError: The name is not of the form [A-Za-z0-9_.-]{1,64}.
        """
        return self._queue(name)


def _queue_space(namespace: str, queue: str) -> KeySpace:
    return KeySpace(f"{namespace}:{check_name('queue', queue)}")
