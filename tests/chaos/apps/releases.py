"""The app of the workers of one release, in the fault of mixed releases."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.apps.arguments import define_release
from tests.chaos.apps.factory import make_app
from tests.chaos.job_log import JobLog

__all__ = ["app"]

app = make_app()
define_release(app, os.environ["CHAOS_RELEASE"], JobLog(Path(os.environ["CHAOS_RUNS"])))
