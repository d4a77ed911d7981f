"""taskiq: a scheduler and a worker."""

from noting import URL, note
from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(URL)
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])


@broker.task(schedule=[{"cron": "* * * * *"}])
async def tick():
    note(60)
