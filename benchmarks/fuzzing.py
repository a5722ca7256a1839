"""One mutant is opened and read, and the result is judged by two other readers.

Runs in a process of its own, which a mutant may bring down.
"""

from __future__ import annotations

import logging
import shutil
import time
import traceback
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

import brainxr
from benchmarks.mutants import Mutant, honest_folder, make_mutant
from brainxr import errors

# Seconds of a processor that a mutant may take.
HANG = 2.0

# Times the honest size that may be allocated, where that is a megabyte or more; what
# Python itself takes to open and read a file is less than this.
GREED, LEAST = 10, 1 << 20

# Volumes of more bytes are not read whole, but in a corner.
MOST = GREED * LEAST

OURS: tuple[type[Exception], ...] = (
    errors.StackError, errors.StoreError, errors.GeometryError, errors.TooBigError,
)  # fmt: skip

Values: TypeAlias = npt.NDArray[Any]


class Attempt(NamedTuple):
    """What brainxr made of a mutant.

    Attributes
    ----------
    values : numpy.ndarray or None
        None where it was refused, or is so large that only its corners were read.
    shape : tuple of int
    problem : str or None
        What is wrong with the way in which it was refused.
    refusal : str or None
    seconds : float
        Of processors.
    peak : int
        Bytes allocated.
    """

    values: Values | None = None
    shape: tuple[int, ...] = ()
    problem: str | None = None
    refusal: str | None = None
    seconds: float = 0.0
    peak: int = 0


class Verdict(NamedTuple):
    """How a mutant ended.

    Attributes
    ----------
    kind : str
        "as it was", "as others", "refused", or a failure in capitals.
    detail : str
    seconds : float
    peak : int
    """

    kind: str
    detail: str = ""
    seconds: float = 0.0
    peak: int = 0

    @property
    def is_failure(self) -> bool:
        return self.kind.isupper()


def serve(connection: Connection, folder: str, seed: int, limit: int) -> None:
    """Answer for mutants until the other side hangs up: first what was read, then the verdict."""
    _set_limit(limit)
    logging.disable()  # tifffile tells of what it meets
    _warm_up(Path(folder))
    connection.send("ready")
    while True:
        try:
            family, number = connection.recv()
        except EOFError:
            return
        with mutant_in(Path(folder), family, number, seed) as mutant:
            connection.send("made")
            attempt = try_to_read(mutant)
            connection.send(attempt._replace(values=None))
            connection.send(judge(mutant, attempt))


@contextmanager
def mutant_in(folder: Path, family: str, number: int, seed: int) -> Iterator[Mutant]:
    """A mutant, for as long as it is looked at; one that ends the process stays."""
    place = folder / f"{zlib.crc32(family.encode()):08x}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    yield make_mutant(place, family, number, seed)
    shutil.rmtree(place)


def _warm_up(folder: Path) -> None:
    """Import whatever is imported when it is used."""
    for family in ("deflate", "OME-Zarr 0.5"):
        with mutant_in(folder, family, 0, 0) as mutant:
            honest = next(honest_folder(folder, family).iterdir())
            try_to_read(mutant._replace(path=str(honest)))


def _set_limit(limit: int) -> None:
    """Make what allocates absurd amounts fail by itself, and not end other programs."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# --- reading ----------------------------------------------------------------------


def try_to_read(mutant: Mutant) -> Attempt:
    """Open and read a mutant by brainxr, watched."""
    tracemalloc.start()
    start = time.process_time()
    try:
        attempt = _read(mutant)
    except OURS as error:
        attempt = Attempt(refusal=f"{type(error).__name__}: {error}")
        if Path(mutant.path).name not in str(error):
            attempt = attempt._replace(problem=f"UNNAMED: {attempt.refusal}")
    except Exception as error:  # whatever else there is is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        attempt = Attempt(problem=f"CLASS: {type(error).__name__} at {place}: {error}")
    seconds = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return attempt._replace(seconds=seconds, peak=peak)


def _read(mutant: Mutant) -> Attempt:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for known in (errors.SliceGapWarning, errors.SpacingWarning, errors.UnitWarning):
            warnings.simplefilter("ignore", known)
        volume = brainxr.open(mutant.path)
        if volume.nbytes > MOST:
            for corner in (0, -1):
                volume.isel(dict.fromkeys(volume.dims, corner)).load()
            return Attempt(shape=volume.shape)
        # a plane by itself takes other ways than the whole
        plane, values = volume.isel(y=volume.sizes["y"] // 2).values, volume.values
    same = np.array_equal(
        plane, values[:, volume.sizes["y"] // 2], equal_nan=plane.dtype.kind == "f"
    )
    return Attempt(
        values, volume.shape, None if same else "VALUES: a plane is not that of the whole"
    )


# --- judging ----------------------------------------------------------------------


def judge(mutant: Mutant, attempt: Attempt) -> Verdict:
    """Whether what was read is what it has to be."""
    kind, detail = _kind(mutant, attempt)
    return Verdict(kind, detail and f"{detail} [{mutant.how}]", attempt.seconds, attempt.peak)


def _kind(mutant: Mutant, attempt: Attempt) -> tuple[str, str]:
    if attempt.problem is not None:
        kind, _, detail = attempt.problem.partition(": ")
        return kind, detail
    if attempt.seconds > HANG:
        return "HANG", f"{attempt.seconds:.1f} s of a processor"
    if attempt.peak > GREED * max(LEAST, mutant.honest.nbytes):
        return "GREEDY", f"{attempt.peak / 1e6:.1f} MB; {attempt.refusal}"
    if attempt.refusal is not None:
        return "refused", ""
    if attempt.values is not None and _are_same(attempt.values, mutant.honest):
        return "as it was", ""
    if mutant.is_sealed:
        return "SILENT", "a store with checksums was changed, and that was not noticed"
    return _beside_others(mutant, attempt)


def _beside_others(mutant: Mutant, attempt: Attempt) -> tuple[str, str]:
    """Compare with what others read."""
    readers = STORE_READERS if mutant.path.endswith(".zarr") else TIFF_READERS
    found = {name: _by(reader, mutant.path, attempt.shape) for name, reader in readers.items()}
    read = {name: values for name, values in found.items() if isinstance(values, np.ndarray)}
    if not read:
        return "SILENT", f"refused by all others: {found}"
    if attempt.values is None:
        is_like = any(values.shape == attempt.shape for values in read.values())
        return ("as others", "") if is_like else ("SHAPE", _shapes(attempt, read))
    if any(_are_same(attempt.values, values) for values in read.values()):
        return "as others", ""
    if all(values.shape != attempt.shape for values in read.values()):
        return "SHAPE", _shapes(attempt, read)
    return "VALUES", f"unlike those of {', '.join(read)}"


def _shapes(attempt: Attempt, read: Mapping[str, Values]) -> str:
    return f"{attempt.shape}, others: { ({name: v.shape for name, v in read.items()}) }"


def _are_same(one: Values, other: Values) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _by(reader: Callable[[str], Values], path: str, shape: tuple[int, ...]) -> Values | str:
    """What another reader makes of it; why it doesn't."""
    try:
        values = np.asarray(reader(path))
    except Exception as error:  # another reader's own
        return f"{type(error).__name__}: {error}"[:100]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _files(path: str) -> list[str]:
    place = Path(path)
    return [path] if place.is_file() else sorted(map(str, place.glob("*.tif")))


def _by_tifffile(path: str) -> Values:
    planes = []
    for name in _files(path):
        with tifffile.TiffFile(name, _multifile=False) as tif:
            series = tif.series[0]
            if series.nbytes > 64 * MOST:  # only its shape is compared
                planes.append(np.broadcast_to(np.zeros((), series.dtype), series.shape))
            else:
                planes.append(series.asarray())
    return _stacked(planes)


def _by_libtiff(path: str) -> Values:
    """Page by page, as libtiff reads."""
    planes = []
    for name in _files(path):
        content = Path(name).read_bytes()
        pages = 1 if path != name else _pages(content)
        planes += [imagecodecs.tiff_decode(content, index=i) for i in range(pages)]
    return _stacked(planes)


def _pages(content: bytes) -> int:
    count = 0
    while count < 8:
        try:
            imagecodecs.tiff_decode(content, index=count)
        except Exception:  # there is no such page, or it can't be read
            break
        count += 1
    return max(count, 1)


def _stacked(planes: list[Values]) -> Values:
    """Planes as a volume, shape (z, y, x)."""
    if len(planes) == 1 and planes[0].ndim != 2:
        lengths = [n for n in planes[0].shape[:-2] if n > 1]
        return planes[0].reshape(*(lengths or [1]), *planes[0].shape[-2:])
    return np.stack(planes)


def _by_zarr(path: str) -> Values:
    import zarr

    group = zarr.open_group(path, mode="r")
    attributes: Any = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    array: Any = group[str(ome["multiscales"][0]["datasets"][0]["path"])]
    if array.nbytes > 64 * MOST:
        return np.broadcast_to(np.zeros((), array.dtype), array.shape)
    return np.asarray(array[...])


TIFF_READERS: Mapping[str, Callable[[str], Values]] = {
    "tifffile": _by_tifffile,
    "libtiff": _by_libtiff,
}
STORE_READERS: Mapping[str, Callable[[str], Values]] = {"zarr-python": _by_zarr}
