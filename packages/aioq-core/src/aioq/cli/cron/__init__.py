"""`aioq cron`: one module per command. `manual`, `overview` and `tick_text` are shared by several."""

__all__: list[str] = []
