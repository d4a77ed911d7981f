"""Cron expressions: dialects, parser, errors, lints, and the schedule `CronExpression`."""

__all__: list[str] = []
