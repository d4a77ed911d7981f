"""rq: a scheduler and a worker, which forks for each job."""

from noting import note
from rq import cron


def tick():
    note(60)


if __name__ != "__main__":
    cron.register(tick, queue_name="default", cron="* * * * *")
