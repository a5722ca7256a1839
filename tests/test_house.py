"""The house is laid out as CONTRIBUTING.md says: rooms in order, imports one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "brainxr"


def rooms() -> list[str]:
    """Folders and modules of the package in the order of CONTRIBUTING.md, the lowest first."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = re.findall(r"^\d+\. (.*?):", text, re.MULTILINE)
    return [name.rstrip("/") for line in listed for name in re.findall(r"`([\w/]+)`", line)]


def modules() -> dict[str, Path]:
    """Files by the dotted name below the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
    }


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, anywhere in it, but only to check types."""
    for node in ast.walk(_at_run_time(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "brainxr":
            base = (node.module or "").split(".")[1:]
            for alias in node.names:
                longer = ".".join([*base, alias.name])
                yield longer if longer in modules() else ".".join(base) or "__init__"


def _at_run_time(tree: ast.Module) -> ast.Module:
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


def test_every_room_is_listed_once() -> None:
    found = {name.split(".")[0] for name in modules()}
    assert sorted(rooms()) == sorted(found)


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_rooms_below(name: str) -> None:
    order = rooms()
    own = name.split(".")[0]
    above = order[order.index(own) + 1 :]
    wrong = [other for other in imported(modules()[name]) if other.split(".")[0] in above]
    assert not wrong, f"{name} is in {own}, and imports {wrong} from above"


def test_no_circles() -> None:
    graph = {name: set(imported(path)) - {name} for name, path in modules().items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError
