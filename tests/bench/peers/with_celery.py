"""celery: beat and a worker."""

from celery import Celery
from celery.schedules import crontab
from noting import URL, note

app = Celery("bench", broker=URL)
app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": crontab()}}


@app.task(name="tick")
def tick():
    note(60)
