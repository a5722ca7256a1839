"""Open a stack of image slices as one lazy, labelled volume, and show it in place.

>>> import brainxr
>>> vol = brainxr.open(brainxr.sample("phantom"))
>>> slab = vol.sel(z=slice("6 cm", "6.4 cm")).max("z")
"""

from __future__ import annotations

from importlib.metadata import version as _version

from brainxr import accessor as _accessor  # registers .brain
from brainxr.api import open, open_pyramid
from brainxr.errors import (
    AlignmentWarning,
    DisplayError,
    EmptySelectionWarning,
    EmptyStackError,
    FetchError,
    GeometryError,
    InconsistentStackError,
    LabelWarning,
    LengthError,
    MissingExtraError,
    OrientationWarning,
    PositionError,
    SliceGapWarning,
    SliceOrderWarning,
    SliceReadError,
    SlowReadWarning,
    SpacingWarning,
    StackError,
    StoreError,
    StoreExistsError,
    StoreReadError,
    StoreWriteError,
    TooBigError,
    UnitWarning,
    ViewerWarning,
    VolumeError,
    VolumeReadError,
)
from brainxr.geometry.regridding import volume
from brainxr.integrity.inspection import check
from brainxr.integrity.volumesum import checksum
from brainxr.pictures.movies import movie
from brainxr.samples.catalogue import sample
from brainxr.samples.datasets import datasets
from brainxr.samples.fetching import fetch
from brainxr.viewing.fromviewer import labels, points, selection
from brainxr.viewing.screenshots import screenshot
from brainxr.viewing.viewer import view

__version__ = _version("brainxr")
del _accessor, _version

__all__ = [
    "AlignmentWarning",
    "DisplayError",
    "EmptySelectionWarning",
    "EmptyStackError",
    "FetchError",
    "GeometryError",
    "InconsistentStackError",
    "LabelWarning",
    "LengthError",
    "MissingExtraError",
    "OrientationWarning",
    "PositionError",
    "SliceGapWarning",
    "SliceOrderWarning",
    "SliceReadError",
    "SlowReadWarning",
    "SpacingWarning",
    "StackError",
    "StoreError",
    "StoreExistsError",
    "StoreReadError",
    "StoreWriteError",
    "TooBigError",
    "UnitWarning",
    "ViewerWarning",
    "VolumeError",
    "VolumeReadError",
    "check",
    "checksum",
    "datasets",
    "fetch",
    "labels",
    "movie",
    "open",
    "open_pyramid",
    "points",
    "sample",
    "screenshot",
    "selection",
    "view",
    "volume",
]
