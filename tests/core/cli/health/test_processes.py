# pyright: reportPrivateUsage=false
"""What a supervisor tells of its worker processes: those that answer, start, are silent, or do not run."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from aioq import Aarq
from aioq.cli.exit_codes import CommandError
from aioq.cli.health import processes
from aioq.cli.health.endpoints import Endpoints, Report
from aioq.cli.health.processes import ProcessFolder, WorkerProcesses
from aioq.cli.health.server import Answer, serving
from aioq.cli.health.sockets import listen_at
from aioq.exporters import Exporter, ExporterProvider
from aioq.testing import VirtualClock
from aioq.worker.health import Phase, WorkerHealth


@pytest.fixture
def anyio_backend() -> str:
    """The supervisor runs on asyncio."""
    return "asyncio"


class Process:
    """A process as the supervisor knows it."""

    def __init__(self, number: int) -> None:
        self.name = f"worker process {number}"
        self.pid = 100 + number


class Answers:
    """What a worker process answers."""

    def __init__(self, number: int, *, not_live: str = "", not_ready: str = "") -> None:
        self._health = WorkerHealth(
            worker_id=f"w{number}", pid=100 + number, phase=Phase.RUNNING, queues=("default",), running=0, slots=1,
            not_live=(not_live,) if not_live else (), not_ready=(not_ready,) if not_ready else (),
        )  # fmt: skip
        self._text = f"metrics of all, by process {number}\n".encode()

    async def live(self) -> Report:
        raise AssertionError

    async def ready(self) -> Report:
        return Report(workers=(self._health,))

    async def metrics(self) -> Answer:
        return Answer(HTTPStatus.OK, self._text, "text/metrics")


class Sharing:
    """A provider of metrics that several processes share."""

    def __init__(self) -> None:
        self.folder = Path()
        self.forgotten: list[int] = []

    def __call__(self, _: Aarq) -> Exporter:
        raise AssertionError

    def share(self, folder: Path) -> Mapping[str, str]:
        self.folder = folder
        return {"SHARED": str(folder)}

    def forget(self, folder: Path, pid: int) -> None:
        assert folder == self.folder
        if pid == 0:
            raise OSError("disk full")
        self.forgotten.append(pid)


def alone(_: Aarq) -> Exporter:
    """Stand for a provider that cannot share."""
    raise AssertionError


class Fleet:
    """Two worker processes of a supervisor."""

    def __init__(self, folder: ProcessFolder, provider: ExporterProvider | None) -> None:
        self.folder = folder
        self.processes = [Process(1), Process(2)]
        self.source = WorkerProcesses(folder, self.processes, provider)

    @asynccontextmanager
    async def answering(self, number: int, *, not_live: str = "", not_ready: str = "") -> AsyncGenerator[None]:
        """Let a process answer."""
        answers = Answers(number, not_live=not_live, not_ready=not_ready)
        async with serving([listen_at(self.folder.socket_of(number))], Endpoints(answers).answer):
            yield


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Two processes that start, and no package that exports metrics."""
    folder = ProcessFolder(None)
    with folder.removed():
        yield Fleet(folder, None)


async def test_all_answer(fleet: Fleet) -> None:
    """They are live and ready, without a note."""
    async with fleet.answering(1), fleet.answering(2):
        for report in (await fleet.source.live(), await fleet.source.ready()):
            assert (report.findings, report.notes) == ((), ())
            assert [worker.worker_id for worker in report.workers] == ["w1", "w2"]


async def test_one_is_not_ready(fleet: Fleet) -> None:
    """The workers are ready if one of them is; the reason of the other one is a note."""
    async with fleet.answering(1, not_ready="it drains"), fleet.answering(2):
        report = await fleet.source.ready()
    assert (report.findings, report.notes) == ((), ("worker process 1 (pid 101): it drains",))


async def test_none_is_ready(fleet: Fleet) -> None:
    """Each reason is a line with the process."""
    async with fleet.answering(1, not_ready="it drains"), fleet.answering(2, not_ready="it starts"):
        report = await fleet.source.ready()
    assert report.findings == ("worker process 1 (pid 101): it drains", "worker process 2 (pid 102): it starts")


async def test_one_is_not_live(fleet: Fleet) -> None:
    """The workers are not live if one of them is not, for only its end heals it."""
    async with fleet.answering(1, not_live="2 slots are stuck"), fleet.answering(2):
        report = await fleet.source.live()
    assert report.findings == ("worker process 1 (pid 101): 2 slots are stuck",)


async def test_processes_that_start_or_do_not_run(fleet: Fleet) -> None:
    """They are live, for the supervisor deals with them, and not ready."""
    fleet.processes[0].pid = 0
    listen_at(fleet.folder.socket_of(2)).close()  # its predecessor has left it
    lines = (
        "worker process 1: it does not run at the moment",
        "worker process 2 (pid 102): it is starting, and has not imported the app yet",
    )
    assert await fleet.source.live() == Report(notes=lines)
    assert await fleet.source.ready() == Report(findings=lines)


async def test_silent_process_is_not_live_after_a_while(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose event loop is blocked accepts connections and does not answer; a new process begins anew."""
    monkeypatch.setattr(processes, "ASK_TIMEOUT", 0.01)
    clock = VirtualClock()
    fleet.source._clock = clock  # type: ignore[assignment]
    with listen_at(fleet.folder.socket_of(1)):
        async with fleet.answering(2):
            assert (await fleet.source.live()).notes == (
                "worker process 1 (pid 101): it has not answered for 0 s: see its log",
            )
            await clock.advance(9)
            assert (await fleet.source.live()).findings == ()
            await clock.advance(1)
            line = "worker process 1 (pid 101): it has not answered for 10 s: see its log"
            assert (await fleet.source.live()).findings == (line,)
            assert (await fleet.source.ready()).notes == (line,)
            fleet.processes[0].pid = 201
            assert (await fleet.source.live()).findings == ()
            async with fleet.answering(1):
                assert (await fleet.source.live()).notes == ()


async def test_answer_that_makes_no_sense_counts_as_silence(fleet: Fleet) -> None:
    """A process that is cut off in its answer is not live either, if that goes on."""

    async def nonsense(_: object) -> Answer:
        return Answer(HTTPStatus.OK, b"{", "application/json")

    async with serving([listen_at(fleet.folder.socket_of(1))], nonsense), fleet.answering(2):
        assert (await fleet.source.live()).notes == (
            "worker process 1 (pid 101): it has not answered for 0 s: see its log",
        )


async def test_metrics_without_exporter(fleet: Fleet) -> None:
    """No process is asked, and the answer says what to install."""
    assert (await fleet.source.metrics()).status == 404


async def test_metrics_of_an_exporter_that_cannot_share() -> None:
    """The answer says so: one process knows only a part."""
    folder = ProcessFolder(alone)
    with folder.removed():
        answer = await Fleet(folder, alone).source.metrics()
    assert (answer.status, answer.body) == (
        501,
        b"the installed exporter of metrics cannot collect those of several processes\n",
    )


async def test_metrics_come_from_a_process_that_answers() -> None:
    """One process renders those of all; if none answers, the answer says so."""
    provider = Sharing()
    folder = ProcessFolder(provider)
    with folder.removed():
        fleet = Fleet(folder, provider)
        async with fleet.answering(2):
            answer = await fleet.source.metrics()
            assert answer == Answer(HTTPStatus.OK, b"metrics of all, by process 2\n", "text/metrics")
        answer = await fleet.source.metrics()
        assert (answer.status, answer.body) == (503, b"no worker process answers\n")


def test_folder_is_private_and_removed(caplog: pytest.LogCaptureFixture) -> None:
    """Only its user may enter it; an exporter that cannot forget a process is logged, and harms nothing."""
    provider = Sharing()
    folder = ProcessFolder(provider)
    with folder.removed():
        home = folder.socket_of(1).parent
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert provider.folder.is_dir()
        assert folder.environment == {"SHARED": str(provider.folder)}
        folder.forget(101)
        folder.forget(0)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(folder.socket_of(1)))
    assert provider.forgotten == [101]
    assert [record.getMessage() for record in caplog.records] == [
        "the exporter of metrics cannot forget process 0, which has ended"
    ]
    assert not os.path.lexists(home)


def test_folder_with_a_long_path_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets would not fit; the error says what to set, and leaves no folder."""
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(CommandError, match="has too long a path for the sockets of --health-port; set TMPDIR to a sh"):
        ProcessFolder(None)
    assert list(long.iterdir()) == []
