"""Whether a task of asyncio's is in a shield of anyio's.

The loop's own `task.cancel()` knows nothing of `anyio.CancelScope(shield=True)`, and would
break it. anyio tells nobody where its scopes are, so this looks at them itself. Where a
release of anyio keeps them elsewhere no shield is seen, and the tests of stopping say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from anyio._backends import _asyncio as backend

__all__ = ["is_shielded"]

_states: Mapping[asyncio.Task[Any], Any] = getattr(backend, "_task_states", {})


def is_shielded(task: asyncio.Task[Any]) -> bool:
    """Whether a cancellation from outside has to wait until `task` leaves a shield."""
    state = _states.get(task)
    scope = getattr(state, "cancel_scope", None)
    while scope is not None:
        if scope.shield:
            return True
        scope = getattr(scope, "_parent_scope", None)
    return False
