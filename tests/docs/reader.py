"""Runs everything that a page shows, from top to bottom, as a reader would."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Awaitable
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
from anyio.abc import Process, TaskGroup

from aioq import Aarq, Worker
from tests.docs.fences import HIDDEN, Fence
from tests.docs.shown import matches

__all__ = ["Reader"]

PATIENCE = 30.0
"""Seconds that a command may take, or a worker until it has said what the page shows."""

LOCALHOST = "redis://localhost:6379"
SOMEWHERE = "/srv/myapp"
"""The folder that pages speak of, where ours must not be named."""


class Reader:
    """Runs the fences of one page, in a folder and a namespace of their own.

    - A `python` fence whose title is a file's name is written to that file; any other one is run, in the same event loop
      and with the same names as those before it.
    - A `text` fence right after it is its expected output.
    - A `console` fence that begins with `$ ` holds commands and their output. An `aioq worker` without `--burst` runs until
      the end of the page; its output is compared then.
    - Code in a comment that starts with `<!-- run` is run and not shown. `work(app)` starts a worker there, for the rest of
      the page.

    Args:
        folder: The folder for files and commands.
        redis: URL of the server that replaces the one on localhost in the pages.
        path: Further folders in which commands find modules.
    """

    def __init__(self, folder: Path, redis: str, path: list[str]) -> None:
        self._folder = folder
        self._redis = redis
        self._names: dict[str, Any] = {"__name__": "page", "work": self._work}
        self._env = {**os.environ, "COLUMNS": "80", "PYTHONPATH": os.pathsep.join([*path, *sys.path]), "TZ": "UTC"}
        self._env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self._env["PATH"]])
        self._env["PYTEST_ADDOPTS"] = "-p no:cacheprovider -p no:valkey"
        self._env.pop("AIOQ_BROKER_URL", None)
        self._printed: str | None = None
        self._files: dict[str, Fence] = {}
        self._background: list[tuple[Process, Fence, str]] = []
        self._workers: TaskGroup | None = None

    async def read(self, page: list[Fence]) -> None:
        """Run the page.

        Raises:
            AssertionError: The output differs from the page; the message says where.
        """
        failure: Exception | None = None
        ended: list[int | None] = []
        async with anyio.create_task_group() as self._workers:
            try:
                for fence in page:
                    await self._take(fence)
                await self._compare_workers()
            except Exception as error:  # raised below, where no group is wrapped around it
                failure = error
            ended = await self._end_workers()
            self._workers.cancel_scope.cancel()
        if failure:
            raise failure
        assert not any(ended), f"the workers of {page[0].page} ended with {ended}"
        assert not self._files, f"shown and never run: {', '.join(self._files)}"

    async def _take(self, fence: Fence) -> None:
        match fence.language:
            case _ if fence.quoted:
                pass
            case "python" if fence.not_run:
                _compiled(fence, fence.body)
            case "python" if fence.title.endswith(".py"):
                self._write(fence)
            case "python" | "hidden":
                await self._run(fence)
                return
            case "text" if self._printed is not None:
                _compare(fence, self._printed)
            case "console" if fence.body.startswith("$ "):
                await self._type_in(fence)
            case _:
                pass
        self._printed = None

    def _write(self, fence: Fence) -> None:
        path = self._folder / fence.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._placed(fence.body))
        self._files[path.stem] = fence

    async def _run(self, fence: Fence) -> None:
        self._seen(fence.body)
        code = _compiled(fence, self._placed(fence.body))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result = eval(code, self._names)
            if code.co_flags & CO_COROUTINE:
                await _awaited(result)
        self._printed = printed.getvalue() if fence.language != HIDDEN else None

    async def _type_in(self, fence: Fence) -> None:
        for command, expected in _commands(fence.body):
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                self._env[name] = self._placed(shlex.split(value)[0])
            else:
                await self._execute(fence, command, expected)

    async def _execute(self, fence: Fence, command: str, expected: str) -> None:
        self._seen(command)
        words = [self._placed(word) for word in shlex.split(command)]
        if words[:2] == ["aioq", "worker"] and "--burst" not in words:
            process = await anyio.open_process(words, stderr=subprocess.STDOUT, cwd=self._folder, env=self._env)
            self._background.append((process, fence, expected))
            return
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(
                words, stderr=subprocess.STDOUT, check=False, cwd=self._folder, env=self._env
            )
        _compare(fence, self._as_shown(done.stdout.decode()), expected)

    def _work(self, app: Aarq, **options: Any) -> None:
        assert self._workers is not None
        self._workers.start_soon(Worker(app, handle_signals=False, **options).run)

    async def _compare_workers(self) -> None:
        for process, fence, expected in self._background:
            seen = ""
            with anyio.move_on_after(PATIENCE), contextlib.suppress(anyio.EndOfStream):
                assert process.stdout is not None
                while not matches(expected, seen, more=True):
                    seen += self._as_shown((await process.stdout.receive()).decode())
            assert matches(expected, seen, more=True), f"{fence.where} shows\n{expected}\nand the worker says\n{seen}"

    async def _end_workers(self) -> list[int | None]:
        """Stop the workers, and return their exit codes."""
        with anyio.CancelScope(shield=True):
            for process, _, _ in self._background:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                with anyio.move_on_after(PATIENCE):
                    await process.wait()
                await process.aclose()
        return [process.returncode for process, _, _ in self._background]

    def _placed(self, text: str) -> str:
        """Return a text with the tests' own Redis in place of the one on localhost."""
        return (
            text.replace("RedisBroker()", f'RedisBroker("{self._redis}")')
            .replace(LOCALHOST, self._redis)
            .replace(SOMEWHERE, str(self._folder))
        )

    def _as_shown(self, text: str) -> str:
        text = text.replace(str(self._folder), SOMEWHERE)
        return text.replace(self._redis, LOCALHOST) if self._redis else text

    @staticmethod
    def needs_redis(page: list[Fence]) -> bool:
        """Return whether a page uses the server on localhost."""
        return any(mark in fence.body for fence in page for mark in (LOCALHOST, "RedisBroker()"))

    def _seen(self, text: str) -> None:
        """Record the files that a fence runs or imports."""
        for stem in [stem for stem in self._files if re.search(rf"\b{stem}\b", text)]:
            imported = self._files.pop(stem)
            self._seen(imported.body)


async def _awaited(result: Awaitable[object]) -> None:
    await result


def _compiled(fence: Fence, body: str) -> CodeType:
    # Empty lines put in front make line numbers in tracebacks those of the page.
    text, flags = "\n" * (fence.line - 1) + body, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(text, str(fence.page), "exec", flags=flags, dont_inherit=True)
    return code


def _compare(fence: Fence, actual: str, expected: str | None = None) -> None:
    expected = fence.body if expected is None else expected
    assert matches(expected, actual), f"{fence.where} shows\n{expected}\nand it is\n{actual}"


def _commands(body: str) -> list[tuple[str, str]]:
    """Return the commands of a console fence, each with its output."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a console begins with a command, not with {parts[0]!r}"
    joined = [re.sub(r"\\\n\s*", "", part) for part in parts[1:]]
    return [(command, output) for command, _, output in (part.partition("\n") for part in joined)]
