"""Files of a stack beside what their metadata declare: sets of OME-TIFF, files of many pages.

path ── find_files ──▶ files ── OME-XML lists others? ──▶ the set that it lists
                             ── one page each, or one file ──▶ one part
                             ── a list of files of many pages ──▶ a part a file
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brainxr.errors import (
    EmptyStackError,
    InconsistentStackError,
    SpacingWarning,
    StackError,
    shortlist,
    warn,
)
from brainxr.files.openfile import open_file
from brainxr.geometry.extra_dims import places
from brainxr.stacks.calls import folder_calls
from brainxr.stacks.locate import find_files
from brainxr.stacks.ome import OmeImage, OmePlane, companion_of
from brainxr.stacks.pages import PageChoice, check_alone
from brainxr.stacks.positions import BY_NAMES, Naming
from brainxr.stacks.slices import PathLike, SliceFiles, is_slice_name
from brainxr.stacks.tiff import Header, differences, parse_header, read_header, read_ome

# Endings of files that have the metadata of a set of OME-TIFF.
COMPANIONS = (".companion.ome", ".ome.xml")

# Files that a message lists by their names.
_FILES_OF_A_CALL = 8

# Bytes of a companion that is read: 100,000 planes take 20 MB.
_MOST_COMPANION_BYTES = 1 << 26


@dataclass(frozen=True)
class Part:
    """Files whose slices follow each other: of one page each, or one of several pages."""

    files: SliceFiles
    header: Header


@dataclass(frozen=True)
class FoundFiles:
    """Files of a stack, in parts that follow each other along the stacked axis.

    Attributes
    ----------
    files : SliceFiles
        All of them.
    parts : tuple of Part
    """

    files: SliceFiles
    parts: tuple[Part, ...]

    @property
    def header(self) -> Header:
        return self.parts[0].header


def find_parts(
    path: PathLike | Sequence[PathLike], inside: str | None, choice: PageChoice,
    storage_options: Mapping[str, Any] | None = None, naming: Naming = BY_NAMES,
) -> FoundFiles:  # fmt: skip
    """Find the files of a stack and compare them with what their metadata declare.

    Costs a listing and the header of one file, or of each file of a set.

    Raises
    ------
    EmptyStackError, StackError, SliceReadError
    """
    local = os.path.expanduser(path) if isinstance(path, str | os.PathLike) else None
    if local is not None and str(local).endswith(COMPANIONS) and os.path.isfile(local):
        return _companion_set(str(local), choice)
    try:
        files = find_files(path, inside, storage_options, naming)
    except EmptyStackError:
        raise
    except StackError:
        found = _set_in_folder(str(local), choice) if local and os.path.isdir(local) else None
        if found is None:
            raise
        return found
    is_list = not isinstance(path, str | os.PathLike)
    if len(files) == 1:
        return _one_file(files, choice, is_list)
    with files.open(0) as file:
        header = parse_header(file, replace(choice, is_part=is_list))
    if header.pages > 1:
        return _files_of_pages(files, header, choice, is_list)
    header = _with_companion(files.folder, header)
    if local is not None and os.path.isdir(local) and files.container is None:
        _check_folder(files, header)
    return FoundFiles(files, (Part(files, header),))


def _one_file(files: SliceFiles, choice: PageChoice, is_list: bool) -> FoundFiles:
    """One file, or the set that it belongs to; a list of one file is that file alone."""
    with files.open(0) as file:
        text = None
        if files.container is None and not is_list:
            text = _described(files.folder, read_ome(file))
        image = OmeImage.of(text)
        if text is not None and image is not None and image.other_files:
            return _set_of(files.folder, files.names[0], image, text, choice)
        header = parse_header(file, choice)
    check_alone(files.path(0), header.pages, header.facts.declared)
    return FoundFiles(files, (Part(files, _with_companion(files.folder, header)),))


# --- sets of OME-TIFF ---------------------------------------------------------------


def _described(folder: str, text: str | None) -> str | None:
    """OME-XML of a set: of its companion, where a file refers to one that is there."""
    name = companion_of(text)
    if name is None:
        return text
    path = os.path.join(folder, os.path.basename(name))
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_COMPANION_BYTES:
            return text
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return text


def _with_companion(folder: str, header: Header) -> Header:
    text = _described(folder, header.facts.ome)
    absent = companion_of(text)
    if absent is not None:
        warn(
            f"The slices in {folder!r} refer to {absent!r} for their spacing and order, and it is "
            "not beside them. Restore it, or pass spacing=....",
            SpacingWarning,
        )
    return header if text is header.facts.ome else _describe(header, text)


def _describe(header: Header, text: str | None) -> Header:
    return replace(header, facts=replace(header.facts, ome=text))


def _companion_set(path: str, choice: PageChoice) -> FoundFiles:
    folder, name = os.path.split(os.path.abspath(path))
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    image = OmeImage.of(text)
    if image is None or not any(plane.file for plane in image.planes.values()):
        raise StackError(
            f"{path!r} lists no files of planes, as the OME-XML of a set does. Open the folder or "
            f"file with the slices themselves: brainxr.open({folder!r})."
        )
    return _set_of(folder, name, image, text, choice)


def _set_in_folder(folder: str, choice: PageChoice) -> FoundFiles | None:
    """The set of all TIFF files of a folder, where OME-XML of the first one lists just these."""
    folder = os.path.abspath(folder)
    try:
        names = sorted(name for name in os.listdir(folder) if is_slice_name(name))
    except OSError:  # which the first error says already
        return None
    if not names:
        return None
    try:
        with open_file(os.path.join(folder, names[0])) as file:
            text = _described(folder, read_ome(file))
    except StackError:
        return None
    image = OmeImage.of(text)
    if text is None or image is None or set(image.other_files) != set(names):
        return None
    return _set_of(folder, names[0], image, text, choice)


def _set_of(folder: str, name: str, image: OmeImage, text: str, choice: PageChoice) -> FoundFiles:
    """Parts of a set, in the order in which its OME-XML lists the planes along z."""
    planes = _planes_along_z(image, os.path.join(folder, name), choice)
    files = list(dict.fromkeys(plane.file or name for plane in planes))
    _check_present(folder, name, image, files)
    runs = [
        (file, [plane.directory for plane in run])
        for file, run in itertools.groupby(planes, key=lambda plane: plane.file or name)
    ]
    header = _directories(folder, *runs[0])
    every = SliceFiles(folder, tuple(file for file, _ in runs), tuple(range(len(runs))))
    if not header.ifds and all(directories == [0] for _, directories in runs):
        return FoundFiles(every, (Part(every, _describe(header, text)),))
    headers = [header, *(_directories(folder, *run) for run in runs[1:])]
    return _in_parts(every, [_describe(header, text) for header in headers])


def _planes_along_z(image: OmeImage, path: str, choice: PageChoice) -> list[OmePlane]:
    others = {dim: n for dim, n in image.sizes.items() if dim != "z" and n > 1}
    labels = {"c": image.channels} if image.channels else None
    taken = places(dict(choice.at), others, path, StackError, labels)
    wanted = [(taken.get("t", 0), taken.get("c", 0), z) for z in range(image.sizes["z"])]
    absent = [key[2] for key in wanted if key not in image.planes]
    if absent:
        raise StackError(
            f"The OME-XML of {path!r} declares {len(wanted)} slices and lists files for "
            f"{len(wanted) - len(absent)} of them; the first without a file is slice {absent[0]}. "
            f"Restore it from its source, or open this file alone: brainxr.open([{path!r}])."
        )
    return [image.planes[key] for key in wanted]


def _check_present(folder: str, name: str, image: OmeImage, files: Sequence[str]) -> None:
    outside = [file for file in files if os.path.basename(file) != file]
    if outside:
        raise StackError(
            f"The OME-XML of {os.path.join(folder, name)!r} lists files in other folders "
            f"({shortlist(outside)}); expected names beside it. Open the files as a list."
        )
    absent = [file for file in files if not os.path.isfile(os.path.join(folder, file))]
    if absent:
        raise StackError(
            f"The OME-XML of {os.path.join(folder, name)!r} lists {len(files)} files with "
            f"{image.sizes['z']} slices, and {len(absent)} of the files are not in the folder: "
            f"{shortlist(absent)}. Restore them, or open this file alone: "
            f"brainxr.open([{os.path.join(folder, name)!r}])."
        )


def _directories(folder: str, name: str, directories: Sequence[int]) -> Header:
    choice = PageChoice(directories=tuple(directories))
    return read_header(os.path.join(folder, name), choice)


# --- files of many pages --------------------------------------------------------------


def _files_of_pages(
    files: SliceFiles, header: Header, choice: PageChoice, is_list: bool
) -> FoundFiles:
    """A part a file, for a list; a folder may hold stacks that are none of each other's."""
    if not is_list:
        calls = f"  brainxr.open({files.path(0)!r})\n  {_call_for_all(files)}"
        raise StackError(
            f"The first of {len(files)} files in {files.folder!r} has {header.pages} pages, "
            "expected one slice a file. Open one file, or all as the parts of one stack, in the "
            f"order of their numbers:\n{calls}"
        )
    as_part = replace(choice, is_part=True)
    headers = []
    for i in range(len(files)):
        with files.open(i) as file:
            headers.append(parse_header(file, as_part))
    total = sum(header.pages for header in headers)
    for i, one in enumerate(headers):
        if one.facts.declared not in (None, one.pages, total):
            raise StackError(
                f"The metadata of {files.path(i)!r} declare {one.facts.declared} images; it has "
                f"{one.pages}, and the {len(files)} files of the list have {total}. Pass all files "
                "of the acquisition, in their order."
            )
    return _in_parts(files, headers)


def _call_for_all(files: SliceFiles) -> str:
    """A call that opens all files in their order; by a pattern where these are many."""
    if len(files) > _FILES_OF_A_CALL and list(files.names) == sorted(files.names):
        pattern = f"*{os.path.splitext(files.names[0])[1]}"
        return f"brainxr.open(sorted(pathlib.Path({files.folder!r}).glob({pattern!r})))"
    return f"brainxr.open({[files.path(i) for i in range(len(files))]!r})"


def _in_parts(files: SliceFiles, headers: Sequence[Header]) -> FoundFiles:
    first = headers[0]
    parts = []
    for i, header in enumerate(headers):
        alike = replace(header, pages=first.pages)
        difference = differences(alike, first)
        if difference is not None:
            raise InconsistentStackError(
                f"{files.path(i)!r} {difference} as in {files.path(0)!r}. Open the two separately."
            )
        one = SliceFiles(files.folder, (files.names[i],), (0,), None)
        parts.append(Part(one, header))
    return FoundFiles(files, tuple(parts))


# --- folders of slices ----------------------------------------------------------------


def _check_folder(files: SliceFiles, header: Header) -> None:
    """Compare the slices of a folder with what the first one declares of the whole."""
    image = OmeImage.of(header.facts.ome)
    if image is not None and image.other_files and image.sizes["c"] * image.sizes["t"] == 1:
        _check_listed(files, image)
    declared, known = header.facts.declared, len(files) + len(files.missing)
    if declared is not None and declared != known:
        raise StackError(
            f"The metadata of {files.path(0)!r} declare {declared} images, and {files.folder!r} "
            f"has {len(files)} slices. Restore the others, or say that these are all by a pattern: "
            f"{_call_by_pattern(files)}."
        )


def _call_by_pattern(files: SliceFiles) -> str:
    pattern = "*" + os.path.splitext(files.names[0])[1]
    return f"brainxr.open({folder_calls(files.folder).part_of(pattern)})"


def _check_listed(files: SliceFiles, image: OmeImage) -> None:
    listed = image.other_files
    absent = [name for name in listed if name not in set(files.names)]
    others = [name for name in files.names if name not in set(listed)]
    if len(absent) <= len(files.missing) and not others and _in_same_order(files, listed):
        return
    what = (
        f"{len(absent)} are missing: {shortlist(absent)}"
        if absent
        else f"{len(others)} are not listed: {shortlist(others)}"
        if others
        else f"it has them in another order than their names, first {shortlist(listed)}"
    )
    raise StackError(
        f"The OME-XML of {files.path(0)!r} lists {len(listed)} files, and {files.folder!r} has "
        f"{len(files)}; {what}. Open the listed ones, brainxr.open({files.path(0)!r}), or all by "
        f"the numbers in their names, {_call_by_pattern(files)}."
    )


def _in_same_order(files: SliceFiles, listed: Sequence[str]) -> bool:
    present = set(files.names)
    return [name for name in listed if name in present] == list(files.names)
