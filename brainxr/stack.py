"""From a path to a lazy, labelled volume, in steps that one can see.

path ── find_slices ──▶ files ── read_header ──▶ header
header, names, argument ── find_spacing ──▶ spacing ──▶ VoxelGrid ──▶ coordinates
files + header ──▶ StackArray (lazy) + coordinates ──▶ Stack ──▶ DataArray | Dataset
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.citations import citation_for
from brainxr.errors import GeometryError, SliceGapWarning, StackError, shortlist, warn
from brainxr.grid import DIMS, VoxelGrid
from brainxr.lazyarray import StackArray
from brainxr.slices import PathLike, SliceFiles, find_slices
from brainxr.spacing import Spacing, SpacingLike, find_spacing, per_axis
from brainxr.stacksource import StackSource
from brainxr.tiff import FileFacts, Header, read_header
from brainxr.volume import NAME, Volume

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
) -> Stack:  # fmt: skip
    """Find a stack and where its voxels are; the parameters are those of `brainxr.open`.

    Costs one listing and the header of one file.
    """
    files = find_slices(path)
    header = _stack_header(files)
    plane = _plane(plane, files)
    axes = PLANES[plane]
    names = ((files.names[0], files.names[-1]), (files.folder,))
    found = find_spacing(spacing, header.facts, names, axes)
    source = StackSource(files, replace(header, facts=FileFacts()), axes)
    first = per_axis(origin, "origin")
    grid = VoxelGrid(
        {dim: source.shape[axes.index(dim)] for dim in DIMS},
        {dim: found.micrometers[dim] for dim in DIMS},
        {dim: first.get(dim, 0.0) for dim in DIMS},
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
    header = read_header(files.path(0))
    if len(files) > 1 and header.pages > 1:
        raise StackError(
            f"Each of the {len(files)} files in {files.folder!r} has {header.pages} pages, and a "
            "slice is one. Open one multi-page file by its own path, for example "
            f"brainxr.open({files.path(0)!r})."
        )
    return header


def _plane(argument: str | None, files: SliceFiles) -> Plane:
    if argument is not None and argument not in PLANES:
        raise GeometryError(f"plane={argument!r} is none of {', '.join(map(repr, PLANES))}.")
    for name in (os.path.basename(files.folder), files.names[0]):
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
    one = isinstance(path, str | os.PathLike)
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
