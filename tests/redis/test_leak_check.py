"""The search for leaks after each test: it is made, wherever a test has been, and can fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).parents[2]

SUITE = """
import asyncio

from aioq.backends import MemoryBroker, RedisBroker
from aioq.model.job import NewJob

JOB = NewJob(id="a", task="t", queue="q", payload=b"{}")


def store(broker):
    async def go():
        await broker.enqueue([JOB])
        await broker.close()

    asyncio.run(go())


def test_sound(redis_url, start_server, namespace):
    for broker in (MemoryBroker(), *(RedisBroker(url, namespace=namespace) for url in (redis_url, start_server().url))):
        store(broker)


def test_ghost(redis_server, namespace):
    with redis_server.client() as client:
        client.rpush(f"{{{namespace}:q}}:ready:5", "ghost")


def test_for_ever(redis_server, namespace):
    with redis_server.client() as client:
        client.set(f"{{{namespace}:q}}:memo:w", "1")


def test_lost(redis_url, redis_server, namespace):
    store(RedisBroker(redis_url, namespace=namespace))
    with redis_server.client() as client:
        client.delete(f"{{{namespace}:q}}:ready:5")


def test_own_server(start_server, namespace):
    with start_server().client() as client:
        client.rpush(f"{{{namespace}:q}}:ready:5", "ghost")


def test_memory():
    broker = MemoryBroker()
    store(broker)
    broker._table.queues["q"].ready[5].clear()


def test_other_places(redis_url):
    store(RedisBroker(redis_url, namespace="another"))
"""


@pytest.mark.skipif(bool(servers.GIVEN_URL), reason="this test damages what is on its servers")
def test_leak_check_fails_the_test_that_leaks(tmp_path: Path) -> None:
    """A test that leaves data behind fails and names them; a test that leaves none passes."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = "-q -p tests.conftest -p no:cacheprovider --rootdir=. ."
    command = [sys.executable, "-m", "pytest", *options.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIOQ_TEST_SERVERS": servers.first()}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    verdicts = dict(
        re.findall(r"^(?:FAILED|ERROR) test_suite\.py::test_(\w+)[^ ]* - (.*)$", ended.stdout, re.MULTILINE)
    )
    assert verdicts.keys() == {"ghost", "for_ever", "lost", "own_server", "memory", "other_places"}, ended.stdout
    for said in (
        "ids without a job are in ready, due or leased: ghost",
        "keys have no time to live, and should have one: {test-",
        "jobs are in none of ready, due and leased, and never run: a",
        "job a of queue q is not in the queue and should be",
        "NOPERM",
    ):
        assert said in ended.stdout
