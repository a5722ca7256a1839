"""The rows: what is done, and every way of doing it.

A way is prepared (imported, opened) once and then timed; preparing is a function of
its own, so that another process can do it with the same row and way for measuring
memory.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import numpy as np

import brainxr
from benchmarks import conversion, limits, oracle
from benchmarks.limits import Key
from benchmarks.peers import PEERS, Peer
from benchmarks.stacks import PLAIN, Stacks, layouts

Role: TypeAlias = Literal["limit", "brainxr", "peer"]
Timed: TypeAlias = Callable[[], Any]
Check: TypeAlias = Callable[[Any], str | None]

ALL = slice(None)
DOORS = ("dask", "chunks=None", "napari")
FEW_PEERS = ("tutorial", "tifffile + dask")
# one with a chunk for each slice, one with everything in one chunk: the others are alike,
# and a mean over 1280 chunks of a slice takes dask the better part of a minute
MEAN_PEERS = ("tutorial", "bioio")
SLOWEST_PEERS = ("tutorial",)

# One that reads the whole stack for any pixel takes as long for all of them.
WHOLE_STACK_ROWS = ("axial plane", 'max("z")')
REDUCTIONS = ('max("z")', 'mean("z")', "mean()", "std()", "histogram")
# of a float64 copy of everything, which numpy makes where everything is one chunk
COPIED_AS_FLOAT = ("std()", "histogram")


@dataclass(frozen=True)
class Way:
    """One way of doing what a row is about.

    Attributes
    ----------
    name : str
    role : {"limit", "brainxr", "peer"}
    prepare : callable
        Imports and opens; returns the function that is timed.
    refused : str, optional
        Why it is not run.
    """

    name: str
    role: Role
    prepare: Callable[[], Timed]
    refused: str | None = None


@dataclass(frozen=True)
class Row:
    """One thing to do, and the ways of doing it.

    Attributes
    ----------
    name : str
    stack : str or None
        Which stack it reads.
    ways : tuple of Way
    checker : callable
        Returns the function that tells what is wrong with a result; called once,
        before the first way runs.
    brief : callable
        What of a result is compared.
    cold : bool
        Whether the files have to be out of the page cache each time.
    """

    name: str
    stack: str | None
    ways: tuple[Way, ...]
    checker: Callable[[], Check]
    brief: Callable[[Any], Any] = np.asarray
    cold: bool = False


def rows(stacks: Stacks) -> list[Row]:
    """All rows that this process can measure, in the order of the table."""
    return [
        _import_row(),
        *(_open_row(stacks, count) for count in stacks.size.counts),
        *_plain_rows(stacks),
        *_layout_rows(stacks),
        *_tenfold_rows(stacks),
        *_cold_rows(stacks),
        _conversion_row(stacks),
    ]


def selections(stacks: Stacks, depth: int) -> dict[str, Key]:
    """Index of every selection from a stack of this many slices."""
    height, width, box = stacks.size.shape["y"], stacks.size.shape["x"], stacks.size.box
    z, y, x = depth // 2, height // 2, width // 2
    # the box and its middle stay where they are in a stack of ten times the slices
    near = max(0, min(depth, stacks.size.slices) // 2 - box // 2)
    return {
        "axial plane": (z, ALL, ALL),
        "coronal plane": (ALL, y, ALL),
        "sagittal plane": (ALL, ALL, x),
        f"{box}³ box": (_from(near, box), _from(y - box // 2, box), _from(x - box // 2, box)),
        "[::8, ::8, ::8]": (slice(None, None, 8),) * 3,
        "line along z": (ALL, y, x),
    }


def _from(first: int, count: int) -> slice:
    return slice(first, first + count)


# --- rows -------------------------------------------------------------------------


def _import_row() -> Row:
    ways = (
        Way("xarray, dask.array", "limit", partial(_importing, "xarray, dask.array")),
        Way("brainxr", "brainxr", partial(_importing, "brainxr")),
    )
    return Row("import", None, ways, lambda: lambda result: None, lambda result: None)


def _importing(modules: str) -> Timed:
    return partial(subprocess.run, [sys.executable, "-c", f"import {modules}"], check=True)


def _open_row(stacks: Stacks, count: int) -> Row:
    """The tutorial's way and its like take minutes for what is beyond the first count."""
    folder = stacks.path(stacks.many(count))
    ways = [Way("listing", "limit", lambda: partial(limits.list_folder, folder))]
    ways += [Way(f"brainxr, {d}", "brainxr", partial(_opening, d, folder)) for d in DOORS[:2]]
    if count == stacks.size.slices:
        ways += [_peer_way(peer, partial(_peer_opening, peer, folder)) for peer in PEERS.values()]
    shape = (count, stacks.size.shape["y"], stacks.size.shape["x"])

    def check(found: tuple[int, ...]) -> str | None:
        return None if found == shape else f"wrong shape {found}, expected {shape}"

    return Row(f"open {count} slices", stacks.many(count), tuple(ways), lambda: check, _shape)


def _shape(opened: Any) -> tuple[int, ...]:
    return tuple(opened.shape)


def _plain_rows(stacks: Stacks) -> Iterator[Row]:
    fewer: dict[str, tuple[str, ...]] = {"line along z": FEW_PEERS, 'mean("z")': MEAN_PEERS}
    fewer |= dict.fromkeys(REDUCTIONS[2:], SLOWEST_PEERS)
    for name in (*selections(stacks, stacks.size.slices), *REDUCTIONS):
        every = [n for n in PEERS if not PEERS[n].whole or name in WHOLE_STACK_ROWS]
        yield _row(stacks, PLAIN, name, peers=fewer.get(name, every))


def _layout_rows(stacks: Stacks) -> Iterator[Row]:
    for layout in layouts(stacks.size):
        for name in ("axial plane", "coronal plane", "sagittal plane", 'max("z")'):
            yield _row(stacks, layout, name, f"{name} ({layout})", peers=FEW_PEERS)


def _tenfold_rows(stacks: Stacks) -> Iterator[Row]:
    """Ten times the slices, beside nothing but themselves and what they are ten times of."""
    names = [*list(selections(stacks, 1))[:4], 'max("z")', 'mean("z")']
    for name in names:
        yield _row(stacks, stacks.tenfold, name, f"{name} (tenfold)", peers=(), with_limits=False)


def _cold_rows(stacks: Stacks) -> Iterator[Row]:
    for name in ("axial plane", "coronal plane", "sagittal plane"):
        title = f"{name} (cold cache)"
        yield _row(stacks, PLAIN, name, title, peers=FEW_PEERS, doors=DOORS[:2], cold=True)


def _conversion_row(stacks: Stacks) -> Row:
    """To a pyramid in shards; others at the best of their settings that was found."""
    folder = stacks.path(PLAIN)
    ways = [
        Way("limit, 2 threads", "limit", partial(conversion.limit, folder)),
        Way("brainxr", "brainxr", partial(conversion.by_brainxr, folder)),
    ]
    for name, (module, prepare) in conversion.PEERS.items():
        missing = None if find_spec(module) is not None else f"not installed ({module})"
        ways.append(Way(name, "peer", partial(prepare, folder), missing))
    wanted = (stacks.size.slices // 2, ALL, ALL)

    def checker() -> Check:
        plane = oracle.expected(folder, {"plane": wanted}, ())["plane"]
        return lambda result: oracle.difference(result, plane)

    return Row("convert", PLAIN, tuple(ways), checker, conversion.middle_plane)


def _row(
    stacks: Stacks, stack: str, work: str, title: str | None = None, *, peers: Iterable[str],
    doors: Iterable[str] = DOORS, with_limits: bool = True, cold: bool = False,
) -> Row:  # fmt: skip
    folder = stacks.path(stack)
    depth = stacks.count(stack)
    key = selections(stacks, depth).get(work)
    # napari shows selections, and a reduction of what is not dask would load everything
    doors = doors if key is not None else DOORS[:1]
    ways = [
        *(_limit_ways(stacks, stack, depth, key) if with_limits else ()),
        *(Way(f"brainxr, {d}", "brainxr", partial(_doing, d, folder, work, key)) for d in doors),
        *(_peer_work(stacks, PEERS[name], folder, work, key) for name in peers),
    ]
    checker = partial(_checker, stacks, stack, work)
    return Row(title or work, stack, tuple(ways), checker, cold=cold)


def _checker(stacks: Stacks, stack: str, work: str) -> Check:
    wanted = _expected(stacks, stack)[work]
    return lambda result: oracle.difference(result, wanted)


@cache
def _expected(stacks: Stacks, stack: str) -> Mapping[str, Any]:
    keys = selections(stacks, stacks.count(stack))
    return oracle.expected(stacks.path(stack), keys, REDUCTIONS)


# --- limits -----------------------------------------------------------------------


def _limit_ways(stacks: Stacks, stack: str, depth: int, key: Key | None) -> Iterator[Way]:
    """One thread; and two, where there are many slices and more to do than to fetch a row of each.

    A second thread makes reading rows slower, and decoding strips faster.
    """
    folder, shape = stacks.path(stack), (depth, stacks.size.shape["y"], stacks.size.shape["x"])
    wanted = limits.need(key or (ALL, ALL, ALL), shape)
    yield Way("limit, 1 thread", "limit", partial(limits.reader, folder, wanted, 1))
    if len(wanted.slices) > 1 and (len(wanted.rows) > 1 or stacks.is_coded(stack)):
        yield Way("limit, 2 threads", "limit", partial(limits.reader, folder, wanted, 2))


# --- brainxr ----------------------------------------------------------------------


def _opening(door: str, folder: str) -> Timed:
    return partial(brainxr.open, folder, chunks=None if door == "chunks=None" else "auto")


@cache
def _opened(door: str, folder: str) -> Any:
    if door == "napari":
        from brainxr.layers import image_layer

        # what a layer of napari holds and indexes
        return image_layer(brainxr.open(folder), contrast_limits=(0, 1))[0]
    return _opening(door, folder)()


def _doing(door: str, folder: str, work: str, key: Key | None) -> Timed:
    data = _opened(door, folder)
    if key is None:
        return partial(_reduce_volume, data, work)
    if door == "napari":
        return lambda: np.asarray(data[key])
    return lambda: data[key].values


def _reduce_volume(vol: Any, work: str) -> Any:
    if work == "histogram":
        counts: Any = np.histogram(vol.data, oracle.LEVELS, (0, oracle.LEVELS))[0]
        return counts.compute()
    return _reduced(vol, work).values


def _reduced(vol: Any, work: str) -> Any:
    return {
        'max("z")': lambda: vol.max("z"),
        'mean("z")': lambda: vol.mean("z"),
        "mean()": lambda: vol.mean(),
        "std()": lambda: vol.std(),
    }[work]()


# --- peers ------------------------------------------------------------------------


def _peer_way(peer: Peer, prepare: Callable[[], Timed], refused: str | None = None) -> Way:
    if peer.missing is not None:
        refused = f"not installed ({peer.missing})"
    return Way(peer.name, "peer", prepare, refused)


def _peer_opening(peer: Peer, folder: str) -> Timed:
    return partial(peer.open, folder)


def _peer_work(stacks: Stacks, peer: Peer, folder: str, work: str, key: Key | None) -> Way:
    refused = None
    if peer.whole and work in COPIED_AS_FLOAT:
        size = np.prod(list(stacks.size.shape.values())) * 8 / 1e9
        refused = f"one chunk: it would take {size:.0f} GB of memory"
    return _peer_way(peer, partial(_peer_doing, peer, folder, work, key), refused)


@cache
def _peer_opened(peer: Peer, folder: str) -> Any:
    return peer.open(folder)


def _peer_doing(peer: Peer, folder: str, work: str, key: Key | None) -> Timed:
    array = _peer_opened(peer, folder)
    if key is not None:
        return lambda: array[key].compute()
    return partial(_reduce_array, array, work)


def _reduce_array(array: Any, work: str) -> Any:
    return {
        'max("z")': lambda: array.max(axis=0).compute(),
        'mean("z")': lambda: array.mean(axis=0).compute(),
        "mean()": lambda: array.mean().compute(),
        "std()": lambda: array.std().compute(),
        "histogram": lambda: _histogram(array),
    }[work]()


def _histogram(array: Any) -> Any:
    import dask.array as da

    levels = oracle.LEVELS
    return da.histogram(array, bins=levels, range=(0, levels))[0].compute()
