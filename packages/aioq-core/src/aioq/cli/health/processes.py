"""The health of the worker processes of a supervisor, which it asks over sockets in a folder of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import h11
import msgspec

from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.health.endpoints import JSON, RENDER_TIMEOUT, Report, no_metrics
from aioq.cli.health.server import Answer
from aioq.clock import SystemClock
from aioq.exporters import ExporterProvider, SharingProvider
from aioq.worker.health import WorkerHealth

__all__ = ["Process", "ProcessFolder", "WorkerProcesses"]

ASK_TIMEOUT: Final = 0.5
"""Seconds that a process has to answer: less than the second that Kubernetes gives a probe by default."""

MAX_SILENCE: Final = 10.0
"""Seconds without an answer, from the first question that was not answered, after which a process is not live."""

MAX_PATH: Final = 100
"""Bytes of the path of a socket; systems allow some more."""

READ_SIZE: Final = 65_536

logger = logging.getLogger("aioq.health")


class Process(Protocol):
    """A worker process, as the supervisor knows it."""

    @property
    def name(self) -> str:
        """Its name in the log."""
        ...

    @property
    def pid(self) -> int:
        """The id of the process; 0 if none runs at the moment."""
        ...


class ProcessFolder:
    """A folder of the supervisor, in which its worker processes listen and share their metrics.

    Only the user of the supervisor may enter it.

    Args:
        provider: The installed provider of metrics.

    Attributes:
        environment: Environment variables for the worker processes.

    Raises:
        CommandError: The path of the folder for temporary files is too long.
    """

    def __init__(self, provider: ExporterProvider | None) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="aioq-"))
        if len(os.fsencode(self.socket_of(999))) > MAX_PATH:
            self._path.rmdir()
            raise CommandError(
                f"worker: the folder for temporary files, {self._path.parent}, has too long a path for the sockets of "
                "--health-port; set TMPDIR to a shorter one",
                Exit.CONFIG,
            )
        self._metrics = self._path / "metrics"
        self._metrics.mkdir()
        self._provider = provider if isinstance(provider, SharingProvider) else None
        self.environment: Mapping[str, str] = self._provider.share(self._metrics) if self._provider else {}

    def socket_of(self, number: int) -> Path:
        """Return the path at which the process of a number listens."""
        return self._path / f"{number}.sock"

    def forget(self, pid: int) -> None:
        """Note that a process has ended."""
        if self._provider is None:
            return
        try:
            self._provider.forget(self._metrics, pid)
        except Exception:  # the supervisor goes on, whatever the package does
            logger.exception(
                "the exporter of metrics cannot forget process %d, which has ended", pid,
                extra={"event": "process_not_forgotten"},
            )  # fmt: skip

    @contextmanager
    def removed(self) -> Generator[None]:
        """Remove the folder at the end of the block."""
        try:
            yield
        finally:
            shutil.rmtree(self._path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of a process."""

    name: str
    health: WorkerHealth | None = None
    reason: str = ""
    """Why it has not answered."""
    silent: float = 0.0
    """Seconds for which it should have answered."""

    def lines(self, reasons: Sequence[str]) -> Iterator[str]:
        """Yield reasons, each with the process."""
        for reason in reasons:
            yield f"{self.name}: {reason}"


class WorkerProcesses:
    """A `Source` for the workers of a supervisor.

    They are live if each of them is that runs: only a new process heals one whose event loop is blocked. They are ready
    if one of them is: the supervisor starts those again that have ended.
    """

    def __init__(self, folder: ProcessFolder, processes: Sequence[Process], provider: ExporterProvider | None) -> None:
        self._folder = folder
        self._processes = processes
        self._provider = provider
        self._clock = SystemClock()
        self._silent_since: dict[int, float] = {}
        """When a process was asked first without an answer since then, by its id."""

    async def live(self) -> Report:
        """Return whether all workers that run are live."""
        findings: list[str] = []
        notes: list[str] = []
        states = await self._ask_all()
        for state in states:
            if state.health is None:
                (findings if state.silent >= MAX_SILENCE else notes).extend(state.lines([state.reason]))
            else:
                findings += state.lines(state.health.not_live)
        return _report(states, findings, notes)

    async def ready(self) -> Report:
        """Return whether one of the workers is ready."""
        states = await self._ask_all()
        lines = [
            line for state in states for line in state.lines(state.health.not_ready if state.health else [state.reason])
        ]
        one_is = any(state.health and not state.health.not_ready for state in states)
        return _report(states, *([], lines) if one_is else (lines, []))

    async def metrics(self) -> Answer:
        """Return the metrics of all processes, which any of them renders."""
        if self._provider is None:
            return no_metrics()
        if not isinstance(self._provider, SharingProvider):
            return Answer.of_text(
                HTTPStatus.NOT_IMPLEMENTED,
                "the installed exporter of metrics cannot collect those of several processes",
            )
        for number, state in enumerate(await self._ask_all(), 1):
            if state.health is not None:
                try:
                    return await _get(self._folder.socket_of(number), "/metrics", timeout=RENDER_TIMEOUT + ASK_TIMEOUT)
                except (OSError, h11.RemoteProtocolError):
                    continue  # it has just ended, or its event loop is blocked now
        return Answer.of_text(HTTPStatus.SERVICE_UNAVAILABLE, "no worker process answers")

    async def _ask_all(self) -> list[_State]:
        states = await asyncio.gather(*(self._ask(number, one) for number, one in enumerate(self._processes, 1)))
        running = {process.pid for process in self._processes}
        self._silent_since = {pid: since for pid, since in self._silent_since.items() if pid in running}
        return states

    async def _ask(self, number: int, process: Process) -> _State:
        pid = process.pid
        if not pid:
            return _State(process.name, reason="it does not run at the moment")
        name = f"{process.name} (pid {pid})"
        asked = self._clock.monotonic()
        try:
            answer = await _get(self._folder.socket_of(number), "/ready", accept=JSON, timeout=ASK_TIMEOUT)
            (health,) = msgspec.json.decode(answer.body, type=Report).workers
        except (FileNotFoundError, ConnectionRefusedError):
            return _State(name, reason="it is starting, and has not imported the app yet")
        except (OSError, ValueError, msgspec.MsgspecError, h11.RemoteProtocolError):
            silent = self._clock.monotonic() - self._silent_since.setdefault(pid, asked)
            return _State(name, reason=f"it has not answered for {silent:.0f} s: see its log", silent=silent)
        self._silent_since.pop(pid, None)
        return _State(name, health)


def _report(states: Sequence[_State], findings: Sequence[str], notes: Sequence[str]) -> Report:
    workers = tuple(state.health for state in states if state.health)
    return Report(findings=tuple(findings), notes=tuple(notes), workers=workers)


async def _get(path: Path, target: str, *, accept: str = "*/*", timeout: float) -> Answer:
    """Return the answer of a process.

    Raises:
        OSError: It does not listen, or has not answered within `timeout` seconds.
        RemoteProtocolError: Its answer is incomplete.
    """
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [("Host", "worker"), ("Accept", accept), ("Connection", "close")]
            writer.write(connection.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
            return await _answer(connection, reader)
        finally:
            writer.transport.abort()


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    status = HTTPStatus.BAD_GATEWAY
    content_type = ""
    body = bytearray()
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Response):
            status = HTTPStatus(event.status_code)
            content_type = next((value for name, value in event.headers if name == b"content-type"), b"").decode()
        elif isinstance(event, h11.Data):
            body += event.data
    return Answer(status, bytes(body), content_type)
