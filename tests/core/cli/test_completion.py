"""`aioq completion` makes real shells complete the command lines of `aioq`."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from aioq.cli.completion import app_paths, complete
from aioq.cli.extensions import extension_names
from tests.core.cli.conftest import Project
from tests.core.cli.terminal import environment_with

pytestmark = pytest.mark.timeout(180)  # each line starts a Python

SHOP = """
    from aioq import Aarq

    print("a line of the module")
    app = Aarq("memory://")

    @app.task(name="shop.send", queue="mails")
    async def send(ctx) -> None: ...

    @app.task(name="shop.charge")
    async def charge(ctx) -> None: ...

    @app.cron("0 4 * * *", name="nightly")
    async def nightly(ctx) -> None: ...
"""

ASK = """
    eval "$(aioq completion bash)"
    while read -r line; do
        line=${line//_/ }
        COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMPREPLY=()
        _python_argcomplete aioq < /dev/null
        echo "${COMPREPLY[*]}"
    done
"""
"""Asks bash's function for each line of stdin, in which _ stands for a blank: `read` would remove the last one."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app, a module that cannot be imported, and a program `aioq` of this Python."""
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    (tmp_path / "broken.py").write_text("app = Aarq()\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aioq").write_text(
        f"#!{sys.executable}\nimport sys\nfrom aioq.cli import main\nsys.exit(main())\n"
    )
    (tmp_path / "bin" / "aioq").chmod(0o755)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a shell whose `aioq` is that of the folder, and whose user has no settings."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return environment_with(PATH=path, HOME=str(folder), ZDOTDIR=str(folder), XDG_CONFIG_HOME=str(folder / ".config"))


def needs(shell: str) -> str:
    """Return the path of a shell; skip the test if there is none."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} to test with: apt-get install {shell}")
    return path


def offered_by_bash(folder: Path, lines: Sequence[str]) -> dict[str, list[str]]:
    """Return what bash is offered for each line."""
    done = subprocess.run(
        [needs("bash"), "--norc", "-c", dedent(ASK)], cwd=folder, env=environment(folder), capture_output=True,
        text=True, check=True, input="".join(f"{line.replace(' ', '_')}\n" for line in lines),
    )  # fmt: skip
    assert done.stderr == ""
    return dict(zip(lines, [line.split() for line in done.stdout.splitlines()], strict=True))


def test_bash_is_offered_commands_options_and_values(folder: Path) -> None:
    """Commands, subcommands, options and choices; also of commands that other packages add."""
    offered = offered_by_bash(
        folder,
        [
            "aioq ", "aioq job", "aioq cron his", "aioq jobs list --state ", "aioq jobs list --state=f", "aioq worker shop:app --log",
            "aioq worker shop:app -", "aioq completion ", "aioq wroker ", "aioq --ver",
        ],
    )  # fmt: skip
    assert {"worker", "cron", "jobs", "completion", *extension_names()} <= {*offered["aioq "]}
    assert offered["aioq job"] == ["jobs"]
    assert offered["aioq cron his"] == ["history"]
    assert {"pending", "failed", "dead"} <= {*offered["aioq jobs list --state "]}
    assert offered["aioq jobs list --state=f"] == ["failed"]
    assert offered["aioq worker shop:app --log"] == ["--log-level", "--log-format", "--log-jobs"]
    assert {"-q", "--queue", "--burst"} <= {*offered["aioq worker shop:app -"]}
    assert "--child" not in offered["aioq worker shop:app -"]
    assert offered["aioq completion "] == ["bash", "zsh", "fish"]
    assert offered["aioq --ver"] == ["--version"]


def test_bash_is_offered_names_of_the_app(folder: Path) -> None:
    """Apps of the folder, and tasks, queues and crons of the app that the line names; what a module prints is lost."""
    offered = offered_by_bash(
        folder,
        [
            "aioq enqueue ", "aioq enqueue shop:app ", "aioq enqueue shop:app shop.c", "aioq jobs list shop:app -q ",
            "aioq jobs list shop:app --task ", "aioq cron pause shop:app ", "aioq queues pause shop:app m", "aioq tasks stop shop:app shop.s",
        ],
    )  # fmt: skip
    assert offered["aioq enqueue "] == ["broken:app", "shop:app"]
    assert offered["aioq enqueue shop:app "] == ["shop.send", "shop.charge"]
    assert offered["aioq enqueue shop:app shop.c"] == ["shop.charge"]
    assert offered["aioq jobs list shop:app -q "] == ["default", "mails"]
    assert offered["aioq jobs list shop:app --task "] == ["shop.send", "shop.charge"]
    assert offered["aioq cron pause shop:app "] == ["nightly"]
    assert offered["aioq queues pause shop:app m"] == ["mails"]
    assert offered["aioq tasks stop shop:app shop.s"] == ["shop.send"]


def test_bash_is_offered_nothing_that_is_not_known(folder: Path) -> None:
    """An app that cannot be imported, and a broker, have no names; a free text has none either."""
    offered = offered_by_bash(
        folder,
        [
            "aioq enqueue broken:app x", "aioq jobs list redis://localhost -q x", "aioq queues pause shop:app --note ",
            "aioq jobs failures ", "aioq workers shop:app ",
        ],
    )  # fmt: skip
    assert [*offered.values()][:3] == [[], [], []]
    # A command that is also the name of a group offers its subcommands, too.
    assert offered["aioq jobs failures "] == ["broken:app", "shop:app", "dismiss"]
    # Nothing but options is left.
    assert {"--runs", "--json"} <= {*offered["aioq workers shop:app "]}


PROMPT = "ready> "


def typed(folder: Path, command: Sequence[str], line: str, until: str, **variables: str) -> str:
    """Type into a shell, with a Tab at the end, and return its output until that has a text."""
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 200))
    process = subprocess.Popen(
        command, cwd=folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        env={**environment(folder), "PS1": PROMPT, **variables},
    )  # fmt: skip
    os.close(terminal)
    seen, sent = "", False
    try:
        while until not in seen:
            seen += os.read(main, 65_536).decode()
            if not sent and PROMPT in seen:
                sent, seen = True, ""
                os.write(main, f"{line}\t".encode())
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return seen


def script(folder: Path, shell: str, file: str) -> Path:
    """Write the script of a shell to a file of the user, as docs/cli.md says."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["aioq", "completion", shell], cwd=folder, env=environment(folder), capture_output=True, check=True
    )
    path.write_bytes(done.stdout)
    return path


def test_tab_in_bash_completes_the_line(folder: Path) -> None:
    """A Tab after the beginning of a task writes the rest of it, after the colon of the app, too."""
    rc = script(folder, "bash", "rc")
    rc.write_text(f"{rc.read_text()}\nPS1='{PROMPT}'\n")
    shell = [needs("bash"), "--noprofile", "--rcfile", str(rc), "-i"]
    assert "aioq enqueue shop:app shop.charge " in typed(folder, shell, "aioq enqueue shop:app shop.c", "charge ")
    assert "aioq enqueue shop:app " in typed(folder, shell, "aioq enqueue sho", "shop:app ")


def test_tab_in_zsh_completes_the_line(folder: Path) -> None:
    """A Tab writes the rest of a name, and offers subcommands with what they do."""
    zsh = needs("zsh")
    script(folder, "zsh", ".zfunc/_aioq")
    (folder / ".zshrc").write_text(
        f"fpath+=~/.zfunc; autoload -Uz compinit; compinit -u\nPS1='{PROMPT}'\nunsetopt prompt_sp\n"
    )
    shell = [zsh, "--no-globalrcs", "-i"]
    shown = typed(folder, shell, "aioq enqueue shop:app shop.c", "charge")
    assert "shop.charge" in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|[\r\x08]", "", shown)
    assert "restore" in typed(folder, shell, "aioq tasks ", "-- restore a stopped task")


def test_fish_completes_the_line(folder: Path) -> None:
    """Fish offers names with what they are."""
    fish = needs("fish")
    script(folder, "fish", ".config/fish/completions/aioq.fish")

    def offered(line: str) -> list[str]:
        command = [fish, "-c", f'complete -C "{line}"']
        done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert offered("aioq enqueue shop:app shop.") == ["shop.charge\tqueue default", "shop.send\tqueue mails"]
    assert offered("aioq cron his") == ["history\tshow the latest ticks of an entry"]


def test_shell_without_argcomplete_is_told_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script needs the extra; a shell that asks without it gets no text into its line."""
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    outcome = project.aioq("completion", "bash")
    assert outcome == (78, "", 'aioq: argcomplete is not installed; run: pip install "aioq-core[completion]"\n')
    assert complete(lambda _: pytest.fail("it cannot be used"), lambda _: ()) == 78
    assert project.aioq("completion", "tcsh").code == 2


def test_app_paths_are_found_without_an_import(tmp_path: Path) -> None:
    """Apps at the top level of modules and packages that can be imported, at most three folders deep."""
    files = {
        "shop.py": "import os\napp = Aarq()\nother: Aarq = aioq.Aarq(\n    'memory://')\nraise SystemExit",
        "late.py": "def make():\n    app = Aarq()\n# app = Aarq()\n",
        "pkg/__init__.py": "app = Aarq()",
        "pkg/a/b/deep.py": "app = Aarq()",
        "pkg/a/b/c/deeper.py": "app = Aarq()",
        "not-a-module.py": "app = Aarq()",
        ".venv/lib.py": "app = Aarq()",
        "binary.py": "\x00\udcff",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    assert app_paths(tmp_path) == ["pkg.a.b.deep:app", "pkg:app", "shop:app", "shop:other"]
