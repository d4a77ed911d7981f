"""`RedisBroker.diagnose`: what is wrong with the keys of a namespace, and with their server.

`doctor` asks the server. What follows from its answers is decided apart from that: in `found`
for each key by itself, in `leaks` for the keys of a queue together (as a `snapshot` shows
them), in `queues` for the jobs in them, and in `host` for the server.
"""

from aioq_redis.doctor.doctor import Doctor as Doctor

__all__ = ["Doctor"]
