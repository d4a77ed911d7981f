"""Pydantic models, where pydantic is installed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import pytest

pydantic = pytest.importorskip("pydantic")

from pydantic import BaseModel, ConfigDict, Field, computed_field  # noqa: E402

from aioq import Aarq, SerializationError, TaskDefinitionError  # noqa: E402
from aioq.backends import MemoryBroker  # noqa: E402
from tests.core.rig import drain  # noqa: E402


class Guest(BaseModel):
    """A model with the usual tricks."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(alias="fullName")]
    born: date
    friends: list[Guest] = []

    @computed_field  # type: ignore[prop-decorator]  # mypy knows of no decorated properties
    @property
    def shout(self) -> str:
        """Return the name, louder."""
        return self.name.upper()


class Secretive(BaseModel):
    """A model that keeps something to itself."""

    shown: int
    hidden: int = Field(default=0, exclude=True)


ANN = Guest.model_validate(
    {"fullName": "Ann", "born": date(2000, 1, 1), "friends": [{"fullName": "Bob", "born": date(1999, 1, 1)}]}
)


@pytest.fixture
def app() -> Aarq:
    """An app without tasks."""
    return Aarq(MemoryBroker())


async def test_pydantic_models_arrive_unchanged(app: Aarq) -> None:
    """Models arrive as arguments, nested, as defaults and as results, with aliases and computed fields."""

    @app.task
    async def meet(_: object, one: Guest, others: dict[str, Guest], last: Guest | None = None) -> list[Guest]:
        return [one, *others.values(), *([last] if last else [])]

    job = await meet.enqueue(ANN, {"x": ANN.friends[0]})
    more = await meet.enqueue(ANN, {}, last=ANN)
    await drain(app)
    assert await job.result(timeout=5) == [ANN, ANN.friends[0]]
    assert await more.result(timeout=5) == [ANN, ANN]


def test_pydantic_invalid_model_names_path(app: Aarq) -> None:
    """Pydantic's message comes with the path of the argument."""

    @app.task
    async def meet(_: object, one: Guest) -> None: ...

    wrong: Any = {"fullName": "Ann"}
    with pytest.raises(SerializationError, match=r"meet: argument one: (?s:.*)born"):
        meet.call(wrong)


def test_pydantic_excluded_field_is_rejected(app: Aarq) -> None:
    """A field that the model leaves out of its JSON is rejected."""

    @app.task
    async def keep(_: object, it: Secretive) -> None: ...

    keep.call(Secretive(shown=1))
    with pytest.raises(SerializationError, match=r"argument it\.hidden: its value would change$"):
        keep.call(Secretive(shown=1, hidden=2))


def test_pydantic_ambiguous_union_is_rejected(app: Aarq) -> None:
    """A union of a model and another type cannot be decoded, and is rejected."""

    @app.task
    async def meet(_: object, one: Guest | int) -> None: ...

    with pytest.raises(TaskDefinitionError, match="parameter one: .* cannot be decoded from JSON"):
        meet.call(1)
