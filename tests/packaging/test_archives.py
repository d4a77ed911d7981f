"""The contents of the wheels and the sdists, which are built here without an installer."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel

from tests.packaging.workspace import CODE, DISTRIBUTIONS, ROOT, metadata

SOURCES = (".py", ".lua", "py.typed", ".html", ".svg", ".css", ".js")


def built_wheel(distribution: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files in a distribution's wheel."""
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
    """Return the files of the checkout that belong into a wheel."""
    base = ROOT / "packages" / distribution / "src"
    files = (path for path in base.rglob("*") if path.name.endswith(SOURCES))
    return {str(path.relative_to(base).as_posix()) for path in files}


@pytest.mark.parametrize("distribution", CODE)
def test_wheel_has_only_the_package(distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel has code, `py.typed`, Lua scripts and the parts of pages, and no other files."""
    names = set(built_wheel(distribution, tmp_path, monkeypatch))
    package = {name for name in names if ".dist-info/" not in name}
    assert package == sources(distribution)
    assert f"{CODE[distribution]}/py.typed" in package
    assert any(name.endswith(".lua") for name in package) == (distribution == "aioq-redis")


def test_umbrella_wheel_has_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umbrella installs its dependencies, and shares no file with the core."""
    names = built_wheel("aioq", tmp_path, monkeypatch)
    assert [name for name in names if ".dist-info/" not in name] == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_wheel_has_the_licence(distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of the licence is in the wheel."""
    stem = f"{distribution.replace('-', '_')}-{metadata(distribution)['version']}"
    assert f"{stem}.dist-info/licenses/LICENSE" in built_wheel(distribution, tmp_path, monkeypatch)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_sdist_has_all_that_a_build_needs(distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sdist has the sources, the licence, the readme and the build settings, and no tests."""
    folder = unpacked_sdist(distribution, tmp_path, monkeypatch)
    assert {path.name for path in folder.iterdir()} >= {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"}
    assert not [path for path in folder.iterdir() if path.name.startswith("tests")]
    there, here = tmp_path / "there", tmp_path / "here"
    monkeypatch.chdir(folder)
    name = build_wheel(str(there))
    monkeypatch.chdir(ROOT / "packages" / distribution)
    assert build_wheel(str(here)) == name
    assert contents(there / name) == contents(here / name)
