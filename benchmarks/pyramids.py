"""Rows of stores: making them, and reading the same planes from them as from a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import conversion, oracle
from benchmarks.conversion import Made, Place
from benchmarks.doors import ALL, DOORS, PLANES, checker, doing, selections
from benchmarks.limits import Key
from benchmarks.stacks import MNI152, PLAIN, Stacks, store_of
from benchmarks.way import Check, Row, Timed, Way

RESUMED = "convert, gone on after a kill at 90 %"


def store_rows(stacks: Stacks) -> list[Row]:
    """Reading from stores, and making them."""
    return [
        *_reading_rows(stacks, PLAIN, "store"),
        *_reading_rows(stacks, MNI152, "store of MNI152"),
        _conversion_row(stacks, PLAIN, "convert", conversion.PEERS),
        # how long is known of half as many; what it takes in memory is asked
        _conversion_row(stacks, stacks.twofold, "convert (twofold)", {}, most=0),
        _resumed_row(stacks),
        _conversion_row(stacks, MNI152, "convert (MNI152)", {}, with_limit=True),
    ]


# --- reading ----------------------------------------------------------------------


def _reading_rows(stacks: Stacks, stack: str, title: str) -> Iterator[Row]:
    store = stacks.path(store_of(stack))
    for work, key in list(selections(stacks, stack).items())[: len(PLANES) + 1]:
        ways = [
            *(Way(f"brainxr, {d}", "brainxr", partial(doing, d, store, work, key)) for d in DOORS),
            *(
                Way(name, "peer", partial(prepare, store, key), _missing(module))
                for name, (module, prepare) in READERS.items()
            ),
        ]
        # compared with the slices that the store was made of
        yield Row(
            f"{work} ({title})", store_of(stack), tuple(ways), partial(checker, stacks, stack, work)
        )


def _missing(module: str) -> str | None:
    return None if find_spec(module) is not None else f"not installed ({module})"


def _by_tensorstore(store: str, key: Key) -> Timed:
    array = _opened_by_tensorstore(store)
    return lambda: array[key].read().result()


@cache
def _opened_by_tensorstore(store: str) -> Any:
    import tensorstore

    kvstore = {"driver": "file", "path": str(Path(store, "0"))}
    return tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()


def _by_zarr_python(store: str, key: Key) -> Timed:
    """Through dask, as the others of Python's libraries open a store."""
    array = _opened_by_zarr_python(store)
    return lambda: array[key].compute()


@cache
def _opened_by_zarr_python(store: str) -> Any:
    import dask.array as da

    return da.from_zarr(store, component="0")


READERS: Mapping[str, tuple[str, Callable[[str, Key], Timed]]] = {
    "tensorstore": ("tensorstore", _by_tensorstore),
    "zarr-python + dask": ("zarr", _by_zarr_python),
}


# --- making -----------------------------------------------------------------------


def _conversion_row(
    stacks: Stacks, stack: str, title: str, peers: Mapping[str, Any], *, most: int | None = None,
    with_limit: bool = False,
) -> Row:  # fmt: skip
    folder, place = stacks.path(stack), Place(stacks.scratch)
    ours = partial(conversion.by_brainxr, folder, place)
    ways = [Way("brainxr", "brainxr", ours, before=place.clear)]
    if peers or with_limit:
        ways.insert(0, Way("limit, 2 threads", "limit", partial(conversion.limit, folder)))
    for name, (module, prepare) in peers.items():
        run = partial(prepare, folder, place)
        ways.append(Way(name, "peer", run, _missing(module), before=place.clear))
    return Row(
        title, stack, tuple(ways), partial(_middle_checker, stacks, stack), conversion.look,
        most=most,
    )  # fmt: skip


def _resumed_row(stacks: Stacks) -> Row:
    folder, place = stacks.path(PLAIN), Place(stacks.scratch)
    way = Way(
        "brainxr", "brainxr", partial(conversion.resumed, folder, place),
        before=partial(conversion.put_killed, place),
    )  # fmt: skip
    return Row(
        RESUMED, PLAIN, (way,), partial(_middle_checker, stacks, PLAIN), conversion.look
    )  # fmt: skip


def _middle_checker(stacks: Stacks, stack: str) -> Check:
    wanted = (stacks.count(stack) // 2, ALL, ALL)
    plane = oracle.expected(stacks.path(stack), {"plane": wanted}, ())["plane"]

    def check(made: Made) -> str | None:
        return oracle.difference(np.asarray(made.plane), plane)

    return check
