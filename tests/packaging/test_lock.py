"""The lock names one version of everything that a session installs, for every Python and system."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.workspace import DISTRIBUTIONS, ROOT, metadata, settings
from tests.packaging.workspace import requirements as required

LOCK = (ROOT / ".ci/requirements.txt").read_text("utf-8")

PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = ({"sys_platform": "linux"}, {"sys_platform": "darwin"}, {"sys_platform": "win32", "os_name": "nt"})
PLATFORMS = [
    {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "x86_64", **system}
    for python, system in product(PYTHONS, SYSTEMS)
]


@cache
def locked() -> dict[str, list[Requirement]]:
    """Return what the lock pins, by name; one name may have a pin for each Python or system."""
    pins: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^[A-Za-z0-9].*", LOCK, re.MULTILINE):
        pin = Requirement(line.rstrip(" \\"))
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def of_groups() -> dict[str, Requirement]:
    """Return the requirements of the groups in pyproject.toml, by the group and the line."""
    groups: dict[str, list[str]] = settings(ROOT)["dependency-groups"]
    return {f"{group}: {line}": Requirement(line) for group, lines in groups.items() for line in lines}


def of_packages() -> dict[str, Requirement]:
    """Return what our distributions and their extras require of others, by the distribution and the line."""
    found: dict[str, Requirement] = {}
    for name in DISTRIBUTIONS:
        for extra in ("", *metadata(name)["optional-dependencies"]):
            found |= {f"{name}: {each}": each for each in required(name, extra).values()}
    return {name: each for name, each in found.items() if not each.name.startswith("aioq")}


@pytest.mark.parametrize(
    "requirement", [pytest.param(each, id=name) for name, each in (of_groups() | of_packages()).items()]
)
def test_lock_requirement_is_satisfied(requirement: Requirement) -> None:
    """On each Python and system that a requirement is for, the lock has one version, and it fits."""
    for platform in PLATFORMS:
        if requirement.marker and not requirement.marker.evaluate(platform):
            continue
        pins = locked().get(canonicalize_name(requirement.name), [])
        versions = [str(pin.specifier) for pin in pins if not pin.marker or pin.marker.evaluate(platform)]
        assert len(versions) == 1, f"{requirement}: {versions}; refresh the lock: python -m nox -s lock -- --no-upgrade"
        assert requirement.specifier.contains(versions[0].removeprefix("=="), prereleases=True), versions[0]


def test_lock_entries_are_pinned_with_hashes() -> None:
    """Each has exactly one version, and the hashes of its files."""
    for pins in locked().values():
        assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in pins)
    assert len(re.findall(r"^[A-Za-z0-9].* \\\n +--hash=sha256:", LOCK, re.MULTILINE)) == sum(
        map(len, locked().values())
    )


def test_lock_names_no_index() -> None:
    """Whichever index a machine uses, the lock is the same."""
    assert "://" not in LOCK
    assert not re.search(r"^ *--(?!hash)", LOCK, re.MULTILINE)
