"""The server that everybody is measured on: it keeps nothing, and tells what it was asked to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis

from tests.bench.server import new_server

__all__ = ["CORES", "Calls", "Store", "serving"]

CORES: list[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

CONNECTING = {"HELLO", "AUTH", "SELECT", "CLIENT", "INFO", "CONFIG", "PING", "SUBSCRIBE", "PSUBSCRIBE"}
"""Commands of a new connection, which are not work for a job."""


class Calls:
    """How many commands clients sent, not counting what scripts do inside the server."""

    def __init__(self) -> None:
        self.number = 0


class Store:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = redis.Redis.from_url(url)

    def wipe(self) -> None:
        """Forget everything."""
        self._client.flushall()

    def memory(self) -> int:
        """Return the bytes that all keys take, as the server tells for each."""
        batch: Any = self._client.pipeline(transaction=False)
        for key in self._client.scan_iter(count=1000):
            batch.execute_command("MEMORY", "USAGE", key, "SAMPLES", "0")
        return sum(filter(None, batch.execute()))

    def processor(self) -> float:
        """Return the seconds of processor time that the server has used."""
        return float(self._info("cpu")["used_cpu_user"]) + float(self._info("cpu")["used_cpu_sys"])

    def wire(self) -> int:
        """Return the bytes that it has received and sent so far."""
        told = self._info("stats")
        return int(told["total_net_input_bytes"]) + int(told["total_net_output_bytes"])

    @contextmanager
    def listening(self) -> Generator[Calls]:
        """Count the calls that come in during the block. Listening slows the server down."""
        calls, end = Calls(), "the end of the count"

        def listen() -> None:
            client: Any = redis.Redis.from_url(self.url, socket_timeout=None)
            with client.monitor() as monitor:
                ready.set()
                for event in monitor.listen():
                    command: str = event["command"]
                    if command.endswith(end):
                        return
                    verb = command.partition(" ")[0].upper()
                    calls.number += event["client_type"] != "lua" and verb not in CONNECTING

        ready = threading.Event()
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        ready.wait(10)
        try:
            yield calls
        finally:
            self._client.echo(end)
            listener.join(10)

    def _info(self, section: str) -> dict[str, Any]:
        told: dict[str, Any] = self._client.info(section)
        return told


@contextmanager
def serving() -> Generator[Store]:
    """Start a server on a core of its own."""
    server = new_server(["--appendonly", "no"], tcp=True)
    server.start()
    try:
        if len(CORES) > 1:
            os.sched_setaffinity(server.pid, {CORES[-1]})
        yield Store(server.url)
    finally:
        server.close()
