"""What isn't a plain file and has the name of a slice: links, loops, pipes, devices, sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from .case import IMAGES, Case, Refused, Values
from .hand import tiff
from .writers import plain, then

SOUND = Values(IMAGES)
SIXTH = "slice_6.tif"


def _links(folder: Path) -> None:
    kept = folder.parent / "kept"
    kept.mkdir()
    plain(kept)
    for name in os.listdir(kept):
        (folder / name).symlink_to(kept / name)


def _hard_links(folder: Path) -> None:
    kept = folder.parent / "kept"
    kept.mkdir()
    plain(kept)
    for name in os.listdir(kept):
        os.link(kept / name, folder / name)


def _linked_folder(folder: Path) -> None:
    (folder / "real").mkdir()
    plain(folder / "real")
    (folder / "link_25um_iso").symlink_to("real")


def _one_file_five_times(folder: Path) -> None:
    (folder / "one.bin").write_bytes(tiff(IMAGES[0]))
    for n in range(1, 6):
        (folder / f"slice_{n}.tif").symlink_to("one.bin")


def _sparse(folder: Path) -> None:
    """Holes in the files: what was never written takes no room, and reads as zeros."""
    for n in range(1, 6):
        data = tiff(IMAGES[n - 1])
        with open(folder / f"slice_{n}.tif", "wb") as file:
            file.write(data[:-154])
            file.truncate(len(data))


def _and(make, name: str = SIXTH):
    return then(plain, lambda folder: make(folder / name))


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have a hundred bytes only
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def _refused(words: str, at: str = "read", name: str = SIXTH, kind: str = "SliceReadError",
             found_by: str | None = "check") -> Refused:  # fmt: skip
    return Refused(kind, (name, words), at, found_by)


CASES = [
    Case("links to the slices", _links, SOUND),
    Case("hard links to the slices", _hard_links, SOUND),
    Case("a link to the folder", _linked_folder, SOUND, path="link_25um_iso"),
    Case("five links to one file", _one_file_five_times, Values(IMAGES[[0] * 5])),
    Case("files with holes", _sparse, Values(IMAGES * 0)),
    Case("a link to nothing", _and(lambda p: p.symlink_to("gone.tif")), _refused("is not there")),
    Case("a link to itself", _and(lambda p: p.symlink_to(p.name)), _refused("loop")),
    Case("two links to each other", _and(lambda p: (p.symlink_to("b"), (p.parent / "b").symlink_to(p.name))),
         _refused("loop")),
    Case("a link to its own folder", _and(lambda p: p.symlink_to(".")), SOUND),
    Case("a pipe", _and(os.mkfifo), _refused("is a pipe")),
    Case("a pipe as the first slice", _and(os.mkfifo, "slice_0.tif"), _refused("is a pipe", "open", "slice_0.tif")),
    Case("a pipe by its own path", lambda f: os.mkfifo(f / SIXTH),
         _refused("is a pipe", "open", found_by=None), path=SIXTH, asks="pages"),
    Case("a device that gives zeros for ever", _and(lambda p: p.symlink_to("/dev/zero")), _refused("is a device")),
    Case("a device that gives nothing", _and(lambda p: p.symlink_to("/dev/null")), _refused("is a device")),
    Case("a device by its own path", lambda f: (f / SIXTH).symlink_to("/dev/zero"),
         _refused("is a device", "open", found_by=None), path=SIXTH, asks="pages"),
    Case("a socket", _and(_socket), _refused("is a socket")),
    Case("a link to itself by its own path", lambda f: (f / SIXTH).symlink_to(SIXTH),
         _refused("loop", "open", kind="EmptyStackError", found_by=None), path=SIXTH, asks="errors"),
    Case("a link to nothing by its own path", lambda f: (f / SIXTH).symlink_to("gone.tif"),
         _refused("is a link to 'gone.tif'", "open", kind="EmptyStackError", found_by=None), path=SIXTH, asks="errors"),
]  # fmt: skip

if not hasattr(os, "mkfifo"):  # Windows has none of these, and links only for some users
    CASES = []
