"""``python -m benchmarks.crowd``: many threads and processes read one volume at a time.

Every selection is compared with a twin in memory. Children are started by a server that
forks before it has threads, or spawned; to both the volume is pickled. They are started while
the threads read.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import pickle
import re
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
import xarray as xr

import brainxr
from benchmarks import page

DESCRIPTION = """\
Read random selections of a volume from 16 threads and 4 processes at a time (two
by forkserver, two spawned, again and again while the threads read), and compare each with the same
of an array in memory. Files that are open are counted at the end, and memory when a third of
the time is over, and at the end. The exit code is 1 where a selection differs, a process
doesn't end, files are left open, or memory grows by more than 64 MB.
"""

SHAPE = (40, 211, 317)
THREADS = 16
METHODS = ("forkserver", "forkserver", "spawn", "spawn")

# Seconds for which one process reads before another one takes its place.
SHIFT = {"forkserver": 6.0, "spawn": 6.0}

# MB that memory may grow by: what the threads' allocators keep. A selection that stayed a
# hundred times would be more.
GROWTH = 64.0

# Seconds after the end until whoever hasn't answered is taken for stuck.
PATIENCE = 120.0


class Tally(NamedTuple):
    """What one reader found: selections read, and what was wrong with one of them."""

    selections: int
    problem: str | None = None


class Outcome(NamedTuple):
    """What came of one kind of volume.

    Attributes
    ----------
    name : str
    selections, children : int
        How many were read and compared, and by how many processes besides the first.
    descriptors : int
        How many more are open at the end.
    growth : float
        MB of memory that were added after a third of the time.
    problems : tuple of str
    """

    name: str
    selections: int
    children: int
    descriptors: int
    growth: float
    problems: tuple[str, ...]

    @property
    def is_failure(self) -> bool:
        return bool(self.problems) or self.descriptors > 0 or self.growth > GROWTH


def twin() -> npt.NDArray[np.uint16]:
    """Values of which no two rows are alike; the same in every process."""
    z, y, x = np.indices(SHAPE)
    return np.asarray((z * 1009 + y * 131 + x * 7) % 65521, np.uint16)


# --- the volumes ------------------------------------------------------------------


def _stack(**options: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        folder.mkdir()
        for number, image in enumerate(twin(), 1):
            tifffile.imwrite(folder / f"slice_100um_iso_{number:03d}.tif", image, **options)

    return write


def _store(**options: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        coordinates = {
            dim: xr.Variable(dim, 100.0 * np.arange(n), {"units": "micrometer", "spacing": 100.0})
            for dim, n in zip("zyx", SHAPE, strict=True)
        }
        volume = xr.DataArray(twin(), coordinates, ("z", "y", "x"), "intensity")
        volume.brain.to_ome_zarr(folder, progress=False, levels=1, **options)

    return write


VOLUMES: Mapping[str, Callable[[Path], None]] = {
    "stack": _stack(),
    "stack, deflate, strips": _stack(compression="zlib", rowsperstrip=32),
    "stack, LZW, tiles": _stack(compression="lzw", tile=(64, 64)),
    "OME-Zarr 0.5": _store(chunks=16, shards=32),
    "OME-Zarr 0.5, zstd": _store(chunks=32, codec="zstd"),
    "OME-Zarr 0.4": _store(chunks=32, version="0.4"),
}


# --- reading ----------------------------------------------------------------------


def read_until(volume: xr.DataArray, values: Any, end: float, seed: int) -> Tally:
    """Read and compare random selections until a moment on the clock of all processes."""
    rng, count = np.random.default_rng(seed), 0
    try:
        while time.time() < end:
            indexers = {dim: _indexer(n, rng) for dim, n in zip("zyx", SHAPE, strict=True)}
            part, expected = volume.isel(indexers), _select(values, indexers)
            if rng.random() < 0.1 and part.ndim == 3 and part.size:
                part, expected = part.max("z"), expected.max(0)
            if not np.array_equal(part.values, expected):
                return Tally(count, f"{indexers} is not what it has to be")
            count += 1
    except Exception as error:  # of a reader that shouldn't fail
        return Tally(count, f"{type(error).__name__}: {error}")
    return Tally(count)


def _indexer(length: int, rng: np.random.Generator) -> Any:
    kind = rng.integers(5)
    if kind == 0:
        return int(rng.integers(length))
    if kind == 1:
        return sorted(rng.integers(length, size=rng.integers(1, 6)).tolist())
    first, last = sorted(rng.integers(length + 1, size=2).tolist())
    if kind == 2:
        return slice(last, first if first else None, -int(rng.integers(1, 4)))
    return slice(first, last, int(rng.integers(1, 4)))


def _select(values: Any, indexers: Mapping[str, Any]) -> Any:
    """The same selection by numpy: one axis after the other, the last one first."""
    for axis in (2, 1, 0):
        values = values[(slice(None),) * axis + (indexers["zyx"[axis]],)]
    return values


# --- the crowd --------------------------------------------------------------------


def crowd(name: str, folder: Path, seconds: float, threads: int = THREADS) -> Outcome:
    """Have a volume read by everybody."""
    path = folder / f"volume-{zlib.crc32(name.encode()):08x}"
    VOLUMES[name](path.with_suffix(".ome.zarr") if "Zarr" in name else path)
    volume = brainxr.open(path.with_suffix(".ome.zarr") if "Zarr" in name else path)
    volume.isel(x=0).load()  # what is imported at the first read is there before anybody is forked
    values, end = twin(), time.time() + seconds
    tallies: list[list[Tally]] = [[] for _ in range(threads + len(METHODS))]

    def work(place: int) -> None:
        if place < threads:
            tallies[place] += [read_until(volume, values, end, place)]
        else:
            _shifts(METHODS[place - threads], volume, end, 1000 * place, tallies[place])

    workers = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(tallies))]
    watch = _Watch(end - seconds * 2 / 3)
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, end + 2 * PATIENCE - time.time()))
    return _outcome(name, tallies, threads, watch)


def _shifts(
    method: str, volume: xr.DataArray, end: float, seed: int, tallies: list[Tally]
) -> None:  # fmt: skip
    """One process after the other, until the end; each reads for a while."""
    while not tallies or time.time() < end:
        until = min(end, time.time() + SHIFT[method])
        tallies.append(_Child(method, volume, until, seed + len(tallies)).tally())


def _outcome(name: str, tallies: list[list[Tally]], threads: int, watch: _Watch) -> Outcome:
    stuck = [Tally(0, "a thread is stuck") for one in tallies if not one]
    found = [tally for one in tallies for tally in one] + stuck
    problems = tuple(tally.problem for tally in found if tally.problem is not None)
    children = sum(map(len, tallies[threads:]))
    total = sum(tally.selections for tally in found)
    return Outcome(name, total, children, *watch.growth(), problems)


class _Child:
    """A process that reads until a moment."""

    def __init__(self, method: str, volume: xr.DataArray, end: float, seed: int) -> None:
        context: Any = multiprocessing.get_context(method)
        self.method, self.end = method, end
        self.here, there = context.Pipe(duplex=False)
        given = pickle.dumps(volume)
        self.process = context.Process(target=_read, args=(there, given, end, seed), daemon=True)
        self.process.start()
        there.close()

    def tally(self) -> Tally:
        found = Tally(0, f"a process started by {self.method} is stuck")
        if self.here.poll(max(0.0, self.end - time.time()) + PATIENCE):
            try:
                found = self.here.recv()
            except EOFError:
                found = Tally(0, f"a process started by {self.method} did not survive")
        self.process.kill()
        self.process.join()
        self.here.close()
        return found


def _read(answer: Any, given: Any, end: float, seed: int) -> None:
    volume = pickle.loads(given) if isinstance(given, bytes) else given
    # where it is stuck, if it is
    faulthandler.dump_traceback_later(max(0.0, end - time.time()) + PATIENCE - 5)
    # one that had no time is still to read something
    answer.send(read_until(volume, twin(), max(end, time.time() + 0.2), seed))
    answer.close()


class _Watch:
    """Descriptors and memory of this process: after a third of the time, and at the end."""

    def __init__(self, moment: float) -> None:
        self._before: list[tuple[int, float]] = []
        self._timer = threading.Timer(max(0.0, moment - time.time()), self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        self._before.append((0, _megabytes()))

    def growth(self) -> tuple[int, float]:
        self._timer.join()
        gc.collect()
        return _open_data(), _megabytes() - self._before[0][1]


def _open_data() -> int:
    """Files of volumes that are open."""
    if not os.path.isdir("/proc/self/fd"):
        return 0
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum("/volume-" in os.readlink(link) for link in links if os.path.lexists(link))


def _megabytes() -> float:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:  # not on Linux
        return 0.0
    return int(re.search(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)[1]) / 1000  # type: ignore[index]


# --- telling ----------------------------------------------------------------------

HEADINGS = (
    "volume", "selections compared", "child processes", "files left open", "memory, MB", "wrong",
)  # fmt: skip


def table(outcomes: Sequence[Outcome]) -> str:
    """What came of it, in Markdown."""
    lines = [(*one[:4], f"{one.growth:+.1f}", len(one.problems)) for one in outcomes]
    return page.table(HEADINGS, lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = page.parser("crowd", DESCRIPTION)
    parser.add_argument("--seconds", type=float, default=60, help="of each volume (default: 60)")
    parser.add_argument("--only", choices=list(VOLUMES), help="only this volume")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="brainxr-crowd-") as folder:
        names = [options.only] if options.only else list(VOLUMES)
        outcomes = [crowd(name, Path(folder), options.seconds) for name in names]
    wrong = [
        f"{one.name}: {problem}"
        for one in outcomes if one.is_failure
        for problem in one.problems or ["files are left open, or memory grew"]
    ]  # fmt: skip
    only = f' --only "{options.only}"' if options.only else ""
    command = f"--seconds {options.seconds:g}{only}"
    return page.publish("crowd", command, table(outcomes), options.write, wrong)


if __name__ == "__main__":
    sys.exit(main())
