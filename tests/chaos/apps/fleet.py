"""One entry that fires once for the fleet, as a cron and as a schedule."""

from __future__ import annotations

import os
from datetime import timedelta

from aioq_cron import Every
from tests.chaos.apps.making import make_app, note

__all__ = ["app"]

app = make_app()
every = Every(timedelta(seconds=float(os.environ["CHAOS_EVERY"])))
app.cron(every, name="inline", unique=True, misfire="all")(note)
app.schedule(app.task(name="job")(note), every, name="job", misfire="all")
