"""``python -m benchmarks``: measure, print, write."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

from tqdm import tqdm

from benchmarks import graphs, measure, report, window
from benchmarks.measure import Cell, Job, Tick
from benchmarks.results import Results, describe_machine
from benchmarks.stacks import SIZES, Stacks
from benchmarks.targets import judge
from benchmarks.work import Row, rows

PAGE = window.REPOSITORY / "docs" / "performance.md"
PICTURE = window.REPOSITORY / "docs" / "_static" / "performance.png"
COLD_REPEATS = 3  # a disk takes seconds for everything
PEER_BUDGET = {"quick": 0.5, "full": 35.0}

# rows, and names of the rows in a window
Wanted: TypeAlias = tuple[list[Row], list[str]]

DESCRIPTION = """\
Measure brainxr beside its peers and beside what the machine can do.

Makes its stacks in a folder (kept for the next time), runs every way of doing a
thing once to compare the result with what it has to be, then all of them in turn,
and prints medians, ratios, bytes and memory. "quick" takes about a minute and tells
whether everything works; "full" takes about 40 minutes and 6 GB of disk, and
its figures mean something on a machine that does nothing else.
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
    results = loaded or _run(stacks, wanted, options)
    return _tell(results, options)


def _tell(results: Results, options: argparse.Namespace) -> int:
    verdicts = judge(results)
    print(report.describe(results, verdicts))
    if options.json:
        results.save(options.json)
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
    add("--json", metavar="FILE", help="write all figures to a file")
    add("--load", metavar="FILE", help="measure nothing, take the figures of such a file")
    add("--write", action="store_true", help="renew the tables and the picture in docs/")
    return parser  # fmt: skip


def _run(stacks: Stacks, wanted: Wanted, options: argparse.Namespace) -> Results:
    # peers' warnings about their own dependencies, here and in other processes
    warnings.simplefilter("ignore", FutureWarning)
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    _refuse_to_page()
    importlib.import_module("benchmarks.preload")  # what is timed should not import
    budget = PEER_BUDGET[stacks.size.name] if options.budget is None else options.budget
    with tqdm(unit="run", file=sys.stderr, desc="benchmarks", smoothing=0) as bar:
        return run(
            stacks, wanted, options.repeats, budget, _teller(bar), with_memory=not options.no_memory
        )


def _refuse_to_page() -> None:
    """Make a way that takes too much memory fail by itself, and not end other programs."""
    if sys.platform != "linux":
        return
    import resource

    most = int(0.8 * window.available_memory())
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


def run(
    stacks: Stacks, wanted: Wanted, repeats: int, budget: float, tick: Tick,
    *, with_memory: bool = True,
) -> Results:  # fmt: skip
    """Make the stacks, measure everything, and collect what was found."""
    all_rows, windows = wanted
    os.makedirs(stacks.root, exist_ok=True)
    needed = [*measure.any_stack(all_rows), stacks.many(stacks.size.slices)]
    opened = [row.stack for row in all_rows if row.name.startswith("open ")]
    stacks.make(dict.fromkeys(needed), tick)
    warm = [row for row in all_rows if not row.cold]
    found = _measure_rows(stacks, warm, repeats, budget, tick, elsewhere=with_memory)
    plain = stacks.path(stacks.many(stacks.size.slices))
    found += window.measure_window(plain, windows, repeats, budget, tick)
    found += _measure_cold(stacks, [r for r in all_rows if r.cold], repeats, budget, tick)
    slices, *shape = stacks.size.shape.values()
    return Results(
        stacks.size.name, slices, shape[0] * shape[1], repeats,
        {**describe_machine(), "measured": time.strftime("%Y-%m-%d")},
        found, graphs.graphs(stacks) if opened else [],
    )  # fmt: skip


def _measure_rows(
    stacks: Stacks, wanted: list[Row], repeats: int, budget: float, tick: Tick, *,
    elsewhere: bool = False,
) -> list[Cell]:  # fmt: skip
    proved = [
        outcome
        for row in wanted
        for outcome in measure.prove(row, stacks, (repeats, budget), tick, elsewhere=elsewhere)
    ]
    folders = measure.folders_of(stacks, wanted)
    jobs = [p for p in proved if isinstance(p, Job)]
    measure.interleave(jobs, repeats, lambda: measure.warm(folders), tick)
    return [p.cell if isinstance(p, Job) else p for p in proved]


def _measure_cold(
    stacks: Stacks, wanted: list[Row], repeats: int, budget: float, tick: Tick
) -> list[Cell]:
    if not wanted:
        return []
    reason = measure.cannot_drop(stacks.path(stacks.many(stacks.size.slices)))
    if reason is None:
        return _measure_rows(stacks, wanted, min(repeats, COLD_REPEATS), budget, tick)
    return [
        Cell(row.name, way.name, way.role, problem=reason) for row in wanted for way in row.ways
    ]


if __name__ == "__main__":
    sys.exit(main())
