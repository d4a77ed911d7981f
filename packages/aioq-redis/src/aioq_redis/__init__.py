"""The Redis and Valkey broker of aioq.

Durations are seconds. Names of namespaces and queues have 1 to 64 of the characters
A-Z a-z 0-9 _ . and -.
"""

from aioq_redis.broker import RedisBroker as RedisBroker

__all__ = ["RedisBroker"]
