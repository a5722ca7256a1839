"""Reading the next part while the one before is at work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Read = TypeVar("Read")


def one_ahead(read: Callable[[Part], Read], parts: Iterable[Part]) -> Iterator[Read]:
    """Read parts in their order, each while the one before is at work.

    Memory holds three of them: the one at work, the one that waits, and the one that is
    being read.
    """
    pool = ThreadPoolExecutor(1, "brainxr-ahead")
    coming: deque[Future[Read]] = deque()
    try:
        for part in parts:
            coming.append(pool.submit(read, part))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
