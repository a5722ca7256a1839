"""From values to the two limits between which they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Shares of the values, in percent, that may be darker or brighter than the limits.
# The bright end of a head is a long tail (fat, vessels, the coil's spikes), so it is
# cut earlier; at the dark end lie few outliers, and tissue that should not turn black.
DARKEST, BRIGHTEST = 0.1, 99.8

# A lowest or highest value that is more often found than this is what lies around
# the object (padding, a mask, white paper), and no part of the picture.
BACKGROUND_SHARE = 0.1

# Empty images say nothing about the others of their stack, but most intensities
# stored as wider integers still have 16 bits.
WIDEST_RANGE = 65535


def contrast_limits(values: npt.ArrayLike) -> tuple[float, float]:
    """Limits of contrast that show the object and not its outliers.

    The 0.1th and 99.8th percentile of the finite values, without the constant
    background: a lowest or highest value that more than a tenth of them have.
    With it, a brain in a large black frame would be cut at a percentile of the
    frame. Percentiles are values that occur, so nothing is rounded. Costs a
    partial sort of the values.

    Parameters
    ----------
    values : array_like of bool, int or float
        A sample is enough: the planes shown, or a few of a volume.

    Returns
    -------
    low, high : float
        Always finite, ``low < high``. For bool ``(0, 1)``. For one constant *c*,
        ``(c, c + 1)``, or more where *c* is so large that a float32 would not tell
        them apart. For integers that are all zero, and so say nothing about the
        rest of their volume, ``(0, the largest of the type)``, at most 65535.
        For no finite value at all ``(0, 1)``.

    Raises
    ------
    TypeError
        When the values are neither bool nor int nor float.

    Examples
    --------
    >>> contrast_limits(np.arange(1001))
    (1.0, 998.0)
    >>> contrast_limits([[0, 0, 0], [0, 40, 90], [0, 60, 50]])
    (40.0, 90.0)
    >>> contrast_limits(np.zeros((2, 3), "uint8"))
    (0.0, 255.0)
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Values of type {array.dtype} have no contrast: it takes bool, int or float."
        )
    if array.dtype.kind == "b":
        return 0.0, 1.0
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
    if finite.size == 0:
        return 0.0, 1.0
    low, high = _percentiles(_without_background(finite))
    if low == high:  # one value fills the object: show it against what is around
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else _around(low, array.dtype)


def chosen_limits(
    images: Sequence[npt.NDArray[Any]], low: float | None, high: float | None
) -> tuple[float, float]:
    """Limits of contrast for all of some images: those given, else what suits them.

    Raises
    ------
    ValueError
        When they show nothing.
    """
    found = contrast_limits(np.concatenate([image.ravel() for image in images]))
    low = found[0] if low is None else float(low)
    high = found[1] if high is None else float(high)
    if not low < high:
        raise ValueError(
            f"Contrast from {low:g} to {high:g} shows nothing: vmin has to be less than vmax. "
            "Where only one is given, the other follows from what is shown; give both."
        )
    return low, high


def _without_background(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Drop the lowest or the highest value, whichever is more often found, if it often is."""
    counts = {edge: np.count_nonzero(values == edge) for edge in (values.min(), values.max())}
    edge = max(counts, key=lambda value: counts[value])
    if BACKGROUND_SHARE * values.size < counts[edge] < values.size:
        return np.asarray(values[values != edge])
    return values


def _percentiles(values: npt.NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(values, (DARKEST, BRIGHTEST), method="nearest")
    return float(low), float(high)


def _around(constant: float, dtype: np.dtype[Any]) -> tuple[float, float]:
    if constant == 0 and dtype.kind in "iu":
        return 0.0, float(min(np.iinfo(dtype).max, WIDEST_RANGE))
    # a float32, in which the limits end up on a graphics card, has 24 bits
    width = max(1.0, abs(constant) * 2.0**-20)
    low = min(constant, float(np.finfo(np.float64).max) - width)
    return low, low + width
