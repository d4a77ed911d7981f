"""The plain scheduler passes the suite that aioq ships."""

from __future__ import annotations

import pytest
from aioq_plain import PlainScheduler

from aioq.testing import SchedulerContract


class TestPlainScheduler(SchedulerContract):
    """Everything that a scheduler promises."""

    expression = "every 5m"

    @pytest.fixture
    def scheduler(self) -> PlainScheduler:
        """The scheduler under test."""
        return PlainScheduler()
