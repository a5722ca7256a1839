"""The few errors and warnings that brainxr raises.

Every error is also a built-in one, so that code which catches ``ValueError`` or
``OSError`` goes on working, and every message says what is wrong, where, what
was found against what was expected, and what to do.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING


class _Message:
    """An error of the system that prints its message alone, without "[Errno ...]".

    It is made as those are, and not by ValueError's way, which would be found first and makes
    none: so it comes back from the workers of a cluster as what it was.
    """

    __str__ = Exception.__str__
    if not TYPE_CHECKING:
        __new__ = OSError.__new__


class StackError(ValueError):
    """The files do not make one stack of slices."""


class EmptyStackError(_Message, StackError, FileNotFoundError):
    """There is no slice where one was looked for."""


class InconsistentStackError(StackError):
    """A slice differs from the first one in shape, type or layout."""


class SliceReadError(_Message, StackError, OSError):
    """A slice can't be read: it vanished, is truncated or is no TIFF."""


class StoreError(ValueError):
    """A Zarr store is no image, or not one that is read here."""


class StoreReadError(_Message, StoreError, OSError):
    """A part of a Zarr store is missing or damaged."""


class StoreExistsError(_Message, StoreError, FileExistsError):
    """There is something already where a store or a stack was to be written."""


class StoreWriteError(_Message, StoreError, OSError):
    """A store or a stack can't be written: the disk is full, or the place forbidden."""


class VolumeError(ValueError):
    """A file is no volume, or not one that is read here, or can't hold one."""


class VolumeReadError(_Message, VolumeError, OSError):
    """A file of a volume is truncated or damaged, or was changed since it was opened."""


class FetchError(_Message, OSError):
    """A dataset can't be fetched: no mirror gives it, or another file is in its place."""


class GeometryError(ValueError):
    """Coordinates don't tell where the voxels are, or not what was asked."""


class LengthError(GeometryError):
    """A value was expected to be a length (or another quantity), and is not."""


class PositionError(GeometryError, KeyError):
    """A coordinate has no such position."""

    __str__ = Exception.__str__  # KeyError would print quotes round the message


class TooBigError(MemoryError):
    """What was asked for would not fit in memory."""


class DisplayError(RuntimeError):
    """There is no display on which a window could be opened."""


class MissingExtraError(ImportError):
    """An optional part of brainxr was asked for, and is not installed."""


class SliceGapWarning(UserWarning):
    """The numbers of the slices have gaps."""


class SliceOrderWarning(UserWarning):
    """A list of slices is not in the order of the numbers in their names."""


class SpacingWarning(UserWarning):
    """The spacing is a guess, or two sources of it disagree."""


class OrientationWarning(UserWarning):
    """The axes of a volume are turned against the world's, or nothing tells where they point."""


class EmptySelectionWarning(UserWarning):
    """A range selects nothing."""


class AlignmentWarning(UserWarning):
    """Volumes that are combined share some of their positions only."""


class ViewerWarning(UserWarning):
    """napari lacks something that brainxr uses, and does without it."""


class LabelWarning(UserWarning):
    """Values that may be labels were averaged."""


class SlowReadWarning(UserWarning):
    """Every read of a file will take long, and need not."""


class UnitWarning(UserWarning):
    """A number or a layer has no unit, and may be in another one than is assumed."""


def shortlist(items: Sequence[object], most: int = 5) -> str:
    """Join items for a message: show the first few, count the rest.

    >>> shortlist(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(map(str, items[:most]))
    rest = len(items) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller outside brainxr, and outside xarray, which calls brainxr."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_on_the_way(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_on_the_way(module: str) -> bool:
    return module.partition(".")[0] in ("brainxr", "xarray")
