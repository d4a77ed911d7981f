"""Log lines are written by a thread, and dropped if nothing reads them."""

from __future__ import annotations

import io
import logging
import os
import threading
from pathlib import Path
from typing import TextIO, cast

from aioq.cli.log_handler import BackgroundHandler


class Stuck(io.StringIO):
    """A stream that takes no text until it is released, as a full pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.released = threading.Event()

    def write(self, text: str, /) -> int:
        """Wait for the release, and take the text."""
        self.writing.set()
        self.released.wait()
        return super().write(text)


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    refused = 0

    def write(self, text: str, /) -> int:
        """Refuse the text."""
        self.refused += 1
        raise BrokenPipeError


def record(text: str) -> logging.LogRecord:
    """Return a record with this message."""
    return logging.LogRecord("test", logging.INFO, __file__, 1, text, None, None)


def test_handler_stuck_stream_blocks_no_caller_and_counts_drops() -> None:
    """Lines beyond the limit are dropped while the stream takes none, and their number is written afterwards."""
    stream = Stuck()
    handler = BackgroundHandler(cast("TextIO", stream), max_lines=3)
    handler.handle(record("first"))
    assert stream.writing.wait(10)
    for n in range(5):
        handler.handle(record(f"line {n}"))
    stream.released.set()
    handler.close()
    assert stream.getvalue().splitlines() == [
        "first",
        "line 0",
        "line 1",
        "line 2",
        "aioq: 2 log lines were dropped, because stderr took no more",
    ]


def test_handler_stream_without_reader_harms_no_caller() -> None:
    """If the reader of the stream has gone, lines are lost, logging raises nothing, and `flush` does not wait."""
    stream = Gone()
    handler = BackgroundHandler(cast("TextIO", stream))
    for n in range(3):
        handler.handle(record(f"line {n}"))
        handler.flush()
    handler.close()
    assert stream.refused == 3


def test_handler_forked_child_writes_its_own_lines(tmp_path: Path) -> None:
    """A forked child writes what it logs, and not again what waited in its parent."""
    with (tmp_path / "log").open("a") as stream:
        handler = BackgroundHandler(stream)
        handler.handle(record("of the parent"))
        handler.flush()
        child = os.fork()
        if not child:
            handler.handle(record("of the child"))
            handler.flush()
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        handler.close()
    assert (tmp_path / "log").read_text().splitlines() == ["of the parent", "of the child"]
