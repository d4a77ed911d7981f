"""Checks a server: its role, eviction, memory, persistence and clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aioq.model.health import Finding, Level

__all__ = ["about_clock", "about_host", "format_bytes", "parse_info"]

MEMORY_WARNING: Final = 0.9
"""The fraction of maxmemory from which on the check warns."""

MAX_CLOCK_OFFSET: Final = 1.0
"""Seconds between the two clocks above which the check warns."""


def parse_info(text: bytes) -> dict[str, str]:
    """Return the fields of an INFO reply by name."""
    pairs = (line.split(":", 1) for line in text.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value.strip() for name, value in pairs}


def about_host(info: Mapping[str, str], save: str | None) -> list[Finding]:
    """Return findings about a server.

    Args:
        info: The fields of INFO.
        save: The setting `save`; None if it could not be read.
    """
    return [*_version(info), *_role(info), *_eviction(info), *_memory(info), *_persistence(info, save)]


def about_clock(here: float, there: float, doubt: float) -> Finding:
    """Return a finding about the clocks of this host and of the server.

    Args:
        here: The time of this host, in seconds.
        there: The time of the server, in seconds.
        doubt: Seconds by which their difference may be wrong.
    """
    offset = there - here
    facts = {"offset": round(offset, 3), "doubt": round(doubt, 3)}
    if abs(offset) <= MAX_CLOCK_OFFSET + doubt:
        text = f"{abs(offset):.3f} s between this host and the server"
        return Finding(level=Level.OK, subject="clock", text=text, facts=facts)
    return Finding(
        level=Level.WARN,
        subject="clock",
        text=f"this host's clock is {abs(offset):,.1f} s {'behind' if offset > 0 else 'ahead of'} the server's",
        advice="synchronize both by NTP: jobs follow the server's clock, crons that fire on each worker its host's",
        facts=facts,
    )


def format_bytes(count: float) -> str:
    """Return a number of bytes in B, KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def _version(info: Mapping[str, str]) -> Iterable[Finding]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "of an unknown version")
    up = int(info.get("uptime_in_seconds", 0))
    text = f"{name} {version}, up for {up:,} s"
    yield Finding(level=Level.OK, subject="server", text=text, facts={"version": version, "uptime": up})


def _role(info: Mapping[str, str]) -> Iterable[Finding]:
    if info.get("role", "master") != "master":
        yield Finding(
            level=Level.FAIL,
            subject="server",
            text=f"it is a replica of {info.get('master_host', 'another server')}, and takes no jobs",
            advice="name its primary in the URL",
        )


def _eviction(info: Mapping[str, str]) -> Iterable[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    limited = int(info.get("maxmemory", 0)) > 0
    facts = {"maxmemory_policy": policy}
    if policy == "noeviction":
        yield Finding(level=Level.OK, subject="eviction", text="maxmemory-policy is noeviction", facts=facts)
        return
    when = "when memory runs short" if limited else "as soon as a maxmemory is set"
    yield Finding(
        level=Level.FAIL if limited else Level.WARN,
        subject="eviction",
        text=f"maxmemory-policy is {policy}: the server evicts jobs {when}",
        advice="CONFIG SET maxmemory-policy noeviction, and in its configuration file",
        facts=facts,
    )


def _memory(info: Mapping[str, str]) -> Iterable[Finding]:
    used = int(info.get("used_memory", 0))
    limit = int(info.get("maxmemory", 0))
    facts = {"used_memory": used, "maxmemory": limit}
    text = (
        f"{format_bytes(used)} used of {format_bytes(limit)}"
        if limit
        else f"{format_bytes(used)} used, and no maxmemory"
    )
    if not limit or used < MEMORY_WARNING * limit:
        yield Finding(level=Level.OK, subject="memory", text=text, facts=facts)
        return
    yield Finding(
        level=Level.FAIL if used >= limit else Level.WARN,
        subject="memory",
        text=f"{text}: {'no job can be enqueued' if used >= limit else 'soon no job can be enqueued'}",
        advice="raise maxmemory, add workers, or store results and dead jobs for a shorter time",
        facts=facts,
    )


def _persistence(info: Mapping[str, str], save: str | None) -> Iterable[Finding]:
    logged = info.get("aof_enabled") == "1"
    snapshots = save if save is not None else "unknown"
    facts: dict[str, int | float | str] = {"appendonly": "yes" if logged else "no", "save": snapshots}
    for field, what in (("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "snapshot")):
        if info.get(field, "ok") != "ok":
            yield Finding(
                level=Level.FAIL,
                subject="persistence",
                text=f"the latest {what} could not be written",
                advice="read the server's log: its disk may be full or not writable",
                facts=facts,
            )
    if logged:
        yield Finding(level=Level.OK, subject="persistence", text="appendonly is on", facts=facts)
        return
    lost = "a restart loses all jobs" if save == "" else "a crash loses the jobs since the latest snapshot"
    yield Finding(
        level=Level.WARN,
        subject="persistence",
        text=f"appendonly is off{' and nothing is saved' if save == '' else ''}: {lost}",
        advice="CONFIG SET appendonly yes, and in its configuration file",
        facts=facts,
    )
