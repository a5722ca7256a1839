"""From a path to a lazy, labelled volume, in steps that one can see.

path ── find_files ──▶ files ── parse_header ──▶ header
header, names, argument ── find_spacing ──▶ spacing ──▶ VoxelGrid ──▶ coordinates
files + header ──▶ StackArray (lazy) + coordinates ──▶ Stack ──▶ DataArray | Dataset
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import (
    GeometryError,
    SliceGapWarning,
    SpacingWarning,
    StackError,
    shortlist,
    warn,
)
from brainxr.geometry.extra_dims import At
from brainxr.geometry.grid import DIMS, OFF_GRID_IN_VOXELS, VoxelGrid
from brainxr.lazy.concatenated import ConcatenatedSource
from brainxr.lazy.lazyarray import Source, StackArray
from brainxr.lazy.scaled import ScaledSource
from brainxr.lazy.volume import NAME, Volume
from brainxr.stacks.calibration import SlicePlace, ValueCalibration
from brainxr.stacks.citations import citation_for
from brainxr.stacks.pages import PageChoice
from brainxr.stacks.parts import FoundFiles, find_parts
from brainxr.stacks.provenance import FILES, FileTable
from brainxr.stacks.slices import PathLike, SliceFiles
from brainxr.stacks.spacing import Spacing, SpacingLike, find_spacing, per_axis
from brainxr.stacks.stacksource import StackSource
from brainxr.stacks.tiff import FileFacts, Header, parse_header

Plane: TypeAlias = Literal["axial", "coronal", "sagittal"]
Missing: TypeAlias = Literal["keep", "fill", "raise"]

# Axes of a stack: along which the slices lie, down the rows, across the columns.
PLANES: Mapping[str, tuple[str, str, str]] = {
    "axial": ("z", "y", "x"),
    "coronal": ("y", "z", "x"),
    "sagittal": ("x", "z", "y"),
}


@dataclass(frozen=True)
class Stack(Volume):
    """A stack of slices as found on disk, ready to become a volume.

    Attributes
    ----------
    files : SliceFiles
    spacing : Spacing
    header : Header
    table : FileTable
    """

    files: SliceFiles
    spacing: Spacing
    header: Header
    table: FileTable


def find_stack(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    inside: str | None = None, at: At | None = None, axes: str | None = None,
    scaled: bool = False, storage_options: Mapping[str, Any] | None = None,
) -> Stack:  # fmt: skip
    """Find a stack and where its voxels are; the parameters are those of `brainxr.open`.

    Costs one listing and the header of one file; of files of several pages, of each.
    """
    found_files = find_parts(path, inside, PageChoice.of(at, axes), storage_options)
    files, header = found_files.files, found_files.header
    told = _told_place(files, header)
    plane = _plane(told.plane if plane is None and told is not None else plane, files)
    stacked = PLANES[plane]
    names = ((files.names[0], files.names[-1]), *((hint,) for hint in files.hints))
    found = find_spacing(
        spacing, header.facts, names, stacked, None if told is None else told.spacing
    )
    calibration = ValueCalibration.told_by(header.facts.imagej)
    source = _scaled(_source(found_files, stacked), files, calibration, scaled)
    first = _first(stacked, told) | per_axis(origin, "origin")
    grid = VoxelGrid(
        {dim: source.shape[stacked.index(dim)] for dim in DIMS},
        {dim: found.micrometers[dim] for dim in DIMS},
        {dim: first[dim] for dim in DIMS},
    )
    order = tuple(stacked.index(dim) for dim in DIMS)
    kept = _handle_gaps(files, missing)
    coordinates = grid.coordinates()
    table = _file_table(found_files, stacked[0], coordinates[stacked[0]].values)
    if kept is not None:
        coordinates = coordinates.to_dataset().isel({stacked[0]: kept}).coords
    return Stack(
        array=_select_along(StackArray.whole(source, order), DIMS.index(stacked[0]), kept),
        coordinates=coordinates,
        attrs=_attributes(path, files, table, plane, found, missing)
        | ({} if calibration is None or scaled else calibration.attributes),
        name=NAME,
        files=files,
        spacing=found,
        header=header,
        table=table,
    )


def _source(found: FoundFiles, stacked: tuple[str, str, str]) -> StackSource | ConcatenatedSource:
    sources = [
        StackSource(part.files, replace(part.header, facts=FileFacts()), stacked)
        for part in found.parts
    ]
    return (
        sources[0] if len(sources) == 1 else ConcatenatedSource(tuple(sources), found.files.folder)
    )


def _scaled(
    source: Source, files: SliceFiles, calibration: ValueCalibration | None, scaled: bool
) -> Source:
    if not scaled:
        return source
    if calibration is None or source.dtype.kind not in "iu":
        raise StackError(
            f"{files.path(0)!r} has no calibration of its values that scaled=True could apply "
            "(ImageJ's c0 and c1, for integers). Leave it out."
        )
    return ScaledSource(source, calibration.slope, calibration.offset)


def _told_place(files: SliceFiles, header: Header) -> SlicePlace | None:
    """Where the first slice lies by its own word, and how far it is to the next number's."""
    told = SlicePlace.told_by(header.facts.imagej)
    if told is None or told.plane not in PLANES:
        return None
    if header.pages > 1 or not told.fits(header.shape, header.facts.resolution):
        _warn_of_change(files, "its shape or resolution is another one than when it was written")
        return None
    return told if len(files) == 1 else _with_steps(files, told)


def _with_steps(files: SliceFiles, told: SlicePlace) -> SlicePlace | None:
    """The same with the distance between numbers, by the place of the last slice."""
    try:
        with files.open(len(files) - 1) as file:
            last = SlicePlace.told_by(parse_header(file).facts.imagej)
    except StackError:  # which is told when that slice is read
        last = None
    spacing, start = told.spacing[0], told.origin[0]
    if last is None or spacing is None or start is None or last.origin[0] is None:
        return told
    exact = (last.origin[0] - start) / spacing / float(files.positions[-1])
    steps = round(exact)
    if steps < 1 or abs(exact - steps) > OFF_GRID_IN_VOXELS:
        _warn_of_change(files, "the first and the last slice are not as far apart as their numbers")
        return None
    return replace(told, spacing=(spacing * steps, *told.spacing[1:]))


def _warn_of_change(files: SliceFiles, what: str) -> None:
    warn(
        f"What {files.path(0)!r} says of its place is not used: {what}. Say where it lies by "
        "spacing=... and origin=....",
        SpacingWarning,
    )


def _first(axes: Sequence[str], told: SlicePlace | None) -> dict[str, float]:
    """Origin of each axis: what the first slice says, else 0."""
    places = (None,) * 3 if told is None else told.origin
    return {dim: place or 0.0 for dim, place in zip(axes, places, strict=True)}


def _plane(argument: str | None, files: SliceFiles) -> Plane:
    if argument is not None and argument not in PLANES:
        raise GeometryError(f"plane={argument!r} is none of {', '.join(map(repr, PLANES))}.")
    for name in (files.hints[0], files.names[0], *files.hints[1:]):
        named = [plane for plane in PLANES if plane in name.lower()]
        if argument is None and len(named) == 1:
            argument = named[0]
    return argument or "axial"  # type: ignore[return-value]


def _handle_gaps(files: SliceFiles, missing: Missing) -> npt.NDArray[np.int64] | None:
    """Which positions of the grid to keep; None for all."""
    if missing not in ("keep", "fill", "raise"):
        raise StackError(f"missing={missing!r} is none of 'keep', 'fill', 'raise'.")
    absent = files.missing
    if not absent or missing == "fill":
        return None
    found = (
        f"{len(absent)} of {len(absent) + len(files)} slices are missing in {files.folder!r}: "
        f"number{'s' if len(absent) > 1 else ''} {_ranges(absent, files.step)}."
    )
    if missing == "raise":
        raise StackError(f"{found} Restore them, or open with missing='fill' or 'keep'.")
    warn(
        f"{found} The others keep their true positions, so the coordinate has a gap; "
        "missing='fill' puts empty slices there instead, missing='raise' refuses such a stack.",
        SliceGapWarning,
    )
    return files.positions


def _ranges(numbers: list[int], step: int) -> str:
    """Numbers in words, runs joined: ``"17, 20-25"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + step:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return shortlist([str(a) if a == b else f"{a}-{b}" for a, b in runs], most=20)


def _select_along(array: StackArray, axis: int, kept: npt.NDArray[np.int64] | None) -> StackArray:
    return array if kept is None else array.select((slice(None),) * axis + (kept,))


def _file_table(found: FoundFiles, dim: str, positions: npt.NDArray[Any]) -> FileTable:
    """The file of each slice, and its position on the grid of the stack."""
    files = found.files
    if len(found.parts) > 1 or found.header.pages > 1 or found.header.page_numbers:
        pages = tuple(
            f"{part.files.names[0]}#{page}"
            for part in found.parts
            for page in part.header.page_numbers or range(part.header.pages)
        )
        return FileTable.of(dim, files, pages, positions, np.arange(len(pages)))
    grid = files.positions
    return FileTable.of(dim, files, (), positions[grid], grid)


def _attributes(
    path: PathLike | Sequence[PathLike], files: SliceFiles, table: FileTable, plane: Plane,
    spacing: Spacing, missing: Missing,
) -> dict[str, Any]:  # fmt: skip
    one = isinstance(path, str | os.PathLike) and files.container is None
    opened = one and os.path.isfile(os.path.expanduser(path))  # type: ignore[arg-type]
    attrs = {
        "source": files.path(0) if opened else files.folder,
        FILES: table,
        "plane": plane,
        "spacing_source": str(spacing),
    }
    if files.missing:
        attrs["missing_slices"] = _ranges(files.missing, files.step)
        attrs["missing"] = missing
    return attrs | citation_for(files.names[0], files.folder)
