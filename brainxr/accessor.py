"""``.brain`` on any DataArray: each method one call into a lower floor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import VoxelGrid
from brainxr.geometry.regridding import Boundary, with_unit_index
from brainxr.stacks.slices import PathLike

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from napari.components import ViewerModel

    from brainxr.lazy.cost import Cost
    from brainxr.progress import Callback
    from brainxr.stores.ngff import Version
    from brainxr.viewing.viewer import Shown
    from brainxr.writing.pyramid import Method
    from brainxr.writing.shards import CodecName
    from brainxr.writing.tiffstack import Compression


@xr.register_dataarray_accessor("brain")
class BrainAccessor:
    """What brainxr can do with a DataArray that has coordinates in a unit of length.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> half = vol.coarsen(z=2, y=2, x=2).mean()
    >>> half.brain.sel(z="6.25 cm", method="nearest").dims
    ('y', 'x')
    """

    def __init__(self, data: xr.DataArray) -> None:
        self._data = data

    def view(
        self, viewer: ViewerModel | None = None, *, labels: Shown | bool | None = None,
        planes: bool = False, block: bool | None = None, preview: int | str | None = None,
        **layer_kwargs: Any,
    ) -> ViewerModel:  # fmt: skip
        """Show it in napari at its true place; see `brainxr.view`.

        Parameters
        ----------
        viewer : napari.Viewer or napari.components.ViewerModel, optional
            Where to add the layer. Default: a new window.
        labels : DataArray, mapping of str to DataArray, or bool, optional
            Regions to add on top; or whether these are labels themselves.
        planes : bool
            Part the window into axial, coronal and sagittal views.
        block : bool, optional
            Wait until the window is closed. Default: in a script, yes.
        preview : int or str, optional
            Bytes of what is shown in three dimensions, at most, such as ``"1 GB"``.
        **layer_kwargs
            Passed to ``viewer.add_image``: ``colormap="magma"``, ``name=...``.
        """
        from brainxr.viewing.viewer import view

        return view(
            self._data, viewer, labels=labels, planes=planes, block=block, preview=preview,
            **layer_kwargs,
        )  # fmt: skip

    def __repr__(self) -> str:
        from brainxr.pictures.summary import describe

        return describe(self._data)

    def _repr_html_(self) -> str:
        from brainxr.pictures.summary import describe_html

        return describe_html(self._data)

    def plot(
        self, *, ax: Axes | None = None, cmap: str | None = None, vmin: float | None = None,
        vmax: float | None = None, add_colorbar: bool = False, scale_bar: bool = True,
        **kwargs: Any,
    ) -> AxesImage | Line2D | Figure:  # fmt: skip
        """Draw a plane, a line or three planes of a volume, in mm.

        A plane is drawn upright with equal scales and a scale bar, a line as its values over mm,
        a volume as three planes. Only what is drawn is read.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw a plane or line. Default: the current axes.
        cmap : str, optional
            Name of a colour map. Default: ``"gray"``.
        vmin, vmax : float, optional
            Limits of contrast. Default: as `brainxr.view` has it.
        add_colorbar : bool
            Draw the scale of values beside a plane.
        scale_bar : bool
            Draw a bar of a round length in a plane.
        **kwargs
            Passed to matplotlib's ``imshow`` or ``plot``; of a volume, to `plot_planes`.

        Returns
        -------
        matplotlib.image.AxesImage, matplotlib.lines.Line2D or matplotlib.figure.Figure

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> vol.sel(z="62 mm").brain.plot().axes.get_xlabel()
        'x [mm]'
        """
        from brainxr.pictures.selection import plot

        return plot(
            self._data, ax=ax, cmap=cmap, vmin=vmin, vmax=vmax, add_colorbar=add_colorbar,
            scale_bar=scale_bar, **kwargs,
        )  # fmt: skip

    def plot_planes(
        self, at: Mapping[str, u.Length] | None = None, *, crosshair: bool = True,
        cmap: str = "gray", vmin: float | None = None,
        vmax: float | None = None, figsize: tuple[float, float] | None = None,
    ) -> Figure:  # fmt: skip
        """Draw the axial, coronal and sagittal plane through a point, in mm.

        Parameters
        ----------
        at : mapping of str to float, str or pint.Quantity, optional
            The point, by axis: ``{"z": "62 mm"}``; plain numbers are in µm. Default: the middle.
        crosshair : bool
            Mark the point.
        cmap, vmin, vmax
            Colour map, and limits of contrast. Default: robust percentiles of what is shown.
        figsize : tuple of float, optional
            Width and height in inches.
        """
        from brainxr.pictures.plot import plot_planes

        return plot_planes(
            self._data, at, crosshair=crosshair, cmap=cmap, vmin=vmin, vmax=vmax, figsize=figsize
        )

    def montage(
        self, axis: str = "z", n: int = 12, *, columns: int | None = None, cmap: str = "gray",
        vmin: float | None = None, vmax: float | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:  # fmt: skip
        """Draw evenly spaced planes along an axis, side by side.

        Parameters
        ----------
        axis : {"z", "y", "x"}
        n : int
            Number of planes: the middles of `n` equal parts.
        columns : int, optional
            Panels in a row. Default: what makes the figure a landscape.
        cmap, vmin, vmax, figsize
            As in `plot_planes`.
        """
        from brainxr.pictures.plot import montage

        return montage(
            self._data, axis, n, columns=columns, cmap=cmap, vmin=vmin, vmax=vmax, figsize=figsize
        )

    def movie(
        self, path: PathLike, axis: str = "z", *, fps: float = 25, size: int = 720,
        cmap: str = "gray", vmin: float | None = None, vmax: float | None = None,
        overwrite: bool = False, progress: bool | None = None,
    ) -> Path:  # fmt: skip
        """Write a movie that scrolls through the planes along an axis; see `brainxr.movie`.

        Parameters
        ----------
        path : path-like
            ``.mp4`` or ``.gif``.
        axis : {"z", "y", "x"}
        fps : float
            Planes in a second.
        size : int
            Pixels of the planes' longer side.
        cmap, vmin, vmax
            Colour map, and limits of contrast. Default: robust percentiles of nine planes.
        overwrite : bool
            Replace a movie that is there.
        progress : bool, optional
            Show a bar. Default: in a terminal, after two seconds.
        """
        from brainxr.pictures.movies import movie

        return movie(
            self._data, path, axis, fps=fps, size=size, cmap=cmap, vmin=vmin, vmax=vmax,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip

    def screenshot(
        self, path: PathLike, *, axis: str | None = None,
        at: Mapping[str, u.Length] | None = None, size: tuple[int, int] = (1000, 800),
        overwrite: bool = False, **layer_kwargs: Any,
    ) -> Path:  # fmt: skip
        """Save napari's picture of a plane, without a window; see `brainxr.screenshot`.

        Parameters
        ----------
        path : path-like
            A ``.png``.
        axis : {"z", "y", "x"}, optional
            Axis that the plane lies across. Default: z, or that along which there is one plane.
        at : mapping of str to float, str or pint.Quantity, optional
            Where: ``{"x": "8 cm"}``. Default: the middle.
        size : tuple of int
            Width and height in pixels.
        overwrite : bool
            Replace a picture that is there.
        **layer_kwargs
            As of `view`.
        """
        from brainxr.viewing.screenshots import screenshot

        return screenshot(
            self._data, path, axis=axis, at=at, size=size, overwrite=overwrite, **layer_kwargs
        )

    def cost(self) -> Cost:
        """Slices touched, bytes to read and bytes of the result, before reading any.

        Exact for selections and their reductions; see `brainxr.lazy.cost.cost`.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> vol.max("z").brain.cost().slices
        128
        """
        from brainxr.lazy.cost import cost

        return cost(self._data)

    @property
    def files(self) -> xr.DataArray:
        """File of each slice, as an array of names along the stacked axis; reads no file.

        ``"name"``, or ``"name#page"`` of a file of several pages; ``""`` at positions without
        a slice, such as those that ``interp`` and ``coarsen`` make between two. Slices are
        found by where they lie in the stack, and after a computation by the coordinate.

        Raises
        ------
        GeometryError
            When the volume was not opened from slices, its coordinate was dropped, or it was
            saved and opened again: files keep the first and the last name only.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> vol.sel(z="6 cm", method="nearest").brain.files.item()
        'phantom_axial_1mm_0061.tif'
        """
        from brainxr.lazy.unloaded import places_along
        from brainxr.stacks.provenance import FILES, FileTable, files_of

        data = self._data
        if "file" in data.coords:  # volumes that brainxr 0.1 saved
            return data["file"].reset_coords(drop=True).rename("file")
        table = data.attrs.get(FILES)
        if isinstance(table, FileTable):
            return files_of(data, table, places_along(data, table.dim))
        found = f"only {str(table)!r} is known of them" if table else "it has no attribute 'files'"
        raise GeometryError(
            f"This array does not know the files of its slices ({found}). Open the slices "
            "themselves: brainxr.open(folder).brain.files."
        )

    def to_ome_zarr(
        self, path: PathLike, *, version: Version = "0.5", levels: int | None = None,
        method: Method | None = None, chunks: Any = None, shards: Any = None,
        codec: CodecName = "lz4", memory: str | int = "1 GiB", overwrite: bool = False,
        progress: bool = True, callback: Callback | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Path | str:  # fmt: skip
        """Write it as a pyramid into an OME-Zarr store, from which it opens as it was.

        Reads every slice once, and resumes when the same call is made after an interruption.
        All about the parameters and errors: `brainxr.writing.convert.to_ome_zarr`.

        Parameters
        ----------
        path : path-like
            ``NAME.ome.zarr``, or a URL that fsspec opens.
        version : {"0.5", "0.4"}
            Of OME-Zarr: Zarr 3 in shards, or Zarr 2 for older programs.
        levels : int, optional
            Default: until the longest axis has at most 128 voxels.
        method : {"mean", "mode", "nearest"}, optional
            How a level is made of the one before. Default: ``"mode"`` for labels, else
            ``"mean"``.
        chunks, shards : int or mapping of str to int, optional
            Voxels that are compressed together, and that are in one file.
        codec : {"lz4", "zstd", "none"}
        memory : str or int
            What the parts that are worked on may take at a time.
        overwrite : bool
            Replace a store that is there, once the new one is complete.
        progress : bool
            Show a bar.
        callback : callable, optional
            Is given a `brainxr.progress.Progress` after each slab.
        storage_options : mapping, optional
            Of a URL, for fsspec.

        Returns
        -------
        pathlib.Path or str

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> store = vol.brain.to_ome_zarr("brain.ome.zarr", progress=False)
        >>> brainxr.open_pyramid(store)["1"]["intensity"].sizes["z"]
        64
        """
        from brainxr.writing.convert import to_ome_zarr

        return to_ome_zarr(
            self._data, path, version=version, levels=levels, method=method, chunks=chunks,
            shards=shards, codec=codec, memory=memory, overwrite=overwrite, progress=progress,
            callback=callback, storage_options=storage_options,
        )  # fmt: skip

    def to_tiff(
        self, folder: PathLike, *, along: str | None = None,
        compression: Compression | None = None, memory: str | int = "1 GiB",
        overwrite: bool = False, progress: bool = True, callback: Callback | None = None,
    ) -> Path:  # fmt: skip
        """Write it as a folder of TIFF slices along any axis, which opens as it was.

        All about the parameters and errors: `brainxr.writing.tiffstack.to_tiff`.

        Parameters
        ----------
        folder : path-like
            A folder that is not there yet.
        along : {"z", "y", "x"}, optional
            Axis along which the slices lie. Default: z; of a plane the axis that it lacks.
        compression : {"deflate", "lzw"}, optional
        memory : str or int
            What the blocks that are worked on may take at a time.
        overwrite : bool
            Replace a folder that this method wrote.
        progress : bool
            Show a bar.
        callback : callable, optional
            Is given a `brainxr.progress.Progress` after each block.

        Returns
        -------
        pathlib.Path

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> folder = vol[:, 60:64].brain.to_tiff("coronal", along="y", progress=False)
        >>> brainxr.open(folder).sizes["y"]
        4
        """
        from brainxr.writing.tiffstack import to_tiff

        return to_tiff(
            self._data, folder, along=along, compression=compression, memory=memory,
            overwrite=overwrite, progress=progress, callback=callback,
        )  # fmt: skip

    def to_nifti(
        self, path: PathLike, *, version: int | None = None, memory: str | int = "1 GiB",
        overwrite: bool = False, progress: bool | None = None, callback: Callback | None = None,
    ) -> Path:  # fmt: skip
        """Write it as a NIfTI file, every voxel at the place that its coordinates say.

        All about the parameters and errors: `brainxr.writing.niftiwriter.to_nifti`.

        Parameters
        ----------
        path : path-like
            ``.nii``, or ``.nii.gz`` to compress it.
        version : {1, 2}, optional
            Of NIfTI. Default: 1, unless an axis or a place does not fit.
        memory : str or int
            What the slabs that are worked on may take.
        overwrite : bool
            Replace a file that is there.
        progress : bool, optional
            Show a bar. Default: in a terminal, after two seconds.
        callback : callable, optional
            Is given a `brainxr.progress.Progress` after each slab.

        Returns
        -------
        pathlib.Path

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> path = vol.sel(z=slice("6 cm", "7 cm")).brain.to_nifti("slab.nii.gz")
        >>> brainxr.open(path).sizes["z"] == vol.sel(z=slice("6 cm", "7 cm")).sizes["z"]
        True
        """
        from brainxr.writing.niftiwriter import to_nifti

        return to_nifti(
            self._data, path, version=version, memory=memory, overwrite=overwrite,
            progress=progress, callback=callback,
        )  # fmt: skip

    def build_levels(
        self, *, beside: bool = False, levels: int | None = None, method: Method | None = None,
        codec: CodecName = "lz4", memory: str | int = "1 GiB", progress: bool = True,
        callback: Callback | None = None,
    ) -> Path:  # fmt: skip
        """Make coarser levels of a stack, which `brainxr.view` finds, and leave its slices.

        All about the parameters and errors: `brainxr.writing.convert.build_levels`.

        Parameters
        ----------
        beside : bool
            Put them next to the stack; else in the user's cache folder.
        levels, method, codec, memory, progress, callback
            As in `to_ome_zarr`.

        Returns
        -------
        pathlib.Path

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> store = vol.brain.build_levels(progress=False)
        """
        from brainxr.writing.convert import build_levels

        return build_levels(
            self._data, beside=beside, levels=levels, method=method, codec=codec, memory=memory,
            progress=progress, callback=callback,
        )  # fmt: skip

    def sel(
        self, indexers: Mapping[Hashable, Any] | None = None, method: str | None = None,
        tolerance: Any = None, drop: bool = False, **indexers_kwargs: Any,
    ) -> xr.DataArray:  # fmt: skip
        """Select by label, in any unit, on any coordinate that has a ``units`` attribute.

        What ``.sel`` does on a volume that brainxr opened, for those whose index
        xarray has made anew: after ``coarsen``, ``interp``, ``assign_coords``, or
        from a file.

        Raises
        ------
        LengthError
            When a label is no quantity of the coordinate's kind.
        """
        labels = dict(indexers or {}) | dict(indexers_kwargs)
        return with_unit_index(self._data, labels).sel(
            labels, method=method, tolerance=tolerance, drop=drop
        )

    def with_unit_index(self) -> xr.DataArray:
        """The same data, whose own ``.sel`` understands quantities from now on.

        Every indexed coordinate with a ``units`` attribute gets the index that
        `brainxr.open` gives. Costs no read.
        """
        named = [dim for dim in self._data.dims if "units" in self._data[dim].attrs]
        return with_unit_index(self._data, named)

    def coarsen(
        self, windows: Mapping[Any, int] | None = None, *, method: str = "mean",
        boundary: Boundary = "exact", **windows_kwargs: int,
    ) -> xr.DataArray:  # fmt: skip
        """Reduce blocks of voxels to one voxel each, lazily.

        As xarray's ``coarsen``, and the result keeps dtype, unit and the index that understands
        lengths; its spacing is that of the blocks.

        Parameters
        ----------
        windows, **windows_kwargs : mapping of dim to int
            Voxels of a block along each axis: ``z=2, y=2, x=2``.
        method : str
            A reduction of xarray's ``coarsen``: ``"mean"``, ``"max"``, ``"sum"``, ... Means of
            integers are rounded to the nearest, halves to the even one.
        boundary : {"exact", "trim", "pad"}
            What to do where an axis is not a multiple of its window.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> half = vol.brain.coarsen(z=2, y=2, x=2)
        >>> str(half.dtype), half.sel(z="6.25 cm").sizes["y"], half.z.attrs["spacing"]
        ('uint8', 88, 2000.0)
        """
        from brainxr.geometry.regridding import coarsen

        return coarsen(self._data, {**(windows or {}), **windows_kwargs}, method, boundary)

    def interp(
        self, places: Mapping[Any, Any] | None = None, *, method: str = "linear",
        **places_kwargs: Any,
    ) -> xr.DataArray:  # fmt: skip
        """Interpolate at other positions, lazily; they may be texts and quantities.

        As xarray's ``interp``, and the result keeps dtype, unit and the index that understands
        lengths.

        Raises
        ------
        PositionError
            When a position lies outside of the voxels' centres.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> vol.brain.interp(z=["62.5 mm", "63 mm"]).sel(z="62.5 mm").dims
        ('y', 'x')
        """
        from brainxr.geometry.regridding import interp

        return interp(self._data, {**(places or {}), **places_kwargs}, method)

    def reindex(
        self, places: Mapping[Any, Any] | None = None, *, method: str | None = None,
        tolerance: Any = None, fill_value: Any = None, **places_kwargs: Any,
    ) -> xr.DataArray:  # fmt: skip
        """Select positions, lazily; they may be texts and quantities, and missing ones are filled.

        As xarray's ``reindex``, and the result keeps unit and the index that understands lengths.

        Parameters
        ----------
        places, **places_kwargs : mapping of dim to positions
        method, tolerance
            As in ``xarray.DataArray.reindex``.
        fill_value : scalar, optional
            Value of positions that are not there. Default: NaN, for which integers become floats.
        """
        from brainxr.geometry.regridding import reindex

        labels = {**(places or {}), **places_kwargs}
        return reindex(self._data, labels, method, tolerance, fill_value)

    def to(self, unit: str) -> xr.DataArray:
        """Convert the coordinates z, y and x to another unit of length, such as ``"mm"``.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom")).brain.to("mm")
        >>> vol.sel(z=62).z.item(), vol.z.attrs["units"], vol.z.attrs["spacing"]
        (62.0, 'millimeter', 1.0)
        """
        from brainxr.geometry.regridding import to_unit

        return to_unit(self._data, unit)

    @property
    def grid(self) -> VoxelGrid:
        """Shape, spacing and origin of the spatial axes, in µm; see `VoxelGrid.of`."""
        return VoxelGrid.of(self._data)
