"""All code and commands in README.md and docs/ run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aioq_prometheus import exposition
from tests.docs.fences import PAGES, ROOT, fences
from tests.docs.reader import Reader
from tests.servers import RedisServer

STEM = {page: str(page.relative_to(ROOT)) for page in PAGES}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder whose modules can be imported, and are forgotten after the test."""
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delenv("AIOQ_BROKER_URL", raising=False)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Take off the root logger what a page puts there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page have a global registry of metrics that no other page has used."""
    monkeypatch.setattr(exposition, "REGISTRY", CollectorRegistry(auto_describe=True))


@pytest.mark.usefixtures("logging_as_before", "own_metrics")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("page", PAGES, ids=STEM.get)
async def test_page_runs_as_shown(
    page: Path, folder: Path, third_party: list[str], request: pytest.FixtureRequest
) -> None:
    """The page's files are written, its code and its commands run in order, and their output is as shown."""
    shown = list(fences(page))
    redis = ""
    if Reader.needs_redis(shown):
        start: Callable[..., RedisServer] = request.getfixturevalue("start_server")
        redis = start(tcp=True).open_url  # pages speak of a server without users
    await Reader(folder, redis, third_party).read(shown)
