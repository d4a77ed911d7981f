"""The commands that serve a dashboard, as real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from aioq.cli import main
from aioq.cli.exit_codes import Exit

TIMEOUT = 45.0
"""Seconds until a program must have answered."""

APP = """
from aioq import Aarq

app = Aarq("{url}", name="shop", namespace="{namespace}")


@app.task(name="shop.greet")
async def greet(ctx, name: str) -> str:
    return name


def access(request):
    return None
"""


def free_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, *words: str) -> Generator[str]:
    """Run a command that serves a dashboard until the block ends, and then interrupt it; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "aioq", *words, "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, program)
            yield url
            program.send_signal(signal.SIGINT)
            _, err = program.communicate(timeout=TIMEOUT)
            assert program.returncode in (Exit.OK, Exit.INTERRUPTED), err
        finally:
            program.kill()


def wait_for(url: str, program: subprocess.Popen[str]) -> None:
    """Wait until a program answers."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            httpx.get(f"{url}/static/mark.svg")
        except httpx.TransportError:
            assert program.poll() is None, program.communicate()
            assert time.monotonic() < end, "the dashboard does not answer"
            time.sleep(0.05)
        else:
            return


def test_demo_shows_a_busy_shop(tmp_path: Path) -> None:
    """`aioq demo --web` serves a shop on the memory broker, whose jobs and crons its pages show."""
    with serving(tmp_path, "demo", "--web") as url:
        end = time.monotonic() + TIMEOUT
        while "shop.charge_card" not in httpx.get(f"{url}/jobs?state=completed").text:
            assert time.monotonic() < end, "no job of the shop completes"
            time.sleep(0.1)
        assert "shop.poll_carrier" in httpx.get(f"{url}/crons").text
        assert "card of" not in httpx.get(f"{url}/jobs").text


def test_web_serves_an_app_on_a_server(tmp_path: Path, redis_url: str, namespace: str) -> None:
    """`aioq web` shows a queue that another program has filled, for reading only, with or without the app."""
    (tmp_path / "shop.py").write_text(APP.format(url=redis_url, namespace=namespace))
    enqueue = "import asyncio, shop; asyncio.run(shop.greet.enqueue('Ada'))"
    subprocess.run([sys.executable, "-c", enqueue], cwd=tmp_path, check=True)
    with serving(tmp_path, "web", "shop:app") as url:
        page = httpx.get(f"{url}/jobs").text
        assert "shop.greet" in page
        assert "Cancel chosen" not in page

    with serving(tmp_path, "web", redis_url, "--namespace", namespace) as url:
        assert "shop.greet" in httpx.get(f"{url}/jobs").text
        assert httpx.get(f"{url}/crons").status_code == 200


@pytest.fixture
def forget_shop() -> Iterator[None]:
    """Forget the module of a test: other tests have modules of this name."""
    yield
    sys.modules.pop("shop", None)


@pytest.mark.usefixtures("forget_shop")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),
        (["--access", "shop:access", "--allow-changes"], "--allow-changes is for a dashboard without --access"),
        (["--access", "shop:nothing"], "--access shop:nothing cannot be imported"),
    ],
)
def test_web_refuses_what_is_unsafe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    """Without a rule the dashboard serves this machine only, and a mistake in the rule is said at once."""
    (tmp_path / "shop.py").write_text(APP.format(url="redis://127.0.0.1:1", namespace="n"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["web", "redis://127.0.0.1:1", *words]) in (Exit.CONFIG, Exit.USAGE)
    assert text in capsys.readouterr().err


def test_web_refuses_the_memory_broker(capsys: pytest.CaptureFixture[str]) -> None:
    """Another process cannot see jobs that are in memory."""
    assert main(["web", "memory://"]) == Exit.CONFIG
    assert "mount aioq_web.dashboard(app)" in capsys.readouterr().err
