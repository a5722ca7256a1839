"""Stacks to try things on: a head phantom made on the spot, and the MNI152 brain.

    name, shape ── _recipe ──▶ what makes this sample this one ──▶ folder in the cache
    folder complete? ── return it │ else _phantom | _mni152 ──▶ slices ── _write ──▶ publish

A sample is written into a hidden folder beside its place and renamed when it is
complete, so what stands at its place is whole, whatever was interrupted and
however many processes make it at once. Slices run as a radiologist's axial series
would be stored for a viewer that draws z and y downwards: slice 0 at the top of
the head, row 0 in front, column 0 at the subject's left.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.cache import cache_folder
from brainxr.errors import GeometryError, StackError, shortlist
from brainxr.geometry.grid import DIMS
from brainxr.progress import with_progress
from brainxr.samples.mni152 import MNI152_FILE, read_mni152
from brainxr.samples.phantom import FULL_SCALE, phantom_slice, spacing_of
from brainxr.stacks.calibration import imagej_description
from brainxr.stacks.citations import MNI152_NOTICE
from brainxr.stacks.slices import PathLike, is_slice_name
from brainxr.stacks.tiff import encode_slice
from brainxr.writing.wholefile import beside, kept

NAMES = ("phantom", "mni152")
DEFAULT_SHAPE = {"z": 128, "y": 176, "x": 160}
FULL_SHAPE = {"z": 1280, "y": 1760, "x": 1760}

MARKER = "sample.json"
BYTES_BESIDE_PIXELS = 4096  # of a slice's file: its header, and what rounds up to a disk block


def sample(
    name: str = "phantom", *, shape: Mapping[str, int] | None = None, dtype: str | None = None,
    folder: PathLike | None = None, progress: bool | None = None,
) -> Path:  # fmt: skip
    """Folder of a sample stack, which is made unless it is there already.

    The default phantom takes two seconds and 3.6 MB, the one of the full shape two
    minutes and 4 GB, slice by slice in little memory. A sample that is there, and
    complete, is returned at once.

    Parameters
    ----------
    name : {"phantom", "mni152"}
        ``"phantom"``: a head with a folded brain in it, made up, with noise and
        an empty background. Its frame is 128 mm high (z) and 176 mm long (y)
        whatever the shape, so a length means the same place in each size.
        Pixels are square; more or fewer columns than rows widen or narrow the
        frame about the midline. A capsule on the skin marks the right side.
        ``"mni152"``: the T1-weighted MNI152 template that nilearn brings, without
        skull, shape (189, 233, 197) at 1 mm, voxels as they are; needs
        ``pip install "brainxr[samples]"``.
        Both are axial stacks, slice 0 at the top, row 0 in front, column 0 left.
    shape : mapping of str to int, optional
        Voxels of the phantom along z, y and x, at most 1280, 1760 and 1760, where
        its spacing is that of the 100 µm brain. Default: 128, 176, 160 at 1 mm.
    dtype : {"uint8", "uint16"}, optional
        Of the phantom's values, which go up to 255 or 4095. Default: ``"uint8"``.
    folder : path-like, optional
        Where to write, instead of the cache: a folder that is not there yet, or
        is empty. The cache is in the user's cache folder, or where the environment
        variable ``BRAINXR_CACHE`` says.
    progress : bool, optional
        Whether to show a bar. Default: in a terminal, after two seconds.

    Returns
    -------
    pathlib.Path
        A folder that `brainxr.open` takes.

    Raises
    ------
    ValueError
        When there is no such sample, shape or dtype.
    FileExistsError
        When `folder` holds something else; nothing is ever overwritten.
    StackError
        When the sample was made, and files of it were changed or removed since.
    MissingExtraError
        When ``"mni152"`` is asked for without nilearn or nibabel.
    OSError
        When there is not enough room on the disk.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> dict(vol.sizes), vol.attrs["plane"]
    ({'z': 128, 'y': 176, 'x': 160}, 'axial')
    """
    recipe = _recipe(name, shape, dtype)
    target = _target(folder, recipe)
    if not _is_complete(target, recipe):
        source = _phantom(recipe) if name == "phantom" else _mni152()
        _write(source, recipe, target, progress)
    return target


# --- what is asked for ------------------------------------------------------------


def _recipe(name: str, shape: Mapping[str, int] | None, dtype: str | None) -> dict[str, Any]:
    """All that makes a sample this one, as it is written into its folder."""
    if name not in NAMES:
        raise ValueError(f"There is no sample {name!r}.{_closest(name)} There are: {_or(NAMES)}.")
    if name == "phantom":
        checked = _checked_shape(DEFAULT_SHAPE if shape is None else shape)
        return {"sample": name, "version": 1, "shape": checked, "dtype": _checked_dtype(dtype)}
    if shape is not None or dtype is not None:
        raise ValueError(
            f"The sample {name!r} has a shape and a dtype of its own: leave out shape= and dtype=, "
            "or ask for the sample 'phantom'."
        )
    return {"sample": name, "version": 1}


def _closest(name: object) -> str:
    import difflib

    close = difflib.get_close_matches(str(name).lower(), NAMES, n=1, cutoff=0.4)
    return f" Did you mean {close[0]!r}?" if close else ""


def _or(choices: Sequence[str]) -> str:
    return " or ".join(map(repr, choices))


def _checked_shape(shape: Mapping[str, int]) -> dict[str, int]:
    example = f"for example shape={DEFAULT_SHAPE}"
    if not isinstance(shape, Mapping) or set(shape) != set(DIMS):
        raise ValueError(
            f"shape={shape!r} has to name the voxels along each of z, y and x, {example}."
        )
    for dim in DIMS:
        if not _is_count(shape[dim]) or not 1 <= shape[dim] <= FULL_SHAPE[dim]:
            raise ValueError(
                f"shape[{dim!r}] is {shape[dim]!r}; expected a whole number from 1 to "
                f"{FULL_SHAPE[dim]}, {example}."
            )
    return {dim: operator.index(shape[dim]) for dim in DIMS}


def _is_count(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _checked_dtype(dtype: str | None) -> str:
    try:
        name = "uint8" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = "none"
    if name not in FULL_SCALE:
        raise ValueError(f"dtype={dtype!r} is none that the phantom has: {_or(list(FULL_SCALE))}.")
    return name


# --- where it is, and whether it is whole ------------------------------------------


def _target(folder: PathLike | None, recipe: Mapping[str, Any]) -> Path:
    if folder is not None:
        return Path(os.path.realpath(os.path.expanduser(folder)))
    return Path(os.path.realpath(cache_folder() / _folder_name(recipe)))


def _folder_name(recipe: Mapping[str, Any]) -> str:
    parts = [f"{recipe['sample']}_axial_v{recipe['version']}"]
    if "shape" in recipe:
        parts += ["x".join(str(recipe["shape"][dim]) for dim in DIMS), recipe["dtype"]]
    return "_".join(parts)


def _is_complete(target: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether the sample is there; False where nothing is in its way.

    Raises
    ------
    FileExistsError, StackError
        When something else is there, or not all of the sample.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    found = _read_marker(target)
    if any(found.get(key) != value for key, value in recipe.items()):
        raise FileExistsError(
            f"{str(target)!r} is there already, and is not the sample {_describe(recipe)}. Nothing "
            "was written: name a folder that is not there yet."
        )
    _check_files(target, found)
    return True


def _read_marker(target: Path) -> dict[str, Any]:
    """What a folder says about itself; empty where it is no sample."""
    try:
        found = json.loads((target / MARKER).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(recipe: Mapping[str, Any]) -> str:
    shape = recipe.get("shape")
    return repr(recipe["sample"]) + (f" of shape {shape}, {recipe['dtype']}" if shape else "")


def _check_files(target: Path, marker: Mapping[str, Any]) -> None:
    expected = {_slice_name(marker["stem"], i) for i in range(marker["slices"])}
    with os.scandir(target) as entries:
        found = {e.name: e.stat().st_size for e in entries if is_slice_name(e.name)}
    wrong = [name for name in sorted(expected) if found.get(name) != marker["bytes_per_slice"]]
    wrong += [f"{name} (of unknown origin)" for name in sorted(set(found) - expected)]
    if wrong:
        raise StackError(
            f"{len(wrong)} files of the sample in {str(target)!r} were changed, added or removed "
            f"since it was made: {shortlist(wrong)}. Remove that folder and ask for it again."
        )


# --- writing ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """Slices that can be made one by one, in any order and from any thread.

    Attributes
    ----------
    stem : str
        What the files are called, before the spacing and the number.
    shape : mapping of str to int
    spacing : mapping of str to float
        In µm; the same along y and x.
    dtype : str
    slice : callable
        From the slice's index to its pixels.
    notice : str, optional
        Text that has to go with every copy.
    """

    stem: str
    shape: Mapping[str, int]
    spacing: Mapping[str, float]
    dtype: str
    slice: Callable[[int], npt.NDArray[Any]]
    notice: str | None = None

    @property
    def bytes(self) -> int:
        return math.prod(self.shape.values()) * np.dtype(self.dtype).itemsize


def _write(source: _Source, recipe: Mapping[str, Any], target: Path, progress: bool | None) -> None:
    """Write a sample beside its place, then rename it, so that it is whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(source, target.parent)
    # the name goes on, as the plane is read from it; the dot hides it from listings
    partial = beside(target)
    try:
        with kept(partial, is_folder=True):
            _write_slices(source, partial, progress)
            _write_texts(source, recipe, partial)
            _publish(partial, target, recipe)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # Ctrl-C, too, leaves nothing behind


def _check_room(source: _Source, parent: Path) -> None:
    needed = source.bytes + source.shape["z"] * BYTES_BESIDE_PIXELS
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise OSError(
            f"The sample needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free in "
            f"{str(parent)!r}. Name another place with folder=..., or ask for a smaller shape."
        )


def _write_slices(source: _Source, partial: Path, progress: bool | None) -> None:
    stem = f"{source.stem}_axial_{_in_a_name(source.spacing['z'])}"
    spacing = source.spacing["z"], source.spacing["y"], source.spacing["x"]

    # one after another: two threads are no faster, as their many short steps wait for each
    # other (measured on two processors: 84 ms a slice of 1760 x 1760 alone, 90 by two)
    for i in with_progress(range(source.shape["z"]), source.stem, "slice", progress):
        content = encode_slice(source.slice(i), imagej_description(spacing), spacing[1:])
        (partial / _slice_name(stem, i)).write_bytes(content)
        if i == 0:
            _check_geometry(source, partial)


def _slice_name(stem: str, index: int) -> str:
    return f"{stem}_{index + 1:04d}.tif"


def _in_a_name(micrometers: float) -> str:
    """A spacing as file names carry it, to be found there by `brainxr.open`.

    >>> _in_a_name(1000.0), _in_a_name(727.2727272727)
    ('1mm', '727.272727um')
    """
    whole = micrometers % 1000 == 0
    return f"{micrometers / 1000:.9g}mm" if whole else f"{micrometers:.9g}um"


def _check_geometry(source: _Source, partial: Path) -> None:
    """Refuse what would be read as another geometry, before much is written."""
    from brainxr.stacks.stack import find_stack

    stack = find_stack(partial)
    if stack.attrs["plane"] != "axial":
        raise GeometryError(
            f"A folder of this name is read as {stack.attrs['plane']}, and the sample is axial. "
            "Name another folder."
        )
    for dim, expected in source.spacing.items():
        found = stack.spacing.micrometers[dim]
        if not math.isclose(found, expected, rel_tol=1e-6):
            raise GeometryError(
                f"A spacing of {expected:.6g} µm along {dim} would be read back as {found:.6g} µm "
                f"(from {stack.spacing}). Name another folder, without a length in its name."
            )


def _write_texts(source: _Source, recipe: Mapping[str, Any], partial: Path) -> None:
    if source.notice is not None:
        (partial / "NOTICE.txt").write_text(source.notice, "utf-8")
    first = min(entry.name for entry in partial.iterdir() if is_slice_name(entry.name))
    facts = {
        "stem": first.rpartition("_")[0],
        "slices": source.shape["z"],
        "bytes_per_slice": (partial / first).stat().st_size,
    }
    (partial / MARKER).write_text(json.dumps({**recipe, **facts}, indent=1), "utf-8")


def _publish(partial: Path, target: Path, recipe: Mapping[str, Any]) -> None:
    try:
        if target.is_dir():
            target.rmdir()  # which an empty folder allows, and no other
        os.replace(partial, target)
    except OSError:
        # another process was faster: what it made is as good as ours
        if not _is_complete(target, recipe):
            raise


# --- what is written --------------------------------------------------------------


def _phantom(recipe: Mapping[str, Any]) -> _Source:
    shape, dtype = recipe["shape"], recipe["dtype"]
    return _Source(
        stem="phantom",
        shape=shape,
        spacing=spacing_of(shape),
        dtype=dtype,
        slice=functools.partial(phantom_slice, shape, dtype),
    )


def _mni152() -> _Source:
    stack, spacing = read_mni152()
    return _Source(
        stem=MNI152_FILE[-1].partition("_converted")[0],
        shape=dict(zip(DIMS, stack.shape, strict=True)),
        spacing=spacing,
        dtype=stack.dtype.name,
        slice=stack.__getitem__,
        notice=MNI152_NOTICE,
    )
