"""The operations on cron entries: registration, and the ledger of ticks."""

__all__: list[str] = []
