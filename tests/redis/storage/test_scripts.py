"""The Lua scripts: their headers, their keys and commands, and how the client sends them."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from aioq_redis import RedisBroker
from aioq_redis.client.hash_slots import hash_slot
from aioq_redis.storage.job_states import ENDED_LETTERS, lua_states
from aioq_redis.storage.keys import FAILURE_LIST, TYPES, Layout
from aioq_redis.storage.scripts import COMMANDS, FOLDERS, NAMES, load
from tests.redis.job_helpers import claim, job

LUA = files("aioq_redis").joinpath("lua")

FLEET = (
    "add_counts",
    "renew_registration",
    "heartbeat",
    "note_change",
    "open_version",
    "register_app",
    "announce_pause",
)
"""Scripts on the keys of the fleet; those of all others are a queue's."""

ENDED = [state.value for state in ENDED_LETTERS]
"""The keys of ended jobs, in the order that scripts expect."""

FLOOR = {*COMMANDS, "PUBLISH"}
"""The commands that scripts may call: those of Redis 6.2 that they need."""

WORDS = {"BYLEX", "COUNT", "GT", "LIMIT", "NX", "PX", "PXAT", "REV", "WITHSCORES"}
"""What else stands in capitals in a script: options of these commands that Redis 6.2 has."""

DEFINITION = re.compile(r"^local function .*?^end\n|^local (?!function).*\n", re.MULTILINE | re.DOTALL)
"""A function of a part of scripts, or the first line of a constant."""


def body(name: str) -> str:
    """Return a script's own file."""
    folder = next(folder for folder, names in FOLDERS.items() if name in names)
    return LUA.joinpath(folder, f"{name}.lua").read_text()


def code(name: str) -> str:
    """Return all that is sent of a script, without comments."""
    return re.sub("--.*", "", load(name).text)


def test_lua_files_are_all_used() -> None:
    """Every Lua file is a script or a part of one, so the other tests here see all of them."""
    package = Path(str(files("aioq_redis")))
    needed = {part for name in NAMES for part in re.findall(r"^-- Needs +(.+)$", body(name), re.MULTILINE)}
    parts = {f"lua/lib/{part}.lua" for words in needed for part in words.split() if part != "states"}
    found = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.suffix.lower() == ".lua"}
    assert found == parts | {f"lua/{folder}/{name}.lua" for folder, names in FOLDERS.items() for name in names}


@pytest.mark.parametrize("name", NAMES)
def test_script_header_is_complete(name: str) -> None:
    """The header has the name, what the script does, KEYS, ARGV and Returns, and Needs if it has parts."""
    text = body(name)
    assert re.match(rf"-- {name}: [^\n]+\.\n--\n", text)
    for field in ("KEYS", "ARGV", "Returns"):
        assert len(re.findall(rf"^-- {field} +\S", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^-- Needs +\S", text, re.MULTILINE)) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_script_unpacks_the_keys_of_its_header(name: str) -> None:
    """The names that a script unpacks, and its first ready list, match the header."""
    keys = [key.partition(":")[0] for key in load(name).keys]
    assert {key for key in keys if key not in TYPES} == set()
    many = {key.partition(":")[0] for key in load(name).keys if key.endswith("...")}
    indexes = ENDED if "ended_indexes(" in body(name) else []
    listed = FAILURE_LIST if "failure_keys(" in body(name) else ()
    for place in re.findall(r"\bfailure_keys\((\d+)\)", body(name)):
        assert tuple(keys[int(place) - 1 : int(place) - 1 + len(FAILURE_LIST)]) == FAILURE_LIST
    single = [key for key in keys if key not in ("ready", *indexes, *listed, *many)]
    renamed = {"memo": "claim"} if name == "claim" else {}
    if found := re.search(r"^local ([^=\n]+) = unpack\(KEYS\)$", body(name), re.MULTILINE):
        assert [renamed.get(local, local) for local in found[1].split(", ")] == single
    elif single:
        assert re.search(rf"^local {single[0]} = KEYS\[1\]$", body(name), re.MULTILINE)
        assert len(single) == 1 or name == "heartbeat"
    if found := re.search(r"^local READY = (\d+)$", body(name), re.MULTILINE):
        assert int(found[1]) == keys.index("ready") + 1
    if found := re.search(r"\bended_indexes\((\d+)\)$", body(name), re.MULTILINE):
        first = int(found[1]) - 1
        assert keys[first : first + len(ENDED)] == ENDED
        assert "ready" not in keys or keys.index("ready") == first + len(ENDED)
    else:
        assert "ended_indexes" not in body(name)


@pytest.mark.parametrize("name", NAMES)
def test_script_needs_match_its_calls(name: str) -> None:
    """A script has each part that it calls, and no other part."""
    needed = re.findall(r"^-- Needs +(.+)$", body(name), re.MULTILINE)
    parts = {file.name.removesuffix(".lua"): file.read_text() for file in LUA.joinpath("lib").iterdir()}
    for part, source in {**parts, "states": lua_states()}.items():
        names = re.findall(r"^local (?:function )?(\w+)", source, re.MULTILINE)
        rest = load(name).text
        for definition in DEFINITION.findall(source):
            rest = rest.replace(definition, "")
        used = any(re.search(rf"(?<!-- )\b{name}\b(?!:)", re.sub("--.*", "", rest)) for name in names)
        assert (part in " ".join(needed).split()) == used, part


@pytest.mark.parametrize("name", NAMES)
def test_script_has_no_function_that_it_does_not_call(name: str) -> None:
    """A script leaves out what it does not call of its parts, since each run makes all functions of the script."""
    text = code(name)
    for function in re.findall(r"^local function (\w+)", text, re.MULTILINE):
        assert text.count(f"{function}(") > 1, function


@pytest.mark.parametrize("name", NAMES)
def test_script_compiles(name: str, raw: Any) -> None:
    """Every server accepts the script, and computes the same digest."""
    assert raw.script_load(load(name).text) == load(name).sha


@pytest.mark.parametrize("name", NAMES)
def test_script_keys_share_a_hash_slot(name: str) -> None:
    """All keys of a script have one hash tag, so a cluster stores them together."""
    space = Layout("ns").fleet if name in FLEET else Layout("ns").queue("q")
    keys = space.pick(load(name).keys, "own", ["one", "two"])
    assert len({hash_slot(key) for key in keys}) == 1
    assert all(key.startswith(space.key("")) for key in keys)
    assert not [key for key in keys if "<" in key or "..." in key]


@pytest.mark.parametrize("name", NAMES)
def test_script_uses_only_given_keys(name: str) -> None:
    """A script calls commands on keys that it was given. It builds names of channels only."""
    text = code(name)
    calls = re.findall(r"redis\.p?call\(\s*('[A-Z]+'|\w+)(?:,\s*([^,()]*(?:\([^()]*\))?[^,()]*))?", text)
    assert len(calls) == len(re.findall(r"\bredis\b(?!\.(?:sha1hex|acl_check_cmd))", text))
    for command, key in calls:
        if command == "'PUBLISH'":
            assert re.fullmatch(r"\w+ \.\. [\w.\[\]]+", key), key
        elif command != "'TIME'":
            assert re.fullmatch(r"[a-z]\w*(\[\d+\])?(\.\w+)?|KEYS\[.+\]|unpack\(KEYS\b.*\)", key), key


@pytest.mark.parametrize("name", NAMES)
def test_script_evaluates_no_text(name: str) -> None:
    """A script never runs a text that it was given or has built."""
    assert not re.search(r"\b(load|loadstring|dofile|loadfile|setfenv|require)\b", code(name))


def test_python_builds_no_commands() -> None:
    """Scripts are files, and one part with constants. Python has no commands for Lua and fills in no text."""
    for source in Path(str(files("aioq_redis"))).rglob("*.py"):
        text = source.read_text()
        assert "redis.call" not in text, source
        evals = re.findall(r"[\"']EVAL\w*[\"'](.{0,30})", text)
        assert all(re.match(r", (self\._)?script\.(sha|text)\b", rest) for rest in evals), source
    loading = Path(str(files("aioq_redis").joinpath("storage", "scripts.py"))).read_text()
    assert not re.search(r"\.format\(|%[sd]|\.replace\(", loading)


@pytest.mark.parametrize("name", NAMES)
def test_script_commands_exist_in_redis_6(name: str) -> None:
    """Every command that a script names is one of Redis 6.2."""
    assert set(re.findall("'([A-Z]{2,})'", code(name))) <= FLOOR | WORDS


def test_listed_commands_are_all_used() -> None:
    """Each listed command and option occurs in a script."""
    named = {word for name in NAMES for word in re.findall("'([A-Z]{2,})'", code(name))}
    assert named == FLOOR | WORDS


def test_oldest_server_has_the_listed_commands(raw: Any, redis_kind: str) -> None:
    """A server of release 6.2 has every listed command."""
    if redis_kind != "redis-6.2":
        pytest.skip("only Redis 6.2 can tell")
    assert {name.upper() for name in raw.command()} >= FLOOR


async def test_script_flush_is_not_noticed(broker: RedisBroker, raw: Any) -> None:
    """The client sends a script again if the server no longer has it."""
    raw.script_flush()
    assert await broker.enqueue([job("a")]) == [True]
    raw.script_flush()
    assert [lease.job_id for lease in await claim(broker)] == ["a"]


async def test_script_is_sent_once(broker: RedisBroker, raw: Any) -> None:
    """After its first use a script is called by its digest."""
    raw.script_flush()
    await broker.enqueue([job("a")])
    raw.config_resetstat()
    await broker.enqueue([job("b")])
    assert "cmdstat_eval" not in raw.info("commandstats")
