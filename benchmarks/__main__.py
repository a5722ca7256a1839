"""``python -m benchmarks``: measure, print, write."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tqdm import tqdm

from benchmarks import graphs, measure, report, window
from benchmarks.conversion import Place
from benchmarks.measure import Cell, Job, Tick
from benchmarks.results import Results, describe_machine
from benchmarks.stacks import SIZES, Stacks, store_of
from benchmarks.targets import judge
from benchmarks.way import Row
from benchmarks.work import rows
from brainxr.lazy.memory import available_memory

PAGE = window.REPOSITORY / "docs" / "performance.md"
PICTURE = window.REPOSITORY / "docs" / "_static" / "performance.png"
COLD_REPEATS = 3  # a disk takes seconds for everything
PEER_BUDGET = {"quick": 0.5, "full": 130.0}

# rows, and names of the rows in a window
Wanted: TypeAlias = tuple[list[Row], list[str]]

# keeps what was found so far, and gives it with what else there is
Keep: TypeAlias = Callable[[Results], Results]

DESCRIPTION = """\
Measure brainxr beside its peers and beside what the machine can do.

Makes its stacks in a folder (kept for the next time), runs every way of doing a
thing once to compare the result with what it has to be, then all of them in turn,
and prints medians, ratios, bytes and memory. "quick" takes about two minutes and tells
whether everything works; "full" takes about 55 minutes and 16 GB of disk, and
its figures mean something on a machine that does nothing else.
With --load and --only, some rows are measured again and the others are kept.
The exit code is 1 where brainxr is wrong or fails, never because it is slow.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.repeats < 1:
        _parser().error(f"--repeats is {options.repeats}; it has to be 1 or more.")
    stacks = Stacks(os.path.abspath(options.folder or _default_folder()), SIZES[options.size])
    try:
        wanted = chosen(stacks, options.only)
        loaded = Results.load(options.load) if options.load else None
    except (OSError, ValueError) as error:
        _parser().error(str(error))
    if options.list:
        print("\n".join([*(row.name for row in wanted[0]), *wanted[1]]))
        return 0
    if loaded is not None and not options.only:
        return _tell(loaded, options)
    if loaded is not None and loaded.size != options.size:
        _parser().error(f"{options.load} is of the size {loaded.size!r}: add --size {loaded.size}.")
    return _tell(_run(stacks, wanted, options, loaded), options)


def _tell(results: Results, options: argparse.Namespace) -> int:
    verdicts = judge(results)
    print(report.describe(results, verdicts))
    if options.write:
        report.write_page(PAGE, PICTURE, results, verdicts)
    for cell in results.wrong:
        print(f"WRONG: {cell.row}, {cell.way}: {cell.problem}", file=sys.stderr)
    return 1 if results.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--size", choices=list(SIZES), default="quick", help="how large (default: quick)")
    add("--folder", help="where the stacks are kept (default: in the user's cache)")
    add("--repeats", type=int, default=5, metavar="N", help="rounds to measure (default: 5)")
    add(
        "--only",
        action="append",
        metavar="PATTERN",
        help="only rows whose name has this in it (a regular expression; more than once: any)",
    )
    add(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="for one peer in one row; slower ones are measured less often "
        f"(default: {PEER_BUDGET['full']:g}, quick {PEER_BUDGET['quick']:g})",
    )
    add(
        "--no-memory",
        action="store_true",
        help="don't measure memory, for which each way has a process of its own",
    )
    add("--list", action="store_true", help="print the names of the rows, and measure nothing")
    add("--json", metavar="FILE", help="write all figures to a file, and what is there meanwhile")
    add(
        "--load",
        metavar="FILE",
        help="take the figures of such a file; measure nothing but the rows of --only",
    )
    add("--write", action="store_true", help="renew the tables and the picture in docs/")
    return parser  # fmt: skip


def _run(
    stacks: Stacks, wanted: Wanted, options: argparse.Namespace, loaded: Results | None
) -> Results:
    # peers' warnings about their own dependencies, here and in other processes
    warnings.simplefilter("ignore", FutureWarning)
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    _refuse_to_page()
    importlib.import_module("benchmarks.preload")  # what is timed should not import
    budget = PEER_BUDGET[stacks.size.name] if options.budget is None else options.budget
    with tqdm(unit="run", file=sys.stderr, desc="benchmarks", smoothing=0) as bar:
        effort = Effort(options.repeats, budget, not options.no_memory)
        return run(stacks, wanted, effort, _teller(bar), _keeper(stacks, options.json, loaded))


def _keeper(stacks: Stacks, path: str | None, loaded: Results | None) -> Keep:
    """What puts new rows among those of an earlier run, and writes all to a file."""
    order = [*(row.name for row in rows(stacks)), *window.row_names()]

    def keep(found: Results) -> Results:
        whole = found if loaded is None else loaded.with_rows_of(found, order)
        if path:
            whole.save(path)
        return whole

    return keep


def _refuse_to_page() -> None:
    """Make a way that takes too much memory fail by itself, and not end other programs."""
    if sys.platform != "linux":
        return
    import resource

    most = int(0.8 * available_memory())
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _default_folder() -> str:
    import platformdirs

    return str(platformdirs.user_cache_path("brainxr") / "benchmarks")


def _teller(bar: tqdm[Any]) -> Tick:
    def tick(what: str) -> None:
        bar.set_description(what[:60].ljust(60), refresh=False)
        bar.update()

    return tick


def chosen(stacks: Stacks, patterns: Sequence[str] | None) -> Wanted:
    """Rows and names of rows in a window that match one of the patterns, or all.

    Raises
    ------
    ValueError
        When a pattern is none, or nothing matches.
    """
    try:
        compiled = [re.compile(pattern, re.IGNORECASE) for pattern in patterns or [""]]
    except re.error as error:
        raise ValueError(f"--only {error.pattern!r} is no regular expression: {error}.") from error

    def matches(name: str) -> bool:
        return any(pattern.search(name) for pattern in compiled)

    wanted = [row for row in rows(stacks) if matches(row.name)]
    windows = [name for name in window.row_names() if matches(name)]
    if not wanted and not windows:
        raise ValueError(f"No row matches {patterns}. --list prints their names.")
    return wanted, windows


@dataclass(frozen=True)
class Effort:
    """How much is spent on each way.

    Attributes
    ----------
    repeats : int
    budget : float
        Seconds for one peer in one row.
    with_memory : bool
        Whether each way has a process of its own, which tells its memory.
    """

    repeats: int
    budget: float
    with_memory: bool = False


def run(stacks: Stacks, wanted: Wanted, effort: Effort, tick: Tick, keep: Keep) -> Results:
    """Make the stacks, measure everything, and collect what was found."""
    all_rows, windows = wanted
    os.makedirs(stacks.root, exist_ok=True)
    plain = stacks.many(stacks.size.slices)
    of_windows = [plain, store_of(plain)] if windows else [plain]
    stacks.make(dict.fromkeys([*measure.any_stack(all_rows), *of_windows]), tick)
    results = _empty(stacks, effort.repeats)
    measured = _Measured(stacks, effort, tick, results, keep)
    try:
        measured.rows([row for row in all_rows if not row.cold], effort.repeats)
        results.cells += window.measure_window(
            stacks.path(plain), stacks.path(store_of(plain)), windows, effort.repeats,
            effort.budget, tick,
        )  # fmt: skip
        measured.cold([row for row in all_rows if row.cold])
    finally:
        Place(stacks.scratch).remove()
    if any(row.name.startswith("open ") for row in all_rows):
        results.graphs += graphs.graphs(stacks)
    return keep(results)


def _empty(stacks: Stacks, repeats: int) -> Results:
    slices, *shape = stacks.size.shape.values()
    machine = {**describe_machine(), "measured": time.strftime("%Y-%m-%d")}
    return Results(stacks.size.name, slices, shape[0] * shape[1], repeats, machine, [], [])


@dataclass(frozen=True)
class _Measured:
    """Rows that are measured, and added to the results."""

    stacks: Stacks
    effort: Effort
    tick: Tick
    results: Results
    keep: Keep

    def rows(self, wanted: list[Row], repeats: int) -> None:
        """Each row's ways once, to see that they are right, and then all in turn."""
        jobs, effort = [], (repeats, self.effort.budget)
        for row in wanted:
            proved = measure.prove(
                row, self.stacks, effort, self.tick, elsewhere=self.effort.with_memory
            )
            jobs += [p for p in proved if isinstance(p, Job)]
            self.results.cells += [p.cell if isinstance(p, Job) else p for p in proved]
            self.keep(self.results)
        folders = measure.folders_of(self.stacks, wanted)
        measure.interleave(
            jobs, repeats, lambda: measure.warm(folders), self.tick,
            lambda: self.keep(self.results),
        )  # fmt: skip

    def cold(self, wanted: list[Row]) -> None:
        if not wanted:
            return
        reason = measure.cannot_drop(self.stacks.path(self.stacks.many(self.stacks.size.slices)))
        if reason is None:
            self.rows(wanted, min(self.effort.repeats, COLD_REPEATS))
            return
        self.results.cells += [
            Cell(row.name, way.name, way.role, problem=reason) for row in wanted for way in row.ways
        ]


if __name__ == "__main__":
    sys.exit(main())
