"""Threads that decode: all work is done, or over, when they are left."""

from __future__ import annotations

import time

import pytest

from brainxr.files.pool import run_all


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
