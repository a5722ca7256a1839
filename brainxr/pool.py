"""The threads that decode."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any


def workers() -> int:
    """How many there are: one a processor."""
    return os.cpu_count() or 1


def run_all(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do all the jobs, on all processors, and raise what the first that failed raised.

    None is at work any more when it returns or raises: no file is open, and nothing writes
    into memory that its owner may use for something else.
    """
    if len(jobs) == 1:
        work(jobs[0])
        return
    futures = [_pool(os.getpid()).submit(work, job) for job in jobs]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for all volumes, so that readers in many threads don't crowd the processors.

    Each process has its own: threads don't outlive a fork.
    """
    return ThreadPoolExecutor(workers(), thread_name_prefix="brainxr-decode")
