"""The worker: a few duties, each in its own file, in one task group.

`claimer` takes jobs as slots come free, `runner` runs them, `settler` reports how they
ended, `heartbeat` keeps their leases, by a thread of `keeper` where the broker allows it,
`watch` notices a blocked event loop, `reaper` takes back the jobs of workers that vanished,
`cron` fires the schedules. `worker` owns them all, and `stop` tells them when to end.
"""

from aioq.worker.worker import Worker as Worker

__all__ = ["Worker"]
