"""Describes the tasks of an app, and compares them with those that running workers have registered."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from aioq.model.tasks import ParameterInfo, TaskInfo
from aioq.model.workers import WorkerInfo
from aioq.task import Task

__all__ = ["Change", "breaking_changes", "describe_tasks", "unconsumed_queues"]

MAX_DESCRIPTION = 32_768
"""Bytes of JSON that a worker registers for its tasks: it repeats them with every heartbeat."""

MAX_TYPE = 120
"""Characters of an annotation; the rest of a longer one is replaced by a digest."""

PROSE = ("description", "title")
"""Keys of a schema whose values change nothing."""

NAMED = ("properties", "$defs")
"""Keys of a schema whose values have names of the user as keys."""

_P = inspect.Parameter
_STARS: dict[Any, str] = {_P.VAR_POSITIONAL: "*", _P.VAR_KEYWORD: "**"}


class Change(NamedTuple):
    """A difference between the tasks of two releases for which workers of one hand back jobs of the other."""

    task: str
    queue: str
    kind: str
    """`task removed`, `parameter added`, `parameter removed`, `default removed`, or `type changed`."""
    parameter: str = ""
    before: str = ""
    after: str = ""


def describe_tasks(tasks: Iterable[Task[..., Any]]) -> tuple[TaskInfo, ...]:
    """Return the tasks, sorted by name; the last ones are left out if the description would be too long.

    Raises:
        TaskDefinitionError: An annotation of a task cannot be resolved.
    """
    described: list[TaskInfo] = []
    size = 0
    for task in sorted(tasks, key=lambda task: task.name):
        info = TaskInfo(task.name, task.defaults.queue, tuple(_describe(p) for p in task.signature.parameters))
        size += len(msgspec.json.encode(info)) + 1
        if size > MAX_DESCRIPTION:
            break
        described.append(info)
    return tuple(described)


def breaking_changes(registered: Iterable[TaskInfo], code: Iterable[TaskInfo]) -> list[Change]:
    """Return what makes jobs of the registered tasks unfit for those of the code, each once, by task."""
    new = {task.name: task for task in code}
    found: dict[Change, None] = {}
    for task in sorted(registered, key=lambda task: task.name):
        after = new.get(task.name)
        changes = [Change(task.name, task.queue, "task removed")] if after is None else _compare(task, after)
        found.update(dict.fromkeys(changes))
    return list(found)


def unconsumed_queues(workers: Sequence[WorkerInfo], code: Iterable[TaskInfo], app_queues: Iterable[str]) -> list[str]:
    """Return the queues of tasks that no worker will consume after the deploy, if workers keep their options.

    Args:
        workers: The running workers of the app.
        code: The tasks of the code.
        app_queues: The queues that a worker of the code consumes without `-q`.
    """
    used = {task.queue for worker in workers for task in worker.tasks} | {task.queue for task in code}
    served: set[str] = set()
    for worker in workers:
        served.update(app_queues if worker.all_queues else worker.queues)
    return sorted(used - served)


def _compare(old: TaskInfo, new: TaskInfo) -> Iterator[Change]:
    before = {parameter.name: parameter for parameter in old.parameters}
    after = {parameter.name: parameter for parameter in new.parameters}
    takes_rest = any(name.startswith("**") for name in after)
    for name, parameter in before.items():
        if name not in after and not takes_rest:
            yield Change(old.name, old.queue, "parameter removed", name, before=parameter.type)
    for name, parameter in after.items():
        was = before.get(name)
        if was is None and parameter.required:
            yield Change(old.name, old.queue, "parameter added", name, after=parameter.type)
        elif was is not None and parameter.required and not was.required:
            yield Change(old.name, old.queue, "default removed", name)
        if was is not None and parameter.type != was.type:
            yield Change(old.name, old.queue, "type changed", name, was.type, parameter.type)


def _describe(parameter: inspect.Parameter) -> ParameterInfo:
    stars = _STARS.get(parameter.kind, "")
    required = parameter.default is _P.empty and not stars
    return ParameterInfo(stars + parameter.name, _type_text(parameter.annotation), required)


def _type_text(annotation: Any) -> str:
    if annotation is _P.empty:
        return "Any"
    text = inspect.formatannotation(annotation)
    if len(text) > MAX_TYPE:
        text = f"{text[:MAX_TYPE]}...{_digest(text.encode())}"
    try:
        schema = msgspec.json.schema(annotation, schema_hook=_schema_of_model)
    except Exception:  # a type without a schema: only its name can be compared
        return text
    return (
        f"{text}#{_digest(msgspec.json.encode(_without_prose(schema), order='sorted'))}" if "$defs" in schema else text
    )


def _schema_of_model(type: Any) -> dict[str, Any]:
    """Return the schema of a pydantic model."""
    schema: dict[str, Any] = type.model_json_schema()
    return {"$defs": {}, **schema}


def _without_prose(schema: object) -> object:
    """Return a schema without docstrings and titles; fields and classes may have any name."""
    if isinstance(schema, list):
        return [_without_prose(item) for item in cast("list[object]", schema)]
    if isinstance(schema, dict):
        parts = cast("dict[str, dict[str, object]]", schema)
        return {
            key: {name: _without_prose(field) for name, field in part.items()} if key in NAMED else _without_prose(part)
            for key, part in parts.items()
            if key not in PROSE
        }
    return schema


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
