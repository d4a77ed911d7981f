"""The reader of the pages reports output that differs from the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.fences import Fence, fences
from tests.docs.reader import Reader
from tests.docs.shown import matches


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio, as the pages do."""
    return "asyncio"


def page(text: str, folder: Path) -> list[Fence]:
    """Return the fences of a page with this text."""
    path = folder / "page.md"
    path.write_text(text)
    return list(fences(path))


async def read(text: str, folder: Path) -> None:
    """Read a page, in a folder of its own."""
    await Reader(folder, "", []).read(page(text, folder))


async def test_reader_accepts_the_shown_output(tmp_path: Path) -> None:
    """Code runs with the names of the code before it, and its output is compared."""
    page = "```python\na = 1\n```\n```python\nprint(a)\n```\n```text\n{}\n```\n"
    await read(page.format(1), tmp_path)
    with pytest.raises(AssertionError):
        await read(page.format(2), tmp_path)


async def test_reader_rejects_other_output(tmp_path: Path) -> None:
    """A difference in the output is an error."""
    with pytest.raises(AssertionError, match="and it is\n1\n"):
        await read("```python\nprint(1)\n```\n```text\n2\n```\n", tmp_path)


async def test_reader_rejects_other_output_of_a_command(tmp_path: Path) -> None:
    """The output of commands is compared too."""
    with pytest.raises(AssertionError, match="and it is\nhello\n"):
        await read('```python title="a.py"\nprint("hello")\n```\n```console\n$ python a.py\nbye\n```\n', tmp_path)


async def test_reader_rejects_other_log_of_a_worker(tmp_path: Path) -> None:
    """A worker that cannot start or does not log the shown lines is an error."""
    with pytest.raises(AssertionError, match="there is no module nothing"):
        await read("```console\n$ aioq worker nothing:app\nworker started\n```\n", tmp_path)


async def test_reader_rejects_code_that_raises(tmp_path: Path) -> None:
    """An exception in the code of a page is an error of the page."""
    with pytest.raises(ZeroDivisionError):
        await read("```python\n1 / 0\n```\n", tmp_path)


async def test_reader_rejects_a_file_that_nothing_runs(tmp_path: Path) -> None:
    """A file that is neither run nor imported is an error."""
    with pytest.raises(AssertionError, match=r"never run: a"):
        await read('```python title="a.py"\nprint("hello")\n```\n', tmp_path)


def test_fence_has_language_title_line_and_reason(tmp_path: Path) -> None:
    """A fence has a language, a title, a line, and the reason why it is not run."""
    text = 'One:\n\n<!-- not run: no server -->\n```python title="a.py"\nprint()\n```\n\n<!-- run\nb = 1\n-->\n'
    first, second = page(text, tmp_path)
    assert (first.language, first.title, first.body, first.line) == ("python", "a.py", "print()\n", 5)
    assert (first.not_run, second.not_run) == ("no server", "")
    assert (second.language, second.body) == ("hidden", "b = 1\n")


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a ...\n", "a b c\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\n", "b\n", False),
        ("at 2026-01-01 09:00:01\n", "at 2031-12-24 23:59:59\n", True),
        ("at 2026-01-01 09:00:01\n", "at noon\n", False),
        ("Thu 2026-01-01 09:00+01:00\n", "Fri 2031-12-24 23:59-05:00\n", True),
        ("worker web1-4711-9f2c4e started\n", "worker vm-1-0a1b2c started\n", True),
    ],
)
def test_shown_output_may_differ_in_times_and_ids(expected: str, actual: str, same: bool) -> None:
    """Times, ids and dots are compared by their form, and all other text literally."""
    assert matches(expected, actual) is same
