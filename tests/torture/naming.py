"""Names and order: what a slice is called says where it is."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import numpy as np

from .case import IMAGES, Case, Refused, Values, names
from .writers import by_hand, by_tifffile, plain, stack, then

TWELVE = np.stack([np.full((3, 4), n, np.uint16) + IMAGES[0, :3, :4] for n in range(1, 13)])
SOUND = Values(IMAGES)
DEEP = "deep/" * 19 + "deep_25um"


def _named(form: str, numbers=range(1, 6)):
    return stack(by_tifffile(), files=names(form, numbers))


def _of_bytes(folder: Path) -> None:
    """Latin-1, which is no UTF-8."""
    for n, image in enumerate(IMAGES, 1):
        by_hand()(Path(os.fsdecode(bytes(folder) + b"/sch\xe4del_%d.tif" % n)), image)


CASES = [
    Case("numbers without zeros in front", stack(by_tifffile(), TWELVE, names("s_{}.tif", range(1, 13))),
         Values(TWELVE), asks="order"),
    Case("numbers with zeros in front", _named("slice_{:04d}.tif"), SOUND),
    Case("from zero", _named("slice_{}.tif", range(5)), SOUND),
    Case("from 371", _named("slice_{}.tif", range(371, 376)), SOUND),
    Case("from 8 to 12", _named("slice_{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("in steps of ten, from 80", _named("slice_{}.tif", range(80, 130, 10)), SOUND, asks="order"),
    Case("the number in front", _named("{}_slice.tif", range(8, 13)), SOUND, asks="order"),
    Case("the number in the middle", _named("brain_{}_T2.tif", range(8, 13)), SOUND, asks="order"),
    Case("a constant number behind", _named("{}_brain_100.tif", range(8, 13)), SOUND, asks="order"),
    Case("a constant number in front", _named("FLASH25_T2_{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("the number alone", _named("{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("a date and a number", stack(by_tifffile(), files=[f"2026-0{n // 3 + 1}_{n}.tif" for n in range(8, 13)]),
         SOUND, asks="order"),
    Case("a hyphen is no minus", _named("brain-{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("a name that begins with a hyphen", _named("-{}.tif"), SOUND),
    Case("written in the wrong order", stack(by_tifffile(), IMAGES[::-1], names("slice_{}.tif", range(5, 0, -1))),
         SOUND),
    Case("capital letters in the suffix", _named("slice_{}.TIF"), SOUND, asks="suffixes"),
    Case(".tiff", _named("slice_{}.tiff"), SOUND, asks="suffixes"),
    Case("three ways to write the suffix", stack(by_tifffile(), files=["a_1.tif", "a_2.TIF", "a_3.tiff",
         "a_4.Tiff", "a_5.tif"]), SOUND, asks="suffixes"),
    Case("spaces, quotes, a hash and a percent sign", _named("my \"best\" brain's 100% #{}.tif"), SOUND),
    Case("brackets in the names", _named("brain [copy] ({}).tif"), SOUND),
    Case("a question mark and an asterisk", _named("what?*_{}.tif"), SOUND),
    Case("a line break in the names", _named("slice\n{}.tif"), SOUND),
    Case("Greek, Chinese and an emoji", _named("εγκέφαλος_大脑_🧠_{}.tif"), SOUND),
    Case("Arabic digits", stack(by_tifffile(), files=[f"slice_{d}.tif" for d in "١٢٣٤٥"]), SOUND),
    Case("names of 255 bytes", _named("x" * 247 + "_{:03d}.tif"), SOUND),
    Case("twenty folders deep", then(lambda f: (f / DEEP).mkdir(parents=True),
         lambda f: plain(f / DEEP)), SOUND, path=DEEP),
    Case("brackets in the folder's name", then(lambda f: (f / "a [1]_25um").mkdir(),
         lambda f: plain(f / "a [1]_25um")), SOUND, path="a [1]_25um"),
    Case("one letter composed in two ways",
         stack(by_tifffile(), files=[unicodedata.normalize("NFD" if n == 3 else "NFC", f"schädel_{n}.tif")
                                     for n in range(1, 6)]),
         Refused("StackError", ("are 2 stacks by their names", "brainxr.open("), "open", or_values=IMAGES)),
    Case("numbers of thirty digits", _named("slice_{:030d}.tif", range(10**29, 10**29 + 5)),
         Refused("StackError", ("they don't count slices", "Rename"), "open", or_values=IMAGES)),
    Case("numbers that are identifiers", stack(by_tifffile(), files=names("s_{}.tif",
         [17, 90_210_455, 3_000_000_019, 3_000_000_020, 7_777_777_777])),
         Refused("StackError", ("they don't count slices", "Rename"), "open", or_values=IMAGES)),
    Case("heights with a decimal point", stack(by_tifffile(), files=[f"z{n / 2}.tif" for n in range(5)]),
         Refused("StackError", ("z0.0.tif",), "open"), asks="places"),
    Case("no numbers at all", stack(by_tifffile(), files=[f"{c}.tif" for c in "abcde"]),
         Refused("StackError", ("5 stacks by their names",), "open", or_values=IMAGES)),
]  # fmt: skip

if sys.platform == "linux":  # elsewhere the system refuses such names itself
    CASES.append(Case("names that are no UTF-8", _of_bytes, SOUND))
