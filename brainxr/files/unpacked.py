"""Bytes of a file by their place, also where the file is packed by gzip.

The only user of indexed_gzip, which remembers places in a packed file from which it can
go on: without it, each read unpacks everything before what is wanted.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

from brainxr.errors import VolumeReadError
from brainxr.files.forks import lock_that_survives_a_fork
from brainxr.files.openfile import OpenFile, truncated
from brainxr.files.rows import Fill, Span, read_spans

# Unpacked bytes between two places from which unpacking can go on: each takes 32 kB of
# memory, and half of this is unpacked for nothing at each jump.
INDEX_BYTES = 4 << 20


_RENEWAL = lock_that_survives_a_fork()
_LEFT_BY_PARENTS: list[Any] = []


class FileBytes(Protocol):
    """A file whose bytes are read by their place; safe in several threads at a time."""

    def opened(self) -> Any:
        """A context that gives a function which fills a buffer with stretches of the file."""


@dataclass(frozen=True)
class PlainFile:
    """A file as it is.

    Attributes
    ----------
    path : str
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    """

    path: str
    opened_at: int

    @contextmanager
    def opened(self) -> Iterator[Fill]:
        with OpenFile(self.path) as file:
            refuse_changed(self.path, os.fstat(file.descriptor), self.opened_at)
            yield partial(read_spans, file)


@dataclass(frozen=True)
class GzippedFile:
    """A file packed by gzip; places are those of what is unpacked.

    Attributes
    ----------
    path : str
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    """

    path: str
    opened_at: int
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)
    _process: int = field(default_factory=os.getpid, repr=False, compare=False)

    @contextmanager
    def opened(self) -> Iterator[Fill]:
        refuse_changed(self.path, os.stat(self.path), self.opened_at)
        self._renew_in_child()
        if has_index():
            yield self._fill_by_index
        else:
            with gzip.open(self.path) as stream:
                yield partial(_fill, self.path, stream)

    def _renew_in_child(self) -> None:
        """In a forked process, begin anew: another thread may have been reading."""
        if self._process == os.getpid():
            return
        with _RENEWAL:
            if self._process != os.getpid():
                # never closed: its own locks may be held by a thread that is not here
                _LEFT_BY_PARENTS.append(self.__dict__.pop("_indexed", None))
                self.__dict__.update(_lock=threading.Lock(), _process=os.getpid())

    @cached_property
    def _indexed(self) -> Any:
        import indexed_gzip

        # between two reads it holds no file open
        return indexed_gzip.IndexedGzipFile(self.path, spacing=INDEX_BYTES, drop_handles=True)

    def _fill_by_index(self, spans: list[Span], flat: memoryview) -> None:
        with self._lock:  # where the stream stands is one place for all threads
            try:
                _fill(self.path, self._indexed, spans, flat)
            except Exception:
                self.__dict__.pop("_indexed", None)  # nobody knows where it stands now
                raise


def has_index() -> bool:
    """Whether indexed_gzip is installed."""
    return importlib.util.find_spec("indexed_gzip") is not None


def refuse_changed(path: str, status: os.stat_result, opened_at: int) -> None:
    """Refuse a file that was written, or moved here, since it was opened."""
    now = time.time_ns()  # a clock that is ahead of ours can't tell
    if any(opened_at < at <= now for at in (status.st_mtime_ns, status.st_ctime_ns)):
        raise VolumeReadError(
            f"{path!r} was changed after it was opened, so its header may say something else now. "
            "Open it again."
        )


def _fill(path: str, stream: io.BufferedIOBase, spans: list[Span], flat: memoryview) -> None:
    for offset, start, stop in spans:
        stream.seek(offset)
        view = flat[start:stop]
        while view:
            count = stream.readinto(view)
            if not count:
                raise VolumeReadError(truncated(path, offset, offset + len(view)) + UNPACKED)
            view, offset = view[count:], offset + count


UNPACKED = " (These are bytes of what was packed in it.)"
