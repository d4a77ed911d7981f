"""Checks the keys of a namespace and their server, for `RedisBroker.diagnose`.

`doctor` and `probes` read from the server. The other modules decide what the replies mean: `keys` for
single keys, `leaks` for the keys of a queue together (as read by `snapshot`), `queues` for its jobs, and
`host` for the server. `repair` removes what `leaks` finds to belong to no job. `damage` finds and repairs damaged
values.
"""

from aioq_redis.doctor.doctor import Doctor as Doctor

__all__ = ["Doctor"]
