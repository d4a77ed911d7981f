"""Defines what a form orders, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException

from aioq.model.changes import MAX_SUBJECT, MAX_TEXT, Change
from aioq.model.ids import check_name
from aioq.protocols import ChangeLog
from aioq_web.access import Right
from aioq_web.view import NotFound, View

__all__ = ["Done", "Order", "known_queue"]

P = TypeVar("P")

MAX_NOTE: Final = 500
"""Characters of a reason."""

MAX_NAME: Final = 200
"""Characters of the name of a user that are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A form that a user has sent.

    Args:
        view: The request, whose path names what is to be changed.
        form: Its fields.
    """

    view: View
    form: ImmutableMultiDict[str, str]

    @property
    def note(self) -> str:
        """The reason that the user gave."""
        return self.form.get("note", "").strip()[:MAX_NOTE]

    @property
    def by(self) -> str:
        """The name under which the change is recorded."""
        return self.view.user.name[:MAX_NAME]

    def number(self, name: str) -> float:
        """Return a field that a page has filled in with a moment.

        Raises:
            HTTPException: It is missing, or no number.
        """
        try:
            return float(self.form.get(name, ""))
        except ValueError:
            raise HTTPException(400, f"the form lacks {name}: reload the page and try again") from None

    def need(self, right: Right) -> None:
        """Refuse the order unless the user has a right.

        Raises:
            HTTPException: The user has it not.
        """
        if right not in self.view.user.rights:
            raise HTTPException(403, f"{self.view.user.name} may not change {right}")

    def feature(self, protocol: Callable[..., P], what: str) -> P:
        """Return the broker as an implementation of a protocol.

        Raises:
            NotFound: It has none; `what` is what it cannot do.
        """
        found = self.view.feature(protocol)
        if found is None:
            raise NotFound(f"this broker cannot {what}")
        return found

    async def record(self, what: str, subject: str) -> None:
        """Record that the change was made, if the broker keeps a record."""
        log = self.view.feature(ChangeLog)
        if log is not None:
            now = await self.view.app.broker.time()
            await log.note_change(
                Change(at=now, by=self.by, what=what[:MAX_TEXT], subject=subject[:MAX_SUBJECT], note=self.note)
            )


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order: the page to go to, which says what was done."""

    location: str


def known_queue(name: str) -> str:
    """Return the name of a queue from a path.

    Raises:
        NotFound: No queue can have this name.
    """
    try:
        return check_name("queue", name)
    except ValueError as error:
        raise NotFound(str(error)) from error
