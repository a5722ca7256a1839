"""Programs that write slices: five that have nothing to do with each other's code for pixels.

tifffile (Python), Pillow and OpenCV (their own copies of libtiff), libtiff's own tools
and ImageMagick (the system's libtiff); and by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tifffile
from PIL import Image

from .case import IMAGES, names
from .hand import tiff

WriteStack: TypeAlias = Callable[[Path], None]
WriteOne: TypeAlias = Callable[[Path, np.ndarray], None]


def stack(
    write: WriteOne, images: Iterable[np.ndarray] = IMAGES, files: Sequence[str] = (),
) -> WriteStack:  # fmt: skip
    """A function that writes a stack into a folder, one file a slice."""

    def write_all(folder: Path) -> None:
        for name, image in zip(files or names(), images, strict=True):
            write(folder / name, image)

    return write_all


def by_tifffile(**options: Any) -> WriteOne:
    options = {"photometric": "minisblack", **options}
    return lambda path, image: tifffile.imwrite(path, image, **options)


def by_pillow(mode: str | None = None, **options: Any) -> WriteOne:
    def write(path: Path, image: np.ndarray) -> None:
        picture = Image.fromarray(image)
        (picture if mode is None else picture.convert(mode)).save(path, "TIFF", **options)

    return write


def by_opencv(*parameters: int) -> WriteOne:
    def write(path: Path, image: np.ndarray) -> None:
        import cv2

        done, data = cv2.imencode(".tif", image, list(parameters))
        assert done
        path.write_bytes(data.tobytes())

    return write


def by_hand(**options: Any) -> WriteOne:
    return lambda path, image: path.write_bytes(tiff(image, **options)) and None


def by_magick(*arguments: str) -> WriteOne:
    """ImageMagick, from a PGM, whose pixels are plain bytes."""

    def write(path: Path, image: np.ndarray) -> None:
        given = path.with_suffix(".pgm")
        write_pgm(given, image)
        run("convert", str(given), *arguments, f"TIFF:{path}")
        given.unlink()

    return write


def by_tiffcp(*arguments: str, first: WriteOne | None = None) -> WriteOne:
    """libtiff's own copier, from a file of Pillow's."""

    def write(path: Path, image: np.ndarray) -> None:
        given = path.with_suffix(".first")
        (first or by_pillow())(given, image)
        run("tiffcp", *arguments, str(given), str(path))
        given.unlink()

    return write


def write_pgm(path: Path, image: np.ndarray) -> None:
    height, width = image.shape
    most = np.iinfo(image.dtype).max
    pixels = image.astype(image.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(f"P5 {width} {height} {most}\n".encode() + pixels)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


# What the programs say of themselves: Windows and others have a `convert` of another kind.
SAYS = {"convert": ("-version", "ImageMagick"), "tiffcp": ("-h", "LIBTIFF")}


@cache
def has(tool: str) -> bool:
    """True if the program is installed, and not another one of its name."""
    if shutil.which(tool) is None:
        return False
    option, name = SAYS.get(tool, ("--version", ""))
    try:
        told = subprocess.run(
            [tool, option], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return name.lower() in (told.stdout + told.stderr).lower()


def plain(folder: Path) -> None:
    """Five sound slices, as tifffile writes them."""
    stack(by_tifffile())(folder)


def compressed(folder: Path) -> None:
    """The same, compressed."""
    stack(by_tifffile(compression="zlib", rowsperstrip=3))(folder)


def then(*steps: Callable[[Path], object]) -> WriteStack:
    """One after the other."""

    def write(folder: Path) -> None:
        for step in steps:
            step(folder)

    return write


def instead(name: str, what: bytes | np.ndarray, write: WriteOne | None = None) -> WriteStack:
    """Five sound slices, one of which is replaced."""
    return then(plain, other(name, what, write))


def other(name: str, what: bytes | np.ndarray, write: WriteOne | None = None) -> WriteStack:
    """One more file, or another one in the place of one."""

    def put(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            (write or by_tifffile())(path, what)

    return put
