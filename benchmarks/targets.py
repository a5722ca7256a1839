# ruff: noqa: RUF001, the sign of multiplication is meant
"""What brainxr set out to reach, and whether it did in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from benchmarks.pyramids import RESUMED
from benchmarks.results import Results
from benchmarks.window import STORE_STEPS

Value: TypeAlias = Callable[[Results], float | None]

PLANE_DOORS = ("brainxr, chunks=None", "brainxr, napari")
DOORS = ("brainxr, dask", *PLANE_DOORS)
DASK = ("brainxr, dask",)
REDUCTIONS = ('max("z")', 'mean("z")', "mean()", "std()", "histogram")


@dataclass(frozen=True)
class Target:
    """One figure to be reached.

    Attributes
    ----------
    what, of : str
        What is measured, and its unit.
    sign : {"≤", "≥"}
    bound : float
    value : callable
        From the results to the figure; None where it was not measured.
    """

    what: str
    sign: Literal["≤", "≥"]
    bound: float
    of: str
    value: Value

    @property
    def claim(self) -> str:
        return f"{self.sign} {self.bound:g} {self.of}"


class Verdict(NamedTuple):
    """A target, the figure that was found, and whether it is met."""

    target: Target
    found: float | None

    @property
    def met(self) -> bool | None:
        if self.found is None:
            return None
        target = self.target
        return self.found <= target.bound if target.sign == "≤" else self.found >= target.bound

    @property
    def word(self) -> str:
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def judge(results: Results) -> list[Verdict]:
    """Every target with what was found."""
    return [Verdict(target, target.value(results)) for target in targets(results)]


# --- figures ----------------------------------------------------------------------


def times_limit(row: str, ways: tuple[str, ...] = DOORS) -> Value:
    """Slowest of these ways, in units of the limit."""
    return lambda r: _ratio(_slowest(r, row, ways), r.limit(row))


def times_faster(row: str, ways: tuple[str, ...] = DOORS) -> Value:
    """How many times as long as the slowest of these ways the fastest peer takes."""
    return lambda r: _ratio(r.best_peer(row), _slowest(r, row, ways))


def times_way(row: str, other: str, ways: tuple[str, ...]) -> Value:
    """How many times as long as the slowest of these ways another one takes."""
    return lambda r: _ratio(r.median(row, other), _slowest(r, row, ways))


def times_row(row: str, other: str, ways: tuple[str, ...] = DASK) -> Value:
    """How many times as long as another row a row takes."""
    return lambda r: _ratio(_slowest(r, row, ways), _slowest(r, other, ways))


def seconds(row: str, ways: tuple[str, ...], unit: float = 1.0) -> Value:
    def value(r: Results) -> float | None:
        slowest = _slowest(r, row, ways)
        return None if slowest is None else slowest / unit

    return value


def bytes_over(row: str) -> Value:
    """Bytes that brainxr reads, in units of those that the limit reads."""

    def value(r: Results) -> float | None:
        read = [c.read for w in DOORS if (c := r.of(row, w)) is not None and c.read is not None]
        limit = r.of(row, "limit, 1 thread")
        return _ratio(max(read, default=None), limit.read if limit is not None else None)

    return value


def peak(rows: tuple[str, ...], way: str = "brainxr, dask") -> Value:
    """Largest peak of brainxr's memory in MB."""

    def value(r: Results) -> float | None:
        cells = [r.of(row, way) for row in rows]
        if any(cell is None or cell.peak is None for cell in cells):
            return None
        return max(cell.peak / 1e6 for cell in cells if cell is not None and cell.peak is not None)

    return value


def peaks(row: str, other: str, way: str) -> Value:
    """Memory of a row in units of that of another one."""
    return lambda r: _ratio(peak((row,), way)(r), peak((other,), way)(r))


def stored(row: str) -> Value:
    """Bytes of what brainxr made, in units of those of the pixels."""

    def value(r: Results) -> float | None:
        cell = r.of(row, "brainxr")
        return _ratio(cell.size if cell is not None else None, r.slices * r.bytes_per_slice)

    return value


def alike(rows: tuple[str, ...]) -> Value:
    """How many times as long as the fastest of some rows the slowest takes, by the worst door."""

    def value(r: Results) -> float | None:
        ratios = []
        for door in DOORS:
            times = [r.median(row, door) for row in rows]
            known = [seconds for seconds in times if seconds is not None]
            if len(known) < len(rows):
                return None
            ratios.append(max(known) / min(known))
        return max(ratios)

    return value


def graph(attribute: str, per: float = 1.0) -> Value:
    def value(r: Results) -> float | None:
        found = [g for g in r.graphs if g.way == "brainxr" and g.slices == r.slices]
        return getattr(found[0], attribute) / per if found else None

    return value


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _slowest(r: Results, row: str, ways: tuple[str, ...]) -> float | None:
    found = [r.median(row, way) for way in ways]
    if any(seconds is None for seconds in found):
        return None
    return max(seconds for seconds in found if seconds is not None)


# --- targets ----------------------------------------------------------------------


def targets(results: Results) -> list[Target]:
    """The targets, for stacks of the sizes that were measured."""
    return [
        *_opening_targets(results),
        *_plane_targets(results),
        *_reduction_targets(),
        *_other_targets(),
        *_tenfold_targets(box_row(results)),
        *_conversion_targets(),
        *_store_targets(box_row(results)),
    ]


def _opening_targets(results: Results) -> list[Target]:
    n = results.slices
    row = f"open {n} slices"
    most = [r for r in results.rows() if r.startswith("open ")][-1:] or [row]
    return [
        Target(row, "≤", 4, "× listing", times_limit(row, DOORS[:2])),
        Target(row, "≥", 20, "× faster than the tutorial", times_way(row, "tutorial", DOORS[:2])),
        Target(most[0], "≤", 1, "s", seconds(most[0], DOORS[:2])),
        Target("shipped to a worker", "≤", 150, "kB, the largest object", graph("largest", 1e3)),
        Target("shipped to a worker", "≤", max(1, n // 16), "tasks", graph("tasks")),
    ]


def _plane_targets(results: Results) -> list[Target]:
    box = box_row(results)
    faster = "× faster than any peer"
    strided = "[::8, ::8, ::8]"
    return [
        Target(
            "axial plane, not dask", "≤", 2.5, "× limit", times_limit("axial plane", PLANE_DOORS)
        ),
        Target("axial plane, dask", "≥", 1, faster, times_faster("axial plane", DASK)),
        Target(
            "coronal plane, not dask", "≤", 2, "× limit", times_limit("coronal plane", PLANE_DOORS)
        ),
        Target("coronal plane, dask", "≤", 6, "× limit", times_limit("coronal plane", DASK)),
        Target("coronal plane", "≥", 50, faster, times_faster("coronal plane")),
        Target("sagittal plane", "≤", 1.5, "× limit", times_limit("sagittal plane")),
        Target("sagittal plane", "≥", 2.5, faster, times_faster("sagittal plane")),
        Target(box, "≤", 1.1, "× the bytes of its rows", bytes_over(box)),
        Target(strided, "≤", 1.1, "× the bytes of its rows", bytes_over(strided)),
    ]


def _reduction_targets() -> list[Target]:
    found = []
    for row, bound in (('max("z")', 3), ('mean("z")', 8)):
        found.append(Target(row, "≤", bound, "× limit", times_limit(row, DASK)))
        found.append(Target(row, "≥", 3, "× faster than any peer", times_faster(row, DASK)))
    tenfold = tuple(f"{row} (tenfold)" for row in REDUCTIONS[:2])
    found.append(Target("memory of any reduction", "≤", 600, "MB", peak(REDUCTIONS)))
    found.append(Target("the same, tenfold", "≤", 600, "MB", peak(tenfold)))
    return found


def _other_targets() -> list[Target]:
    deflate = "coronal plane (deflate, strips)"
    found = [Target(deflate, "≥", 15, "× faster than any peer", times_faster(deflate))]
    for axis in "zy":
        row = f"slider step along {axis}"
        found.append(Target(row, "≤", 50, "ms", seconds(row, ("brainxr",), 1e-3)))
    return found


def _conversion_targets() -> list[Target]:
    ours = ("brainxr",)
    found = [
        Target("convert", "≤", 2.5, "× limit", times_limit("convert", ours)),
        Target("convert", "≥", 2, "× faster than any peer", times_faster("convert", ours)),
    ]
    for peer in ("ngff-zarr", "ome-zarr-py"):
        value = times_way("convert", f"{peer}, defaults", ours)
        found.append(Target("convert", "≥", 4, f"× faster than {peer} by its defaults", value))
    return [
        *found,
        Target("convert, memory", "≤", 1074, "MB", peak(("convert",), *ours)),
        Target(
            "the same, twofold", "≤", 1.1, "× that of convert",
            peaks("convert (twofold)", "convert", *ours),
        ),
        Target("store", "≤", 1, "× the source's bytes", stored("convert")),
        Target(RESUMED, "≤", 0.2, "× convert", times_row(RESUMED, "convert", ours)),
    ]  # fmt: skip


def _store_targets(box: str) -> list[Target]:
    planes = ("axial plane", "coronal plane", "sagittal plane")
    sagittal, own = planes[2], "× faster than from the stack"
    found = [
        Target("planes (store)", "≤", 3, "× each other", alike(tuple(map(of_store, planes)))),
        Target(of_store(sagittal), "≥", 4, own, times_row(sagittal, of_store(sagittal), DOORS)),
    ]
    than_tutorial = "× faster than the tutorial from the stack"
    found += [
        Target(of_store(row), "≥", 10, than_tutorial, _tutorial_over_store(row))
        for row in planes[1:]
    ]
    for row in (*planes, box):
        value = times_way(of_store(row), "tensorstore", DOORS)
        found.append(Target(of_store(row), "≥", 1, "× tensorstore's speed", value))
    for axis in "zyx":
        for name in STORE_STEPS:
            row = f"slider step along {axis} ({name})"
            found.append(Target(row, "≤", 50, "ms", seconds(row, ("brainxr",), 1e-3)))
    return found


def of_store(row: str) -> str:
    return f"{row} (store)"


def _tutorial_over_store(row: str) -> Value:
    return lambda r: _ratio(r.median(row, "tutorial"), _slowest(r, of_store(row), DOORS))


def box_row(results: Results) -> str:
    """Name of the row of the box, whose edge depends on the size."""
    return next((row for row in results.rows() if row.endswith("³ box")), "256³ box")


def _tenfold_targets(box: str) -> list[Target]:
    """Where the result is as large as before, so is the time; elsewhere it is ten times that.

    A fifth more is allowed for what the machine does meanwhile.
    """

    def target(row: str, bound: float) -> Target:
        tenfold = f"{row} (tenfold)"
        return Target(tenfold, "≤", bound, f"× that of {row}", times_row(tenfold, row))

    found = [target(row, 1.2) for row in ("axial plane", box)]
    found += [target(row, 12) for row in ("coronal plane", "sagittal plane", *REDUCTIONS[:2])]
    return found
