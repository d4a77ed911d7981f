"""Everything that aioq raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioq.model.job import Failure

__all__ = [
    "AioqError",
    "BadSignature",
    "BrokerConfigError",
    "BrokerFull",
    "BrokerUnavailable",
    "DiscoveryError",
    "DuplicateName",
    "JobConflict",
    "JobDead",
    "JobEnded",
    "JobExpired",
    "JobFailed",
    "JobCancelled",
    "MissingFeature",
    "NotReplicated",
    "PayloadTooLarge",
    "ResultSerializationError",
    "Retry",
    "ResultTimeout",
    "SerializationError",
    "TaskDefinitionError",
    "TooManyJobs",
    "UnknownTask",
]


class AioqError(Exception):
    """The parent of all errors of aioq."""


class BrokerUnavailable(AioqError):
    """The broker cannot be reached or is not ready; the same call may succeed later."""


class NotReplicated(BrokerUnavailable):
    """Jobs were stored, but on fewer replicas than was asked for. The same call, repeated, stores nothing twice.

    They run as usual, and are lost only if the primary fails for good before a replica has them.

    Attributes:
        wanted: How many replicas were asked for.
        copies: How many are known to have them.
    """

    def __init__(self, name: str, wanted: int, copies: int, seconds: float) -> None:
        self.wanted, self.copies = wanted, copies
        self._name, self._seconds = name, seconds
        super().__init__(name, wanted, copies, seconds)

    def __str__(self) -> str:
        return (
            f"the jobs are stored on the primary of {self._name}, and will run, but {self.copies} of {self.wanted} "
            f"replicas confirmed them within {self._seconds:g} s, so a failover may lose them; "
            f"repeat the same call, which stores nothing twice, and check that the replicas are up"
        )


class BrokerConfigError(AioqError):
    """The broker was reached and will never do: wrong address, credentials or settings."""


class BrokerFull(AioqError):
    """The broker has no room for another job; nothing was stored."""


class DiscoveryError(AioqError):
    """No installed package provides what was asked for, or more than one does."""


class MissingFeature(AioqError):
    """The broker in use cannot do what was asked of it."""

    def __init__(self, broker: object, protocol: str, needed_for: str) -> None:
        self.protocol, self.needed_for = protocol, needed_for
        super().__init__(
            f"{needed_for} needs a broker that implements aioq.protocols.{protocol}, "
            f"and {type(broker).__name__} does not; use another broker or do without"
        )


class TaskDefinitionError(AioqError, TypeError):
    """A function cannot be made a task or a cron entry; says which, and why."""


class DuplicateName(AioqError, ValueError):
    """Two tasks, or two cron entries, of one app have the same name."""

    def __init__(self, kind: str, name: str, first: str, second: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"{kind} {name} is defined twice, at {first} and at {second}; give one of them another name=")


class UnknownTask(AioqError, LookupError):
    """No task of this name is registered with the app."""


class SerializationError(AioqError, ValueError):
    """A value cannot make the trip through the broker; names the path to it."""


class BadSignature(AioqError):
    """What the broker holds was not signed with one of the app's keys, or has been changed since."""


class PayloadTooLarge(SerializationError):
    """The encoded arguments or result exceed the limit; nothing was stored."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"{what} takes {size:,} bytes and the limit is {limit:,}; "
            f"store the data elsewhere and pass a reference, or raise Aarq(max_payload=...)"
        )


class TooManyJobs(AioqError, ValueError):
    """More jobs were to be stored at once than a broker is asked for; nothing was stored."""

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        super().__init__(
            f"{count:,} jobs are too many for one call, which stores all or none and takes {limit:,} at most; "
            f"enqueue them in several calls"
        )


class ResultSerializationError(SerializationError):
    """A task returned what cannot be stored: its job has failed, and is not run again for that."""


class JobConflict(AioqError, ValueError):
    """A job id is taken by a different job; nothing was stored."""

    def __init__(self, job_id: str, queue: str) -> None:
        self.job_id, self.queue = job_id, queue
        super().__init__(
            f"job id {job_id} is taken in queue {queue} by a job with another task or other arguments; "
            f"choose another job_id, or repeat the enqueue with the same arguments"
        )


class ResultTimeout(AioqError, TimeoutError):
    """The job did not end in time. It goes on, and may be waited for again."""

    def __init__(self, job_id: str, timeout: float) -> None:
        self.job_id, self.timeout = job_id, timeout
        super().__init__(f"job {job_id} did not end within {timeout:g} s; it has not been cancelled")


class JobEnded(AioqError):
    """A job ended without a result that could be returned."""

    def __init__(self, job_id: str, text: str) -> None:
        self.job_id = job_id
        super().__init__(text)


class JobFailed(JobEnded):
    """The task raised, and had no attempt left.

    Attributes:
        failure: Type, message and traceback of the task's exception, as text.
    """

    def __init__(self, job_id: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(job_id, f"job {job_id} failed: {failure.type}: {failure.message}")


class JobDead(JobEnded):
    """No run could finish the job.

    Attributes:
        reason: `crashed`, `unknown_task`, `malformed`, ...
    """

    def __init__(self, job_id: str, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(job_id, f"job {job_id} is dead: {reason}" + (f": {detail}" if detail else ""))


class JobExpired(JobEnded):
    """The job was not started in time, and was not run."""

    def __init__(self, job_id: str, detail: str = "") -> None:
        super().__init__(job_id, f"job {job_id} expired" + (f": {detail}" if detail else ""))


class JobCancelled(JobEnded):
    """Somebody called the job off."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, f"job {job_id} was cancelled")


class Retry(AioqError):
    """Raise it in a task to ask for another attempt.

    It counts as an attempt: when none is left the job fails.

    Args:
        delay: Seconds until the next attempt; the task's own backoff when None.
    """

    def __init__(self, message: str = "the task asked for another attempt", *, delay: float | None = None) -> None:
        if delay is not None and not 0 <= delay <= 315_576_000:
            raise ValueError(f"delay must be between 0 s and 10 years, got {delay!r}")
        self.delay = delay
        super().__init__(message)
