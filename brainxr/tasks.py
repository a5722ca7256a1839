"""Boxes as one graph of dask's: a task each, for threads, processes, or a cluster."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import xarray as xr
from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from brainxr.blocking import BOXES_OF_A_TASK, CHUNKS_OF_A_THREAD
from brainxr.boxwriter import BoxWriter
from brainxr.pool import workers

Box: TypeAlias = tuple[int, ...]


def run_boxes(
    writer: BoxWriter, data: xr.DataArray, boxes: Sequence[Box], memory: int,
    finished: Callable[[Box], object],
) -> None:  # fmt: skip
    """Write boxes, as many at a time as fit in memory.

    On the workers of a `dask.distributed.Client` where there is one, else by the
    scheduler that dask is configured for, which is threads.

    Parameters
    ----------
    writer : BoxWriter
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
    client = _client()
    if client is None:
        _run_here(tasks, _at_once(writer, data, memory), finished)
    else:
        _run_there(client, tasks, finished)


def _tasks(writer: BoxWriter, data: xr.DataArray, boxes: Sequence[Box]) -> dict[str, Delayed]:
    shared = delayed(writer, traverse=False)
    names = {box: f"write-box-{'-'.join(f'{i:06d}' for i in box)}" for box in boxes}
    if writer.source is not None:
        return {names[box]: shared(box, dask_key_name=names[box]) for box in boxes}
    values = data.chunk(dict(zip(data.dims, writer.blocking.box, strict=True))).data.to_delayed()
    return {names[box]: shared(box, values[box], dask_key_name=names[box]) for box in boxes}


def _at_once(writer: BoxWriter, data: xr.DataArray, memory: int) -> int:
    """How many boxes fit in memory at a time, and not more than two a processor.

    Two, so that one is packed while the other waits for the disk.
    """
    blocking, itemsize = writer.blocking, data.dtype.itemsize
    box = itemsize * math.prod(map(min, blocking.box, data.shape))
    chunk = itemsize * math.prod(blocking.levels[0].chunks)
    left = memory - workers() * CHUNKS_OF_A_THREAD * chunk
    a_task = (BOXES_OF_A_TASK + writer.store.holds) * box
    return max(1, min(2 * workers(), int(left / a_task)))


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
    with _Finished(tasks, finished):
        compute(*tasks.values(), num_workers=at_once)


def _run_there(client: Any, tasks: dict[str, Delayed], finished: Callable[[Box], object]) -> None:
    from distributed import as_completed

    futures = client.compute(list(tasks.values()))
    try:
        for future in as_completed(futures):
            finished(future.result())
    finally:
        client.cancel(futures)


def _client() -> Any:
    """The client of a cluster, if somebody made one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None
