"""The app of the workers in the faults of jobs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.apps.factory import make_app
from tests.chaos.apps.tasks import define
from tests.chaos.job_log import JobLog

__all__ = ["app"]

app = make_app()
define(app, JobLog(Path(os.environ["CHAOS_RUNS"])))
