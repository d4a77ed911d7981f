"""Connecting commands to a broker, and rejecting brokers that cannot do what a command needs."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.cli.broker_access import run_connected
from aioq.protocols import PROTOCOL_VERSION
from tests.core.cli.conftest import Project

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.cron("0 9 * * *", tz="Europe/Berlin")
    async def report(ctx): ...
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the event loop of Windows wakes anyway")
def test_run_connected_loop_wakes_on_signals() -> None:
    """Without this a Ctrl-C just before the loop waits would not be noticed."""

    async def wakeup_descriptor() -> int:
        descriptor = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(descriptor)
        return descriptor

    assert run_connected(Aarq(MemoryBroker()), wakeup_descriptor) >= 0


def test_run_connected_works_in_a_thread() -> None:
    """Only the main thread can have signal handlers."""

    async def work() -> str:
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_connected, Aarq(MemoryBroker()), work).result() == "done"


@pytest.mark.parametrize(
    "command",
    [
        ["cron", "pause", "tasks:app", "tasks.report"],
        ["cron", "resume", "tasks:app", "tasks.report"],
        ["cron", "history", "tasks:app", "tasks.report"],
        ["cron", "diff", "tasks:app"],
        ["check", "tasks:app"],
    ],
)
def test_ledger_commands_memory_broker_is_rejected(project: Project, command: list[str]) -> None:
    """The ledger is in the memory of the worker's process; the line says what to do."""
    project.write("tasks.py", TASKS.replace("FarBroker()", ""))
    outcome = project.aioq(*command)
    name = " ".join(word for word in command[:2] if ":" not in word)
    assert outcome == (
        78,
        "",
        (
            f"aioq: {name}: the memory broker keeps its data in the process that uses it, where this command cannot see "
            "it; use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
        ),
    )


def test_pause_broker_without_ledger_is_rejected(project: Project) -> None:
    """A third-party broker may have no ledger."""
    project.write(
        "tasks.py",
        TASKS.replace("FarBroker()", "Plain()").replace(
            "    app = Aarq",
            """
    from aioq.protocols import Broker

    class Plain(Broker):
        protocol_version = 1

    app = Aarq""",
        ),
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report")
    assert outcome == (
        78,
        "",
        (
            "aioq: aioq cron pause needs a broker that implements aioq.protocols.TickLedger, and Plain does not; "
            "use another broker\n"
        ),
    )


def test_pause_broker_down_exits_69(project: Project) -> None:
    """The command prints one line and no traceback."""
    project.write(
        "tasks.py",
        TASKS.replace("FarBroker()", "Away()").replace(
            "    app = Aarq",
            """
    from aioq import BrokerUnavailable

    class Away(FarBroker):
        async def connect(self):
            raise BrokerUnavailable("redis://host:6379 refused the connection")

    app = Aarq""",
        ),
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report")
    assert outcome == (69, "", "aioq: redis://host:6379 refused the connection\n")


@pytest.mark.parametrize("command", [["worker"], ["check"], ["cron", "list"], ["broker", "migrate"], ["doctor"]])
def test_command_broker_of_another_version_exits_78(project: Project, command: list[str]) -> None:
    """Every command prints the same line."""
    project.write(
        "tasks.py",
        f"""
        from aioq import Aarq
        from tests.core.cli.far import FarBroker

        class Older(FarBroker):
            protocol_version = {PROTOCOL_VERSION - 1}

        app = Aarq(Older())

        @app.cron("0 9 * * *", tz="UTC")
        async def report(ctx): ...
        """,
    )
    outcome = project.aioq(*command, "tasks:app")
    assert (outcome.code, outcome.out) == (78, "")
    assert "Older implements version 0 of aioq.protocols" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["cron", "pause", "tasks:app", "tasks.report"], ["cron", "history", "tasks:app", "tasks.report"]]
)
def test_command_without_ledger_here_names_the_reason(project: Project, command: list[str]) -> None:
    """A command asks the connected broker, and exits with the code of a wrong configuration."""
    project.write(
        "tasks.py",
        """
        from aioq import Aarq
        from aioq.protocols import TickLedger
        from tests.core.cli.far import FarBroker

        class Pooled(FarBroker):
            reasons = {}

            async def connect(self):
                self.reasons[TickLedger] = "this user may not create tables"

            def unsupported(self):
                return self.reasons

        app = Aarq(Pooled())

        @app.cron("0 9 * * *", tz="UTC")
        async def report(ctx): ...
        """,
    )
    outcome = project.aioq(*command)
    assert outcome == (
        78,
        "",
        (
            f"aioq: aioq {command[0]} {command[1]} needs a broker that implements aioq.protocols.TickLedger, and Pooled "
            f"cannot here: this user may not create tables\n"
        ),
    )
