"""Boxes as one graph of dask's: a task each, for threads, processes, or a cluster.

What was finished before is not done again, whatever it is that is written.
"""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt
import xarray as xr
from dask.base import compute, get_scheduler
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed
from dask.threaded import get as get_by_threads

from brainxr.cluster import active_client, run_tasks, told_by_worker
from brainxr.errors import StoreExistsError
from brainxr.files.pool import workers
from brainxr.lazy.lazyarray import StackArray
from brainxr.progress import Callback as Told
from brainxr.progress import Reporter
from brainxr.writing.target import Target, how_to_go_on

Box: TypeAlias = tuple[int, ...]


class Cut(Protocol):
    """How a volume is cut into boxes, all of one size but the last along each axis."""

    @property
    def box(self) -> tuple[int, ...]: ...
    @property
    def boxes(self) -> list[Box]: ...
    def place(self, box: Sequence[int]) -> tuple[slice, ...]: ...


class Writer(Protocol):
    """Writes boxes into what is unfinished; the same one in every thread and process.

    Attributes
    ----------
    store : Target
    blocking : Cut
    source : StackArray or None
        What is read; None where the values come with the call.
    """

    @property
    def store(self) -> Target: ...
    @property
    def blocking(self) -> Cut: ...
    @property
    def source(self) -> StackArray | None: ...

    def __call__(self, box: Box, values: npt.NDArray[Any] | None = None) -> Box:
        """Read a box, unless its values are given, write it, and note that it is written."""

    def fingerprint(self, box: Box) -> str:
        """Of the files that a box is read from; empty where it isn't read from files."""

    def that_fit(self, memory: int, shape: tuple[int, ...], itemsize: int) -> int:
        """How many boxes of a volume can be worked on in so many bytes."""


def write_missing(
    writer: Writer, data: xr.DataArray, memory: int, overwrite: bool, progress: bool,
    callback: Told | None, at_once: int | None = None,
) -> None:  # fmt: skip
    """Write the boxes that are not written yet.

    Parameters
    ----------
    writer : Writer
    data : xarray.DataArray
        The volume, as it is stored.
    memory : int
        Bytes.
    overwrite : bool
        Whether boxes whose source changed since are written again, or refused.
    progress : bool
        Whether to show a bar.
    callback : callable, optional
        Is given a `brainxr.progress.Progress` after each box.
    at_once : int, optional
        How many boxes make one graph. Default: all of them.

    Raises
    ------
    StoreExistsError
        When files changed from which boxes were written.
    """
    finished = _finished(writer, overwrite)
    missing = [box for box in writer.blocking.boxes if box not in set(finished)]
    sizes = {box: _bytes(writer.blocking.place(box), data) for box in writer.blocking.boxes}
    label = os.path.basename(writer.store.target)
    try:
        with Reporter(label, sizes, finished, progress, callback) as reporter:
            for boxes in _groups(missing, at_once or len(missing) or 1):
                run_boxes(writer, data, boxes, memory, reporter.finished)
    except BaseException as error:
        error.add_note(how_to_go_on(writer.store))
        raise


def _groups(boxes: Sequence[Box], size: int) -> Iterator[Sequence[Box]]:
    return (boxes[i : i + size] for i in range(0, len(boxes), size))


def _finished(writer: Writer, overwrite: bool) -> list[Box]:
    """Boxes that need not be written again; those whose slices changed are refused."""
    store, noted = writer.store, writer.store.finished()
    stale = [box for box, note in noted.items() if note.source != writer.fingerprint(box)]
    if stale and not overwrite:
        raise StoreExistsError(
            f"What is unfinished in {store.place!r} was made of files that were "
            f"changed since: {len(stale)} of {len(noted)} finished slabs. Put the files back, "
            "or have those slabs made again by overwrite=True."
        )
    store.forget(stale)
    return [box for box in noted if box not in set(stale)]


def _bytes(place: Sequence[slice], data: xr.DataArray) -> int:
    return data.dtype.itemsize * math.prod(part.stop - part.start for part in place)


def run_boxes(
    writer: Writer, data: xr.DataArray, boxes: Sequence[Box], memory: int,
    finished: Callable[[Box], object],
) -> None:  # fmt: skip
    """Write boxes, as many at a time as fit in memory.

    On the workers of a `dask.distributed.Client` where there is one, else by the
    scheduler that dask is configured for, which is threads.

    Parameters
    ----------
    writer : Writer
    data : xarray.DataArray
        The volume, as it is stored.
    boxes : sequence of tuple of int
        Those to write.
    memory : int
        Bytes.
    finished : callable
        Is given each box when it is written, in this thread or another one.
    """
    tasks = _tasks(writer, data, boxes)
    client = active_client()
    if client is None:
        _run_here(tasks, _at_once(writer, data, memory), finished)
    else:
        run_tasks(client, tasks, finished)


def _tasks(writer: Writer, data: xr.DataArray, boxes: Sequence[Box]) -> dict[str, Delayed]:
    shared = delayed(partial(_write_box, writer), traverse=False)
    # a cluster takes a task of the same name for the same task, whoever asks for it
    label = f"write-box-{uuid.uuid4().hex}"
    names = {box: "-".join([label, *(f"{i:06d}" for i in box)]) for box in boxes}
    if writer.source is not None:
        return {names[box]: shared(box, dask_key_name=names[box]) for box in boxes}
    values = data.chunk(dict(zip(data.dims, writer.blocking.box, strict=True))).data.to_delayed()
    return {names[box]: shared(box, values[box], dask_key_name=names[box]) for box in boxes}


def _write_box(writer: Writer, box: Box, values: npt.NDArray[Any] | None = None) -> Box:
    with told_by_worker(writer.store.place):
        return writer(box, values)


def _at_once(writer: Writer, data: xr.DataArray, memory: int) -> int:
    """How many boxes fit in memory at a time, and not more than there are processors, and one.

    The one more waits for the disk.
    """
    fit = writer.that_fit(memory, data.shape, data.dtype.itemsize)
    return max(1, min(workers() + 1, fit))


class _Finished(Callback):
    """Tells of each task when it is done."""

    def __init__(self, names: dict[str, Delayed], tell: Callable[[Box], object]) -> None:
        self._names = names
        self._tell = tell
        super().__init__(posttask=self._posttask)

    def _posttask(self, key: Any, result: Any, *_: Any) -> None:
        if key in self._names:
            self._tell(result)


def _run_here(tasks: dict[str, Delayed], at_once: int, finished: Callable[[Box], object]) -> None:
    with ExitStack() as until_all_ended, _Finished(tasks, finished):
        options: dict[str, Any] = {"num_workers": at_once}
        if get_scheduler(collections=list(tasks.values())) is get_by_threads:
            # of its own: after an error or a cancel, nothing is written any more
            options["pool"] = until_all_ended.enter_context(ThreadPoolExecutor(at_once))
        compute(*tasks.values(), **options)
