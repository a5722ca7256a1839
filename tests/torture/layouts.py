"""How pixels are stored: strips, tiles, BigTIFF, compressions and predictors, by several programs."""

from __future__ import annotations

import numpy as np
import tifffile

from .case import IMAGES, Case, Values, names
from .hand import COUNTS, FILL_ORDER, LONG, OFFSETS, ROWS, SHORT, tiff
from .writers import by_hand, by_magick, by_opencv, by_pillow, by_tiffcp, by_tifffile, other, stack

BYTES = (IMAGES % 251).astype("u1")
FLOATS = IMAGES.astype("f4") / 7 - 999
LARGE = np.arange(2 * 70 * 90, dtype="u2").reshape(2, 70, 90)
SMOOTH = np.add.outer(np.arange(5), np.add.outer(np.arange(32), np.arange(48))).astype("u1")
SOUND = Values(IMAGES)
REVERSED = np.array([int(f"{n:08b}"[::-1], 2) for n in range(256)], "u1")

# what OpenCV calls them: IMWRITE_TIFF_COMPRESSION, and libtiff's numbers
COMPRESSION_OF_OPENCV, NONE, LZW, DEFLATE, PACKBITS = 259, 1, 5, 32946, 32773


def _two(name: str, **options) -> Case:
    return Case(
        name,
        stack(by_tifffile(**options), LARGE, names(numbers=(1, 2))),
        Values(LARGE),
        asks="codecs",
    )


def _read_back(folder) -> np.ndarray:
    """For what is lossy: what tifffile reads."""
    return np.stack([tifffile.imread(folder / name) for name in names()])


def _lossy(name: str, write) -> Case:
    return Case(name, stack(write, SMOOTH), Values(_read_back), asks="codecs")


def _reversed_bits(path, image: np.ndarray) -> None:
    strips = [REVERSED[np.frombuffer(image.tobytes(), "u1")].tobytes()]
    path.write_bytes(tiff(image, {FILL_ORDER: (SHORT, [2])}, rows=7, strips=strips))


def _strips_backwards(path, image: np.ndarray) -> None:
    """The last strip first: three strips of 3, 3 and 1 rows."""
    parts = [image[i : i + 3].tobytes() for i in (0, 3, 6)]
    data = tiff(
        image, {OFFSETS: (LONG, [0, 0, 0]), COUNTS: (LONG, [66, 66, 22])}, strips=parts[::-1]
    )
    start = len(data) - 154
    data = tiff(image, {OFFSETS: (LONG, [start + 88, start + 22, start]), COUNTS: (LONG, [66, 66, 22])},
                strips=parts[::-1])  # fmt: skip
    path.write_bytes(data)


def _left_out(folder) -> None:
    """GDAL leaves strips of nothing out: no offset, no bytes."""
    for name, image in zip(names(), IMAGES, strict=True):
        strips = [image[:3].tobytes(), b"", image[6:].tobytes()]
        other(name, tiff(image, strips=strips))(folder)


WITHOUT_MIDDLE = IMAGES.copy()
WITHOUT_MIDDLE[:, 3:6] = 0

CASES = [
    Case("a row a strip", stack(by_tifffile(rowsperstrip=1)), SOUND),
    Case("strips of three rows, the last one of one", stack(by_tifffile(rowsperstrip=3)), SOUND),
    Case("more rows a strip than there are", stack(by_hand(rows=7, change={ROWS: (LONG, [2**32 - 1])})), SOUND),
    Case("strips backwards", stack(_strips_backwards), SOUND),
    Case("strips that were left out", _left_out, Values(WITHOUT_MIDDLE)),
    Case("no table of sizes", stack(by_hand(change={COUNTS: None}, rows=7)), SOUND),
    Case("bits from right to left", stack(_reversed_bits), SOUND),
    Case("BigTIFF", stack(by_tifffile(bigtiff=True)), SOUND),
    Case("BigTIFF, big-endian", stack(by_tifffile(bigtiff=True, byteorder=">")), SOUND),
    Case("BigTIFF by hand", stack(by_hand(big=True)), SOUND),
    Case("BigTIFF by libtiff", stack(by_tiffcp("-8")), SOUND, tool="tiffcp"),
    Case("no multiple of the tiles", stack(by_tifffile(tile=(32, 48)), LARGE, names(numbers=(1, 2))), Values(LARGE)),
    Case("tiles larger than the slice", stack(by_tifffile(tile=(64, 64))), SOUND),
    _two("tiles, LZW", tile=(16, 32), compression="lzw", predictor=True),
    _two("tiles, zstd, BigTIFF", tile=(32, 32), compression="zstd", bigtiff=True),
    _two("LZW", compression="lzw", rowsperstrip=9),
    _two("LZW, predictor", compression="lzw", predictor=True, rowsperstrip=9),
    _two("deflate, predictor, big-endian", compression="zlib", predictor=True, byteorder=">"),
    _two("Adobe's deflate", compression="adobe_deflate"),
    _two("packbits", compression="packbits", rowsperstrip=9),
    _two("LZMA", compression="lzma"),
    _two("zstd, predictor", compression="zstd", predictor=True),
    _two("LERC", compression="lerc"),
    _two("PNG within", compression="png"),
    _two("JPEG 2000, lossless", compression="jpeg2000"),
    _two("JPEG XL, lossless", compression="jpegxl"),
    _two("JPEG XR", compression="jpegxr"),
    Case("floats, predictor of floats", stack(by_tifffile(compression="zlib", predictor=3), FLOATS),
         Values(FLOATS), asks="codecs"),
    Case("floats, zstd, big-endian", stack(by_tifffile(compression="zstd", byteorder=">", predictor=3), FLOATS),
         Values(FLOATS), asks="codecs"),
    _lossy("JPEG", by_tifffile(compression="jpeg")),
    _lossy("JPEG in tiles", by_tifffile(compression="jpeg", tile=(16, 16))),
    _lossy("JPEG by Pillow", by_pillow(compression="jpeg")),
    Case("LZW by Pillow", stack(by_pillow(compression="tiff_lzw")), SOUND),
    Case("deflate by Pillow", stack(by_pillow(compression="tiff_adobe_deflate")), SOUND),
    Case("packbits by Pillow", stack(by_pillow(compression="packbits"), BYTES), Values(BYTES)),
    Case("Fax, group 4, by Pillow", stack(by_pillow("1", compression="group4"), BYTES), Values(_read_back), asks="bits"),
    Case("Fax, group 3, by Pillow", stack(by_pillow("1", compression="group3"), BYTES), Values(_read_back), asks="bits"),
    Case("uncompressed by OpenCV", stack(by_opencv(COMPRESSION_OF_OPENCV, NONE)), SOUND),
    Case("LZW by OpenCV", stack(by_opencv(COMPRESSION_OF_OPENCV, LZW)), SOUND),
    Case("deflate by OpenCV", stack(by_opencv(COMPRESSION_OF_OPENCV, DEFLATE)), SOUND),
    Case("packbits by OpenCV", stack(by_opencv(COMPRESSION_OF_OPENCV, PACKBITS)), SOUND),
    Case("uncompressed by ImageMagick", stack(by_magick("-compress", "None")), SOUND, tool="convert"),
    Case("LZW by ImageMagick", stack(by_magick("-compress", "LZW")), SOUND, tool="convert"),
    Case("deflate by ImageMagick, big-endian", stack(by_magick("-compress", "Zip", "-endian", "MSB")), SOUND,
         tool="convert"),
    Case("tiles by ImageMagick", stack(by_magick("-define", "tiff:tile-geometry=16x16")), SOUND, tool="convert"),
    Case("big-endian by libtiff", stack(by_tiffcp("-B")), SOUND, tool="tiffcp"),
    Case("tiles by libtiff", stack(by_tiffcp("-t", "-w", "16", "-l", "16")), SOUND, tool="tiffcp"),
    Case("LZW, predictor, by libtiff", stack(by_tiffcp("-c", "lzw:2", "-r", "3")), SOUND, tool="tiffcp"),
    Case("deflate, predictor, tiles, by libtiff", stack(by_tiffcp("-c", "zip:2", "-t", "-w", "16", "-l", "16")),
         SOUND, tool="tiffcp"),
    Case("packbits by libtiff", stack(by_tiffcp("-c", "packbits", "-r", "2")), SOUND, tool="tiffcp"),
    Case("bits from right to left by libtiff", stack(by_tiffcp("-f", "lsb2msb", "-c", "zip")), SOUND, tool="tiffcp"),
]  # fmt: skip
