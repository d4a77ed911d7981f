"""Logging as commands set it up."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from aioq.cli.logs import configure_logging


@contextmanager
def bare_root() -> Generator[logging.Logger]:
    """Return the root logger as in a new process, without the handlers that pytest adds."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    logging.getLogger("aioq").setLevel(logging.NOTSET)
    try:
        yield root
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers = handlers


def test_configure_logging_line_has_date_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to stderr, with passwords in URLs redacted."""
    with bare_root():
        configure_logging("info")
        logging.getLogger("aioq.worker").error("Cron task %s failed: %s", "tasks.report", "redis://u:pw@host refused")
        logging.getLogger("myapp").info("from the app")
        logging.getLogger("myapp").debug("too much")
        logging.getLogger().handlers[0].flush()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.sub(r"\d", "0", captured.err).splitlines() == [
        "0000-00-00 00:00:00 ERROR aioq.worker: Cron task tasks.report failed: redis://u:***@host refused",
        "0000-00-00 00:00:00 INFO myapp: from the app",
    ]


def test_configure_logging_keeps_handlers_of_app() -> None:
    """The app's handlers and levels stay, unless the user sets a level."""
    handler = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(handler)
        root.setLevel(logging.ERROR)
        configure_logging(None)
        assert (root.handlers, root.level) == ([handler], logging.ERROR)
        assert logging.getLogger("aioq").level == logging.INFO
        configure_logging("debug")
        assert (root.handlers, root.level) == ([handler], logging.DEBUG)


def test_configure_logging_enables_loggers_that_app_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    """The defaults of `dictConfig` disable the loggers that exist; those of aioq are enabled again, with one warning."""
    ours = logging.getLogger("aioq.worker")
    with bare_root():
        logging.config.dictConfig({"version": 1})
        assert ours.disabled
        configure_logging(None)
        logging.getLogger().handlers[0].flush()
    assert not ours.disabled
    (warning,) = capsys.readouterr().err.splitlines()
    assert "WARNING aioq: " in warning
    assert "write disable_existing_loggers=False" in warning
