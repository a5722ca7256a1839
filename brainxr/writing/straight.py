"""A file that is written past the system's cache, where that can be had.

Into the cache each byte is copied once more, into new memory, by a processor that has
something else to do; and it stays there until somebody asks for it to be on the disk. What
is written here is asked to be there at once anyhow, and is often larger than all memory.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from brainxr.files.buffers import PAGE_BYTES

# Pieces that are shorter go through the cache: to wait for the disk takes longer then.
LEAST_BYTES = 1 << 18


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a file, in a folder that is there.

    Parameters
    ----------
    path : Path
    pieces : iterable of bytes or memoryview
        Those that begin with a page of memory and have whole ones may pass the cache.

    Raises
    ------
    OSError
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        file = _File(descriptor)
        for piece in pieces:
            file.write(memoryview(piece))
    finally:
        os.close(descriptor)


class _File:
    """An open file that is written from its start to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._may_pass = _is_on_a_disk(descriptor)
        self._passes = False

    def write(self, piece: memoryview) -> None:
        """Write it all: a call writes less than it was asked to when the disk is nearly full."""
        self._pass_cache(self._may_pass and _has_whole_pages(piece))
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._passes:
                    raise
                # larger pages than ours, or a place between two: through the cache from here on
                self._may_pass = False
                self._pass_cache(False)

    def _pass_cache(self, wanted: bool) -> None:
        if wanted != self._passes:
            self._passes = _set_direct(self._descriptor, wanted)


def _has_whole_pages(piece: memoryview) -> bool:
    if len(piece) < LEAST_BYTES or len(piece) % PAGE_BYTES:
        return False
    return np.frombuffer(piece, np.uint8).ctypes.data % PAGE_BYTES == 0


if sys.platform == "linux":
    import fcntl

    def _is_on_a_disk(descriptor: int) -> bool:
        """Whether it lies on a device of this machine.

        What is far away or in memory doesn't, nor what does more than keep bytes as they
        are (FUSE, btrfs, ZFS): to those the cache is a help.
        """
        return os.major(os.fstat(descriptor).st_dev) != 0

    def _set_direct(descriptor: int, wanted: bool) -> bool:
        """Have what is written pass the cache, or not; whether it does."""
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        flags = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
        except OSError:  # not on this file system
            return False
        return wanted

else:

    def _is_on_a_disk(descriptor: int) -> bool:
        """Not known here."""
        return False

    def _set_direct(descriptor: int, wanted: bool) -> bool:
        """Nothing is asked for, and nothing changes."""
        return False
