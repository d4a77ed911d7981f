"""Schedules of intervals and recurrence rules, combinations of schedules, and questions about their ticks."""

__all__: list[str] = []
