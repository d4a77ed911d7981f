"""`aioq enqueue`: enqueues a job of a task, with the checks of `Task.enqueue`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter
from itertools import zip_longest
from typing import Any, Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import is_embedded, run_connected
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.errors import PayloadTooLarge, SerializationError, TaskDefinitionError
from aioq.options import EnqueueOptions
from aioq.serialization.json_codec import JsonCodec
from aioq.task import Call, Task

__all__ = ["enqueue", "register"]

MAX_NAMES: Final = 5
"""Tasks that an error lists."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "enqueue",
        help="enqueue a job of a task",
        description="Enqueue a job of a task. The arguments are checked against the annotations of the task before "
        "anything is stored.",
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("task", metavar="TASK", help="the name of the task")
    parser.add_argument("--args", metavar="JSON", help="the positional arguments: a JSON array")
    parser.add_argument("--kwargs", metavar="JSON", help="the keyword arguments: a JSON object")
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="SECONDS", help="seconds until the job is due; 0 by default"
    )
    parser.add_argument("--priority", type=int, metavar="0..9", help="9 is first; that of the task by default")
    parser.add_argument(
        "--job-id", metavar="ID", help="the id of the job; a second job with it is not stored while the first is known"
    )
    add_json(parser)
    parser.set_defaults(run=enqueue)


def enqueue(arguments: argparse.Namespace) -> int:
    """Enqueue a job."""
    args, kwargs = _json_of(arguments, "args", list, "array"), _json_of(arguments, "kwargs", dict, "object")
    app = load_app(arguments.app)
    call = _call(_task(app, arguments), arguments, args, kwargs)
    if is_embedded(app.broker):
        raise CommandError(
            "enqueue: the app uses the memory broker: a worker cannot see jobs that this process enqueues; set "
            "AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )

    async def store() -> None:
        await app.enqueue_many([call])

    run_connected(app, store)
    job = call.job
    if arguments.json:
        print_json({"id": job.id, "queue": job.queue, "task": job.task})
    else:
        print_out(f"job {job.id} of {job.task} is in queue {job.queue}")
    return Exit.OK


def _task(app: Aarq, arguments: argparse.Namespace) -> Task[..., Any]:
    wanted: str = arguments.task
    if wanted in app.tasks:
        return app.tasks[wanted]
    names = sorted(task.name for task in app.tasks)
    close = get_close_matches(wanted, names, n=1)
    same_function = [name for name in names if name.endswith(f".{wanted}")]
    known = ", ".join(names[:MAX_NAMES]) + (f", and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
    if same_function or close:
        hint = f"did you mean {(same_function or close)[0]}?"
    else:
        hint = f"it has {known}" if names else "it has none"
    raise CommandError(f"enqueue: {arguments.app} has no task {wanted}; {hint}")


def _call(task: Task[..., Any], arguments: argparse.Namespace, args: list[Any], kwargs: dict[str, Any]) -> Call[Any]:
    try:
        chosen = EnqueueOptions(defer_by=arguments.delay, priority=arguments.priority, job_id=arguments.job_id)
        return task.make_call(chosen, *_typed(task, args, kwargs))
    # What `enqueue` raises for a wrong call, and for a wrong option.
    except (TypeError, ValueError, SerializationError, PayloadTooLarge, TaskDefinitionError) as error:
        raise CommandError(f"enqueue: {error}") from error


def _typed(
    task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with their annotated types: JSON has a text for a date, and a number for a Decimal.

    An argument without a parameter stays as it is: binding the call tells what is wrong.
    """
    parameters = task.signature.parameters
    in_order = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    named = {p.name: p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)}
    variadic = {p.kind: p for p in parameters}
    more, rest = variadic.get(Parameter.VAR_POSITIONAL), variadic.get(Parameter.VAR_KEYWORD)
    pairs = zip_longest(in_order[: len(args)], args, fillvalue=more)
    positional = [_value(p, value) for p, value in pairs]
    return tuple(positional), {name: _value(named.get(name, rest), value) for name, value in kwargs.items()}


def _value(parameter: Parameter | None, value: Any) -> Any:
    if parameter is None or parameter.annotation is Parameter.empty:
        return value
    try:
        return JsonCodec().decoder(parameter.annotation)(json.dumps(value).encode())
    except SerializationError as error:
        raise SerializationError(f"argument {parameter.name}: {error}") from None


def _json_of(arguments: argparse.Namespace, option: str, kind: type, name: str) -> Any:
    text: str | None = getattr(arguments, option)
    if text is None:
        return kind()
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"enqueue: --{option} is not JSON: {error}") from None
    if not isinstance(value, kind):
        raise CommandError(f"enqueue: --{option} must be a JSON {name}, got {text[:80]}")
    return value
