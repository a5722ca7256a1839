"""From a path to a lazy, labelled volume, in steps that one can see.

path ── find_files ──▶ files ── parse_header ──▶ header
header, names, argument ── find_spacing ──▶ spacing ──▶ VoxelGrid ──▶ coordinates
files + header ──▶ StackArray (lazy) + coordinates ──▶ Stack ──▶ DataArray | Dataset
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import (
    GeometryError,
    OrientationWarning,
    SliceGapWarning,
    SpacingWarning,
    StackError,
    shortlist,
    warn,
)
from brainxr.geometry.extra_dims import At
from brainxr.geometry.grid import DIMS, OFF_GRID_IN_VOXELS, SpacingLike, VoxelGrid, per_axis
from brainxr.geometry.index import UnitIndex
from brainxr.geometry.units import MICROMETER, show_micrometers
from brainxr.lazy.concatenated import ConcatenatedSource
from brainxr.lazy.lazyarray import Source, StackArray
from brainxr.lazy.scaled import ScaledSource
from brainxr.lazy.volume import NAME, Volume
from brainxr.stacks.calibration import SlicePlace, ValueCalibration
from brainxr.stacks.citations import citation_for
from brainxr.stacks.fields import describe_numbers
from brainxr.stacks.pages import PageChoice
from brainxr.stacks.parts import FoundFiles, find_parts
from brainxr.stacks.positions import Naming, Positions, place_pages
from brainxr.stacks.provenance import FILES, FileTable
from brainxr.stacks.readings import number_argument
from brainxr.stacks.slices import PathLike, SliceFiles
from brainxr.stacks.spacing import Placed, Spacing, find_spacing
from brainxr.stacks.stacksource import StackSource
from brainxr.stacks.tables import is_list_file
from brainxr.stacks.tiff import FileFacts, Header, parse_header

Plane: TypeAlias = Literal["axial", "coronal", "sagittal"]
Missing: TypeAlias = Literal["keep", "fill", "raise"]

# How a plane is called besides, as a whole word.
_OTHER_WORDS: Mapping[str, str] = {
    "sag": "sagittal", "cor": "coronal", "frontal": "coronal", "horizontal": "axial",
    "tra": "axial", "transversal": "axial", "transverse": "axial", "transaxial": "axial",
}  # fmt: skip

# Parts of the brain and skull that are called frontal: then it is no plane.
_REGIONS = frozenset({"lobe", "cortex", "pole", "gyrus", "sinus", "bone"})

# Slices that missing="fill" makes for each one that is there, at most.
_MOST_FILLED = 4

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
    number: str | None = None, positions: Positions | None = None, inside: str | None = None,
    at: At | None = None, axes: str | None = None, scaled: bool | None = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Stack:  # fmt: skip
    """Find a stack and where its voxels are; the parameters are those of `brainxr.open`.

    Costs one listing and the header of one file; of files of several pages, of each.
    """
    choice, naming = PageChoice.of(at, axes), Naming(number, positions)
    found_files = find_parts(path, inside, choice, storage_options, naming)
    if positions is not None and found_files.files.heights is None:
        found_files = _with_page_positions(found_files, positions)
    files, header = found_files.files, found_files.header
    told = _told_place(files, header)
    plane = plane_of(told.plane if plane is None and told is not None else plane, files)
    stacked = PLANES[plane]
    names = ((files.names[0], files.names[-1]), *((hint,) for hint in files.hints))
    found = find_spacing(
        spacing, header.facts, names, stacked, None if told is None else told.spacing,
        _placed(files, said=positions is not None),
    )  # fmt: skip
    if number is None and told is None:
        _warn_of_steps(files, found, stacked[0])
    calibration = ValueCalibration.told_by(header.facts.imagej)
    source = _scaled(_source(found_files, stacked), files, calibration, bool(scaled))
    kept = _handle_gaps(files, missing)
    first = _first(stacked, told, files) | per_axis(origin, "origin")
    coordinates = _grid_of(source, stacked, files, found, first).coordinates()
    heights = _heights_from(files, first[stacked[0]])
    table = _file_table(found_files, stacked[0], coordinates[stacked[0]].values, heights)
    if kept is not None:
        coordinates = coordinates.to_dataset().isel({stacked[0]: kept}).coords
    if heights is not None and len(heights) == coordinates.sizes[stacked[0]]:
        coordinates = _at_heights(coordinates, stacked[0], heights, files.spacing)
    order = tuple(stacked.index(dim) for dim in DIMS)
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


def _with_page_positions(found: FoundFiles, positions: Positions) -> FoundFiles:
    """The same with a position for each page, of all parts."""
    count = sum(part.header.pages for part in found.parts)
    return replace(found, files=replace(found.files, heights=place_pages(count, positions)))


def _grid_of(
    source: Source, stacked: Sequence[str], files: SliceFiles, found: Spacing,
    origin: Mapping[str, float],
) -> VoxelGrid:  # fmt: skip
    """The regular grid on which the slices lie, gaps included."""
    steps = {dim: found.micrometers[dim] for dim in DIMS}
    if files.heights is None:
        steps[stacked[0]] *= files.step  # a spacing is that of consecutive numbers
    sizes = {dim: source.shape[stacked.index(dim)] for dim in DIMS}
    return VoxelGrid(sizes, steps, {dim: origin[dim] for dim in DIMS})


def _heights_from(files: SliceFiles, first: float) -> npt.NDArray[np.float64] | None:
    """The positions that were told, moved to the origin; None where numbers tell the places."""
    if files.heights is None:
        return None
    heights = np.asarray(files.heights, float)
    shift = first - heights[0]
    return heights + shift if shift else heights


def _at_heights(
    coordinates: xr.Coordinates, dim: str, heights: npt.NDArray[np.float64], step: float | None
) -> xr.Coordinates:
    """The same with the very positions that were told along the stack."""
    attrs: dict[str, Any] = {"units": MICROMETER}
    if step is not None:
        attrs["spacing"] = step
    elif len(heights) == 1:
        attrs["spacing"] = coordinates[dim].attrs["spacing"]
    placed = xr.Variable(dim, heights, attrs)
    index = UnitIndex.from_variables({dim: placed}, options={})
    own = xr.Coordinates(index.create_variables({dim: placed}), indexes={dim: index})
    return coordinates.to_dataset().drop_vars(dim).assign_coords(own).coords


def _placed(files: SliceFiles, *, said: bool) -> Placed | None:
    """Where the slices lie by their positions; None where their numbers tell it."""
    if files.heights is None or len(files.heights) < 2:
        return None
    usual = float(np.median(np.diff(files.heights)))
    return Placed(files.spacing, files.spacing or usual, said)


def _warn_of_steps(files: SliceFiles, found: Spacing, dim: str) -> None:
    """Say what a spacing means where numbers go in steps: that of the numbers."""
    if len(files) < 2 or files.step == 1 or files.heights is not None:
        return
    steps = files.step
    length = found.micrometers[dim]
    one, apart = show_micrometers(length), show_micrometers(length * steps)
    said = {d: v for d, v in found.micrometers.items() if found.rules[d] == "argument"}
    shown = ", ".join(f"{d!r}: {v!r}" for d, v in (said | {dim: length / steps}).items())
    number = number_argument(files.names)
    silent = "" if number is None else f" With number={number!r} it is so without a warning."
    warn(
        f"The files are numbered in steps of {steps} ({shortlist(files.numbers, 3)}). The spacing "
        f"of {one} is taken as the distance from one number to the next, so that these slices are "
        f"{apart} apart. If they are {one} apart, pass spacing={{{shown}}}.{silent}",
        SpacingWarning,
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
    # from one number to the next, as all other spacings
    return replace(told, spacing=(spacing * steps / files.step, *told.spacing[1:]))


def _warn_of_change(files: SliceFiles, what: str) -> None:
    warn(
        f"What {files.path(0)!r} says of its place is not used: {what}. Say where it lies by "
        "spacing=... and origin=....",
        SpacingWarning,
    )


def _first(axes: Sequence[str], told: SlicePlace | None, files: SliceFiles) -> dict[str, float]:
    """Origin of each axis: the first position, or what the first slice says, else 0."""
    places = (None,) * 3 if told is None else told.origin
    first = {dim: place or 0.0 for dim, place in zip(axes, places, strict=True)}
    return first if files.heights is None else first | {axes[0]: files.heights[0]}


def plane_of(argument: str | None, files: SliceFiles) -> Plane:
    """The plane of the slices: as the caller said, else by a word in a name, else axial."""
    if argument is not None and argument not in PLANES:
        raise GeometryError(f"plane={argument!r} is none of {', '.join(map(repr, PLANES))}.")
    for name in (files.hints[0], files.names[0], *files.hints[1:]):
        named = [plane for plane in PLANES if plane in name.lower()]
        if argument is None and len(named) == 1:
            argument = named[0]
        if argument is None and not named:
            argument = _plane_by_other_words(name)
    return argument or "axial"  # type: ignore[return-value]


def _plane_by_other_words(name: str) -> str | None:
    """The plane by an abbreviation or a synonym in a name, with a warning that says so."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    found = {_OTHER_WORDS[word]: word for word in words if word in _OTHER_WORDS}
    if len(found) != 1 or any(word in _REGIONS for word in words):
        return None
    plane, word = next(iter(found.items()))
    if plane != "axial":  # which it would be without
        warn(
            f"{word!r} in the name {name!r} is taken for the plane: the slices are {plane}, "
            f"stacked along {PLANES[plane][0]}. Say it by plane={plane!r}, or plane='axial'.",
            OrientationWarning,
        )
    return plane


def _handle_gaps(files: SliceFiles, missing: Missing) -> npt.NDArray[np.int64] | None:
    """Which positions of the grid to keep; None for all."""
    if missing not in ("keep", "fill", "raise"):
        raise StackError(f"missing={missing!r} is none of 'keep', 'fill', 'raise'.")
    if missing == "fill" and files.heights is not None and len(files) > 1 and files.spacing is None:
        raise StackError(
            f"missing='fill' needs positions on a regular grid, and those of {files.folder!r} are "
            "at uneven distances. Open them with missing='keep', and interpolate: .interp(...)."
        )
    absent = files.missing
    if not absent:
        return None
    if missing == "fill":
        _refuse_to_multiply(files)
        return None
    found = (
        f"{len(absent)} of {len(absent) + len(files)} slices are missing in {files.folder!r}: "
        f"{_absent(files)}."
    )
    if missing == "raise":
        raise StackError(f"{found} Restore them, or open with missing='fill' or 'keep'.")
    places = "their true positions" if files.is_known else "the places that their numbers tell"
    warn(
        f"{found} The others keep {places}, so the coordinate has a gap; "
        "missing='fill' puts empty slices there instead, missing='raise' refuses such a stack.",
        SliceGapWarning,
    )
    return files.positions


def _refuse_to_multiply(files: SliceFiles) -> None:
    """Refuse to fill in many times as many slices as there are."""
    places = int(files.positions[-1]) + 1
    if places > _MOST_FILLED * len(files):
        raise StackError(
            f"missing='fill' would make {places} slices of {len(files)}: the numbers in "
            f"{files.folder!r} ({shortlist(files.numbers, 5)}) don't count slices"
            f"{describe_numbers(files.numbers)}. Open them with missing='keep', or say where the "
            f"slices lie, for example 100 µm apart: positions={range(0, 100 * len(files), 100)!r}."
        )


def _absent(files: SliceFiles) -> str:
    """What is missing, in words: numbers, or positions where these are told."""
    if files.heights is None or files.spacing is None:
        return f"number{'s' if len(files.missing) > 1 else ''} {_ranges(files.missing, files.step)}"
    lost = [files.heights[0] + files.spacing * number for number in files.missing]
    shown = shortlist([show_micrometers(round(place, 6)) for place in lost], most=10)
    return f"position{'s' if len(lost) > 1 else ''} {shown}"


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


def _file_table(
    found: FoundFiles, dim: str, on_grid: npt.NDArray[Any], heights: npt.NDArray[Any] | None
) -> FileTable:
    """The file of each slice, its position, and its place on the grid of the stack."""
    files = found.files
    if len(found.parts) > 1 or found.header.pages > 1 or found.header.page_numbers:
        pages = tuple(
            f"{part.files.names[0]}#{page}"
            for part in found.parts
            for page in part.header.page_numbers or range(part.header.pages)
        )
        positions = on_grid if heights is None else heights
        return FileTable.of(dim, files, pages, positions, np.arange(len(pages)))
    grid = files.positions
    return FileTable.of(dim, files, (), on_grid[grid] if heights is None else heights, grid)


def _attributes(
    path: PathLike | Sequence[PathLike], files: SliceFiles, table: FileTable, plane: Plane,
    spacing: Spacing, missing: Missing,
) -> dict[str, Any]:  # fmt: skip
    one = isinstance(path, str | os.PathLike) and files.container is None
    opened = one and os.path.isfile(os.path.expanduser(path))  # type: ignore[arg-type]
    opened = opened and not is_list_file(os.fspath(path))  # type: ignore[arg-type]
    attrs = {
        "source": files.path(0) if opened else files.folder,
        FILES: table,
        "plane": plane,
        "spacing_source": str(spacing),
    }
    if files.missing:
        attrs["missing_slices"] = _absent(files).partition(" ")[2]
        attrs["missing"] = missing
    return attrs | citation_for(files.names[0], files.folder)
