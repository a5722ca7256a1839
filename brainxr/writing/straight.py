"""A file that is written past the system's cache, where that can be had.

Into the cache each byte is copied once more, into new memory, by a processor that has
something else to do; and it stays there until somebody asks for it to be on the disk. What
is written here is asked to be there at once anyhow, and is often larger than all memory.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from brainxr.files.buffers import PAGE_BYTES

# What is shorter goes through the cache: to wait for the disk takes longer then.
LEAST_BYTES = 1 << 18

_FOR_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


def write_file(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file, in a folder that is there.

    Raises
    ------
    OSError
    """
    file = StraightFile(path)
    try:
        file.write(memoryview(content))
    finally:
        file.close()


class StraightFile:
    """A new file that is written from its start to its end.

    Parameters
    ----------
    path : str or Path
        In a folder that is there; a file that is there is emptied.

    Raises
    ------
    OSError
    """

    def __init__(self, path: str | Path) -> None:
        self._descriptor = os.open(path, _FOR_WRITING, 0o666)
        self._may_pass = _is_on_a_disk(self._descriptor)
        self._passes = False

    def write(self, piece: memoryview, begins_with_a_page: bool = False) -> None:
        """Write bytes; whole pages may pass the cache, from memory that begins with one."""
        pages = len(piece) - len(piece) % PAGE_BYTES
        if self._may_pass and begins_with_a_page and pages >= LEAST_BYTES:
            self._pass_cache(True)
            self._write_all(piece[:pages])
            piece = piece[pages:]
        if piece:
            self._pass_cache(False)
            self._write_all(piece)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write_all(self, piece: memoryview) -> None:
        """As often as it takes: a call writes less when the disk is nearly full."""
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
