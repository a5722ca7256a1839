"""Every slice decoded before it is needed: what can't be read, and what is odd, at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from brainxr.cluster import refuse_unseen
from brainxr.errors import SliceGapWarning, SliceOrderWarning, StackError, StoreError, VolumeError
from brainxr.find import find_volume, may_be_no_stack
from brainxr.geometry.extra_dims import At
from brainxr.integrity import checks
from brainxr.integrity.checks import CheckReport, Problem
from brainxr.integrity.slicestats import BYTES_BESIDE, Finding, SliceStats, describe, find_odd
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.slabs import Slab, anywhere, cut, refuse_big_parts
from brainxr.lazy.volume import Volume
from brainxr.progress import with_progress
from brainxr.stacks.positions import Positions
from brainxr.stacks.slices import PathLike
from brainxr.stacks.stack import Stack


@dataclass(frozen=True)
class DeepReport(CheckReport):
    """What `brainxr.check` with ``deep=True`` found.

    Attributes
    ----------
    folder, slices, problems, missing
        As in `CheckReport`; a slice that can't be decoded is a problem, too.
    findings : tuple of Finding
        Slices that are empty, constant, repeated or outliers.
    profile : tuple of SliceStats
        Every slice that could be read, in order.
    axis : str
        Along which the slices lie.
    """

    findings: tuple[Finding, ...] = ()
    profile: tuple[SliceStats, ...] = ()
    axis: str = "z"

    @property
    def ok(self) -> bool:
        """Nothing is wrong, missing or odd but empty slices at both ends, as volumes have them."""
        return super().ok and not self.odd

    @property
    def odd(self) -> tuple[Finding, ...]:
        """The findings without the empty slices at both ends."""
        filled = {one.number for one in self.profile} - {
            f.number for f in self.findings if f.kind == "empty"
        }
        first, last = (min(filled), max(filled)) if filled else (math.inf, -math.inf)
        return tuple(f for f in self.findings if f.kind != "empty" or first < f.number < last)

    def __str__(self) -> str:
        shallow = CheckReport(self.folder, self.slices, self.problems, self.missing)
        odd = f"{len(self.odd)} of them odd:" if self.odd else "none of them odd."
        lines = [str(shallow), f"{len(self.profile)} slices decoded, {odd}"]
        lines += [f"  {finding}" for finding in self.odd]
        ends = len(self.findings) - len(self.odd)
        if ends:
            lines.append(f"{ends} more are empty at the ends, as is usual.")
        return "\n".join(lines)


def check(
    path: PathLike | Sequence[PathLike], *, deep: bool = False, progress: bool | None = None,
    inside: str | None = None, at: At | None = None, axes: str | None = None,
    number: str | None = None, positions: Positions | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> CheckReport:  # fmt: skip
    """Look at the header of every slice of a stack, and report all that is wrong.

    Costs one parsed header a file (about 0.1 ms each, no pixels). The slices are
    compared with what most of them are, so that one odd first slice is named and
    not all the others. With ``deep=True`` every slice is decoded, too, on all processors,
    in memory for a few slices: about a second for each GB that isn't compressed.

    Parameters
    ----------
    path : path-like or sequence of these
        What `brainxr.open` takes; a store, and a file of a volume (NIfTI, netCDF), is always
        looked at deeply.
    deep : bool
        Whether to decode every slice, and find those that are empty, constant, repeated
        (every voxel as in the one before) or outliers (the mean or the standard deviation
        far from their neighbours'; `brainxr.integrity.slicestats.find_odd` says how far).
    progress : bool, optional
        Of a deep look, whether to show a bar. Default: in a terminal, after two seconds.
    inside, at, axes, number, positions, storage_options
        As in `brainxr.open`.

    Returns
    -------
    CheckReport
        ``report.ok``, ``report.problems``, ``report.missing``; prints readably. Of a deep
        look, a `DeepReport` with ``report.findings``, ``report.profile`` (mean,
        percentiles, ... of every slice) and ``report.as_dict()``.

    Raises
    ------
    EmptyStackError, StackError, StoreError, VolumeError
        When there is nothing to check.
    TooBigError
        When the slices that are decoded at a time would not fit in memory.

    Examples
    --------
    >>> folder = brainxr.sample("phantom")
    >>> brainxr.check(folder).ok
    True
    >>> report = brainxr.check(folder, deep=True)
    >>> report.ok, len(report.profile), report.findings[0].kind
    (True, 128, 'empty')
    """
    own = {"inside": inside, "axes": axes, "number": number, "positions": positions}
    where = {**own, "at": at, "storage_options": storage_options}
    if may_be_no_stack(path, any(value is not None for value in own.values())):
        volume = find_volume(path, **where)  # type: ignore[arg-type]
        if not isinstance(volume, Stack):
            shallow = CheckReport(volume.array.source.place, volume.array.shape[0], (), ())
            return _deep(shallow, volume.array, _planes_of(volume), "z", progress)
    report = checks.check(path, **where)  # type: ignore[arg-type]
    return _deep_stack(path, report, progress, where) if deep else report


@dataclass(frozen=True)
class _Place:
    """What is known of a plane before it is read."""

    number: int
    file: str
    z_mm: float
    index: int


def _planes_of(volume: Volume) -> list[_Place]:
    places = volume.coordinates["z"].values / 1000
    name = volume.array.source.place
    return [_Place(i, f"{name}#z={i}", float(z), i) for i, z in enumerate(places)]


def _deep_stack(
    path: PathLike | Sequence[PathLike], report: CheckReport, progress: bool | None,
    where: Mapping[str, Any],
) -> DeepReport:  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SliceGapWarning)  # the report lists them
            warnings.simplefilter("ignore", SliceOrderWarning)  # the look at headers has said it
            stack: Any = find_volume(path, **where)
    except StackError as error:  # the first slice is broken: the headers have told it already
        problems = report.problems or (Problem(report.folder, str(error)),)
        return DeepReport(report.folder, report.slices, problems, report.missing)
    source = stack.array.source
    whole = StackArray.whole(source)
    wrong = {problem.file for problem in report.problems}
    places = [place for place in _slices_of(stack) if place.file not in wrong]
    return _deep(report, whole, places, source.axes[0], progress)


def _slices_of(stack: Stack) -> list[_Place]:
    axis = stack.array.source.axes[0]
    millimetres = (stack.coordinates[axis].values / 1000).tolist()
    names = stack.table.names
    present = stack.array.source.present.tolist()  # type: ignore[attr-defined]
    known = stack.files.numbers
    numbers = known if len(known) == len(names) > 1 else range(len(names))
    return list(map(_Place, numbers, names, millimetres, present))


def _deep(
    report: CheckReport, array: StackArray, places: list[_Place], axis: str, progress: bool | None
) -> DeepReport:
    """Decode these planes along the first axis, and say what there is to say."""
    grain = [array.source.grain[a] for a in array.order]
    slabs = cut(array.shape, (grain[0], array.shape[1]), array.dtype.itemsize)
    together = 1 if grain[0] == 1 else len(slabs[0].planes)
    refuse_big_parts(
        (together, *array.shape[1:]), array.dtype.itemsize + BYTES_BESIDE, len(slabs) * together
    )
    by_slab = [(slab, [p for p in places if p.index in slab.planes]) for slab in slabs]
    jobs = [(slab, inside) for slab, inside in by_slab if inside]
    found = anywhere(partial(_look_at, array), jobs)
    bar = with_progress(found, "check", "slab", progress, len(jobs))
    looked = [one for several in bar for one in several]
    profile = [one for one in looked if isinstance(one, SliceStats)]
    wrong = [one for one in looked if isinstance(one, Problem)]
    return DeepReport(
        report.folder, report.slices, (*report.problems, *wrong), report.missing,
        tuple(find_odd(profile)), tuple(profile), axis,
    )  # fmt: skip


def _look_at(array: StackArray, job: tuple[Slab, list[_Place]]) -> list[SliceStats | Problem]:
    _, places = job
    refuse_unseen(array.source.place)
    if array.source.grain[array.order[0]] == 1:  # each by itself: one that is broken is alone
        return [one for place in places for one in _read([place], array)]
    return list(_read(places, array))


def _read(places: list[_Place], array: StackArray) -> Iterator[SliceStats | Problem]:
    try:
        block = array.select(([place.index for place in places],)).read()
    except (StackError, StoreError, VolumeError) as error:
        yield from (Problem(place.file, str(error)) for place in places)
        return
    for place, values in zip(places, block, strict=True):
        yield describe(place.number, place.file, place.z_mm, values)
