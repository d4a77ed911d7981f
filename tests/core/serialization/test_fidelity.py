"""Typed values arrive as what they were sent as, arguments and results alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.serialization.arguments import CallSignature
from aioq.serialization.json_codec import JsonCodec
from tests.core.rig import drain
from tests.core.shapes import Address, Colour, Level, Order, Part, Point, Reading

Annotation: TypeAlias = Any

NOON = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
TODAY = date(2026, 1, 1)
ORDER = Order(
    UUID(int=1),
    NOON,
    [Part(Decimal("1.10"), {"a", "b"}), Part(Decimal(2))],
    {TODAY: 3},
    Order(UUID(int=2), NOON, []),
)

TRAVELLERS: list[tuple[Annotation, Any]] = [
    (datetime, NOON),
    (datetime, NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    (datetime, datetime(2026, 1, 1, 12)),
    (date, TODAY),
    (time, time(23, 59, 59, 999999)),
    (time, time(1, 2, tzinfo=UTC)),
    (timedelta, timedelta(days=-3, microseconds=7)),
    (UUID, UUID("12345678-1234-5678-1234-567812345678")),
    (Decimal, Decimal("-0.10")),
    (Decimal, Decimal("1E+3")),
    (Colour, Colour.BLUE),
    (Level, Level.HIGH),
    (Literal["a", 1], "a"),
    (bytes, bytes(range(256))),
    (bytearray, bytearray(b"\x00\xff")),
    (set[date], {TODAY}),
    (frozenset[int], frozenset({1, 2})),
    (tuple[int, str], (1, "a")),
    (tuple[date, ...], (TODAY, TODAY)),
    (list[list[UUID]], [[UUID(int=1)], []]),
    (dict[str, Decimal], {"a": Decimal(1)}),
    (dict[int, list[str]], {1: ["a"]}),
    (dict[UUID, date], {UUID(int=3): TODAY}),
    (Mapping[str, date], {"a": TODAY}),
    (Sequence[date], [TODAY]),
    (Part, Part(Decimal("0.1"), {"x"})),
    (Order, ORDER),
    (Order | None, None),
    (list[Order | None], [ORDER, None]),
    (Point, Point(1, TODAY)),
    (Address, {"city": "Oslo", "since": TODAY}),
    (Address, {"city": "Oslo"}),
    (Reading, Reading(time(1), b"\x00", timedelta(seconds=1))),
    (date | int, TODAY),
    (date | int, 5),
    (float, 1.5),
    (float, 1e300),
    (int, 2**200),
    (int, -(2**63) - 1),
    (str, "ä\u2028\x00\n"),
    (bool, True),
    (None, None),
    (Any, {"a": [1, None]}),
    (msgspec.Raw, msgspec.Raw(b'{"a":1}')),
]


IDS = [getattr(annotation, "__name__", str(annotation)) for annotation, _ in TRAVELLERS]
"""By annotation alone: the values of a set, or of an address, differ from one process to the next."""


def function_of(annotation: Annotation) -> Callable[..., Any]:
    """Return a function that takes and returns a type."""

    def f(_: object, x: Any, many: Any = None) -> Any: ...

    f.__annotations__ = {"x": annotation, "many": list[annotation], "return": annotation}
    return f


def arrived(annotation: Annotation, value: Any) -> Any:
    """Send a value as an argument, alone and in a list, and return it as it comes out."""
    signature = CallSignature(function_of(annotation), JsonCodec(), "tasks.f")
    (x, (y,)), _ = signature.decode(signature.encode((value, [value]), {}))
    assert x == y
    return x


@pytest.mark.parametrize(("annotation", "value"), TRAVELLERS, ids=IDS)
def test_argument_arrives_equal_and_of_same_type(annotation: Annotation, value: Any) -> None:
    """An argument arrives equal and with the same type."""
    got = arrived(annotation, value)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(("annotation", "value"), TRAVELLERS, ids=IDS)
async def test_result_arrives_equal_and_of_same_type(annotation: Annotation, value: Any) -> None:
    """A result passes worker, broker and client unchanged."""
    app = Aarq(MemoryBroker())

    async def give(_: object) -> Any:
        return value

    give.__annotations__ = {"return": annotation}
    job = await app.task(give).enqueue()
    await drain(app)
    got = await job.result(timeout=5)
    assert got == value
    assert type(got) is type(value)


async def test_task_receives_the_enqueued_types() -> None:
    """The task is called with what `enqueue` was called with."""
    app = Aarq(MemoryBroker())
    got: list[Any] = []

    @app.task
    async def take(_: object, /, order: Order, *points: Point, colour: Colour, **days: date) -> None:
        got.extend((order, points, colour, days))

    await take.enqueue(ORDER, Point(1, TODAY), Point(2, TODAY), colour=Colour.RED, monday=TODAY)
    await drain(app)
    assert got == [ORDER, (Point(1, TODAY), Point(2, TODAY)), Colour.RED, {"monday": TODAY}]


def test_argument_integer_for_float_arrives_as_float() -> None:
    """An integer for a float arrives as a float."""
    assert arrived(float, 1) == 1.0
    assert isinstance(arrived(float, 1), float)


# Properties

texts = st.text(st.characters(exclude_categories=["Cs"]))
zones = st.timezones() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(1900, 1, 1), timezones=zones | st.just(UTC))
# A datetime in an hour that comes twice equals none of another zone: it has a test of its own.
comparable = moments.filter(lambda moment: moment == moment.astimezone(UTC))
whole_minutes = comparable.filter(lambda moment: not (moment.utcoffset() or timedelta()).total_seconds() % 60)
numbers = st.decimals(allow_nan=False)
parts = st.builds(Part, numbers, st.sets(texts))
orders = st.recursive(
    st.builds(Order, st.uuids(), whole_minutes, st.lists(parts), st.dictionaries(st.dates(), st.integers())),
    lambda inner: st.builds(Order, st.uuids(), whole_minutes, st.lists(parts), parent=inner),
    max_leaves=4,
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)
cases = st.one_of(
    st.tuples(st.just(datetime), whole_minutes),
    st.tuples(st.just(time), st.times()),
    st.tuples(st.just(timedelta), st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999))),
    st.tuples(st.just(Decimal), numbers),
    st.tuples(st.just(bytes), st.binary()),
    st.tuples(st.just(float), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(frozenset[UUID]), st.frozensets(st.uuids())),
    st.tuples(st.just(dict[date, list[Colour]]), st.dictionaries(st.dates(), st.lists(st.sampled_from(Colour)))),
    st.tuples(st.just(Point), st.builds(Point, st.integers(), st.dates())),
    st.tuples(st.just(Reading), st.builds(Reading, st.times(), st.binary())),
    st.tuples(st.just(Order), orders),
    st.tuples(st.just(Any), plain),
)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_argument_any_value_of_type_survives(case: tuple[Annotation, Any]) -> None:
    """Generated values of each type arrive equal and with the same type."""
    annotation, value = case
    got = arrived(annotation, value)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("fold", [0, 1])
def test_argument_datetime_in_repeated_hour_arrives(fold: int) -> None:
    """A datetime in a repeated hour arrives as the same moment."""
    twice = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))
    assert arrived(datetime, twice).astimezone(UTC) == datetime(2026, 10, 25, fold, 30, tzinfo=UTC)


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.floats() | st.none() | texts | st.dates(), lambda inner: st.lists(inner) | st.sets(st.dates())))
def test_argument_unannotated_arrives_equal_or_raises(value: Any) -> None:
    """An unannotated value arrives equal, or `encode` raises."""
    signature = CallSignature(lambda _, x: None, JsonCodec(), "tasks.f")
    try:
        payload = signature.encode((value,), {})
    except ValueError:
        return
    (got,), _ = signature.decode(payload)
    assert got == value


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_decode_any_bytes_raises_only_serialization_error(payload: bytes) -> None:
    """Any bytes give arguments or raise SerializationError."""
    try:
        CallSignature(function_of(Order), JsonCodec(), "tasks.f").decode(payload)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # the point is that nothing else is raised
