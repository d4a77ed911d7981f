"""The user with which the tests connect to a server: it has the rights that a queue needs in one namespace, and no others.

Tests connect past any broker with `RedisServer.client`, and as a user with all rights with `RedisServer.open_url`.
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["CLUSTER", "LISTENING", "REPLICAS", "RULES", "as_user", "definition", "place_of"]

RULES = "+@read +@write +@connection +time +eval +evalsha +script|load -@dangerous"
"""The rules that suffice; without rights to channels, workers and clients poll instead of subscribing."""

LISTENING = f"{RULES} +@pubsub"
"""The rules that the documentation recommends."""

CLUSTER = ("+cluster|slots", "+asking")
"""Further rules for a cluster."""

REPLICAS = ("+wait",)
"""Further rules if `enqueue` waits for replicas."""

SECRET = "se:cr@t"


def definition(namespace: str, *more: str) -> list[str]:
    """Return a user with the rights to a namespace as the arguments of ACL SETUSER: the name, then the rules.

    Args:
        namespace: The name of the namespace, or a pattern such as `test-*`.
        more: Further rules.
    """
    place = ("resetchannels", *place_of(namespace))
    return [_name(namespace), "reset", "on", f">{SECRET}", *place, *LISTENING.split(), *more]


def place_of(namespace: str) -> tuple[str, str]:
    """Return the rules that give a user the keys and channels of a namespace."""
    # `{shop*` would also match the keys of the namespace `shop-admin`.
    return f"~{{{namespace}[:}}]*", f"&{{{namespace}[:}}]*"


def as_user(url: str, namespace: str) -> str:
    """Return a URL without a user with the user of a namespace in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{_name(namespace)}:{quote(SECRET)}@{rest}"


def _name(namespace: str) -> str:
    return f"user-of-{namespace}"
