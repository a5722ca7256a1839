"""Means of regions in the form that docs/selecting.md shows: lazily, chunk by chunk."""

from __future__ import annotations

import tracemalloc
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from xarray.groupers import UniqueGrouper

import brainxr
from brainxr.lazy import chunking


@pytest.mark.parametrize("dtype", ["u1", "i8"])
@pytest.mark.parametrize("voxels", [1 << 22, 2 * 128 * 128])  # one chunk, and 20
def test_regions_by_chunked_labels(
    make_stack: Any, monkeypatch: pytest.MonkeyPatch, dtype: str, voxels: int
) -> None:
    monkeypatch.setattr(chunking, "CHUNK_VOXELS", voxels)
    made = make_stack((40, 128, 128))
    volume = brainxr.open(made.path)
    # more than 255 voxels of each label, which a count in uint8 would not survive
    painted = (np.indices(made.values.shape) // 40).sum(0).astype(dtype)
    labels = xr.DataArray(painted, volume.coords, volume.dims).chunk(volume.chunksizes)
    known = list(range(int(painted.max()) + 2))  # one is nowhere
    regions = volume.assign_coords(label=labels).groupby(label=UniqueGrouper(labels=known))
    flat, counts = painted.ravel(), np.bincount(painted.ravel(), minlength=len(known))
    sums = np.bincount(flat, made.values.ravel(), minlength=len(known))
    tracemalloc.start()
    with dask.config.set(scheduler="threads", num_workers=2):
        found = regions.mean().values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found[:-1], sums[:-1] / counts[:-1])
    assert np.isnan(found[-1])
    assert peak < 100 * volume.size / (1 if voxels == 1 << 22 else 5)
