"""What OME-XML says of an image: its axes, its channels, and which file has which plane.

Source: docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self
from xml.etree import ElementTree

# Planes of an image that is believed.
MOST_PLANES = 1 << 20


@dataclass(frozen=True)
class OmePlane:
    """Where one plane lies: its file (None: the file with this text) and image directory."""

    file: str | None
    directory: int


@dataclass(frozen=True)
class OmeImage:
    """The first image that OME-XML describes.

    Attributes
    ----------
    sizes : mapping of str to int
        Along z, c and t.
    channels : tuple of str
        Their names, where each has one.
    planes : mapping of (t, c, z) to OmePlane
        Empty where the text does not list them.
    """

    sizes: Mapping[str, int]
    channels: tuple[str, ...]
    planes: Mapping[tuple[int, int, int], OmePlane]

    @classmethod
    def of(cls, xml: str | None) -> Self | None:
        """Parse OME-XML; None where it is damaged, or describes no image of sound sizes."""
        return None if xml is None else _parse(xml).image  # type: ignore[return-value]

    @property
    def other_files(self) -> tuple[str, ...]:
        """Names of the files that hold planes, in the order of these; empty for one file."""
        named = dict.fromkeys(p.file for p in self.planes.values() if p.file is not None)
        return tuple(named) if len(named) > 1 else ()


def companion_of(xml: str | None) -> str | None:
    """Name of the file that has the metadata of a set, which its slices do not repeat."""
    return None if xml is None else _parse(xml).companion


def declared_planes(xml: str) -> int:
    """Planes of the largest image that OME-XML declares; 0 where it is damaged."""
    return _parse(xml).planes


class _Parsed(NamedTuple):
    """What is asked of one text: it may have 20 MB, which take a second to parse."""

    image: OmeImage | None = None
    companion: str | None = None
    planes: int = 0


@lru_cache(maxsize=4)
def _parse(xml: str) -> _Parsed:
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return _Parsed()
    binary = root.find("{*}BinaryOnly")
    every = list(root.iterfind(".//{*}Pixels"))
    return _Parsed(
        _image_of(every[0]) if every else None,
        None if binary is None else binary.get("MetadataFile"),
        max(map(_count_planes, every), default=0),
    )


def _count_planes(pixels: ElementTree.Element) -> int:
    try:
        sizes = [int(pixels.get(f"Size{dim}", "1")) for dim in "ZCT"]
    except ValueError:
        return 0
    return math.prod(max(0, size) for size in sizes)


def _image_of(pixels: ElementTree.Element) -> OmeImage | None:
    try:
        sizes = {dim: int(pixels.get(f"Size{dim.upper()}", "1")) for dim in "zct"}
        if min(sizes.values()) < 1 or math.prod(sizes.values()) > MOST_PLANES:
            return None
        planes = dict(_planes(pixels, sizes))
    except ValueError:
        return None
    names = [channel.get("Name") for channel in pixels.iterfind("{*}Channel")]
    channels = tuple(name for name in names if name) if all(names) else ()
    ordered = {key: planes[key] for key in sorted(planes)}
    return OmeImage(sizes, channels, ordered)


def _planes(
    pixels: ElementTree.Element, sizes: Mapping[str, int]
) -> Iterator[tuple[tuple[int, int, int], OmePlane]]:
    """List planes as TiffData does, each element a run in the order of the dimensions."""
    order = pixels.get("DimensionOrder", "XYZCT")[2:].lower()
    if sorted(order) != ["c", "t", "z"]:
        raise ValueError(order)
    total, listed = math.prod(sizes.values()), 0
    for element in pixels.iterfind("{*}TiffData"):
        named = element.find("{*}UUID")
        file = None if named is None else named.get("FileName")
        directory = int(element.get("IFD", "0"))
        first = _number_of(element, order, sizes)
        count = int(element.get("PlaneCount", "1" if "IFD" in element.attrib else total))
        count = max(0, min(count, total - first))
        if directory < 0:
            raise ValueError(directory)
        listed += count
        if listed > MOST_PLANES:
            raise ValueError(listed)
        for i in range(count):
            place, left = {}, first + i
            for dim in order:  # the first of the order runs fastest
                left, place[dim] = divmod(left, sizes[dim])
            yield (place["t"], place["c"], place["z"]), OmePlane(file, directory + i)


def _number_of(element: ElementTree.Element, order: str, sizes: Mapping[str, int]) -> int:
    """Number of an element's first plane, in the order of the dimensions."""
    number, step = 0, 1
    for dim in order:
        place = int(element.get(f"First{dim.upper()}", "0"))
        if not 0 <= place < sizes[dim]:
            raise ValueError(place)
        number += place * step
        step *= sizes[dim]
    return number
