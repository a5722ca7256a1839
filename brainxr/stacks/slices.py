"""Which files are the slices of a stack, and in which order.

Only names are looked at; no file is opened. A slice's number is the last number
that varies between the names, so ``FLASH25_100um_0371.tiff`` is slice 371 and
``2`` comes before ``10``. Whatever would need a guess (two stacks in one folder,
two files of one number) is refused, with the calls that say what is meant.
"""

from __future__ import annotations

import glob
import math
import os
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import EmptyStackError, SliceReadError, StackError, shortlist
from brainxr.files.openfile import Container, OpenFile, open_file

PathLike: TypeAlias = str | os.PathLike[str]
SUFFIXES = (".tif", ".tiff")

# The text of a call, by the pattern of the names that it opens.
Call: TypeAlias = Callable[[str], str]

_NUMBER = re.compile(r"(\d+)")

# Names that are no UTF-8 have their bytes in surrogates, as Python gives them.
_TEXT = ("utf-8", "surrogateescape")

# Places on the grid for each file; beyond this (and where it is many) the numbers
# are dates or identifiers, and a volume of their span would be nothing but gap.
_MOST_GAPS = 100


@dataclass(frozen=True)
class SliceFiles:
    """The files of a stack, in order along the stacked axis.

    Attributes
    ----------
    folder : str
        Absolute path; names are relative to it.
    names : tuple of str
    numbers : tuple of int
        Increasing; 0 for a single file whose name tells no number.
    container : Container, optional
        What has them in it, where they are no files of the disk: a zip.
    """

    folder: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    container: Container | None = None

    def __len__(self) -> int:
        return len(self.names)

    def path(self, i: int) -> str:
        return f"{self.folder}{'/' if '://' in self.folder else os.sep}{self.names[i]}"

    def open(self, i: int) -> OpenFile:
        """Open a file.

        Raises
        ------
        SliceReadError
        """
        path = self.path(i)
        return open_file(path) if self.container is None else self.container.open(i, path)

    @property
    def unpacks(self) -> bool:
        """Whether to read any part of a slice is to unpack all of it."""
        return self.container is not None and self.container.unpacks

    @property
    def is_far(self) -> bool:
        """Whether most of the time is spent waiting for them."""
        return self.container is not None and self.container.is_far

    @property
    def hints(self) -> tuple[str, ...]:
        """Names of where they are, the nearest first, for what such a name says of a stack."""
        within = () if self.container is None else (self.container.path,)
        return tuple(os.path.basename(path) for path in (self.folder, *within))

    @cached_property
    def step(self) -> int:
        """Distance of consecutive slices in the numbering, 10 for 10, 20, 30, ..."""
        steps = np.diff(self.numbers)
        return int(np.gcd.reduce(steps)) if steps.size else 1

    @cached_property
    def positions(self) -> npt.NDArray[np.int64]:
        """Place of each slice on the regular grid, shape (n,): 0, 1, 2, ... without gaps."""
        return (np.asarray(self.numbers, np.int64) - self.numbers[0]) // self.step

    @property
    def missing(self) -> list[int]:
        """Numbers that should be there, and are not."""
        expected = range(self.numbers[0], self.numbers[-1] + 1, self.step)
        return sorted(set(expected) - set(self.numbers)) if len(expected) > len(self) else []

    def __reduce__(self) -> Any:
        # names are alike: 10,000 of them travel in 24 kB instead of 650
        packed = zlib.compress("\0".join(self.names).encode(*_TEXT), 1)
        numbers = zlib.compress(np.asarray(self.numbers, np.int64).tobytes(), 1)
        return _unpack, (self.folder, packed, numbers, self.container)


def _unpack(folder: str, names: bytes, numbers: bytes, container: Container | None) -> SliceFiles:
    return SliceFiles(
        folder,
        tuple(zlib.decompress(names).decode(*_TEXT).split("\0")),
        tuple(np.frombuffer(zlib.decompress(numbers), np.int64).tolist()),
        container,
    )


def find_slices(path: PathLike | Sequence[PathLike]) -> SliceFiles:
    """Find the slices of a stack.

    Costs one listing of the folder; no file is opened.

    Parameters
    ----------
    path : path-like or sequence of these
        A folder, a glob pattern, a single file, or a list of files. Files of a
        list are ordered by their numbers too, or taken in the order given where
        their names carry no number.

    Raises
    ------
    EmptyStackError
        When there is no such path, or no slice in it.
    StackError
        When the files are several stacks, or share numbers.
    """
    if isinstance(path, str | os.PathLike):
        return _find_at(os.fspath(path))
    if isinstance(path, bytes) or not isinstance(path, Iterable):
        raise TypeError(
            f"path={path!r} is no path: give a folder, a pattern, a file or a list of files."
        )
    return _find_in_list([os.fspath(item) for item in path])


def is_slice_name(name: str) -> bool:
    """Whether a file's name is that of a slice: TIFF, and not hidden.

    >>> [is_slice_name(n) for n in ("a_1.TIFF", "._a_1.tif", "Thumbs.db")]
    [True, False, False]
    """
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _find_at(path: str) -> SliceFiles:
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        return _find_in_folder(path)
    if os.path.exists(path):
        return _single_file(path)
    if glob.has_magic(path):
        return _find_by_pattern(path)
    if os.path.islink(path):
        raise EmptyStackError(
            f"{path!r} is a link to {os.readlink(path)!r}, where there is nothing, or which leads "
            "back (a loop). Open what it should lead to."
        )
    raise EmptyStackError(_nowhere(path))


def _nowhere(path: str) -> str:
    return f"There is no file or folder {path!r}. Give the path of one.{_similar(path)}"


def _find_in_folder(folder: str) -> SliceFiles:
    listed, folders = _listed(folder)
    files = [name for name in listed if name not in folders] if folders else listed
    path = os.path.abspath(folder)
    # in most folders there is nothing else, so all names are looked at as one
    only = _only_number(files) if len(files) > 1 and is_slice_name(files[0]) else None
    if only is not None:
        return _in_order(path, *only)
    names = [name for name in files if is_slice_name(name)]
    if not names:
        raise EmptyStackError(_nothing_in(folder, listed))
    return one_stack(path, names)


def _listed(folder: str) -> tuple[list[str], set[str]]:
    """All names in a folder, and those of folders among them; costs hardly more than the names."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except PermissionError as error:
        raise SliceReadError(
            f"The folder {folder!r} may not be listed: permission denied. Ask its owner for access."
        ) from error
    return [entry.name for entry in entries], {e.name for e in entries if _is_folder(e)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _single_file(path: str) -> SliceFiles:
    folder, name = os.path.split(os.path.abspath(path))
    if not name.lower().endswith(SUFFIXES):
        raise EmptyStackError(
            f"{path!r} is no TIFF by its name. brainxr opens folders, patterns, lists and "
            f"multi-page files of {' and '.join(SUFFIXES)} slices, and zips of these."
        )
    return SliceFiles(folder, (name,), (0,))


def _find_by_pattern(pattern: str) -> SliceFiles:
    matches = glob.glob(pattern, recursive=True)
    found = [p for p in matches if is_slice_name(os.path.basename(p)) and not os.path.isdir(p)]
    if not found:
        raise EmptyStackError(
            f"No TIFF slice matches {pattern!r}. Patterns take *, ? and [0-9]; hidden files and "
            f"files not named {' or '.join(SUFFIXES)} are no slices."
        )
    folder, names = _relative(found)
    return one_stack(folder, _meant_by(pattern, folder, names))


def _meant_by(pattern: str, folder: str, names: list[str]) -> list[str]:
    """Of several kinds of names, the one for which our own message gave this pattern.

    ``a_[0-9]*.tif`` also matches ``a_1_mask.tif``; a glob can't say "only digits".
    """
    groups = _kinds(names)
    exact = [g for g in groups if _in_folder(folder, pattern_of(g)) == pattern]
    return exact[0] if exact else names


def _find_in_list(paths: list[str]) -> SliceFiles:
    if not paths:
        raise EmptyStackError("The list of files is empty: give the paths of slices.")
    folders = [p for p in paths if os.path.isdir(p)]
    if folders:
        raise StackError(
            f"{len(folders)} of {len(paths)} items of the list are folders: {shortlist(folders)}. "
            "Give a list of files, or open one folder by its path."
        )
    absent = [p for p in paths if not os.path.isfile(p)]
    if absent:
        raise EmptyStackError(
            f"{len(absent)} of {len(paths)} files of the list are not there: {shortlist(absent)}. "
            "Restore them, or leave them out."
        )
    return listed_stack(*_relative(paths))


def listed_stack(folder: str, names: list[str]) -> SliceFiles:
    """Order the names of a list by their number; where they have none, they are in order."""
    if len(names) > 1 and not any(_NUMBER.search(_stem(name)) for name in names):
        _refuse_repeats(names)
        return SliceFiles(folder, tuple(names), tuple(range(len(names))))
    return one_stack(folder, names)


def _relative(paths: list[str]) -> tuple[str, list[str]]:
    absolute = [os.path.abspath(p) for p in paths]
    folder = os.path.commonpath([os.path.dirname(p) for p in absolute])
    return folder, [os.path.relpath(p, folder) for p in absolute]


def one_stack(folder: str, names: list[str], call: Call | None = None) -> SliceFiles:
    """Order the names by their slice number, or say why they are no stack.

    Parameters
    ----------
    folder : str
        Absolute path; names are relative to it.
    names : list of str
    call : callable, optional
        The call that opens the files of a pattern, where that isn't the path of the folder
        and the pattern.

    Raises
    ------
    StackError
        When they are several stacks, or share numbers.
    """
    call = call or (lambda pattern: f"brainxr.open({_in_folder(folder, pattern)!r})")
    only = _only_number(names) if len(names) > 1 else None
    if only is not None:
        return _in_order(folder, *only)
    kinds = _kinds(names)
    if len(kinds) > 1:
        raise StackError(_several_stacks(folder, kinds, call))
    if len(names) == 1:
        return SliceFiles(folder, (names[0],), (0,))
    _refuse_unnumbered(folder, names)
    numbers = np.array([_numbers(name) for name in names], dtype=object)
    varying = [i for i in range(numbers.shape[1]) if len(set(numbers[:, i])) > 1]
    last = varying[-1] if varying else numbers.shape[1] - 1
    _refuse_duplicates(folder, names, numbers, varying, last, call)
    ordered = sorted(zip(numbers[:, last].tolist(), names, strict=True))
    return _in_order(folder, *zip(*ordered, strict=True))


def _only_number(names: list[str]) -> tuple[list[int], list[str]] | None:
    """Numbers and names in order, where names are alike but for one number; None for all others.

    What nearly every stack is. It is found without taking every name to pieces, which
    for 100,000 of them takes a second.
    """
    names = sorted(names)
    first, last = _NUMBER.split(names[0]), _NUMBER.split(names[-1])
    varying = [i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b]
    if len(first) != len(last) or len(varying) != 1 or varying[0] % 2 == 0:
        return None
    # no name has a NUL in it, so what lies between these borders is what differs
    head, tail = "\0" + "".join(first[: varying[0]]), "".join(first[varying[0] + 1 :]) + "\0"
    text = "\0" + "\0".join(names) + "\0"
    if not text.startswith(head) or not text.endswith(tail):
        return None
    digits = text[len(head) : -len(tail)].split(tail + head[1:])
    if len(digits) != len(names) or "" in digits or not "".join(digits).isdecimal():
        return None
    return _sorted(_as_integers(digits), names)


def _as_integers(digits: list[str]) -> npt.NDArray[Any]:
    joined = " ".join(digits)
    if joined.isascii():  # all at once: five times as fast as one by one
        numbers = np.fromstring(joined, np.int64, sep=" ")
        if numbers.max() < np.iinfo(np.int64).max:  # what is larger than that becomes that
            return numbers
    return np.array([int(number) for number in digits], dtype=object)


def _sorted(numbers: npt.NDArray[Any], names: list[str]) -> tuple[list[int], list[str]] | None:
    """Both in the order of the numbers; None where a number occurs twice."""
    if not (numbers[1:] > numbers[:-1]).all():  # 10 is before 2
        order = numbers.argsort()
        numbers, names = numbers[order], [names[i] for i in order.tolist()]
    return (numbers.tolist(), names) if (numbers[1:] > numbers[:-1]).all() else None


def _in_order(folder: str, numbers: Sequence[int], names: Sequence[str]) -> SliceFiles:
    _refuse_scattered(folder, numbers)
    return SliceFiles(folder, tuple(names), tuple(numbers))


def _kinds(names: list[str]) -> list[list[str]]:
    """Names in groups that are alike but for their numbers."""
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        kinds[tuple(_NUMBER.split(_stem(name))[::2])].append(name)
    return list(kinds.values())


def _refuse_unnumbered(folder: str, names: list[str]) -> None:
    if not _numbers(names[0]):
        raise StackError(
            f"The names {shortlist(sorted(names))} in {folder!r} are alike and carry no number, so "
            "they are no slices of one stack. Open the one you mean by its path."
        )


def _refuse_scattered(folder: str, numbers: Sequence[int]) -> None:
    """Refuse increasing numbers so far apart that they can't count slices."""
    low, high = numbers[0], numbers[-1]
    most = max(_MOST_GAPS * len(numbers), 100_000)
    if high - low < most and high <= np.iinfo(np.int64).max:
        return
    step = math.gcd(*(number - low for number in numbers))
    places = (high - low) // step + 1
    if high > np.iinfo(np.int64).max or places > most:
        raise StackError(
            f"The numbers of the {len(numbers)} files in {folder!r} run from {low} to {high}, "
            f"which would be {places} slices: they don't count slices. Rename the files 1, 2, 3 ..."
        )


def _refuse_duplicates(
    folder: str, names: list[str], numbers: npt.NDArray[Any], varying: list[int], last: int,
    call: Call,
) -> None:  # fmt: skip
    counts = Counter(numbers[:, last])
    if len(counts) == len(names):
        return
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, row in zip(names, numbers, strict=True):
        groups[tuple(row[varying[:-1]])].append(name)
    if len(groups) > 1 and all(len(group) > 1 for group in groups.values()):
        raise StackError(_several_stacks(folder, list(groups.values()), call))
    number = next(n for n, count in counts.items() if count > 1)
    twins = sorted(name for name, n in zip(names, numbers[:, last], strict=True) if n == number)
    raise StackError(
        f"{len(twins)} files in {folder!r} have slice number {number}: {shortlist(twins)}. A stack "
        "has one file a slice: move the others elsewhere, or open a list of the files you mean."
    )


def _refuse_repeats(names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise StackError(f"Files are listed more than once: {shortlist(repeated)}. Name each once.")


def _stem(name: str) -> str:
    return name[: name.rindex(".")]


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in _NUMBER.findall(_stem(name))]


def _several_stacks(folder: str, groups: list[list[str]], call: Call) -> str:
    return (
        f"The {sum(map(len, groups))} TIFF files in {folder!r} are {len(groups)} stacks by their "
        f"names, and a volume has one. Open the one you mean:\n"
        f"{ways([(call(pattern_of(group)), len(group)) for group in groups])}"
    )


def ways(calls: Sequence[tuple[str, int]]) -> str:
    """Calls to paste, a line each, with the number of slices that each opens."""
    lines = [f"  {call}  # {n} slice{'s' if n > 1 else ''}" for call, n in calls[:8]]
    more = f"\n  ... and {len(calls) - 8} more" if len(calls) > 8 else ""
    return "\n".join(lines) + more


def _in_folder(folder: str, pattern: str) -> str:
    return os.path.join(glob.escape(folder), pattern)


def pattern_of(names: list[str]) -> str:
    """A glob pattern for names of one kind: what varies becomes ``*``."""
    if len(names) == 1:
        return glob.escape(names[0])
    pieces = zip(*[_NUMBER.split(_stem(name)) for name in names], strict=True)
    stem = "".join(glob.escape(p[0]) if len(set(p)) == 1 else "[0-9]*" for p in pieces)
    suffixes = {os.path.splitext(name)[1] for name in names}
    return stem + (suffixes.pop() if len(suffixes) == 1 else ".*")


def _nothing_in(folder: str, listed: list[str]) -> str:
    if not listed:
        return f"The folder {folder!r} is empty."
    inside = [name for name in sorted(listed) if _holds_slices(Path(folder, name))]
    if inside:
        calls = "\n".join(f"  brainxr.open({os.path.join(folder, n)!r})" for n in inside[:8])
        return (
            f"There are no TIFF slices in {folder!r} itself, but in folders inside it. Open the "
            f"one you mean:\n{calls}"
        )
    return (
        f"There are no TIFF slices in {folder!r}, only {shortlist(sorted(listed))}. Slices are "
        f"files named {' or '.join(SUFFIXES)}."
    )


def _holds_slices(folder: Path) -> bool:
    try:
        return any(is_slice_name(name) for name in os.listdir(folder))
    except OSError:
        return False


def _similar(path: str) -> str:
    """A hint at names that look like the one that is not there."""
    import difflib

    parent = os.path.dirname(os.path.abspath(path))
    try:
        names = os.listdir(parent)
    except OSError:
        return f" Nor is there a folder {parent!r}."
    close = difflib.get_close_matches(os.path.basename(path.rstrip("/\\")), names, n=3, cutoff=0.5)
    return f" Did you mean {shortlist([repr(name) for name in close])}?" if close else ""
