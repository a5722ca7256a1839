"""Running the rows: every way once to see that it is right, then all in turn.

Each repeat runs all ways of all rows one after the other, so that what else the
machine does meets all of them alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

from benchmarks.memory import Trial, bytes_read, difference, try_elsewhere, try_once
from benchmarks.stacks import Stacks, files_of, paths_of
from benchmarks.way import Check, Role, Row, Timed, Way, nothing


@dataclass
class Cell:
    """What was found out about one way of one row.

    Attributes
    ----------
    row, way : str
    role : {"limit", "brainxr", "peer"}
    seconds : list of float
    read : int or None
        Bytes, by the kernel's count.
    peak : int or None
        Bytes of memory above what was taken before.
    size : int or None
        Bytes of the files that were made.
    problem : str or None
        Why there is no time: missing, refused, failed, wrong.
    failed : bool
        Whether the problem is an error or a wrong result.
    """

    row: str
    way: str
    role: Role
    seconds: list[float] = field(default_factory=list)
    read: int | None = None
    peak: int | None = None
    size: int | None = None
    problem: str | None = None
    failed: bool = False

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


# Seconds from which on the run that tells result and memory counts as one of the runs:
# what a new process does in addition is little then.
SLOW = 5.0


@dataclass
class Job:
    """A way that gave the right result, and how often it is to be timed.

    Attributes
    ----------
    cell : Cell
    prepare, before : callable
    times : int
    keeps_trial : bool
        Whether the time of the trial is one of its times.
    """

    cell: Cell
    prepare: Callable[[], Timed]
    before: Callable[[], None]
    times: int
    keeps_trial: bool = False

    @cached_property
    def run(self) -> Timed:
        """The function that is timed."""
        return self.prepare()

    def once(self, repeat: int) -> None:
        """Time it; what a trial took that isn't kept doesn't count once there is a time."""
        run = self.run
        self.before()
        read, start = bytes_read(), time.perf_counter()
        run()
        taken = time.perf_counter() - start
        kept = self.cell.seconds if repeat or self.keeps_trial else []
        self.cell.seconds = [*kept, taken]
        self.cell.read = difference(bytes_read(), read)


Tick = Callable[[str], None]


def prove(
    row: Row, stacks: Stacks, effort: tuple[int, float], tick: Tick, *, elsewhere: bool
) -> list[Cell | Job]:
    """Run every way of a row once and compare; what is right becomes a job.

    With `elsewhere` each has a process of its own for this, which tells the memory
    that it takes; the limits, which take none, never do.
    """
    check = row.checker()
    drop = _dropper(stacks.path(row.stack)) if row.cold and row.stack else nothing
    found: list[Cell | Job] = []
    for way in row.ways:
        cell = Cell(row.name, way.name, way.role, problem=way.refused)
        found.append(cell)
        if way.refused is None:
            tick(f"{row.name}: {way.name}")
            job = Job(cell, way.prepare, drop if row.cold else way.before, 0)
            apart = elsewhere and row.stack is not None and not row.cold and way.role != "limit"
            trial = try_elsewhere(stacks, row.name, way.name) if apart else _try_here(row, way, job)
            _judge(cell, trial, check, apart)
            job.keeps_trial = way.role == "peer" and trial.seconds >= SLOW
            job.times = how_often(trial.seconds, way.role, *effort) - job.keeps_trial
            job.times = min(job.times, effort[0] if row.most is None else row.most)
            found[-1] = cell if cell.failed else job
    return found


def _try_here(row: Row, way: Way, job: Job) -> Trial:
    # a limit gives nothing that could be compared
    brief = _nothing_of if way.role == "limit" else row.brief
    return try_once(lambda: job.run, brief, job.before)


def _judge(cell: Cell, trial: Trial, check: Check, apart: bool) -> None:
    """Fill in what a trial told; its time, too, which counts where there is no other."""
    cell.problem = trial.problem
    if cell.problem is None and cell.role != "limit":
        cell.problem = check(trial.result)
    cell.failed = cell.problem is not None
    if not cell.failed:
        cell.read, cell.seconds = trial.read, [trial.seconds]
        cell.peak = trial.peak if apart else None
        cell.size = getattr(trial.result, "size_on_disk", None)


def _nothing_of(result: Any) -> None:
    pass


def how_often(taken: float, role: Role, repeats: int, budget: float) -> int:
    """How often to time what took this long.

    brainxr and the limits get ten times the budget of a peer, whose slowness needs
    no fine figure.
    """
    allowed = budget if role == "peer" else 10 * budget
    return min(repeats, int(allowed // max(taken, 1e-9)))


def interleave(
    jobs: Iterable[Job], repeats: int, warm: Callable[[], None], tick: Tick,
    keep: Callable[[], None] = nothing,
) -> None:  # fmt: skip
    """Time all jobs in turn, as often as each is to be; warm up before every round.

    Each row begins with another of its ways in every round: who comes first finds nothing of
    its own in the processors' caches, after the slowest of the row before.
    `keep` is called after each round. Ctrl-C ends the rounds, and what was found until
    then is kept.
    """
    jobs = list(jobs)
    with suppress(KeyboardInterrupt):
        for repeat in range(repeats):
            warm()
            for job in _turned(jobs, repeat):
                if repeat < job.times:
                    tick(f"{job.cell.row}: {job.cell.way}")
                    job.once(repeat)
            keep()


def _turned(jobs: Sequence[Job], by: int) -> Iterator[Job]:
    """The jobs row by row, those of each beginning with another one."""
    for _, row in groupby(jobs, key=lambda job: job.cell.row):
        ways = list(row)
        first = by % len(ways)
        yield from ways[first:] + ways[:first]


# --- the page cache ---------------------------------------------------------------


def warm(folders: Iterable[str]) -> None:
    """Read every file once, so that it is in the page cache."""
    buffer = bytearray(1 << 22)
    for folder in folders:
        for path in files_of(folder):
            with open(path, "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def _dropper(folder: str) -> Callable[[], None]:
    paths = paths_of(folder)

    def drop() -> None:
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)

    return drop


def cannot_drop(folder: str) -> str | None:
    """Why files can't be put out of the page cache here, in words; None where they can."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return "this system has no posix_fadvise"
    path = paths_of(folder)[0]
    os.sync()  # what is not written yet stays
    _dropper(folder)()
    try:
        still_there = _is_cached(path)
    except OSError as error:
        return f"the file system doesn't tell what is cached ({error.strerror})"
    return "the system keeps the files in its cache" if still_there else None


def _is_cached(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(1)], os.fstat(descriptor).st_size // 2, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def folders_of(stacks: Stacks, rows: Iterable[Row]) -> list[str]:
    """Different stacks of pixels that the rows read; hard links are the plain one's."""
    names = {row.stack for row in rows if row.stack is not None and not row.cold}
    return sorted({stacks.path(name) for name in names if "slices" not in name})


def any_stack(rows: Iterable[Row]) -> list[str]:
    """Names of the stacks and stores that rows need, each once."""
    return list(dict.fromkeys(row.stack for row in rows if row.stack is not None))
