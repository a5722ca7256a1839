"""How much memory a writer may take: what it was told, where there is so much."""

from __future__ import annotations

import xarray as xr

from brainxr.lazy.cost import refuse_beyond_memory
from brainxr.lazy.memory import available_memory

# How often a volume is in memory at the most, however much is allowed: as it is read, as it
# is written, its levels, and packed.
COPIES = 4


def refuse_budget(memory: int, data: xr.DataArray) -> None:
    """Refuse a budget that this process hasn't got, before anything is written.

    Parameters
    ----------
    memory : int
        Bytes that were allowed.
    data : xarray.DataArray
        What will be written; of a small volume no more is taken than a few copies of it.

    Raises
    ------
    TooBigError
    """
    less = max(1, available_memory() // 2 >> 20)
    refuse_beyond_memory(
        min(memory, COPIES * data.nbytes),
        "What is worked on at a time, by memory=,",
        f"Allow less, for example memory='{less} MiB', or write a part: data.sel(...).",
    )
