"""Defines the orders of a person that keep jobs of a queue waiting: a paused queue, or a stopped task."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from aioq.model.ids import check_name

__all__ = ["MAX_AUTHOR", "MAX_NOTE", "MAX_STOPPED", "Stop", "TooManyStops", "check_stop", "stop_again"]

MAX_NOTE: Final = 500
"""Characters of a note."""

MAX_AUTHOR: Final = 200
"""Characters of the name of a person."""


MAX_STOPPED: Final = 1000
"""Tasks of a queue that can be stopped at a time."""


class TooManyStops(ValueError):
    """`MAX_STOPPED` tasks of the queue are stopped already."""

    def __init__(self, queue: str) -> None:
        super().__init__(f"{MAX_STOPPED:,} tasks of queue {queue} are stopped; restore some, or pause the queue")


class Stop(Struct, frozen=True, kw_only=True):
    """An order to claim no job of a queue, or of one of its tasks, until it is taken back."""

    queue: str
    task: str | None = None
    """The task that is stopped; None if the whole queue is paused."""
    note: str
    """The reason."""
    by: str
    """The person that gave the order."""
    since: float
    """When it was given; a repetition with another note does not change this."""


def check_stop(stop: Stop) -> None:
    """Check the values of an order that a broker is about to store.

    Raises:
        ValueError: A name is invalid, or a text is too long.
    """
    check_name("queue", stop.queue)
    if stop.task is not None:
        check_name("name", stop.task)
    for name, text, most in (("note", stop.note, MAX_NOTE), ("by", stop.by, MAX_AUTHOR)):
        if len(text) > most:
            raise ValueError(f"{name} must have at most {most} characters, got {len(text)}")


def stop_again(before: Stop | None, stop: Stop) -> Stop:
    """Return what to store for an order: one that is in force already keeps its time, and gets the new note."""
    return stop if before is None else structs.replace(stop, since=before.since)
