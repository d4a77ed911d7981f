"""Operations on cron entries: registration, pauses, and the ledger of ticks."""

__all__: list[str] = []
