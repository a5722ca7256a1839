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
import xarray as xr

from brainxr.errors import (
    GeometryError,
    SliceGapWarning,
    SpacingWarning,
    StackError,
    shortlist,
    warn,
)
from brainxr.geometry.grid import DIMS, OFF_GRID_IN_VOXELS, VoxelGrid
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.volume import NAME, Volume
from brainxr.stacks.calibration import SlicePlace
from brainxr.stacks.citations import citation_for
from brainxr.stacks.locate import find_files
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
    """

    files: SliceFiles
    spacing: Spacing
    header: Header


def find_stack(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    inside: str | None = None, storage_options: Mapping[str, Any] | None = None,
) -> Stack:  # fmt: skip
    """Find a stack and where its voxels are; the parameters are those of `brainxr.open`.

    Costs one listing and the header of one file.
    """
    files = find_files(path, inside, storage_options)
    header = _stack_header(files)
    told = _told_place(files, header)
    plane = _plane(told.plane if plane is None and told is not None else plane, files)
    axes = PLANES[plane]
    names = ((files.names[0], files.names[-1]), *((hint,) for hint in files.hints))
    found = find_spacing(spacing, header.facts, names, axes, None if told is None else told.spacing)
    source = StackSource(files, replace(header, facts=FileFacts()), axes)
    first = _first(axes, told) | per_axis(origin, "origin")
    grid = VoxelGrid(
        {dim: source.shape[axes.index(dim)] for dim in DIMS},
        {dim: found.micrometers[dim] for dim in DIMS},
        {dim: first[dim] for dim in DIMS},
    )
    order = tuple(axes.index(dim) for dim in DIMS)
    kept = _handle_gaps(files, missing, source)
    coordinates = grid.coordinates(file=xr.Variable(axes[0], _file_names(source)))
    if kept is not None:
        coordinates = coordinates.to_dataset().isel({axes[0]: kept}).coords
    return Stack(
        array=_select_along(StackArray.whole(source, order), DIMS.index(axes[0]), kept),
        coordinates=coordinates,
        attrs=_attributes(path, files, plane, found, missing),
        name=NAME,
        files=files,
        spacing=found,
        header=header,
    )


def _stack_header(files: SliceFiles) -> Header:
    """Header of the first file; several files of several pages are no stack."""
    with files.open(0) as file:
        header = parse_header(file)
    if len(files) > 1 and header.pages > 1:
        raise StackError(
            f"Each of the {len(files)} files in {files.folder!r} has {header.pages} pages, and a "
            "slice is one. Open one multi-page file by its own path, for example "
            f"brainxr.open({files.path(0)!r})."
        )
    return header


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


def _handle_gaps(
    files: SliceFiles, missing: Missing, source: StackSource
) -> npt.NDArray[np.int64] | None:
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
    return source.present


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


def _file_names(source: StackSource) -> npt.NDArray[np.str_]:
    """File of each position on the grid; empty where a slice is missing."""
    files, pages = source.files, source.header.pages
    if pages > 1:
        return np.array([f"{files.names[0]}#{page}" for page in range(pages)])
    names = _text_array(files.names)
    if len(names) == source.shape[0]:
        return names
    on_grid = np.zeros(source.shape[0], names.dtype)
    on_grid[source.present] = names
    return on_grid


def _text_array(texts: Sequence[str]) -> npt.NDArray[np.str_]:
    """``np.array(texts)``, five times as fast where all are of one length."""
    lengths = set(map(len, texts))
    if len(lengths) > 1:
        return np.array(texts)
    joined = "".join(texts).encode("utf-32-le", "surrogatepass")  # names that are no UTF-8, too
    return np.frombuffer(bytearray(joined), f"<U{lengths.pop()}")


def _attributes(
    path: PathLike | Sequence[PathLike], files: SliceFiles, plane: Plane, spacing: Spacing,
    missing: Missing,
) -> dict[str, str]:  # fmt: skip
    one = isinstance(path, str | os.PathLike) and files.container is None
    opened = one and os.path.isfile(os.path.expanduser(path))  # type: ignore[arg-type]
    attrs = {
        "source": files.path(0) if opened else files.folder,
        "plane": plane,
        "spacing_source": str(spacing),
    }
    if files.missing:
        attrs["missing_slices"] = _ranges(files.missing, files.step)
        attrs["missing"] = missing
    return attrs | citation_for(files.names[0], files.folder)
