"""The verbs, each readable in one screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from brainxr.slices import PathLike
from brainxr.spacing import SpacingLike
from brainxr.stack import Missing, Plane, find_stack


def open(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, chunks: Any = "auto",
    missing: Missing = "keep",
) -> xr.DataArray:  # fmt: skip
    """Open a stack of TIFF slices as one lazy volume.

    Only the names of the files and the header of the first one are read. Pixels
    are read when a result is computed, and only the slices and the rows of them
    that the selection needs; each slice is checked against the first one then.

    Parameters
    ----------
    path : path-like or sequence of these
        A folder, a glob pattern, one multi-page TIFF, or a list of files. Slices
        are ordered by their number: the last one that varies between the names.
    spacing : float, str, pint.Quantity or mapping of these, optional
        Distance between neighbouring voxel centres, in µm where no unit is given:
        ``100``, ``"0.1 mm"``, ``{"z": "50 µm", "y": 25, "x": 25}``. Default, for
        each axis: what the files say (OME-XML, ImageJ, a resolution in
        centimetres; a dpi is no physical size), else a length in the name of the
        file or folder (``100um``), else 100 µm with a `SpacingWarning`. Between
        slices it is the distance of one step in their numbering.
    origin : float, str, pint.Quantity or mapping of these, optional
        Coordinate of the centre of voxel (0, 0, 0), in µm where no unit is given.
        Default: 0 along each axis.
    plane : {"axial", "coronal", "sagittal"}, optional
        Whether the slices are stacked along z, y or x. Default: the word in the
        name of the folder or file, else ``"axial"``. Neither flips anything: rows
        and columns run as they are stored.
    chunks : "auto", int, mapping or None
        Pieces in which dask reads: by bytes, in whole slices (``"auto"``); as in
        `xarray.open_dataset`, for example ``{"z": 16}``; or None, lazy without dask.
    missing : {"keep", "fill", "raise"}
        What to do about numbers that are missing between the first and the last:
        keep the true positions of the others, with a `SliceGapWarning`; fill in
        empty slices, which gives a regular grid; or raise.

    Returns
    -------
    xarray.DataArray, shape (z, y, x)
        Named ``"intensity"``, dtype and values as on disk, coordinates of voxel
        centres in µm with an index that understands ``.sel(z="5 mm")``, and a
        coordinate ``file`` along the stacked axis. ``attrs`` say the source, the
        plane and the rule that told the spacing.

    Raises
    ------
    EmptyStackError
        When there is no such path, or no slice in it.
    StackError
        When the files are no stack: several stacks, numbers that occur twice,
        RGB, missing slices with ``missing="raise"``.
    SliceReadError
        When the first slice can't be read. Later slices are read, and found to be
        broken or different (`InconsistentStackError`), when a result needs them.
    GeometryError
        When a spacing, origin or plane makes no sense.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> vol.dims, str(vol.dtype), vol.z.attrs["units"]
    (('z', 'y', 'x'), 'uint8', 'micrometer')
    >>> slab = vol.sel(z=slice("6 cm", "6.4 cm")).max("z")
    """
    stack = find_stack(path, spacing=spacing, origin=origin, plane=plane, missing=missing)
    if chunks is None:
        from brainxr.backend import lazy

        return lazy(stack)
    return stack.dask(chunks)
