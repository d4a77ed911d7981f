"""`aioq worker --health-port`: answers `/live`, `/ready` and `/metrics` over HTTP.

`option` has the options and what is checked before the app is imported, `sockets` opens the port, `server` reads
requests and writes answers, and `endpoints` makes the answers. They come from a worker in the same process
(`one_worker`), or from the worker processes of a supervisor (`processes`). `start` puts them together.
"""

__all__: list[str] = []
