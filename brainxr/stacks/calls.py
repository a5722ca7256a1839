"""The calls that messages offer, as they are typed."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from brainxr.stacks.fields import DIGITS, stem

# Calls that a message shows.
MOST_CALLS = 8

# Files that a message names one by one.
_MOST_FILES = 40


@dataclass(frozen=True)
class Calls:
    """How the calls begin that open what was found, or a part of it.

    Attributes
    ----------
    place : str
        What messages name: the folder, zip or URL.
    opened : str
        The arguments that were given, as text; empty where they can't be repeated.
    part_of : callable
        The same for the files of a glob pattern.
    file : callable, optional
        The path of a name, as text; None where lists of files can't be opened.
    """

    place: str
    opened: str
    part_of: Callable[[str], str]
    file: Callable[[str], str] | None = None

    def whole(self, **options: Any) -> str:
        return _call(self.opened, options)

    def part(self, names: Sequence[str], everything: Sequence[str], **options: Any) -> str | None:
        """The call that opens some of the names; None where there is none."""
        if len(names) == len(everything):
            return self.whole(**options)
        pattern = pattern_of(names)
        regular = set(names) == {n for n in everything if fnmatch.fnmatchcase(n, pattern)}
        if regular or is_kind(names, everything):
            return _call(self.part_of(pattern), options)
        return self.files(names, **options)

    def files(self, names: Sequence[str], **options: Any) -> str | None:
        if self.file is None or len(names) > _MOST_FILES:
            return None
        return _call(f"[{', '.join(map(self.file, names))}]", options)


def folder_calls(folder: str, opened: str | None = None) -> Calls:
    """Calls for a folder, or for the pattern by which it was opened.

    >>> folder_calls("/data").part(["a_1.tif", "a_2.tif"], ["a_1.tif", "a_2.tif", "b_1.tif"])
    "brainxr.open('/data/a_[0-9]*.tif')"
    """
    return Calls(
        folder,
        repr(folder if opened is None else opened),
        lambda pattern: repr(os.path.join(glob.escape(folder), pattern)),
        lambda name: repr(os.path.join(folder, name)),
    )


def _call(arguments: str, options: dict[str, Any]) -> str:
    said = [f"{name}={_literal(value)}" for name, value in options.items() if value is not None]
    return f"brainxr.open({', '.join([arguments, *said])})"


def _literal(value: Any) -> str:
    """As a person would type it: a regular expression as a raw string."""
    if isinstance(value, str) and "\\" in value and "\n" not in value:
        for quote in ("'", '"'):
            if quote not in value and not value.endswith("\\"):
                return f"r{quote}{value}{quote}"
    return repr(value)


def pattern_of(names: Sequence[str]) -> str:
    """A glob pattern for names of one kind: what varies becomes ``[0-9]*``."""
    if len(names) == 1:
        return glob.escape(names[0])
    pieces = zip(*[DIGITS.split(stem(name)) for name in names], strict=True)
    text = "".join(glob.escape(p[0]) if len(set(p)) == 1 else "[0-9]*" for p in pieces)
    suffixes = {os.path.splitext(name)[1] for name in names}
    return text + (suffixes.pop() if len(suffixes) == 1 else ".*")


def is_kind(names: Sequence[str], everything: Sequence[str]) -> bool:
    """True if these are all names that are like the first but for their numbers."""
    key = DIGITS.split(stem(names[0]))[::2]
    alike = sum(DIGITS.split(stem(name))[::2] == key for name in everything)
    return alike == len(names)


def lines_of(calls: Sequence[tuple[str, str]], total: int = 0) -> str:
    """Write calls to paste, a line each, with what they open behind them, where that is told.

    Parameters
    ----------
    calls : sequence of (str, str)
    total : int
        How many there are, where `calls` are only the first of them.
    """
    lines = [f"  {call}  # {comment}".removesuffix("  # ") for call, comment in calls[:MOST_CALLS]]
    more = max(total, len(calls)) - MOST_CALLS
    return "\n".join(lines) + (f"\n  ... and {more} more" if more > 0 else "")


def count_slices(count: int, words: str = "") -> str:
    """Say how many slices a call opens, and which.

    >>> count_slices(1), count_slices(6, "c00")
    ('1 slice', '6 slices: c00')
    """
    return f"{count} slice{'s' if count > 1 else ''}" + (f": {words}" if words else "")
