"""docket: one worker, which is its scheduler too."""

import asyncio

from docket import Cron, Docket, Worker
from noting import URL, note


async def tick(cron: Cron = Cron("* * * * *")):
    note(60)


async def main():
    async with Docket(name="bench", url=URL) as docket:
        docket.register(tick)
        async with Worker(docket) as worker:
            await worker.run_forever()


asyncio.run(main())
