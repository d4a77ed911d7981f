"""An app with one entry that fires once for the fleet, as a cron and as a schedule."""

from __future__ import annotations

import os
from datetime import timedelta

from aioq_cron import Every
from tests.chaos.apps.factory import make_app, record_run

__all__ = ["app"]

app = make_app()
every = Every(timedelta(seconds=float(os.environ["CHAOS_EVERY"])))
app.cron(every, name="inline", unique=True, misfire="all")(record_run)
app.schedule(app.task(name="job")(record_run), every, name="job", misfire="all")
