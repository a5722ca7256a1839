"""What a slice's values are like, and which slices are unlike their neighbours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

PERCENTILES = (1, 50, 99)

# Neighbours on either side with which a slice is compared; how many times the usual
# unevenness is too much; and which part of the volume's own range it has to be, so that a
# volume that hardly varies has no outliers.
NEIGHBOURS, TOO_MUCH, AT_LEAST = 3, 8.0, 0.05

# Bytes of memory that a voxel takes beside its own while its slice is described: of most types
# a copy in float64, and another one that is sorted for the percentiles.
BYTES_BESIDE = 16

Kind: TypeAlias = Literal["empty", "constant", "repeated", "outlier"]


@dataclass(frozen=True)
class SliceStats:
    """One slice in numbers.

    Attributes
    ----------
    number : int
        By the name of its file; the page of a file of many, the plane of a store.
    file : str
    z_mm : float
        Where it is along the axis of the stack, in mm.
    min, max, mean, std : float
        Of its finite values; NaN where there are none.
    p1, p50, p99 : float
        Percentiles of its finite values.
    not_finite : float
        Part of its values that are NaN or infinite.
    digest : str
        Equal for slices whose voxels are.
    """

    number: int
    file: str
    z_mm: float
    min: float
    max: float
    mean: float
    std: float
    p1: float
    p50: float
    p99: float
    not_finite: float
    digest: str


@dataclass(frozen=True)
class Finding:
    """What is odd about one slice.

    Attributes
    ----------
    number, file, z_mm
        As in `SliceStats`.
    kind : {"empty", "constant", "repeated", "outlier"}
    message : str
    """

    number: int
    file: str
    z_mm: float
    kind: Kind
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file} (number {self.number}, at {self.z_mm:g} mm): {self.kind}: {self.message}"
        )


def describe(number: int, file: str, z_mm: float, values: npt.NDArray[Any]) -> SliceStats:
    """The numbers of one slice; costs about 10 ns a voxel."""
    digest = hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).hexdigest()
    numbers = np.abs(values) if values.dtype.kind == "c" else values
    finite = numbers
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        finite = numbers[np.isfinite(numbers)]
    part = 1 - finite.size / values.size
    found = _summary(finite) if finite.size else (np.nan,) * 7
    low, high, mean, std, p1, p50, p99 = map(float, found)
    return SliceStats(
        number, file, z_mm, low, high, mean, std, p1, p50, p99, not_finite=part, digest=digest
    )


def _summary(values: npt.NDArray[Any]) -> tuple[float, ...]:
    if values.dtype.kind in "bu" and values.dtype.itemsize <= 2:
        return _summary_of_counts(np.bincount(values.ravel()))
    wide = values.astype(np.float64, copy=False)
    percentiles = np.percentile(wide, PERCENTILES, method="lower")
    return (wide.min(), wide.max(), wide.mean(), wide.std(), *percentiles)


def _summary_of_counts(counts: npt.NDArray[np.intp]) -> tuple[float, ...]:
    """The same, from how often each value occurs: ten times as fast for many voxels."""
    (present,) = np.nonzero(counts)
    weights = counts[present]
    total = int(weights.sum())
    mean = float((present * weights).sum()) / total
    std = float(np.sqrt((weights * (present - mean) ** 2).sum() / total))
    places = [int(np.floor(p / 100 * (total - 1))) for p in PERCENTILES]
    percentiles = present[np.searchsorted(np.cumsum(weights), places, side="right")]
    return (present[0], present[-1], mean, std, *percentiles)


def find_odd(stats: Sequence[SliceStats]) -> list[Finding]:
    """Slices that are empty, constant, repeated or outliers, in their order.

    - empty: all zero, or no finite value;
    - constant: one other value everywhere;
    - repeated: every voxel is that of the slice before;
    - outlier: the mean or the standard deviation is not between what it is before and after
      (medians of the three slices on either side), and as far from that as eight times
      what is usual in this volume (the median of how far a slice is from the middle of its two
      neighbours), and as a twentieth of its range in the volume. A steady rise is none.
      Empty and constant slices don't count as neighbours; the first and the last
      of the others can't be judged.
    """
    findings: dict[int, Finding] = {}
    for i, one in enumerate(stats):
        if np.isnan(one.min) or one.min == one.max == 0:
            findings[i] = _finding(
                one, "empty", "no finite value" if np.isnan(one.min) else "all 0"
            )
        elif one.min == one.max:
            findings[i] = _finding(one, "constant", f"all {one.min:g}")
        elif i and one.digest == stats[i - 1].digest:
            findings[i] = _finding(one, "repeated", f"every voxel as in {stats[i - 1].file}")
    others = [i for i in range(len(stats)) if i not in findings]
    for name in ("mean", "std"):
        values = np.array([getattr(stats[i], name) for i in others])
        for place, expected in _outliers(values):
            words = f"{name} {values[place]:.4g}, and its neighbours have {expected:.4g}"
            findings.setdefault(others[place], _finding(stats[others[place]], "outlier", words))
    return [findings[i] for i in sorted(findings)]


def _finding(one: SliceStats, kind: Kind, message: str) -> Finding:
    return Finding(one.number, one.file, one.z_mm, kind, message)


def _outliers(values: npt.NDArray[np.float64]) -> list[tuple[int, float]]:
    """Places of outliers, and what is expected there."""
    if values.size < 2 * NEIGHBOURS + 1:
        return []
    usual = np.median(np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2))
    least = max(TOO_MUCH * float(usual), AT_LEAST * float(np.ptp(values)))
    found = ((i, _expected(values, i)) for i in range(1, values.size - 1))
    return [(i, expected) for i, expected in found if abs(values[i] - expected) > least]


def _expected(values: npt.NDArray[np.float64], i: int) -> float:
    """The value itself where it is between those before and after, else the nearer of these."""
    before = float(np.median(values[max(0, i - NEIGHBOURS) : i]))
    after = float(np.median(values[i + 1 : i + 1 + NEIGHBOURS]))
    return float(np.clip(values[i], min(before, after), max(before, after)))
