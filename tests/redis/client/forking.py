"""A program that enqueues, forks, and enqueues in both processes; see `test_event_loops.py`.

Its arguments are the URL, the namespace, and how the child runs its event loop: `own` in a new one, or `shared` in the one
that the parent goes on to use. It exits with 1 if the child fails.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from aioq_redis import RedisBroker
from tests.redis.job_helpers import job

CALLS = 20


async def enqueue(broker: RedisBroker, prefix: str) -> None:
    """Enqueue jobs one after the other, and read each of them, so that a reply that went astray is noticed."""
    for n in range(CALLS):
        assert await broker.enqueue([job(f"{prefix}{n}")]) == [True]
        record = await broker.get_job(f"{prefix}{n}", queue="q")
        assert record is not None
        assert record.id == f"{prefix}{n}"


def main(url: str, namespace: str, kind: str) -> int:
    """Run the program, and return its exit code."""
    logging.basicConfig(level=logging.WARNING)
    broker = RedisBroker(url, namespace=namespace)
    loop = asyncio.new_event_loop()
    run: Callable[[Coroutine[Any, Any, None]], None] = loop.run_until_complete
    run(enqueue(broker, "before"))
    child = os.fork()
    if not child:
        (run if kind == "shared" else asyncio.run)(enqueue(broker, "child"))
        # Without the end of the interpreter, as processes end that `multiprocessing` has forked.
        os._exit(0)
    run(enqueue(broker, "parent"))
    _, status = os.waitpid(child, 0)
    run(broker.close())
    loop.close()
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
