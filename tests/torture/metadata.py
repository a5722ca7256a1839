"""Metadata that lies about sizes: the pixels are right, and no length is believed that is none."""

from __future__ import annotations

from pathlib import Path

import tifffile

from .case import IMAGES, Case, Refused, Values
from .hand import (
    ASCII,
    DOUBLE,
    FLOAT,
    RATIONAL,
    SHORT,
    SRATIONAL,
    UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
)  # fmt: skip
from .writers import by_hand, stack

CENTIMETRE, INCH = 3, 2
SOUND = Values(IMAGES)
OME = (
    '<?xml version="1.0"?>{doctype}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I">'
    '<Pixels ID="P" Type="uint16" DimensionOrder="XYZCT" SizeX="11" SizeY="7" SizeZ="5" SizeC="1" SizeT="1" '
    'PhysicalSizeX="{size}" PhysicalSizeY="{size}" PhysicalSizeZ="{size}" {unit}>'
    '<Channel ID="C" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
)
LAUGHS = "<!DOCTYPE l [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{i + 1} '{f'&a{i};' * 10}'>" for i in range(12)
) + "]>"  # fmt: skip


def _resolution(
    name: str, kind: int, value, unit: int = CENTIMETRE, expect: Values = SOUND
) -> Case:
    change = {X_RESOLUTION: (kind, [value]), Y_RESOLUTION: (kind, [value]), UNIT: (SHORT, [unit])}
    return Case(name, stack(by_hand(change=change)), expect, asks="spacing")


def _imagej(name: str, expect=SOUND, resolution=(0.1, 0.1), **metadata) -> Case:
    return Case(name, lambda f: tifffile.imwrite(f / "stack.tif", IMAGES, imagej=True, resolution=resolution,
                metadata={"axes": "ZYX", **metadata}), expect, path="stack.tif", asks="spacing")  # fmt: skip


def _xml(name: str, xml: str, expect=SOUND) -> Case:
    def write(folder: Path) -> None:
        with tifffile.TiffWriter(folder / "stack.ome.tif") as writer:
            for i, image in enumerate(IMAGES):
                writer.write(
                    image, description=xml if i == 0 else None, metadata=None, contiguous=False
                )

    return Case(name, write, expect, path="stack.ome.tif", asks="spacing")


def _ome(name: str, size: str, unit: str = "", doctype: str = "", expect=SOUND) -> Case:
    return _xml(name, OME.format(size=size, unit=unit, doctype=doctype), expect)


CASES = [
    _resolution("0 pixels a centimetre", RATIONAL, (0, 1)),
    _resolution("1/0 pixels a centimetre", RATIONAL, (1, 0)),
    _resolution("0/0 pixels a centimetre", RATIONAL, (0, 0)),
    _resolution("-400 pixels a centimetre", SRATIONAL, (-400, 1)),
    _resolution("NaN pixels a centimetre", FLOAT, float("nan")),
    _resolution("infinitely many pixels a centimetre", DOUBLE, float("inf")),
    _resolution("resolution in text", ASCII, b"4"),
    _resolution("a unit that there isn't", RATIONAL, (400, 1), 77),
    _resolution("72 dpi", RATIONAL, (72, 1), INCH),
    _resolution("300 dpi, told in centimetres", RATIONAL, (11811, 100)),
    _resolution("200 pixels a centimetre", RATIONAL, (200, 1), CENTIMETRE,
                Values(IMAGES, spacing={"z": 25.0, "y": 50.0, "x": 50.0})),
    _imagej("ImageJ: a unit that there isn't", unit="blobs", spacing=3.0),
    _imagej("ImageJ: pixels", unit="pixel", spacing=3.0),
    _imagej("ImageJ: spacing NaN", Values(IMAGES, spacing={"z": 25.0, "y": 10.0, "x": 10.0}), unit="um",
            spacing=float("nan")),
    _imagej("ImageJ: spacing below zero", Values(IMAGES, spacing={"z": 25.0, "y": 10.0, "x": 10.0}), unit="um",
            spacing=-40.0),
    _imagej("ImageJ: spacing 0", Values(IMAGES, spacing={"z": 25.0, "y": 10.0, "x": 10.0}), unit="um", spacing=0.0),
    _ome("OME: size 0", "0"),
    _ome("OME: size below zero", "-40"),
    _ome("OME: size NaN", "NaN"),
    _ome("OME: size infinite", "INF"),
    _ome("OME: size in words", "forty"),
    _ome("OME: a unit that there isn't", "40", " ".join(f'PhysicalSize{a}Unit="blob"' for a in "XYZ")),
    _ome("OME: a unit of no length", "40", " ".join(f'PhysicalSize{a}Unit="kg"' for a in "XYZ")),
    _ome("OME: a bomb of entities", "40", 'Name="&a12;"', LAUGHS),
    _xml("OME: XML that ends too early", OME.format(size="40", unit="", doctype="")[:300]),
    _xml("OME: a hundred slices that aren't there", OME.format(size="40", unit="", doctype="").replace(
         'SizeZ="5"', 'SizeZ="100"'),
         Refused("StackError", ("stack.ome.tif", "100"), "open", "check")),
    _xml("OME: a million million slices", OME.format(size="40", unit="", doctype="").replace(
         'SizeZ="5"', 'SizeZ="1000000000000"'),
         Refused("StackError", ("stack.ome.tif", "declare 1000000000000 images"), "open", "check")),
]  # fmt: skip
