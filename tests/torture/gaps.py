"""Gaps and duplicates: slices that are missing, and slices that are there twice."""

from __future__ import annotations

import numpy as np

from .case import IMAGES, Case, Refused, Values, names
from .writers import by_tifffile, instead, other, plain, stack, then

FILLED = np.zeros((8, *IMAGES.shape[1:]), IMAGES.dtype)
FILLED[[0, 1, 4, 5, 7]] = IMAGES
WITH_GAPS = stack(by_tifffile(), files=names(numbers=[3, 4, 7, 8, 10]))
TWINS = "have slice number 3"


def _twice(*extra: str):
    return then(plain, *(other(name, IMAGES[2] + 1) for name in extra))


CASES = [
    Case("one number is missing", stack(by_tifffile(), files=names(numbers=[1, 2, 4, 5, 6])),
         Values(IMAGES, (0, 1, 3, 4, 5), ("SliceGapWarning", ("1 of 6", "number 3", "true positions"))), asks="places"),
    Case("several numbers are missing", WITH_GAPS,
         Values(IMAGES, (0, 1, 4, 5, 7), ("SliceGapWarning", ("3 of 8", "5-6, 9"))), asks="places"),
    Case("a number is missing in steps of ten", stack(by_tifffile(), files=names(numbers=[10, 20, 40, 50, 60])),
         Values(IMAGES, (0, 10, 30, 40, 50), ("SliceGapWarning", ("number 30",))), asks="places",
         options={"number": "slice"}),
    Case("every third number but one", stack(by_tifffile(), files=names(numbers=[1, 4, 7, 13, 16])),
         Values(IMAGES, (0, 3, 6, 12, 15), ("SliceGapWarning", ("number 10",))), asks="places",
         options={"number": "slice"}),
    Case("a gap of fifty thousand", stack(by_tifffile(), files=names(numbers=[1, 2, 3, 4, 50_000])),
         Values(IMAGES, (0, 1, 2, 3, 49_999), ("SliceGapWarning", ("5-49999",))), asks="places"),
    Case("gaps are filled where asked for", WITH_GAPS, Values(FILLED), options={"missing": "fill"}, asks="options"),
    Case("a volume is not multiplied", stack(by_tifffile(), files=names(numbers=[1, 20, 40, 90, 134])),
         Refused("StackError", ("134 slices of 5", "missing='keep'", "positions="), "open"),
         options={"missing": "fill"}, asks="options"),
    Case("gaps are refused where asked for", WITH_GAPS,
         Refused("StackError", ("3 of 8 slices are missing", "5-6, 9", "missing='fill'"), "open"),
         options={"missing": "raise"}, asks="options"),
    Case("a single slice", stack(by_tifffile(), IMAGES[:1], ["slice_7.tif"]), Values(IMAGES[:1])),
    Case("3 and 03", _twice("slice_03.tif"),
         Refused("StackError", (TWINS, "slice_3.tif", "slice_03.tif", "move the others"), "open"), asks="places"),
    Case("3.tif and 3.tiff", _twice("slice_3.tiff"),
         Refused("StackError", (TWINS, "slice_3.tif", "slice_3.tiff"), "open"), asks="places"),
    Case("3 and 3 (1), a second download", _twice("slice_3 (1).tif"),
         Refused("StackError", ("2 stacks by their names", "slice_3 (1)"), "open"), asks="places"),
    Case("3 and a copy of 3", _twice("slice_3 copy.tif"),
         Refused("StackError", ("2 stacks by their names", "slice_3 copy"), "open"), asks="places"),
    Case("two channels in one folder",
         then(*(other(f"{c}_{n}.tif", IMAGES[n]) for c in ("green", "red") for n in range(5))),
         Refused("StackError", ("10 TIFF files", "2 stacks", "green_[0-9]*.tif", "red_[0-9]*.tif"), "open"),
         asks="places"),
    Case("a mask beside each slice", _twice(*names("slice_{}_mask.tif")),
         Refused("StackError", ("10 TIFF files", "2 stacks", "slice_[0-9]*_mask.tif"), "open"), asks="places"),
    Case("blocks of numbers, each from 1",
         then(*(other(f"block{b}_{n}.tif", IMAGES[n]) for b in (1, 2) for n in range(5))),
         Refused("StackError", ("2 stacks", "block1_[0-9]*.tif", "block2_[0-9]*.tif"), "open"), asks="places"),
    Case("an overview among the slices", instead("overview.tif", np.zeros((3, 3), "u1")),
         Refused("StackError", ("2 stacks", "overview.tif"), "open"), asks="places"),
]  # fmt: skip
