"""saq: one worker, which is its scheduler too."""

import asyncio

from noting import URL, note
from saq import CronJob, Queue, Worker


async def tick(ctx):
    note(5)


async def main():
    queue = Queue.from_url(URL)
    await Worker(queue, functions=[], cron_jobs=[CronJob(tick, cron="* * * * * */5")]).start()


asyncio.run(main())
