"""Everything that must hold before a change is done: `python -m nox` runs it all, as the build machines do.

One part alone: `python -m nox -s lint`, or `python -m nox -s tests-3.12 -- tests/core -k retry`. Three parts are not
in a plain run, for they take long and want a machine to themselves: `-s chaos`, `-s machines` and `-s bench`. A fourth
needs more of the network than a package index: `-s audit`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
# A machine tests the Pythons that it has, also a build machine with only one. Those that must have them all set
# AIOQ_ALL_PYTHONS=1; then a missing one is an error.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = bool(os.environ.get("AIOQ_ALL_PYTHONS"))

ROOT = Path(__file__).parent
PACKAGES = ROOT / "packages"
PYTHONS = ["3.11", "3.12", "3.13"]
OLDEST = PYTHONS[0]
WORKERS = "3"
"""Processes that share the tests: one more than a small machine has cores, because many tests wait for something."""
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")
CORE, CRON, REDIS, UMBRELLA = "aioq-core", "aioq-cron", "aioq-redis", "aioq"
DISTRIBUTIONS = [CORE, CRON, REDIS, UMBRELLA]


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return [*nox.project.dependency_groups(GROUPS, name)]


def paths(*names: str, extra: str = "") -> list[str]:
    """Return what to install for these distributions of ours, from this checkout."""
    return [f"{PACKAGES / name}{extra}" for name in names]


def editable(*names: str) -> list[str]:
    """Return how to install these distributions so that they follow the checkout."""
    return [part for path in paths(*names) for part in ("--editable", path)]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling, and which package may import which."""
    session.install(*group("lint"), *editable(CORE, CRON, REDIS))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Types by mypy and pyright, both strict, over the packages and their tests."""
    session.install(*group("types"), *group("test"), *editable(*DISTRIBUTIONS))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The test suite, on each Python that this machine has."""
    session.install(*group("test"), *editable(*DISTRIBUTIONS))
    session.run("pytest", "-n", WORKERS, *session.posargs)


@nox.session
@nox.parametrize("name", DISTRIBUTIONS, ids=DISTRIBUTIONS)
def isolated(session: nox.Session, name: str) -> None:
    """A distribution with nothing but what it declares: all of it can be imported, and it works."""
    siblings = {CORE: [], CRON: [CORE], REDIS: [CORE], UMBRELLA: [CORE, REDIS]}[name]
    session.install(*paths(name, *siblings))
    session.run("python", "-I", "tests/packaging/isolation.py", name)
    if name == CORE:
        session.install(*paths(CORE, extra="[testing]"))
        session.run("python", "-I", "tests/packaging/isolation.py", f"{CORE}[testing]")


@nox.session
def plugins(session: nox.Session) -> None:
    """A broker and a scheduler of somebody else, installed beside the core alone, pass the suites that it ships."""
    projects = sorted(path.parent for path in ROOT.glob("tests/packaging/third_party/*/pyproject.toml"))
    here = [part for project in projects for part in ("--editable", str(project))]
    session.install("pytest-timeout", *paths(CORE, extra="[testing]"), *here)
    for project in projects:
        # In its own folder it has its own settings, and none of our fixtures.
        with session.chdir(project):
            session.run("pytest")


@nox.session(python=OLDEST, venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """The tests of the packages with the oldest release of each dependency that they allow."""
    session.install("--resolution", "lowest-direct", *paths(CORE, CRON, REDIS))
    lowest = session.run("uv", "pip", "freeze", "--quiet", silent=True, external=True)
    floors = Path(session.create_tmp(), "floors.txt")
    floors.write_text("\n".join(line for line in str(lowest).splitlines() if "aioq" not in line))
    session.install("--constraint", str(floors), *group("test"))
    # What differs from server to server is tested with the newest releases.
    session.run(
        "pytest",
        "-n",
        WORKERS,
        *(session.posargs or ("tests/core", "tests/cron", "tests/redis", "tests/contract")),
        env={"AIOQ_TEST_SERVERS": "valkey"},
    )


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution, check what is in it, and use it from a fresh environment."""
    dist, fresh = (Path(session.create_tmp(), part) for part in ("dist", "fresh"))
    session.install(*group("wheels"))
    shutil.rmtree(dist, ignore_errors=True)
    # hatch keeps environments of its own, here rather than in the home directory; nox's UV_PYTHON would mislead it.
    env = {"HATCH_DATA_DIR": str(Path(session.create_tmp(), "hatch")), "UV_PYTHON": None}
    session.run("hatch", "build", "--all", str(dist), env=env)
    built = sorted(dist.glob("*.whl"))
    umbrella, parts = built[0], built[1:]
    session.run("twine", "check", "--strict", *map(str, built), *map(str, dist.glob("*.tar.gz")))
    session.run("check-wheel-contents", *map(str, parts))
    session.run("check-wheel-contents", "--ignore", "W007,W008", str(umbrella))  # it has no modules, and says so
    session.run("virtualenv", "--quiet", "--clear", str(fresh))
    programs = fresh / ("Scripts" if os.name == "nt" else "bin")
    session.run(
        str(programs / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        f"{umbrella}[cron]",
        *map(str, parts),
        external=True,
    )
    session.run(str(programs / "aioq"), "--version", external=True)
    session.run(str(programs / "python"), "-I", "tests/packaging/isolation.py", "aioq[cron]", external=True)


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """The chaos suite at its full size, `-- F1 F14` for some of it, `-- --quick` in small. Not part of a plain run."""
    session.install(*group("test"), *editable(*DISTRIBUTIONS))
    session.run("python", "-m", "tests.chaos", *session.posargs)


@nox.session(default=False)
def machines(session: nox.Session) -> None:
    """Brokers against their models: 20,000 lives on each, or `AIOQ_EXAMPLES`. Not part of a plain run."""
    session.install(*group("test"), *editable(*DISTRIBUTIONS))
    session.run(
        "pytest",
        "-n",
        WORKERS,
        # They take as long as they take.
        "-o",
        "timeout=0",
        "-o",
        "faulthandler_timeout=0",
        *(session.posargs or ("tests/contract", "tests/redis/test_machine.py", "-k", "machine or ledger")),
        env={"AIOQ_EXAMPLES": os.environ.get("AIOQ_EXAMPLES", "20000")},
    )


@nox.session(default=False, reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Measure ours and others, `-- processes` for a part of it, `-- --quick` in little. Not part of a plain run."""
    session.install(*group("test"), *editable(*DISTRIBUTIONS))
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of what comes with aioq. Not part of a plain run: it asks a public service."""
    session.install("pip-audit", *editable(*DISTRIBUTIONS))  # so that it can leave out ours, of which nobody knows
    session.run("pip-audit", "--local", "--skip-editable", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site; a dead link is an error."""
    session.install(*group("docs"), *editable(*DISTRIBUTIONS))
    session.run("zensical", "build", "--clean", "--strict", "--config-file", "docs/zensical.toml")
