"""The worker. Each module is one of its parts, and `worker` runs them in one task group.

`claimer` claims jobs as slots become free, `runner` runs them, and `settler` reports their outcomes. Meanwhile
`heartbeat` extends the leases, `reaper` returns the jobs of crashed workers to their queues, `cancellations` cancels
jobs on request, `loop_monitor` reports a blocked event loop, and `cron` fires the schedules. `shutdown` ends them all.
"""

from aioq.worker.worker import Worker as Worker

__all__ = ["Worker"]
