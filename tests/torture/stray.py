"""Stray and hidden files: what systems and programs leave in a folder of slices."""

from __future__ import annotations

import gzip
import io

import numpy as np
from PIL import Image

from .case import IMAGES, Case, Refused, Values
from .hand import tiff
from .writers import other, plain, then

SOUND = Values(IMAGES)
SIXTH = "slice_6.tif"


def _with(name: str, what: bytes = b"nothing to do with slices"):
    return then(plain, other(name, what))


def _foreign(words: str, name: str = SIXTH, found_by: str | None = "check") -> Refused:
    return Refused("SliceReadError", (name, words), found_by=found_by)


def _png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


CASES = [
    Case("README.txt", _with("README.txt"), SOUND),
    Case("Thumbs.db of Windows", _with("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)), SOUND),
    Case("desktop.ini", _with("desktop.ini", b"[.ShellClassInfo]"), SOUND),
    Case(".DS_Store of a Mac", _with(".DS_Store", b"\0\0\0\1Bud1" + bytes(500)), SOUND),
    Case("._slice_3.tif of a Mac", _with("._slice_3.tif", b"\0\5\x16\7\0\2\0\0Mac OS X"), SOUND),
    Case("a hidden slice", _with(".slice_6.tif", tiff(IMAGES[0] + 1)), SOUND),
    Case("a table of the slices", _with("slices.csv", b"name,z\nslice_1.tif,0\n"), SOUND),
    Case("sidecars in XML", _with("slice_3.tif.xml", b"<meta/>"), SOUND),
    Case("a backup of an editor", _with("slice_3.tif~", tiff(IMAGES[2] + 1)), SOUND),
    Case("an unfinished download", _with("slice_6.tif.part", tiff(IMAGES[0])[:99]), SOUND),
    Case("an archive of the slices", _with("slices.zip", b"PK\3\4" + bytes(99)), SOUND),
    Case("a folder of previews", _with("previews/slice_1.tif", tiff(IMAGES[0])), SOUND),
    Case("a folder named as a slice", _with("slice_6.tif/notes.txt"), SOUND, asks="kinds"),
    Case("a folder named as a slice of another kind", _with("old.tif/notes.txt"), SOUND, asks="kinds"),
    Case("an empty file named as a slice", _with(SIXTH, b""), _foreign("is empty (0 bytes)")),
    Case("a text named as a slice", _with(SIXTH, b"not a picture"), _foreign("can't be read as TIFF")),
    Case("a web page named as a slice", _with(SIXTH, b"<!DOCTYPE html><title>Log in</title>" * 20),
         _foreign("can't be read as TIFF")),
    Case("a PNG named as a slice", _with(SIXTH, _png(IMAGES[0])),
         Refused("SliceReadError", (SIXTH, "can't be read as TIFF"), found_by="check",
                 or_values=np.concatenate([IMAGES, IMAGES[:1]]))),
    Case("a gzipped slice without saying so", _with(SIXTH, gzip.compress(tiff(IMAGES[0]))),
         _foreign("can't be read as TIFF")),
    Case("zeros named as a slice", _with(SIXTH, bytes(1000)), _foreign("can't be read as TIFF")),
    Case("a text as the first slice", _with("slice_0.tif", b"not a picture"),
         Refused("SliceReadError", ("slice_0.tif", "can't be read as TIFF"), "open", found_by="check")),
    Case("a pointer of Git LFS", _with(SIXTH, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
         _foreign("git lfs pull")),
    Case("an empty folder", lambda folder: None,
         Refused("EmptyStackError", ("is empty",), "open"), asks="errors"),
    Case("no such folder", lambda folder: None,
         Refused("EmptyStackError", ("no file or folder", "nowhere"), "open"), path="nowhere", asks="errors"),
    Case("nothing but folders of slices", lambda f: (
         (f / "sub").mkdir(), plain(f / "sub")),
         Refused("EmptyStackError", ("what follows is in it", "brainxr.open("), "open"), asks="errors"),
    Case("nothing but other files", lambda f: (f / "notes.txt").write_text("x"),
         Refused("EmptyStackError", ("no TIFF slices", "notes.txt"), "open"), asks="errors"),
]  # fmt: skip
