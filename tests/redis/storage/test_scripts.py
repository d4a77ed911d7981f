"""The Lua scripts: what their headers promise, and how they get to the server."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from aioq_redis import RedisBroker
from aioq_redis.client.hash_slots import slot_of
from aioq_redis.storage.keys import TYPES, Layout
from aioq_redis.storage.scripts import FOLDERS, NAMES, load
from tests.redis.job_helpers import claim, job

LUA = files("aioq_redis").joinpath("lua")

FLEET = ("renew_registration", "heartbeat", "open_version", "register_app", "tell_pause")
"""Scripts on the keys of the fleet; those of all others are a queue's."""

FLOOR = {
    *("DEL", "EXISTS", "GET", "PEXPIRE", "PTTL", "PUBLISH", "SET", "TIME"),
    *("HDEL", "HEXISTS", "HGET", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HSET", "HSTRLEN"),
    *("LLEN", "LPOP", "LPUSH", "LRANGE", "LREM", "LTRIM", "RPOP", "RPUSH"),
    *("SADD", "SCARD", "SISMEMBER", "SMEMBERS", "SMISMEMBER", "SREM"),
    *("ZADD", "ZCARD", "ZCOUNT", "ZMSCORE", "ZPOPMIN", "ZRANGE", "ZRANGEBYSCORE", "ZREM"),
    *("ZREMRANGEBYSCORE", "ZREVRANGE", "ZSCORE"),
}
"""The commands that scripts may call: those of Redis 6.2 that they need."""

WORDS = {"GT", "LIMIT", "NX", "PX", "PXAT", "WITHSCORES"}
"""What else stands in capitals in a script: options of these commands that Redis 6.2 has."""


def body(name: str) -> str:
    """Return a script's own file."""
    return LUA.joinpath(f"{name}.lua").read_text()


def code(name: str) -> str:
    """Return all that is sent of a script, without comments."""
    return re.sub("--.*", "", load(name).text)


def test_every_file_is_a_script_that_is_used() -> None:
    """Wherever it is: what the other tests here look at is all there is, and a new file cannot slip by."""
    package = Path(str(files("aioq_redis")))
    needed = {part for name in NAMES for part in re.findall(r"^-- Needs +(.+)$", body(name), re.MULTILINE)}
    parts = {f"lua/lib/{part}.lua" for words in needed for part in words.split()}
    found = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.suffix.lower() == ".lua"}
    assert found == parts | {f"lua/{folder}/{name}.lua" for folder, names in FOLDERS.items() for name in names}


@pytest.mark.parametrize("name", NAMES)
def test_a_script_begins_with_its_contract(name: str) -> None:
    """The header has the name, what it does, and KEYS, ARGV and Returns."""
    text = body(name)
    assert re.match(rf"-- {name}: [^\n]+\.\n--\n", text)
    for field in ("Needs", "KEYS", "ARGV", "Returns"):
        assert len(re.findall(rf"^-- {field} +\S", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_script_takes_the_keys_that_its_header_names(name: str) -> None:
    """The names it unpacks, and where its ready lists begin, are those of the header."""
    keys = [key.partition(":")[0] for key in load(name).keys]
    assert {key for key in keys if key not in TYPES} == set()
    many = {key.partition(":")[0] for key in load(name).keys if key.endswith("...")}
    single = [key for key in keys if key not in ("ready", *many)]
    renamed = {"memo": "claim"} if name == "claim" else {}
    if found := re.search(r"^local ([^=\n]+) = unpack\(KEYS\)$", body(name), re.MULTILINE):
        assert [renamed.get(local, local) for local in found[1].split(", ")] == single
    elif single:
        assert re.search(rf"^local {single[0]} = KEYS\[1\]$", body(name), re.MULTILINE)
        assert len(single) == 1 or name == "heartbeat"
    if found := re.search(r"^local READY = (\d+)$", body(name), re.MULTILINE):
        assert int(found[1]) == keys.index("ready") + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_script_has_every_part_that_it_uses(name: str) -> None:
    """Each shared function that is called stands in front of the script, and no part is there for nothing."""
    text = load(name).text
    for part in LUA.joinpath("lib").iterdir():
        source = part.read_text()
        names = re.findall(r"^local (?:function )?(\w+)", source, re.MULTILINE)
        used = any(
            re.search(rf"(?<!-- )\b{name}\b(?!:)", re.sub("--.*", "", text.replace(source, ""))) for name in names
        )
        assert (source in text) == used, part.name


@pytest.mark.parametrize("name", NAMES)
def test_a_script_compiles(name: str, raw: Any) -> None:
    """Every server takes it, and gives it the digest that we give it."""
    assert raw.script_load(load(name).text) == load(name).sha


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_of_a_script_share_a_slot(name: str) -> None:
    """All keys have one hash tag, so that a cluster keeps them together."""
    space = Layout("ns").fleet if name in FLEET else Layout("ns").queue("q")
    keys = space.pick(load(name).keys, "own", ["one", "two"])
    assert len({slot_of(key) for key in keys}) == 1
    assert all(key.startswith(space.key("")) for key in keys)
    assert not [key for key in keys if "<" in key or "..." in key]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_never_asks_for_other_keys(name: str) -> None:
    """What it calls is called on a key that it was given: none is put together in a call, and channels alone are."""
    text = code(name)
    calls = re.findall(r"redis\.p?call\(\s*('[A-Z]+'|\w+)(?:,\s*([^,()]*(?:\([^()]*\))?[^,()]*))?", text)
    assert len(calls) == len(re.findall(r"\bredis\b(?!\.sha1hex)", text))
    for command, key in calls:
        if command == "'PUBLISH'":
            assert re.fullmatch(r"\w+ \.\. [\w.\[\]]+", key), key
        elif command != "'TIME'":
            assert re.fullmatch(r"[a-z]\w*(\[\d+\])?(\.\w+)?|KEYS\[.+\]|unpack\(KEYS\b.*\)", key), key


@pytest.mark.parametrize("name", NAMES)
def test_a_script_makes_no_scripts(name: str) -> None:
    """No text that it is given, or has put together, is ever run."""
    assert not re.search(r"\b(load|loadstring|dofile|loadfile|setfenv|require)\b", code(name))


def test_no_script_is_put_together() -> None:
    """What is sent as a script is the text of a file: nothing in Python has commands for Lua, or fills in a text."""
    for source in Path(str(files("aioq_redis"))).rglob("*.py"):
        text = source.read_text()
        assert "redis.call" not in text, source
        evals = re.findall(r"[\"']EVAL\w*[\"'](.{0,30})", text)
        assert all(re.match(r", (self\._)?script\.(sha|text)\b", rest) for rest in evals), source
    loading = Path(str(files("aioq_redis").joinpath("scripts.py"))).read_text()
    assert not re.search(r"\.format\(|%[sd]|\.replace\(", loading)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_keeps_to_the_oldest_server(name: str) -> None:
    """Every command that it names is one of Redis 6.2; so says a server of that release, wherever there is one."""
    assert set(re.findall("'([A-Z]{2,})'", code(name))) <= FLOOR | WORDS


def test_the_list_of_commands_is_not_longer_than_it_need_be() -> None:
    """Each of them, and each option, is in some script."""
    named = {word for name in NAMES for word in re.findall("'([A-Z]{2,})'", code(name))}
    assert named == FLOOR | WORDS


def test_the_oldest_server_knows_these_commands(raw: Any, redis_kind: str) -> None:
    """The list is not longer than it may be."""
    if redis_kind != "redis-6.2":
        pytest.skip("only Redis 6.2 can tell")
    assert {name.upper() for name in raw.command()} >= FLOOR


async def test_scripts_that_the_server_forgot_are_sent_again(broker: RedisBroker, raw: Any) -> None:
    """SCRIPT FLUSH between any two calls goes unnoticed."""
    raw.script_flush()
    assert await broker.enqueue([job("a")]) == [True]
    raw.script_flush()
    assert [lease.job_id for lease in await claim(broker)] == ["a"]


async def test_scripts_travel_once(broker: RedisBroker, raw: Any) -> None:
    """After its first use a script is called by its digest."""
    raw.script_flush()
    await broker.enqueue([job("a")])
    raw.config_resetstat()
    await broker.enqueue([job("b")])
    assert "cmdstat_eval" not in raw.info("commandstats")
