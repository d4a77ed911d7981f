"""The description of tasks that workers register, and what changes between two releases break."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from datetime import datetime
from typing import Any

import msgspec
import pytest

from aioq import Aarq
from aioq.model.tasks import ParameterInfo, TaskInfo
from aioq.task_changes import MAX_DESCRIPTION, MAX_TYPE, breaking_changes, describe_tasks
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import settle_down, working


@dataclass
class Order:
    """An order."""

    number: int
    title: str


def described(function: Any) -> tuple[ParameterInfo, ...]:
    """Return the description of a function's parameters."""
    app = Aarq()
    app.task(name="t")(function)
    (info,) = describe_tasks(app.tasks)
    return info.parameters


def test_describe_tasks_has_names_types_defaults_and_queues() -> None:
    """Each task has its queue and its parameters, without the context."""
    app = Aarq()

    @app.task(name="send", queue="mails")
    async def send(ctx: object, /, to: str, *args: int, when: datetime | None = None, **kwargs: Any) -> None: ...

    @app.task(name="plain")
    async def plain(ctx: object, value) -> None: ...  # type: ignore[no-untyped-def]

    assert describe_tasks(app.tasks) == (
        TaskInfo("plain", "default", (ParameterInfo("value", "Any", True),)),
        TaskInfo(
            "send",
            "mails",
            (
                ParameterInfo("to", "str", True),
                ParameterInfo("*args", "int", False),
                ParameterInfo("when", "datetime.datetime | None", False),
                ParameterInfo("**kwargs", "Any", False),
            ),
        ),
    )


def test_describe_tasks_class_has_a_digest_of_its_fields() -> None:
    """Another field changes the digest, and another docstring does not."""

    async def first(ctx: object, order: Order) -> None: ...

    digests: list[str] = []
    same, other_field = [("number", int), ("title", str)], [("number", int), ("title", int)]
    for fields, text in ((same, "An order."), (same, "Other."), (other_field, "")):
        shape = make_dataclass("Order", fields)
        shape.__doc__ = text

        async def other(ctx: object, order: Any) -> None: ...

        other.__annotations__["order"] = shape
        digests.append(described(other)[0].type.partition("#")[2])
    assert described(first)[0].type.endswith(f"Order#{digests[0]}")
    assert digests[0] == digests[1] != digests[2]


def test_describe_tasks_long_type_is_cut_and_still_compared() -> None:
    """The end of a long annotation counts, too."""

    async def one(ctx: object, x: Any) -> None: ...

    async def two(ctx: object, x: Any) -> None: ...

    long = dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, datetime]]]]]]]]]
    one.__annotations__["x"] = dict[str, dict[str, long]]
    two.__annotations__["x"] = dict[str, dict[str, dict[str, long]]]
    texts = [described(function)[0].type for function in (one, two)]
    assert texts[0] != texts[1]
    assert max(map(len, texts)) <= MAX_TYPE + 20


def test_describe_tasks_is_bounded() -> None:
    """An app with very many tasks describes as many as fit."""
    app = Aarq()

    async def body(ctx: object, first_parameter: int, second_parameter: str) -> None: ...

    for number in range(1000):
        app.task(name=f"task-{number:04}")(body)
    infos = describe_tasks(app.tasks)
    assert 300 < len(infos) < 1000
    assert len(msgspec.json.encode(infos)) <= MAX_DESCRIPTION + 2


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ([("a", "int", True)], [("a", "int", True), ("b", "int", False)], []),
        ([("a", "int", True)], [("a", "int", True), ("b", "int", True)], ["parameter added"]),
        ([("a", "int", True)], [], ["parameter removed"]),
        ([("a", "int", True)], [("**kw", "Any", False)], []),
        ([("a", "int", False)], [("a", "int", True)], ["default removed"]),
        ([("a", "int", True)], [("a", "int", False)], []),
        ([("a", "int", True)], [("a", "str", True)], ["type changed"]),
        ([("**kw", "Any", False)], [], ["parameter removed"]),
        ([("a", "int", True)], [("b", "int", True)], ["parameter removed", "parameter added"]),
    ],
)
def test_breaking_changes_of_parameters(
    before: list[tuple[str, str, bool]], after: list[tuple[str, str, bool]], kinds: list[str]
) -> None:
    """A change is one that makes jobs of the registered release unfit for the code."""
    old, new = (TaskInfo("t", "q", tuple(ParameterInfo(*fields) for fields in side)) for side in (before, after))
    assert [change.kind for change in breaking_changes([old, old], [new])] == kinds


def test_breaking_changes_of_removed_task() -> None:
    """A task of a running worker that the code lacks was removed; the other way round it was added."""
    task = TaskInfo("t", "q", ())
    assert [change.kind for change in breaking_changes([task], [])] == ["task removed"]
    assert breaking_changes([], [task]) == []


async def test_worker_registers_its_tasks(clock: VirtualClock) -> None:
    """The registration of a worker has its app, its tasks, and whether it consumes all queues of the app."""
    app = Aarq(broker := FlakyBroker(clock=clock), name="shop")

    @app.task(name="send", queue="mails")
    async def send(ctx: object, to: str) -> None: ...

    async with working(app, clock=clock, id="w1"), working(app, clock=clock, id="w2", queues=["mails"]):
        await settle_down()
        first, second = await broker.list_workers()
    assert first.tasks == second.tasks == describe_tasks(app.tasks)
    assert (first.app, first.all_queues, second.all_queues, first.tasks_left_out) == ("shop", True, False, 0)
