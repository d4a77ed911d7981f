"""Workers as real processes: started, killed, frozen, started again, and counted when they leave."""

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

__all__ = ["ROOT", "Fleet", "Seat", "WorkerDied"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that a worker may take to start, or to go: on a busy machine that is long."""
STARTED = b"INFO aioq.worker: worker "


class WorkerDied(RuntimeError):
    """A worker ended before it had started; says what it had to say."""


@dataclass(slots=True)
class Seat:
    """A place in the fleet: one worker process at a time."""

    argv: Sequence[str]
    """Arguments of Python."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """On top of the fleet's."""
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)


class Fleet:
    """Worker processes in seats, numbered from 0. Used as a context manager, all are dead afterwards.

    Args:
        seats: What each of them runs.
        folder: Where their logs go.
        environment: Variables for all of them.
    """

    def __init__(self, seats: Sequence[Seat], folder: Path, environment: Mapping[str, str]) -> None:
        self.seats = list(seats)
        self._folder, self._environment = folder, environment
        self._started = 0
        self.exits: list[int] = []
        """Exit codes of workers that were told to stop, in that order."""
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self.seats)):
            self.kill(number)

    def start(self, *numbers: int) -> None:
        """Start workers in these seats, or in all, and return when they have started."""
        chosen = numbers or range(len(self.seats))
        for number in chosen:
            self._launch(self.seats[number])
        for number in chosen:
            self._wait_started(self.seats[number])

    def kill(self, number: int) -> None:
        """End a worker as a crash would, if there is one; not counted as an exit."""
        seat = self.seats[number]
        if (process := seat.process) is None:
            return
        self._left += process.poll() is not None
        process.kill()
        process.wait()
        seat.process = None

    def revive(self) -> None:
        """Start a worker in each seat whose worker has ended by itself; counted as an exit."""
        for number, seat in enumerate(self.seats):
            if seat.process and seat.process.poll() is not None:
                self.kill(number)
                self.start(number)

    def pid(self, number: int) -> int:
        """Return the process id of a worker."""
        return self._running(number).pid

    def freeze(self, number: int) -> None:
        """Stop a worker as a debugger or a suspended machine would."""
        self._running(number).send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Let a frozen worker go on."""
        self._running(number).send_signal(signal.SIGCONT)

    def stop(self, *numbers: int) -> None:
        """Have workers of these seats, or all, end in good order, and note how they left."""
        told: list[subprocess.Popen[bytes]] = []
        for number in numbers or range(len(self.seats)):
            process, self.seats[number].process = self.seats[number].process, None
            if process is not None and process.poll() is None:
                process.terminate()
                told.append(process)
            else:
                self._left += process is not None
        self.exits += [process.wait(PATIENCE) for process in told]

    @property
    def bad_exits(self) -> int:
        """How many workers left without being told to, or with another code than 0."""
        gone = sum(seat.process is not None and seat.process.poll() is not None for seat in self.seats)
        return self._left + gone + sum(code != 0 for code in self.exits)

    def logs(self) -> str:
        """Return what all workers have said so far."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("worker-*.log")))

    def _running(self, number: int) -> subprocess.Popen[bytes]:
        process = self.seats[number].process
        if process is None:
            raise WorkerDied(f"no worker runs in seat {number}")
        return process

    def _launch(self, seat: Seat) -> None:
        self._started += 1
        seat.log = self._folder / f"worker-{self._started:03}.log"
        environment = {**os.environ, **self._environment, **seat.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        with seat.log.open("wb") as log:
            seat.process = subprocess.Popen(
                [sys.executable, *seat.argv],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait_started(self, seat: Seat) -> None:
        deadline = time.monotonic() + PATIENCE
        while STARTED not in seat.log.read_bytes():
            ended = seat.process is None or seat.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise WorkerDied(f"a worker did not start:\n{seat.log.read_text(errors='replace')}")
            time.sleep(0.02)
