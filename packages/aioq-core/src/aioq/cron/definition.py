"""Defines entries as an app registers them with a ledger, and compares two sets of definitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from aioq.cron.entry import CronEntry
from aioq.cron.options import CronOptions
from aioq.model.cron import CronDefinition
from aioq.model.job import NewJob

__all__ = ["JOB_DIGEST", "CronDiff", "compare", "define", "version_of"]

JOB_DIGEST: Final = "job"
"""The name in the options of a definition under which the digest of the job is."""

_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(NewJob)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDiff:
    """The difference between the entries of an app and those that are registered; each sorted by queue and name."""

    added: tuple[CronDefinition, ...] = ()
    changed: tuple[tuple[CronDefinition, CronDefinition], ...] = ()
    """Pairs of the registered definition and the one in the code."""
    removed: tuple[CronDefinition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def define(entry: CronEntry) -> CronDefinition:
    """Return the definition of an entry."""
    return CronDefinition(
        queue=entry.queue,
        name=entry.name,
        kind="cron" if entry.job is None else "schedule",
        expression=entry.expression,
        tz=entry.tz,
        fingerprint=entry.fingerprint,
        unique=entry.unique,
        enabled=entry.options.enabled,
        options=dict(_policies(entry.options)) | ({} if entry.job is None else {JOB_DIGEST: _digest(entry.job)}),
    )


def version_of(definitions: Iterable[CronDefinition]) -> str:
    """Return a short text that is equal for sets of definitions with the same meaning, in every process and release."""
    plain = [_identity(definition) for definition in _sorted(definitions)]
    # Not `hash`: for text it differs from process to process.
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def compare(registered: Sequence[CronDefinition], code: Sequence[CronDefinition]) -> CronDiff:
    """Return what changes if `code` is registered in place of `registered`."""
    before = {definition.key: definition for definition in registered}
    after = {definition.key: definition for definition in code}
    kept = [(before[one.key], one) for one in _sorted(code) if one.key in before]
    return CronDiff(
        added=tuple(one for one in _sorted(code) if one.key not in before),
        changed=tuple((old, new) for old, new in kept if _identity(old) != _identity(new)),
        removed=tuple(one for one in _sorted(registered) if one.key not in after),
    )


def _identity(definition: CronDefinition) -> dict[str, object]:
    """Return what an author has said of an entry, by its meaning: not how the expression and the zone are written."""
    return {
        "queue": definition.queue,
        "name": definition.name,
        "kind": definition.kind,
        "fingerprint": definition.fingerprint,
        "unique": definition.unique,
        "enabled": definition.enabled,
        "options": dict(definition.options),
    }


def _digest(job: NewJob) -> str:
    """Return a short text that differs for different jobs, and from which the arguments cannot be read."""
    # Named fields, and of these only what differs from the defaults: a release that adds a field must not make all
    # schedules look changed. Id and queue follow from the key of the entry, and are compared with it.
    content: dict[str, object] = {"task": job.task, "payload": sha256(job.payload).hexdigest()}
    for field in ("priority", "expires", "max_crashes"):
        if (value := getattr(job, field)) != _DEFAULTS[field]:
            content[field] = value
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _sorted(definitions: Iterable[CronDefinition]) -> list[CronDefinition]:
    return sorted(definitions, key=lambda definition: definition.key)


def _policies(options: CronOptions) -> Iterator[tuple[str, str]]:
    for field in fields(options):
        value = getattr(options, field.name)
        # Only what differs from its default: a release that adds an option must not change the version of every app.
        if field.name != "enabled" and value != field.default:
            yield field.name, _as_text(value)


def _as_text(value: str | float | datetime) -> str:
    """Return equal texts for equal values: 5 and 5.0 are the same number."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else f"{value:.15g}"
