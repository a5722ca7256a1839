"""``python -m benchmarks.kill``: end every writer at random moments, and run it again.

A writer runs in a process of its own, which is killed as a power cut or the system, out of
memory, would: at once and without a word. What is there then has to be what was there
before or the new result, and after the next success nothing else may be left.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

import brainxr
from benchmarks import page

DESCRIPTION = """\
Kill each writer of brainxr by SIGKILL at random moments, look at what is there, run it again,
and look once more. Right is: the old result or the new one, whole, at any time (where two
renames are needed, also nothing, until the next run brings it back); after the next
success the new one, and no temporary beside it. The moments are spread over the time from
when something appears beside the result until the end: nothing can be lost while a window
is being opened. The exit code is 1 where anything is wrong.
"""

SHAPE = (48, 80, 136)

# Imported once, so that the moments are those of writing.
PRELOADED = ["brainxr.writing.convert", "brainxr.writing.tiffstack", "brainxr.pictures.frames",
             "av", "brainxr.lazy.daskarray", "zarr", "dask.threaded", "nibabel", "brainxr.cli",
             "matplotlib.pyplot", "brainxr.viewing.screenshots", "napari.viewer",
             "napari.window"]  # fmt: skip

# How many times as many runs are made at the most, where some end before they are killed.
PATIENCE = 3

# Seconds between two looks at whether a writer has begun.
BLINK = 0.0005


class Writer(NamedTuple):
    """Something that brainxr writes.

    Attributes
    ----------
    name : str
        Of the file or folder that is written.
    write : callable
        Given the place, whether the old or the new values are wanted (0 or 1), and
        whether it may replace what is there.
    read : callable
        Given the place: all that is in it, of whatever type, for a comparison.
    replaces : bool
        Whether it would write other values over what is there.
    prepare : callable
        Makes what it is made from, in the folder of its place.
    """

    name: str
    write: Callable[[Path, int, bool], object]
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


def _write_store(place: Path, kind: int, overwrite: bool, **options: Any) -> None:
    volume(kind).brain.to_ome_zarr(
        place, progress=False, chunks=16, memory="4 MiB", overwrite=overwrite, **options
    )


def _write_0_5(place: Path, kind: int, overwrite: bool) -> None:
    _write_store(place, kind, overwrite, shards=32)


def _write_0_4(place: Path, kind: int, overwrite: bool) -> None:
    _write_store(place, kind, overwrite, version="0.4")


def _write_levels(place: Path, kind: int, overwrite: bool) -> None:
    stack = place.with_name(place.name.removesuffix(".levels.ome.zarr"))
    brainxr.open(stack).brain.build_levels(beside=True, progress=False, memory="4 MiB")


def _prepare_stack(folder: Path) -> None:
    _write_tiff(folder / "made", 1, False)


def _write_tiff(place: Path, kind: int, overwrite: bool) -> None:
    volume(kind).brain.to_tiff(place, progress=False, memory="4 MiB", overwrite=overwrite)


def _write_packed_tiff(place: Path, kind: int, overwrite: bool) -> None:
    volume(kind).brain.to_tiff(
        place, progress=False, along="y", compression="deflate", memory="4 MiB",
        overwrite=overwrite,
    )  # fmt: skip


def _write_nifti(place: Path, kind: int, overwrite: bool) -> None:
    volume(kind).brain.to_nifti(place, progress=False, memory="256 KiB", overwrite=overwrite)


def _write_movie(place: Path, kind: int, overwrite: bool) -> None:
    brainxr.movie(volume(kind)[:12], place, size=96, progress=False, overwrite=overwrite)


def _write_screenshot(place: Path, kind: int, overwrite: bool) -> None:
    brainxr.screenshot(volume(kind), place, size=(300, 300), overwrite=overwrite)


def _prepare_stacks(folder: Path) -> None:
    for kind in (0, 1):
        _write_tiff(folder / f"stack-{kind}", kind, False)


def _write_plot(place: Path, kind: int, overwrite: bool) -> None:
    from brainxr.cli import main

    stack = str(place.with_name(f"stack-{kind}"))
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main(["plot", stack, "-o", str(place), *["--overwrite"] * overwrite])


def _write_sample(place: Path, kind: int, overwrite: bool) -> None:
    brainxr.sample("phantom", folder=place, shape=dict(zip("zyx", (30, 40, 50), strict=True)))


def _read_volume(place: Path) -> npt.NDArray[Any]:
    return brainxr.open(place).values


def _read_pyramid(place: Path) -> list[npt.NDArray[Any]]:
    tree = brainxr.open_pyramid(place)
    return [tree[name]["intensity"].values for name in sorted(tree.children)]


def _read_nifti(place: Path) -> npt.NDArray[Any]:
    import nibabel

    return np.asarray(nibabel.load(place).dataobj)


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
    "OME-Zarr 0.5": Writer("made.ome.zarr", _write_0_5, _read_pyramid),
    "OME-Zarr 0.4": Writer("made.ome.zarr", _write_0_4, _read_pyramid),
    "levels beside a stack": Writer(
        "made.levels.ome.zarr", _write_levels, _read_pyramid, False, _prepare_stack
    ),
    "TIFF": Writer("made", _write_tiff, _read_volume),
    "TIFF, coronal, deflate": Writer("made", _write_packed_tiff, _read_volume),
    "NIfTI, .nii": Writer("made.nii", _write_nifti, _read_nifti),
    "NIfTI, .nii.gz": Writer("made.nii.gz", _write_nifti, _read_nifti),
    "movie, .mp4": Writer("made.mp4", _write_movie, _read_movie),
    "movie, .gif": Writer("made.gif", _write_movie, _read_movie),
    "screenshot of napari": Writer("made.png", _write_screenshot, _read_picture),
    "plot, by the command line": Writer(
        "made.png", _write_plot, _read_picture, True, _prepare_stacks
    ),
    "sample": Writer("made_axial", _write_sample, _read_volume, False),
}


# --- killing ----------------------------------------------------------------------


class Killing:
    """One writer, killed again and again, each time over an older result or over nothing.

    Parameters
    ----------
    writer : Writer
    folder : pathlib.Path
        An empty one to work in.
    seed : int
        Of the moments.
    """

    def __init__(self, writer: Writer, folder: Path, seed: int) -> None:
        self.writer = writer
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        # what is there before: nothing but what it is made from, and an older result
        self.bare, self.older, newer = (folder / name for name in ("bare", "older", "newer"))
        self.bare.mkdir()
        _in_a_process(writer.prepare, self.bare)
        self.seconds = 0.0
        for place, kind in ((self.older, 0), (newer, 1)):
            shutil.copytree(self.bare, place)
            self.seconds = self._run(place, kind)
        made = {"old": self.older, "new": newer}
        self.expected = {state: writer.read(made[state] / writer.name) for state in made}

    def kill(self, number: int) -> tuple[bool, str, list[str]]:
        """Whether it was at work, what was there then, and what is wrong after another run."""
        replaces = self.writer.replaces and number % 2 == 1
        place = self.folder / f"run-{number}"
        shutil.copytree(self.older if replaces else self.bare, place)
        others = set(os.listdir(place)) - {self.writer.name}
        was_at_work = self._run_and_kill(place, self.rng.random() * self.seconds)
        state = self._state(place)
        problems = [] if state in STATES else [f"{number}: after the kill {state}"]
        self.seconds = self._run(place, 1)
        problems += [f"{number}: {each}" for each in self._what_is_wrong(place, others)]
        shutil.rmtree(place)
        return was_at_work, state, problems

    def _state(self, folder: Path) -> str:
        """What is there: "old", "new" or "nothing"; else what is wrong."""
        place = folder / self.writer.name
        if not os.path.lexists(place):
            return "nothing"
        try:
            found = self.writer.read(place)
        except Exception as error:  # whatever half a file makes of a reader
            return f"something that can't be read: {type(error).__name__}: {error}"
        for state in ("new", "old"):  # which are the same of what always writes the same
            if _are_same(found, self.expected[state]):
                return state
        return "something that opens and is wrong"

    def _what_is_wrong(self, folder: Path, others: set[str]) -> list[str]:
        """After the next success."""
        found = set(os.listdir(folder))
        problems = [f"left behind: {name}" for name in found - {self.writer.name, *others}]
        if self._state(folder) != "new":
            problems.append(f"the next run made {self._state(folder)}")
        return problems

    def _run(self, folder: Path, kind: int) -> float:
        """Run it to its end; the seconds from when something changed in its folder."""
        process = self._started(folder, kind)
        begun = time.monotonic()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"{self.writer.name} could not be written: see above")
        return time.monotonic() - begun

    def _run_and_kill(self, folder: Path, after: float) -> bool:
        """Kill it so many seconds after it has begun; whether it was still at work."""
        process = self._started(folder, 1)
        process.join(after)
        was_at_work: bool = process.is_alive()
        process.kill()
        process.join()
        return was_at_work

    def _started(self, folder: Path, kind: int) -> Any:
        """A process that has begun to write, or has ended."""
        before = set(os.listdir(folder))
        process: Any = multiprocessing.get_context("fork").Process(
            target=self.writer.write, args=(folder / self.writer.name, kind, True)
        )
        process.start()
        while process.is_alive() and set(os.listdir(folder)) == before:
            time.sleep(BLINK)
        return process


STATES = ("old", "new", "nothing")


def kill(
    name: str, folder: Path, kills: int, seed: int, tick: Callable[[], object] = lambda: None
) -> Outcome:
    """Kill a writer so many times while it is at work."""
    killing = Killing(WRITERS[name], folder, seed)
    states, problems, at_work = Counter[str](), list[str](), 0
    for number in range(PATIENCE * kills):
        if at_work == kills:
            break
        was_at_work, state, found = killing.kill(number)
        states[state] += was_at_work
        problems += found
        at_work += was_at_work
        if was_at_work:
            tick()
    return Outcome(name, at_work, *(states[state] for state in STATES), tuple(problems))


def _in_a_process(work: Callable[[Path], object], folder: Path) -> None:
    """So that no thread is started in the one that forks."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder,))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"Nothing could be prepared in {str(folder)!r}: see above")


def _are_same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return bool(np.array_equal(one, other))


# --- telling ----------------------------------------------------------------------

HEADINGS = ("writer", "killed at work", "then: old", "new", "nothing", "wrong, or left behind")


def table(outcomes: Sequence[Outcome]) -> str:
    """What came of it, in Markdown."""
    return page.table(HEADINGS, [(*one[:-1], len(one.problems)) for one in outcomes])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = page.parser("kill", DESCRIPTION)
    parser.add_argument("--kills", type=int, default=100, help="of each writer (default: 100)")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(WRITERS), help="only this writer")
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
                bar.write(str(outcomes[-1]), file=sys.stderr)  # it is a while until the next
    wrong = [f"{one.name}: {problem}" for one in outcomes for problem in one.problems]
    given = "".join(f' --only "{name}"' for name in options.only or ())
    command = f"--kills {options.kills} --seed {options.seed}{given}"
    return page.publish("kill", command, table(outcomes), options.write, wrong)


if __name__ == "__main__":
    sys.exit(main())
