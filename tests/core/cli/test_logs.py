"""Logging as commands set it up."""

from __future__ import annotations

import json
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
        # A configuration disables the loggers that exist, also those of other tests.
        for name in root.manager.loggerDict:
            logging.getLogger(name).disabled = False


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


def test_text_line_of_a_task_names_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that the code of a task logs ends with job and task; those of aioq name the job themselves."""
    about = {"job_id": "a1", "task": "app.send"}
    with bare_root():
        configure_logging("info")
        logging.getLogger("myapp").info("sent", extra=about)
        logging.getLogger("aioq.worker").info("job a1 of app.send completed", extra=about)
        logging.getLogger().handlers[0].flush()
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO myapp: sent [job a1 of app.send]")
    assert second.endswith("INFO aioq.worker: job a1 of app.send completed")


def test_json_line_has_all_that_extra_has(capsys: pytest.CaptureFixture[str]) -> None:
    """With the format json each record is a line with time, level, logger, message, ids and traceback, without passwords."""
    with bare_root():
        configure_logging("info", "json")
        logging.getLogger("myapp").info("started")
        try:
            raise ValueError("redis://u:secret@host refused")
        except ValueError:
            logging.getLogger("aioq.worker").exception(
                "job %s failed",
                "a1",
                extra={"event": "job_failed", "job_id": "a1", "attempt": 2, "wait": 0.0, "by": {1}},
            )
        logging.getLogger().handlers[0].flush()
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.keys() == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "myapp", "started")
    assert (second["event"], second["job_id"], second["attempt"], second["wait"]) == ("job_failed", "a1", 2, 0.0)
    assert second["message"] == "job a1 failed"
    assert second["by"] == "{1}"
    assert "ValueError" in second["exception"]
    assert "secret" not in second["exception"]


def test_log_format_of_an_app_that_configures_logging_is_refused_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """If the app has handlers of its own, a chosen format has no effect, and a warning says so."""
    configure_logging("info", "json")
    assert any(getattr(record, "event", "") == "log_format_unused" for record in caplog.records)
