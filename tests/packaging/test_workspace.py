"""The repository as a whole: one version, one licence, nothing at the top that does not belong there."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.packaging.workspace import CODE, DISTRIBUTIONS, ROOT, metadata, requirements, settings

TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs",
    "hatch.toml",
    "noxfile.py",
    "packages",
    "pyproject.toml",
    "tests",
}
VERSION = (ROOT / "packages/aioq/VERSION").read_text("utf-8").strip()


def test_top_level_has_only_known_files() -> None:
    """Git ignores every other file that tools write there."""
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    here = {path.name for path in ROOT.iterdir()} - ignored - {".git"}
    assert {name for name in here if not name.startswith(".coverage.")} == TOP_LEVEL


def test_root_pyproject_has_no_project() -> None:
    """The root's pyproject.toml has settings of tools, and builds nothing."""
    assert not {"project", "build-system"} & settings(ROOT).keys()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distributions_share_one_version(distribution: str) -> None:
    """All distributions have the version of one file, and support the same Pythons."""
    project = metadata(distribution)
    assert (project["version"], project["requires-python"]) == (VERSION, ">=3.11")


def test_umbrella_pins_its_parts() -> None:
    """The umbrella requires the parts of its own version."""
    pins = (
        requirements("aioq") | requirements("aioq", "cron") | requirements("aioq", "web") | requirements("aioq", "all")
    )
    assert {name: str(pin.specifier) for name, pin in pins.items()} == dict.fromkeys(CODE, f"=={VERSION}")
    assert requirements("aioq").keys() == {"aioq-core", "aioq-redis"}
    assert requirements("aioq", "cron").keys() == {"aioq-cron"}
    assert requirements("aioq", "web").keys() == {"aioq-web"}


@pytest.mark.parametrize("distribution", ["aioq-cron", "aioq-otel", "aioq-prometheus", "aioq-redis", "aioq-web"])
def test_satellite_requires_core_of_its_minor_version(distribution: str) -> None:
    """A satellite works with its own core and later ones of its minor version, and with no other."""
    major, minor, patch = map(int, VERSION.split("."))
    core = requirements(distribution)["aioq-core"].specifier
    assert core.contains(VERSION)
    assert core.contains(f"{major}.{minor}.{patch + 1}")
    assert not core.contains(f"{major}.{minor + 1}.0")
    assert patch == 0 or not core.contains(f"{major}.{minor}.{patch - 1}")


def test_distributions_have_the_same_build_hook() -> None:
    """Each distribution that requires another has a copy of the hook, which its sdist needs."""
    hooks = {path.parent.name: path.read_text("utf-8") for path in ROOT.glob("packages/*/hatch_build.py")}
    assert hooks.keys() == {"aioq", "aioq-cron", "aioq-otel", "aioq-prometheus", "aioq-redis", "aioq-web"}
    assert len(set(hooks.values())) == 1


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_classifiers_name_the_tested_pythons(distribution: str) -> None:
    """The classifiers are the Pythons on which the suite runs before a release, also in the shell of hatch."""
    prefix = "Programming Language :: Python :: 3."
    named = [
        line.removeprefix(prefix[:-2]) for line in metadata(distribution)["classifiers"] if line.startswith(prefix)
    ]
    supported = re.search(r"^SUPPORTED = (\[.*\])$", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE)
    assert supported
    assert named == json.loads(supported[1])
    matrix = tomllib.loads((ROOT / "hatch.toml").read_text("utf-8"))["envs"]["hatch-test"]["matrix"]
    assert matrix == [{"python": named}]


def test_core_requires_anyio_and_msgspec() -> None:
    """The core requires anyio and msgspec, and tzdata if the system has no time zones."""
    needed = requirements("aioq-core")
    assert needed.keys() == {"anyio", "msgspec", "tzdata"}
    assert str(needed["tzdata"].marker) == 'sys_platform == "win32"'


def test_changelog_begins_with_this_version() -> None:
    """The newest section is that of the version in progress or of the last release."""
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[0] == VERSION  # python -m nox -s release says what else it must say


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/releasing.md"])
def test_tables_of_versions_name_this_one(page: str) -> None:
    """Users find out whether their version gets fixes, and whose data it reads."""
    minor = VERSION.rpartition(".")[0]
    assert re.search(rf"^\| {re.escape(minor)} +\| yes \|$", (ROOT / page).read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_licences_are_equal(distribution: str) -> None:
    """Each distribution has a copy: installers refuse an sdist with a link to a file outside its folder."""
    copy = ROOT / "packages" / distribution / "LICENSE"
    assert not copy.is_symlink()
    assert copy.read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` is the test command of the README and of CONTRIBUTING."""
    command = (ROOT / ".ci/run").read_text("utf-8").splitlines()[-1]
    assert command.startswith("python -m pip install")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert command in (ROOT / page).read_text("utf-8").splitlines()
