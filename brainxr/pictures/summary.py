"""What a volume is, in a few lines of text, or as HTML with a small picture."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.contrast import chosen_limits
from brainxr.errors import GeometryError
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.geometry.orientation import way_of
from brainxr.html import table_html
from brainxr.lazy.cost import cost, show_bytes
from brainxr.lazy.unloaded import stack_of
from brainxr.pictures.planes import (
    CutPlane,
    axes_of,
    on_grid,
    planes_through,
    read_planes,
    without_thin_axes,
)

# Columns of the text, and pixels of the longest side of a small plane.
WIDTH = 80
PIXELS = 96

# A picture is made where reading it takes less than this, by the speed of the source.
MOST_SECONDS = 0.3


def describe(data: xr.DataArray) -> str:
    """Describe a volume in aligned lines of at most 80 columns; reads no pixel."""
    facts = facts_of(data)
    width = max(map(len, facts))
    lines = [f"{data.name or 'array'}: {_shape(data)} {data.dtype}"]
    for name, fact in facts.items():
        room = WIDTH - width - 4
        short = fact if len(fact) <= room else f"...{fact[3 - room :]}"
        lines.append(f"  {name:<{width}}  {short}")
    return "\n".join(lines)


def describe_html(data: xr.DataArray) -> str:
    """Describe a volume in HTML, with a small picture of three planes where that is cheap.

    Reads a few thousand voxels of at most three planes, and nothing where that would take long.
    """
    picture, reason = _picture(data)
    rows = facts_of(data) | ({"picture": reason} if reason else {})
    table = table_html(f"{data.name or 'array'}: {_shape(data)} {data.dtype}", rows)
    style = "display:flex;gap:1em;align-items:flex-start;flex-wrap:wrap"
    return f'<div style="{style}">{picture}{table}</div>'


def facts_of(data: xr.DataArray) -> dict[str, str]:
    """Spacing, extent, source and cost of a volume, each as a text; reads no pixel."""
    spacing, extent = _geometry(data)
    attrs = data.attrs
    facts = {"spacing": spacing, "extent": extent}
    if "spacing_source" in attrs:
        facts["spacing from"] = str(attrs["spacing_source"])
    facts["orientation"] = _orientation(data)
    for name, key in (("source", "source"), ("files", "files"), ("missing", "missing_slices")):
        if key in attrs:
            facts[name] = str(attrs[key])
    facts["cost"] = _cost(data)
    return facts


def _shape(data: xr.DataArray) -> str:
    return " x ".join(f"{dim} {n}" for dim, n in data.sizes.items()) or "one value"


def _geometry(data: xr.DataArray) -> tuple[str, str]:
    steps, spans = [], []
    for dim in DIMS:
        if dim not in data.coords or (dim in data.dims and data.sizes[dim] == 0):
            continue
        try:
            lattice = Lattice.of(data[dim])
        except GeometryError:
            steps.append(f"{dim} not known")
            continue
        step, last = abs(lattice.step), lattice.start + lattice.step * int(lattice.k[-1])
        low, high = min(lattice.start, last) - step / 2, max(lattice.start, last) + step / 2
        steps.append(f"{dim} {step:.6g}")
        spans.append(f"{dim} {low / 1000:.6g} to {high / 1000:.6g}")
    if not spans:
        return "not known: see brainxr.volume", "not known"
    return f"{', '.join(steps)} µm", f"{', '.join(spans)} mm"


def _orientation(data: xr.DataArray) -> str:
    ways = {dim: way_of(data, dim) for dim in DIMS if dim in data.coords}
    known = [f"{dim} {way.letters[0]} to {way.letters[1]}" for dim, way in ways.items() if way]
    plane = data.attrs.get("plane")
    stacked = f"{plane} slices" if plane else ""
    return ", ".join(filter(None, [stacked, *known])) or "not known"


def _cost(data: xr.DataArray) -> str:
    try:
        found = cost(data)
    except Exception as error:  # of a graph that is not ours; a summary never fails
        return f"not known ({type(error).__name__})"
    if found.bytes_to_read == 0 and data.chunks is None and stack_of(data) is None:
        return f"nothing, {show_bytes(data.nbytes)} in memory"
    return str(found)


# --- the picture --------------------------------------------------------------------


def _picture(data: xr.DataArray) -> tuple[str, str]:
    """An <img> of up to three planes, and why there is none."""
    try:
        planes = _small_planes(data)
        reason = _reason_to_wait(data, planes)
        if reason:
            return "", reason
        read = zip(read_planes(data.variable, planes), planes, strict=True)
        images = [on_grid(image, plane) for image, plane in read]
        pixels = _side_by_side(images, planes, data)
    except Exception as error:  # a summary never fails
        return "", f"none: {error}"
    encoded = base64.b64encode(_png(pixels)).decode()
    source = f"data:image/png;base64,{encoded}"
    return f'<img alt="" style="height:144px;border-radius:4px" src="{source}">', ""


def _small_planes(data: xr.DataArray) -> list[CutPlane]:
    data = without_thin_axes(data)
    axes = axes_of(data)
    middle = {dim: data.sizes[dim] // 2 for dim in axes}
    planes = planes_through(data, axes, middle)
    longest = max(length for plane in planes for length in plane.size)
    # twice as coarse as a plot: a voxel a pixel
    return [plane.thin(PIXELS / longest / 2) for plane in planes]


def _reason_to_wait(data: xr.DataArray, planes: list[CutPlane]) -> str:
    stack = stack_of(data)
    if stack is None:
        return "" if data.chunks is None else "none, as the values are not computed yet"
    seconds = 0.0
    for plane in planes:
        places: dict[str, Any] = {axis.name: axis.indexer for axis in plane.axes} | dict(plane.cut)
        chosen = stack.select(tuple(places.get(dim, 0) for dim in stack.dims))
        seconds += chosen.bytes_to_read / stack.source.speed
    return f"none, as it would take about {seconds:.1g} s to read" if seconds > MOST_SECONDS else ""


def _side_by_side(
    images: list[npt.NDArray[Any]], planes: list[CutPlane], data: xr.DataArray
) -> npt.NDArray[np.uint8]:
    """Planes at one scale, upright, on black: shape (rows, columns)."""
    low, high = chosen_limits(images, None, None)
    longest = max(length for plane in planes for length in plane.size)
    panels = []
    for image, plane in zip(images, planes, strict=True):
        grey = np.clip((np.ma.filled(image, 0).astype(float) - low) / (high - low), 0, 1) * 255
        down, across = plane.forward
        grey = np.nan_to_num(grey)[:: 1 if down else -1, :: 1 if across else -1]
        width, height = (max(1, round(PIXELS * size / longest)) for size in plane.size)
        rows = np.arange(height) * grey.shape[0] // height
        columns = np.arange(width) * grey.shape[1] // width
        panels.append(grey[rows][:, columns].astype(np.uint8))
    tallest = max(len(panel) for panel in panels)
    padded = [
        np.pad(p, (((tallest - len(p)) // 2, math.ceil((tallest - len(p)) / 2)), (0, 4)))
        for p in panels
    ]
    joined: npt.NDArray[np.uint8] = np.hstack(padded)[:, :-4]
    return joined.repeat(2, 0).repeat(2, 1)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit grey PNG; see www.w3.org/TR/png-3."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # filter 0 before each row

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
