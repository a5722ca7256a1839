"""Lengths in the names of files and folders: which of them are the spacing of voxels.

A length in a name is a hint. Words at it say more: ``res_0.65um`` is that of pixels,
``25um_iso`` that of voxels, ``z5um`` that between slices; ``FOV_10mm`` and ``488nm`` are
none of these.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from brainxr.geometry import units as u
from brainxr.stacks.citations import citation_for
from brainxr.stacks.fields import LIGHT, spelled

# What a length is the spacing of, by a word at it.
_VOXEL = frozenset(
    {"voxel", "voxels", "vox", "voxelsize", "iso", "isotropic", "isovoxel", "xyz", "zyx"}
)
_PIXEL = frozenset({"px", "pix", "pixel", "pixels", "pixelsize", "x", "y", "xy", "yx", "dx", "dy"})
_RESOLUTION = frozenset({"res", "resolution"})
_STEP = frozenset({"z", "dz", "step", "steps", "stepsize", "zstep"})

# Lengths of something else than voxels: what was imaged, by which light, and where.
_OTHER = frozenset({
    "fov", "field", "view", "width", "height", "diameter", "dia", "wd", "range", "depth",
    "length", "crop", "pinhole", "slit", "bregma", "ap", "ml", "dv", "lateral", "offset",
    "position", "pos", "ex", "em", "laser", "lambda", "excitation", "emission", "filter", "led",
    "ch", "channel", "wavelength",
})  # fmt: skip

_UNITS = r"nm|um|µm|μm|microns?|mm"
_AT_NUMBER = "|".join(sorted(_VOXEL | _PIXEL | _RESOLUTION | _STEP, key=len, reverse=True))
_LENGTH = re.compile(
    rf"(?:(?<![a-z])({_AT_NUMBER})|(?<![0-9a-z.,]))(\d+(?:[.,]\d+)?)[ _-]?({_UNITS})(?![a-z])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")

# Words that are looked at on either side of a length.
_NEAR = 2


@dataclass(frozen=True)
class NameLength:
    """A length in a name.

    Attributes
    ----------
    micrometers : float
    text : str
        As it is written.
    name : str
        The name that it is in.
    pixels : bool
        True if the name says that it is the spacing within a slice.
    slices : bool or None
        True if the name says that it is the spacing between slices, False if it is not,
        None if it may be.
    """

    micrometers: float
    text: str
    name: str
    pixels: bool
    slices: bool | None


def lengths_in_names(names: Sequence[Sequence[str]]) -> list[NameLength]:
    """Find the lengths in names that may be the spacing of voxels.

    Parameters
    ----------
    names : sequence of sequences of str
        Names that are alike stand together, such as those of the first and last file: a
        length in only one of these is a position.
    """
    isotropic = bool(citation_for(*(name for alike in names for name in alike)))
    found = []
    for alike in names:
        first, *others = (list(_lengths_in(os.path.basename(name), isotropic)) for name in alike)
        everywhere = [{length.micrometers for length in other} for other in others]
        found += [a for a in first if all(a.micrometers in there for there in everywhere)]
    return found


def _lengths_in(name: str, isotropic: bool) -> Iterator[NameLength]:
    used: set[int] = set()  # a word belongs to one length
    for found in _LENGTH.finditer(name):
        prefix, number, unit = found.groups()
        value = float(number.replace(",", "."))
        micrometers = value * u.factor(spelled(unit), to=u.MICROMETER)
        word = prefix.lower() if prefix else _word_at(name, found.start(), found.end(), used)
        is_light = unit.lower() == "nm" and LIGHT[0] <= value <= LIGHT[1] and not word
        if word in _OTHER or is_light or not (0 < micrometers < math.inf):
            continue
        told = isotropic and not word
        yield NameLength(
            micrometers,
            f"{number}{unit}",
            name,
            pixels=told or word in _VOXEL | _PIXEL | _RESOLUTION,
            slices=False if word in _PIXEL else (told or word in _VOXEL | _STEP) or None,
        )


def _word_at(name: str, start: int, end: int, used: set[int]) -> str:
    """The nearest word at a length that says what it is of: before it, else behind it."""
    known = _VOXEL | _PIXEL | _RESOLUTION | _STEP | _OTHER
    before = [*_WORD.finditer(_run(name[:start][::-1])[::-1], 0)]
    shift = start - len(_run(name[:start][::-1]))
    behind = _WORD.finditer(_run(name[end:]))
    places = [(shift + m.start(), m[0].lower()) for m in reversed(before)][:_NEAR]
    # a letter behind a length is another word: the x of 0.1mm_x
    places += [(end + m.start(), m[0].lower()) for m in behind if len(m[0]) > 1][:_NEAR]
    for place, word in places:
        if word in known and place not in used:
            used.add(place)
            return word
    return ""


def _run(text: str) -> str:
    """The beginning of a text, up to the first digit."""
    found = re.search(r"\d", text)
    return text[: found.start()] if found else text
