"""Defines how a worker describes its tasks to other programs, in a few bytes for each."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["ParameterInfo", "TaskInfo"]


class ParameterInfo(Struct, frozen=True, array_like=True):
    """A parameter of a task."""

    name: str
    """`*args` and `**kwargs` with their asterisks."""
    type: str
    """The annotation as text. If it contains classes, a digest of their fields follows after `#`."""
    required: bool
    """Whether it has no default."""


class TaskInfo(Struct, frozen=True, array_like=True):
    """A task of a running worker."""

    name: str
    queue: str
    parameters: tuple[ParameterInfo, ...]
