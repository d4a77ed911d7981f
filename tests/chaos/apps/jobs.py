"""The app of workers whose jobs are put through something."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.apps.making import make_app
from tests.chaos.apps.tasks import define
from tests.chaos.journal import Journal

__all__ = ["app"]

app = make_app()
define(app, Journal(Path(os.environ["CHAOS_RUNS"])))
