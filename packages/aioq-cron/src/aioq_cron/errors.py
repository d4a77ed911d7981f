"""The error that a wrong expression raises where it is written."""

from __future__ import annotations

from aioq.errors import AioqError

__all__ = ["InvalidCronExpression"]


class InvalidCronExpression(AioqError, ValueError):
    """A cron expression, or its time zone, is not understood or can never fire.

    The text says what is wrong and, where that is clear, what to write instead.

    Attributes:
        expression: The expression that is at fault; empty when it is the zone.
        field: Where the fault is: `minute`, `hour`, `day-of-month`, `month`, `day-of-week`
            or `tz`; None when it is in no single field.
    """

    def __init__(self, message: str, *, expression: str = "", field: str | None = None) -> None:
        self.expression, self.field = expression, field
        super().__init__(message)
