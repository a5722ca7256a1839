"""A cluster of dask's, where somebody has made one: its client, its work, and what its workers say.

The only module that imports distributed, and only where something else has imported it before.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brainxr.errors import SliceReadError

if TYPE_CHECKING:
    from dask.delayed import Delayed

Result = TypeVar("Result")

# Where kinds of errors are from that are made of a message alone.
_MADE_OF_A_MESSAGE = {"builtins", SliceReadError.__module__}


def active_client() -> Any:
    """The client of a cluster that does the work; None where nobody made one, and on a worker.

    A task that waited for other tasks would keep the thread that they need.

    Raises
    ------
    RuntimeError
        When it is asynchronous here: its results are promises, and nothing would be written.
    """
    if "distributed" not in sys.modules or _worker() is not None:
        return None
    from distributed import default_client

    try:
        client = default_client()
    except ValueError:
        return None
    if client.asynchronous:
        raise RuntimeError(
            f"The client of the cluster at {client.scheduler.address!r} is asynchronous, and "
            "brainxr waits for its results, which would stop the event loop that brings them. Call "
            "brainxr in a thread, by asyncio.to_thread, or make a client without asynchronous=True."
        )
    return client


def in_order(
    client: Any, work: Callable[..., Result], items: Sequence[Any], *more: Sequence[Any]
) -> Iterator[Result]:
    """What becomes of each item, in order, on the workers of a cluster.

    What does the work is sent once, with all it knows; results wait on the workers until
    they are taken. What isn't done when the iteration ends is not begun any more.

    Parameters
    ----------
    client : distributed.Client
    work : callable
    items, *more : sequence
        Arguments of each call; of an array of dask's, its values.
    """
    from dask.delayed import delayed

    shared = delayed(work, traverse=False)
    futures = client.compute([shared(*each) for each in zip(items, *more, strict=True)])
    try:
        for future in futures:
            yield future.result()
    finally:
        client.cancel(futures)


def run_tasks(client: Any, tasks: Mapping[str, Delayed], finished: Callable[[Any], object]) -> None:
    """Run tasks on the workers of a cluster, and tell of the result of each when it is there."""
    from distributed import as_completed

    futures = client.compute(list(tasks.values()))
    try:
        for future in as_completed(futures):
            finished(future.result())
    finally:
        client.cancel(futures)


# --- what a worker says of itself ---------------------------------------------------


@contextmanager
def told_by_worker(place: str) -> Iterator[None]:
    """Have an error about files say which worker met it, where a worker did.

    Parameters
    ----------
    place : str
        Folder, file or URL that is read or written.
    """
    try:
        yield
    except OSError as error:
        worker = _worker()
        if worker is None or hasattr(error, "worker"):
            raise
        said = f"{error} That was on {_named(worker)}."
        # others' kinds may be made of other things than a message
        kind = type(error) if type(error).__module__ in _MADE_OF_A_MESSAGE else OSError
        told = kind(said if is_seen(place) else _unseen(worker, place, str(error)))
        told.worker = worker.address  # type: ignore[attr-defined]
        raise told from error


def refuse_unseen(place: str) -> None:
    """Refuse to begin on a worker what it can't reach, where every slice would be an error.

    Raises
    ------
    SliceReadError
    """
    worker = _worker()
    if worker is not None and not is_seen(place):
        raise SliceReadError(_unseen(worker, place, "nothing is there, or it may not be read"))


def is_seen(place: str) -> bool:
    """Whether this process can read a folder, a file, or a file that has the place in it (a zip).

    Of a URL nobody asks.
    """
    if "://" in place:
        return True
    path = Path(place)
    there = next(str(p) for p in (path, *path.parents) if os.path.lexists(p) or p == p.parent)
    entered = os.R_OK | (os.X_OK if os.path.isdir(there) else 0)
    return os.access(there, entered) and (there == str(path) or os.path.isfile(there))


def _unseen(worker: Any, place: str, said: str) -> str:
    return (
        f"{place!r} is not to be seen by {_named(worker)}, and workers read and write files by "
        f"themselves: {said.removesuffix('.')}. Mount the folder under this same path on every "
        "host of the cluster, readable for its workers, or open the volume by a URL that all of "
        "them reach (https://, s3://)."
    )


def _named(worker: Any) -> str:
    return f"the host {socket.gethostname()!r} (worker {worker.address})"


def _worker() -> Any:
    """The worker whose task runs in this thread, if one does."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None
