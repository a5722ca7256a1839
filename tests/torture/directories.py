"""Directories that lie: loops, absurd counts and sizes, places beyond the end, damaged strips."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from .case import IMAGES, Case, Refused, Values
from .hand import (
    ASCII,
    BITS,
    COMPRESSION,
    COUNTS,
    DESCRIPTION,
    LENGTH,
    LONG,
    OFFSETS,
    PREDICTOR,
    ROWS,
    SAMPLES,
    SHORT,
    SUB_IFDS,
    TILE_LENGTH,
    TILE_WIDTH,
    UNDEFINED,
    WIDTH,
    tiff,
)  # fmt: skip
from .writers import by_tifffile, instead, other, plain, stack, then

THIRD = "slice_3.tif"
ONE = IMAGES[2]
MOST = 2**32 - 1


def _bad(name: str, data: bytes, words: str = THIRD, kind: str = "SliceReadError", *,
         found_by: str = "check", **more) -> Case:  # fmt: skip
    return Case(
        name, instead(THIRD, data), Refused(kind, (THIRD, words), found_by=found_by, **more)
    )


def _lie(name: str, change, words: str = THIRD, kind: str = "SliceReadError", **more) -> Case:
    return _bad(name, tiff(ONE, change), words, kind, **more)


def _sound(name: str, data: bytes) -> Case:
    return Case(name, instead(THIRD, data), Values(IMAGES))


def _first(
    name: str, change, words: str = "slice_1.tif", kind: str = "SliceReadError", **more
) -> Case:
    write = then(plain, other("slice_1.tif", tiff(IMAGES[0], change, **more)))
    return Case(name, write, Refused(kind, ("slice_1.tif", words), "open", "check"))


def _loop_of_two() -> bytes:
    first = tiff(ONE, next_at=0)
    second = len(first)
    # the second page is the first one's directory again, which leads back
    size = 2 + 12 * 10 + 4
    directory = bytearray(first[8 : 8 + size])
    directory[-4:] = struct.pack("<I", 8)
    whole = bytearray(first)
    whole[8 + size - 4 : 8 + size] = struct.pack("<I", second)
    return bytes(whole + directory)


def _damaged(codec: str) -> Case:
    """A byte in the middle of the only strip is another one."""

    def write(folder) -> None:
        stack(by_tifffile(compression=codec, rowsperstrip=32), _NOISE)(folder)
        path = folder / THIRD
        data = bytearray(path.read_bytes())
        at = len(data) * 3 // 4
        data[at : at + 4] = bytes(b ^ 0xFF for b in data[at : at + 4])
        path.write_bytes(bytes(data))

    return Case(f"damaged pixels, {codec}", write,
                Refused("SliceReadError", (THIRD, "can't be decoded", "Restore"), found_by="deep"))  # fmt: skip


_NOISE = np.random.default_rng(0).integers(0, 60_000, (5, 32, 48)).astype("u2")


def _deflated(*parts: bytes) -> bytes:
    return tiff(ONE, deflate=True, rows=7, strips=[zlib.compress(b"".join(parts))])


CASES = [
    # --- loops and places of directories ---
    _bad("the next directory is itself", tiff(ONE, next_at=8)),
    _bad("two directories that follow each other", _loop_of_two()),
    _bad("the first directory is beyond the end", tiff(ONE, first_at=10**6), "can't be read as TIFF"),
    _bad("the first directory is at 0", tiff(ONE, first_at=0), "can't be read as TIFF"),
    _bad("the first directory is within the header", tiff(ONE, first_at=2), "can't be read as TIFF"),
    _bad("no entries", tiff(ONE, entries=0)),
    _bad("65,535 entries", tiff(ONE, entries=65_535)),
    _bad("half the entries", tiff(ONE, entries=5)),
    _sound("levels that are their own levels", tiff(ONE, {SUB_IFDS: (LONG, [8])})),
    _bad("BigTIFF, the directory is beyond the end", tiff(ONE, big=True, first_at=2**62), "can't be read as TIFF"),
    _bad("BigTIFF, 2⁶³ entries", tiff(ONE, big=True, entries=2**63)),
    _bad("the version of no TIFF", b"II\x2b\x2a" + tiff(ONE)[4:], "can't be read as TIFF"),
    # --- shapes and types ---
    _lie("no columns", {WIDTH: (LONG, [0])}, "0 columns"),
    _lie("no rows", {LENGTH: (LONG, [0])}, "0 rows"),
    _lie("four thousand million columns", {WIDTH: (LONG, [MOST])}),
    _lie("four thousand million rows", {LENGTH: (LONG, [MOST])}),
    _first("2³² × 2³² pixels in the first slice", {WIDTH: (LONG, [MOST]), LENGTH: (LONG, [MOST]), ROWS: (LONG, [MOST])}),
    _first("2³² × 2³² compressed pixels in the first slice",
           {WIDTH: (LONG, [MOST]), LENGTH: (LONG, [MOST]), ROWS: (LONG, [MOST])}, deflate=True, rows=7),
    _first("2¹⁷ × 2¹⁷ compressed pixels in three strips",
           {WIDTH: (LONG, [2**17]), LENGTH: (LONG, [2**17]), ROWS: (LONG, [2**16])}, "can't hold", deflate=True),
    _lie("columns are missing in the directory", {WIDTH: None}),
    _lie("no bits a sample", {BITS: (SHORT, [0])}, kind="StackError"),
    _lie("65,535 bits a sample", {BITS: (SHORT, [65_535])}, kind="StackError"),
    _sound("no samples a pixel", tiff(ONE, {SAMPLES: (SHORT, [0])})),
    _lie("65,535 samples a pixel", {SAMPLES: (SHORT, [65_535])}, kind="StackError"),
    _lie("a compression that there isn't", {COMPRESSION: (SHORT, [64_999])}, "64999", kind="StackError"),
    _lie("a predictor that there isn't", {COMPRESSION: (SHORT, [8]), PREDICTOR: (SHORT, [99])}, "can't be decoded", found_by="deep"),
    # --- strips and tiles ---
    _lie("no rows a strip", {ROWS: (LONG, [0])}),
    _lie("tiles of no columns", {TILE_WIDTH: (LONG, [0]), TILE_LENGTH: (LONG, [16])}),
    _lie("no places of strips", {OFFSETS: None}),
    _lie("strips beyond the end", {OFFSETS: (LONG, [10**6, 10**6, 10**6])}, "truncated"),
    _lie("strips at the end of 32 bits", {OFFSETS: (LONG, [MOST, MOST, MOST])}, "truncated"),
    _lie("a strip of four thousand million bytes", {COUNTS: (LONG, [66, MOST, 22])}),
    _lie("a table of 2³² strips", {OFFSETS: (LONG, MOST, struct.pack("<I", 8))}),
    _lie("two strips too few", {OFFSETS: (LONG, [150]), COUNTS: (LONG, [66])}),
    _lie("strips of one row, and three of them", {ROWS: (LONG, [1])}),
    # --- what is in the strips ---
    _bad("a strip that unpacks to too little", _deflated(ONE[:5].tobytes()), "can't be decoded", found_by="deep"),
    _bad("a strip that unpacks to half a row too little", _deflated(ONE.tobytes()[:-11]), "can't be decoded",
         found_by="deep"),
    _bad("a strip that unpacks to a hundred megabytes", _deflated(ONE.tobytes(), bytes(10**8)), found_by="deep",
         or_values=IMAGES),
    _bad("plain bytes that are said to be compressed", tiff(ONE, {COMPRESSION: (SHORT, [8])}), "can't be decoded",
         found_by="deep"),
    *[_damaged(codec) for codec in ("zlib", "lzma")],
    # --- what doesn't matter, and must not ---
    _sound("a text of ten megabytes", tiff(ONE, {DESCRIPTION: (ASCII, b"x" * 10**7)})),
    _sound("a text that is no text", tiff(ONE, {DESCRIPTION: (ASCII, bytes(range(128, 256)))})),
    _sound("a tag that nobody knows", tiff(ONE, {60_000: (UNDEFINED, b"\xff" * 100)})),
    _bad("a text beyond the end", tiff(ONE, {DESCRIPTION: (ASCII, 10**6, struct.pack("<I", 10**7))}), "truncated"),
    _sound("a tag of a type that there isn't", tiff(ONE, {60_000: (99, 1, b"\0" * 4)})),
    Case("a private tag whose values are beyond the end",
         instead(THIRD, tiff(ONE, {60_000: (LONG, 10**6, struct.pack("<I", 10**7))})), Values(IMAGES)),
]  # fmt: skip
