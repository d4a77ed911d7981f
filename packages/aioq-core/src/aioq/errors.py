"""Defines the exceptions of aioq."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aioq.model.job import Failure, JobRecord
from aioq.model.states import JobState

__all__ = [
    "AioqError",
    "BadSignature",
    "BrokerConfigError",
    "BrokerFull",
    "BrokerUnavailable",
    "CronWarning",
    "DiscoveryError",
    "DuplicateName",
    "InvalidJobId",
    "JobConflict",
    "JobDead",
    "JobEnded",
    "JobExpired",
    "JobFailed",
    "JobCancelled",
    "JobNotFound",
    "MigrationRequired",
    "MissingFeature",
    "NotReplicated",
    "PartlyUnavailable",
    "PayloadTooLarge",
    "ResultDropped",
    "ResultSerializationError",
    "Retry",
    "ScheduleConflict",
    "ResultTimeout",
    "SerializationError",
    "TaskDefinitionError",
    "TooManyJobs",
    "TooManyStuck",
    "UnknownSchedule",
    "UnknownTask",
]


class AioqError(Exception):
    """Base of all exceptions of aioq."""


class CronWarning(UserWarning):
    """The schedule of an entry says something that its author hardly means.

    The text says what happens and what to write instead. Silence it with
    `warnings.filterwarnings("ignore", category=CronWarning)`, or with another filter of Python.
    """


class BrokerUnavailable(AioqError):
    """The broker cannot be reached or is not ready; the same call may succeed later.

    Attributes:
        tried_for: Seconds for which the call was repeated in vain before this was raised.
    """

    def __init__(self, *args: object, tried_for: float = 0.0) -> None:
        self.tried_for = tried_for
        super().__init__(*args)


class PartlyUnavailable(BrokerUnavailable):
    """Some queues of a call cannot be reached. The call was done for the others; repeating all of it is safe.

    Attributes:
        away: What is wrong, by queue that cannot be reached.
        answer: What the call returned for the other queues; the protocol of the call says in which form.
    """

    def __init__(self, away: Mapping[str, BrokerUnavailable], answer: Any = None) -> None:
        self.away = away
        self.answer = answer
        # With all arguments, so that the error can be pickled.
        super().__init__(away, answer)

    def __str__(self) -> str:
        # Queues of one node share a reason.
        reasons = dict.fromkeys(map(str, self.away.values()))
        return f"queues {', '.join(sorted(self.away))} cannot be reached, other queues go on: {'; '.join(reasons)}"


class NotReplicated(BrokerUnavailable):
    """Jobs were stored, but on fewer replicas than requested. Repeating the call stores nothing twice.

    The jobs run as usual. They are lost only if the primary fails for good before a replica has them.

    Attributes:
        wanted: The requested number of replicas.
        copies: The number of replicas that confirmed the jobs.
    """

    def __init__(self, name: str, wanted: int, copies: int, seconds: float) -> None:
        self.wanted = wanted
        self.copies = copies
        self._name = name
        self._seconds = seconds
        # With all arguments, so that the error can be pickled.
        super().__init__(name, wanted, copies, seconds)

    def __str__(self) -> str:
        return (
            f"the jobs are stored on the primary of {self._name} and will run, but {self.copies} of {self.wanted} "
            f"replicas confirmed them within {self._seconds:g} s, so a failover may lose them; "
            f"check that the replicas are up, and repeat the call, which stores nothing twice"
        )


class BrokerConfigError(AioqError):
    """The broker cannot be used: its address, credentials or settings are wrong."""


class BrokerFull(AioqError):
    """The broker has no memory for another job; nothing was stored."""


class DiscoveryError(AioqError):
    """No installed package provides the broker or scheduler, or several do."""


class MigrationRequired(BrokerConfigError):
    """The store of a broker lacks migrations; `aioq broker migrate` does them.

    Attributes:
        missing: One line for each migration.
    """

    def __init__(self, broker: str, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        self._broker = broker
        # With all arguments, so that the error can be pickled.
        super().__init__(broker, missing)

    def __str__(self) -> str:
        return (
            f"the store of {self._broker} lacks {len(self.missing)} migrations ({'; '.join(self.missing)}); "
            "run: aioq broker migrate MODULE:APP"
        )


class MissingFeature(AioqError):
    """The broker does not implement a protocol that the call needs, or cannot on the store to which it is connected."""

    def __init__(self, broker: object, protocol: str, needed_for: str, why: str = "") -> None:
        self.protocol = protocol
        self.needed_for = needed_for
        here = f"cannot here: {why}" if why else "does not; use another broker"
        super().__init__(
            f"{needed_for} needs a broker that implements aioq.protocols.{protocol}, and {type(broker).__name__} {here}"
        )


class TaskDefinitionError(AioqError, TypeError):
    """A function cannot be a task or a cron entry; the message names it and the reason."""


class DuplicateName(AioqError, ValueError):
    """Two tasks, or two cron entries, of one app have the same name."""

    def __init__(self, kind: str, name: str, first: str, second: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} {name} is defined twice, at {first} and at {second}; give one of them another name=")


class ScheduleConflict(AioqError, ValueError):
    """A schedule cannot be stored: its name is taken in its queue."""

    def __init__(self, name: str, queue: str, taken: str) -> None:
        self.name = name
        self.queue = queue
        super().__init__(f"schedule {name} cannot be stored in queue {queue}: {taken}; choose another name")


class UnknownSchedule(AioqError, LookupError):
    """No schedule of this name is stored in a queue of the app."""

    def __init__(self, name: str, app: str) -> None:
        self.name = name
        self.app = app
        super().__init__(f"no schedule {name} is stored for app {app}; put it first, or look at the names with list")


class InvalidJobId(AioqError, ValueError):
    """A text cannot be the id of a job; the message says why."""


class UnknownTask(AioqError, LookupError):
    """No task of this name is registered with the app."""


class SerializationError(AioqError, ValueError):
    """A value cannot be encoded or decoded without loss; the message has the path to it."""


class BadSignature(AioqError):
    """Stored data are not signed with one of the app's keys, or were changed afterwards."""


class PayloadTooLarge(SerializationError):
    """The encoded arguments or result exceed the limit; nothing was stored."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"{what} takes {size:,} bytes and the limit is {limit:,}; "
            f"store the data elsewhere and pass a reference, or raise Aarq(max_payload=...)"
        )


class TooManyJobs(AioqError, ValueError):
    """One call contained too many jobs; nothing was stored."""

    def __init__(self, count: int, limit: int) -> None:
        self.count = count
        self.limit = limit
        super().__init__(
            f"{count:,} jobs are too many for one call: the limit is {limit:,}; enqueue them in several calls"
        )


class TooManyStuck(AioqError):
    """The worker has left because too many of its slots are held by tasks that ignore their cancellation.

    Attributes:
        stuck: The number of these slots.
    """

    def __init__(self, worker_id: str, stuck: int, slots: int) -> None:
        self.stuck = stuck
        super().__init__(
            f"worker {worker_id} has left: {stuck} of its {slots} slots are held by tasks that go on although they "
            f"were cancelled or their timeout is over; see the log for their stacks"
        )


class ResultSerializationError(SerializationError):
    """The result of a task cannot be encoded. The job fails and is not retried."""


class JobConflict(AioqError, ValueError):
    """A different job with the same id exists; nothing was stored."""

    def __init__(self, job_id: str, queue: str) -> None:
        self.job_id = job_id
        self.queue = queue
        super().__init__(
            f"job id {job_id} is taken in queue {queue} by a job with another task or other arguments; "
            f"choose another job_id, or enqueue it with the same arguments"
        )


class ResultTimeout(AioqError, TimeoutError):
    """The job did not end in time. It was not cancelled; `result` can be called again."""

    def __init__(self, job_id: str, timeout: float, hint: str = "") -> None:
        self.job_id = job_id
        self.timeout = timeout
        because = f"; {hint}" if hint else ""
        super().__init__(f"job {job_id} did not end within {timeout:g} s; it has not been cancelled{because}")


class JobNotFound(AioqError, LookupError):
    """The broker knows nothing of the job: it left no record, the broker lost its data, or it was never enqueued."""

    def __init__(self, job_id: str, task: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"nothing is known of job {job_id} of {task}: it ended and left no record (the task has save_result=False, "
            f"or result_ttl is over), the broker lost its data, or the job was never enqueued"
        )


class JobEnded(AioqError):
    """The job ended without a result."""

    def __init__(self, job_id: str, text: str) -> None:
        self.job_id = job_id
        super().__init__(text)


class JobFailed(JobEnded):
    """The task raised, and no attempt is left.

    Attributes:
        failure: The type, message and traceback of the exception, as text.
    """

    def __init__(self, job_id: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(job_id, f"job {job_id} failed: {failure.type}: {failure.message}")


class JobDead(JobEnded):
    """No further attempt can complete the job.

    Attributes:
        reason: `crashed`, `unknown_task`, `mismatched_arguments`, `malformed`, ...
    """

    def __init__(self, job_id: str, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(job_id, f"job {job_id} is dead: {reason}" + (f": {detail}" if detail else ""))


class JobExpired(JobEnded):
    """The job was not started in time, and was not run."""

    def __init__(self, job_id: str, detail: str = "") -> None:
        super().__init__(job_id, f"job {job_id} expired" + (f": {detail}" if detail else ""))


class JobCancelled(JobEnded):
    """The job was cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, f"job {job_id} was cancelled")


ENDED_WITH: Final[Mapping[JobState, Callable[[JobRecord], JobEnded]]] = {
    # Brokers may leave out the failure, for example of a record that they cannot read.
    JobState.FAILED: lambda job: JobFailed(job.id, job.failure or Failure("Exception", "the broker stored no failure")),
    JobState.DEAD: lambda job: JobDead(job.id, job.reason or "", _detail(job)),
    JobState.EXPIRED: lambda job: JobExpired(job.id, _detail(job)),
    JobState.CANCELLED: lambda job: JobCancelled(job.id),
}
"""The exception of each final state in which a job has no result, made of the record of the job."""


def _detail(job: JobRecord) -> str:
    return job.failure.message if job.failure else ""


class ResultDropped(JobEnded):
    """The job completed, and its result was not stored.

    Attributes:
        reason: `too_large`: the result exceeds the app's `max_payload`; or `full`: the broker had no room for it.
    """

    def __init__(self, job_id: str, reason: str) -> None:
        self.reason = reason
        why = "the broker was full" if reason == "full" else "it was too large"
        super().__init__(job_id, f"job {job_id} completed, but its result was dropped: {why}")


class Retry(AioqError):
    """Raised by a task to request another attempt.

    The attempt counts: if none is left, the job fails.

    Args:
        message: The reason, for the log and the job's record.
        delay: Seconds until the next attempt, up to 10 years; the task's backoff when None.

    Raises:
        ValueError: `delay` is out of range.
    """

    def __init__(self, message: str = "the task asked for another attempt", *, delay: float | None = None) -> None:
        if delay is not None and not 0 <= delay <= 315_576_000:
            raise ValueError(f"delay must be between 0 s and 10 years, got {delay!r}")
        self.delay = delay
        super().__init__(message)
