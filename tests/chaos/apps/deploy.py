"""Two versions of one app: the second keeps one entry, changes one, removes one and adds one."""

from __future__ import annotations

import os
from datetime import timedelta

from aioq_cron import Every
from tests.chaos.apps.factory import make_app, record_run
from tests.chaos.apps.versions import VERSIONS, define_added_task

__all__ = ["app"]

app = make_app()
task = app.task(name="job")(record_run)
if os.environ["CHAOS_DEPLOY"] == "2":
    define_added_task(app)
for name, seconds in VERSIONS[os.environ["CHAOS_DEPLOY"]].items():
    every = Every(timedelta(seconds=seconds))
    app.cron(every, name=f"{name}.unique", unique=True, misfire="all")(record_run)
    app.schedule(task, every, name=f"{name}.schedule", misfire="all")
