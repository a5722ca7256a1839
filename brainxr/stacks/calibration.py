"""Where a slice lies, as its own file says it: in ImageJ's words, and exactly in ours.

ImageJ knows the distance of slices, rows and columns and an origin, as decimal numbers
beside a resolution that is a fraction. Fiji reads that, and so does Bio-Formats, and with
it QuPath. An entry of ours in the same text has what these have no words for: the plane,
and every number to the last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# A resolution is a fraction of two 32-bit numbers, and programs round it further.
AS_GOOD_AS_EQUAL = 1e-4

# Of ImageJ's functions of calibration.
_STRAIGHT_LINE = 0

# The longest that a number of 64 bits is when it is written.
_DIGITS = 24


@dataclass(frozen=True)
class SlicePlace:
    """Where a slice lies; lengths are in µm along the stack, down the rows, across the columns.

    Attributes
    ----------
    plane : str
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    shape : tuple of int
        Rows and columns.
    spacing : tuple of float
        Between slices (None where that isn't known), rows and columns.
    origin : tuple of float
        Of this slice (None where that isn't known), its first row and its first column.

    Examples
    --------
    >>> place = SlicePlace("axial", (7, 11), (100.0, 25.0, 25.0), (300.0, 0.0, 0.0))
    >>> entries = dict(line.split("=", 1) for line in place.description.splitlines())
    >>> entries["unit"], entries["spacing"], SlicePlace.told_by(entries) == place
    ('um', '100.0', True)
    """

    plane: str
    shape: tuple[int, int]
    spacing: tuple[float | None, float, float]
    origin: tuple[float | None, float, float]

    @property
    def description(self) -> str:
        """Text for the file; equally long for every slice of a stack."""
        return imagej_description(self.spacing, self.origin) + f"brainxr={self._entry}\n"

    @property
    def _entry(self) -> str:
        # Bio-Formats takes what stands behind the last "unit=" of the text for the unit
        origin = f"[{_padded(self.origin[0])}, {self.origin[1]!r}, {self.origin[2]!r}]"
        known = {"plane": self.plane, "shape": self.shape, "spacing": self.spacing}
        return f'{json.dumps(known)[:-1]}, "origin": {origin}}}'

    @classmethod
    def told_by(cls, imagej: Mapping[str, Any]) -> Self | None:
        """What `description` said; None where there is no such entry, or none that makes sense."""
        try:
            found = json.loads(imagej["brainxr"])
            place = cls(found["plane"], *(tuple(found[k]) for k in ("shape", "spacing", "origin")))
        except (KeyError, TypeError, ValueError):
            return None
        return place if place._makes_sense else None

    @property
    def _makes_sense(self) -> bool:
        between, place = self.spacing[:1], self.origin[:1]
        numbers = [n for n in (*self.spacing, *self.origin) if n is not None]
        return (
            [len(self.shape), len(self.spacing), len(self.origin)] == [2, 3, 3]
            and all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
            and len(numbers) == 6 - (between + place).count(None)
            and all(n is None or n > 0 for n in self.spacing)
        )

    def fits(self, shape: tuple[int, int], resolution: tuple[float, float] | None) -> bool:
        """Whether a file still is what it was when this was written.

        A program that cuts or resizes an image may leave the text as it was.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the file.
        resolution : tuple of float, optional
            Its columns and rows a µm.
        """
        if resolution is None or self.shape != tuple(shape):
            return False
        now = (1 / resolution[1], 1 / resolution[0])
        return all(
            math.isclose(a, b, rel_tol=AS_GOOD_AS_EQUAL)
            for a, b in zip(self.spacing[1:], now, strict=True)
            if a is not None
        )


@dataclass(frozen=True)
class ValueCalibration:
    """How ImageJ turns stored numbers into values: ``offset + slope * number`` in a unit.

    Source: ImageJ, ij/measure/Calibration.java and ij/io/FileSaver.java (``cf``, ``c0``, ``c1``,
    ``vunit``). Signed 16-bit images are stored as numbers plus 32768, with offset -32768.
    """

    slope: float
    offset: float
    unit: str

    @classmethod
    def told_by(cls, imagej: Mapping[str, Any]) -> Self | None:
        """Read the calibration; None where there is none, or one that is no straight line."""
        try:
            function = int(imagej["cf"])
            offset, slope = float(imagej["c0"]), float(imagej["c1"])
        except (KeyError, TypeError, ValueError, OverflowError):  # which is what infinity is
            return None
        is_sound = math.isfinite(offset) and math.isfinite(slope) and slope != 0
        if function != _STRAIGHT_LINE or not is_sound or (offset, slope) == (0.0, 1.0):
            return None
        return cls(slope, offset, str(imagej.get("vunit", "")))

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of a volume whose numbers are as stored."""
        unit = {"calibration_unit": self.unit} if self.unit else {}
        return {"calibration_slope": self.slope, "calibration_offset": self.offset, **unit}


def imagej_description(
    spacing: tuple[float | None, float, float],
    origin: tuple[float | None, float | None, float | None] = (None, None, None),
) -> str:
    """What ImageJ is told beside the resolution, which is in pixels a µm.

    Parameters
    ----------
    spacing, origin
        As in `SlicePlace`.
    """
    lines = ["ImageJ=1.11a", "images=1", "unit=um"]
    if spacing[0] is not None:
        lines.append(f"spacing={spacing[0]!r}")
    # where the origin is, counted in pixels from the first one
    for name, start, step in zip("zyx", origin, spacing, strict=True):
        if start is not None and step is not None:
            lines.append(f"{name}origin={_padded(0.0 - start / step)}")
    return "\n".join(lines) + "\n"


def _padded(number: float | None) -> str:
    """A number for ImageJ and JSON, as long as any other."""
    return ("null" if number is None else repr(number)).rjust(_DIGITS)
