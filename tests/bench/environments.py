"""A virtual environment for each scheduler: none of them is ever installed beside another, or beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.tools import Peer

__all__ = ["environment"]


def environment(peer: Peer, folder: Path) -> Path:
    """Return the folder of the programs of a peer's environment, which is made unless it is there."""
    home = folder / peer.requirements[0].translate(str.maketrans("[]=", "---"))
    programs, done = home / "bin", home / "installed"
    if not done.exists():
        shutil.rmtree(home, ignore_errors=True)
        _make(home, programs / "python", peer.requirements)
        done.write_text("\n".join(peer.requirements))
    return programs


def _make(home: Path, python: Path, requirements: Sequence[str]) -> None:
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--python", str(python), *requirements)
    else:
        _run(sys.executable, "-m", "venv", str(home))
        _run(str(python), "-m", "pip", "install", "--quiet", *requirements)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
