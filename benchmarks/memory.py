"""One run of one way, with its result, its time, what it read and the memory that it took.

In a process that has done nothing else, forked from a server that has the libraries
imported: what was taken after opening is subtracted, so what is left is what the
result itself cost.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from benchmarks.stacks import Stacks
from benchmarks.way import Timed, nothing
from benchmarks.work import rows


class Trial(NamedTuple):
    """What came of running a way once.

    Attributes
    ----------
    result : object
        What of the result is compared.
    seconds : float
    read, peak : int or None
        Bytes read, and bytes taken above what was there after opening.
    problem : str or None
        The error, if there was one.
    """

    result: Any = None
    seconds: float = 0.0
    read: int | None = None
    peak: int | None = None
    problem: str | None = None


def try_elsewhere(stacks: Stacks, row: str, way: str) -> Trial:
    """Run a way once in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.preload"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, stacks, row, way))
    process.start()
    there.close()
    try:
        found: Trial = here.recv()
    except EOFError:  # ended by the system, for want of memory
        found = Trial(problem="the process did not survive")
    finally:
        process.join()
        process.close()
        here.close()
    return found


def _answer(answer: Connection, stacks: Stacks, row: str, way: str) -> None:
    chosen = next(r for r in rows(stacks) if r.name == row)
    wanted = next(w for w in chosen.ways if w.name == way)
    answer.send(try_once(wanted.prepare, chosen.brief, wanted.before))


def try_once(
    prepare: Callable[[], Timed],
    brief: Callable[[Any], Any],
    before: Callable[[], None] = nothing,
) -> Trial:
    """Prepare a way and run it once in this process, whatever comes of it."""
    try:
        run = prepare()
        before()
        _forget_peak()
        taken, read, start = status("VmRSS"), bytes_read(), time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        read, most = difference(bytes_read(), read), status("VmHWM")
        return Trial(brief(result), seconds, read, difference(most, taken))
    except Exception as error:  # whatever a way makes of a stack is a result
        text = " ".join(str(error).split())
        return Trial(problem=f"{type(error).__name__}: {text}"[:200])


# --- the kernel's accounts --------------------------------------------------------


def bytes_read() -> int | None:
    """Bytes that this process has read from files so far; None where nobody counts."""
    try:
        with open("/proc/self/io") as counters:
            return int(counters.readline().split()[1])
    except OSError:
        return None


def difference(after: int | None, before: int | None) -> int | None:
    """How much more there is, where both are known."""
    return None if after is None or before is None else max(0, after - before)


def _forget_peak() -> None:
    """Start the kernel's account of the peak anew; where that is forbidden, it includes opening."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return


def status(name: str) -> int | None:
    """What this process holds ("VmRSS"), or held at the most ("VmHWM"), in bytes.

    Not `getrusage`, whose peak is that of the process that started this one, if that had more.
    """
    try:
        with open("/proc/self/status") as file:
            found = re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE)
    except OSError:  # not on Linux
        return None
    return 1024 * int(found[1]) if found else None
