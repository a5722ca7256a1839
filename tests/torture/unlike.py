"""Slices that are unlike: one that doesn't fit, and one that only is stored otherwise."""

from __future__ import annotations

import numpy as np

from .case import IMAGES, Case, Refused, Values
from .hand import ORIENTATION, PHOTOMETRIC, RATIONAL, SHORT, UNIT, X_RESOLUTION, tiff
from .writers import by_hand, by_opencv, by_pillow, by_tifffile, instead, other, plain, then

THIRD = "slice_3.tif"
ONE = IMAGES[2]
FLOATS = ONE.astype("f4") + 0.5


def _bad(what, words: str, write=None, **more) -> tuple:
    return instead(THIRD, what, write), Refused(
        "InconsistentStackError", (THIRD, words, "expected"), found_by="check", **more
    )


def _like(write) -> tuple:
    return instead(THIRD, ONE, write), Values(IMAGES)


CASES = [
    Case("a column less", *_bad(ONE[:, :-1], "has shape (7, 10), expected (7, 11)")),
    Case("a row more", *_bad(np.vstack([ONE, ONE[:1]]), "has shape (8, 11), expected (7, 11)")),
    Case("turned by 90°", *_bad(ONE.T.copy(), "has shape (11, 7), expected (7, 11)")),
    Case("as many pixels in another shape", *_bad(ONE.reshape(11, 7), "has shape (11, 7), expected (7, 11)")),
    Case("a single pixel", *_bad(ONE[:1, :1], "has shape (1, 1), expected (7, 11)")),
    Case("a single row, which could be repeated", *_bad(ONE[:1], "has shape (1, 11), expected (7, 11)")),
    Case("8 bits among 16", *_bad(ONE.astype("u1"), "has dtype uint8, expected uint16")),
    Case("signed among unsigned", *_bad(ONE.astype("i2"), "has dtype int16, expected uint16")),
    Case("floats among integers", *_bad(FLOATS, "has dtype float32, expected uint16")),
    Case("32 bits among 16", *_bad(ONE.astype("u4") + 70_000, "has dtype uint32, expected uint16")),
    Case("two pages among one", *_bad(IMAGES[2:4], "has 2 pages, expected 1"), asks="pages"),
    Case("colours among grey", instead(THIRD, np.stack([ONE] * 3, -1), by_tifffile(photometric="rgb")),
         Refused("StackError", (THIRD, "3 samples a pixel (RGB)", "grey"), found_by="check")),
    Case("one with a mask of transparency", instead(THIRD, np.stack([ONE] * 2, -1),
         by_tifffile(extrasamples=["unassalpha"], planarconfig="contig")),
         Refused("StackError", (THIRD, "2 samples a pixel", "grey"), found_by="check")),
    Case("white is zero in one", *_bad(ONE, "has photometric MINISWHITE, expected MINISBLACK", by_hand(change={PHOTOMETRIC: (SHORT, [0])}))),
    Case("one upside down by its tag", *_bad(ONE, "has orientation 3", by_hand(change={ORIENTATION: (SHORT, [3])}))),
    Case("the first one is unlike", then(plain, other("slice_1.tif", IMAGES[0][:, :-1])),
         Refused("InconsistentStackError", ("slice_2.tif", "has shape (7, 11), expected (7, 10)"))),
    Case("another byte order", *_like(by_hand(order=">"))),
    Case("compressed among plain", *_like(by_tifffile(compression="zlib"))),
    Case("tiles among strips", *_like(by_tifffile(tile=(16, 16)))),
    Case("BigTIFF among TIFF", *_like(by_tifffile(bigtiff=True))),
    Case("other strips", *_like(by_tifffile(rowsperstrip=2))),
    Case("by another program: Pillow", *_like(by_pillow())),
    Case("by another program: OpenCV", *_like(by_opencv())),
    Case("with another resolution", *_like(by_hand(change={X_RESOLUTION: (RATIONAL, [(300, 1)]), UNIT: (SHORT, [2])}))),
    Case("with a text of its own", *_like(by_tifffile(description="exposed twice " * 9))),
    Case("bytes behind the pixels", instead(THIRD, tiff(ONE) + bytes(5000)), Values(IMAGES)),
    Case("all plain in five ways", then(plain, other("slice_2.tif", IMAGES[1], by_hand(order=">")),
         other("slice_3.tif", IMAGES[2], by_opencv()), other("slice_4.tif", IMAGES[3], by_pillow()),
         other("slice_5.tif", IMAGES[4], by_tifffile(bigtiff=True, byteorder=">", compression="lzw"))), Values(IMAGES)),
]  # fmt: skip
