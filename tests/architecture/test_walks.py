"""Walks are recorded from the checkout that is asked for, and counted alike on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.checkouts import make_checkout
from tests.architecture.walks import ROOT, record, shortest, typical, walk
from tests.servers import found

needs_server = pytest.mark.skipif(not {"redis", "valkey"} & found().keys(), reason="no server is installed")


def test_walk_counts_steps_files_and_changes() -> None:
    """A function that calls itself is one step, and a way back to a file is a return."""
    seen = walk("", [[("a", "f"), ("a", "f"), ("a", "g")], [("b", "h"), ("a", "f"), ("c", "k")]])
    assert (len(seen.steps), seen.functions, seen.files, seen.changes, seen.returns) == (5, 4, 3, 3, 1)


def test_walk_of_nothing_has_no_changes() -> None:
    """An empty recording is counted, too."""
    seen = walk("", [])
    assert (seen.files, seen.changes, seen.returns) == (0, 0, 0)


def test_shortest_counts_repeated_rounds_once() -> None:
    """How often a worker looks at the clock depends on the machine, and is seen in the typical walk."""
    look, fire, duty = [("a", "look"), ("b", "clock")], [("c", "fire")], [("d", "heartbeat")]
    recordings = [[look, look, fire, duty], [look, look, look, fire], [look, fire]]
    assert len(shortest("", recordings).steps) == 3
    assert [len(typical("", [one]).steps) for one in recordings] == [6, 7, 3]
    assert len(typical("", recordings).steps) == 6


@needs_server
def test_record_sees_the_way_to_the_broker() -> None:
    """The public call is the first step, other packages are entered, and repetitions take the same way."""
    recordings = record("result", ROOT)
    walked = shortest("", recordings)
    assert walked.steps[0][1] == "Job.result"
    assert {file.partition("/")[0] for file, _ in walked.steps} == {"aioq", "aioq_redis"}
    assert recordings[-1] == recordings[-2]


@needs_server
def test_record_refuses_packages_of_another_checkout(tmp_path: Path) -> None:
    """A checkout without aioq is not measured by what happens to be installed."""
    make_checkout(tmp_path, {})
    with pytest.raises(RuntimeError, match="not from the checkout that is to be recorded"):
        record("result", tmp_path)
