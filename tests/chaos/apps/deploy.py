"""Two versions of one app: the second keeps an entry, changes one, drops one and adds one."""

from __future__ import annotations

import os
from datetime import timedelta

from aioq_cron import Every
from tests.chaos.apps.making import make_app, note
from tests.chaos.apps.versions import VERSIONS

__all__ = ["app"]

app = make_app()
task = app.task(name="job")(note)
for name, seconds in VERSIONS[os.environ["CHAOS_DEPLOY"]].items():
    every = Every(timedelta(seconds=seconds))
    app.cron(every, name=f"{name}.unique", unique=True, misfire="all")(note)
    app.schedule(task, every, name=f"{name}.schedule", misfire="all")
