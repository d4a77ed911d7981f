"""arq: one worker, which is its scheduler too. Its ticks are 123 ms after the second unless told otherwise."""

from arq import cron
from arq.connections import RedisSettings
from arq.worker import run_worker
from noting import URL, note


async def tick(ctx):
    note(5)


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(URL)
    poll_delay = 0.01
    cron_jobs = [cron(tick, second=set(range(0, 60, 5)), microsecond=0)]


run_worker(WorkerSettings)
