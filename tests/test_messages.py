"""All messages of the package as one catalogue: what, where, found against expected, what to do.

Collected from the source: every ``raise`` and ``warn`` of brainxr's own classes, with the text
that it builds. What a machine can see of the four parts is checked; the torture suite
(tests/torture) checks the words of those that files can cause.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import brainxr
from brainxr import errors

PACKAGE = Path(brainxr.__file__).parent
CLASSES = {
    name for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, Exception)
}  # fmt: skip

# Words by which a message tells somebody to do something.
ADVICE = (
    "ask", "bring", "call", "choose", "close", "convert", "correct", "crop",
    "delete", "free", "give",
    "install", "leave", "look", "make", "move", "name", "open", "pass", "print", "put", "remove",
    "rename", "repair", "replace", "reshape", "restore", "run", "save", "say", "select", "set",
    "split", "start", "try", "use", "wait", "write", "needs", "takes", "has to", "instead",
    "expected", "is assumed", "are z, y and x", "get it", "check", "mend", "{}.{}",
    "one place, or nowhere", "no urls in the list", "is none of", "distance is more", "draw",
    "rename",
    "are available. {}",  # by whoever asks for so much, whose words are looked at, too
)  # fmt: skip


NAMES = ("matplotlib", "napari", "dask", "at ", "plane=")  # which are written small

# Whoever gets these did nothing with a file or a number.
WITHOUT_VALUES = ("DisplayError", "MissingExtraError", "UnitWarning")


# What is said of one thing that the caller has in hand, and needs no value to be known.
COMPLETE = (
    "levels=2",
    "is empty",
    "Levels are made beside a whole",
    "No visible layer",
    "no window of napari",
    "Three linked planes",
    "no URLs in the list",
)


# The function that refuses what is too big, given what that is and what to do instead.
TOO_BIG = "refuse_beyond_memory"


class Message(NamedTuple):
    """One place that raises or warns."""

    where: str
    kind: str
    text: str
    values: int


def texts_of(node: ast.AST, functions: dict[str, ast.FunctionDef]) -> tuple[str, int] | None:
    """The literal text of an expression, ``{}`` for what is filled in, and how often."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, 0
    if isinstance(node, ast.JoinedStr):
        parts = [
            (part.value, 0) if isinstance(part, ast.Constant) else ("{}", 1) for part in node.values
        ]
        return "".join(str(text) for text, _ in parts), sum(count for _, count in parts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        function = functions.get(node.func.id)
        nodes = ast.walk(function) if function else ()
        returns = [n.value for n in nodes if isinstance(n, ast.Return) and n.value]
        found = [text for value in returns if (text := texts_of(value, functions))]
        return (" ".join(t for t, _ in found), min(c for _, c in found)) if found else None
    return None


def catalogue() -> Iterator[Message]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    functions = {
        node.name: node for tree in trees.values() for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }  # fmt: skip
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == TOO_BIG:
                what, remedy = (texts_of(part, functions) for part in node.args[1:])
                assert what is not None
                assert remedy is not None
                text = f"{what[0]} would take {{}} of memory. {remedy[0]}"
                yield Message(f"{path.name}:{node.lineno}", "TooBigError", text, what[1] + 2)
            kind, argument = _raised(node)
            if kind in CLASSES and argument is not None and (
                found := texts_of(argument, functions)
            ):  # fmt: skip
                yield Message(f"{path.name}:{node.lineno}", kind, *found)  # type: ignore[attr-defined]


def _raised(node: ast.AST) -> tuple[str, ast.AST | None]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        function, arguments = node.exc.func, node.exc.args
        name = function.id if isinstance(function, ast.Name) else ""
        return name, arguments[0] if arguments else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn":
        category = node.args[1] if len(node.args) > 1 else None
        return category.id if isinstance(category, ast.Name) else "", node.args[0]
    return "", None


MESSAGES = sorted(catalogue())


def test_the_catalogue_is_all_of_it() -> None:
    assert len(MESSAGES) > 100
    used = {message.kind for message in MESSAGES}
    assert used >= {"StackError", "SliceReadError", "InconsistentStackError", "EmptyStackError",
                    "GeometryError", "StoreError", "SpacingWarning", "SliceGapWarning"}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: f"{m.where} {m.kind}")
def test_the_parts_of_a_message(message: Message) -> None:
    text = " ".join(message.text.split())
    if not any(letter.isalpha() for letter in text):
        return  # the words of another message, and for what
    first = text.split("(", 1)[0]
    assert sum(letter.isalpha() for letter in text) > 7, "what is wrong takes more words"
    assert text.startswith(NAMES) or text[0].isupper() or "{" in first, "it begins as a sentence"
    assert text.rstrip("})")[-1:] in ".?!:" or text.endswith(("}", "or nowhere")), (
        f"no end: {text!r}"
    )
    found = message.values or any(words in text for words in COMPLETE)
    assert found or message.kind in WITHOUT_VALUES, f"neither where nor what was found: {text!r}"
    assert any(word in text.lower() for word in ADVICE), f"nothing to do about it: {text!r}"


def test_every_class_says_what_it_is() -> None:
    for name in CLASSES:
        assert getattr(errors, name).__doc__.strip().endswith("."), name
        assert name in brainxr.__all__, name
