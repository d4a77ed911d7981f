"""An app with entries of each misfire policy: on every worker, once for the fleet, and as jobs."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import get_args

from aioq.cron import Misfire
from aioq_cron import Every
from tests.chaos.apps.factory import KINDS, make_app, record_run

__all__ = ["app"]

app = make_app()
every = Every(timedelta(seconds=float(os.environ["CHAOS_EVERY"])))
grace = float(os.environ["CHAOS_GRACE"])
task = app.task(name="job")(record_run)
policies: tuple[Misfire, ...] = get_args(Misfire)
for misfire in policies:
    app.cron(every, name=f"{misfire}.{KINDS[0]}", misfire=misfire, grace=grace)(record_run)
    app.cron(every, name=f"{misfire}.{KINDS[1]}", misfire=misfire, grace=grace, unique=True)(record_run)
    app.schedule(task, every, name=f"{misfire}.{KINDS[2]}", misfire=misfire, grace=grace)
