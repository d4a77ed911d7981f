"""The project that is called aioq on the index: one worker, which is its scheduler too."""

import asyncio

from noting import URL, note

from aioq import Aarq
from aioq.backends.redis import RedisBroker
from aioq.worker import Worker

app = Aarq(RedisBroker(URL))


@app.cron("* * * * * */5")
async def tick(ctx):
    note(5)


asyncio.run(Worker(app, queues=["default"], concurrency=10).run())
