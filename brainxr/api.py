"""The verbs, each readable in one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from brainxr.find import find_volume
from brainxr.geometry.extra_dims import At
from brainxr.geometry.grid import SpacingLike
from brainxr.lazy.volume import NAME, Volume
from brainxr.stacks.positions import Positions
from brainxr.stacks.slices import PathLike
from brainxr.stacks.stack import Missing, Plane
from brainxr.stores.omezarr import find_image


def open(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, chunks: Any = "auto",
    missing: Missing = "keep", number: str | None = None, positions: Positions | None = None,
    inside: str | None = None, level: int | None = None, at: At | None = None,
    axes: str | None = None, scaled: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataArray:  # fmt: skip
    r"""Open a stack of TIFF slices, a store of OME-Zarr or a NIfTI file as one lazy volume.

    Of a stack, only the names of the files and the header of the first one are
    read; of a store, the metadata; of a NIfTI file, the header. Pixels are read when a
    result is computed, and only the slices and the rows of them, or the chunks, that the
    selection needs; each slice is checked against the first one then.

    Parameters
    ----------
    path : path-like or sequence of these
        A folder, a glob pattern, one multi-page TIFF, or a list of files, which may be
        the lines of a ``.txt`` or a column of a ``.csv``. Slices of a folder are ordered by
        their number: the last one that varies between the names. Names that can be ordered
        in another way are refused. A list keeps its order, at 0, 1, 2, ..., or at its
        numbers where these rise with it; a list of multi-page files is one stack in parts.
        A file of a set of OME-TIFF opens the set, ``[file]`` that file alone.
        Or a zip of these, which is read as it is and never unpacked to the disk. Or
        these at a URL that fsspec opens, where ``s_{0000..1279}.tif`` stands for the
        slices of these numbers.
        Or a store of OME-Zarr 0.4 or 0.5: a folder, or a URL that fsspec opens. Or a
        NIfTI or MGH file: ``.nii``, ``.nii.gz``, ``.hdr`` and ``.img``, ``.mgz``. Or what
        xarray wrote: netCDF (``.nc``), or a Zarr group.
    spacing : float, str, pint.Quantity or mapping of these, optional
        Distance between neighbouring voxel centres, in µm where no unit is given:
        ``100``, ``"0.1 mm"``, ``{"z": "50 µm", "y": 25, "x": 25}``. Default, for
        each axis: what the files say (OME-XML, ImageJ, a resolution in
        centimetres; a dpi is no physical size), else a length in the name of the
        file or folder that says what it is of (``25um_iso``, ``res_0.65um``, ``z5um``),
        else, between slices, any other length in a name, and 100 µm, each with a
        `SpacingWarning`. Between slices it is the distance from one number to the next:
        slices 1, 7, 13 are six times as far apart. A store says it
        itself; one whose axes have no unit is refused unless it is given here. A NIfTI
        file says it in its affine, in millimetres where it names no unit, which gets a
        `SpacingWarning`.
    origin : float, str, pint.Quantity or mapping of these, optional
        Coordinate of the centre of voxel (0, 0, 0), in µm where no unit is given.
        Default: 0 along each axis; of a store or a NIfTI file, what it says.
    plane : {"axial", "coronal", "sagittal"}, optional
        Whether the slices are stacked along z, y or x. Default: the word in the
        name of the folder or file, else ``"axial"``. Neither flips anything: rows
        and columns run as they are stored.
    chunks : "auto", int, mapping or None
        Pieces in which dask reads: by bytes, in whole slices (``"auto"``); as in
        `xarray.open_dataset`, for example ``{"z": 16}``; or None, lazy without dask.
    missing : {"keep", "fill", "raise"}
        What to do about numbers that are missing between the first and the last:
        keep the places of the others, with a `SliceGapWarning`; fill in
        empty slices, which gives a regular grid; or raise.
    number : str, optional
        Which number in the names is that of the slice: the word at it (``"z"`` for
        ``t0_z0004_c1.tif``), or a regular expression with a group, ``r"_(\d+)_488"``. By
        several groups the slices are ordered in turn, and counted 0, 1, 2, ....
    positions : str, sequence or mapping, optional
        Where each slice lies along the stack, in µm where no unit is given: one length a
        slice (a list, an array, a column of a table), in the slices' order; lengths by the
        name of the file (a mapping, a pandas Series with names as its index); or a regular
        expression whose group is a length in the names, ``"bregma_(.*)mm"``. Default: the
        numbers, or the lengths in names such as ``sec_-0.25mm.tif``.
    inside : str, optional
        Of a zip with more than one stack: a folder, a pattern of names such as
        ``"axial/s_*.tif"``, or one slice in it.
    level : int, optional
        Of a store: which level of its pyramid. Default: 0, the finest; -1 is the
        coarsest. All of them at once: `open_pyramid`.
    at : mapping of str to int or str, optional
        Place along each axis besides z, y and x (channels ``c``, times ``t``), by number, or
        a channel by its name: ``{"t": 0, "c": "DAPI"}``. Needed where there is more than one.
    axes : str, optional
        What the pages of a multi-page TIFF are, slowest first, where its metadata name them
        wrongly: ``"z"`` for slices that a program saved as times or channels, ``"zc"`` for
        slices of several channels each.
    scaled : bool
        Apply the calibration of values that ImageJ keeps beside the pixels (``c0``, ``c1``;
        CT in Hounsfield units is stored as signed numbers plus 32768). Default: values as
        stored, with the calibration in ``attrs``. NIfTI's ``scl_slope`` is always applied, as
        its readers do.
    storage_options : mapping, optional
        Of a URL: what fsspec is told, for example ``{"anon": True}``.

    Returns
    -------
    xarray.DataArray, shape (z, y, x)
        Dtype and values as on disk, coordinates of voxel centres in µm with an index
        that understands ``.sel(z="5 mm")``. Of a stack, named ``"intensity"`` and
        with ``.brain.files`` naming the file of each; ``attrs`` say the source,
        the plane and the rule that told the spacing. Of a store that brainxr made,
        name, attributes and coordinates are those of what was written to it. Of a NIfTI
        file, axes rise to the right (x), the front (y) and the top (z), whatever their
        order in the file, and values are scaled where the header says so.

    Raises
    ------
    EmptyStackError
        When there is no such path, or no slice in it.
    StackError
        When the files are no stack: several stacks, names that can be ordered in two ways,
        numbers that occur twice, RGB, missing slices with ``missing="raise"``.
    SliceReadError
        When the first slice can't be read, or a zip is damaged, encrypted or a bomb.
        Later slices are read, and found to be broken or different
        (`InconsistentStackError`), when a result needs them.
    GeometryError
        When a spacing, origin or plane makes no sense, or a store has no unit.
    StoreError
        When a store is no image, of a version that isn't read here, or damaged.
        Chunks are read, and found to be damaged (`StoreReadError`), when a result
        needs them.
    VolumeError, VolumeReadError
        When a NIfTI file is damaged, truncated, in colours, or of another kind.

    Warns
    -----
    OrientationWarning
        When the axes of a NIfTI file are oblique, or nothing tells where they point.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> vol.dims, str(vol.dtype), vol.z.attrs["units"]
    (('z', 'y', 'x'), 'uint8', 'micrometer')
    >>> slab = vol.sel(z=slice("6 cm", "6.4 cm")).max("z")
    """
    volume = find_volume(
        path, spacing=spacing, origin=origin, plane=plane, missing=missing, number=number,
        positions=positions, level=level, at=at, axes=axes, scaled=scaled, inside=inside,
        storage_options=storage_options,
    )  # fmt: skip
    return _lazily(volume, chunks)


def open_pyramid(
    path: PathLike, *, spacing: SpacingLike | None = None, origin: SpacingLike | None = None,
    chunks: Any = "auto", at: At | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataTree:  # fmt: skip
    """Open all levels of a store of OME-Zarr, each with its own coordinates.

    Costs the metadata of a group and of an array a level; no pixel is read.

    Parameters
    ----------
    path : path-like
        A folder, or a URL that fsspec opens.
    spacing, origin, chunks, at, storage_options
        As in `open`; spacing and origin are those of level 0.

    Returns
    -------
    xarray.DataTree
        Nodes ``"0"`` (the finest), ``"1"``, ..., each a Dataset with one volume as
        `open` gives it. Coordinates are those of the level's own voxels: the
        centre of a voxel that stands for two lies between the two.

    Raises
    ------
    EmptyStackError, StoreError, GeometryError
        As `open`.

    Examples
    --------
    >>> tree = brainxr.open_pyramid("brain.ome.zarr")  # doctest: +SKIP
    >>> tree["2"].intensity.sel(z="6.4 cm", method="nearest").plot()  # doctest: +SKIP
    """
    found = find_image(path, spacing=spacing, origin=origin, at=at, storage_options=storage_options)
    levels = [_lazily(volume, chunks) for volume in found.volumes()]
    return xr.DataTree.from_dict(
        {str(n): level.to_dataset(name=level.name or NAME) for n, level in enumerate(levels)}
    )


def _lazily(volume: Volume, chunks: Any) -> xr.DataArray:
    if chunks is None:
        from brainxr.lazy.unloaded import lazy

        return lazy(volume)
    return volume.dask(chunks)
