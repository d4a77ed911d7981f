"""The error that a wrong expression raises."""

from __future__ import annotations

from aioq.errors import AioqError

__all__ = ["InvalidCronExpression"]


class InvalidCronExpression(AioqError, ValueError):
    """A cron expression, or its time zone, is not understood or can never fire.

    The text says what is wrong and, if that is clear, what to write instead.

    Attributes:
        expression: The wrong expression; empty if the zone is wrong.
        field: The wrong field: `minute`, `hour`, `day-of-month`, `month`, `day-of-week`
            or `tz`; None if it is not a single field.
    """

    def __init__(self, message: str, *, expression: str = "", field: str | None = None) -> None:
        self.expression, self.field = expression, field
        super().__init__(message)
