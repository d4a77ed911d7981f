"""`aioq demo`: `command` prints what happens in `app`."""

__all__: list[str] = []
