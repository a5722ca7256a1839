"""The rows of stacks, and all rows in the order of the table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks import limits, oracle
from benchmarks.doors import (
    ALL,
    COMPUTATIONS,
    DOORS,
    PLANES,
    REDUCTIONS,
    checker,
    doing,
    opening,
    selections,
)
from benchmarks.limits import Key
from benchmarks.peers import PEERS, Peer
from benchmarks.pyramids import store_rows
from benchmarks.stacks import PLAIN, Stacks, layouts
from benchmarks.way import Row, Timed, Way

FEW_PEERS = ("tutorial", "tifffile + dask")

# One that reads the whole stack for any pixel takes as long for all of them.
WHOLE_STACK_ROWS = ("axial plane", 'max("z")', 'mean("z")', "mean()", "std()", "histogram")
# of a float64 copy of everything, which numpy makes where everything is one chunk
COPIED_AS_FLOAT = ("std()", "histogram")


def rows(stacks: Stacks) -> list[Row]:
    """All rows that this process can measure, in the order of the table."""
    return [
        _import_row(),
        *(_open_row(stacks, count) for count in stacks.size.counts),
        *_plain_rows(stacks),
        *_layout_rows(stacks),
        *_tenfold_rows(stacks),
        *_cold_rows(stacks),
        *store_rows(stacks),
    ]


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
    ways += [Way(f"brainxr, {d}", "brainxr", partial(opening, d, folder)) for d in DOORS[:2]]
    if count == stacks.size.slices:
        ways += [_peer_way(peer, partial(_peer_opening, peer, folder)) for peer in PEERS.values()]
    shape = (count, stacks.size.shape["y"], stacks.size.shape["x"])

    def check(found: tuple[int, ...]) -> str | None:
        return None if found == shape else f"wrong shape {found}, expected {shape}"

    return Row(f"open {count} slices", stacks.many(count), tuple(ways), lambda: check, _shape)


def _shape(opened: Any) -> tuple[int, ...]:
    return tuple(opened.shape)


def _plain_rows(stacks: Stacks) -> Iterator[Row]:
    for name in (*selections(stacks, PLAIN), *REDUCTIONS):
        every = [n for n in PEERS if not PEERS[n].whole or name in WHOLE_STACK_ROWS]
        yield _row(stacks, PLAIN, name, peers=FEW_PEERS if name == "line along z" else every)
    for name in COMPUTATIONS:
        yield _row(stacks, PLAIN, name, peers=FEW_PEERS)


def _layout_rows(stacks: Stacks) -> Iterator[Row]:
    for layout in layouts(stacks.size):
        for name in (*PLANES, 'max("z")'):
            yield _row(stacks, layout, name, f"{name} ({layout})", peers=FEW_PEERS)


def _tenfold_rows(stacks: Stacks) -> Iterator[Row]:
    """Ten times the slices, beside nothing but themselves and what they are ten times of."""
    names = [*list(selections(stacks, stacks.tenfold))[:4], 'max("z")', 'mean("z")']
    for name in names:
        yield _row(stacks, stacks.tenfold, name, f"{name} (tenfold)", peers=(), with_limits=False)


def _cold_rows(stacks: Stacks) -> Iterator[Row]:
    for name in PLANES:
        title = f"{name} (cold cache)"
        yield _row(stacks, PLAIN, name, title, peers=FEW_PEERS, doors=DOORS[:2], cold=True)


def _row(
    stacks: Stacks, stack: str, work: str, title: str | None = None, *, peers: Iterable[str],
    doors: Iterable[str] = DOORS, with_limits: bool = True, cold: bool = False,
) -> Row:  # fmt: skip
    folder = stacks.path(stack)
    key = selections(stacks, stack).get(work)
    # napari shows selections, and a reduction of what is not dask would load everything
    doors = doors if key is not None else DOORS[:1]
    ways = [
        *(_limit_ways(stacks, stack, key) if with_limits else ()),
        *(Way(f"brainxr, {d}", "brainxr", partial(doing, d, folder, work, key)) for d in doors),
        *(_peer_work(stacks, PEERS[name], folder, work, key) for name in peers),
    ]
    check = partial(checker, stacks, stack, work)
    return Row(title or work, stack, tuple(ways), check, cold=cold)


# --- limits -----------------------------------------------------------------------


def _limit_ways(stacks: Stacks, stack: str, key: Key | None) -> Iterator[Way]:
    """One thread; and two, where there are many slices and more to do than to fetch a row of each.

    A second thread makes reading rows slower, and decoding strips faster.
    """
    folder = stacks.path(stack)
    wanted = limits.need(key or (ALL, ALL, ALL), stacks.shape(stack))
    yield Way("limit, 1 thread", "limit", partial(limits.reader, folder, wanted, 1))
    if len(wanted.slices) > 1 and (len(wanted.rows) > 1 or stacks.is_coded(stack)):
        yield Way("limit, 2 threads", "limit", partial(limits.reader, folder, wanted, 2))


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
        "where(v > 100).mean()": lambda: _bright_mean(array),
        '(v - mean("z")).std()': lambda: (array - array.mean(axis=0)).std().compute(),
        '(v // 2).max("z")': lambda: (array // 2).max(axis=0).compute(),
    }[work]()


def _histogram(array: Any) -> Any:
    import dask.array as da

    levels = oracle.LEVELS
    return da.histogram(array, bins=levels, range=(0, levels))[0].compute()


def _bright_mean(array: Any) -> Any:
    import dask.array as da

    # float32, as xarray makes it of small integers
    return da.nanmean(da.where(array > 100, array, np.float32("nan"))).compute()
