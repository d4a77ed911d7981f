"""A folder with a user's modules, and the command run in it."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import anyio
import pytest

from aioq import Aarq
from aioq.cli import main
from aioq.cli.find_app import load_app
from aioq.cron import CronEntry
from aioq.cron.definition import define, version_of
from aioq.model.cron import TickRecord, TickStatus
from aioq.protocols import TickLedger


class Outcome(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


class Project:
    """The current folder of a user, with an app in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, file: str, text: str) -> None:
        """Write a module."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def aioq(self, *argv: str) -> Outcome:
        """Run `aioq` in this process."""
        self._capsys.readouterr()
        code = main(argv)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    @property
    def app(self) -> Aarq:
        """The app in `tasks.py`, which commands in this process use."""
        return load_app("tasks:app")

    @property
    def ledger(self) -> TickLedger:
        """The ledger of that app."""
        assert isinstance(self.app.broker, TickLedger)
        return self.app.broker

    def register(self, *names: str) -> None:
        """Register entries of the app like a worker: all of them if none is named."""
        entries = [entry for entry in self.app.crons if not names or entry.name in names]
        definitions = [define(entry) for entry in entries]
        self.do(lambda: self.ledger.register_crons(self.app.name, version_of(definitions), definitions, ttl=30))

    def record(self, name: str, tick: float, status: TickStatus, **facts: Any) -> None:
        """Record the outcome of a tick."""
        entry: CronEntry = self.app.crons[name]
        record = TickRecord(name=name, queue=entry.queue, tick=tick, status=status, **facts)
        self.do(lambda: self.ledger.record_ticks([record]))

    def history(self, name: str) -> list[TickRecord]:
        """Return the records of an entry, the newest first."""
        records: list[TickRecord] = self.do(lambda: self.ledger.tick_history(self.app.crons[name].key))
        return records

    def do(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of an async call."""

        async def run() -> Any:
            return await call()

        return anyio.run(run)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """A folder to write modules to; modules imported from it are removed from `sys.modules` afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIOQ_BROKER_URL", raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Project(tmp_path, capsys)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make commands run as the user ada on the host laptop; return `ada@laptop`."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    return "ada@laptop"


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    """Restore the levels of loggers."""
    loggers = [logging.getLogger(), logging.getLogger("aioq")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
