"""A Redis client: connections, pipelines, pub/sub, Cluster and Sentinel. It knows nothing of jobs."""

__all__: list[str] = []
