"""Import graphs of made-up packages."""

from __future__ import annotations

from tests.architecture.imports import cycles, depth, imports, top_level
from tests.architecture.source import Module, Package


def package(*modules: tuple[str, str]) -> Package:
    """Return a package `ours` of modules that are given by their names in it and their texts."""
    made = [Module("ours", "from ours.a import x\n", is_package=True)]
    folders = {name.rpartition(".")[0] for name, _ in modules}
    made += [Module(f"ours.{name}", text, is_package=name in folders) for name, text in modules]
    return Package("ours", tuple(made), ())


def test_imports_finds_every_form_of_an_import() -> None:
    """Submodules, names, aliases, relative imports, and imports inside functions or for type checkers."""
    graph = imports(
        package(
            ("a", "import ours.b\nfrom ours.c import name\nfrom ours import d\n"),
            ("b", "def f():\n    from ours.c import name\n"),
            ("c", "if TYPE_CHECKING:\n    from ours.sub import one, other\n"),
            ("d", "import os\nimport elsewhere.ours\n"),
            ("sub", "from . import one\n"),
            ("sub.one", "from .two import name\nfrom ..d import name\n"),
            ("sub.two", ""),
        )
    )
    assert graph["ours.a"] == {"ours.b", "ours.c", "ours.d"}
    assert graph["ours.b"] == {"ours.c"}
    assert graph["ours.c"] == {"ours.sub", "ours.sub.one"}
    assert graph["ours.d"] == set()
    assert graph["ours.sub"] == {"ours.sub.one"}
    assert graph["ours.sub.one"] == {"ours.sub.two", "ours.d"}


def test_top_level_joins_the_modules_of_a_folder() -> None:
    """Imports within a folder disappear, and those of its modules become its own."""
    graph = {"ours.sub.a": {"ours.sub.b", "ours.c"}, "ours.sub.b": {"ours.d"}, "ours.c": set(), "ours.d": set()}
    assert top_level(graph) == {"sub": {"c", "d"}, "c": set(), "d": set()}


def test_depth_counts_the_modules_of_the_longest_chain() -> None:
    """The shortcut from the first to the last module changes nothing."""
    assert depth({"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}) == 4
    assert depth({}) == 0


def test_depth_counts_every_module_of_a_cycle() -> None:
    """A cycle hides no depth."""
    assert depth({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == 4


def test_cycles_names_their_modules() -> None:
    """Two cycles that share a module are one; a chain is none."""
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}, "d": {"a"}, "e": set[str]()}
    assert cycles(graph) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": set()}) == []
