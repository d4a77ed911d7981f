"""Tasks: what can be one, what it is called, and how a run of it is asked for."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol, cast

import pytest

from aioq import Aarq, DuplicateName, JobContext, PayloadTooLarge, Task, TaskDefinitionError, UnknownTask
from aioq.backends import MemoryBroker
from aioq.callables import name_of, where
from aioq.errors import InvalidJobId
from aioq.model.job import NewJob
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain

HERE = "tests.core.test_task"


async def send(_: object, to: str) -> str:
    """Send something."""
    return to


def generator(_: object) -> Generator[int, None, None]:
    """No task: it yields."""
    yield 1


async def async_generator(_: object) -> AsyncGenerator[int, None]:
    """No task: it yields."""
    yield 1


class Callable_:  # noqa: N801  # the name is asked for below
    """An object that can be called, as a class-based task is."""

    async def __call__(self, _: object) -> int:
        """Run."""
        return 7


class Adder:
    """Has a method, and can be called."""

    def add(self, _: object, a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    __call__ = add


class AsyncAdder:
    """The same for the event loop."""

    async def add(self, _: object, a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    __call__ = add


class Stream:
    """No task: its call yields."""

    def __call__(self, _: object) -> Generator[int, None, None]:
        """Yield."""
        yield 1


class Own(JobContext):
    """A context with keys of a lifespan."""

    database: str


class HasKeys(Protocol):
    """A context as a protocol."""

    def __getitem__(self, key: str, /) -> object: ...


# What can be a task


def test_task_decorator_with_and_without_options(app: Aarq) -> None:
    """`@app.task` and `@app.task(...)` both make a task."""
    plain = app.task(send)
    tuned = app.task(name="tuned", retries=3)(send)
    assert (plain.defaults.retries, tuned.defaults.retries) == (0, 3)
    assert [task.name for task in app.tasks] == [f"{HERE}.send", "tuned"]


def test_task_has_docstring_of_function(app: Aarq) -> None:
    """A task has the docstring and the wrapped function; its repr shows the name."""
    task = app.task(send)
    assert task.__doc__ == "Send something."
    assert task.function is send
    assert repr(task) == f"<Task {HERE}.send>"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (generator, "is a generator; a task returns one value"),
        (async_generator, "is a generator; a task returns one value"),
        (lambda: None, "must take the context as its first parameter"),
        (lambda *args: None, "must take the context as its first parameter"),
        (lambda *, ctx: None, "must take the context as its first parameter"),
        (5, "a task is a function, got 5"),
        (dict, "cannot be a task"),
    ],
)
def test_task_invalid_function_is_rejected(app: Aarq, function: Any, why: str) -> None:
    """The decorator rejects what cannot be a task, and says why."""
    with pytest.raises(TaskDefinitionError, match=why):
        app.task(function)
    assert len(app.tasks) == 0


def test_task_of_task_is_rejected(app: Aarq) -> None:
    """A task cannot be decorated again."""
    task = app.task(send)
    with pytest.raises(TaskDefinitionError, match="send is already a task; decorate the function once"):
        app.task(name="again")(task)


@pytest.mark.parametrize(
    ("option", "advice"),
    [("colour", "help"), ("rety", "did you mean .*retries"), ("retires", "did you mean .*retries")],
)
def test_task_unknown_option_is_rejected(app: Aarq, option: str, advice: str) -> None:
    """The error names a misspelt option, and the one that was meant."""
    options: dict[str, Any] = {option: 3}
    with pytest.raises(TypeError, match=f"^there is no option {option}; {advice}"):
        app.task(**options)


@pytest.mark.parametrize("name", ["delay", "apply_async", "kiq", "send", "send_with_options"])
def test_task_method_of_other_library_has_hint(app: Aarq, name: str) -> None:
    """A method of another library raises an AttributeError with what to write instead."""
    task: Any = app.task(send)
    with pytest.raises(AttributeError, match=rf"has no attribute {name}; in aioq it is: await task\."):
        getattr(task, name)("you")
    assert not hasattr(task, name)


@pytest.mark.parametrize("kind", [Aarq, Task])
def test_hints_at_other_libraries_leave_attributes_fast(kind: type) -> None:
    """The hints are no `__getattr__`, which would slow down each attribute that the worker reads for a job."""
    assert not hasattr(kind, "__getattr__")


async def test_enqueue_many_of_other_than_calls_is_rejected(app: Aarq) -> None:
    """The error for tuples says how to make calls of them."""
    task: Any = app.task(send)
    with pytest.raises(TypeError, match=r"takes calls, got tuple; write send\.call\(\.\.\.\) for each"):
        await task.enqueue_many([("you",), ("me",)])
    with pytest.raises(TypeError, match=r"takes calls, got str; write task\.call"):
        await app.enqueue_many(cast("Any", ["you"]))


@pytest.mark.parametrize("plain", [False, True], ids=["async", "def"])
async def test_task_from_object_or_partial_runs(app: Aarq, plain: bool) -> None:
    """Objects, partials of functions and of objects, and bound methods run as tasks."""
    adder = Adder() if plain else AsyncAdder()
    made = [
        app.task(name="object")(adder),
        app.task(name="partial")(functools.partial(adder.add, b=2)),
        app.task(name="of-object")(functools.partial(adder, b=3)),
        app.task(adder.add),
    ]
    jobs = [await task.enqueue(1) for task in made]
    await drain(app)
    assert [await job.result(timeout=5) for job in jobs] == [2, 3, 4, 2]
    assert [task.is_async for task in made] == [not plain] * 4


@pytest.mark.parametrize(
    ("function", "kind"), [(Callable_(), "an object of"), (functools.partial(send, to="you"), "a partial of")]
)
def test_task_without_name_is_rejected(app: Aarq, function: Any, kind: str) -> None:
    """What has no name of its own needs one."""
    with pytest.raises(TaskDefinitionError, match=rf'^{kind} tests\.core.* has no name .* app\.task\(name="\.\.\."\)$'):
        app.task(function)
    assert app.task(name="named")(function).name == "named"


def test_task_of_generator_object_is_rejected(app: Aarq) -> None:
    """An object whose `__call__` is a generator would run none of its code, and neither would a partial of it."""
    for function in (Stream(), functools.partial(generator)):
        with pytest.raises(TaskDefinitionError, match="is a generator"):
            app.task(name="stream")(function)


def test_task_method_is_rejected_where_it_stands(app: Aarq) -> None:
    """A method has no object in a worker; the error says what to register instead."""

    class Mailer:
        async def send(self, ctx: JobContext, to: str) -> None: ...

    with pytest.raises(TaskDefinitionError) as caught:
        app.task(Mailer.send)
    assert str(caught.value) == (
        f"{HERE}.test_task_method_is_rejected_where_it_stands.Mailer.send is a method, and a worker has no object to "
        "call it on; define a function outside of the class, or register the method of an object, for example "
        "app.task(Mailer().send)"
    )


def test_task_static_function_of_class_is_accepted(app: Aarq) -> None:
    """A function of a class body that takes no object can be a task."""

    class Mailer:
        @staticmethod
        @app.task(name="send")
        async def send(ctx: JobContext, to: str) -> None: ...

    assert Mailer.send.call("you").job.task == "send"


async def ping(url: str) -> None:
    """No task: it takes no context."""


async def ping_hosts(hosts: list[str], *, port: int = 80) -> None:
    """No task either."""


def ping_host(_: object) -> None:
    """A task."""


@pytest.mark.parametrize(
    ("function", "write"),
    [
        (ping, r"url: str cannot be it; write async def ping\(ctx: JobContext, url: str\)$"),
        (ping_hosts, r"write async def ping_hosts\(ctx: JobContext, hosts: list\[str\], \.\.\.\)$"),
    ],
)
def test_task_without_context_is_rejected_where_it_stands(app: Aarq, function: Any, write: str) -> None:
    """A first parameter that is annotated as something else is no context; the error says what to write."""
    with pytest.raises(TaskDefinitionError, match=write):
        app.task(function)


@pytest.mark.parametrize(
    "kind",
    [Any, object, dict, dict[str, int], Mapping[str, object], JobContext, Own, Own | None, HasKeys, "Later", "a.b"],
)
def test_task_own_context_type_is_accepted(app: Aarq, kind: Any) -> None:
    """The context may be annotated as every type that a dict can have, and as one that is not defined yet."""

    async def task(ctx: object) -> None: ...

    task.__annotations__["ctx"] = kind
    assert app.task(task).call().job.payload == b"{}"


@pytest.mark.parametrize("kind", [str, int, bytes, list[int], datetime, Adder, str | int, "datetime"])
def test_task_other_first_parameter_is_rejected(app: Aarq, kind: Any) -> None:
    """What a dict cannot be is no annotation of the context."""

    async def task(ctx: object) -> None: ...

    task.__annotations__["ctx"] = kind
    with pytest.raises(TaskDefinitionError, match="must take the context as its first parameter, and ctx: "):
        app.task(task)


# What it is called


def test_task_name_default_is_module_and_function() -> None:
    """The default name is the same in every process that imports the module."""
    assert name_of(send) == f"{HERE}.send"
    assert name_of(Callable_.__call__) == f"{HERE}.Callable_.__call__"


def test_task_name_omits_angle_brackets() -> None:
    """The name omits what Python writes in angle brackets."""

    def inner(_: object) -> None: ...

    place = f"{HERE}.test_task_name_omits_angle_brackets"
    assert name_of(inner) == f"{place}.inner"
    assert name_of(lambda: None) == f"{place}.lambda"
    assert name_of(next(lambda: None for _ in "x")).replace("genexpr.", "") == f"{place}.lambda"


@pytest.mark.parametrize("name", ["__main__", "__mp_main__"])
@pytest.mark.parametrize(
    ("attributes", "module"),
    [
        ({"__file__": "/srv/app/jobs.py", "__spec__": None}, "jobs"),
        ({"__spec__": SimpleNamespace(name="shop.jobs"), "__file__": "x.py"}, "shop.jobs"),
        ({"__spec__": SimpleNamespace(name="shop.__main__"), "__file__": "x.py"}, "shop"),
    ],
    ids=["script", "python -m module", "python -m package"],
)
def test_task_name_of_script_is_import_name(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], module: str, name: str
) -> None:
    """A function of `__main__` has the name under which a worker imports it."""
    main = ModuleType(name)
    vars(main).update(attributes)
    monkeypatch.setitem(sys.modules, name, main)
    assert name_of(_in_main(name)) == f"{module}.f"


def test_task_name_without_file_is_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the module stays `__main__`."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    assert name_of(_in_main("__main__")) == "__main__.f"


def _in_main(module: str) -> Callable[..., Any]:
    def f(_: object) -> None: ...

    f.__module__, f.__qualname__ = module, "f"
    return f


def test_task_name_explicit(app: Aarq) -> None:
    """The name in the decorator is the task's name."""
    assert app.task(name="mail:send-v1")(send).name == "mail:send-v1"


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 201, "a\nb", "a{b}", "a\x00"])
def test_task_name_invalid_is_rejected(app: Aarq, name: str) -> None:
    """Names that keys and log lines cannot contain are rejected."""
    with pytest.raises(ValueError, match="^name "):
        app.task(name=name)(send)


def test_task_name_twice_is_rejected(app: Aarq) -> None:
    """The error names both places."""
    app.task(name="mail")(send)
    with pytest.raises(DuplicateName) as caught:
        app.task(name="mail")(ping_host)
    first, second = where(send), where(ping_host)
    assert str(caught.value) == (
        f"task mail is defined twice, at {first} and at {second}; give one of them another name="
    )
    assert first.startswith(__file__)
    assert first != second


def test_registry_finds_tasks_by_name(app: Aarq) -> None:
    """The registry returns known tasks, and lists them in the error for unknown ones."""
    task = app.task(name="mail")(send)
    assert app.tasks["mail"] is task
    assert "mail" in app.tasks
    assert "fax" not in app.tasks
    with pytest.raises(UnknownTask, match=r"^no task is named fax \(known: mail\)$"):
        _ = app.tasks["fax"]


# Asking for a run


async def test_enqueue_stores_one_job(app: Aarq, broker: FlakyBroker) -> None:
    """`enqueue` stores one job with task, arguments and queue."""
    job = await app.task(queue="mail", priority=7, max_crashes=5)(send).enqueue("you")
    record = await job.info()
    assert record is not None
    assert (record.task, record.queue, record.payload, record.priority) == (
        f"{HERE}.send",
        "mail",
        b'{"to":"you"}',
        7,
    )
    assert (job.id, job.task, job.queue) == (record.id, record.task, record.queue)
    assert repr(job) == f"<Job {job.id} of {HERE}.send in mail>"


async def test_enqueue_many_is_one_call_of_broker(app: Aarq, broker: FlakyBroker) -> None:
    """Many jobs are stored by one call of the broker, and returned in order."""
    task = app.task(send)
    jobs = await task.enqueue_many(task.call(str(n)) for n in range(100))
    assert broker.calls["enqueue"] == 1
    payloads = [record.payload for job in jobs if (record := await job.info())]
    assert payloads == [b'{"to":"%d"}' % n for n in range(100)]


async def test_enqueue_many_empty_returns_empty_list(app: Aarq) -> None:
    """No calls store no jobs."""
    assert await app.task(send).enqueue_many([]) == []


async def test_enqueue_many_call_of_other_task_is_rejected(app: Aarq) -> None:
    """A call of another task is rejected; the error names `app.enqueue_many`."""
    one, two = app.task(name="one")(send), app.task(name="two")(send)
    with pytest.raises(ValueError, match=r"^enqueue_many of one was given a call of two; use app\.enqueue_many$"):
        await one.enqueue_many([two.call("x")])


def test_call_has_id_and_options(app: Aarq) -> None:
    """A call has its id and the options of its task, and is not stored."""
    call = app.task(max_crashes=2)(send).call("you")
    assert call.job == NewJob(
        id=call.job.id, task=f"{HERE}.send", queue="default", payload=b'{"to":"you"}', max_crashes=2
    )


def test_call_ids_are_unique_and_ordered(app: Aarq) -> None:
    """Ids are unique and sort by the millisecond of their creation."""
    task = app.task(send)
    ids = [task.call("x").job.id for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(id) == 21 for id in ids)
    stamps = [id[:7] for id in ids]
    assert stamps == sorted(stamps)


def test_options_override_task_options(app: Aarq) -> None:
    """`options` overrides the task's options for the jobs enqueued through it."""
    task = app.task(priority=7)(send)
    chosen = task.options(priority=0, defer_by=60, job_id="mine").call("x").job
    assert (chosen.priority, chosen.delay, chosen.id) == (0, 60, "mine")
    assert task.call("x").job.priority == 7


async def test_enqueue_same_job_id_stores_one_job(app: Aarq, broker: FlakyBroker) -> None:
    """Enqueueing the same arguments under one id twice stores one job."""
    task = app.task(send)
    one = await task.options(job_id="daily").enqueue("you")
    two = await task.options(job_id="daily").enqueue("you")
    assert one.id == two.id == "daily"
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


def test_enqueue_above_max_payload_is_rejected(app: Aarq) -> None:
    """Arguments above the limit are not stored; the error shows their size."""
    task = Aarq(MemoryBroker(), max_payload=100).task(send)
    task.call("x" * 91)
    with pytest.raises(PayloadTooLarge) as caught:
        task.call("x" * 1092)
    assert str(caught.value) == (
        f"a call of {HERE}.send takes 1,101 bytes and the limit is 100; "
        f"store the data elsewhere and pass a reference, or raise Aarq(max_payload=...)"
    )
    assert (caught.value.size, caught.value.limit) == (1101, 100)


def test_enqueue_parameters_may_have_any_name(app: Aarq) -> None:
    """Parameter names of our own methods can be used by tasks."""

    @app.task
    async def odd(_: object, self: int, ctx: int, args: int, kwargs: int) -> None: ...

    assert odd.call(self=1, ctx=2, args=3, kwargs=4).job.payload == b'{"self":1,"ctx":2,"args":3,"kwargs":4}'


def test_job_returns_handle_of_id(app: Aarq) -> None:
    """`Task.job` checks an id and returns its handle."""
    task = app.task(queue="mail")(send)
    assert (task.job("abc").id, task.job("abc").queue) == ("abc", "mail")
    with pytest.raises(InvalidJobId, match="^job_id 'a b' is not of the form"):
        task.job("a b")
    with pytest.raises(InvalidJobId, match="^job_id 'a b' is not of the form"):
        task.options(job_id="a b")
