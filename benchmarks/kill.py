"""``python -m benchmarks.kill``: end every writer at random moments, and run it again.

A writer runs in a process of its own, which is killed as a power cut or the system, out of
memory, would: at once and without a word. What is there then has to be what was there
before or the new result, and after the next success nothing else may be left.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

import brainxr
from benchmarks.page import write_block

DESCRIPTION = """\
Kill each writer of brainxr by SIGKILL at random moments, look at what is there, run it again,
and look once more. Right is: the old result or the new one, whole, at any time (where two
renames are needed, also nothing, until the next run brings it back); after the next
success the new one, and no temporary beside it. The exit code is 1 otherwise.
"""

SHAPE = (96, 150, 170)

# Imported once, so that the moments are those of writing.
PRELOADED = ["brainxr.writing.convert", "brainxr.writing.tiffstack", "brainxr.pictures.frames",
             "av", "brainxr.lazy.daskarray", "zarr", "dask.threaded",
             "matplotlib.pyplot"]  # fmt: skip


class Writer(NamedTuple):
    """Something that brainxr writes.

    Attributes
    ----------
    name : str
        Of the file or folder that is written.
    write : callable
        Given the place and whether the old or the new values are wanted (0 or 1).
    read : callable
        Given the place: all that is in it, of whatever type, for a comparison.
    replaces : bool
        Whether it would write other values over what is there.
    prepare : callable
        Makes what it is made from, in the folder of its place.
    """

    name: str
    write: Callable[[Path, int], object]
    read: Callable[[Path], Any]
    replaces: bool = True
    prepare: Callable[[Path], object] = lambda folder: None


class Outcome(NamedTuple):
    """What came of one writer.

    Attributes
    ----------
    name : str
    kills : int
        How often it was at work when it was killed.
    old, new, absent : int
        What was there after a kill.
    problems : tuple of str
    """

    name: str
    kills: int
    old: int
    new: int
    absent: int
    problems: tuple[str, ...]


# --- what is written --------------------------------------------------------------


def volume(kind: int) -> xr.DataArray:
    """Values, and others of the same shape."""
    z, y, x = np.indices(SHAPE)
    values = (z * 3 + y * 5 + x * 7 + 40 * kind) % 251
    coordinates = {
        dim: xr.Variable(dim, 100.0 * np.arange(n), {"units": "micrometer", "spacing": 100.0})
        for dim, n in zip("zyx", SHAPE, strict=True)
    }
    return xr.DataArray(values.astype("u1"), coordinates, ("z", "y", "x"), "intensity")


def _write_store(place: Path, kind: int) -> None:
    volume(kind).brain.to_ome_zarr(
        place, progress=False, chunks=16, shards=32, memory="8 MiB", overwrite=True
    )


def _write_levels(place: Path, kind: int) -> None:
    stack = place.with_name(place.name.removesuffix(".levels.ome.zarr"))
    brainxr.open(stack).brain.build_levels(beside=True, progress=False, memory="8 MiB")


def _prepare_stack(folder: Path) -> None:
    _write_tiff(folder / "made", 1)


def _write_tiff(place: Path, kind: int) -> None:
    volume(kind).brain.to_tiff(place, progress=False, memory="8 MiB", overwrite=True)


def _write_movie(place: Path, kind: int) -> None:
    brainxr.movie(volume(kind)[:12], place, size=96, progress=False, overwrite=True)


def _write_screenshot(place: Path, kind: int) -> None:
    brainxr.screenshot(volume(kind), place, size=(300, 300), overwrite=True)


def _write_sample(place: Path, kind: int) -> None:
    brainxr.sample("phantom", folder=place, shape=dict(zip("zyx", (30, 40, 50), strict=True)))


def _read_volume(place: Path) -> npt.NDArray[Any]:
    return brainxr.open(place).values


def _read_pyramid(place: Path) -> list[npt.NDArray[Any]]:
    tree = brainxr.open_pyramid(place)
    return [tree[name]["intensity"].values for name in sorted(tree.children)]


def _read_movie(place: Path) -> npt.NDArray[Any]:
    import av

    with av.open(str(place)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


def _read_picture(place: Path) -> npt.NDArray[Any]:
    from PIL import Image

    with Image.open(place) as image:
        return np.asarray(image)


# A new writer is one more row.
WRITERS: Mapping[str, Writer] = {
    "OME-Zarr": Writer("made.ome.zarr", _write_store, _read_pyramid),
    "levels beside a stack": Writer(
        "made.levels.ome.zarr", _write_levels, _read_pyramid, False, _prepare_stack
    ),
    "TIFF": Writer("made", _write_tiff, _read_volume),
    "movie, .mp4": Writer("made.mp4", _write_movie, _read_movie),
    "movie, .gif": Writer("made.gif", _write_movie, _read_movie),
    "screenshot": Writer("made.png", _write_screenshot, _read_picture),
    "sample": Writer("made_axial", _write_sample, _read_volume, False),
}


# --- killing ----------------------------------------------------------------------


def kill(name: str, folder: Path, kills: int, seed: int, tick: Callable[[], object]) -> Outcome:
    """Kill a writer so many times, each time over an older result or over nothing."""
    writer, rng = WRITERS[name], np.random.default_rng(seed)
    expected = [_made(writer, folder / f"expected-{kind}", kind) for kind in (0, 1)]
    seconds = _seconds(writer, folder / "timed")
    seen = {"old": 0, "new": 0, "nothing": 0}
    problems: list[str] = []
    at_work = 0
    for number in range(kills):
        place = folder / f"run-{number}"
        place.mkdir()
        writer.prepare(place)
        if writer.replaces and number % 2:
            _made(writer, place, 0)
        others = set(os.listdir(place)) - {writer.name}
        at_work += _run(writer, place, 1, after=rng.random() * seconds)
        state = _state(writer, place, expected)
        problems += [f"{number}: after the kill {state}"] if state not in seen else []
        seen[state] = seen.get(state, 0) + 1
        again = _again(writer, place, expected[1], others)
        problems += [f"{number}: {each}" for each in again]
        tick()
    return Outcome(name, at_work, seen["old"], seen["new"], seen["nothing"], tuple(problems))


def _made(writer: Writer, folder: Path, kind: int) -> Any:
    if not folder.exists():
        folder.mkdir()
        writer.prepare(folder)
    _run(writer, folder, kind)
    return writer.read(folder / writer.name)


def _seconds(writer: Writer, folder: Path) -> float:
    """How long it takes, once."""
    folder.mkdir()
    writer.prepare(folder)
    start = time.monotonic()
    _run(writer, folder, 1)
    return time.monotonic() - start


def _state(writer: Writer, folder: Path, expected: Sequence[Any]) -> str:
    """What is there: "old", "new" or "nothing"; else what is wrong."""
    place = folder / writer.name
    if not os.path.lexists(place):
        return "nothing"
    try:
        found = writer.read(place)
    except Exception as error:  # whatever half a file makes of a reader
        return f"something that can't be read: {type(error).__name__}: {error}"
    for state, values in zip(("old", "new"), expected, strict=True):
        if _are_same(found, values):
            return state
    return "something that opens and is wrong"


def _again(writer: Writer, folder: Path, expected: Any, others: set[str]) -> list[str]:
    """Run it to its end; what is wrong then."""
    _run(writer, folder, 1)
    found = os.listdir(folder)
    problems = [f"left behind: {name}" for name in found if name not in {writer.name, *others}]
    if writer.name not in found:
        return [*problems, "the next run made nothing"]
    same = _are_same(writer.read(folder / writer.name), expected)
    return problems if same else [*problems, "the next run made something else"]


def _are_same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return bool(np.array_equal(one, other))


def _run(writer: Writer, folder: Path, kind: int, after: float | None = None) -> bool:
    """Run a writer in a process of its own, killed after so many seconds; whether it was."""
    process: Any = multiprocessing.get_context("fork").Process(
        target=writer.write, args=(folder / writer.name, kind)
    )
    process.start()
    process.join(after)
    was_killed = process.is_alive()
    process.kill()
    process.join()
    if after is None and process.exitcode != 0:
        raise RuntimeError(f"{writer.name} could not be written: see above")
    return was_killed


# --- telling ----------------------------------------------------------------------

HEADINGS = ("writer", "killed at work", "then: old", "new", "nothing", "wrong, or left behind")


def markdown(outcomes: Sequence[Outcome], kills: int) -> str:
    """What came of it, for a page."""
    rule = ("---", *["---:"] * (len(HEADINGS) - 1))
    lines = [
        (o.name, *map(str, (o.kills, o.old, o.new, o.absent, len(o.problems)))) for o in outcomes
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (HEADINGS, rule, *lines))
    return f"`python -m benchmarks.kill --kills {kills}`, {time.strftime('%Y-%m-%d')}:\n\n{table}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.kill", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--kills", type=int, default=100, help="of each writer (default: 100)")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(WRITERS), help="only this writer")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="renew the table in a page")
    options = parser.parse_args(arguments)
    names = options.only or list(WRITERS)
    for module in PRELOADED:
        importlib.import_module(module)
    outcomes = []
    with tqdm(total=options.kills * len(names), unit="kill", disable=None) as bar:
        for name in names:
            with tempfile.TemporaryDirectory(prefix="brainxr-kill-") as folder:
                args = name, Path(folder), options.kills, options.seed
                outcomes.append(kill(*args, bar.update))
    print(markdown(outcomes, options.kills))
    if options.write:
        write_block(options.write, "kill", markdown(outcomes, options.kills))
    for outcome in outcomes:
        for problem in outcome.problems:
            print(f"WRONG: {outcome.name}: {problem}", file=sys.stderr)
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
