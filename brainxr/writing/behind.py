"""Files are written by threads of their own, while the bytes of the next ones are made.

    pieces ──▶ the queue of a writer ──▶ the disk ──▶ each is free again

A disk takes as long to write as the processors to pack. Threads that do one after the other
leave either idle, and more of them mostly wait for Python's lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import cycle
from queue import SimpleQueue
from typing import TypeAlias

from brainxr.files.pool import workers
from brainxr.writing.pieces import Piece
from brainxr.writing.straight import StraightFile

# Two, so that one writes while the other waits for the disk to say that it has a file.
LEAST_WRITERS, PROCESSORS_OF_A_WRITER = 2, 4

Job: TypeAlias = Callable[[], None]


class Behind:
    """Files that are written behind; safe in several threads at a time.

    Parameters
    ----------
    put : callable
        Gives a file that is written its name: is called by the writer with its path and that.
    """

    def __init__(self, put: Callable[[str, str], None]) -> None:
        self._put = put
        self._begun: list[_File] = []
        self._ended: SimpleQueue[None] = SimpleQueue()

    def write(self, new: str, path: str, pieces: Iterable[Piece]) -> None:
        """Make the pieces of a file, each of which is written and freed while the next is made.

        Parameters
        ----------
        new : str
            Path of the file until it is whole; it is removed when something fails.
        path : str
            What its name will be.
        pieces : iterable of Piece
        """
        file, hand_over = _File(new, path), next(_writers(os.getpid()))
        self._begun.append(file)
        try:
            for piece in pieces:
                hand_over(partial(file.write, piece))
        except BaseException as error:
            file.error = error  # so it isn't put in its place
            raise
        finally:
            hand_over(partial(file.end, self._put, self._ended))

    def wait(self) -> list[tuple[str, BaseException | None]]:
        """Wait until nothing is written any more; each file, and why it failed."""
        for _ in self._begun:
            self._ended.get()
        return [(file.path, file.error) for file in self._begun]


class _File:
    """A file whose jobs one writer does, in the order in which they were handed over."""

    def __init__(self, new: str, path: str) -> None:
        self.path = path
        self.error: BaseException | None = None
        self._new = new
        self._file: StraightFile | None = None

    def write(self, piece: Piece) -> None:
        """Write a piece, unless one before failed, and free it."""
        try:
            if self.error is None:
                self._file = self._file or StraightFile(self._new)
                self._file.write(piece.data, begins_with_a_page=True)
        except BaseException as error:
            self.error = error
        finally:
            piece.free()

    def end(self, put: Callable[[str, str], None], ended: SimpleQueue[None]) -> None:
        """Put a file that is whole in its place, and remove one that isn't."""
        try:
            if self._file is not None:
                self._file.close()
            if self.error is None:
                put(self._new, self.path)
        except BaseException as error:
            self.error = error
        if self.error is not None:
            with suppress(OSError):  # it need not be there; and who waits has to be told
                os.unlink(self._new)
        ended.put(None)


@lru_cache(maxsize=1)
def _writers(process: int) -> Iterator[Callable[[Job], None]]:
    """The writers in turn; each process has its own, for threads don't outlive a fork."""
    count = max(LEAST_WRITERS, workers() // PROCESSORS_OF_A_WRITER)
    return cycle([_begin_writer() for _ in range(count)])


def _begin_writer() -> Callable[[Job], None]:
    """Begin a thread that does jobs, one after the other; what hands it one."""
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_write, args=(jobs,), name="brainxr-write", daemon=True).start()
    return jobs.put


def _write(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get()()
