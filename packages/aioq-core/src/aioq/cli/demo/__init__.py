"""`aioq demo`: `command` prints what happens in `app`."""
