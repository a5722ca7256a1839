"""Positions of slices that the caller says: a list, a column of a table, or a part of the names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import GeometryError, StackError, shortlist
from brainxr.geometry import units as u
from brainxr.geometry.grid import OFF_GRID_IN_VOXELS
from brainxr.stacks.fields import MINUS, spelled, stem
from brainxr.stacks.naming import Ordered, compiled

# A regular expression, lengths by the name of a file, or one length a slice.
Positions: TypeAlias = "str | Mapping[str, u.Length] | Sequence[u.Length] | Any"

_LENGTH = re.compile(
    rf"([{MINUS}+]?\d+(?:[.,]\d+)?)[ _]?(nm|um|µm|μm|microns?|mm|cm)?(?![A-Za-z0-9])",
    re.IGNORECASE,
)

# Places on a grid for each slice; beyond this, positions are those of no regular grid.
_MOST_PLACES = 4


@dataclass(frozen=True, eq=False)
class Naming:
    """What the caller says about names: which number is the place, or the places themselves."""

    number: str | None = None
    positions: Positions | None = None

    @property
    def says_nothing(self) -> bool:
        return self.number is None and self.positions is None

    def __post_init__(self) -> None:
        if self.number is not None and not isinstance(self.number, str):
            raise TypeError(
                f"number={self.number!r} is not text: give the label of a number in the names, "
                "such as 'z', or a regular expression whose group is the number."
            )
        if self.number is not None and self.positions is not None and are_by_name(self.positions):
            raise StackError(
                f"Both number={self.number!r} and positions= say where each file lies. Leave out "
                "one of them; with number=, positions may be a list with one length a slice."
            )


BY_NAMES = Naming()


def are_by_name(positions: Positions | None) -> bool:
    """True if positions say by themselves which file they are for."""
    if positions is None:
        return False
    return isinstance(positions, str | Mapping) or _index_of_files(positions) is not None


def place_by_name(names: Sequence[str], positions: Positions) -> Ordered:
    """Order names by the position that each of them has.

    Raises
    ------
    StackError, GeometryError
        When a name has none, or two have one.
    """
    if isinstance(positions, str):
        heights = _read_from_names(names, positions)
    else:
        files = _index_of_files(positions)
        told: Any = positions
        if files is not None:
            told = dict(zip(files, _lengths(positions), strict=True))
        heights = [_told(told, name) for name in names]
    return _ordered(names, heights)


def place_in_order(ordered: Ordered, positions: Positions) -> Ordered:
    """Give each slice its position, in the order of the slices; then order them by it."""
    heights = _lengths(positions)
    if len(heights) != len(ordered.names):
        raise GeometryError(
            f"positions has {len(heights)} lengths, and there are {len(ordered.names)} slices. "
            "Give one length a slice, in their order."
        )
    return _ordered(ordered.names, heights)


def place_pages(count: int, positions: Positions) -> tuple[float, ...]:
    """Position of each page of a file, in µm.

    Raises
    ------
    GeometryError
        When there are more or fewer than pages, or they don't rise.
    """
    if are_by_name(positions):
        raise GeometryError(
            f"The {count} pages of a file have no names to find positions={positions!r} by. Give a "
            "list with one length a page."
        )
    heights = _lengths(positions)
    if len(heights) != count:
        raise GeometryError(
            f"positions has {len(heights)} lengths, and the file has {count} pages. Give one "
            "length a page, in their order."
        )
    if any(after <= before for before, after in pairwise(heights)):
        raise GeometryError(
            f"The positions of the {count} pages of a file ({shortlist(heights)} µm) don't rise, "
            "and pages stay in their order. Open it without positions, and use .assign_coords and "
            ".sortby."
        )
    return tuple(heights)


def steps_of(heights: Sequence[float]) -> tuple[tuple[int, ...], float] | None:
    """Positions as whole steps from the first, and the step in µm; None where they are irregular.

    >>> steps_of([-500.0, -250.0, 250.0]), steps_of([0.0, 1.0, 2.5001])
    (((0, 1, 3), 250.0), None)
    """
    values: npt.NDArray[np.float64] = np.asarray(heights, float)
    if values.size < 2:
        return None
    step = float(np.diff(values).min())
    exact = (values - values[0]) / step
    k = np.rint(exact).astype(np.int64)
    if k[-1] + 1 > _MOST_PLACES * k.size or np.abs(exact - k).max() > OFF_GRID_IN_VOXELS:
        return None
    return tuple(k.tolist()), float(values[-1] - values[0]) / int(k[-1])


# --- lengths ---------------------------------------------------------------------------------


def _ordered(names: Sequence[str], heights: Sequence[float]) -> Ordered:
    order = sorted(range(len(names)), key=heights.__getitem__)
    placed = [heights[i] for i in order]
    for before, after, i in zip(placed, placed[1:], order[1:], strict=False):
        if after <= before:
            twins = [name for name, at in zip(names, heights, strict=True) if at == heights[i]]
            raise StackError(
                f"{len(twins)} slices have the position {u.show_micrometers(after)}: "
                f"{shortlist(twins)}. A stack has one file a slice: leave out the others."
            )
    return Ordered(tuple(names[i] for i in order), tuple(range(len(names))), tuple(placed), True)


def _lengths(positions: Any) -> list[float]:
    """One length a slice in µm, from whatever holds lengths."""
    if hasattr(positions, "attrs") and hasattr(positions, "dims"):  # xarray
        unit = positions.attrs.get("units", u.MICROMETER)
        factor = u.factor(unit, to=u.MICROMETER)
        return [float(value) * factor for value in np.ravel(positions.values)]
    if not isinstance(positions, Iterable):
        raise GeometryError(
            f"positions={positions!r} is not one length a slice. Give a list, an array, a column "
            "of a table, or a regular expression whose group is a length: positions='z(.*)mm'."
        )
    return [u.to_micrometers(value, f"positions[{i}]") for i, value in enumerate(positions)]


def _index_of_files(positions: Any) -> list[str] | None:
    """The names by which a column of a table is indexed; None where it is by numbers."""
    index = getattr(positions, "index", None)
    if index is None or callable(index):
        return None
    files = list(index)
    return (
        [str(file) for file in files] if files and isinstance(files[0], str | os.PathLike) else None
    )


def _told(told: Mapping[str, Any], name: str) -> float:
    """The length that is told for a file: by its path, its name, or its name without suffix."""
    last = os.path.basename(name)
    for key in (name, last, stem(last)):
        if key in told:
            return u.to_micrometers(told[key], f"positions[{key!r}]")
    matching = [key for key in told if os.path.basename(key) == last]
    if len(matching) == 1:
        return u.to_micrometers(told[matching[0]], f"positions[{matching[0]!r}]")
    raise GeometryError(
        f"positions has no length for {name!r}; it has some for {shortlist(list(told), 3)}. Give "
        "one for each file."
    )


def _read_from_names(names: Sequence[str], expression: str) -> list[float]:
    pattern = compiled(expression, "positions")
    return [_read_from_name(name, pattern) for name in names]


def _read_from_name(name: str, pattern: re.Pattern[str]) -> float:
    found = pattern.search(name)
    if found is None or found[1] is None:
        raise StackError(
            f"positions={pattern.pattern!r} finds nothing in {name!r}. Each name has to have it."
        )
    # the unit may be in the group, or follow it
    length = _LENGTH.match(name, found.start(1))
    if length is None or not length[1] or length.end() < min(found.end(1), len(stem(name))):
        raise StackError(
            f"positions={pattern.pattern!r} finds {found[1]!r} in {name!r}, which is not a length. "
            "Its group has to be a number, with a unit in it or behind it: positions='z(.*)mm'."
        )
    number = float(re.sub(f"[{MINUS}]", "-", length[1]).replace(",", "."))
    unit = spelled(length[2]) if length[2] else u.MICROMETER
    return round(number * u.factor(unit, to=u.MICROMETER), 9)
