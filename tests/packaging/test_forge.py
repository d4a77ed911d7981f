"""The files of the public forge run sessions of nox and nothing else; `nox -s lint` checks them by their schemas."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.packaging.workspace import ROOT

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
SETUP = 'python -m pip install "nox[uv]"'


def sessions() -> set[str]:
    """Return the names of the sessions in noxfile.py."""
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {each.name for each in functions if any("nox.session" in ast.unparse(one) for one in each.decorator_list)}


def named(text: str) -> set[str]:
    """Return the names of the sessions that a file runs, those of a matrix too, without the version of a Python."""
    names = set(re.findall(r"nox .*-s ([\w.${}-]+)", text.replace("{{ ", "{").replace(" }}", "}")))
    if "${matrix.session}" in names:
        (row,) = re.findall(r"^ +session: \[(.*)\]$", text, re.MULTILINE)
        names = names - {"${matrix.session}"} | set(row.split(", "))
    return {name.partition("-")[0] for name in names}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_runs_nox_and_nothing_else(workflow: Path) -> None:
    """All other steps fetch the code, a Python and nox, or keep what was built."""
    text = workflow.read_text("utf-8")
    runs = re.findall(r"^ +(?:- )?run: (.*)$", text, re.MULTILINE)
    assert runs
    assert all(run == SETUP or run.startswith("python -m nox -s ") for run in runs)
    assert {action.partition("/")[0] for action in re.findall(r"uses: (\S+)", text)} == {"actions"}


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".pre-commit-config.yaml"], ids=lambda path: path.stem)
def test_session_that_a_file_names_exists(path: Path) -> None:
    """A renamed session is renamed there, too."""
    names = named(path.read_text("utf-8"))
    assert names
    assert names <= sessions()


def test_workflows_run_each_session_of_a_plain_run() -> None:
    """What `python -m nox` runs, the public CI runs for each change."""
    ci = named((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    others = set(re.findall(r"default=False.*\)\ndef (\w+)", (ROOT / "noxfile.py").read_text("utf-8")))
    assert ci == sessions() - others
    nightly = named((ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))
    assert nightly >= {"latest", "chaos"}


def test_workflow_tests_each_supported_python() -> None:
    """The matrix names all that the classifiers name, and they may not fail."""
    (row,) = re.findall(r"^ +python: (\[.*\])$", (ROOT / ".github/workflows/ci.yml").read_text("utf-8"), re.MULTILINE)
    assert f"SUPPORTED = {row}\n" in (ROOT / "noxfile.py").read_text("utf-8")
