"""How far apart the voxels are: what was said, by whom, and whether they agree.

Rules, in this order and for each axis by itself: the caller's argument; the
file's metadata (OME-XML, ImageJ, a resolution that is no screen's or printer's); a name
that says what its length is (``25um_iso``, ``res_0.65um``, ``z5um``); between slices any
other length in a name, with a warning; else 100 µm, with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from xml.etree import ElementTree

from brainxr.errors import GeometryError, LengthError, SpacingWarning, warn
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, SpacingLike, per_axis
from brainxr.stacks.name_lengths import NameLength, lengths_in_names
from brainxr.stacks.tiff import FileFacts

DEFAULT_MICROMETERS = 100.0

# Units in which ImageJ counts pixels, or writes a resolution for printing.
_NO_LENGTHS = {"pixel", "pixels", "inch", "inches", "in"}

# What ImageJ rounds off a resolution, and a little more.
_HALF_MILLIONTH = 0.51e-6

# Resolutions that programs write when nobody told them one; a converter may have
# turned them into pixels per centimetre, which makes them no physical size.
_SCREEN_DPI = (72, 96, 100, 120, 144, 150, 200, 240, 300, 400, 600, 1200, 2400)


@dataclass(frozen=True)
class Spacing:
    """Spacing of each axis in µm, and the rule that told it.

    Attributes
    ----------
    micrometers : mapping of str to float
    rules : mapping of str to str
        ``"argument"``, ``"OME metadata"``, ..., keyed by axis.
    """

    micrometers: Mapping[str, float]
    rules: Mapping[str, str]

    def __str__(self) -> str:
        """The rules in one line, axes of one rule together."""
        by_rule: dict[str, list[str]] = {}
        for dim, rule in self.rules.items():
            by_rule.setdefault(rule, []).append(dim)
        if len(by_rule) == 1:
            return next(iter(by_rule))
        return "; ".join(f"{', '.join(dims)}: {rule}" for rule, dims in by_rule.items())


@dataclass(frozen=True)
class Placed:
    """Where slices are known to lie: by the caller, or by positions in their names.

    Attributes
    ----------
    step : float, optional
        Distance between them in µm; None where it varies.
    usual : float
        Their median distance.
    said : bool
        True if the caller said the positions.
    """

    step: float | None
    usual: float
    said: bool

    @property
    def rule(self) -> str:
        return "positions" if self.said else "positions in the names"


def find_spacing(
    argument: SpacingLike | None, facts: FileFacts, names: Sequence[Sequence[str]],
    axes: tuple[str, ...], exact: Sequence[float | None] | None = None,
    placed: Placed | None = None,
) -> Spacing:  # fmt: skip
    """Spacing of each axis, by the first rule that tells it.

    Parameters
    ----------
    argument : length or mapping of str to length, optional
        What the caller said; µm where there is no unit.
    facts : FileFacts
        What the first file says.
    names : sequence of sequences of str
        Names that may carry a length: of the first and last file, then of the
        folder. A length in only one of two names is a position, not a spacing.
    axes : tuple of str
        Axes of the stack: stacked, rows (downwards), columns (across).
    exact : sequence of (float or None), optional
        What the file's metadata round, in µm along these axes.
    placed : Placed, optional
        Where the slices lie, if not by their numbers.

    Warns
    -----
    SpacingWarning
        When an axis has no rule but a hint or the default, or when two rules disagree.
    """
    said = per_axis(argument, "spacing", positive=True)
    filed, rule = _from_file(facts, axes)
    filed |= {dim: length for dim, length in zip(axes, exact or (), strict=False) if length}
    if placed is not None:
        _compare_with_positions(argument, said, axes[0], placed)
        said.pop(axes[0], None)
        filed.pop(axes[0], None)
    # a name is a hint, and correcting it is what the argument is for: no warning
    _warn_of_conflict(said, filed, rule)
    values = filed | said
    rules = dict.fromkeys(filed, rule) | dict.fromkeys(said, "argument")
    if placed is not None:
        values[axes[0]], rules[axes[0]] = placed.usual, placed.rule
    open_axes = [dim for dim in DIMS if dim not in values]
    hints = _from_names(names, axes, open_axes) if open_axes else _Hints()
    for dim, length in hints.lengths.items():
        values[dim], rules[dim] = length.micrometers, f"name {length.text!r}"
    rest = [dim for dim in open_axes if dim not in values]
    values |= dict.fromkeys(rest, DEFAULT_MICROMETERS)
    rules |= dict.fromkeys(rest, "default")
    _warn_of_guesses(hints, rest)
    return Spacing({dim: values[dim] for dim in DIMS}, {dim: rules[dim] for dim in DIMS})


def _from_file(facts: FileFacts, axes: tuple[str, ...]) -> tuple[dict[str, float], str]:
    """Spacing by the file's own metadata, keyed by axis, and the rule's name."""
    for rule, read in (
        ("OME metadata", _from_ome),
        ("ImageJ metadata", _from_imagej),
        ("resolution tag", _from_resolution),
    ):
        found = {dim: value for dim, value in zip(axes, read(facts), strict=True) if value}
        if found:
            return found, rule
    return {}, ""


Found: TypeAlias = tuple[float | None, float | None, float | None]


def _from_ome(facts: FileFacts) -> Found:
    """Read PhysicalSize, see docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification."""
    if facts.ome is None:
        return None, None, None
    try:
        pixels = ElementTree.fromstring(facts.ome).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return None, None, None
    values = {} if pixels is None else pixels.attrib
    z, y, x = (
        # the unit of a PhysicalSize without one is the micrometre
        _length(values.get(f"PhysicalSize{a}"), values.get(f"PhysicalSize{a}Unit", "µm"))
        for a in "ZYX"
    )
    return z, y, x


def _from_imagej(facts: FileFacts) -> Found:
    """ImageJ writes pixels per unit as resolution, and unit and spacing as text.

    ``yunit`` and ``zunit`` are there where they differ from ``unit``, and ``spacing`` where the
    voxels of a stack are not 1 unit deep (ImageJ, ij/io/FileSaver.java).
    """
    unit, yunit, zunit = (_imagej_unit(facts.imagej, n) for n in ("unit", "yunit", "zunit"))
    if unit is None:
        return None, None, None
    x, y = facts.resolution or (None, None)
    images = facts.imagej.get("images", 1)
    depth = facts.imagej.get("spacing", 1 if isinstance(images, int) and images > 1 else None)
    return (
        _length(depth, zunit or unit),
        _length(_shortest(1 / y, y) if y else None, yunit or unit),
        _length(_shortest(1 / x, x) if x else None, unit),
    )


def _imagej_unit(entries: Mapping[str, Any], name: str) -> str | None:
    unit = str(entries.get(name, "")).replace("\\u00B5", "µ")
    return unit if unit and unit.lower() not in _NO_LENGTHS else None


def _shortest(length: float, per_unit: float) -> float:
    """The decimal of a few digits that rounds to a resolution, else the length as it is.

    A resolution is a fraction of two 32-bit numbers, and ImageJ keeps six digits behind the
    point: 1/0.65 pixels become 1.538462, and these 0.6499998.
    """
    millionths = per_unit * 1e6
    is_rounded = abs(millionths - round(millionths)) < 1e-6 * millionths
    tolerance = min(_HALF_MILLIONTH, 1e-5 * per_unit) if is_rounded else 1e-9 * per_unit
    for digits in range(1, 5):
        short = float(f"{length:.{digits - 1}e}")
        if short and abs(1 / short - per_unit) <= tolerance:
            return short
    return length


def _from_resolution(facts: FileFacts) -> Found:
    """Pixels per centimetre or inch, unless they are a screen's or a printer's."""
    centimetres = {"CENTIMETER": 1.0, "INCH": 2.54}.get(facts.resolution_unit or "")
    if facts.resolution is None or centimetres is None:
        return None, None, None
    x, y = (resolution / centimetres for resolution in facts.resolution)
    if _is_screen_resolution(x) and _is_screen_resolution(y):
        return None, None, None
    return None, _shortest(10_000 / y, y / 10_000), _shortest(10_000 / x, x / 10_000)


def _is_screen_resolution(per_cm: float) -> bool:
    dpi = per_cm * 2.54
    # as programs round it: 28.35, 28.346, 118.11 per centimetre
    return any(abs(dpi - usual) < 2e-4 * usual for usual in _SCREEN_DPI)


def _length(value: Any, unit: str) -> float | None:
    try:
        number = float(value)
        length = number * u.factor(unit, to=u.MICROMETER)
    except (TypeError, ValueError, LengthError):
        return None
    return length if math.isfinite(length) and length > 0 else None


@dataclass(frozen=True)
class _Hints:
    """What names tell: the length of each axis, and what is to be warned of."""

    lengths: Mapping[str, NameLength] = field(default_factory=dict)
    doubtful: Sequence[str] = ()
    contradictions: Sequence[NameLength] = ()


def _from_names(
    names: Sequence[Sequence[str]], axes: tuple[str, ...], open_axes: Sequence[str]
) -> _Hints:
    """The lengths of axes that nothing else tells."""
    found = lengths_in_names(names)
    lengths: dict[str, NameLength] = {}
    doubtful: list[str] = []
    contradictions: list[NameLength] = []
    for dim in open_axes:
        stacked = dim == axes[0]
        said = [length for length in found if (length.slices if stacked else length.pixels)]
        telling = {length.name for length in said}
        hints = [h for h in found if stacked and h.slices is None and h.name not in telling]
        for length in (said, hints):
            if _agree(length) and dim not in lengths:
                lengths[dim] = length[0]
        if not _agree([*said, *hints]) and (said or hints):
            contradictions += [*said, *hints]
            if not _agree(said):
                lengths.pop(dim, None)
        if dim in lengths and not said:
            doubtful.append(dim)
    return _Hints(lengths, doubtful, contradictions)


def _agree(lengths: Sequence[NameLength]) -> bool:
    values = [length.micrometers for length in lengths]
    return bool(values) and all(math.isclose(v, values[0], rel_tol=1e-6) for v in values)


def _compare_with_positions(
    argument: SpacingLike | None, said: Mapping[str, float], dim: str, placed: Placed
) -> None:
    """Refuse a spacing of one axis that contradicts positions; one for all axes is not used."""
    if dim not in said or (placed.step and math.isclose(said[dim], placed.step, rel_tol=1e-3)):
        return
    apart = (
        "at uneven distances" if placed.step is None else f"{u.show_micrometers(placed.step)} apart"
    )
    found = f"the {placed.rule} are {apart}"
    if isinstance(argument, Mapping):
        raise GeometryError(
            f"spacing[{dim!r}] is {u.show_micrometers(said[dim])}, and {found}. Leave {dim!r} out "
            "of spacing; to place the slices by it, say the positions yourself by positions=...."
        )
    if not placed.said:
        warn(
            f"The spacing of {u.show_micrometers(said[dim])} is not used along {dim}: {found}. To "
            "place the slices otherwise, say positions=....",
            SpacingWarning,
        )


def _warn_of_conflict(said: dict[str, float], filed: dict[str, float], rule: str) -> None:
    conflicts = [
        f"{dim}: {u.show_micrometers(said[dim])} given, {u.show_micrometers(filed[dim])} there"
        for dim in DIMS
        if dim in said and dim in filed and not math.isclose(said[dim], filed[dim], rel_tol=1e-3)
    ]
    if conflicts:
        warn(
            f"The spacing that was given differs from the {rule} ({'; '.join(conflicts)}). What "
            "was given is used.",
            SpacingWarning,
        )


def _warn_of_guesses(hints: _Hints, rest: Sequence[str]) -> None:
    """One warning for what was taken from names, what disagrees, and what nothing tells."""
    parts = []
    if hints.contradictions:
        both = dict.fromkeys(f"{h.text!r} in {h.name!r}" for h in hints.contradictions)
        parts.append(f"Names disagree on the spacing: {' and '.join(both)}.")
    for dim in hints.doubtful:
        hint = hints.lengths[dim]
        parts.append(
            f"Spacing along {dim}: {u.show_micrometers(hint.micrometers)}, by {hint.text!r} in the "
            f"name {hint.name!r}, which is a hint and not a measurement."
        )
    if rest:
        parts.append(
            f"Nothing tells the spacing along {', '.join(rest)}: neither the file nor a name. "
            f"{DEFAULT_MICROMETERS:g} µm is assumed."
        )
    if parts:
        steps = {
            dim: hints.lengths[dim].micrometers if dim in hints.lengths else 25 for dim in DIMS
        }
        shown = ", ".join(f"{dim!r}: {step:g}" for dim, step in steps.items())
        warn(
            f"{' '.join(parts)} Say what it is, in µm, for example spacing={{{shown}}}.",
            SpacingWarning,
        )
