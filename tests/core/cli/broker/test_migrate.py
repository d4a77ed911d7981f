"""`aioq broker migrate`, and the suite for brokers with a schema."""

from __future__ import annotations

import json

import pytest

from aioq.protocols import Broker
from aioq.testing import MigratableContract
from tests.core.brokers import SchemaBroker
from tests.core.cli.conftest import Project

TASKS = """
    from aioq import Aarq
    from tests.core.brokers import SchemaBroker

    class Remote(SchemaBroker):
        in_process = False

    app = Aarq(Remote())
"""


class TestSchemaBroker(MigratableContract):
    """A broker with a schema passes its suite."""

    @pytest.fixture
    async def new_broker(self) -> Broker:
        """A broker without a schema."""
        return SchemaBroker()

    @pytest.fixture
    async def broker(self) -> Broker:
        """A broker with all migrations."""
        return SchemaBroker(done=2)

    @pytest.fixture
    def peer(self, broker: Broker) -> Broker:
        """The same: its jobs are in the object."""
        return broker


def test_migrate_without_schema_lists_what_was_done(project: Project) -> None:
    """The command prints each migration; a second call does nothing."""
    project.write("tasks.py", TASKS)
    done = project.aioq("broker", "migrate", "tasks:app")
    assert done == (0, "done: 1: make the tables\ndone: 2: add the column priority\n", "")
    again = project.aioq("broker", "migrate", "tasks:app")
    assert again == (0, "MemoryBroker(0 jobs) needs no migration\n", "")


def test_migrate_check_changes_nothing_and_exits_1(project: Project) -> None:
    """With --check the exit code says whether something is missing, and nothing is done."""
    project.write("tasks.py", TASKS)
    for _ in range(2):
        outcome = project.aioq("broker", "migrate", "tasks:app", "--check", "--json")
        assert outcome.code == 1
        assert json.loads(outcome.out) == {
            "check": True, "migrations": ["1: make the tables", "2: add the column priority"]
        }  # fmt: skip
    project.aioq("broker", "migrate", "tasks:app")
    assert project.aioq("broker", "migrate", "tasks:app", "--check").code == 0


def test_migrate_broker_without_schema_needs_nothing(project: Project) -> None:
    """A deploy may call the command for every broker."""
    outcome = project.aioq("broker", "migrate", "memory://")
    assert outcome == (0, "MemoryBroker(0 jobs) needs no migration\n", "")


def test_worker_without_migrations_says_which_and_exits_78(project: Project) -> None:
    """A worker ends at once with the missing migrations and the command to run."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("worker", "tasks:app", "--burst")
    assert outcome.code == 78
    assert "1: make the tables; 2: add the column priority" in outcome.err
    assert "aioq broker migrate" in outcome.err


def test_migrate_away_broker_exits_69(project: Project) -> None:
    """A store that does not answer in time is reported like by other commands."""
    project.write("tasks.py", TASKS + "\n    async def hang(*_):\n        import anyio\n        await anyio.sleep(60)\n"
                  "    Remote.migrate = hang\n")  # fmt: skip
    outcome = project.aioq("broker", "migrate", "tasks:app", "--timeout", "0.01")
    assert outcome.code == 69
    assert "did not answer within 0.01 s" in outcome.err
