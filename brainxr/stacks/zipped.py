"""Which slices of a zip are a stack, and in which order: by the rules of a folder.

    x.zip ── members ──▶ debris left out ── inside ──▶ one folder ── one_stack ──▶ files

Several stacks are refused, with the calls that say which is meant.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import posixpath
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from brainxr.errors import EmptyStackError, StackError, shortlist
from brainxr.files.archive import Member, ZipMembers, members
from brainxr.files.urls import Address
from brainxr.stacks.calls import Calls, count_slices, lines_of, pattern_of
from brainxr.stacks.positions import BY_NAMES, Naming
from brainxr.stacks.slices import (
    SUFFIXES,
    SliceFiles,
    is_slice_name,
    meant_by,
    one_stack,
)

SUFFIX = ".zip"
SUFFIXES_OF_ZIPS = (SUFFIX, ".ozx")

# What every Zarr group or array has in it.
_OF_STORES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def split_zip(path: str) -> tuple[str, str] | None:
    """The zip in a path, and what comes behind it: a folder or a slice in it; None where none is.

    Costs a look at each part that is named like a zip.

    >>> split_zip("no/such.zip/axial") is None
    True
    """
    parts = os.path.expanduser(path).replace(os.sep, "/").split("/")
    for end, part in enumerate(parts, 1):
        if part.lower().endswith(SUFFIXES_OF_ZIPS) and os.path.isfile("/".join(parts[:end])):
            return os.path.abspath("/".join(parts[:end])), "/".join(parts[end:])
    return None


def find_in_zip(
    path: str, inside: str = "", address: Address | None = None, naming: Naming = BY_NAMES
) -> SliceFiles:
    """Find the slices of a stack in a zip.

    Costs the zip's directory; no member is read.

    Parameters
    ----------
    path : str
        Absolute path of the zip, or its URL as it may be shown.
    inside : str
        A folder in it, a pattern of names, or one slice. Default: all of it.
    address : Address, optional
        Where it is, if not on this disk.
    naming : Naming
        What the caller says about the names.

    Raises
    ------
    EmptyStackError
        When there is no slice in it, or not where it was said.
    StackError
        When there are several stacks, or members of one number.
    SliceReadError
        When it is no zip, or a slice in it is encrypted, packed in another way, or a bomb.
    """
    listed = members(path, address)
    slices = {member.name: member for member in listed if _is_slice(member.name)}
    if not slices:
        raise EmptyStackError(_nothing_in(path, listed))
    _refuse_names(path, slices)
    inside = inside.replace("\\", "/").strip("/")
    folder, names = _chosen(path, slices, inside)
    _refuse_repeats(path, listed, names)
    between = "/" if address else os.sep
    place = between.join([path, *folder.split("/")]) if folder else path
    names = [posixpath.relpath(name, folder) if folder else name for name in names]
    calls = Calls(
        place,
        _arguments(path, inside) if inside else repr(path),
        lambda pattern: _arguments(path, _in_folder(folder, pattern)),
    )
    meant = meant_by(inside, names, lambda pattern: _in_folder(folder, pattern))
    found = one_stack(place, meant, calls, naming)
    ordered = [slices[posixpath.join(folder, name)] for name in found.names]
    return replace(found, container=ZipMembers.of(path, ordered, address))


def _is_slice(name: str) -> bool:
    """Whether a member is a slice: what a Mac puts beside it, and what is hidden, is none."""
    *folders, last = name.split("/")
    hidden = (part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in folders)
    return is_slice_name(last) and not any(hidden)


def _chosen(path: str, slices: Mapping[str, Member], inside: str) -> tuple[str, list[str]]:
    """The folder and the names of what was asked for."""
    if inside in slices:
        return posixpath.dirname(inside), [inside]
    names = [name for name in slices if not inside or name.startswith(f"{inside}/")]
    if not names and glob.has_magic(inside):
        names = [name for name in slices if _matches(name, inside)]
        if names:
            return posixpath.commonpath([posixpath.dirname(name) for name in names]), names
    if not names:
        raise EmptyStackError(
            f"There are no TIFF slices {inside!r} in {path!r}. Open what is there:\n"
            f"{_ways(path, list(slices))}"
        )
    folders = {posixpath.dirname(name) for name in names}
    if inside in folders and inside:  # what lies deeper was not asked for
        return inside, [name for name in names if posixpath.dirname(name) == inside]
    if len(folders) > 1:
        raise StackError(
            f"There are TIFF slices in {len(folders)} folders of {path!r}, and a volume has one "
            f"stack. Open the one you mean:\n{_ways(path, names)}"
        )
    return folders.pop(), names


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern is that of a name, folder by folder: ``*`` stays within one."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _ways(path: str, names: list[str]) -> str:
    """The calls that open each folder of a zip."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_folder[posixpath.dirname(name)].append(posixpath.basename(name))
    # slices that lie beside folders have no folder to be named by
    calls = [(folder or pattern_of(found), len(found)) for folder, found in by_folder.items()]
    return lines_of([(_call(path, inside), count_slices(count)) for inside, count in calls])


def _call(path: str, inside: str) -> str:
    return f"brainxr.open({_arguments(path, inside)})"


def _arguments(path: str, inside: str) -> str:
    return f"{path!r}, inside={inside!r}"


def _in_folder(folder: str, pattern: str) -> str:
    return posixpath.join(glob.escape(folder), pattern)


# --- what is refused ----------------------------------------------------------------


def _refuse_names(path: str, slices: Mapping[str, Member]) -> None:
    """Refuse names that lead elsewhere. Nothing is ever written by them, but people read them."""
    for name in slices:
        parts = name.split("/")
        if "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
            raise StackError(
                f"{path!r} has a member {name!r}, which is no name of a file in a folder: the zip "
                "is damaged, or made to do harm. Get it from a source that you trust."
            )


def _refuse_repeats(path: str, listed: list[Member], names: list[str]) -> None:
    """Refuse what has one name twice: which of them is meant can't be told."""
    chosen = set(names)
    found = [member.name for member in listed if member.name in chosen]
    if len(found) > len(chosen):
        twice = sorted(name for name in chosen if found.count(name) > 1)
        raise StackError(
            f"{path!r} has members of one name: {shortlist(twice)}. Unzip it, look which of each "
            "is right, and open the folder."
        )


def _nothing_in(path: str, listed: list[Member]) -> str:
    store = next((m.name for m in listed if m.name.split("/")[-1] in _OF_STORES), None)
    if store is not None:
        target = os.path.splitext(path.removesuffix(SUFFIX))[0] + ".zarr"
        target = path.removesuffix(SUFFIX) if path.endswith(".zarr.zip") else target
        # where the zip has a folder in it, that is the store
        inner = "/".join([target, *store.split("/")[:1][: store.count("/")]])
        root = inner if posixpath.basename(inner).endswith(".zarr") else target
        return (
            f"{path!r} is a zipped Zarr store ({store!r} is in it), and stores are read from "
            f"folders and URLs only. Unzip it once, for example by "
            f"python -m zipfile -e {path!r} {target!r}, and open that: brainxr.open({root!r})."
        )
    found = f"only {shortlist(sorted(m.name for m in listed))}" if listed else "nor anything else"
    return (
        f"There are no TIFF slices in {path!r}, {found}. Slices are files named "
        f"{' or '.join(SUFFIXES)}; what a Mac adds (__MACOSX, ._names) and hidden ones are none."
    )
