"""Find the files of a stack: in a folder, by a pattern, or in a list.

Only names are looked at; no file is opened. `naming` tells their order. Whatever would need
a guess (two stacks in one folder, two files of one number) is refused, with the calls that
say what is meant.
"""

from __future__ import annotations

import glob
import math
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import (
    EmptyStackError,
    SliceOrderWarning,
    SliceReadError,
    StackError,
    shortlist,
    warn,
)
from brainxr.files.annex import not_fetched
from brainxr.files.openfile import Container, OpenFile, open_file
from brainxr.stacks.calls import Calls, folder_calls, lines_of, pattern_of
from brainxr.stacks.fields import describe_numbers, kinds_of
from brainxr.stacks.naming import Ordered, order_names, order_or_none
from brainxr.stacks.positions import (
    BY_NAMES,
    Naming,
    are_by_name,
    place_by_name,
    place_in_order,
    steps_of,
)
from brainxr.stacks.tables import is_list_file, read_paths

PathLike: TypeAlias = str | os.PathLike[str]
SUFFIXES = (".tif", ".tiff")

# What else brainxr opens, by the ends of names; a message points at it.
_OTHERS = (".nii", ".nii.gz", ".mgz", ".mgh", ".zarr", ".zip", ".nc")

# How deep, and how many entries, a message is looked for something to open.
_DEPTH, _MOST_ENTRIES = 5, 2_000

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
        Increasing; 0 for a single file. Where `heights` are regular, their steps.
    container : Container, optional
        What has them in it, where they are no files of the disk: a zip.
    heights : tuple of float, optional
        Position of each slice in µm, increasing; None where its number tells the place.
    is_known : bool
        True if it is known that the numbers count places.
    """

    folder: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    container: Container | None = None
    heights: tuple[float, ...] | None = None
    is_known: bool = field(default=False, compare=False)

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

    @cached_property
    def spacing(self) -> float | None:
        """Distance of the grid's places in µm, where positions are told and regular."""
        regular = None if self.heights is None else steps_of(self.heights)
        return None if regular is None else regular[1]

    @property
    def missing(self) -> list[int]:
        """Numbers that should be there, and are not."""
        expected = range(self.numbers[0], self.numbers[-1] + 1, self.step)
        return sorted(set(expected) - set(self.numbers)) if len(expected) > len(self) else []

    def __reduce__(self) -> Any:
        # names are alike: 10,000 of them travel in 24 kB instead of 650
        packed = zlib.compress("\0".join(self.names).encode(*_TEXT), 1)
        numbers = zlib.compress(np.asarray(self.numbers, np.int64).tobytes(), 1)
        return _unpack, (
            self.folder, packed, numbers, self.container, self.heights, self.is_known,
        )  # fmt: skip


def _unpack(
    folder: str, names: bytes, numbers: bytes, container: Container | None,
    heights: tuple[float, ...] | None = None, is_known: bool = False,
) -> SliceFiles:  # fmt: skip
    return SliceFiles(
        folder,
        tuple(zlib.decompress(names).decode(*_TEXT).split("\0")),
        tuple(np.frombuffer(zlib.decompress(numbers), np.int64).tolist()),
        container,
        heights,
        is_known,
    )


def find_slices(path: PathLike | Sequence[PathLike], naming: Naming = BY_NAMES) -> SliceFiles:
    """Find the slices of a stack.

    Costs one listing of the folder; no file is opened.

    Parameters
    ----------
    path : path-like or sequence of these
        A folder, a glob pattern, a single file, a list of files, or a .txt or .csv with
        such a list. A list keeps its order, at 0, 1, 2, ..., or at its numbers where these
        rise with it.
    naming : Naming
        What the caller says about the names.

    Raises
    ------
    EmptyStackError
        When there is no such path, or no slice in it.
    StackError
        When the files are several stacks, share numbers, or can be ordered in two ways.

    Warns
    -----
    SliceOrderWarning
        When a list is not in the order of its numbers.
    """
    if isinstance(path, str | os.PathLike):
        return _find_at(os.fspath(path), naming)
    if isinstance(path, bytes) or not isinstance(path, Iterable):
        raise TypeError(
            f"path={path!r} is no path: give a folder, a pattern, a file or a list of files."
        )
    return _find_in_list([os.fspath(item) for item in path], naming)


def is_slice_name(name: str) -> bool:
    """Whether a file's name is that of a slice: TIFF, and not hidden.

    >>> [is_slice_name(n) for n in ("a_1.TIFF", "._a_1.tif", "Thumbs.db")]
    [True, False, False]
    """
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _find_at(path: str, naming: Naming) -> SliceFiles:
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        return _find_in_folder(path, naming)
    if os.path.exists(path):
        return _find_in_text(path, naming) if is_list_file(path) else _single_file(path, naming)
    if glob.has_magic(path):
        return _find_by_pattern(path, naming)
    raise EmptyStackError(_nowhere(path))


def _nowhere(path: str) -> str:
    """Why there is nothing at a path."""
    if not os.path.islink(path):
        return f"There is no file or folder {path!r}. Give the path of one.{_similar(path)}"
    return not_fetched(path) or (
        f"{path!r} is a link to {os.readlink(path)!r}, where there is nothing, or which leads "
        "back (a loop). Open what it should lead to."
    )


def _find_in_folder(folder: str, naming: Naming) -> SliceFiles:
    listed, folders = _listed(folder)
    files = [name for name in listed if name not in folders] if folders else listed
    path = os.path.abspath(folder)
    # in most folders there is nothing else, so all names are looked at as one
    if len(files) > 1 and naming.says_nothing and is_slice_name(files[0]):
        ordered = order_or_none(files, quickly=True)
        if ordered is not None:
            return as_files(path, ordered, folder_calls(path))
    names = [name for name in files if is_slice_name(name)]
    if not names:
        raise EmptyStackError(_nothing_in(folder, listed))
    return one_stack(path, names, folder_calls(path), naming)


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


def _single_file(path: str, naming: Naming) -> SliceFiles:
    folder, name = os.path.split(os.path.abspath(path))
    if not name.lower().endswith(SUFFIXES):
        raise EmptyStackError(
            f"{path!r} is no TIFF by its name. brainxr opens folders, patterns, lists and "
            f"multi-page files of {' and '.join(SUFFIXES)} slices, and zips of these."
        )
    return one_stack(folder, [name], folder_calls(folder, path), naming)


def _find_in_text(path: str, naming: Naming) -> SliceFiles:
    """A stack whose paths, and perhaps positions, a text file lists."""
    paths, positions = read_paths(path)
    if positions is not None and naming.says_nothing:
        naming = Naming(positions=positions)
    return _find_in_list(paths, naming)


def _find_by_pattern(pattern: str, naming: Naming) -> SliceFiles:
    matches = glob.glob(pattern, recursive=True)
    found = [p for p in matches if is_slice_name(os.path.basename(p)) and not os.path.isdir(p)]
    if not found:
        others = [path for path in sorted(matches) if path.lower().endswith(_OTHERS)]
        raise EmptyStackError(
            _not_slices(pattern, others)
            if others
            else f"No TIFF slice matches {pattern!r}. Patterns take *, ? and [0-9]; hidden files "
            f"and files not named {' or '.join(SUFFIXES)} are no slices."
        )
    folder, names = _relative(found)
    meant = meant_by(pattern, names, lambda group: os.path.join(glob.escape(folder), group))
    return one_stack(folder, meant, folder_calls(folder, pattern), naming)


def meant_by(pattern: str, names: list[str], written: Callable[[str], str]) -> list[str]:
    """Of several kinds of names, the one for which our own message gave this pattern.

    ``a_[0-9]*.tif`` also matches ``a_1_mask.tif``; a glob can't say "only digits".
    """
    exact = [kind for kind in kinds_of(names) if written(pattern_of(kind)) == pattern]
    return exact[0] if exact else names


def _find_in_list(paths: list[str], naming: Naming) -> SliceFiles:
    if not paths:
        raise EmptyStackError("The list of files is empty: give the paths of slices.")
    paths = [os.path.expanduser(path) for path in paths]
    folders = [p for p in paths if os.path.isdir(p) and not p.lower().endswith(_OTHERS)]
    if folders:
        raise StackError(
            f"{len(folders)} of {len(paths)} items of the list are folders: {shortlist(folders)}. "
            "Give a list of files, or open one folder by its path."
        )
    absent = [p for p in paths if not os.path.exists(p)]
    if absent:
        reason = not_fetched(absent[0])
        count = f"{len(absent)} of {len(paths)} files of the list are not there"
        raise EmptyStackError(
            f"{count}: {shortlist(absent)}. Restore them, or leave them out."
            if reason is None
            else f"{count}. {reason}"
        )
    others = [p for p in paths if p.lower().endswith(_OTHERS)]
    if others:
        raise StackError(_not_slices("The list", others))
    return listed_stack(*_relative(paths), naming)


def by_number(paths: Sequence[str]) -> list[str]:
    """Order files by their names as those of a folder, however a shell listed them.

    Raises
    ------
    StackError
        When the names are several stacks, or can be ordered in two ways.
    """
    folder, names = _relative(list(paths))
    ordered = order_names(names, folder_calls(folder))
    return [os.path.join(folder, name) for name in ordered.names]


def _not_slices(what: str, paths: Sequence[str]) -> str:
    """What a list or a pattern of files is told that are volumes by themselves."""
    named = what if what == "The list" else f"The pattern {what!r}"
    count = f"{len(paths)} file{'s' if len(paths) > 1 else ''}"
    each = "each of which is a volume" if len(paths) > 1 else "which is a volume"
    return (
        f"{named} has {count} {each}, not a slice. Open the one you mean, or each of them:\n"
        f"{lines_of([(f'brainxr.open({path!r})', 'one volume') for path in paths])}"
    )


def listed_stack(folder: str, names: list[str], naming: Naming = BY_NAMES) -> SliceFiles:
    """Files in the order of their list, at 0, 1, 2, ..., or at their numbers where these rise."""
    _refuse_repeats(names)
    calls = Calls(folder, "", repr)
    if naming.number is not None or are_by_name(naming.positions):
        return one_stack(folder, names, calls, naming)
    as_listed = Ordered(tuple(names), tuple(range(len(names))))
    if naming.positions is not None:
        as_listed = as_listed if len(names) == 1 else place_in_order(as_listed, naming.positions)
        return as_files(folder, as_listed, calls)
    rising = order_or_none(names) if len(names) > 1 else None
    if rising is not None and rising.names == as_listed.names and not _is_scattered(rising):
        return as_files(folder, rising, calls)
    if rising is not None and rising.names not in (as_listed.names, as_listed.names[::-1]):
        warn(
            f"The list of {len(names)} files is not in the order of the numbers in their names "
            f"({shortlist(names, 3)}). It is kept as it is, at 0, 1, 2, .... To order the slices "
            "by their numbers, open the folder or a pattern, or say which number it is by "
            "number=....",
            SliceOrderWarning,
        )
    return as_files(folder, as_listed, calls)


def _relative(paths: list[str]) -> tuple[str, list[str]]:
    absolute = [os.path.abspath(p) for p in paths]
    folder = os.path.commonpath([os.path.dirname(p) for p in absolute])
    return folder, [os.path.relpath(p, folder) for p in absolute]


def one_stack(folder: str, names: list[str], calls: Calls, naming: Naming = BY_NAMES) -> SliceFiles:
    """Order names by their numbers or positions, or say why they are no stack.

    Parameters
    ----------
    folder : str
        Absolute path; names are relative to it.
    names : list of str
    calls : Calls
        How the calls in a message begin.
    naming : Naming
        What the caller says about the names.

    Raises
    ------
    StackError
        When they are several stacks, share numbers, or can be ordered in two ways.
    """
    positions = naming.positions
    if are_by_name(positions):
        ordered = place_by_name(sorted(names), positions)
    else:
        ordered = order_names(names, calls, naming.number)
        if positions is not None and len(names) > 1:  # of a single file, its pages have them
            ordered = place_in_order(ordered, positions)
    return as_files(folder, ordered, calls)


def as_files(folder: str, ordered: Ordered, calls: Calls) -> SliceFiles:
    """The files of names in order, on the grid of their positions where these are regular."""
    _refuse_scattered(ordered, calls)
    regular = None if ordered.heights is None else steps_of(ordered.heights)
    numbers = ordered.numbers if regular is None else regular[0]
    return SliceFiles(
        folder, ordered.names, numbers, heights=ordered.heights, is_known=ordered.known
    )


def _is_scattered(ordered: Ordered) -> bool:
    """True if increasing numbers are so far apart that they can't count slices."""
    if ordered.heights is not None:
        return False
    numbers = ordered.numbers
    low, high = numbers[0], numbers[-1]
    most = max(_MOST_GAPS * len(numbers), 100_000)
    if high - low < most and high <= np.iinfo(np.int64).max:
        return False
    step = math.gcd(*(number - low for number in numbers))
    return high > np.iinfo(np.int64).max or (high - low) // step + 1 > most


def _refuse_scattered(ordered: Ordered, calls: Calls) -> None:
    if not _is_scattered(ordered):
        return
    numbers, count = ordered.numbers, len(ordered.numbers)
    step = math.gcd(*(number - numbers[0] for number in numbers)) or 1
    way = (
        f", or say where they lie, for example 100 µm apart:\n  "
        f"{calls.whole(positions=range(0, 100 * count, 100))}"
        if calls.opened
        else "."
    )
    places = (numbers[-1] - numbers[0]) // step + 1
    raise StackError(
        f"The numbers of the {count} files in {calls.place!r} run from {numbers[0]} to "
        f"{numbers[-1]}, which would be {places} slices: they don't "
        f"count slices{describe_numbers(numbers)}. Rename the files 1, 2, 3 ...{way}"
    )


def _refuse_repeats(names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise StackError(f"Files are listed more than once: {shortlist(repeated)}. Name each once.")


def _nothing_in(folder: str, listed: list[str]) -> str:
    if not listed:
        return f"The folder {folder!r} is empty."
    found = _openable_below(Path(folder))
    if found:
        calls = [(f"brainxr.open({path!r})", what) for path, what in found]
        return (
            f"There are no TIFF slices in {folder!r} itself, but what follows is in it. Open the "
            f"one you mean:\n{lines_of(calls)}"
        )
    return (
        f"There are no TIFF slices in {folder!r}, only {shortlist(sorted(listed))}. Slices are "
        f"files named {' or '.join(SUFFIXES)}."
    )


def _openable_below(folder: Path) -> list[tuple[str, str]]:
    """What brainxr opens in a folder and those inside it, with what it is; the nearest first."""
    found: list[tuple[str, str]] = []
    level, seen = [folder], 0
    for _ in range(_DEPTH):
        inner: list[Path] = []
        for place in level:
            names = _names_in(place)
            seen += len(names)
            slices = sum(is_slice_name(name) for name in names)
            if slices and place != folder:
                found.append((str(place), f"{slices} TIFF file{'s' if slices > 1 else ''}"))
            for name in names:
                path = place / name
                if name.lower().endswith(_OTHERS) and not name.startswith("."):
                    found.append((str(path), _kind_of(name)))
                elif not name.startswith(".") and path.is_dir():
                    inner.append(path)
            if seen > _MOST_ENTRIES:
                return found
        level = inner
    return found


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _kind_of(name: str) -> str:
    kinds = {".zarr": "a Zarr store", ".zip": "a zip", ".nc": "netCDF"}
    return kinds.get(os.path.splitext(name.lower())[1], "NIfTI or MGH")


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
