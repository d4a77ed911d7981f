"""Fixtures of the worker's tests."""

from __future__ import annotations

import pytest

from aioq import Aarq
from tests.core.rig import Hold


@pytest.fixture
def hold(app: Aarq) -> Hold:
    """A task that the test controls."""
    return Hold(app)
