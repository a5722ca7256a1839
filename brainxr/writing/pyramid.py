"""A volume's coarser levels: where their voxels are, and what is in them.

    sizes, spacing ── scale_factors ──▶ scale factor of each level, per axis
    values of a level ── halve ──▶ values of the next one

From level to level the axes are halved whose voxels are not much longer than the
shortest, so a volume of thick slices becomes isotropic before its slices become fewer.
A level is made of the one before. A last row without a partner is kept: it becomes a
voxel by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from brainxr.errors import GeometryError

Method: TypeAlias = Literal["mean", "mode", "nearest"]
METHODS: tuple[str, ...] = get_args(Method)

# The coarsest level is the first one that is at most so long along each axis: less than
# a second of a slow connection, and small for any graphics card.
LONGEST_OF_COARSEST = 128

# An axis is halved while its voxels are no longer than this many of the shortest: then
# halving brings it nearer to the others, or leaves it as far on the other side.
NEARLY_AS_FINE = math.sqrt(2)


# --- where ------------------------------------------------------------------------


def scale_factors(
    sizes: Mapping[str, int], spacing: Mapping[str, float], levels: int | None = None
) -> tuple[dict[str, int], ...]:
    """Voxels of level 0 that a voxel of each level has along each axis.

    Parameters
    ----------
    sizes : mapping of str to int
        Voxels of level 0.
    spacing : mapping of str to float
        Of level 0; its sign doesn't matter.
    levels : int, optional
        How many, with level 0. Default: until the longest axis has at most
        `LONGEST_OF_COARSEST` voxels.

    Returns
    -------
    tuple of dict
        Powers of two; the first has ones.

    Raises
    ------
    GeometryError
        When there can't be so many levels.

    Examples
    --------
    >>> scale_factors({"z": 100, "y": 900, "x": 800}, {"z": 100, "y": 25, "x": 25})[1:]
    ({'z': 1, 'y': 2, 'x': 2}, {'z': 1, 'y': 4, 'x': 4}, {'z': 2, 'y': 8, 'x': 8})
    """
    if levels is not None and levels < 1:
        raise GeometryError(f"levels={levels!r}: there is at least one, level 0. Give 1 or more.")
    factors = [dict.fromkeys(sizes, 1)]
    while len(factors) != levels:
        now = {dim: -(-n // factors[-1][dim]) for dim, n in sizes.items()}
        if levels is None and max(now.values(), default=0) <= LONGEST_OF_COARSEST:
            break
        halved = _halved(now, {dim: abs(spacing[dim]) * factors[-1][dim] for dim in sizes})
        if not halved:
            _refuse_more(levels, len(factors), sizes)
            break
        factors.append({dim: f * 2 if dim in halved else f for dim, f in factors[-1].items()})
    return tuple(factors)


def _halved(sizes: Mapping[str, int], spacing: Mapping[str, float]) -> set[str]:
    """Axes that the next level has half as many voxels of."""
    long = [dim for dim, size in sizes.items() if size > 1]
    shortest = min((spacing[dim] for dim in long), default=0.0)
    return {dim for dim in long if spacing[dim] <= NEARLY_AS_FINE * shortest}


def _refuse_more(levels: int | None, most: int, sizes: Mapping[str, int]) -> None:
    if levels is not None:
        shape = " x ".join(f"{dim} {size}" for dim, size in sizes.items())
        raise GeometryError(
            f"A volume of {shape} voxels has {most} levels at most, and levels={levels} were "
            "asked for: the last one is a single voxel. Ask for fewer, or leave levels= out."
        )


# --- what -------------------------------------------------------------------------


def halve(
    values: npt.NDArray[Any], halved: Sequence[bool], method: Method = "mean"
) -> npt.NDArray[Any]:
    """One voxel of every two along some axes.

    Parameters
    ----------
    values : numpy.ndarray of bool, int or float
    halved : sequence of bool
        Whether each axis is halved. What has no partner at the end of an odd axis
        becomes a voxel by itself.
    method : {"mean", "mode", "nearest"}
        ``"mean"``: of integers the exact mean, rounded to the nearest, halves to the
        even one; of floats the mean in double precision, rounded once to their type,
        of those that are not NaN (NaN where all are); of bool whether more than half
        are true. ``"mode"``, for labels: the value that most of them have, the
        smallest of several; NaN only where all are. ``"nearest"``, for labels, too:
        the first one, which lies half a voxel before the centre of the block.

    Returns
    -------
    numpy.ndarray
        Of the same dtype; the shape's halves rounded up.

    Examples
    --------
    >>> halve(np.array([1, 2, 4, 5, 9], "uint8"), [True]).tolist()  # 1.5, 4.5, 9
    [2, 4, 9]
    """
    if method == "nearest":
        return values[tuple(slice(None, None, 2 if half else None) for half in halved)].copy()
    for axis, half in enumerate(halved):
        if half and values.shape[axis] % 2:
            return _with_the_last(values, halved, method, axis)
    if not any(halved):
        return values.copy()
    return _METHODS[method](values, halved)


def _with_the_last(
    values: npt.NDArray[Any], halved: Sequence[bool], method: Method, axis: int
) -> npt.NDArray[Any]:
    """An odd axis: its pairs, and behind them the last one by itself."""
    pairs, last = np.split(values, [values.shape[axis] - 1], axis)
    alone = [half and i != axis for i, half in enumerate(halved)]
    parts = [halve(pairs, halved, method), halve(last, alone, method)]
    return np.concatenate(parts, axis)


def _mean(values: npt.NDArray[Any], halved: Sequence[bool]) -> npt.NDArray[Any]:
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b":
        return _mean(values.view("u1"), halved).view("?")
    if kind == "f":
        return _mean_of_floats(values, halved)
    if size == 8:
        return _mean_of_widest(values, halved)
    out = np.empty(_half_shape(values, halved), values.dtype)
    shift = sum(halved)
    # planes that fit in the processor's cache, or three steps would each go through memory
    for index, group in _planes(values, halved):
        out[index] = _rounded(_sum(group, halved, np.dtype(f"{kind}{2 * size}")), shift)
    return out


def _planes(values: npt.NDArray[Any], halved: Sequence[bool]) -> Any:
    """What makes each plane of the result: one plane, or two, of the values."""
    step = 1 + halved[0]
    for start in range(0, len(values), step):
        index = start // step
        yield slice(index, index + 1), values[start : start + step]


def _sum(values: npt.NDArray[Any], halved: Sequence[bool], wide: np.dtype[Any]) -> npt.NDArray[Any]:
    """Sums of the voxels of each block; `wide` has room for them."""
    if halved[-1]:
        total = _sum_of_neighbours(values, wide)
        halved = [*halved[:-1], False]
    else:
        total = values.astype(wide)
    for axis, half in enumerate(halved):
        if half:
            total = _every_second(total, axis, 0) + _every_second(total, axis, 1)
    return total


def _sum_of_neighbours(values: npt.NDArray[Any], wide: np.dtype[Any]) -> npt.NDArray[Any]:
    """Sums of pairs along the last axis.

    Two unsigned neighbours are looked at as one number of twice the width, whose halves
    are added: a third faster than every second one, which no processor adds in bulk.
    """
    if values.dtype.kind != "u":
        return np.asarray(np.add(values[..., 0::2], values[..., 1::2], dtype=wide))
    two = np.ascontiguousarray(values).view(wide)
    bits = wide.type(8 * values.itemsize)
    total: npt.NDArray[Any] = two >> bits
    total += two & wide.type((1 << int(bits)) - 1)
    return total


def _every_second(values: npt.NDArray[Any], axis: int, first: int) -> npt.NDArray[Any]:
    return values[(slice(None),) * axis + (slice(first, None, 2),)]


def _rounded(total: npt.NDArray[Any], shift: int) -> npt.NDArray[Any]:
    """Sums divided by a power of two, halves to even; in place."""
    one = total.dtype.type(1)
    odd = total >> total.dtype.type(shift)
    odd &= one
    total += odd
    total += total.dtype.type((1 << shift - 1) - 1)
    total >>= total.dtype.type(shift)
    return total


def _mean_of_widest(values: npt.NDArray[Any], halved: Sequence[bool]) -> npt.NDArray[Any]:
    """Integers of 64 bits, whose sum has no type: quotients and remainders by themselves."""
    shift = sum(halved)
    parts = _parts(values, halved)
    whole, rest = parts[0] >> shift, parts[0] & ((1 << shift) - 1)
    for part in parts[1:]:
        whole = whole + (part >> shift)
        rest = rest + (part & ((1 << shift) - 1))
    odd = (whole + (rest >> shift)) & 1
    return np.asarray(whole + ((rest + ((1 << shift - 1) - 1) + odd) >> shift))


def _mean_of_floats(values: npt.NDArray[Any], halved: Sequence[bool]) -> npt.NDArray[Any]:
    out = np.empty(_half_shape(values, halved), values.dtype)
    count = 2 ** sum(halved)
    # infinities of both signs make NaN, and a mean beyond the type's range infinity
    with np.errstate(invalid="ignore", over="ignore"):
        for index, group in _planes(values, halved):
            parts = [part.astype(np.float64) for part in _parts(group, halved)]
            mean = np.add.reduce([part / count for part in parts])
            out[index] = _without_nan(parts, mean) if np.isnan(mean).any() else mean
    return out


def _without_nan(parts: list[npt.NDArray[Any]], mean: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Means, where NaN made them NaN, of the other values."""
    known = [~np.isnan(part) for part in parts]
    count = np.add.reduce(known, dtype=np.float64)
    share = np.divide(1, count, out=np.full_like(mean, np.nan), where=count > 0)
    others = [np.where(k, part, 0) * share for k, part in zip(known, parts, strict=True)]
    return np.where(count == len(parts), mean, np.add.reduce(others))


def _mode(values: npt.NDArray[Any], halved: Sequence[bool]) -> npt.NDArray[Any]:
    out = np.empty(_half_shape(values, halved), values.dtype)
    for index, group in _planes(values, halved):
        # the smallest first, of which the first that is most frequent is taken; NaN last
        ordered = np.sort(np.stack(_parts(group, halved)), axis=0)
        votes = [np.add.reduce(ordered == one, axis=0, dtype=np.intp) for one in ordered]
        out[index] = np.take_along_axis(ordered, np.argmax(votes, axis=0)[None], axis=0)[0]
    return out


def _parts(values: npt.NDArray[Any], halved: Sequence[bool]) -> list[npt.NDArray[Any]]:
    """The first voxels of all blocks, the second ones, and so on."""
    parts = [values]
    for axis, half in enumerate(halved):
        if half:
            parts = [_every_second(part, axis, first) for part in parts for first in (0, 1)]
    return parts


def _half_shape(values: npt.NDArray[Any], halved: Sequence[bool]) -> list[int]:
    return [n // 2 if half else n for n, half in zip(values.shape, halved, strict=True)]


_METHODS: Mapping[str, Callable[[npt.NDArray[Any], Sequence[bool]], npt.NDArray[Any]]] = {
    "mean": _mean,
    "mode": _mode,
}
