"""``python -m benchmarks.cluster``: what workers gain, and what a plan for 180 TB weighs.

Each worker is a process on a processor of its own, as far as there are so many; the plan is
made for a folder of 100,000 slices of 30,000 x 30,000 (`benchmarks.giant`), and is received by
the scheduler of a cluster without workers.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import dask
import numpy as np
import tifffile
import xarray as xr

import brainxr
from benchmarks import giant
from benchmarks.page import table, write_block
from benchmarks.report import STYLES, show_seconds
from benchmarks.results import describe_machine
from benchmarks.window import REPOSITORY

PAGE = REPOSITORY / "docs" / "cluster.md"
PICTURE = REPOSITORY / "docs" / "_static" / "cluster.png"

WORKERS = (1, 2, 4)
# A scheduler that gets no more tasks for so many seconds has all of them.
QUIET = 1.0

SHAPE = (64, 1760, 1760)

DOINGS: dict[str, Callable[[xr.DataArray, Path], object]] = {
    'max("z")': lambda volume, _: volume.max("z").compute(),
    "std()": lambda volume, _: volume.std().compute(),
    "checksum": lambda volume, _: brainxr.checksum(volume, progress=False),
    "check --deep": lambda volume, _: brainxr.check(
        volume.attrs["source"], deep=True, progress=False
    ),
    "to_ome_zarr": lambda volume, folder: volume.brain.to_ome_zarr(
        folder / "a.ome.zarr", memory="256 MiB", progress=False
    ),
    "to_nifti (.nii)": lambda volume, folder: volume.brain.to_nifti(
        folder / "a.nii", progress=False
    ),
}


@contextmanager
def cluster_of(count: int) -> Iterator[Any]:
    """A client of so many workers, each a process with one thread."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0",
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def pin(processor: int) -> None:
    """Keep this worker on one processor, as a job of one processor would be kept."""
    os.sched_setaffinity(0, {processor})


def scaling(folder: Path, repeats: int) -> dict[str, dict[int, float]]:
    """Median seconds of each doing by number of workers."""
    stack = _stack(folder / "slices_100um_iso")
    found: dict[str, dict[int, list[float]]] = {name: {} for name in DOINGS}
    for count in WORKERS:
        with cluster_of(count) as client:
            _pin_all(client)
            volume = brainxr.open(stack)
            for name, doing in DOINGS.items():
                times = [_timed(doing, volume, folder) for _ in range(repeats + 1)]
                found[name][count] = times[1:]  # the first one imports
    return {
        name: {count: statistics.median(times) for count, times in by_count.items()}
        for name, by_count in found.items()
    }


def _pin_all(client: Any) -> None:
    processors = sorted(os.sched_getaffinity(0))
    for i, worker in enumerate(client.scheduler_info(n_workers=-1)["workers"]):
        client.run(pin, processors[i % len(processors)], workers=[worker])


def _timed(doing: Callable[[xr.DataArray, Path], object], volume: xr.DataArray, at: Path) -> float:
    with tempfile.TemporaryDirectory(dir=at) as folder:
        start = time.perf_counter()
        doing(volume, Path(folder))
        return time.perf_counter() - start


def _stack(folder: Path) -> Path:
    """Deflated slices, which are work for processors: noise of six bits."""
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    slices = [rng.integers(0, 64, SHAPE[1:], np.uint8) for _ in range(8)]
    for number in range(SHAPE[0]):
        tifffile.imwrite(
            folder / f"s_{number:04d}.tif", slices[number % 8], compression="zlib", rowsperstrip=64
        )
    return folder


# --- the plan -----------------------------------------------------------------------


class Plan(NamedTuple):
    """What it takes to make a plan and to send it: seconds and bytes."""

    name: str
    tasks: int
    build: float
    optimise: float
    pickled: int
    pickle: float
    received: float


def plans(folder: Path) -> list[Plan]:
    """Plans of results of a stack of 180 TB, as they come to a scheduler."""
    if not folder.is_dir():
        giant.make_folder(folder)
    volume = giant.opened(folder)
    crop = volume.isel(z=slice(50_000, 51_000), y=slice(0, 2000), x=slice(0, 2000))
    results = {
        'max("z") of a crop of 1000 x 2000 x 2000': lambda: crop.max("z"),
        'max("z") of it all': lambda: volume.max("z"),
        "mean() of it all": lambda: volume.mean(),
    }
    return [_plan(name, make) for name, make in results.items()]


def _plan(name: str, make: Callable[[], xr.DataArray]) -> Plan:
    start = time.perf_counter()
    lazy = make().data
    built = time.perf_counter()
    (optimised,) = dask.optimize(lazy)
    done = time.perf_counter()
    size = len(cloudpickle.dumps(optimised.__dask_graph__(), pickle.HIGHEST_PROTOCOL))
    pickled = time.perf_counter()
    with cluster_of(0) as client:
        tasks, received = _received(client, lazy)
    return Plan(name, tasks, built - start, done - built, size, pickled - done, received)


def _received(client: Any, lazy: Any) -> tuple[int, float]:
    """How many tasks a scheduler has of it, and after how many seconds."""
    tasks = client.cluster.scheduler.tasks
    start = time.perf_counter()
    future = client.compute(lazy)
    found, last = 0, start
    while not found or time.perf_counter() - last < QUIET:
        if len(tasks) != found:
            found, last = len(tasks), time.perf_counter()
        time.sleep(0.005)
    assert future.key in tasks
    return found, last - start


# --- what is told -------------------------------------------------------------------


def tables(found: dict[str, dict[int, float]], planned: Sequence[Plan], repeats: int) -> str:
    """Both tables, as Markdown."""
    machine = describe_machine()
    words = f"Measured on {time.strftime('%Y-%m-%d')} on {machine['processor']}, {machine['cores']}"
    times = table(
        ["", *(f"{n} worker{'s' if n > 1 else ''}" for n in WORKERS), "1 worker over 2"],
        [
            [name, *(show_seconds(by[n]) for n in WORKERS), f"{by[1] / by[2]:.2f}"]
            for name, by in found.items()
        ],
    )
    weights = table(
        ["", "tasks", "built", "optimised", "MB pickled", "pickled", "at the scheduler"],
        [
            [
                p.name, f"{p.tasks:,}", show_seconds(p.build), show_seconds(p.optimise),
                f"{p.pickled / 1e6:.2f}", show_seconds(p.pickle), show_seconds(p.received),
            ]
            for p in planned
        ],
    )  # fmt: skip
    return (
        f"{words} cores, medians of {repeats} after one that isn't counted.\n\n{times}\n\n{weights}"
    )


def draw(found: dict[str, dict[int, float]], path: Path) -> None:
    """A picture of the times: a line for each doing, a mark for each number of workers."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.36 * len(found)), layout="constrained")
    marks = dict(zip(WORKERS, (STYLES["peer"], STYLES["brainxr"], STYLES["limit"]), strict=True))
    for place, by_count in enumerate(found.values()):
        ends = min(by_count.values()), max(by_count.values())
        axes.plot(ends, [place, place], color="#cccccc", linewidth=1, zorder=1)
        for count, seconds in by_count.items():
            axes.scatter([seconds], [place], **marks[count])
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    names = {n: f"{n} worker{'s' if n > 1 else ''}" for n in WORKERS}
    handles = [axes.scatter([], [], label=names[n], **style) for n, style in marks.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--folder", help="where the stacks are kept (default: nowhere)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--write", action="store_true", help="renew the tables and the picture")
    options = parser.parse_args(arguments)
    folder = Path(options.folder or tempfile.mkdtemp()).absolute()
    try:
        found = scaling(folder, options.repeats)
        planned = plans(folder / "giant")
    finally:
        if not options.folder:
            shutil.rmtree(folder)
    told = tables(found, planned, options.repeats)
    print(told)
    if options.write:
        draw(found, PICTURE)
        write_block(PAGE, "cluster", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
