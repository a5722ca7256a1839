"""Whether values are labels: ids of regions, of which a mean would be another region's id.

Known labels are booleans, what a file declares (NIfTI's intent 1002, OME-Zarr's image-label),
and arrays whose attribute ``kind`` is ``"labels"``. Integers that only look like labels are
told by `look_like_labels`; a grey image of 8 or 16 bits is never taken for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

# The attribute that says so, and its value.
KIND, LABELS = "kind", "labels"

# Ids of a sample that looks like labels: so few, and so often like their neighbour.
MOST_IDS = 2048
LEAST_ALIKE = 0.8

# Of small integers in a file: so few values that a mean of them may make others.
FEW_VALUES = 24


def are_labels(data: xr.DataArray) -> bool:
    """True if values are known to be labels."""
    said = data.attrs.get(KIND) == LABELS and data.dtype.kind in "iu"
    return data.dtype.kind == "b" or said


def look_like_labels(sample: npt.NDArray[Any]) -> bool:
    """True if integers of 32 or 64 bits lie in regions, as ``skimage.measure.label`` makes them.

    Parameters
    ----------
    sample : numpy.ndarray, shape (..., rows, columns)
        Some planes; they may be thinned out.
    """
    if sample.dtype.kind not in "iu" or sample.dtype.itemsize < 4:
        return False
    ids = np.unique(sample)
    if ids.size < 2 or ids.size > min(MOST_IDS, sample.size // 16):
        return False
    alike = [
        np.mean(np.take(sample, range(1, n), axis) == np.take(sample, range(n - 1), axis))
        for axis, n in enumerate(sample.shape)
        if n > 1
    ]
    return bool(alike) and float(max(alike)) >= LEAST_ALIKE
