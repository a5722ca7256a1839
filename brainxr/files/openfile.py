"""An open file of slices, of which any stretch can be read: on the disk, in a zip, in memory.

Whatever reads slices asks such a file for bytes at a place, and never asks where they come from.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from typing import IO, Any, Protocol, Self, TypeAlias

from brainxr.errors import SliceReadError, StackError
from brainxr.files.annex import not_fetched
from brainxr.files.filekinds import refuse_no_file

# Bytes of stretches: first, and the one after the last.
Fetch: TypeAlias = Callable[[Sequence[tuple[int, int]]], list[bytes]]

# Of a file that is far away, so much is fetched where a few bytes are asked for.
READ_AHEAD = 1 << 14

# Without waiting: a pipe that is opened to be read waits until somebody writes into it.
FOR_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)

# And not through a link, of which it has to be known when it was made.
NO_LINK = getattr(os, "O_NOFOLLOW", 0)

if hasattr(os, "preadv"):

    def read_into(descriptor: int, view: memoryview, offset: int) -> int:
        """Read up to the buffer's size from a place in an open file; the number of bytes."""
        return os.preadv(descriptor, (view,), offset)

else:  # Windows

    def read_into(descriptor: int, view: memoryview, offset: int) -> int:
        """Read up to the buffer's size from a place in an open file; the number of bytes."""
        with io.FileIO(descriptor, closefd=False) as file:
            file.seek(offset)
            return file.readinto(view) or 0


class OpenFile:
    """A file on the disk.

    Attributes
    ----------
    path : str
        For messages.
    size : int
        Bytes.
    times : tuple of int
        When it was modified and when its inode was (on Windows, when it was made), in
        nanoseconds since the epoch: an older file that was moved here shows in the latter.
        Of a link, also when that was made: what it leads to may be older, and another file.
    """

    __slots__ = ("descriptor", "path", "size", "times")

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor, linked = _opened(path)
        status = os.fstat(self.descriptor)
        try:
            refuse_no_file(path, status.st_mode)
        except StackError:
            os.close(self.descriptor)
            raise
        self.size = status.st_size
        self.times = (status.st_mtime_ns, status.st_ctime_ns, *linked)

    def read_into(self, view: memoryview, offset: int) -> int:
        """Read up to the buffer's size from a place in the file; the number of bytes."""
        return read_into(self.descriptor, view, offset)

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from a place in the file."""
        # a directory may ask for more than any memory has
        buffer = bytearray(max(0, min(count, self.size - offset)))
        return bytes(buffer[: self.read_into(memoryview(buffer), offset)])

    def has(self, count: int) -> bool:
        """Whether it has so many bytes."""
        return self.size >= count

    def is_unchanged(self) -> bool:
        """Whether nothing was written to it since it was opened."""
        status = os.fstat(self.descriptor)
        return self.times[:2] == (status.st_mtime_ns, status.st_ctime_ns)

    def expect(self, stretches: Sequence[tuple[int, int]]) -> None:
        """Hear which stretches will be read next: places, and bytes. A disk has no use for it."""

    def for_a_parser(self) -> str | IO[bytes]:
        """What a library that reads files is given: the path, or the bytes as a file."""
        return self.path

    def close(self) -> None:
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: str) -> tuple[int, tuple[int, ...]]:
    """A file's descriptor; of a link, also when it was made."""
    try:
        return os.open(path, FOR_READING | NO_LINK), ()
    except OSError as error:
        if not is_of_a_link(error):
            raise
    made = os.lstat(path).st_ctime_ns
    return os.open(path, FOR_READING), (made,)


def is_of_a_link(error: OSError) -> bool:
    """Whether a file was not opened since it is a link, or leads back to itself."""
    return error.errno in (errno.ELOOP, errno.EMLINK)  # the latter in FreeBSD


class Stretch(OpenFile):
    """A stretch of an open file, which is a file of its own: what a zip stores as it is."""

    __slots__ = ("start", "whole")

    def __init__(self, whole: OpenFile, path: str, start: int, size: int) -> None:
        self.path = path
        self.whole = whole
        self.descriptor = whole.descriptor
        self.size = size
        self.times = whole.times
        self.start = start

    def read_into(self, view: memoryview, offset: int) -> int:
        if offset + len(view) > self.size:  # what follows belongs to others
            view = view[: max(0, self.size - offset)]
        return read_into(self.descriptor, view, self.start + offset)

    def for_a_parser(self) -> IO[bytes]:
        return io.BufferedReader(_Stream(self))


class Held(OpenFile):
    """A file that is in memory."""

    __slots__ = ("data",)

    def __init__(self, whole: OpenFile, path: str, data: memoryview) -> None:
        self.path = path
        self.size = len(data)
        self.times = whole.times
        self.data = data

    def read_into(self, view: memoryview, offset: int) -> int:
        part = self.data[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)

    def for_a_parser(self) -> IO[bytes]:
        return io.BufferedReader(_Stream(self))

    def close(self) -> None:
        pass


class FarFile(OpenFile):
    """A file that it takes a while to reach, so that it is asked for more at a time.

    Parameters
    ----------
    path : str
        For messages.
    size : int
        As far as it is known; else more than any file has.
    fetch : callable
        Gives the bytes of several stretches: first byte, and the one after the last.
    """

    __slots__ = ("expected", "fetch", "kept")

    def __init__(self, path: str, size: int, fetch: Fetch) -> None:
        self.path = path
        self.descriptor = -1
        self.size = size
        self.times = (0, 0)
        self.fetch = fetch
        self.kept: list[tuple[int, bytes]] = []
        self.expected: list[tuple[int, bytes]] = []

    def read_into(self, view: memoryview, offset: int) -> int:
        data = self._known(offset, len(view))
        if data is None:
            data = memoryview(self.fetch([(offset, offset + len(view))])[0])
        view[: len(data)] = data
        return len(data)

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes; around a few, more are fetched, as a header is many small parts."""
        data = self._known(offset, count)
        if data is None:
            fetched = self.fetch([(offset, min(self.size, offset + max(count, READ_AHEAD)))])[0]
            self.kept.append((offset, fetched))
            data = memoryview(fetched)[:count]
        return bytes(data)

    def has(self, count: int) -> bool:
        """Whether it has so many bytes, by a look at the last, as nobody may have told its size."""
        return self.size >= count and len(self.read(max(0, count - 1), 1)) == min(1, count)

    def _known(self, offset: int, count: int) -> memoryview | None:
        for start, data in (*self.expected, *self.kept):
            if start <= offset and offset + count <= start + len(data):
                return memoryview(data)[offset - start : offset - start + count]
        return None

    def expect(self, stretches: Sequence[tuple[int, int]]) -> None:
        wanted = [(at, at + count) for at, count in stretches if self._known(at, count) is None]
        starts = [start for start, _ in wanted]
        self.expected = list(zip(starts, self.fetch(wanted), strict=True)) if wanted else []

    def for_a_parser(self) -> IO[bytes]:
        return io.BufferedReader(_Stream(self), READ_AHEAD)

    def close(self) -> None:
        pass


class FarStretch(Stretch):
    """A stretch of a file that it takes a while to reach."""

    __slots__ = ()

    def read_into(self, view: memoryview, offset: int) -> int:
        view = view[: max(0, self.size - offset)]
        return self.whole.read_into(view, self.start + offset)

    def read(self, offset: int, count: int) -> bytes:
        return self.whole.read(self.start + offset, max(0, min(count, self.size - offset)))

    def expect(self, stretches: Sequence[tuple[int, int]]) -> None:
        self.whole.expect([(self.start + at, count) for at, count in stretches])

    def close(self) -> None:
        self.whole.close()


class _Stream(io.RawIOBase):
    """What is open, with a place from which the next bytes are read. Closing it closes nothing."""

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.file.size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset}")
        self.at = start + offset
        return self.at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.file.read(self.at, min(len(view), max(0, self.file.size - self.at)))
        view[: len(data)] = data
        self.at += len(data)
        return len(data)


class Container(Protocol):
    """What has the slices of a stack in it, where they are no files of their own.

    Picklable, and safe in several threads at a time.

    Attributes
    ----------
    path : str
        Its own.
    unpacks : bool
        Whether to read any part of a slice is to unpack all of it.
    is_far : bool
        Whether most of the time is spent waiting, so that many should be read at a time.
    """

    @property
    def path(self) -> str: ...
    @property
    def unpacks(self) -> bool: ...
    @property
    def is_far(self) -> bool: ...

    def open(self, number: int, path: str) -> OpenFile:
        """Open a slice.

        Parameters
        ----------
        number : int
            Which of the stack's.
        path : str
            Its name, for messages.
        """

    def read_each(
        self, numbers: Sequence[int], path: Callable[[int], str], offset: int, flat: memoryview,
        size: int, opened_at: int,
    ) -> list[int]:  # fmt: skip
        """Read one stretch of each of several slices, one after another into a buffer.

        Parameters
        ----------
        numbers : sequence of int
            Which of the stack's; -1 for none.
        path : callable
            Gives the name of each.
        offset, size : int
            Which bytes of each.
        flat : memoryview
        opened_at : int
            Nanoseconds since the epoch; what was changed later isn't read.

        Returns
        -------
        list of int
            Places in `numbers` of those that have to be read one by one, for whatever reason.
        """

    def fingerprint(self, names: Sequence[str]) -> str:
        """Digest of the names of slices and of what tells that they were not changed."""


def open_file(path: str) -> OpenFile:
    """Open a file on the disk.

    Raises
    ------
    SliceReadError
    """
    try:
        return OpenFile(path)
    except StackError:
        raise
    except OSError as error:
        raise SliceReadError(unreadable(path, error)) from error


# --- messages -----------------------------------------------------------------------


def unreadable(path: str, error: OSError) -> str:
    """The message for a file that the system doesn't let us read."""
    if isinstance(error, FileNotFoundError):
        lost = f"{path!r} is not there (any more). Restore it, or open the stack again."
        return not_fetched(path) or lost
    if isinstance(error, PermissionError):
        return f"{path!r} may not be read: permission denied. Ask its owner for read access."
    if error.errno == errno.ELOOP:
        return f"{path!r} is a link that leads back to itself (a loop). Put the slice there."
    if error.errno == errno.ENXIO:
        return f"{path!r} is a socket, and a slice is a plain file. Move it elsewhere."
    return (
        f"{path!r} can't be read: {error.strerror or error}. Look after the disk or the network "
        "that it is on, and open the stack again."
    )


def truncated(path: str, found: int | str, expected: int) -> str:
    """The message for a file that is too short."""
    return (
        f"{path!r} is truncated: {found} bytes found, at least {expected} expected. Restore it "
        "from its source."
    )
