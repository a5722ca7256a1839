"""The threads that decode."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

# Requests that are on their way at a time; fsspec has its own limit, 128 as a rule.
WAITING = 64


def workers() -> int:
    """How many there are: one a processor."""
    return os.cpu_count() or 1


def run_all(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do all the jobs, on all processors, and raise what the first that failed raised.

    None is at work any more when it returns or raises: no file is open, and nothing writes
    into memory that its owner may use for something else.
    """
    _run(_pool(os.getpid()), work, jobs)


def run_waiting(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do jobs that mostly wait for an answer from far away, many at a time; else as `run_all`."""
    _run(_waiting(os.getpid()), work, jobs)


def _run(pool: ThreadPoolExecutor, work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    if len(jobs) == 1:
        work(jobs[0])
        return
    futures = [pool.submit(work, job) for job in jobs]
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


@lru_cache(maxsize=1)
def _waiting(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WAITING, thread_name_prefix="brainxr-wait")


def lock_that_survives_a_fork() -> threading.Lock:
    """A lock that is free in a forked process, whatever other threads of its parent were doing.

    For locks of a module that are held for a moment: a fork waits for that.
    """
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
