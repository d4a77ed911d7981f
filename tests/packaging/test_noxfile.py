"""The sessions that nox offers on a machine: one for each Python that is installed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.workspace import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs here are shell scripts")

OWN = f"3.{sys.version_info[1]}"


def program(path: Path, says: str) -> None:
    """Write a program that answers as a Python does that is asked for its version; without an answer it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n" if says else "#!/bin/sh\nexit 127\n", "utf-8")
    path.chmod(0o755)


def offered(home: Path, *folders: Path) -> set[str]:
    """Return the Pythons that nox offers to run the tests on, with that home directory and PATH."""
    command = [sys.executable, "-m", "nox", "--list", "--json", "--noxfile", str(ROOT / "noxfile.py")]
    env = {"HOME": str(home), "PATH": os.pathsep.join(map(str, folders))}
    listed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return {each["python"] for each in json.loads(listed) if each["name"] == "tests"}


def test_nox_finds_the_pythons_of_pyenv_that_are_not_active(tmp_path: Path) -> None:
    """Their shims on the PATH fail, and the programs are in the folders of the versions."""
    pyenv = tmp_path / ".pyenv"
    program(pyenv / "shims/python3.97", "")
    program(pyenv / "shims/python3.96", "")
    program(pyenv / "versions/3.97.1/bin/python3.97", "3.97 final cpython usual")
    assert offered(tmp_path, pyenv / "shims") == {OWN, "3.97"}


def test_nox_finds_the_pythons_on_the_path(tmp_path: Path) -> None:
    """The first that works counts, in whichever folder it is."""
    program(tmp_path / "broken/python3.97", "")
    program(tmp_path / "good/python3.97", "3.97 final cpython usual")
    assert offered(tmp_path, tmp_path / "broken", tmp_path / "good") == {OWN, "3.97"}


@pytest.mark.parametrize(
    "says",
    [
        "3.97 alpha cpython usual",
        "3.97 final pypy usual",
        "3.97 final cpython free-threaded",
        "3.96 final cpython usual",
    ],
)
def test_nox_leaves_out_other_builds(tmp_path: Path, says: str) -> None:
    """Releases of CPython with the usual build are tested, under their own version."""
    program(tmp_path / "python3.97", says)
    assert offered(tmp_path, tmp_path) == {OWN}


def test_nox_leaves_out_pythons_that_are_too_old(tmp_path: Path) -> None:
    """The packages need 3.11."""
    program(tmp_path / "python3.10", "3.10 final cpython usual")
    assert offered(tmp_path, tmp_path) == {OWN}
