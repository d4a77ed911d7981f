"""docket: one worker, which is its scheduler too."""

import asyncio
from datetime import timedelta

from docket import Cron, Docket, Worker
from noting import URL, note


async def tick(cron: Cron = Cron("* * * * *")):
    note(60)


async def main():
    async with Docket(name="bench", url=URL) as docket:
        docket.register(tick)
        often = timedelta(milliseconds=10)
        async with Worker(docket, minimum_check_interval=often, scheduling_resolution=often) as worker:
            await worker.run_forever()


asyncio.run(main())
