"""Which way a body lies: where coordinates grow to, as far as somebody said so, and its letters.

Known is what a coordinate's attribute ``orientation`` says, in the words of OME-NGFF's RFC 4, as
NIfTI and MGH files bring it; of an oblique volume, what each axis is nearest to. It is drawn as
nibabel and nilearn do: right, front and top lie to the right and upwards (which is called
neurological). What isn't known is drawn as it is stored.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import xarray as xr

# The world's axes, and which way each grows.
GROWS = {"x": "left-to-right", "y": "posterior-to-anterior", "z": "inferior-to-superior"}

# Letters of the lower and the upper end of each.
LETTERS = {"x": "LR", "y": "PA", "z": "IS"}

# How an oblique volume lies in the world; see `brainxr.nifti.affine`.
ROTATION = "rotation"


@dataclass(frozen=True)
class Way:
    """Where a coordinate grows to.

    Attributes
    ----------
    world : str
        The world's axis along which it runs.
    sign : int
        1 where it grows to the right, the front or the top, -1 where it grows away from there.
    """

    world: str
    sign: int

    @property
    def letters(self) -> str:
        """Letters of the coordinate's lower and upper end: ``"LR"``."""
        return LETTERS[self.world][:: self.sign]


def turned_round(words: str) -> str:
    """The words for the other direction: ``"right-to-left"`` of ``"left-to-right"``."""
    return "-to-".join(reversed(words.split("-to-")))


_WAYS = {words: Way(world, 1) for world, words in GROWS.items()}
_WAYS |= {turned_round(words): Way(world, -1) for world, words in GROWS.items()}


def way_of(data: xr.DataArray, dim: Hashable) -> Way | None:
    """Where a coordinate of a volume grows to; None where nobody says so, or in other words."""
    words = data.coords[dim].attrs.get("orientation") if dim in data.coords else None
    if words is None and ROTATION in data.attrs:
        words = GROWS.get(str(dim))
    return _WAYS.get(str(words))


def edge_letters(down: Way | None, across: Way | None, grows: tuple[bool, bool]) -> dict[str, str]:
    """What of a body lies at the edges of a plane, as far as it is known: ``{"left": "L", ...}``.

    Parameters
    ----------
    down, across : Way, optional
        Of the coordinates along its rows' places, and its columns'.
    grows : tuple of bool
        Whether these grow downwards, and to the right.
    """
    found: dict[str, str] = {}
    ends = (("top", "bottom"), ("left", "right"))
    for names, way, ahead in zip(ends, (down, across), grows, strict=True):
        if way is not None:
            found |= zip(names, way.letters[:: 1 if ahead else -1], strict=True)
    return found


def towards_viewer(depth: Way | None, down: Way | None, across: Way | None) -> bool | None:
    """Whether a coordinate grows towards whoever looks at the two others, drawn as they should be.

    Drawn otherwise, a body in three dimensions would be seen in a mirror. None where they
    are not known, or don't span space.
    """
    if depth is None or down is None or across is None:
        return None
    worlds = across.world + down.world + depth.world
    if len(set(worlds)) < 3:
        return None
    is_right_hand = worlds in "xyzxy"
    return is_right_hand == (depth.sign > 0)
