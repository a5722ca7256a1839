"""What a result would cost, known before a pixel is read; and what is too big to begin with."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import xarray as xr

from brainxr.errors import TooBigError
from brainxr.html import table_html
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.memory import available_memory
from brainxr.lazy.unloaded import stack_of


@dataclass(frozen=True)
class Cost:
    """What computing a result takes.

    Attributes
    ----------
    slices : int
        Slices that are touched.
    bytes_to_read : int
        Uncompressed bytes of the rows (of stores: of the chunks) that are needed, without
        headers.
    bytes_of_result : int
        Memory of the result itself.
    chunks : int
        Chunks of stores that are touched.
    """

    slices: int
    bytes_to_read: int
    bytes_of_result: int
    chunks: int = 0

    def _repr_html_(self) -> str:
        counts = {"slices": self.slices, "chunks": self.chunks}
        rows = {name: str(n) for name, n in counts.items() if n}
        rows |= {
            "to read": show_bytes(self.bytes_to_read), "result": show_bytes(self.bytes_of_result)
        }  # fmt: skip
        return table_html("Cost", rows)

    def __str__(self) -> str:
        counts = {"slice": self.slices, "chunk": self.chunks}
        touched = [f"{n} {noun}{'s' if n != 1 else ''}" for noun, n in counts.items() if n]
        return (
            f"{show_bytes(self.bytes_to_read)} to read from "
            f"{' and '.join(touched) or '0 slices'}, {show_bytes(self.bytes_of_result)} of result"
        )


def cost(data: xr.DataArray) -> Cost:
    """Slices or chunks touched, bytes to read and bytes of the result; no pixel is read.

    Exact for selections and for reductions of selections. After anything else
    whole chunks are counted, as dask reads them; it may read less where it
    moves a later selection in front. Costs nothing for a selection, else a walk
    through dask's graph. What is in memory already has nothing to read.

    Parameters
    ----------
    data : xarray.DataArray

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> print(cost(vol.isel(y=88)))
    20.5 kB to read from 128 slices, 20.5 kB of result
    """
    stack = stack_of(data)
    if stack is not None:
        return _cost([stack], data.nbytes)
    if data.chunks is None:
        return Cost(0, 0, data.nbytes)
    from brainxr.lazy.daskarray import stacks_read

    return _cost(stacks_read(data.data), data.nbytes)


def _cost(parts: Sequence[StackArray], result: int) -> Cost:
    touched: dict[str, dict[str, set[int]]] = {"slice": {}, "chunk": {}}
    for part in parts:
        source = part.source
        pieces = touched[source.piece].setdefault(source.identity, set())
        pieces.update(source.pieces(part.needed).tolist())
    slices, chunks = (sum(map(len, kind.values())) for kind in touched.values())
    return Cost(slices, sum(part.bytes_to_read for part in parts), result, chunks)


def refuse_too_big(data: xr.DataArray, dims: Sequence[Hashable], planes: int = 1) -> None:
    """Refuse what wouldn't fit in memory, before anything is read.

    Parameters
    ----------
    data : xarray.DataArray
    dims : sequence of hashable
        The axes of what has to be in memory at once.
    planes : int
        How many of these.

    Raises
    ------
    TooBigError
    """
    sizes = [data.sizes[dim] for dim in dims]
    needed = planes * math.prod(sizes) * data.dtype.itemsize
    shape = " x ".join(f"{dim} {size}" for dim, size in zip(dims, sizes, strict=True))
    step = math.ceil(math.sqrt(needed / max(1, available_memory()))) + 1
    every = ", ".join(f"{dim}=slice(None, None, {step})" for dim in dims)
    refuse_beyond_memory(
        needed,
        f"{planes} plane{'s' if planes > 1 else ''} of {shape} {data.dtype}",
        f"Select a part with .sel(...), or every {step}th row and column: data.isel({every}).",
    )


def refuse_beyond_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse to begin what would take more memory than there is.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        That takes them, as a message begins.
    remedy : str
        A sentence.

    Raises
    ------
    TooBigError
    """
    available = available_memory()
    if needed > available:
        raise TooBigError(
            f"{what} would take {show_bytes(needed)} of memory, and {show_bytes(available)} are "
            f"available. {remedy}"
        )


def show_bytes(count: float) -> str:
    """Bytes as a person would write them.

    >>> show_bytes(2_252_800), show_bytes(512)
    ('2.25 MB', '512 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
