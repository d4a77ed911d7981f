"""Checks what goes on if a node of a cluster is away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from aioq.model.health import Finding, Level

__all__ = ["about_away", "about_away_queues", "about_coverage"]

MAX_NAMED: Final = 10
"""Queues whose names are in one finding."""


def about_away(server: str, error: Exception) -> Finding:
    """Return a finding about a server that does not answer."""
    return Finding(
        level=Level.FAIL,
        subject=f"server {server}",
        text=f"cannot be reached, and was not checked: {error}",
        advice="start it again; the queues of the other servers go on meanwhile",
    )


def about_away_queues(names: Sequence[str]) -> Iterable[Finding]:
    """Return a finding if queues are stored on servers that do not answer."""
    if names:
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        yield Finding(
            level=Level.FAIL,
            subject="queues",
            text=f"cannot be reached, because their server is away: {', '.join(names[:MAX_NAMED])}{more}",
            advice="their jobs wait until the server is back",
            facts={"away": len(names)},
        )


def about_coverage(alone: Sequence[str]) -> Finding:
    """Return a finding about a cluster that stops as a whole if one of the nodes `alone`, without replicas, does."""
    return Finding(
        level=Level.WARN,
        subject="cluster",
        text=f"if one of {', '.join(alone)} fails, all nodes refuse all commands, as it has no replica",
        advice="give each node a replica, or set cluster-require-full-coverage to no on all nodes",
    )
