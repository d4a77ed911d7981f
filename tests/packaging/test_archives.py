"""What is in the wheels and the sdists, built here without an installer."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel

from tests.packaging.workspace import CODE, DISTRIBUTIONS, ROOT, metadata

SOURCES = (".py", ".lua", "py.typed")


def built_wheel(distribution: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names in a distribution's wheel."""
    monkeypatch.chdir(ROOT / "packages" / distribution)
    with zipfile.ZipFile(target / build_wheel(str(target))) as wheel:
        return wheel.namelist()


def unpacked_sdist(distribution: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that a distribution's sdist was unpacked to."""
    monkeypatch.chdir(ROOT / "packages" / distribution)
    name = build_sdist(str(target))
    with tarfile.open(target / name) as sdist:
        sdist.extractall(target, filter="data")
    return target / name.removesuffix(".tar.gz")


def contents(wheel: Path) -> dict[str, bytes]:
    """Return what is in each file of a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sources(distribution: str) -> set[str]:
    """Return the files that belong into a wheel, from the checkout."""
    base = ROOT / "packages" / distribution / "src"
    files = (path for path in base.rglob("*") if path.name.endswith(SOURCES))
    return {str(path.relative_to(base).as_posix()) for path in files}


@pytest.mark.parametrize("distribution", CODE)
def test_a_wheel_holds_the_package_and_nothing_else(
    distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, the mark that it is typed, and Lua scripts."""
    names = set(built_wheel(distribution, tmp_path, monkeypatch))
    package = {name for name in names if ".dist-info/" not in name}
    assert package == sources(distribution)
    assert f"{CODE[distribution]}/py.typed" in package
    assert any(name.endswith(".lua") for name in package) == (distribution == "aioq-redis")


def test_the_umbrella_has_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It installs its dependencies, and shares no file with the core."""
    names = built_wheel("aioq", tmp_path, monkeypatch)
    assert [name for name in names if ".dist-info/" not in name] == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_wheel_carries_the_licence(distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text travels with what is installed."""
    stem = f"{distribution.replace('-', '_')}-{metadata(distribution)['version']}"
    assert f"{stem}.dist-info/licenses/LICENSE" in built_wheel(distribution, tmp_path, monkeypatch)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_an_sdist_can_be_built_again(distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds all that a wheel needs, and no tests: made away from the checkout, the wheel is the same."""
    folder = unpacked_sdist(distribution, tmp_path, monkeypatch)
    assert {path.name for path in folder.iterdir()} >= {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"}
    assert not [path for path in folder.iterdir() if path.name.startswith("tests")]
    there, here = tmp_path / "there", tmp_path / "here"
    monkeypatch.chdir(folder)
    name = build_wheel(str(there))
    monkeypatch.chdir(ROOT / "packages" / distribution)
    assert build_wheel(str(here)) == name
    assert contents(there / name) == contents(here / name)
