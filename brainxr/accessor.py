"""``.brain`` on any DataArray: each method one call into a lower floor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import VoxelGrid
from brainxr.geometry.index import UnitIndex
from brainxr.stacks.slices import PathLike

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from napari.components import ViewerModel

    from brainxr.lazy.cost import Cost
    from brainxr.stacks.slices import PathLike


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
        self, viewer: ViewerModel | None = None, *, planes: bool = False,
        block: bool | None = None, **layer_kwargs: Any,
    ) -> ViewerModel:  # fmt: skip
        """Show it in napari at its true place; see `brainxr.view`."""
        from brainxr.viewing.viewer import view

        return view(self._data, viewer, planes=planes, block=block, **layer_kwargs)

    def plot_planes(self, at: Mapping[str, u.Length] | None = None, **kwargs: Any) -> Figure:
        """Axial, coronal and sagittal plane through a point; see `pictures.plot.plot_planes`."""
        from brainxr.pictures.plot import plot_planes

        return plot_planes(self._data, at, **kwargs)

    def montage(self, axis: str = "z", n: int = 12, **kwargs: Any) -> Figure:
        """Evenly spaced planes along an axis; see `pictures.plot.montage`."""
        from brainxr.pictures.plot import montage

        return montage(self._data, axis, n, **kwargs)

    def movie(self, path: PathLike, axis: str = "z", **kwargs: Any) -> Path:
        """A movie that scrolls through the planes along an axis; see `brainxr.movie`."""
        from brainxr.pictures.movies import movie

        return movie(self._data, path, axis, **kwargs)

    def screenshot(self, path: PathLike, **kwargs: Any) -> Path:
        """napari's picture of a plane, in a file; see `brainxr.screenshot`."""
        from brainxr.viewing.screenshots import screenshot

        return screenshot(self._data, path, **kwargs)

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

    def to_ome_zarr(self, path: PathLike, **options: Any) -> Path | str:
        """Write it as a pyramid into an OME-Zarr store; see `writing.convert.to_ome_zarr`.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> store = vol.brain.to_ome_zarr("brain.ome.zarr", progress=False)
        >>> brainxr.open_pyramid(store)["1"]["intensity"].sizes["z"]
        64
        """
        from brainxr.writing.convert import to_ome_zarr

        return to_ome_zarr(self._data, path, **options)

    def to_tiff(self, folder: PathLike, **options: Any) -> Path:
        """Write it as a folder of TIFF slices along any axis; see `writing.tiffstack.to_tiff`.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> folder = vol[:, 60:64].brain.to_tiff("coronal", along="y", progress=False)
        >>> brainxr.open(folder).sizes["y"]
        4
        """
        from brainxr.writing.tiffstack import to_tiff

        return to_tiff(self._data, folder, **options)

    def to_nifti(self, path: PathLike, **options: Any) -> Path:
        """Write it as a NIfTI file, ``.nii`` or ``.nii.gz``; see `writing.niftiwriter.to_nifti`.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> path = vol.sel(z=slice("6 cm", "7 cm")).brain.to_nifti("slab.nii.gz")
        >>> brainxr.open(path).sizes["z"] == vol.sel(z=slice("6 cm", "7 cm")).sizes["z"]
        True
        """
        from brainxr.writing.niftiwriter import to_nifti

        return to_nifti(self._data, path, **options)

    def build_levels(self, **options: Any) -> Path:
        """Make coarser levels beside a stack, for looking; see `writing.convert.build_levels`.

        Examples
        --------
        >>> vol = brainxr.open(brainxr.sample("phantom"))
        >>> store = vol.brain.build_levels(progress=False)
        """
        from brainxr.writing.convert import build_levels

        return build_levels(self._data, **options)

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
        return _with_unit_index(self._data, labels).sel(
            labels, method=method, tolerance=tolerance, drop=drop
        )

    def with_unit_index(self) -> xr.DataArray:
        """The same data, whose own ``.sel`` understands quantities from now on.

        Every indexed coordinate with a ``units`` attribute gets the index that
        `brainxr.open` gives. Costs no read.
        """
        named = [dim for dim in self._data.dims if "units" in self._data[dim].attrs]
        return _with_unit_index(self._data, named)

    @property
    def grid(self) -> VoxelGrid:
        """Shape, spacing and origin of the spatial axes, in µm; see `VoxelGrid.of`."""
        return VoxelGrid.of(self._data)


def _with_unit_index(data: xr.DataArray, names: Any) -> xr.DataArray:
    plain = [n for n in names if n in data.coords and type(data.xindexes.get(n)) is not UnitIndex]
    for name in plain:
        data = data.drop_indexes(name) if name in data.xindexes else data
        data = data.set_xindex(name, UnitIndex)
    return data
