"""Files that change between opening and reading."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .case import IMAGES, Case, Refused, Values
from .hand import tiff
from .writers import compressed, other, plain, then

THIRD = "slice_3.tif"
OTHER = tiff(IMAGES[2] + 1)


def _later(act: Callable[[Path], object]) -> Callable[[Path], None]:
    """Beyond the grain of any file system's clock, so that the time of the change can tell."""

    def between(folder: Path) -> None:
        time.sleep(0.02)
        act(folder / THIRD)

    return between


def _case(name: str, act: Callable[[Path], object], words: str = "was changed after", *, write=plain,
          asks: str = "changes") -> Case:  # fmt: skip
    return Case(
        name, write, Refused("SliceReadError", (THIRD, words)), between=_later(act), asks=asks
    )


def _older_one(path: Path) -> None:
    """Another file, which has been there for long, is moved to its place."""
    beside = path.with_name("elsewhere")
    beside.write_bytes(OTHER)
    os.utime(beside, (0, 0))
    os.replace(beside, path)


def _keep_time(path: Path) -> None:
    """Written anew, and given the time that it had."""
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _one_pixel(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\xff\xff")


def _shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(bytes(100))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _move_all(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere_25um_iso"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _link_to_another(path: Path) -> None:
    target = path.with_name("another.bin")
    target.write_bytes(OTHER)
    path.unlink()
    path.symlink_to(target.name)


def _link_to_an_older(path: Path) -> None:
    path.unlink()
    path.symlink_to("older.bin")


def _one_more(path: Path) -> None:
    shutil.copy(path, path.with_name("slice_6.tif"))


CASES = [
    _case("written anew", lambda p: p.write_bytes(OTHER)),
    _case("written anew, compressed", lambda p: p.write_bytes(tiff(IMAGES[2] + 1, deflate=True)), write=compressed),
    _case("written anew with its old time", _keep_time),
    _case("one pixel changed in place", _one_pixel),
    _case("replaced by an older file", _older_one),
    _case("replaced by a slice of another shape", lambda p: p.write_bytes(tiff(np.zeros((9, 9), "u2")))),
    _case("replaced by a text", lambda p: p.write_bytes(b"not a picture"), asks="errors"),
    _case("shortened", _shorten, asks="errors"),
    _case("shortened, compressed", _shorten, write=compressed, asks="errors"),
    _case("emptied", lambda p: os.truncate(p, 0), asks="errors"),
    _case("made longer", _append),
    _case("touched", lambda p: os.utime(p)),
    _case("removed", lambda p: p.unlink(), "is not there (any more)", asks="errors"),
    _case("removed, compressed", lambda p: p.unlink(), "is not there (any more)", write=compressed, asks="errors"),
    _case("made a folder", _folder, "slice_3.tif", asks="errors"),
    Case("the whole folder moved away", plain, Refused("SliceReadError", ("slice_1.tif", "is not there (any more)")),
         between=_later(_move_all), asks="errors"),
    Case("one more slice came", plain, Values(IMAGES), between=_later(_one_more)),
]  # fmt: skip

if hasattr(os, "mkfifo"):
    CASES += [
        _case("made a pipe", _fifo, "is a pipe", asks="errors"),
        _case("made a link to itself", _link_to_itself, "loop", asks="errors"),
        _case("made a link to another file", _link_to_another),
        _case(
            "made a link to an older file",
            _link_to_an_older,
            write=then(plain, other("older.bin", OTHER)),
        ),
    ]
