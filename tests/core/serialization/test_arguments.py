"""How a call's arguments are bound, checked, sent and read back."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Never
from uuid import UUID

import msgspec
import pytest

from aioq import Aarq, SerializationError, TaskDefinitionError
from aioq.serialization.arguments import CallSignature
from aioq.serialization.json_codec import JsonCodec
from tests.core.rig import drain
from tests.core.shapes import Address, Colour, Order, Part, Percent, Point

if TYPE_CHECKING:
    from nowhere import Elsewhere  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

Function = Callable[..., Any]


def trip(function: Function, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Send a call and return how it would be made at the other end."""
    signature = CallSignature(function, JsonCodec(), "tasks.f")
    return signature.decode(signature.encode(args, kwargs))


def sent(function: Function, *args: Any, **kwargs: Any) -> bytes:
    """Return the payload of a call."""
    return CallSignature(function, JsonCodec(), "tasks.f").encode(args, kwargs)


def refusal(function: Function, *args: Any, **kwargs: Any) -> str:
    """Return why a call cannot be sent."""
    with pytest.raises(SerializationError) as caught:
        sent(function, *args, **kwargs)
    return str(caught.value)


class Broken:
    """Has a JSON form, and cannot give it."""

    def model_dump(self, **_: object) -> object:
        """Fail."""
        raise KeyError("no such field")


class Prickly(msgspec.Struct, eq=False):
    """Does not like to be compared."""

    x: int

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Mine:
    """A class like any other."""


def send(_: object, to: str, when: datetime | None = None, count: int = 1) -> None:
    """An ordinary task."""


def every_kind(_: object, a: int, /, b: int, *rest: int, c: date, d: int = 4, **more: UUID) -> None:
    """Every kind of parameter."""


def anything(_: object, x, y=None):  # type: ignore[no-untyped-def]  # pyright: ignore[reportMissingParameterType]
    """No annotations."""


# Binding


def test_encode_arguments_by_name() -> None:
    """The payload is a JSON object of parameters."""
    assert sent(send, "you", count=2) == b'{"to":"you","count":2}'


def test_encode_omits_defaults() -> None:
    """Arguments that are left out are not encoded, so the worker's defaults apply."""
    assert sent(send, "you") == b'{"to":"you"}'
    assert trip(send, "you") == (["you"], {})
    assert trip(send, "you", count=2) == (["you"], {"count": 2})


def test_decode_every_kind_of_parameter() -> None:
    """Positional-only, *args, keyword-only and **kwargs arrive as they were passed."""
    day, id = date(2026, 1, 1), UUID(int=7)
    assert trip(every_kind, 1, 2, c=day) == ([1, 2], {"c": day})
    assert trip(every_kind, 1, 2, 3, 4, c=day, d=5, id=id) == ([1, 2, 3, 4], {"c": day, "d": 5, "id": id})
    assert trip(every_kind, 1, b=2, c=day) == ([1, 2], {"c": day})


def test_decode_positional_only_default() -> None:
    """A positional-only parameter with a default may be left out."""

    def f(_: object, a: int = 1, b: int = 2, /, c: int = 3) -> None: ...

    assert trip(f) == ([], {})
    assert trip(f, 7) == ([7], {})
    assert trip(f, c=9) == ([], {"c": 9})


def test_encode_without_arguments() -> None:
    """A task may have no parameter but the context."""

    def f(_: object) -> None: ...

    assert (sent(f), trip(f)) == (b"{}", ([], {}))


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [((), {}, "'to'"), (("a", None, 1, 2), {}, ""), (("a",), {"cc": "b"}, "'cc'"), (("a",), {"to": "b"}, "'to'")],
    ids=["missing", "extra", "unexpected", "twice"],
)
def test_encode_wrong_arguments_raise_type_error(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    """The TypeError names the task and shows its signature, followed by msgspec's reason."""
    with pytest.raises(TypeError) as caught:
        sent(send, *args, **kwargs)
    shown, _, reason = str(caught.value).partition("): ")
    assert shown == "tasks.f(to: str, when: datetime.datetime | None = None, count: int = 1"
    assert reason[0].islower()
    assert named in reason


@pytest.mark.parametrize(
    ("args", "kwargs", "named"), [((1,), {}, "'b'"), ((1, 2), {}, "'c'"), ((), {"a": 1, "b": 2, "c": 3}, "'a'")]
)
def test_encode_wrong_arguments_of_variadic_task(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    """The TypeError is the same for signatures with stars and slashes."""
    with pytest.raises(TypeError, match=r"^tasks\.f\(a: int, /, b: int, \*rest") as caught:
        sent(every_kind, *args, **kwargs)
    assert named in str(caught.value).partition("): ")[2]  # each Python has words of its own


# Refusals name the path


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((5,), "to: "),
        ((None,), "to: "),
        (("a", "tomorrow"), "when: "),
        (("a", None, "3"), "count: "),
        (("a", None, True), "count: "),
        (("\ud800",), "to: the text is not valid Unicode ("),
        (("a", object()), "when: object has no JSON form"),
    ],
)
def test_encode_wrong_value_names_path(args: tuple[Any, ...], text: str) -> None:
    """The error names the task, the argument and the reason."""
    said = refusal(send, *args)
    assert said.startswith(f"tasks.f: argument {text}")
    assert not said.endswith(": ")


def test_encode_wrong_value_names_nested_path() -> None:
    """The path leads through lists, dicts and fields to the wrong part."""

    def f(_: object, orders: list[Order], table: dict[str, list[int]], at: Point) -> None: ...

    good = Order(UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC), [Part(Decimal(1))])
    bad = Order(UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC), [Part(Decimal(1)), Part(object())])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    point = Point(1, date(2026, 1, 1))
    assert refusal(f, [good, bad], {}, point) == "tasks.f: argument orders[1].parts[1].price: object has no JSON form"
    assert refusal(f, [], {"a": [1, "2"]}, point).startswith("tasks.f: argument table[...][1]: ")
    assert refusal(f, [], {"a": [{1, object()}]}, point).endswith("object has no JSON form")
    assert refusal(f, [], {}, (1, 2)).startswith("tasks.f: argument at[1]: ")


def test_encode_checks_constraints() -> None:
    """A value that violates the constraints of its annotation is not enqueued."""

    def f(_: object, share: Percent, mode: Literal["fast", "slow"] = "fast") -> None: ...

    assert trip(f, 100) == ([100], {})
    assert refusal(f, 101).startswith("tasks.f: argument share: ")
    assert refusal(f, 1, "medium").startswith("tasks.f: argument mode: ")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_encode_nan_and_infinity_are_rejected(number: float) -> None:
    """JSON has no such numbers; they are rejected at any depth, annotated or not."""

    def f(_: object, x: float | None = None, many: dict[str, list[float]] | None = None) -> None: ...

    assert refusal(f, number) == f"tasks.f: argument x: {number} has no JSON form"
    assert refusal(f, None, {"a": [1.0, number]}) == f"tasks.f: argument many['a'][1]: {number} has no JSON form"
    assert refusal(anything, [number]) == f"tasks.f: argument x[0]: {number} has no JSON form"


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, tzinfo=UTC),
        date(2026, 1, 1),
        UUID(int=1),
        Decimal(1),
        b"x",
        {1},
        Colour.RED,
        Part(Decimal(1)),
        Point(1, date(2026, 1, 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_encode_typed_value_without_annotation(value: Any) -> None:
    """Without an annotation a typed value would change; the error says what to do."""
    kind = type(value).__name__
    assert refusal(anything, value).startswith(f"tasks.f: argument x: {kind} would arrive as ")
    assert refusal(anything, {"a": [value]}).startswith(f"tasks.f: argument x['a'][0]: {kind} would arrive as ")
    assert refusal(anything, value).endswith("annotate the parameter with the type that you pass")


def test_encode_plain_value_without_annotation() -> None:
    """JSON's own types arrive unchanged; tuples arrive as lists."""
    value = {"a": [1, 2.5, None, True, "ä"], "b": {}, "c": 2**64, "d": -(10**30)}
    assert trip(anything, value) == ([value], {})
    assert trip(anything, (1, (2,))) == ([[1, [2]]], {})


def test_encode_non_text_keys_need_annotation() -> None:
    """Keys that are not text need an annotation, and then arrive unchanged."""

    def f(_: object, x: dict[int, str]) -> None: ...

    assert refusal(anything, {1: "a"}) == (
        "tasks.f: argument x: keys that are not text need an annotation such as dict[int, str]"
    )
    assert refusal(anything, {(1, 2): "a"}).startswith("tasks.f: argument x: a dict key has no JSON form")
    assert trip(f, {1: "a"}) == ([{1: "a"}], {})


def test_encode_unknown_typed_dict_key_is_named() -> None:
    """A key that the TypedDict lacks would be dropped, so it is rejected."""

    def f(_: object, x: Address) -> None: ...

    assert refusal(f, {"city": "Oslo", "zip": "1"}) == "tasks.f: argument x: the annotated type has no key 'zip'"
    assert re.match(r"tasks\.f: argument x: .*'city'", refusal(f, {}))


def test_encode_subclass_with_more_fields_is_rejected() -> None:
    """Fields that the annotated type lacks would be lost, so the value is rejected."""

    class Special(Part):
        pass

    def f(_: object, x: Part) -> None: ...

    assert refusal(f, Special(Decimal(1))).startswith("tasks.f: argument x: Special would arrive as Part; ")


def test_encode_text_for_enum_is_rejected() -> None:
    """The caller must pass the type that the task receives."""

    def f(_: object, colour: Colour) -> None: ...

    assert refusal(f, "red").startswith("tasks.f: argument colour: str would arrive as Colour; ")


def test_encode_value_that_would_change_is_rejected() -> None:
    """An offset with seconds does not fit RFC 3339, and is rejected instead of rounded."""
    odd = datetime.fromisoformat("2026-01-01T00:00:00+00:00:05")
    assert refusal(send, "a", odd) == "tasks.f: argument when: its value would change"


def test_encode_recursive_list_is_rejected() -> None:
    """The error names the argument and comes at once."""
    loop: list[Any] = []
    loop.append(loop)
    assert refusal(anything, 1, loop) == "tasks.f: argument y: nested too deeply, or contains itself"


@pytest.mark.parametrize("depth", [400, 5_000])
def test_encode_deep_nesting_raises_serialization_error(depth: int) -> None:
    """`enqueue` raises no RecursionError."""
    deep: Any = (1,)
    for _ in range(depth):
        deep = [deep]
    assert "nested too deeply" in refusal(anything, deep)


def test_encode_exception_of_property_names_argument() -> None:
    """An exception of the value's own code becomes an error of the argument."""

    def f(_: object, x: Broken) -> None: ...

    assert refusal(f, Broken()) == "tasks.f: argument x: Broken has no JSON form (KeyError: 'no such field')"


def test_decode_value_with_broken_eq() -> None:
    """A value whose == raises can be decoded."""

    def f(_: object, x: Prickly, y: int = 0) -> None: ...

    args, kwargs = CallSignature(f, JsonCodec(), "tasks.f").decode(b'{"x":{"x":1}}')
    assert (args[0].x, kwargs) == (1, {})


# Annotations that will not do


def hidden(_: object, x: Elsewhere) -> None:  # pyright: ignore[reportUnknownParameterType]
    """An annotation that is not there at run time."""


def test_signature_unresolvable_annotation_gives_advice() -> None:
    """The error names the missing name and says where to import it."""
    with pytest.raises(TaskDefinitionError) as caught:
        trip(hidden)
    assert str(caught.value) == (
        "task tasks.f: an annotation cannot be resolved (name 'Elsewhere' is not defined); "
        "import the type at the top of the module, outside TYPE_CHECKING"
    )


def typed_context(ctx: Elsewhere, x: int) -> Elsewhere:  # pyright: ignore[reportUnknownParameterType]
    """Annotations of what never travels: the context, and a result that is not kept."""
    raise NotImplementedError


def test_signature_context_annotation_is_not_resolved() -> None:
    """The types of the context and of a result that is not kept may be there for type checkers alone."""
    signature = CallSignature(typed_context, JsonCodec(), "tasks.f", keeps_result=False)  # pyright: ignore[reportUnknownArgumentType]
    assert signature.decode(signature.encode((1,), {})) == ([1], {})
    with pytest.raises(TaskDefinitionError, match="Elsewhere"):  # the result is decoded as its type
        CallSignature(typed_context, JsonCodec(), "tasks.f")  # pyright: ignore[reportUnknownArgumentType]


@pytest.mark.parametrize("options", [{"save_result": False}, {"result_ttl": 0}])
async def test_task_context_type_for_type_checkers_runs(app: Aarq, options: dict[str, Any]) -> None:
    """A worker starts, and runs the task."""
    ran: list[int] = []

    @app.task(**options)
    async def noted(ctx: Elsewhere, x: int) -> Elsewhere:  # pyright: ignore[reportUnknownParameterType]
        ran.append(x)

    await noted.enqueue(3)  # pyright: ignore[reportUnknownMemberType]
    await drain(app)
    assert ran == [3]


class Scale:
    """Has a method, and can be called."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def __call__(self, _: object, x: Percent) -> Percent:
        """Multiply."""
        return x * self.factor

    def add(self, _: object, x: int) -> int:
        """Add."""
        return x + self.factor


def base(_: object, a: datetime, b: int) -> str:
    """Take an argument that a partial sets."""
    return f"{a:%Y} {b}"


def test_signature_of_partial_and_object_has_types() -> None:
    """Annotations of partials, objects and bound methods are resolved in the module of what they call."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert trip(functools.partial(base, b=5), now) == ([now], {})
    assert trip(functools.partial(Scale(2)), 3) == ([3], {})
    assert trip(Scale(2), 3) == ([3], {})
    assert trip(Scale(2).add, 3) == ([3], {})


def with_database(function: Function) -> Function:
    """Pass a parameter that callers must not pass, and say nothing."""

    @functools.wraps(function)
    async def wrapper(ctx: object, *args: Any, **kwargs: Any) -> Any:
        return await function(ctx, "database", *args, **kwargs)

    return wrapper


def with_signature(function: Function) -> Function:
    """Pass a parameter, and set the signature that is left."""
    wrapper = with_database(function)
    context, _, *others = inspect.signature(function).parameters.values()
    wrapper.__signature__ = inspect.Signature([context, *others])  # type: ignore[attr-defined]
    return wrapper


async def count(_: object, database: Elsewhere, table: str) -> int:  # pyright: ignore[reportUnknownParameterType]
    """Take a parameter from a decorator."""
    return len(table)


def rows(_: object, database: str, table: str) -> int:
    """Take a parameter from a decorator."""
    return len(table)


def test_signature_of_decorator_is_read() -> None:
    """A parameter that `__signature__` leaves out is neither asked for nor resolved."""
    function = with_signature(count)  # pyright: ignore[reportUnknownArgumentType]
    assert trip(function, "users") == (["users"], {})


def test_signature_injected_parameter_error_says_how_to_hide_it() -> None:
    """Without `__signature__` the error says how a decorator keeps its parameter from callers."""
    advice = "if a decorator passes {}, let it set __signature__ on its wrapper, without that parameter"
    with pytest.raises(TypeError, match=f"missing required argument .*; {advice.format('table')}$"):
        sent(with_database(rows), "users")
    with pytest.raises(TaskDefinitionError, match=f"outside TYPE_CHECKING; {advice.format('it')}$"):
        sent(with_database(count), "users")  # pyright: ignore[reportUnknownArgumentType]
    with pytest.raises(TypeError, match="unexpected keyword argument 'tabellen'$"):
        sent(with_database(rows), "users", table="", tabellen="")
    with pytest.raises(TypeError, match="missing required argument 'table'$"):
        sent(rows, "users")


def test_signature_is_checked_on_first_use(app: Aarq) -> None:
    """Decorating does not resolve annotations, so that modules can import each other."""
    task = app.task(hidden)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    with pytest.raises(TaskDefinitionError, match="test_arguments.hidden: an annotation cannot be resolved"):
        task.call(None)


def test_signature_unsupported_annotation_is_named() -> None:
    """The error names the parameter or the return value."""

    def parameter(_: object, ok: int, bad: int | tuple[int] | list[str]) -> None: ...

    def returned(_: object) -> Never:
        raise NotImplementedError

    with pytest.raises(TaskDefinitionError, match=r"^task tasks\.f: parameter bad: .* cannot be decoded from JSON"):
        trip(parameter, 1, 2)
    with pytest.raises(TaskDefinitionError, match=r"^task tasks\.f: the return value: typing\.Never cannot be decoded"):
        trip(returned)


def test_signature_dunder_parameter_is_rejected() -> None:
    """A parameter with two leading underscores is rejected with an error of the task."""

    def f(_: object, __x: int) -> None: ...  # pyright: ignore[reportGeneralTypeIssues]

    with pytest.raises(TaskDefinitionError, match=r"^task tasks\.f: .*__x"):
        trip(f, 1)


def test_decode_object_accepts_plain_values() -> None:
    """A parameter of type `object` accepts plain values, also nested."""

    def f(_: object, x: object, y: dict[str, object], z: object = None) -> object: ...

    assert trip(f, 1, {"a": [None, "b"]}, z={"c": 1}) == ([1, {"a": [None, "b"]}, {"c": 1}], {})


def test_decode_unsupported_class_is_named() -> None:
    """A class must be a dataclass, a Struct or the like; the error names it."""

    def f(_: object, x: Mine) -> None: ...

    assert refusal(f, Mine()) == "tasks.f: argument x: Mine has no JSON form"
    with pytest.raises(SerializationError, match="^the argument 'x' does not fit .*: cannot decode Mine from JSON$"):
        CallSignature(f, JsonCodec(), "tasks.f").decode(b'{"x":1}')


# Payloads from elsewhere


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "."),
        (b'{"to":"a"', "."),
        (b"not json", "."),
        (b"[]", "."),
        (b"null", "."),
        (b"{}", "'to'"),
        (b'{"to":1}', "'to'"),
        (b'{"to":"a","cc":"b"}', "'cc'"),
        (b'{"to":"\xff"}', "."),
        (b"\x80\x05\x95pickle", "."),
        (b'{"to":"a","count":' + b"9" * 5000 + b"}", "out of range"),
        (b'{"to":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "the data is nested too deeply"),
    ],
    ids=["empty", "cut", "words", "list", "null", "short", "wrong", "more", "utf8", "pickle", "huge", "deep"],
)
def test_decode_hostile_payload_is_rejected(payload: bytes, text: str) -> None:
    """Any bytes raise a SerializationError with a text, which is msgspec's."""
    with pytest.raises(SerializationError, match=text):
        CallSignature(send, JsonCodec(), "tasks.f").decode(payload)


def test_decode_deeply_nested_payload_is_rejected() -> None:
    """A hundred thousand brackets exhaust neither stack nor memory."""
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(
        SerializationError, match="^the data is nested too deeply: at most 64 levels of lists and dicts"
    ):
        CallSignature(anything, JsonCodec(), "tasks.f").decode(deep)  # pyright: ignore[reportUnknownArgumentType]
