"""How far apart the voxels are: what was said, by whom, and whether they agree.

Rules, in this order and for each axis by itself: the caller's argument; the
file's metadata (OME-XML, ImageJ, a resolution in centimetres); a length such as
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

# Resolutions that programs write when nobody told them one; a converter may have
# turned them into pixels per centimetre, which makes them no physical size.
_SCREEN_DPI = (72, 96, 100, 120, 144, 150, 200, 240, 300, 400, 600, 1200)

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
    """ImageJ writes pixels per unit as resolution, and unit and spacing as text."""
    unit = str(facts.imagej.get("unit", "")).replace("\\u00B5", "µ")
    if not unit or unit.lower() in {"pixel", "pixels", "inch", "inches", "in"}:
        return None, None, None
    x, y = facts.resolution or (None, None)
    return (
        _length(facts.imagej.get("spacing"), unit),
        _length(1 / y if y else None, unit),
        _length(1 / x if x else None, unit),
    )


def _from_resolution(facts: FileFacts) -> Found:
    if facts.resolution is None or facts.resolution_unit != "CENTIMETER":
        return None, None, None
    if all(_is_screen_resolution(per_cm) for per_cm in facts.resolution):
        return None, None, None
    x, y = facts.resolution
    return None, 10_000 / y, 10_000 / x


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
