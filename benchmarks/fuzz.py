"""``python -m benchmarks.fuzz``: change bytes of honest files, and see what is made of them.

Each mutant is read in a process of its own kind, which is watched: one that is ended by
a signal is a crash, one that takes processors for longer than `HANG` is a hang.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from tqdm import tqdm

from benchmarks import page
from benchmarks.fuzzing import HANG, Attempt, Verdict, serve
from benchmarks.mutants import FAMILIES

DESCRIPTION = """\
Open and read files of which some bytes were changed, and judge what comes of it.

Right is the volume as it was, what tifffile or libtiff (zarr-python, of stores) make of it,
or one of brainxr's own errors that names the file. Everything else is a finding: a
crash, a hang (2 s of a processor), an allocation over 10 times the honest size or
10 MB, another shape, values that nobody else reads, another error. The exit code
is 1 where there is one. A mutant is made again by its family and number:
--only "LZW" --first 4711 --count 1 --keep FOLDER
"""

# Address space of a process that reads mutants; what claims more gets a MemoryError.
ADDRESS_SPACE = 8 << 30

# Seconds without an answer and without work: it waits for something that never comes.
STUCK = 120.0

# Seconds of a processor for the other readers, whose hangs are not counted.
PATIENCE = 20.0


PRELOADED = [
    "benchmarks.fuzzing",
    "brainxr.lazy.daskarray",
    "brainxr.writing.convert",
    "dask.threaded",
    "zarr",
]


class Finding(NamedTuple):
    """A mutant and how it ended."""

    family: str
    number: int
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.verdict.kind}: {self.family} {self.number}: {self.verdict.detail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    families = [name for name in FAMILIES if options.only is None or options.only == name]
    if not families:
        parser.error(f"--only {options.only!r} is none of {', '.join(FAMILIES)}.")
    each = range(options.first, options.first + -(-options.count // len(families)))
    wanted = [(family, number) for number in each for family in families][: options.count]
    with (
        _folder(options.keep) as folder,
        tqdm(total=len(wanted), unit="mutant", disable=None) as bar,
    ):
        found = run(wanted, folder, options.seed, options.workers, bar.update)
    wrong = [finding for finding in found if finding.verdict.is_failure]
    command = f"--count {len(found)} --seed {options.seed}"
    return page.publish("fuzz", command, table(found), options.write, wrong)


def _parser() -> argparse.ArgumentParser:
    parser = page.parser("fuzz", DESCRIPTION)
    add = parser.add_argument
    add("--count", type=int, default=20_000, help="mutants, of all families (default: 20000)")
    add("--first", type=int, default=0, help="number of the first of each family (default: 0)")
    add("--seed", type=int, default=7, help="another one makes other mutants (default: 7)")
    add("--only", metavar="FAMILY", help="only mutants of this family")
    add("--workers", type=int, default=1, help="processes that read (default: 1)")
    add("--keep", metavar="FOLDER", help="where mutants are made; that of a crash stays there")
    return parser  # fmt: skip


@contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="brainxr-fuzz-") as folder:
        yield folder


# --- running ----------------------------------------------------------------------


def run(
    wanted: Sequence[tuple[str, int]], folder: str, seed: int, workers: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> list[Finding]:  # fmt: skip
    """Read mutants, named by family and number, in so many processes."""
    queue, lock = iter(wanted), threading.Lock()

    def work(worker: int) -> list[Finding]:
        found = []
        reader = _Reader(str(Path(folder) / f"worker-{worker}"), seed)
        try:
            while True:
                with lock:
                    each = next(queue, None)
                    tick()
                if each is None:
                    return found
                found.append(Finding(*each, reader.verdict(*each)))
                if found[-1].verdict.is_failure:
                    print(found[-1], file=sys.stderr, flush=True)
        finally:
            reader.stop()

    with ThreadPoolExecutor(workers) as pool:
        return sorted(finding for part in pool.map(work, range(workers)) for finding in part)


class _Reader:
    """A process that reads mutants, started again where one brings it down."""

    def __init__(self, folder: str, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.process: Any = None

    def verdict(self, family: str, number: int) -> Verdict:
        """Have a mutant read, and judged."""
        if self.process is None:
            self._start()
        self.here.send((family, number))
        self.here.recv()  # it is made
        attempt = self._answer(HANG + 1)  # it looks at its own time more closely
        if not isinstance(attempt, Attempt):
            return attempt
        verdict = self._answer(PATIENCE)
        if verdict.is_failure and verdict.kind in ("CRASH", "HANG") and self.process is None:
            # the other readers', of which brainxr is not guilty
            return Verdict("unjudged", verdict.detail, attempt.seconds, attempt.peak)
        return verdict

    def stop(self) -> None:
        if self.process is not None:
            self.here.close()
            self.process.kill()
            self.process.join()
            self.process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.here, there = context.Pipe()
        limits = (self.folder, self.seed, ADDRESS_SPACE)
        self.process = context.Process(target=serve, args=(there, *limits), daemon=True)
        self.process.start()
        there.close()
        self.here.recv()

    def _answer(self, limit: float) -> Any:
        """What it says; a verdict where it says nothing."""
        watched = psutil.Process(self.process.pid)
        since, begun = _seconds_of(watched), time.monotonic()
        while not self.here.poll(0.2):
            taken = _seconds_of(watched) - since
            if taken > limit or time.monotonic() - begun > STUCK + taken:
                self.stop()
                return Verdict("HANG", f"no answer after {taken:.1f} s of a processor", taken)
        try:
            return self.here.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            self.stop()
            return Verdict("CRASH", f"the process ended with code {code}")


def _seconds_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended, which its answer tells
        return 0.0
    return float(times.user + times.system)


# --- telling ----------------------------------------------------------------------

GOOD = ("as it was", "as others", "refused", "unjudged")
HEADINGS = ("family", "mutants", *GOOD, "findings", "longest, s", "most, MB")


def table(found: Sequence[Finding]) -> str:
    """What came of it, in Markdown."""
    return page.table(HEADINGS, _lines(found))


def _lines(found: Sequence[Finding]) -> list[tuple[str, ...]]:
    names = list(dict.fromkeys(finding.family for finding in found))
    lines = [_line(name, [f.verdict for f in found if f.family == name]) for name in names]
    return [*lines, _line("all", [finding.verdict for finding in found])]


def _line(name: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    kinds = Counter(verdict.kind for verdict in verdicts)
    failures = sum(verdict.is_failure for verdict in verdicts)
    longest = max((verdict.seconds for verdict in verdicts), default=0.0)
    most = max((verdict.peak for verdict in verdicts), default=0)
    numbers = [len(verdicts), *(kinds[kind] for kind in GOOD), failures]
    return (name, *map(str, numbers), f"{longest:.2f}", f"{most / 1e6:.1f}")


if __name__ == "__main__":
    sys.exit(main())
