"""Real processes for the tests: start one, read its output, send it signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, TypeVar

import anyio

from aioq import Aarq, Job, JobContext, JobRecord, Task
from aioq.backends import RedisBroker

__all__ = ["Client", "Line", "Program", "wait_until"]

T = TypeVar("T")

TIMEOUT = 20.0
"""Seconds to wait for an event that should come at once; a process starts slowly on a busy machine.

The default grace (25 s) and lease (30 s) of a worker are longer: what comes in time did not wait for one of them.
"""


class Line(NamedTuple):
    """A line that a program printed."""

    at: float
    """Seconds since 1970."""
    stream: str
    text: str


class Program:
    """`aioq` in a process of its own. Used as a context manager, it kills the process at its end.

    Args:
        argv: The arguments of `aioq`.
        folder: The folder in which it starts.
        environment: Environment variables for it.
    """

    def __init__(self, *argv: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.lines: list[Line] = []
        self._said = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aioq", *argv],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        streams = {"out": self._process.stdout, "err": self._process.stderr}
        self._readers = [threading.Thread(target=self._read, args=pair) for pair in streams.items()]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for text in stream:
                with self._said:
                    self.lines.append(Line(time.time(), name, text.rstrip("\n")))
                    self._said.notify_all()

    def text(self, stream: str = "err") -> str:
        """Return what the program has printed so far."""
        return "\n".join(line.text for line in list(self.lines) if line.stream == stream)

    def wait_for(self, pattern: str, *, times: int = 1, timeout: float = TIMEOUT) -> Line:
        """Wait until `times` lines match, and return the last of them."""

        def found() -> list[Line]:
            return [line for line in self.lines if re.search(pattern, line.text)]

        with self._said:
            if not self._said.wait_for(lambda: len(found()) >= times, timeout):
                raise AssertionError(f"no {times} lines matched {pattern!r} in {timeout:g} s; {self._report()}")
            return found()[times - 1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name that its tasks printed as JSON."""
        printed = [json.loads(line.text) for line in list(self.lines) if line.text.startswith('{"event": ')]
        return [facts for facts in printed if facts["event"] == name]

    def wait_for_event(self, name: str, *, times: int = 1, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Wait until its tasks have printed `times` events of a name, and return the last of them."""
        self.wait_for(rf'^{{"event": "{name}"', times=times, timeout=timeout)
        return self.events(name)[times - 1]

    def send(self, number: signal.Signals) -> float:
        """Send a signal; return the time in seconds since 1970."""
        self._process.send_signal(number)
        return time.time()

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait until the program has ended and its output is read; return its exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in {timeout:g} s; {self._report()}") from None
        for reader in self._readers:
            reader.join()
        return code

    def _report(self) -> str:
        state = self._process.poll()
        state_text = "it runs" if state is None else f"it ended with {state}"
        return f"{state_text} and said:\n" + "\n".join(f"  {line.stream} {line.text}" for line in list(self.lines))


def wait_until(what: str, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
    """Wait until a condition is true; the error after `timeout` seconds names it as `what`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {timeout:g} s")
        time.sleep(0.01)


class Client:
    """A program that enqueues jobs of the task `hold` and reads their state."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace

    def hold(self, gate: Path, *, name: str = "hold") -> str:
        """Enqueue a job of a task that takes the path of a file; `hold` ends when it exists. Return its id."""
        return self._with_task(lambda task: _id_of(task.enqueue(str(gate))), name)

    def record(self, job_id: str) -> JobRecord:
        """Return the broker's record of a job."""
        record = self._with_task(lambda task: task.job(job_id).info())
        assert record is not None, f"the broker knows nothing of job {job_id}"
        return record

    def result(self, job_id: str) -> str:
        """Wait for the result of a job."""
        return self._with_task(lambda task: task.job(job_id).result(timeout=TIMEOUT))

    def _with_task(self, use: Callable[[Task[[str], str]], Awaitable[T]], name: str = "hold") -> T:
        async def connected() -> T:
            app = Aarq(RedisBroker(self._url, namespace=self._namespace))
            task: Task[[str], str] = app.task(name=name)(_hold)
            async with app:
                return await use(task)

        return anyio.run(connected)


async def _id_of(enqueued: Awaitable[Job[str]]) -> str:
    return (await enqueued).id


async def _hold(ctx: JobContext, gate: str) -> str:
    """Stand for the task of the worker."""
    raise NotImplementedError
