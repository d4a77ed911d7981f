"""Every bad input, and what it gets. docs/guarantees.md has the same table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.redis.bad_inputs import bodies, foreign, refused

__all__ = ["TABLE", "Row"]


class Row(NamedTuple):
    """One kind of bad input. The function puts it in the way, and insists on what is expected."""

    number: int
    input: str
    expected: str
    feed: Callable[..., Awaitable[None]]


TABLE = (
    Row(1, "a task that no worker has", "handed back three times, then dead: unknown_task", foreign.unknown_task),
    Row(2, "arguments that are no JSON", "dead: malformed, with the bytes kept", foreign.no_json),
    Row(
        3,
        "JSON of another shape",
        "no object: dead: malformed; other names: as a task that no worker has",
        foreign.wrong_shape,
    ),
    Row(4, "a record of a later version", "left for newer workers; after an hour dead", foreign.later_version),
    Row(5, "bytes that are no UTF-8", "dead: malformed", foreign.no_text),
    Row(6, "bytes, datetime, Decimal, set", "as annotated, or SerializationError with the path", refused.odd_values),
    Row(7, "NaN, infinity, 2**63, 1e400", "refused; whole numbers arrive as they were", refused.bad_numbers),
    Row(8, "an argument of 10 MB", "PayloadTooLarge, and nothing written", refused.too_large),
    Row(9, "a message of 10 MB", "dead: too_large, without being parsed", foreign.huge),
    Row(10, "JSON nested 100,000 deep", "dead: malformed", foreign.deep),
    Row(11, "a result without a JSON form", "failed, and not run again", bodies.result_without_form),
    Row(12, "a result that is too large", "completed, without the result, with a warning", bodies.result_too_large),
    Row(13, "an error without text, or with 5 MB", "failed, with at most 8 KiB of text", bodies.has_no_text),
    Row(14, "an error that holds anything", "failed, with text alone", bodies.holds_anything),
    Row(15, "SystemExit, KeyboardInterrupt", "failed; the worker goes on", bodies.ends_the_program),
    Row(16, "a cancellation raised or swallowed", "failed, or what it returned", bodies.cancels_itself),
    Row(17, "a task that ends the process", "a crash; dead after three", bodies.dies),
    Row(18, "a job deleted while in line or running", "dropped, with a warning", foreign.deleted),
    Row(19, "an id that is several times in line", "one run", foreign.twice_in_line),
    Row(20, "a key of another type", "an error that names it; other queues go on", foreign.wrong_type),
    Row(21, "a job whose time is over", "expired; not run, and counted", foreign.expired),
    Row(22, "delays below 0 or beyond 10 years", "refused; the past is due at once", refused.bad_moments),
    Row(23, "cron expressions that are none", "refused where they stand", refused.bad_expressions),
    Row(24, "two entries of one name; a new expression", "refused; the new one, once", refused.same_entry),
    Row(25, "line feeds, ESC, NUL, {} in names", "refused", refused.bad_names),
    Row(25, "the same, written by a foreign client", "dead, and one line in the log", foreign.odd_names),
    Row(26, "queues named ../x, a:b, {}", "refused at construction", refused.bad_queues),
    Row(27, "priorities, retries, timeouts out of range", "refused with the field's name", refused.bad_options),
    Row(28, "an id that is taken", "the same job, or JobConflict", refused.duplicates),
    Row(29, "pickles anywhere", "dead: malformed; never executed", foreign.pickles),
    Row(29, "forged signatures", "dead: bad_signature", foreign.forged),
    Row(30, "numbers that collide in a set or dict", "dead: malformed, before the table is built", foreign.colliding),
)
