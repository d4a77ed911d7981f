"""Data whose values were chosen to collide in hash tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from aioq import Aarq, JobDead
from aioq.backends import MemoryBroker
from aioq.errors import SerializationError
from aioq.serialization.hash_flooding import HashFlood
from aioq.serialization.json_codec import JsonCodec
from tests.core.rig import drain

MODULUS = sys.hash_info.modulus
"""Numbers that differ by a multiple of it have the same hash."""

MANY = 12_000

NUMBERS = [MODULUS * (2**20 + k) for k in range(MANY)]
UUIDS = [str(UUID(int=MODULUS * k)) for k in range(1, MANY)]


@dataclass
class Order:
    """An object with a set in a list."""

    lines: list[set[int]] = field(default_factory=list[set[int]])
    next: Order | None = None


class Point(NamedTuple):
    """A tuple that is a value of a set."""

    x: int
    y: int


class Counts(TypedDict):
    """A dict with a dict."""

    by_number: dict[int, int]


class Tagged(msgspec.Struct, tag="tagged", array_like=True, frozen=True):
    """An object that is stored as a list."""

    number: int
    ids: frozenset[UUID] = frozenset()


class Other(msgspec.Struct, tag="other", array_like=True, frozen=True):
    """Another one."""

    number: int


def as_keys(values: Iterable[object]) -> dict[str, int]:
    """Return an object with the values as its keys."""
    return {str(value): 1 for value in values}


def named(value: object) -> str:
    """Return a short name for a type or a path; values have none."""
    return "" if isinstance(value, list | dict | set) else str(value).rpartition(".")[2]


def chained() -> list[int]:
    """Return small numbers of which most fill a long chain of slots of a dict, and the others search its end."""
    mask = (1 << 16) - 1
    chain = [0]
    while len(chain) < 30_000:
        chain.append((5 * chain[-1] + 1) & mask)
    places = {slot: place for place, slot in enumerate(chain)}
    numbers, number = list(chain), mask
    while len(numbers) < 40_000:
        number += 1
        slot, rest = number & mask, number
        while slot in places and rest:
            rest >>= 5
            slot = (5 * slot + 1 + rest) & mask
        if places.get(slot, mask) < 20_000:
            numbers.append(number)
    return numbers


@pytest.mark.parametrize(
    ("type", "value", "path"),
    [
        (set[int], NUMBERS, "the 12,000 values of the set"),
        (frozenset[int], NUMBERS, "the 12,000 values of the set"),
        (set[Any], NUMBERS, "the 12,000 values of the set"),
        (set, NUMBERS, "the 12,000 values of the set"),
        (set[int | str], [*NUMBERS, "x"], "the 12,001 values of the set"),
        (set[Decimal], NUMBERS, "the 12,000 values of the set"),
        (set[UUID], UUIDS, "the 11,999 values of the set"),
        (set[tuple[int, ...]], [[number] for number in NUMBERS], "the 12,000 values of the set"),
        (set[Point], [[number, 1] for number in NUMBERS], "the 12,000 values of the set"),
        (set[Tagged | Other], [["tagged", number] for number in NUMBERS], "the 12,000 values of the set"),
        (set[frozenset[int]], [[number] for number in NUMBERS], "the 12,000 values of the set"),
        (dict[int, int], as_keys(NUMBERS), "the 12,000 keys of the dict"),
        (dict[int, int], as_keys(chained()), "the 40,000 keys of the dict"),
        (dict[Decimal, int], as_keys(NUMBERS), "the 12,000 keys of the dict"),
        (dict[UUID, int], as_keys(UUIDS), "the 11,999 keys of the dict"),
        (Order, {"next": {"lines": [[1], NUMBERS]}}, "next.lines[1]: the 12,000 values of the set"),
        (Counts, {"by_number": as_keys(NUMBERS)}, "by_number: the 12,000 keys of the dict"),
        (Tagged | Other, ["tagged", 1, UUIDS], "[2]: the 11,999 values of the set"),
        (dict[str, set[int] | None], {"a": None, "b": NUMBERS}, "b: the 12,000 values of the set"),
        (list[set[int]], [NUMBERS[n : n + 1000] for n in range(0, MANY, 1000)] * 6, "the 1,000 values of the set"),
    ],
    ids=named,
)
def test_decode_colliding_values_is_refused(type: Any, value: Any, path: str) -> None:
    """A set or dict whose values collide is refused with its path, before it is built."""
    with pytest.raises(HashFlood) as caught:
        JsonCodec().decoder(type)(msgspec.json.encode(value))
    assert path in str(caught.value)
    assert str(caught.value).endswith("; pass them as a list")


@pytest.mark.parametrize(
    "data",
    [
        b'{"ids":%s,"ids":[]}' % msgspec.json.encode(NUMBERS),
        b'{"ids":%s}' % msgspec.json.encode([*NUMBERS, None]),
        b'{"ids":%s}' % msgspec.json.encode(NUMBERS).replace(b"]", b",}"),
        b'{"ids":%s,"unknown":"\xff"}' % msgspec.json.encode(NUMBERS),
    ],
    ids=["the same name twice", "another type at the end", "no JSON at the end", "no text at the end"],
)
def test_decode_colliding_values_in_odd_data_builds_no_table(data: bytes) -> None:
    """Data that are wrong in another way as well do not come to the decoder of the table."""
    built: list[int] = []

    class Ids(msgspec.Struct):
        ids: set[int]

        def __post_init__(self) -> None:
            built.append(len(self.ids))

    try:
        JsonCodec().decoder(Ids)(data)
    except SerializationError:
        pass
    else:
        assert built == [0]


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (set[int], set(range(0, 50_000_000, 1000))),
        (set[float], {Random(1).random() for _ in range(50_000)}),
        (dict[int, int], {1 << n % 60 | n: n for n in range(20_000)}),
        (set[UUID], {UUID(int=Random(n).getrandbits(128)) for n in range(5000)}),
        (dict[str, list[tuple[set[int], int]]], {"a": [(set(range(n)), n) for n in range(100)]}),
        (list[int], NUMBERS),
        (dict[str, int], as_keys(NUMBERS)),
        (set[str], {str(number) for number in NUMBERS}),
    ],
    ids=named,
)
def test_decode_large_values_are_unchanged(type: Any, value: Any) -> None:
    """Large sets and dicts that nobody chose to collide, and lists and texts of any kind, are decoded."""
    codec = JsonCodec()
    assert codec.decoder(type)(codec.encode(value)) == value


def test_decode_wrong_value_in_large_set_names_path() -> None:
    """A value of another type is reported as in a small set."""
    data = msgspec.json.encode({"lines": [[*range(1000), "x"]]})
    with pytest.raises(SerializationError, match=r"lines\[0\]\[1000\]: expected 'int', got 'str'"):
        JsonCodec().decoder(Order)(data)


async def test_worker_colliding_argument_is_dead_at_once() -> None:
    """A job with such an argument is dead as malformed. It is not handed back as one of another release."""
    app = Aarq(MemoryBroker())

    @app.task(name="work")
    async def honest(_: object, ids: list[int]) -> None: ...

    job = await honest.enqueue(NUMBERS)
    worker_app = Aarq(app.broker)

    @worker_app.task(name="work")
    async def work(_: object, ids: set[int]) -> None: ...

    await drain(worker_app)
    with pytest.raises(JobDead, match="malformed.*ids: the 12,000 values of the set collide"):
        await job.result(timeout=5)


async def test_enqueue_colliding_argument_raises() -> None:
    """The caller of a task hears of it where it stands."""
    app = Aarq(MemoryBroker())

    @app.task
    async def work(_: object, ids: set[int]) -> None: ...

    with pytest.raises(SerializationError, match=r"argument ids: the 8,000 values of the set collide"):
        await work.enqueue(set(NUMBERS[:8000]))


async def test_result_colliding_values_raises() -> None:
    """A client that waits for a result gets an error, and does not build the set."""
    app = Aarq(MemoryBroker())

    @app.task(name="work")
    async def forged(_: object) -> list[int]:
        return NUMBERS

    reader = Aarq(app.broker)

    @reader.task(name="work")
    async def work(_: object) -> set[int]:
        return set()

    job = await work.enqueue()
    await drain(app)
    with pytest.raises(SerializationError, match="the 12,000 values of the set collide"):
        await job.result(timeout=5)


def test_decode_colliding_values_in_pydantic_model_is_refused() -> None:
    """The fields of models are checked too, by their names and aliases, in models that contain themselves."""
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]  # the import is optional
        ids: set[int] = pydantic.Field(default=set(), alias="IDS")
        inner: list[Model] = pydantic.Field(default=[])

    Model.model_rebuild(_types_namespace={"Model": Model})
    decode = JsonCodec().decoder(list[Model])
    with pytest.raises(HashFlood, match=r"\[0\].inner\[0\].IDS: the 12,000 values"):
        decode(msgspec.json.encode([{"inner": [{"IDS": NUMBERS}]}]))
    assert decode(msgspec.json.encode([{"IDS": list(range(100))}]))[0].ids == set(range(100))
