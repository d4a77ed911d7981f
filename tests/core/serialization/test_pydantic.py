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


async def test_models_survive_the_trip(app: Aarq) -> None:
    """As arguments, inside others, as defaults, and as results; aliases and computed fields are no obstacle."""

    @app.task
    async def meet(_: object, one: Guest, others: dict[str, Guest], last: Guest | None = None) -> list[Guest]:
        return [one, *others.values(), *([last] if last else [])]

    job = await meet.enqueue(ANN, {"x": ANN.friends[0]})
    more = await meet.enqueue(ANN, {}, last=ANN)
    await drain(app)
    assert await job.result(timeout=5) == [ANN, ANN.friends[0]]
    assert await more.result(timeout=5) == [ANN, ANN]


def test_a_model_that_does_not_fit_is_refused(app: Aarq) -> None:
    """Pydantic's complaint comes with the path of the argument."""

    @app.task
    async def meet(_: object, one: Guest) -> None: ...

    wrong: Any = {"fullName": "Ann"}
    with pytest.raises(SerializationError, match=r"meet: argument one: 1 validation error for Guest\nborn"):
        meet.call(wrong)


def test_a_field_that_would_be_lost_is_refused(app: Aarq) -> None:
    """What the model leaves out of its JSON does not vanish in silence."""

    @app.task
    async def keep(_: object, it: Secretive) -> None: ...

    keep.call(Secretive(shown=1))
    with pytest.raises(SerializationError, match=r"argument it\.hidden: its value would change$"):
        keep.call(Secretive(shown=1, hidden=2))


def test_a_union_of_a_model_and_something_else_is_refused(app: Aarq) -> None:
    """Nobody could tell from the JSON which was meant."""

    @app.task
    async def meet(_: object, one: Guest | int) -> None: ...

    with pytest.raises(TaskDefinitionError, match="parameter one: .* cannot be decoded from JSON"):
        meet.call(1)
