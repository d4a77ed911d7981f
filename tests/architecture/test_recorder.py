"""The recorder sees the calls of a module that it watches, and nothing else."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.architecture.recorder import Recorder, RoundSelector

WATCHED = """
import asyncio

class Thing:
    def method(self):
        return [helper(n) for n in range(2)]

def helper(n):
    return n

async def waits():
    await asyncio.sleep(0)
    helper(1)

async def waits_twice():
    await waits()

def imports():
    import walked_late
    return walked_late.late()
"""


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module in a folder that is watched."""
    (tmp_path / "walked_module.py").write_text(WATCHED)
    (tmp_path / "walked_late.py").write_text("def late():\n    return 1\nlate()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("walked_module")
    for name in ("walked_module", "walked_late"):
        sys.modules.pop(name, None)


def steps(recorder: Recorder) -> list[str]:
    """Return the names of the functions of the last recording."""
    return [function for one in recorder.recordings[-1] for _, function in one]


def test_recorder_notes_calls_by_file_and_name(tmp_path: Path, watched: Any) -> None:
    """A comprehension is a part of its function, and functions of other folders are left out."""
    recorder = Recorder([tmp_path])
    with recorder.recording():
        watched.Thing().method()
        steps(recorder)
    assert recorder.recordings == [
        [[("walked_module.py", "Thing.method"), ("walked_module.py", "helper"), ("walked_module.py", "helper")]]
    ]


def test_recorder_leaves_out_what_an_import_calls(tmp_path: Path, watched: Any) -> None:
    """A module that is loaded on the way is no step; the call after it is."""
    recorder = Recorder([tmp_path])
    with recorder.recording():
        watched.imports()
    assert steps(recorder) == ["imports", "late"]


def test_recorder_notes_resumptions_in_rounds(tmp_path: Path, watched: Any) -> None:
    """When the loop comes round, each coroutine that goes on is a step again."""
    recorder = Recorder([tmp_path])

    async def main() -> None:
        with recorder.recording():
            await watched.waits_twice()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(RoundSelector(recorder.end_round))) as runner:
        runner.run(main())
    rounds = [[function for _, function in one] for one in recorder.recordings[-1]]
    assert rounds == [["waits_twice", "waits"], ["waits_twice", "waits", "helper"]]


def test_wait_quiet_returns_after_the_last_step(tmp_path: Path, watched: Any) -> None:
    """Steps of another task are waited for."""
    recorder = Recorder([tmp_path])

    async def main() -> None:
        task = asyncio.ensure_future(asyncio.sleep(0))
        with recorder.recording():
            await recorder.wait_quiet(0.01)
            task.add_done_callback(lambda _: watched.helper(1))
            asyncio.get_running_loop().call_soon(watched.helper, 2)
            await recorder.wait_quiet(0.01)

    asyncio.run(main())
    assert steps(recorder) == ["helper", "helper"]
