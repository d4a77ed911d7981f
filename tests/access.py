"""Who the tests are to a server: a user who may do what a queue needs, in one namespace, and nothing else.

That is the normal case. What an operator or a stranger does in a test goes by `RedisServer.client`, or by
`RedisServer.open_url`, where it is about what the broker does as a user who may do anything.
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["CLUSTER", "LISTENING", "REPLICAS", "RULES", "as_user", "definition"]

RULES = "+@read +@write +@connection +time +eval +evalsha +script|load -@dangerous"
"""What suffices; without a right to channels, workers and clients ask for what they would be told."""

LISTENING = f"{RULES} +@pubsub"
"""What docs and docstrings ask for."""

CLUSTER = ("+cluster|slots", "+asking")
"""What they ask for on a cluster."""

REPLICAS = ("+wait",)
"""What they ask for where `enqueue` waits for replicas."""

SECRET = "se:cr@t"


def definition(namespace: str, *more: str) -> list[str]:
    """Return a user with the rights to a namespace as ACL SETUSER takes it: the name, then the rules.

    Args:
        namespace: What may follow the brace with which all keys and channels begin.
        more: Further rules.
    """
    place = (f"~{{{namespace}*", "resetchannels", f"&{{{namespace}*")
    return [_name(namespace), "reset", "on", f">{SECRET}", *place, *LISTENING.split(), *more]


def as_user(url: str, namespace: str) -> str:
    """Return a URL that names no user with the user of a namespace in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{_name(namespace)}:{quote(SECRET)}@{rest}"


def _name(namespace: str) -> str:
    return f"user-of-{namespace}"
