"""Everything that must hold before a change is done: `python -m nox` runs it all, as the build machines do.

One part alone: `python -m nox -s lint`, or `python -m nox -s tests-3.12 -- tests/core -k retry`. `python -m nox -l`
lists all sessions; those without a star are not in a plain run, because they take long, need a machine to themselves,
ask a public service, or depend on what was released today.

Sessions install the versions that `.ci/requirements.txt` names, and `-s lock` refreshes that file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
# A machine tests the Pythons that it has, also a build machine with only one. Those that must have them all set
# AIOQ_ALL_PYTHONS=1; then a missing one is an error.
nox.options.download_python = "never"
ALL_PYTHONS = bool(os.environ.get("AIOQ_ALL_PYTHONS"))
nox.options.error_on_missing_interpreters = ALL_PYTHONS

ROOT = Path(__file__).parent
PACKAGES = ROOT / "packages"
LOCK = ROOT / ".ci" / "requirements.txt"
SUPPORTED = ["3.11", "3.12", "3.13"]
"""Pythons that the suite is run on before a release; the classifiers of the packages name them."""
WORKERS = "6"
"""Processes that share the tests: four more than a small machine has cores, because most of a test is waiting."""
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")
CORE, CRON, REDIS, UMBRELLA = "aioq-core", "aioq-cron", "aioq-redis", "aioq"
OTEL, PROMETHEUS, WEB = "aioq-otel", "aioq-prometheus", "aioq-web"
DISTRIBUTIONS = [CORE, CRON, OTEL, PROMETHEUS, REDIS, WEB, UMBRELLA]
MEMORY = [str(path) for path in sorted(ROOT.glob("tests/contract/test_memory*.py"))]
ASYNCIO_ONLY = ["-k", "not trio"]
"""Trio is no part of Python, and our packages do not depend on it."""
NO_SHELLS = ["--ignore=tests/core/cli/test_completion.py"]
PART = ["tests/core", "tests/cron", *MEMORY, *ASYNCIO_ONLY, *NO_SHELLS]
"""Tests of what differs from Python to Python: all but the servers and the shells, which cost most of the time."""
WHOLE = ["--ignore=tests/packaging/third_party"]
"""The tests of the packages of third parties are run by `plugins`, where these are installed."""

LOWEST = [
    *("tests/core", "tests/cron", "tests/prometheus", "tests/redis/client", *MEMORY, "tests/contract/test_redis.py"),
    # Clusters and other groups of servers depend on no release of a dependency, and take minutes.
    *("--ignore=tests/redis/client/test_cluster.py", "--ignore=tests/redis/client/test_sentinel.py"),
    *("--ignore=tests/redis/client/test_replication.py", *ASYNCIO_ONLY, *NO_SHELLS),
]
"""Tests of what differs from release to release of a dependency."""

FORGE = {
    "vendor.github-workflows": [".github/workflows/*.yml"],
    "custom.github-workflows-require-timeout": [".github/workflows/*.yml"],
    "vendor.dependabot": [".github/dependabot.yml"],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
}
"""Which schema holds for which files; the tool ships them, and asks no server."""

PROBE = """
import sys, sysconfig
print("%d.%d" % sys.version_info[:2], sys.version_info.releaselevel, sys.implementation.name, end=" ")
print("free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "usual")
"""


def candidates() -> Iterator[tuple[str, Path]]:
    """Yield each program that may be a Python from 3.11 on, with its minor version."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # What pyenv has on the PATH are shims, which fail for a version that is not active.
    on_path = [Path(folder) for folder in os.get_exec_path() if Path(folder) != pyenv / "shims"]
    for folder in (*on_path, *sorted(pyenv.glob("versions/*/bin"), reverse=True)):
        for program in sorted(folder.glob("python3.*")):
            if (found := re.fullmatch(r"python3\.(\d+)(\.exe)?", program.name)) and int(found[1]) >= 11:
                yield f"3.{found[1]}", program


def probed(program: str) -> str:
    """Return the minor version of a released CPython with the usual build, else an empty string."""
    try:
        command = [program, "-I", "-c", PROBE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - a Python
    except (OSError, subprocess.SubprocessError):
        return ""
    said = done.stdout.split()
    return said[0] if said[1:] == ["final", "cpython", "usual"] else ""


def find_pythons() -> dict[str, Path]:
    """Return the program of each Python from 3.11 on, by minor version: nox's own, on the PATH, and pyenv's."""
    own = probed(sys.executable)
    found = {own: Path(sys.executable)} if own and int(own.partition(".")[2]) >= 11 else {}
    for minor, program in candidates():
        if minor not in found and probed(str(program)) == minor:
            found[minor] = program
    return dict(sorted(found.items(), key=lambda pair: int(pair[0].partition(".")[2])))


def show(found: dict[str, Path]) -> None:
    """Make nox find these programs: it looks on the PATH, where those of pyenv are not."""
    wrong = [str(path.parent) for minor, path in found.items() if path != Path(shutil.which(f"python{minor}") or "")]
    others = [folder for folder in wrong if folder != str(Path(sys.executable).parent)]
    os.environ["PATH"] = os.pathsep.join([*others, os.environ.get("PATH", "")])


FOUND = find_pythons()
show(FOUND)
PYTHONS = [*FOUND, *(minor for minor in SUPPORTED if ALL_PYTHONS and minor not in FOUND)] or SUPPORTED
FIRST = PYTHONS[0]
"""The oldest Python that is here. It runs the whole suite, the others a part of it."""
USUAL = None if f"3.{sys.version_info[1]}" in FOUND else FIRST
"""What sessions run on that need one Python: the one that runs nox, unless it is too old or no release."""


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return [*nox.project.dependency_groups(GROUPS, name)]


def requirements(name: str) -> list[str]:
    """Return what a distribution of ours and all its extras require of others."""
    settings: dict[str, Any] = nox.project.load_toml(PACKAGES / name / "pyproject.toml")
    # Those with requirements on each other have them filled in by a hook when they are built.
    hooks = settings["tool"]["hatch"].get("metadata", {}).get("hooks", {}).get("custom", {})
    tables: list[dict[str, Any]] = [settings["project"], hooks]
    lists = [
        lines
        for table in tables
        for lines in [table.get("dependencies", []), *table.get("optional-dependencies", {}).values()]
    ]
    return [line for lines in lists for line in lines if not line.startswith("aioq")]


def install(session: nox.Session, *what: str, lock: Path = LOCK) -> None:
    """Install into the environment of a session, in the versions of the lock, also what builds our packages."""
    if session.venv_backend == "uv":
        session.install("--constraint", str(lock), "--build-constraint", str(lock), *what)
    else:
        # Where one hash is given, pip wants one for everything, and a folder has none.
        plain = without_hashes(session, lock)
        session.install("--constraint", plain, *what, env={"PIP_CONSTRAINT": plain, "PIP_BUILD_CONSTRAINT": plain})


def name_of(line: str) -> str:
    """Return the name in a requirement, as indexes write it."""
    found = re.match(r"[A-Za-z0-9._-]*", line)
    return re.sub(r"[-_.]+", "-", found[0] if found else "").lower()


def without_hashes(session: nox.Session, lock: Path = LOCK) -> str:
    """Return the path of a copy of the lock that names versions only."""
    copy = Path(session.create_tmp(), "constraints.txt")
    copy.write_text(re.sub(r" \\\n +--hash=\S+", "", lock.read_text("utf-8")), "utf-8")
    return str(copy)


def paths(*names: str, extra: str = "") -> list[str]:
    """Return what to install for these distributions of ours, from this checkout."""
    return [f"{PACKAGES / name}{extra}" for name in names]


def editable(*names: str) -> list[str]:
    """Return how to install these distributions so that they follow the checkout."""
    return [part for path in paths(*names) for part in ("--editable", path)]


def refuse_unready(session: nox.Session, version: str) -> None:
    """End a session unless the changelog, the tag and the checkout are those of this version."""
    heading = re.search(r"^## \[.*", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    if not heading or not re.fullmatch(rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", heading[0]):
        session.error(f"CHANGELOG.md must begin with `## [{version}] - YYYY-MM-DD`, not {heading and heading[0]!r}")
    git = ["git", "-C", str(ROOT)]
    tags = str(session.run(*git, "tag", "--points-at", "HEAD", external=True, silent=True)).split()
    if f"v{version}" not in tags:
        session.error(f"this commit must have the tag v{version}, and has {', '.join(tags) or 'none'}")
    if changed := str(session.run(*git, "status", "--porcelain", external=True, silent=True)).strip():
        session.error(f"there must be nothing that is not committed:\n{changed}")


def build(session: nox.Session, dist: Path) -> None:
    """Build every distribution into an emptied folder, and check what is in it."""
    shutil.rmtree(dist, ignore_errors=True)
    for name in DISTRIBUTIONS:
        # Each wheel is made from its sdist, as an index would have it made.
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(PACKAGES / name), silent=True)
    built = sorted(dist.glob("*.whl"))
    umbrella, parts = built[0], built[1:]
    session.run("twine", "check", "--strict", *map(str, built), *map(str, dist.glob("*.tar.gz")))
    session.run("check-wheel-contents", *map(str, parts))
    session.run("check-wheel-contents", "--ignore", "W007,W008", str(umbrella))  # it has no modules, and says so


def use(session: nox.Session, dist: Path, extra: str) -> Path:
    """Install the umbrella's wheel with an extra into a fresh environment, and return the folder of its programs."""
    fresh = Path(session.create_tmp(), "fresh")
    umbrella, *parts = sorted(dist.glob("*.whl"))
    session.run("virtualenv", "--quiet", "--clear", str(fresh))
    programs = fresh / ("Scripts" if os.name == "nt" else "bin")
    session.run(
        str(programs / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        without_hashes(session),
        f"{umbrella}[{extra}]",
        *map(str, parts),
        external=True,
    )
    return programs


@nox.session(python=USUAL)
def lint(session: nox.Session) -> None:
    """Style, spelling, which package may import which, and the files of the public forge."""
    install(session, *group("lint"), *editable(*DISTRIBUTIONS[:-1]))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")
    session.run("codespell")
    for schema, files in FORGE.items():
        found = [str(path) for pattern in files for path in sorted(ROOT.glob(pattern))]
        session.run("check-jsonschema", "--builtin-schema", schema, *found)


@nox.session(python=USUAL)
def types(session: nox.Session) -> None:
    """Types by mypy and pyright, both strict, over the packages and their tests."""
    install(session, *group("types"), *group("test"), *editable(*DISTRIBUTIONS))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The test suite on the oldest Python that is here, a part of it on the others; `-- tests` for all of it."""
    install(session, *group("test"), *editable(*DISTRIBUTIONS))
    session.run("pytest", "-n", WORKERS, *(session.posargs or (WHOLE if session.python == FIRST else PART)))


@nox.session(python=USUAL, default=False)
def latest(session: nox.Session) -> None:
    """The test suite with the newest release of everything, whatever the lock says. Not part of a plain run."""
    session.install("--upgrade", *group("test"), *editable(*DISTRIBUTIONS))
    session.run("pytest", "-n", WORKERS, *session.posargs)


@nox.session(python=USUAL)
@nox.parametrize("name", DISTRIBUTIONS, ids=DISTRIBUTIONS)
def isolated(session: nox.Session, name: str) -> None:
    """A distribution with nothing but what it declares: all of it can be imported, and it works."""
    siblings = {CORE: [], UMBRELLA: [CORE, REDIS]}.get(name, [CORE])
    install(session, *paths(name, *siblings))
    session.run("python", "-I", "tests/packaging/isolation.py", name)
    if name == CORE:
        for extra in ("[health]", "[testing]"):
            install(session, *paths(CORE, extra=extra))
            session.run("python", "-I", "tests/packaging/isolation.py", f"{CORE}{extra}")


@nox.session(python=USUAL)
def plugins(session: nox.Session) -> None:
    """A third-party broker and scheduler, installed beside the core alone, pass the suites that it ships."""
    projects = sorted(path.parent for path in ROOT.glob("tests/packaging/third_party/*/pyproject.toml"))
    here = [part for project in projects for part in ("--editable", str(project))]
    install(session, "pytest-timeout", "pytest-xdist", *paths(CORE, extra="[testing]"), *here)
    for project in projects:
        # In its own folder it has its own settings, and none of our fixtures.
        with session.chdir(project):
            session.run("pytest", "-n", WORKERS)


@nox.session(python=SUPPORTED[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """The tests of the packages with the oldest release of each dependency that they allow."""
    ours = [CORE, CRON, PROMETHEUS, REDIS]
    direct = {name_of(line) for name in ours for line in requirements(name)}
    lock = Path(without_hashes(session))
    pins = [line for line in lock.read_text("utf-8").splitlines() if name_of(line) not in direct]
    lock.write_text("\n".join(pins), "utf-8")
    install(session, "--resolution", "lowest-direct", *paths(*ours), lock=lock)
    lowest = session.run("uv", "pip", "freeze", "--quiet", silent=True, external=True)
    floors = [line for line in str(lowest).splitlines() if name_of(line) in direct]
    lock.write_text("\n".join([*pins, *floors]), "utf-8")
    install(session, *group("test"), lock=lock)
    # What differs from server to server is tested with the newest releases.
    session.run(
        "pytest",
        "-n",
        WORKERS,
        *(session.posargs or LOWEST),
        env={"AIOQ_TEST_SERVERS": "valkey"},
    )


@nox.session(python=USUAL)
def wheels(session: nox.Session) -> None:
    """Build every distribution, check what is in it, and use it from a fresh environment."""
    install(session, *group("wheels"))
    dist = Path(session.create_tmp(), "dist")
    build(session, dist)
    programs = use(session, dist, "cron")
    session.run(str(programs / "aioq"), "--version", external=True)
    session.run(str(programs / "python"), "-I", "tests/packaging/isolation.py", "aioq[cron]", external=True)


@nox.session(python=USUAL, default=False)
def release(session: nox.Session) -> None:
    """Build what a release consists of into `dist`, if all is as docs/releasing.md says. Not part of a plain run."""
    version = (PACKAGES / UMBRELLA / "VERSION").read_text("utf-8").strip()
    refuse_unready(session, version)
    install(session, *group("wheels"), *group("release"))
    dist = ROOT / "dist"
    build(session, dist)
    python = use(session, dist, "all") / "python"
    session.run(str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip", external=True)
    bill = dist / f"aioq-{version}.cdx.json"
    session.run("cyclonedx-py", "environment", "--output-reproducible", "--output-file", str(bill), str(python))
    # It names our wheels by where they were built.
    bill.write_text(bill.read_text("utf-8").replace(f"{dist.as_uri()}/", ""), "utf-8")
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dist.iterdir())}
    (dist / "SHA256SUMS").write_text("".join(f"{sum}  {name}\n" for name, sum in sums.items()), "utf-8")
    session.log(f"{len(sums)} files and their SHA256SUMS are in {dist}")


@nox.session(python=USUAL, default=False)
def chaos(session: nox.Session) -> None:
    """The chaos suite at its full size, `-- F1 F14` for some of it, `-- --quick` in small. Not part of a plain run."""
    install(session, *group("test"), *editable(*DISTRIBUTIONS))
    session.run("python", "-m", "tests.chaos", *session.posargs)


@nox.session(python=USUAL, default=False)
def mutants(session: nox.Session) -> None:
    """The suites of aioq.testing against wrong variants of a broker, `-- NAME` for some. Not part of a plain run."""
    install(session, *group("test"), *editable(*DISTRIBUTIONS))
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session(python=USUAL, default=False)
def machines(session: nox.Session) -> None:
    """Brokers against their models: 20,000 lives on each, or `AIOQ_EXAMPLES`. Not part of a plain run."""
    install(session, *group("test"), *editable(*DISTRIBUTIONS))
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


@nox.session(python=USUAL, default=False, reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Measure ours and others, `-- processes` for a part of it, `-- --quick` in little. Not part of a plain run."""
    install(session, *group("test"), *editable(*DISTRIBUTIONS))
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session(python=USUAL, default=False)
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of what comes with aioq. Not part of a plain run: it asks a public service."""
    install(session, *group("audit"), *editable(*DISTRIBUTIONS))  # editable, so that it can leave out ours
    session.run("pip-audit", "--local", "--skip-editable", *session.posargs)


@nox.session(python=USUAL)
def docs(session: nox.Session) -> None:
    """Build the site; a dead link is an error."""
    install(session, *group("docs"), *editable(*DISTRIBUTIONS))
    session.run("zensical", "build", "--clean", "--strict", "--config-file", "docs/zensical.toml")


@nox.session(python=SUPPORTED[0] if SUPPORTED[0] in FOUND else USUAL, default=False, venv_backend="uv")
def lock(session: nox.Session) -> None:
    """Refresh the lock, `-- --no-upgrade` for what is missing or does not fit. Not part of a plain run."""
    LOCK.touch()
    wanted = Path(session.create_tmp(), "requirements.in")
    groups = [line for name in GROUPS["dependency-groups"] for line in group(name)]
    ours = [line for name in DISTRIBUTIONS for line in requirements(name)]
    wanted.write_text("\n".join(dict.fromkeys([*groups, *ours])), "utf-8")
    session.run(
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        SUPPORTED[0],
        "--generate-hashes",
        "--no-annotate",
        "--custom-compile-command",
        "python -m nox -s lock",
        "--output-file",
        str(LOCK),
        *(session.posargs or ["--upgrade"]),
        str(wanted),
        external=True,
    )
