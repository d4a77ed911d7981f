"""Collects the metrics of several processes in one folder, as `aioq worker --processes` needs it.

prometheus_client writes the values of each process into files of its own, and keeps those of processes that have ended.
Processes that are restarted often would leave thousands, so their counts are added up in one file for all. A lock keeps
requests from reading meanwhile: they would count twice.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric, multiprocess
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

if sys.platform != "win32":
    import fcntl

__all__ = ["FOLDER", "SharedCollector", "forget_process"]

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client finds the folder."""

SUMS: Final = ("counter", "histogram", "summary")
"""The types of metrics whose values are counts."""


class SharedCollector(Collector):
    """Yields the metrics of all processes that share a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        untyped: Any = multiprocess
        self._files: Collector = untyped.MultiProcessCollector(None, str(folder))

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        with _locked(self._folder, shared=True):
            return list(self._files.collect())


def forget_process(folder: Path, pid: int) -> bool:
    """Remove what a process has left that has ended; its counts stay. Return False if that must be tried again later.

    It does not wait for processes that read at the moment: one of them may be suspended.
    """
    untyped: Any = multiprocess
    untyped.mark_process_dead(pid, str(folder))
    with _locked(folder, shared=False) as is_locked:
        if is_locked:
            for kind in SUMS:
                _add_up(folder / f"{kind}_{pid}.db", folder / f"{kind}_ended.db")
    return is_locked


def _add_up(file: Path, total: Path) -> None:
    """Add the values in a file to those in another, and remove it."""
    if not file.exists():
        return
    files: Any = MmapedDict
    sums = files(str(total))
    try:
        for key, value, _, _ in files.read_all_values_from_file(str(file)):
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
    file.unlink()


@contextmanager
def _locked(folder: Path, *, shared: bool) -> Generator[bool]:
    """Hold the lock of a folder: with other readers, after a wait, or alone if it is free; yield whether it is held."""
    if sys.platform == "win32":  # where there is no `--processes`
        yield shared
        return
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
