"""Defines what a page knows of its request, and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

from aioq import Aarq
from aioq.conformance import supports
from aioq_web.access import Right, User
from aioq_web.history import RANGES, Histories, Range
from aioq_web.masking import Masking
from aioq_web.overviews import Overviews
from aioq_web.reader import Reader
from aioq_web.reads import SharedReads
from aioq_web.snapshot import Snapshot
from aioq_web.text import Moment, moment

__all__ = ["NotFound", "Page", "View"]

P = TypeVar("P")
T = TypeVar("T")


class NotFound(Exception):
    """The broker has no such job, queue or entry; the message is shown."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows.

    Args:
        template: The name of its template.
        title: Its title.
        values: What the template needs beside the view.
        status: The code of the response.
    """

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A request for a page, with the facts that all pages share."""

    app: Aarq
    user: User
    reader: Reader
    snapshot: Snapshot
    reads: SharedReads
    max_age: float
    """Seconds for which answers of the broker are used: 0 for a page that is opened, more for one that is updated."""
    histories: Histories
    overviews: Overviews
    masking: Masking
    root: str
    """The path under which the dashboard is mounted, without a slash at its end."""
    path: str
    """The path of the page below it."""
    query: QueryParams
    steps: Mapping[str, str] = field(default_factory=dict[str, str])
    """The parts of the path that name a job, a queue or an entry."""

    @property
    def now(self) -> float:
        """The broker's clock."""
        return self.snapshot.now

    @property
    def span(self) -> Range:
        """The span of time that the reader has chosen for charts."""
        return RANGES.get(self.query.get("span", ""), RANGES["3 h"])

    def may(self, right: str) -> bool:
        """Return whether the user has a right."""
        return Right(right) in self.user.rights

    def feature(self, protocol: Callable[..., P]) -> P | None:
        """Return the broker as an implementation of an optional protocol; None if it has none."""
        broker: object = self.app.broker
        return broker if supports(broker, protocol) else None

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return an answer of the broker, which all requests with this key share."""
        return await self.reads.get(key, read, max_age=self.max_age)

    def url(self, *parts: str, **query: str) -> str:
        """Return the path of a page: its parts are escaped."""
        path = "/".join([self.root, *(quote(part, safe="") for part in parts)])
        return f"{path or '/'}{f'?{urlencode(query)}' if query else ''}" if parts else f"{self.root}/"

    def with_query(self, **changes: str) -> str:
        """Return the path of this page with other values of its query; an empty one removes it."""
        values = {name: value for name, value in {**self.query, **changes}.items() if value and name != "page"}
        return f"{self.root}{self.path}{f'?{urlencode(values)}' if values else ''}"

    def moment(self, seconds: float, entry_zone: tzinfo | None = None) -> Moment:
        """Return a moment as this reader sees it."""
        return moment(seconds, self.now, self.reader.zone, entry_zone)
