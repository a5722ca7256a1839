"""Other ways to open a folder of slices, each as its own documentation shows it.

What they import is imported when they are used: a peer that is not installed is
reported as missing and keeps nobody from measuring the others.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from glob import escape, glob
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One of the other ways.

    Attributes
    ----------
    name : str
    modules : tuple of str
        What has to be installed.
    open : callable
        From a folder to a dask array of shape (z, y, x).
    whole : bool
        Whether any pixel costs a pass over everything, in memory at once.
    """

    name: str
    modules: tuple[str, ...]
    open: Callable[[str], Any]
    whole: bool = False

    @property
    def missing(self) -> str | None:
        """The module that is not installed, if there is one."""
        return next((m for m in self.modules if importlib.util.find_spec(m) is None), None)


def _slices(path: str) -> str:
    """The pattern of a folder's slices; of one file, the file."""
    return os.path.join(escape(path), "*.tif") if os.path.isdir(path) else path


def tutorial(folder: str) -> Any:
    """The stack of napari's dask tutorial.

    The dtype is the first file's; the tutorial declares a float64 that its array
    does not hold.
    """
    import dask.array as da
    from dask import delayed
    from skimage.io import imread

    names = sorted(glob(_slices(folder)))
    sample = imread(names[0])
    lazy = [delayed(imread)(name) for name in names]
    return da.stack([da.from_delayed(one, sample.shape, sample.dtype) for one in lazy])


def dask_array_image(folder: str) -> Any:
    """``dask.array.image.imread``, which dask-image's own documentation recommends."""
    from dask.array.image import imread

    return imread(_slices(folder))


def dask_image(folder: str) -> Any:
    from dask_image.imread import imread

    return imread(_slices(folder))


def tifffile_zarr(folder: str) -> Any:
    """tifffile's Zarr store over a sequence of files, through dask."""
    import dask.array as da
    import tifffile
    import zarr

    store = tifffile.imread(_slices(folder), aszarr=True)
    return da.from_zarr(zarr.open(store, mode="r"))


def bioio(folder: str) -> Any:
    """bioio's reader of globs; its default wants four numbers in each name, ours have one."""
    import pandas as pd
    from bioio_tiff_glob import Reader

    def indexer(path: str) -> pd.Series:
        return pd.Series({"Z": int(re.findall(r"\d+", os.path.basename(path))[-1])})

    return Reader(_slices(folder), indexer=indexer).get_image_dask_data("ZYX")


def napari_reader(folder: str) -> Any:
    """What napari's built-in plugin makes of a folder that is dropped on its window."""
    from napari_builtins.io import napari_get_reader

    read: Any = napari_get_reader(folder)
    return read(folder)[0][0]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("tutorial", ("skimage", "dask"), tutorial),
        Peer("dask.array.image", ("skimage", "dask"), dask_array_image),
        Peer("dask-image", ("dask_image",), dask_image),
        Peer("tifffile + dask", ("zarr", "tifffile"), tifffile_zarr),
        Peer("bioio", ("bioio", "bioio_tiff_glob"), bioio, whole=True),
        Peer("napari reader", ("napari_builtins", "napari"), napari_reader),
    )
}
