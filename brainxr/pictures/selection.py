"""One picture of any selection: a plane, a line, or three planes of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from brainxr.contrast import chosen_limits
from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS
from brainxr.lazy.cost import refuse_too_big
from brainxr.pictures.planes import (
    CutPlane,
    axes_of,
    on_grid,
    planes_through,
    read_planes,
    without_thin_axes,
)
from brainxr.pictures.plot import (
    HATCH,
    draw_letters,
    draw_scale_bar,
    import_pyplot,
    interpolation_for,
    plot_planes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

# A step along a line that is this many times the usual one is a gap.
GAP_IN_STEPS = 1.5


def plot(
    data: xr.DataArray, *, ax: Axes | None = None, cmap: str | None = None,
    vmin: float | None = None, vmax: float | None = None, add_colorbar: bool = False,
    scale_bar: bool = True, **kwargs: Any,
) -> AxesImage | Line2D | Figure:  # fmt: skip
    """Draw a selection of a volume in mm, whatever it is.

    A plane is drawn upright with equal scales, a title that says where it lies, and a scale
    bar; a line as its values over mm; a volume as three planes through its middle. Only what
    is drawn is read, and of planes much larger than the axes only every second, third, ...
    voxel.

    Parameters
    ----------
    data : xarray.DataArray, dims among z, y, x
        With coordinates in a unit of length. Axes of one voxel are left out where two others
        remain.
    ax : matplotlib.axes.Axes, optional
        Where to draw a plane or line. Default: the current axes, as xarray does. A volume
        makes a figure of its own.
    cmap : str, optional
        Name of a colour map. Default: ``"gray"``.
    vmin, vmax : float, optional
        Limits of contrast of planes, of values of a line. Default: as `brainxr.view` has it,
        see `brainxr.contrast.contrast_limits`.
    add_colorbar : bool
        Draw the scale of values beside a plane.
    scale_bar : bool
        Draw a bar of a round length in a plane.
    **kwargs
        Passed to ``imshow``, ``plot`` or, for a volume, `brainxr.pictures.plot.plot_planes`.

    Returns
    -------
    matplotlib.image.AxesImage, matplotlib.lines.Line2D or matplotlib.figure.Figure
        Of a plane, a line, a volume.

    Raises
    ------
    GeometryError
        When the array has axes besides z, y and x, no axis at all, or no places in mm.
    TooBigError
        When a plane would not fit in memory.
    MissingExtraError
        When matplotlib is not installed.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> image = vol.sel(z="62 mm").brain.plot()
    >>> image.axes.get_title()
    'axial, z = 62 mm'
    """
    data = without_thin_axes(data)
    if data.ndim == 0 or data.size == 0:
        found = "one value" if data.size else f"no voxel ({dict(data.sizes)})"
        raise GeometryError(f"There is {found} to draw. Select a line, a plane or a volume.")
    colours: dict[str, Any] = {"cmap": cmap or "gray", "vmin": vmin, "vmax": vmax}
    if data.ndim == 3 and all(dim in DIMS for dim in data.dims):
        if ax is not None:
            raise GeometryError(
                f"A volume ({dict(data.sizes)}) is drawn as three planes in a figure of its own. "
                "For ax=, select one plane, for example vol.isel(z=0).brain.plot(ax=ax)."
            )
        return plot_planes(data, **colours, **kwargs)
    ax = import_pyplot().gca() if ax is None else ax
    if data.ndim == 1:
        return _draw_line(data, ax, vmin, vmax, kwargs)
    return _draw_plane(data, ax, colours, add_colorbar, scale_bar, kwargs)


# --- a plane ----------------------------------------------------------------------


def _draw_plane(
    data: xr.DataArray, ax: Axes, colours: dict[str, Any], add_colorbar: bool, scale_bar: bool,
    kwargs: dict[str, Any],
) -> AxesImage:  # fmt: skip
    axes = axes_of(data)
    refuse_too_big(data, list(axes))
    (plane,) = planes_through(data, axes, {})
    pixels_per_mm = _pixels_per_mm(ax, plane)
    plane = plane.thin(pixels_per_mm)
    (values,) = read_planes(data.variable, [plane])
    low, high = chosen_limits([values], colours["vmin"], colours["vmax"])
    image = ax.imshow(
        on_grid(values, plane), cmap=colours["cmap"], vmin=low, vmax=high,
        extent=(*plane.across.part_edges, *plane.down.part_edges[::-1]),
        **{"interpolation": interpolation_for([plane], pixels_per_mm), **kwargs},
    )  # fmt: skip
    _frame(ax, plane)
    draw_letters(ax, plane, 9)
    if scale_bar:
        draw_scale_bar(ax, plane, pixels_per_mm / ax.figure.dpi)
    if add_colorbar:
        ax.figure.colorbar(image, ax=ax, label=_value_label(data))
    return image


def _pixels_per_mm(ax: Axes, plane: CutPlane) -> float:
    """Scale at which a plane fits the axes, whose box shrinks to its shape."""
    box = ax.get_window_extent()
    width, height = plane.size
    return float(min(box.width / width, box.height / height))


def _frame(ax: Axes, plane: CutPlane) -> None:
    """Limits at the outer edges of the voxels, labels in mm, and what is missing."""
    left, right, top, bottom = plane.frame
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set(xlabel=f"{plane.across.name} [mm]", ylabel=f"{plane.down.name} [mm]")
    ax.set_title(", ".join(filter(None, (plane.name, plane.label))))
    hatched: dict[str, Any] = {
        "facecolor": "black", "hatch": "////", "edgecolor": HATCH, "linewidth": 0,
        "label": "missing",
    }  # fmt: skip
    for low, high in plane.down.missing:
        ax.axhspan(low, high, **hatched)
    for low, high in plane.across.missing:
        ax.axvspan(low, high, **hatched)


def _value_label(data: xr.DataArray) -> str:
    unit = data.attrs.get("units")
    return f"{data.name or 'intensity'}{'' if unit is None else f' [{unit}]'}"


# --- a line -----------------------------------------------------------------------


def _draw_line(
    data: xr.DataArray, ax: Axes, vmin: float | None, vmax: float | None, kwargs: dict[str, Any]
) -> Line2D:
    (dim,) = data.dims
    if data.dtype.kind not in "biuf":
        raise TypeError(f"Values of type {data.dtype} can't be drawn: expected bool, int or float.")
    if dim in DIMS:
        places = data[dim].values * u.factor(u.length_unit(data[dim], dim), to="millimeter")
        label = f"{dim} [mm]"
    else:
        places = data[dim].values
        unit = data[dim].attrs.get("units")
        label = f"{dim}{'' if unit is None else f' [{unit}]'}"
    (line,) = ax.plot(*_with_gaps(places, data.values), **kwargs)
    ax.set(xlabel=label, ylabel=_value_label(data), title=_where(data))
    if vmin is not None or vmax is not None:
        ax.set_ylim(vmin, vmax)
    return line


def _with_gaps(places: Any, values: Any) -> tuple[Any, Any]:
    """Places and values, with a break where slices are missing."""
    steps = np.abs(np.diff(places))
    if steps.size == 0 or places.dtype.kind not in "iuf":
        return places, values
    breaks = np.flatnonzero(steps > GAP_IN_STEPS * np.median(steps)) + 1
    if not breaks.size:
        return places, values
    broken = (np.insert(array.astype(float), breaks, np.nan) for array in (places, values))
    return tuple(broken)  # type: ignore[return-value]


def _where(data: xr.DataArray) -> str:
    """Where a line lies along the axes that it lacks: ``"y = 80 mm, x = 90 mm"``."""
    parts = []
    for dim in DIMS:
        scalar = data.coords.get(dim)
        if scalar is not None and scalar.ndim == 0 and u.is_length(scalar.attrs.get("units")):
            millimetres = float(scalar) * u.factor(scalar.attrs["units"], to="millimeter")
            parts.append(f"{dim} = {round(millimetres, 6) + 0.0:.10g} mm")
    return ", ".join(parts)
