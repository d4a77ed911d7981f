"""An async job queue and cron scheduler: tasks, jobs, crons and workers on any broker."""

from aioq.app import Aarq as Aarq
from aioq.context import Context as Context
from aioq.context import CronContext as CronContext
from aioq.context import JobContext as JobContext
from aioq.context import ScheduledContext as ScheduledContext
from aioq.cron import CronOptions as CronOptions
from aioq.errors import AioqError as AioqError
from aioq.errors import BadSignature as BadSignature
from aioq.errors import BrokerConfigError as BrokerConfigError
from aioq.errors import BrokerFull as BrokerFull
from aioq.errors import BrokerUnavailable as BrokerUnavailable
from aioq.errors import CronWarning as CronWarning
from aioq.errors import DiscoveryError as DiscoveryError
from aioq.errors import DuplicateName as DuplicateName
from aioq.errors import JobCancelled as JobCancelled
from aioq.errors import JobConflict as JobConflict
from aioq.errors import JobDead as JobDead
from aioq.errors import JobEnded as JobEnded
from aioq.errors import JobExpired as JobExpired
from aioq.errors import JobFailed as JobFailed
from aioq.errors import JobNotFound as JobNotFound
from aioq.errors import MissingFeature as MissingFeature
from aioq.errors import PayloadTooLarge as PayloadTooLarge
from aioq.errors import ResultDropped as ResultDropped
from aioq.errors import ResultTimeout as ResultTimeout
from aioq.errors import Retry as Retry
from aioq.errors import ScheduleConflict as ScheduleConflict
from aioq.errors import SerializationError as SerializationError
from aioq.errors import TaskDefinitionError as TaskDefinitionError
from aioq.errors import TooManyJobs as TooManyJobs
from aioq.errors import UnknownSchedule as UnknownSchedule
from aioq.errors import UnknownTask as UnknownTask
from aioq.events import JobEvent as JobEvent
from aioq.events import JobFact as JobFact
from aioq.events import TickEvent as TickEvent
from aioq.events import TickFact as TickFact
from aioq.events import WorkerEvent as WorkerEvent
from aioq.events import WorkerFact as WorkerFact
from aioq.handle import Job as Job
from aioq.handle import current_job as current_job
from aioq.logs import JobFilter as JobFilter
from aioq.model.job import JobRecord as JobRecord
from aioq.model.states import JobState as JobState
from aioq.options import TaskOptions as TaskOptions
from aioq.schedules import ScheduleInfo as ScheduleInfo
from aioq.task import Call as Call
from aioq.task import Task as Task
from aioq.worker import Worker as Worker

__all__ = [
    "Aarq",
    "AioqError",
    "BadSignature",
    "BrokerConfigError",
    "BrokerFull",
    "BrokerUnavailable",
    "Call",
    "Context",
    "CronContext",
    "CronOptions",
    "CronWarning",
    "DiscoveryError",
    "DuplicateName",
    "Job",
    "JobCancelled",
    "JobConflict",
    "JobContext",
    "JobDead",
    "JobEnded",
    "JobEvent",
    "JobExpired",
    "JobFact",
    "JobFailed",
    "JobFilter",
    "JobNotFound",
    "JobRecord",
    "JobState",
    "MissingFeature",
    "PayloadTooLarge",
    "ResultDropped",
    "ResultTimeout",
    "Retry",
    "ScheduleConflict",
    "ScheduleInfo",
    "ScheduledContext",
    "SerializationError",
    "Task",
    "TaskDefinitionError",
    "TaskOptions",
    "TickEvent",
    "TickFact",
    "TooManyJobs",
    "UnknownSchedule",
    "UnknownTask",
    "Worker",
    "WorkerEvent",
    "WorkerFact",
    "current_job",
]
