"""What the server of `benchmarks.memory` has done, so that no process counts it as its own."""

from __future__ import annotations

import contextlib
import importlib

import pint

for name in (
    "benchmarks.work", "brainxr.lazy.daskarray", "brainxr.viewing.layers", "dask.array",
    "distributed",
    "skimage.io", "dask_image.imread", "zarr", "bioio_tiff_glob", "napari_builtins.io",
):  # fmt: skip
    with contextlib.suppress(ImportError):  # a peer that is not installed is not measured
        importlib.import_module(name)

# pint reads its units when the first one is asked for
pint.get_application_registry().parse_units("micrometer")
