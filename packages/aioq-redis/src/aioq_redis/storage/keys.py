"""Where everything is in Redis: names of keys and channels, and nothing else.

Keys of one queue share the hash tag `{namespace:queue}`, those of the fleet `{namespace}`:

    jobs        hash    job id -> record: all jobs that have not ended
    ready:0-9   lists   ids of due jobs, by priority
    suspects    list    ids of due jobs that crashed so often that they run alone
    awaited     string  the worker that makes room for a suspect
    due         zset    ids of jobs that wait for their time
    leased      zset    ids of running jobs, by the moment their lease runs out
    runs        hash    job id -> what has happened to it, once it was claimed
    failures    hash    job id -> the latest failure, while further attempts are to come
    gone        set     ids of cancelled jobs that are still in a ready list
    ended       hash    job id -> record of an ended job, kept for a while
    completed, failed, cancelled, dead, expired
                zsets   ids of ended jobs, by the moment their record is to go
    wake        list    tokens on which idle workers block
    waits       zset    ids of jobs whose end somebody waits for
    claim:<worker>, memo:<client>
                strings the latest answers, for requests that are repeated
    copied      string  nothing; it is written when replicas are waited for
    cron:<name> hash    an entry: its mark, latest claim and run, registration, pause, counts
    ticks:<name>
                zset    what became of its latest ticks, by tick

    queues      set     names of all queues that were ever used
    deploys     string  the number of the latest registration of entries
    apps        zset    names of apps with entries, by when one of their workers was up
    crons:<app> hash    queue and name of an entry -> since when it is retired, definition
    version:<app>
                string  which version of an app is open, that is in force, or coming
    pauses      hash    queue and name of a paused entry -> when it was paused
    workers     zset    ids of the workers that are up
    worker:<id> string  what a worker says of itself

Each of them has a time to live, or is bounded by the jobs that have not ended, or by the
names that an application uses. An entry is forgotten 400 days after it was last registered,
fired or spoken of, and an app after so long without a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aioq.model.ids import check_name
from aioq_redis.storage.job_states import ENDED_LETTERS

__all__ = ["ENDLESS", "FLEET", "OWNED", "TYPES", "KeySpace", "Layout", "beside"]

TYPES: Final = {
    "apps": "zset",
    "awaited": "string",
    "claim": "string",
    "copied": "string",
    "cron": "hash",
    "crons": "hash",
    "deploys": "string",
    "due": "zset",
    "ended": "hash",
    "failures": "hash",
    "gone": "set",
    "jobs": "hash",
    "leased": "zset",
    "memo": "string",
    "pauses": "hash",
    "queues": "set",
    "ready": "list",
    "runs": "hash",
    "suspects": "list",
    "ticks": "zset",
    "version": "string",
    "waits": "zset",
    "wake": "list",
    "worker": "string",
    "workers": "zset",
    **{state.value: "zset" for state in ENDED_LETTERS},
}
"""Name of a key, without what follows its first colon: what Redis stores under it."""

FLEET: Final = frozenset({"apps", "crons", "deploys", "pauses", "queues", "version", "worker", "workers"})
"""Those of the fleet; all others are a queue's."""

OWNED: Final = frozenset({"claim", "cron", "crons", "memo", "ticks", "version", "worker"})
"""Those that go on with a colon and the name of whose they are."""

ENDLESS: Final = frozenset(
    {"due", "failures", "gone", "jobs", "leased", "queues", "ready", "runs", "suspects", "wake"}
)  # fmt: skip
"""Those without a time to live: bounded by the jobs that have not ended, or by the names of queues."""


class KeySpace:
    """The keys that share one hash tag, and so one slot of a cluster."""

    def __init__(self, tag: str) -> None:
        self._prefix = f"{{{tag}}}:"
        self._picked: dict[tuple[str, ...], list[str]] = {}

    def key(self, name: str) -> str:
        """Return the full name of a key or channel."""
        return self._prefix + name

    def pick(self, names: tuple[str, ...], own: str = "", each: Sequence[str] = ()) -> list[str]:
        """Return full names in order.

        `own` goes where a name says `<...>`; one that goes on with `...` stands for as many
        keys as there are in `each`.
        """
        keys = self._picked.get(names)
        if keys is None:
            keys = self._picked[names] = [self.key(name) for name in names]
        if not own and not each:
            return keys
        return [full for key in keys for full in (_filled(key, own, each) if "<" in key else (key,))]

    def type_of(self, key: str) -> str:
        """Return what Redis is to store under one of these keys."""
        return TYPES[key.removeprefix(self._prefix).partition(":")[0]]


def beside(key: str, name: str) -> str:
    """Return the full name of another key in the space of a key."""
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
        self._queues: dict[str, KeySpace] = {}

    def queue(self, name: str) -> KeySpace:
        """Return the keys of a queue.

        Raises:
            ValueError: The name is not of the form [A-Za-z0-9_.-]{1,64}.
        """
        space = self._queues.get(name)
        if space is None:
            space = self._queues[name] = KeySpace(f"{self.namespace}:{check_name('queue', name)}")
        return space
