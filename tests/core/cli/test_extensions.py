"""Commands that other packages add to `aioq`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.cli.conftest import Project

PLUGIN = """
    def register(commands):
        parser = commands.add_parser("vacuum", help="shrink the store")
        parser.add_argument("--deep", action="store_true")
        parser.set_defaults(run=lambda arguments: print("shrunk", arguments.deep) or 3)

    def register_worker(commands):
        commands.add_parser("worker")

    NUMBER = 5
"""


@pytest.fixture
def plugin(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project beside an installed package with commands: one that works, and some that do not."""
    project.write("aioq_shrink.py", PLUGIN)
    project.write(
        "aioq_shrink-1.2.dist-info/entry_points.txt",
        """\
        [aioq.commands]
        vacuum = aioq_shrink:register
        other = aioq_shrink:register_worker
        number = aioq_shrink:NUMBER
        absent = aioq_absent:register
        worker = aioq_shrink:register
        """,
    )
    project.write("aioq_shrink-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: aioq-shrink\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(project.folder))
    return project


def test_command_of_package_runs(plugin: Project) -> None:
    """The command gets its arguments, and its exit code is that of `aioq`."""
    assert plugin.aioq("vacuum", "--deep") == (3, "shrunk True\n", "")


def test_command_of_package_is_in_help(plugin: Project) -> None:
    """`aioq --help` lists it; one that has the name of a command of aioq is left out, with a line on stderr."""
    outcome = plugin.aioq("--help")
    assert outcome.code == 0
    assert "shrink the store" in outcome.out
    assert "the command worker, which is left out" in outcome.err
    assert "shrink the store" not in plugin.aioq("worker", "--help").out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("other", "adds the command worker"),
        ("number", "aioq_shrink:NUMBER is no function"),
        ("absent", "aioq-shrink names aioq_absent:register, which cannot be imported"),
    ],
)
def test_command_that_cannot_be_loaded_says_why(plugin: Project, name: str, why: str) -> None:
    """The help shows the reason, and the command ends with it; other commands work."""
    outcome = plugin.aioq(name, "--anything")
    assert outcome.code == 78
    assert why in outcome.err
    assert "cannot be used" in plugin.aioq().out
    assert plugin.aioq("cron", "next", "* * * * *").code == 0


def test_unknown_command_lists_those_of_packages(plugin: Project) -> None:
    """A misspelt command is reported with all names."""
    outcome = plugin.aioq("vacuums")
    assert outcome.code == 2
    assert "vacuum" in outcome.err


def test_version_lists_package_with_commands(plugin: Project) -> None:
    """`aioq --version` has the distribution and its version."""
    assert "aioq-shrink 1.2" in plugin.aioq("--version").out
