"""What a pixel is: number of bits, format of a sample, byte order, photometric, planes of colour."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from .case import IMAGES, SHAPE, Case, Refused, Values, names
from .hand import BITS, FORMAT, ORIENTATION, PHOTOMETRIC, SHORT
from .writers import by_hand, by_magick, by_opencv, by_pillow, by_tifffile, stack

BYTES = (IMAGES % 251).astype("u1")
BITMAP = np.random.default_rng(0).random(SHAPE) < 0.5
FLOATS = IMAGES.astype("f4") / 7 - 999
SPECIAL = FLOATS.copy()
SPECIAL[2, 3, 4:7] = np.nan, np.inf, -np.inf
LARGE = IMAGES.astype("u8") * 2**47 + 1


def _of_type(kind: str, images: np.ndarray, **options) -> Case:
    images = images.astype(kind)
    return Case(images.dtype.name, stack(by_tifffile(**options), images), Values(images))


def _big_endian(kind: str, images: np.ndarray) -> Case:
    return Case(f"{np.dtype(kind).name}, big-endian", stack(by_tifffile(byteorder=">"), images.astype(kind)),
                Values(images.astype(kind)))  # fmt: skip


def _packed(bits: int) -> Case:
    """Integers of so many bits, rows padded to whole bytes."""
    images = (IMAGES % 2**bits).astype("u1" if bits <= 8 else "u2")

    def write(path: Path, image: np.ndarray) -> None:
        data = imagecodecs.packints_encode(image.ravel(), bits, runlen=image.shape[1])
        by_hand(change={BITS: (SHORT, [bits])}, strips=[data], rows=len(image))(path, image)

    return Case(f"{bits} bits", stack(write, images), Values(images), asks="bits")


def _refused(name: str, shape: tuple[int, ...], words: str, **options) -> Case:
    images = np.arange(5 * np.prod(shape)).reshape(5, *shape).astype("u1")
    return Case(name, stack(by_tifffile(**options), images),
                Refused("StackError", ("slice_1.tif", words), "open", "check", or_values=images))  # fmt: skip


def _bitmap_of_pillow(folder: Path) -> None:
    for name, image in zip(names(), BITMAP, strict=True):
        Image.fromarray(image.astype("u1") * 255).convert("1").save(folder / name, "TIFF")


def _by_tifffile_back(folder: Path) -> np.ndarray:
    return np.stack([tifffile.imread(folder / name) for name in names()])


def _hand_case(name: str, images: np.ndarray, values: np.ndarray, **change) -> Case:
    return Case(name, stack(by_hand(**change), images), Values(values))


CASES = [
    _of_type("u1", BYTES),
    _of_type("i1", IMAGES % 256 - 128),
    _of_type("u2", IMAGES),
    _of_type("i2", IMAGES.astype("i4") - 30_000),
    _of_type("u4", IMAGES.astype("u4") * 65_000),
    _of_type("i4", IMAGES.astype("i8") * 65_000 - 2**31),
    _of_type("u8", LARGE),
    _of_type("i8", -LARGE.astype("i8")),
    _of_type("f2", IMAGES / 7),
    _of_type("f4", FLOATS),
    _of_type("f8", IMAGES / 7),
    _of_type("c8", IMAGES + 1j),
    _big_endian("u2", IMAGES),
    _big_endian("i2", IMAGES.astype("i4") - 30_000),
    _big_endian("i4", IMAGES.astype("i8") * 65_000 - 2**31),
    _big_endian("f2", IMAGES / 7),
    _big_endian("f4", FLOATS),
    _big_endian("f8", IMAGES / 7),
    Case("NaN and infinity", stack(by_tifffile(), SPECIAL), Values(SPECIAL)),
    Case("1 bit, by tifffile", stack(by_tifffile(), BITMAP), Values(BITMAP), asks="bits"),
    Case("1 bit, by Pillow", _bitmap_of_pillow, Values(_by_tifffile_back), asks="bits"),
    *[_packed(bits) for bits in (2, 4, 6, 10, 12, 14)],
    Case("16 bits by Pillow", stack(by_pillow()), Values(IMAGES)),
    Case("32 bits by Pillow", stack(by_pillow(), IMAGES.astype("i4") - 9), Values(IMAGES.astype("i4") - 9)),
    Case("floats by Pillow", stack(by_pillow(), FLOATS), Values(FLOATS)),
    Case("16 bits by OpenCV", stack(by_opencv()), Values(IMAGES)),
    Case("floats by OpenCV", stack(by_opencv(), FLOATS), Values(FLOATS)),
    Case("16 bits by ImageMagick", stack(by_magick()), Values(IMAGES), tool="convert"),
    _hand_case("no sample format", IMAGES, IMAGES, change={FORMAT: None}),
    _hand_case("sample format undefined", IMAGES, IMAGES, change={FORMAT: (SHORT, [4])}),
    _hand_case("no photometric", IMAGES, IMAGES, change={PHOTOMETRIC: None}),
    # values are those on disk: inverting them would be a guess about what they mean
    Case("white is zero in all", stack(by_tifffile(photometric="miniswhite")), Values(IMAGES), asks="as stored"),
    Case("white is zero in all, 8 bits", stack(by_tifffile(photometric="miniswhite"), BYTES), Values(BYTES),
         asks="as stored"),
    Case("upside down by their tags", stack(by_hand(change={ORIENTATION: (SHORT, [4])})), Values(IMAGES),
         asks="as stored"),
    Case("numbers of a palette", stack(by_tifffile(photometric="palette",
         colormap=np.arange(768, dtype="u2").reshape(3, 256)), BYTES), Values(BYTES), asks="as stored"),
    _refused("colours", (7, 11, 3), "3 samples a pixel (RGB)", photometric="rgb"),
    _refused("colours in planes", (3, 7, 11), "3 samples a pixel", photometric="rgb", planarconfig="separate"),
    _refused("colours and transparency", (7, 11, 4), "4 samples a pixel", photometric="rgb", extrasamples=["unassalpha"]),
    _refused("grey and transparency", (7, 11, 2), "2 samples a pixel", planarconfig="contig",
             extrasamples=["unassalpha"]),
    _refused("inks", (7, 11, 4), "4 samples a pixel (SEPARATED)", photometric="separated"),
    Case("24 bits", stack(by_hand(change={BITS: (SHORT, [24])}, strips=[bytes(range(231))], rows=7)),
         Refused("StackError", ("slice_1.tif", "24 bits a sample", "Convert"), "open", "check"), asks="bits"),
    Case("complex integers", stack(by_hand(change={FORMAT: (SHORT, [5]), BITS: (SHORT, [32])},
         strips=[bytes(7 * 44)], rows=7)),
         Refused("StackError", ("slice_1.tif", "COMPLEXINT", "Convert"), "open", "check"), asks="bits"),
]  # fmt: skip
