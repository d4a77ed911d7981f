"""Loads the Lua scripts from the files in `lua/`.

The header of a script lists the parts of `lua/lib/` that it needs, and its keys in order. Callers name
the keys by that list, so that a script and its callers agree.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Final

from aioq_redis.client.pipeline import Script
from aioq_redis.storage.job_states import ENDED_LETTERS, lua_states
from aioq_redis.storage.keys import FAILURE_LIST

__all__ = ["COMMANDS", "FOLDERS", "NAMES", "load"]

FOLDERS: Final = {
    "jobs": (
        "await_end",
        "cancel",
        "claim",
        "dismiss_failures",
        "enqueue",
        "enqueue_one",
        "extend",
        "failure_groups",
        "get_jobs",
        "heartbeat",
        "list_due",
        "list_failures",
        "list_ready",
        "missing_rights",
        "note_change",
        "nudge",
        "pass_on_resume",
        "pause_queue",
        "peek",
        "reap",
        "replay_failures",
        "restore_task",
        "resume_queue",
        "retry_job",
        "settle",
        "stats",
        "stop_task",
    ),
    "cron": (
        "renew_registration",
        "claim_ticks",
        "cron_status",
        "extend_runs",
        "fire_schedules",
        "next_schedules",
        "open_version",
        "pause_cron",
        "put_schedule",
        "record_ticks",
        "register_app",
        "register_crons",
        "remove_schedule",
        "reserve_schedules",
        "resume_cron",
        "announce_pause",
    ),
    "doctor": ("remove_orphans", "restore_held", "snapshot"),
    "statistics": ("add_counts",),
}

NAMES: Final = tuple(sorted(name for names in FOLDERS.values() for name in names))

# Not read from the scripts: that would cost each process the reading of all files. A test compares the two.
COMMANDS: Final = (
    *("DEL", "EXISTS", "GET", "PEXPIRE", "PTTL", "SET", "TIME"),
    *("HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HSCAN", "HSET", "HSTRLEN", "HVALS"),
    *("LLEN", "LPOP", "LPUSH", "LRANGE", "LREM", "LTRIM", "RPOP", "RPUSH"),
    *("SADD", "SCARD", "SISMEMBER", "SMEMBERS", "SMISMEMBER", "SREM"),
    *("ZADD", "ZCARD", "ZCOUNT", "ZMSCORE", "ZPOPMIN", "ZRANGE", "ZRANGEBYSCORE", "ZREM"),
    *("ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANK", "ZSCORE"),
)
"""The commands that scripts run, without PUBLISH: a user without a right to channels polls instead."""

_FUNCTION: Final = re.compile(r"^local function (\w+)\(.*?^end\n", re.MULTILINE | re.DOTALL)


@cache
def load(name: str) -> Script:
    """Return a script, with the parts that it needs in front of it."""
    folder = next(folder for folder, names in FOLDERS.items() if name in names)
    body = _read(folder, f"{name}.lua")
    text = _without_unused(body, "".join(_part(part) for part in _field(body, "Needs")))
    keys = tuple(key for word in _field(body, "KEYS") for key in _expand(word))
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest(), keys)


def _without_unused(body: str, parts: str) -> str:
    """Return the parts and the body without the functions of the parts that the script does not call.

    Each run of a script makes all its functions, and to make one takes as long as a short command. A function is called
    only below its definition, so those at the end are looked at first.
    """
    text = parts + body
    for found in reversed([*_FUNCTION.finditer(parts)]):
        before, after = text[: found.start()], text[found.end() :]
        if f"{found[1]}(" not in after:
            text = before + after
    return text


def _part(name: str) -> str:
    return lua_states() if name == "states" else _read("lib", f"{name}.lua")


def _read(*path: str) -> str:
    return files("aioq_redis").joinpath("lua", *path).read_text(encoding="utf-8")


def _field(body: str, name: str) -> list[str]:
    found = re.search(rf"^-- {name} +(.+)$", body, re.MULTILINE)
    return found[1].split() if found else []


def _expand(word: str) -> list[str]:
    """Return the keys of one word of a header.

    `ready:0-9` stands for ten keys, `ended_indexes` for one key of each final state, and `failure_list` for the keys of
    the listed failures.
    """
    if word == "failure_list":
        return list(FAILURE_LIST)
    if word == "ended_indexes":
        return [state.value for state in ENDED_LETTERS]
    stem, dash, last = word.partition("0-")
    return [f"{stem}{n}" for n in range(int(last) + 1)] if dash else [word]
