"""Signed calls and results: a program without a key can neither enqueue for workers nor answer clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from aioq import Aarq, BadSignature, JobDead, Task
from aioq.backends import MemoryBroker
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.serialization.json_codec import JsonCodec
from aioq.serialization.signing import Signer, Subject
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import EverySeconds, PlainScheduler
from tests.core.rig import drain, record_of, working

OLD, NEW, OTHER = "an old key of ours", b"a new key of ours", "a key of somebody"
SUBJECT = Subject("call", "task", "queue", "id")


def app_with(broker: FlakyBroker, *keys: str | bytes) -> tuple[Aarq, Task[[int], int]]:
    """Return an app with these keys, and its task that doubles."""
    app = Aarq(broker, signing_keys=keys or None, scheduler=PlainScheduler())

    async def double(_: object, x: int) -> int:
        return 2 * x

    return app, app.task(name="double")(double)


async def test_signed_call_and_result_arrive(broker: FlakyBroker) -> None:
    """With the same key, client and worker exchange calls and results; the broker stores signed bytes."""
    app, double = app_with(broker, NEW)
    job = await double.enqueue(4)
    await drain(app)
    assert await job.result(timeout=5) == 8
    assert await double.job(job.id).result(timeout=5) == 8
    record = await record_of(broker, job.id)
    assert record.payload[:3] == (record.result or b"")[:3] == b"s1 "


async def test_signing_without_keys_changes_nothing(broker: FlakyBroker) -> None:
    """Without keys the stored bytes are those of the codec."""
    app, double = app_with(broker)
    job = await double.enqueue(4)
    await drain(app)
    record = await record_of(broker, job.id)
    assert (record.payload, record.result) == (b'{"x":4}', b"8")


@pytest.mark.parametrize(
    ("client", "worker"), [([OLD], [NEW, OLD]), ([NEW], [OLD, NEW]), ([NEW, OLD], [NEW])], ids=["first", "swap", "last"]
)
async def test_signing_keys_can_be_rotated(
    broker: FlakyBroker, client: list[str | bytes], worker: list[str | bytes]
) -> None:
    """During a rotation old and new keys are accepted in both directions."""
    _, ask = app_with(broker, *client)
    job = await ask.enqueue(4)
    serving, serve = app_with(broker, *worker)
    await drain(serving)
    assert (await record_of(broker, job.id)).state is JobState.COMPLETED
    assert await serve.job(job.id).result(timeout=5) == 8


@pytest.mark.parametrize("keys", [(), (OTHER,), (OLD,)], ids=["unsigned", "somebody else's", "no longer ours"])
async def test_signing_unknown_key_makes_job_dead(broker: FlakyBroker, keys: tuple[str, ...]) -> None:
    """A job that is signed with an unknown key is dead and not run."""
    job = await app_with(broker, *keys)[1].enqueue(4)
    app, double = app_with(broker, NEW)
    await drain(app)
    record = await record_of(broker, job.id)
    assert (record.state, record.reason) == (JobState.DEAD, "bad_signature")
    with pytest.raises(JobDead, match="bad_signature: the call of job .* of double"):
        await double.job(job.id).result(timeout=5)


async def test_signing_worker_without_keys_names_the_cause(broker: FlakyBroker) -> None:
    """A worker without keys cannot read a signed call, and says why."""
    job = await app_with(broker, NEW)[1].enqueue(4)
    await drain(app_with(broker)[0])
    record = await record_of(broker, job.id)
    assert record.reason == "bad_signature"
    assert record.failure is not None
    assert record.failure.message == "the call of double is signed, and this app has no signing_keys"


def flipped(data: bytes, at: int) -> bytes:
    """Return data with one bit of one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, payload=flipped(job.payload, -2)),
        lambda job: replace(job, payload=flipped(job.payload, 5)),
        lambda job: replace(job, payload=flipped(job.payload, 67)),
        lambda job: replace(job, payload=flipped(job.payload, 68)),
        lambda job: replace(job, payload=job.payload.replace(b"\n", b"", 1)),
        lambda job: replace(job, payload=job.payload.partition(b"\n")[2]),
        lambda job: replace(job, payload=job.payload + b" "),
        lambda job: replace(job, id="another"),
        lambda job: replace(job, task="erase"),
        lambda job: replace(job, queue="other"),
    ],
    ids=["argument", "digest", "blank", "terms", "line feed", "stripped", "longer", "job id", "task", "queue"],
)
async def test_signing_changed_call_makes_job_dead(broker: FlakyBroker, change: Callable[[NewJob], NewJob]) -> None:
    """A change of task, queue, id or payload makes the call dead before it is decoded."""
    parsed: list[bytes] = []

    class Noting(JsonCodec):
        def decoder(self, type: Any) -> Callable[[bytes], Any]:
            read = super().decoder(type)

            def noting(data: bytes) -> Any:
                parsed.append(data)
                return read(data)

            return noting

    app = Aarq(broker, codec=Noting(), signing_keys=[NEW])
    for name in ("double", "erase"):

        @app.task(name=name)
        async def task(_: object, x: int) -> None: ...

    job = change(app.tasks["double"].call(4).job)
    await broker.enqueue([job])
    parsed.clear()  # a client reads what it has encoded, to see whether it arrives
    await drain(app, queues=["default", "other"])
    record = await record_of(broker, job.id, queue=job.queue)
    assert (record.state, record.reason, parsed) == (JobState.DEAD, "bad_signature", [])


async def test_signing_call_is_not_valid_as_result(broker: FlakyBroker) -> None:
    """A call or another job's result is not accepted as a result."""
    app, double = app_with(broker, NEW)
    first, second = await double.enqueue(1), await double.enqueue(2)
    await drain(app)
    stored = broker._table.jobs
    stored["default", first.id].result = stored["default", second.id].result
    with pytest.raises(BadSignature, match=f"the result of job {first.id} of double was changed after it was signed"):
        await first.result(timeout=5)
    stored["default", first.id].result = stored["default", first.id].job.payload
    with pytest.raises(BadSignature):
        await first.result(timeout=5)
    stored["default", first.id].result = b"8"
    with pytest.raises(BadSignature, match="is not signed"):
        await first.result(timeout=5)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"expires": 60}, {"expires": None}),
        ({"expires": 60}, {"expires": 61.0}),
        ({"expires": 60}, {"expires": None, "expires_at": 1e12}),
        ({"expires": 60, "defer_by": 1}, {"expires": None}),
        ({"expires": datetime(2027, 1, 1, tzinfo=UTC)}, {"expires_at": None}),
        ({"expires": datetime(2027, 1, 1, tzinfo=UTC)}, {"expires_at": 1e12}),
        ({}, {"max_crashes": 1000}),
        ({}, {"expires": 1000.0}),
    ],
)
async def test_signing_changed_options_make_job_dead(
    clock: Any, options: dict[str, Any], change: dict[str, Any]
) -> None:
    """A job whose `expires` or `max_crashes` was changed after it was signed is dead and not run."""
    broker = FlakyBroker(clock=clock)
    app, double = app_with(broker, NEW)
    job = replace(double.options(**options).call(4).job, **change)
    await broker.enqueue([job])
    async with working(app, clock=clock):
        await clock.advance(2)
    record = await record_of(broker, job.id)
    assert (record.state, record.reason) == (JobState.DEAD, "bad_signature")
    assert record.failure is not None
    assert "options" in record.failure.message


async def test_signing_unchanged_options_are_valid_for_every_attempt(clock: Any) -> None:
    """A job with all options that are signed runs, is retried after its latest start, and ends."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker, signing_keys=[NEW])
    attempts: list[int] = []

    @app.task(retries=1, retry_delay=120, max_crashes=7)
    async def fragile(ctx: dict[str, Any]) -> int:
        attempts.append(ctx["attempt"])
        if len(attempts) == 1:
            raise ValueError
        return 5

    job = await fragile.options(expires=60, defer_by=1).enqueue()
    async with working(app, clock=clock):
        await clock.advance(200)
        assert await job.result(timeout=5) == 5
    assert attempts == [1, 2]


async def test_signing_scheduled_jobs_are_signed_for_their_ticks(clock: Any) -> None:
    """The jobs of a schedule are valid for their ticks, and read the previous result."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker, signing_keys=[NEW], scheduler=PlainScheduler())
    seen: list[Any] = []

    @app.task(name="report")
    async def report(ctx: dict[str, Any], x: int) -> int:
        seen.append(ctx["previous_result"])
        return x + len(seen)

    app.schedule(report, EverySeconds(10), args=(5,))
    async with working(app, clock=clock):
        await clock.advance(25)
    assert seen == [None, 6]


async def test_signing_job_of_a_tick_is_not_valid_for_another(clock: Any) -> None:
    """A signed job of a tick that is stored under the id of another tick, or of another entry, is dead and not run."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker, signing_keys=[NEW], scheduler=PlainScheduler())
    runs: list[Any] = []

    @app.task(name="report")
    async def report(ctx: dict[str, Any]) -> None:
        runs.append(ctx["scheduled_at"])

    name = app.schedule(report, EverySeconds(10))
    template = app.crons[name].job
    assert template is not None
    genuine = report.signed(replace(template, id=tick_id(name, 100)))
    forged = [replace(genuine, id=tick_id(name, 110)), replace(genuine, id=tick_id("other", 100))]
    await broker.enqueue([genuine, *forged, replace(template, id=tick_id(name, 120))])
    await drain(app)
    assert [run.timestamp() for run in runs] == [100]
    assert [(await record_of(broker, job.id)).reason for job in forged] == ["bad_signature"] * 2


async def test_signing_result_of_a_tick_is_not_valid_for_another(clock: Any) -> None:
    """A job does not see a previous result that was moved from an earlier tick."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker, signing_keys=[NEW], scheduler=PlainScheduler())
    seen: list[Any] = []

    @app.task(name="report")
    async def report(ctx: dict[str, Any]) -> int:
        seen.append(ctx["previous_result"])
        return len(seen)

    key = app.crons[app.schedule(report, EverySeconds(10))].key
    async with working(app, clock=clock):
        await clock.advance(11)
        first = await broker.cron_status(key)
        await clock.advance(10)
        second = await broker.cron_status(key)
        assert first is not None
        assert second is not None
        assert second.last is not None
        await broker.record_ticks([replace(second.last, result=first.last_result)])
        await clock.advance(10)
    assert seen == [None, 1, None]


async def test_signing_does_not_reduce_max_payload(broker: FlakyBroker) -> None:
    """The signature does not count towards `max_payload`."""
    app = Aarq(broker, signing_keys=[NEW], max_payload=50)

    @app.task(name="size")
    async def size(_: object, text: str) -> int:
        return len(text)

    job = await size.enqueue("x" * 39)
    await drain(app)
    assert await job.result(timeout=5) == 39


@pytest.mark.parametrize("size", [51, 10_000_000])
async def test_signing_too_large_call_is_not_decoded(broker: FlakyBroker, size: int) -> None:
    """A payload above the limit makes the job dead as `too_large`, without being decoded."""
    app = Aarq(broker, max_payload=50)

    @app.task(name="work")
    async def work(_: object) -> None: ...

    await broker.enqueue([NewJob(id="j", task="work", queue="default", payload=b"[" * size)])
    await drain(app)
    record = await record_of(broker, "j")
    assert (record.state, record.reason) == (JobState.DEAD, "too_large")
    assert record.failure is not None
    assert record.failure.message.startswith(f"the call of work takes {size:,} bytes and the limit is 50")


@pytest.mark.parametrize(
    ("keys", "error", "complaint"),
    [
        ([], ValueError, "at least one key"),
        ("long enough as a key", TypeError, r"a list of keys.*write \[key\]"),
        (["too short"], ValueError, "at least 16 bytes each, got one with 9"),
        (["long enough as a key", 1], TypeError, "text or bytes, got int"),
    ],
)
def test_signing_invalid_key_is_rejected(keys: Any, error: type[Exception], complaint: str) -> None:
    """The error says what is wrong and does not show the key."""
    with pytest.raises(error, match=f"signing_keys must {'.*' if keys else ''}.*{complaint}") as caught:
        Aarq(MemoryBroker(), signing_keys=keys)
    assert "too short" not in str(caught.value)
    assert "long enough" not in str(caught.value)


def test_signing_keys_are_not_in_repr() -> None:
    """Neither the repr of the app nor that of the signer shows the keys."""
    app = Aarq(MemoryBroker(), signing_keys=[OLD])
    assert OLD not in f"{app!r} {app.signer!r} {app.signer}"


def test_signing_subject_parts_are_delimited() -> None:
    """The boundaries between the parts of a subject are signed, too."""
    signer = Signer([NEW])
    sealed = signer.seal(Subject("call", "ab", "c", "id"), b"")
    with pytest.raises(BadSignature):
        signer.unseal(Subject("call", "a", "bc", "id"), sealed)
    assert signer.unseal(Subject("call", "ab", "c", "id"), sealed) == (b"", b"")


@pytest.mark.parametrize("sealed", [b"", b"s1 ", b"s1 \n", b"s1 " + b"0" * 64, b"s1 " + b"\xff" * 64 + b"\n{}"])
def test_signing_malformed_data_raises_bad_signature(sealed: bytes) -> None:
    """Cut or foreign bytes raise the same kind of error."""
    with pytest.raises(BadSignature):
        Signer([NEW]).unseal(SUBJECT, sealed)
