"""Names and order: what a slice is called says where it is."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import numpy as np

import brainxr

from .case import IMAGES, SPACING, Case, Refused, Values, names
from .writers import by_hand, by_tifffile, other, plain, stack, then

TWELVE = np.stack([np.full((3, 4), n, np.uint16) + IMAGES[0, :3, :4] for n in range(1, 13)])
SOUND = Values(IMAGES)
DEEP = "deep/" * 19 + "deep_25um_iso"


def _named(form: str, numbers=range(1, 6)):
    return stack(by_tifffile(), files=names(form, numbers))


def _of_bytes(folder: Path) -> None:
    """Latin-1, which is no UTF-8."""
    for n, image in enumerate(IMAGES, 1):
        by_hand()(Path(os.fsdecode(bytes(folder) + b"/sch\xe4del_%d.tif" % n)), image)


def _at(start: float, step: float) -> Values:
    """Positions that the names tell, in µm."""
    places = [start / step + n for n in range(5)]
    return Values(IMAGES, places, spacing={"z": step, "y": SPACING, "x": SPACING})


def _backwards(folder: Path):
    return brainxr.open(sorted(map(str, folder.iterdir()), reverse=True)).values


SLIDES = [(1, 3), (1, 4), (1, 5), (2, 1), (2, 2)]
CLOCK = [102233, 102241, 102250, 102258, 102307]
SHUFFLED = [3, 0, 4, 1, 2]

CASES = [
    Case("numbers without zeros in front", stack(by_tifffile(), TWELVE, names("s_{}.tif", range(1, 13))),
         Values(TWELVE), asks="order"),
    Case("numbers with zeros in front", _named("slice_{:04d}.tif"), SOUND),
    Case("from zero", _named("slice_{}.tif", range(5)), SOUND),
    Case("from 371", _named("slice_{}.tif", range(371, 376)), SOUND),
    Case("from 8 to 12", _named("slice_{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("in steps of ten, from 80", _named("slice_{}.tif", range(80, 130, 10)),
         Values(IMAGES, (0, 10, 20, 30, 40), ("SpacingWarning", ("in steps of 10 (80, 90, 100", "number='slice'"))),
         asks="order"),
    Case("the number in front", _named("{}_slice.tif", range(8, 13)), SOUND, asks="order"),
    Case("the number in the middle", _named("brain_{}_T2.tif", range(8, 13)), SOUND, asks="order"),
    Case("a constant number behind", _named("{}_brain_100.tif", range(8, 13)), SOUND, asks="order"),
    Case("a constant number in front", _named("FLASH25_T2_{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("the number alone", _named("{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("a date and a number", stack(by_tifffile(), files=[f"2026-0{n // 3 + 1}_{n}.tif" for n in range(8, 13)]),
         SOUND, asks="order"),
    Case("a hyphen is no minus", _named("brain-{}.tif", range(8, 13)), SOUND, asks="order"),
    Case("a name that begins with a hyphen", _named("-{}.tif"),
         Refused("StackError", ("can be read in 2 ways", "-5.tif, -4.tif", "-1.tif, -2.tif"), "open", or_values=IMAGES)),
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
    Case("brackets in the folder's name", then(lambda f: (f / "a [1]_25um_iso").mkdir(),
         lambda f: plain(f / "a [1]_25um_iso")), SOUND, path="a [1]_25um_iso"),
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
         Refused("StackError", ("z0.0.tif", "positions="), "open"), asks="places"),
    Case("lengths with a decimal point", stack(by_tifffile(), files=[f"bregma_{n / 10:.1f}mm.tif" for n in range(8, 13)]),
         _at(800, 100), asks="order"),
    Case("lengths with a sign", stack(by_tifffile(), files=[f"sec_{n / 4 - 0.5:.2f}mm.tif" for n in range(5)]),
         _at(-500, 250), asks="order"),
    Case("lengths at uneven distances", stack(by_tifffile(), files=[f"z{n}um.tif" for n in (9, 10, 30, 31.5, 120)]),
         Values(IMAGES, [9, 10, 30, 31.5, 120], spacing={"z": 1.0, "y": SPACING, "x": SPACING}), asks="order"),
    Case("a slide and a section", stack(by_tifffile(), files=[f"slide{s}_s{n}.tif" for s, n in SLIDES]),
         Refused("StackError", ("can be read in 2 ways", "slide1_s3.tif, slide1_s4.tif", "number='s'"), "open",
                 or_values=IMAGES)),
    Case("a section and a plane of it", stack(by_tifffile(), files=[f"section_{n // 2:03}_{n % 2}.tif" for n in range(5)]),
         Refused("StackError", (r"number=r'section_(\d+)_(\d+)'",), "open", or_values=IMAGES)),
    Case("an index and a clock", stack(by_tifffile(), files=[f"img_{n}_{CLOCK[n]}.tif" for n in range(5)]),
         Refused("StackError", ("can be read in 2 ways", "number='img'", "img_0_102233.tif"), "open", or_values=IMAGES)),
    Case("an index of z and a clock", stack(by_tifffile(), files=[f"img_z{n}_{CLOCK[n]}.tif" for n in range(5)]), SOUND),
    Case("the first file without a number", stack(by_tifffile(), files=["a.tif", *(f"a ({n}).tif" for n in range(1, 5))]),
         Refused("StackError", ("'a.tif'", "has no number of its own", "a.tif first"), "open", or_values=IMAGES)),
    Case("a channel behind z", then(*(other(f"S_z{z}_ch{c:02}.tif", IMAGES[z]) for z in range(5) for c in range(2))),
         Refused("StackError", ("2 stacks", "S_z[0-9]*_ch00.tif')  # 5 slices: ch00"), "open")),
    Case("a channel and a time before z",
         then(*(other(f"t{t}_C{c}_Z{z}.tif", IMAGES[z]) for t in range(2) for z in range(5) for c in range(2))),
         Refused("StackError", ("4 stacks", "t1_C0_Z[0-9]*.tif')  # 5 slices: t1 c0"), "open")),
    Case("nothing but channels", stack(by_tifffile(), files=[f"brain_ch{n}.tif" for n in range(5)]),
         Refused("StackError", ("number='ch'", "# 1 slice: ch0"), "open", or_values=IMAGES)),
    Case("nothing but laser lines", stack(by_tifffile(), files=[f"brain_{n}nm.tif" for n in (405, 488, 514, 561, 640)]),
         Refused("StackError", ("# 1 slice: brain 405nm",), "open", or_values=IMAGES)),
    Case("the order of a list", stack(by_tifffile(), IMAGES[::-1]), SOUND, act=_backwards, asks="options"),
    Case("a number that is named", stack(by_tifffile(), IMAGES[SHUFFLED], [f"s{n}_{m}.tif" for m, n in enumerate(SHUFFLED)]),
         SOUND, options={"number": "s"}, asks="options"),
    Case("no numbers at all", stack(by_tifffile(), files=[f"{c}.tif" for c in "abcde"]),
         Refused("StackError", ("5 stacks by their names",), "open", or_values=IMAGES)),
]  # fmt: skip

if sys.platform == "linux":  # elsewhere the system refuses such names itself
    CASES.append(Case("names that are no UTF-8", _of_bytes, SOUND))
