"""Where each value lies in Redis, and in which format: keys, records, retention and scripts."""

__all__: list[str] = []
