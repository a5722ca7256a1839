"""Files that end too early, at every boundary of their structure, and in other programs' layouts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tifffile
from PIL import Image

from .case import IMAGES, Case, Refused
from .hand import boundaries, tiff
from .writers import (
    WriteOne,
    by_magick,
    by_opencv,
    by_pillow,
    by_tiffcp,
    by_tifffile,
    other,
    stack,
)  # fmt: skip

THIRD = "slice_3.tif"
ONE = IMAGES[2]


def _cut(place: str, at: int, **options) -> Case:
    kind = "compressed" if options else "plain"
    return Case(
        f"{place}, {kind}",
        lambda f: (stack(lambda p, i: p.write_bytes(tiff(i, **options)) and None)(f),
                   other(THIRD, tiff(ONE, **options)[:at])(f)),
        Refused("SliceReadError", (THIRD,), found_by="check"),
    )  # fmt: skip


def _places(**options) -> list[Case]:
    places = boundaries(ONE)
    if options:  # only what is before the pixels has the same place
        end = len(tiff(ONE, **options))
        places = {name: at for name, at in places.items() if at <= places["before the pixels"]}
        places |= {"within the last strip": end - 9, "but for one byte": end - 1}
    return [_cut(name, at, **options) for name, at in places.items()]


def _halved(program: str, write: WriteOne, keep: float, tool: str | None = None) -> Case:
    def cut(folder: Path) -> None:
        stack(write)(folder)
        path = folder / THIRD
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return Case(f"{keep:.0%} of a file of {program}", cut,
                Refused("SliceReadError", (THIRD,), found_by="check"), tool=tool)  # fmt: skip


def _first(name: str, data: bytes, words: str) -> Case:
    return Case(name, lambda f: (stack(by_tifffile())(f), other("slice_1.tif", data)(f)),
                Refused("SliceReadError", ("slice_1.tif", words), "open", "check"))  # fmt: skip


def _whole_block(folder: Path) -> None:
    """As a full disk leaves it: the right length, and nothing but zeros from some place on."""
    stack(by_tifffile(compression="zlib", rowsperstrip=3), IMAGES)(folder)
    path = folder / THIRD
    data = path.read_bytes()
    path.write_bytes(data[:-60] + bytes(60))


def _of_pages(program: str, write: Callable[[Any], None], keep: float) -> Case:
    """What is lost of such a file is whole slices, which nothing but its directories tell of."""

    def cut(folder: Path) -> None:
        data = io.BytesIO()
        write(data)
        whole = data.getvalue()
        other("stack.tif", whole[: int(len(whole) * keep)])(folder)

    return Case(f"{keep:.0%} of a file of five pages, {program}", cut,
                Refused("SliceReadError", ("stack.tif",), "open", "check"), path="stack.tif",
                asks="pages")  # fmt: skip


def _pages_of_pillow(data: Any) -> None:
    first, *rest = [Image.fromarray(image) for image in IMAGES]
    first.save(data, "TIFF", save_all=True, append_images=rest)


def _after_two_pages(folder: Path) -> None:
    """Cut where a page is complete, and the next directory isn't there any more."""
    whole = io.BytesIO()
    _pages_of_pillow(whole)
    whole.seek(0)
    with tifffile.TiffFile(whole) as tif:
        end = tif.pages[2].offset
    other("stack.tif", whole.getvalue()[:end])(folder)


PAGES: dict[str, Callable[[Any], None]] = {
    "tifffile": lambda data: tifffile.imwrite(data, IMAGES, photometric="minisblack"),
    "ImageJ": lambda data: tifffile.imwrite(data, IMAGES, imagej=True, metadata={"axes": "ZYX"}),
    "OME": lambda data: tifffile.imwrite(
        data, IMAGES, ome=True, metadata={"axes": "ZYX"}, photometric="minisblack"
    ),
    "compressed": lambda data: tifffile.imwrite(
        data, IMAGES, compression="zlib", photometric="minisblack"
    ),
    "Pillow": _pages_of_pillow,
}

CASES = [
    *_places(),
    *_places(deflate=True),
    *[_halved("tifffile", by_tifffile(), keep) for keep in (0.3, 0.8)],
    *[_halved("Pillow", by_pillow(compression="tiff_lzw"), keep) for keep in (0.3, 0.8)],
    *[_halved("OpenCV", by_opencv(), keep) for keep in (0.3, 0.8)],
    *[_halved("ImageMagick", by_magick("-compress", "LZW"), keep, "convert") for keep in (0.3, 0.8)],
    *[_halved("libtiff", by_tiffcp("-c", "zip"), keep, "tiffcp") for keep in (0.3, 0.8)],
    _first("the first slice, within the header", tiff(IMAGES[0])[:5], "can't be read as TIFF"),
    _first("the first slice, within the directory", tiff(IMAGES[0])[:70], "slice_1.tif"),
    _first("the first slice, within the pixels", tiff(IMAGES[0])[:-20], "is truncated"),
    Case("zeros where the last strip was", _whole_block,
         Refused("SliceReadError", (THIRD, "can't be decoded"), found_by="deep")),
    *[_of_pages(program, write, keep) for program, write in PAGES.items() for keep in (0.1, 0.45, 0.9)],
    Case("two pages of five, each of them whole", _after_two_pages,
         Refused("SliceReadError", ("stack.tif", "another is expected"), "open", "check"), path="stack.tif", asks="pages"),
]  # fmt: skip
