"""Planes as frames of a movie: resized, coloured, with the place and a scale bar. Uses Pillow.

    plane, size ── Frames.of ──▶ pixels a mm, the voxels worth reading, what never changes
    image of a plane ── Frames.draw ──▶ pixels, shape (height, width, 3)

All frames have one size, one contrast and one scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from brainxr.geometry import units as u
from brainxr.pictures.planes import CutPlane, PlaneAxis, on_grid, round_length

RGB = npt.NDArray[np.uint8]

# Pixels of a picture's longer side: less has no room for a text, and more than this
# is larger than any screen.
SMALLEST, LARGEST = 64, 4096

# What is missing is hatched: a stripe of 2 pixels in this grey, every 10 pixels.
HATCH_GREY, HATCH_EVERY = 90, 10


@dataclass(frozen=True)
class Frames:
    """How planes of one kind are drawn.

    Attributes
    ----------
    plane : CutPlane
        Any of the planes, read no finer than can be seen.
    size : tuple of int
        Width and height of the plane, in pixels.
    frame_size : tuple of int
        Width and height of a frame, both even, as encoders of movies need them.
    limits : tuple of float
        Of contrast.
    colours : numpy.ndarray of uint8, shape (256, 3)
    font : PIL.ImageFont.FreeTypeFont
    """

    plane: CutPlane
    size: tuple[int, int]
    frame_size: tuple[int, int]
    limits: tuple[float, float]
    colours: RGB
    font: Any

    @classmethod
    def of(
        cls, planes: list[CutPlane], size: int, limits: tuple[float, float], colours: RGB, font: str
    ) -> Self:
        """Frames whose planes' longer side has so many pixels, or less."""
        pixels_per_mm = scale_of(planes[0], size)
        across, down = (max(1, round(mm * pixels_per_mm)) for mm in planes[0].size)
        letters = ImageFont.truetype(font, max(12, size // 32))
        widest = max(letters.getlength(text_of(plane)) for plane in planes)
        width = max(across, math.ceil(widest + 2 * letters.size))
        height = max(down, 4 * int(letters.size))
        thin = planes[0].thin(pixels_per_mm)
        return cls(thin, (across, down), (_even(width), _even(height)), limits, colours, letters)

    def draw(self, image: npt.NDArray[Any], text: str) -> RGB:
        """One frame: shape (height, width, 3); `image` has rows downwards, as it is stored."""
        frame = np.zeros((*self.frame_size[::-1], 3), np.uint8)
        left, top = self._corner
        frame[top : top + self.size[1], left : left + self.size[0]] = self._picture(image)
        canvas = Image.fromarray(frame)
        pen = ImageDraw.Draw(canvas)
        self._write(pen, (self.font.size // 2, self.font.size // 2), text, "lt")
        self._draw_letters(pen, text)
        self._draw_scale_bar(pen)
        return np.asarray(canvas)

    def _picture(self, image: npt.NDArray[Any]) -> RGB:
        """The plane as a viewer shows it, whichever way it is stored."""
        grid = on_grid(image, self.plane)
        flips = tuple(slice(None, None, 1 if ahead else -1) for ahead in self.plane.forward)
        shades = _shades(np.ma.getdata(grid)[flips], self.limits)
        picture = self.colours[self._resized(shades)]
        if grid.dtype.kind == "f":
            unknown = ~np.isfinite(np.ma.getdata(grid)[flips])
            picture[self._resized(unknown.view(np.uint8) * 255) > 127] = 0
        if np.ma.is_masked(grid):
            missing = np.ma.getmaskarray(grid)[flips]
            is_missing = self._resized(missing.view(np.uint8) * 255) > 127
            picture[is_missing] = _hatch(is_missing.shape)[is_missing]
        return np.asarray(picture)

    def _resized(self, shades: RGB) -> RGB:
        """Means of voxels where they are smaller than pixels, else their edges are seen."""
        (top, bottom), (left, right) = map(_span, self.plane.axes, self.plane.forward)
        box = (left, top, right, bottom)
        resized = Image.fromarray(shades).resize(self.size, Image.Resampling.BOX, box=box)
        return np.asarray(resized)

    @property
    def _corner(self) -> tuple[int, int]:
        """Left and top of the plane, which lies in the middle of the frame."""
        (width, height), (across, down) = self.frame_size, self.size
        return (width - across) // 2, (height - down) // 2

    def _draw_scale_bar(self, pen: ImageDraw.ImageDraw) -> None:
        """A bar of a round length, up to a third of the plane, in its lower right corner."""
        pixels_per_mm = self.size[0] / self.plane.size[0]
        length = round_length(self.plane.size[0] / 3)
        pixels, thick, margin = length * pixels_per_mm, self.font.size // 4, self.font.size // 2
        right = min(self._corner[0] + self.size[0], self.frame_size[0]) - margin
        bottom = min(self._corner[1] + self.size[1], self.frame_size[1]) - margin
        bar = [round(right - pixels), bottom - thick, right - 1, bottom - 1]
        pen.rectangle([bar[0] - 1, bar[1] - 1, bar[2] + 1, bar[3] + 1], fill="black")
        pen.rectangle(bar, fill="white")
        label = u.show_micrometers(length * 1000)
        # the label is in the middle of the bar, as far as the frame has room for it
        middle = min(right - pixels / 2, self.frame_size[0] - self.font.getlength(label) / 2 - 2)
        self._write(pen, (middle, bottom - 2 * thick), label, "mb")

    def _draw_letters(self, pen: ImageDraw.ImageDraw, text: str) -> None:
        """What of a body lies at the edges of the plane, where it is known."""
        (left, top), (across, down), margin = self._corner, self.size, self.font.size // 2
        middle, right, bottom = left + across / 2, left + across, top + down
        beside = self.font.getlength(text) + 2 * margin < middle
        places = {
            "left": ((left + margin, top + down / 2), "lm"),
            "right": ((right - margin, top + down / 2), "rm"),
            "top": ((middle, max(top, 0 if beside else self.font.size) + margin), "mt"),
            "bottom": ((middle, bottom - margin), "mb"),
        }
        for edge, letter in self.plane.letters.items():
            at, anchor = places[edge]
            self._write(pen, at, letter, anchor)

    def _write(self, pen: ImageDraw.ImageDraw, at: Any, text: str, anchor: str) -> None:
        # white on a black rim can be read on bright images, too
        rim = max(1, self.font.size // 10)
        pen.text(at, text, "white", self.font, anchor=anchor, stroke_width=rim, stroke_fill="black")


def text_of(plane: CutPlane) -> str:
    """What a frame says of its plane: ``"axial, z = 62.1 mm"``."""
    return f"{plane.name}, {plane.label}"


def scale_of(plane: CutPlane, size: int) -> float:
    """Pixels a mm with which a plane's longer side has so many pixels, or down to half of them.

    Where voxels are larger than pixels, the smaller side of a voxel has a whole number
    of them, so that no row looks wider than its neighbour.
    """
    pixels_per_mm = size / max(plane.size)
    voxel = min(abs(axis.lattice.step) for axis in plane.axes) / 1000
    pixels = voxel * pixels_per_mm
    return math.floor(pixels) / voxel if pixels >= 1 else pixels_per_mm


def _span(axis: PlaneAxis, ahead: bool) -> tuple[float, float]:
    """Where an axis begins and ends, in parts of it, of which the last may reach beyond."""
    parts, length = axis.parts[1], axis.voxels / axis.stride
    return (0.0, length) if ahead else (parts - length, float(parts))


def _even(pixels: int) -> int:
    return pixels + pixels % 2


def _shades(image: npt.NDArray[Any], limits: tuple[float, float]) -> RGB:
    """Values as numbers from 0 to 255, cut at the limits of contrast; 0 where there is none."""
    low, high = limits
    values: Any = image.astype(np.float64 if image.itemsize > 2 else np.float32)
    scaled = np.nan_to_num((values - low) / (high - low), nan=0).clip(0, 1)
    return np.asarray(np.rint(scaled * 255), np.uint8)


def _hatch(shape: tuple[int, ...]) -> RGB:
    rows, columns = np.indices(shape)
    stripes = (rows + columns) % HATCH_EVERY < 2
    return np.where(stripes, HATCH_GREY, 0).astype(np.uint8)[..., np.newaxis].repeat(3, -1)
