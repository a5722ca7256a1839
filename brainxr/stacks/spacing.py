"""How far apart the voxels are: what was said, by whom, and whether they agree.

Rules, in this order and for each axis by itself: the caller's argument; the
file's metadata (OME-XML, ImageJ, a resolution that is no screen's or printer's); a length such as
``100um`` in the name of the folder or the file; else 100 µm, with a warning.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from xml.etree import ElementTree

from brainxr.errors import GeometryError, LengthError, SpacingWarning, warn
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS
from brainxr.stacks.tiff import FileFacts

SpacingLike: TypeAlias = "u.Length | Mapping[str, u.Length]"

DEFAULT_MICROMETERS = 100.0

# Units in which ImageJ counts pixels, or writes a resolution for printing.
_NO_LENGTHS = {"pixel", "pixels", "inch", "inches", "in"}

# What ImageJ rounds off a resolution, and a little more.
_HALF_MILLIONTH = 0.51e-6

# Resolutions that programs write when nobody told them one; a converter may have
# turned them into pixels per centimetre, which makes them no physical size.
_SCREEN_DPI = (72, 96, 100, 120, 144, 150, 200, 240, 300, 400, 600, 1200, 2400)

_LENGTH_IN_NAME = re.compile(
    r"(?<![0-9a-z.,])(\d+(?:[.,]\d+)?)[ _-]?(nm|um|µm|μm|microns?|mm)(?![a-z])", re.IGNORECASE
)


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


def find_spacing(
    argument: SpacingLike | None, facts: FileFacts, names: Sequence[Sequence[str]],
    axes: tuple[str, ...], exact: Sequence[float | None] | None = None,
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

    Warns
    -----
    SpacingWarning
        When an axis has no rule but the default, or when the argument and the
        file disagree.
    """
    said = per_axis(argument, "spacing", positive=True)
    filed, rule = _from_file(facts, axes)
    filed |= {dim: length for dim, length in zip(axes, exact or (), strict=False) if length}
    named = _from_names(names)
    values: dict[str, float] = {}
    rules: dict[str, str] = {}
    for dim in DIMS:
        if dim in said:
            values[dim], rules[dim] = said[dim], "argument"
        elif dim in filed:
            values[dim], rules[dim] = filed[dim], rule
        elif named is not None:
            values[dim], rules[dim] = named[0], f"name {named[1]!r}"
        else:
            values[dim], rules[dim] = DEFAULT_MICROMETERS, "default"
    # a name is a hint, and correcting it is what the argument is for: no warning
    _warn_of_conflict(said, filed, rule)
    _warn_of_default([dim for dim in DIMS if rules[dim] == "default"])
    return Spacing(values, rules)


def per_axis(
    argument: SpacingLike | None, what: str, *, positive: bool = False
) -> dict[str, float]:
    """Lengths keyed by axis, in µm; a single length is for all three axes.

    Raises
    ------
    GeometryError
        For an axis that is none of z, y, x, or a length that is no length.
    """
    if argument is None:
        return {}
    mapping = argument if isinstance(argument, Mapping) else dict.fromkeys(DIMS, argument)
    unknown = [dim for dim in mapping if dim not in DIMS]
    if unknown:
        raise GeometryError(
            f"{what} has the axis {unknown[0]!r}; the axes are z, y and x, for example "
            f"{what}={{'z': '50 µm', 'y': 25, 'x': 25}}."
        )
    if isinstance(argument, list | tuple):
        raise GeometryError(
            f"{what}={argument!r} doesn't say which value is for which axis. Write "
            f"{what}={{'z': ..., 'y': ..., 'x': ...}}."
        )
    lengths = {dim: u.to_micrometers(value, f"{what}[{dim!r}]") for dim, value in mapping.items()}
    for dim, value in lengths.items():
        if positive and value <= 0:
            raise GeometryError(f"{what}[{dim!r}] is {value:g} µm; a distance is more than zero.")
    return lengths


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


def _from_names(names: Sequence[Sequence[str]]) -> tuple[float, str] | None:
    """The one length that the first telling names have in common, and how it is written."""
    for alike in names:
        found = [_lengths_in(os.path.basename(name)) for name in alike]
        common = {length: text for length, text in found[0].items() if length in found[-1]}
        if len(common) == 1 and min(common) > 0:
            return next(iter(common.items()))
    return None


def _lengths_in(name: str) -> dict[float, str]:
    return {
        _length(number.replace(",", "."), _spelled(unit)) or 0.0: f"{number}{unit}"
        for number, unit in _LENGTH_IN_NAME.findall(name)
    }


def _spelled(unit: str) -> str:
    return "micrometer" if unit.lower().startswith("micron") else unit.lower()


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


def _warn_of_default(dims: list[str]) -> None:
    if dims:
        warn(
            f"Nothing tells the spacing along {', '.join(dims)}: neither the file nor a name. "
            f"{DEFAULT_MICROMETERS:g} µm is assumed; say what it is with spacing=..., for example "
            "spacing={'z': '100 µm', 'y': 25, 'x': 25}.",
            SpacingWarning,
        )
