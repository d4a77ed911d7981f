"""streaq: one worker, which is its scheduler too."""

from noting import URL, note
from streaq import Worker

worker = Worker(redis_url=URL)


@worker.cron("*/5 * * * * * *")
async def tick():
    note(5)


worker.run_sync()
