"""Threads that decode: all work is done, or over, when they are left."""

from __future__ import annotations

import threading
import time
from threading import Barrier, Event, Thread, get_ident

import pytest

from brainxr.files.pool import at_work, run_all, workers


def test_all_jobs_are_done() -> None:
    done: list[int] = []
    run_all(done.append, list(range(100)))
    assert sorted(done) == list(range(100))
    run_all(done.append, [])


def test_no_job_is_at_work_after_an_error() -> None:
    begun, over = [], []

    def work(job: int) -> None:
        begun.append(job)
        if job == 0:
            raise OSError("the first")
        time.sleep(0.02)
        over.append(job)

    with pytest.raises(OSError, match="the first"):
        run_all(work, range(50))
    assert sorted(over) == sorted(set(begun) - {0})
    assert len(begun) < 50


def test_the_first_error_is_raised() -> None:
    def work(job: int) -> None:
        time.sleep(0.01 * (3 - job))
        raise OSError(f"number {job}")

    with pytest.raises(OSError, match=r"number [01]"):
        run_all(work, range(3))


def test_what_is_no_exception_of_python_is_raised_from_a_helper_too() -> None:
    """A job that was given up would leave its part of an array as it was before."""
    asked, begun = get_ident(), Barrier(2, timeout=60)

    def work(job: int) -> None:
        begun.wait()
        if get_ident() != asked:
            raise SystemExit(f"number {job}")

    if workers() < 2:
        pytest.skip("one processor, and so no helper")
    with pytest.raises(SystemExit, match="number"):
        run_all(work, range(2))


def test_jobs_have_jobs_and_none_waits_for_a_processor() -> None:
    """As many threads as are asked for do jobs of jobs, all of which are at work."""
    done: list[tuple[int, int]] = []

    def work(job: int) -> None:
        with at_work():
            run_all(lambda part: done.append((job, part)), range(20))

    threads = [Thread(target=run_all, args=(work, range(i, 60, 6))) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [(job, part) for job in range(60) for part in range(20)]


def test_where_all_are_at_work_nobody_helps() -> None:
    """Processors that are counted for others are left to them, and free again afterwards."""
    counted = Barrier(workers() + 1)
    free = Event()

    def keep() -> None:
        with at_work() as has_processor:
            assert has_processor
            counted.wait(60)
            free.wait(60)

    keepers = [Thread(target=keep) for _ in range(workers())]
    for keeper in keepers:
        keeper.start()
    counted.wait(60)
    threads: set[int] = set()
    run_all(lambda job: threads.add(get_ident()), range(50))
    assert threads == {get_ident()}
    free.set()
    for keeper in keepers:
        keeper.join(60)
    with at_work() as has_processor:
        assert has_processor


def test_a_box_waits_for_a_processor() -> None:
    begun, begins, go = threading.Semaphore(0), threading.Event(), threading.Event()

    def work() -> None:
        with at_work():
            begun.release()
            go.wait(60)

    def wait() -> None:
        with at_work(wait=True) as has_processor:
            assert has_processor
            begins.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers())]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=60)
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert not begins.wait(0.05)
    go.set()
    assert begins.wait(60)
    for thread in (*threads, waiting):
        thread.join(60)
