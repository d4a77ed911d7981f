"""Workers as real processes: started, killed, suspended and restarted; bad exits are counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["ROOT", "Fleet", "WorkerDied", "WorkerProcess"]

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0
"""Seconds that a worker may take to start or to exit; a busy machine needs many."""
STARTED = b"INFO aioq.worker: worker "


class WorkerDied(RuntimeError):
    """A worker exited before it had started; the message has its log."""


@dataclass(slots=True)
class WorkerProcess:
    """The command of a worker, and its current process; a killed one can be started again."""

    argv: Sequence[str]
    """Arguments of the Python program."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables besides those of the fleet."""
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)


class Fleet:
    """Worker processes, numbered from 0. Used as a context manager, it kills all of them at its end.

    Args:
        workers: The workers.
        folder: The folder for their logs.
        environment: Environment variables for all of them.
    """

    def __init__(self, workers: Sequence[WorkerProcess], folder: Path, environment: Mapping[str, str]) -> None:
        self.workers = list(workers)
        self._folder = folder
        self._environment = environment
        self._started = 0
        self.exits: list[int] = []
        """Exit codes of the workers that were stopped, in that order."""
        self._exited = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self.workers)):
            self.kill(number)

    def start(self, *numbers: int) -> None:
        """Start these workers, or all, and return when they have started."""
        chosen = numbers or range(len(self.workers))
        for number in chosen:
            self._launch(self.workers[number])
        for number in chosen:
            self._wait_started(self.workers[number])

    def kill(self, number: int) -> None:
        """Kill a worker if it runs; this does not count as an exit."""
        worker = self.workers[number]
        if (process := worker.process) is None:
            return
        self._exited += process.poll() is not None
        process.kill()
        process.wait()
        worker.process = None

    def restart_exited(self) -> None:
        """Start each worker that has exited by itself again; this counts as an exit."""
        for number, worker in enumerate(self.workers):
            if worker.process and worker.process.poll() is not None:
                self.kill(number)
                self.start(number)

    def pid(self, number: int) -> int:
        """Return the process id of a worker."""
        return self._running(number).pid

    def freeze(self, number: int) -> None:
        """Suspend a worker with SIGSTOP."""
        self._running(number).send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Resume a suspended worker with SIGCONT."""
        self._running(number).send_signal(signal.SIGCONT)

    def stop(self, *numbers: int) -> None:
        """Stop these workers, or all, with SIGTERM, and store their exit codes."""
        signalled: list[subprocess.Popen[bytes]] = []
        for number in numbers or range(len(self.workers)):
            process, self.workers[number].process = self.workers[number].process, None
            if process is not None and process.poll() is None:
                process.terminate()
                signalled.append(process)
            else:
                self._exited += process is not None
        self.exits += [process.wait(TIMEOUT) for process in signalled]

    @property
    def bad_exits(self) -> int:
        """Return the number of workers that exited without a signal to stop, or with a code other than 0."""
        exited = sum(worker.process is not None and worker.process.poll() is not None for worker in self.workers)
        return self._exited + exited + sum(code != 0 for code in self.exits)

    def logs(self) -> str:
        """Return the logs of all workers so far."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("worker-*.log")))

    def _running(self, number: int) -> subprocess.Popen[bytes]:
        process = self.workers[number].process
        if process is None:
            raise WorkerDied(f"worker {number} does not run")
        return process

    def _launch(self, worker: WorkerProcess) -> None:
        self._started += 1
        worker.log = self._folder / f"worker-{self._started:03}.log"
        environment = {**os.environ, **self._environment, **worker.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        with worker.log.open("wb") as log:
            worker.process = subprocess.Popen(
                [sys.executable, *worker.argv],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait_started(self, worker: WorkerProcess) -> None:
        deadline = time.monotonic() + TIMEOUT
        while STARTED not in worker.log.read_bytes():
            ended = worker.process is None or worker.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise WorkerDied(f"a worker did not start:\n{worker.log.read_text(errors='replace')}")
            time.sleep(0.02)
