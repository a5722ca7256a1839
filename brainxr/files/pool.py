"""The threads that decode."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

# Requests that are on their way at a time; fsspec has its own limit, 128 as a rule.
WAITING = 64


def workers() -> int:
    """How many there are: one a processor that this process may use, as a job of a cluster."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do all the jobs, on all processors that are free, and raise what the first to fail raised.

    This thread does them, too: what it has in its processor's cache stays there, and where
    others are at work already, none is added to them. None is at work any more when it
    returns or raises: no file is open, and nothing writes into memory that its owner may
    use for something else.
    """
    shared = _Jobs(work, jobs)
    with at_work():
        helpers = [_pool(os.getpid()).submit(shared.help) for _ in range(_helpers(len(jobs)))]
        try:
            shared.run()
        finally:
            shared.stop()
            _wait_for(helpers)
    shared.raise_first()


def run_waiting(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do jobs that mostly wait for an answer from far away, many at a time; else as `run_all`."""
    if len(jobs) == 1:
        work(jobs[0])
        return
    pool = _waiting(os.getpid())
    futures = [pool.submit(work, job) for job in jobs]
    try:
        for future in futures:
            future.result()
    finally:
        _wait_for(futures)


@contextmanager
def at_work(wait: bool = False) -> Iterator[bool]:
    """Count this thread among those that are at work; whether there was a processor for it.

    Parameters
    ----------
    wait : bool
        Whether to wait until a processor is free, rather than to crowd it: threads that
        share one mostly wait for Python's lock. Who waits must hold nothing that those
        at work need.
    """
    free = _free(os.getpid())
    counted = not _mine.is_counted and free.acquire(blocking=wait)
    _mine.is_counted |= counted
    try:
        yield _mine.is_counted
    finally:
        if counted:
            _mine.is_counted = False
            free.release()


class _Mine(threading.local):
    """Whether this thread is counted among those at work."""

    is_counted = False


_mine = _Mine()


class _Jobs:
    """Jobs that several threads do."""

    def __init__(self, work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
        self._work = work
        self._left = deque(enumerate(jobs))
        self._failed: dict[int, BaseException] = {}

    def run(self) -> None:
        """Do jobs until there are none, or one failed."""
        while self._left:
            try:
                number, job = self._left.popleft()
            except IndexError:  # another thread has the last one
                return
            try:
                self._work(job)
            except Exception as error:
                self._failed[number] = error
                self.stop()

    def help(self) -> None:
        """The same in another thread, if there is a processor for it."""
        with at_work() as has_processor:
            if not has_processor:
                return
            try:
                self.run()
            except BaseException as error:  # of which nobody else would be told
                self._failed[-1] = error
                self.stop()

    def stop(self) -> None:
        self._left.clear()

    def raise_first(self) -> None:
        if self._failed:
            raise self._failed[min(self._failed)]


def _helpers(jobs: int) -> int:
    """How many threads would help with so many jobs: none where no processor is free."""
    free = _free(os.getpid())
    if jobs < 2 or not free.acquire(blocking=False):
        return 0
    free.release()
    return min(jobs, workers()) - 1


def _wait_for(futures: Sequence[Future[Any]]) -> None:
    """Have those end that have begun, and the others not begin."""
    wait([future for future in futures if not future.cancel()])


@lru_cache(maxsize=1)
def _free(process: int) -> threading.Semaphore:
    """As many as there are processors that no thread of ours is at work on."""
    return threading.Semaphore(workers())


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for all volumes, so that readers in many threads don't crowd the processors.

    Each process has its own: threads don't outlive a fork.
    """
    return ThreadPoolExecutor(workers(), thread_name_prefix="brainxr-decode")


@lru_cache(maxsize=1)
def _waiting(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WAITING, thread_name_prefix="brainxr-wait")
