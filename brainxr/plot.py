"""Pictures without a viewer: three planes through a point, a montage. The only user of matplotlib.

    volume ── axes_of ──▶ where its voxels are ── cuts ──▶ which planes
    sizes in mm ── arrange ──▶ one scale for all panels ──▶ how many voxels are worth reading
    planes ── read, at once ──▶ images ── contrast ──▶ Figure

Pictures are drawn as any image viewer does it: x increases to the right, y and z
downwards, whichever way round the array is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr import units as u
from brainxr.contrast import contrast_limits
from brainxr.errors import GeometryError, MissingExtraError
from brainxr.grid import DIMS, Lattice
from brainxr.stack import PLANES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# An MRI's background is black, and grey letters do not outshine the dark tissue.
BACKGROUND, INK, CROSSHAIR, MISSING = "black", "0.8", "#ffb000", "0.35"

# Room around a panel for its title, ticks and labels, and the least width that a
# title needs; in inches.
MARGINS = {"left": 0.65, "right": 0.15, "top": 0.4, "bottom": 0.55}
TITLE_WIDTH = 1.9

# Longest side of a panel, in inches: one panel alone, three beside each other.
ALONE, TOGETHER = 5.5, 3.6

# A montage: gap between panels, width of the figure, least width of a panel, in
# inches; and the width of the figure relative to its height.
GAP, MONTAGE_WIDTH, LEAST_WIDTH, MONTAGE_ASPECT = 0.04, 10.0, 0.9, 1.6

# Fewer voxels than this for a pixel of the screen are never drawn.
VOXELS_A_PIXEL = 2


def plot_planes(
    volume: xr.DataArray, at: Mapping[str, u.Length] | None = None, *, crosshair: bool = True,
    cmap: str = "gray", vmin: float | None = None, vmax: float | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Axial, coronal and sagittal plane through a point, in mm, as a matplotlib figure.

    Only the planes shown are read, together; of planes with more than two voxels
    for every pixel of their panel in both directions, every second, third, ...
    voxel is read, so that at least two a pixel remain. For finer pictures of big
    volumes give a larger `figsize`, or set ``rcParams["figure.dpi"]``.

    Panels have one scale, whatever the voxels' shape. Missing slices leave an
    empty, hatched strip at their true position. A plane already selected
    (``vol.sel(y="8 cm", method="nearest")``) is drawn alone, and so is a slab of
    one slice, whose other planes would be lines.

    Parameters
    ----------
    volume : xarray.DataArray, dims z, y, x or two of them
        With coordinates in a unit of length.
    at : mapping of str to float, str or pint.Quantity, optional
        The point, by axis: ``{"z": "62 mm", "y": 80_000}``. A plain number is in
        the unit of the coordinate, which is µm wherever brainxr made it. The
        nearest voxels are shown. Default, for each axis: the middle.
    crosshair : bool
        Whether to mark the point. In a single panel, only what `at` names is marked.
    cmap : str
        Name of a matplotlib colour map.
    vmin, vmax : float, optional
        Limits of contrast, the same for all panels. Default: robust percentiles of
        what is shown, see `brainxr.contrast.contrast_limits`.
    figsize : (float, float), optional
        Width and height of the figure, in inches. Default: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        Made by pyplot, with one Axes for each plane, in mm.

    Raises
    ------
    GeometryError
        When a coordinate is missing, irregular or has no unit of length; when the
        selection is empty, has other axes than z, y and x or less than two of
        them; when `at` lies outside or names another axis.
    LengthError
        When a value of `at` is no length.
    MissingExtraError
        When matplotlib is not installed.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> figure = plot_planes(vol, at={"z": "62 mm"})
    >>> [axes.get_title() for axes in figure.axes]
    ['axial, z = 62 mm', 'coronal, y = 88 mm', 'sagittal, x = 88 mm']
    """
    plt = _import_pyplot()
    style = _Style(plt.get_cmap(cmap), vmin, vmax)
    axes = _axes_of(volume)
    cuts = _cuts(volume, axes, at or {})
    planes = _planes_worth_drawing(axes)
    sizes = [(axes[across].length, axes[down].length) for _, down, across in planes.values()]
    arrange = partial(_arrange, sizes, len(sizes), MARGINS, TITLE_WIDTH)
    layout = _fit(arrange, figsize, (TOGETHER if len(sizes) > 1 else ALONE) / np.max(sizes))
    shown = {dim: _thin(axis, layout.scale) for dim, axis in axes.items()}
    images = _read({
        name: volume.variable.isel(_indexer(shown, (down, across), cuts))
        for name, (_, down, across) in planes.items()
    })
    style = style.for_values(images.values())

    figure = _new_figure(layout)
    panels = {}
    for box, (name, (cut, down, across)) in zip(layout.boxes, planes.items(), strict=True):
        panels[name] = _draw(figure, box, images[name], shown[down], shown[across], style)
        _label(panels[name], _title(volume, name, cut, axes, cuts), down, across)
        marked = (down, across) if len(planes) > 1 else tuple(at or ())
        if crosshair:
            _draw_crosshair(panels[name], axes, cuts, down, across, marked)
    largest = max(range(len(sizes)), key=lambda i: sizes[i][0] * sizes[i][1])
    _draw_scale_bar(figure.axes[largest], layout.scale)
    return figure
