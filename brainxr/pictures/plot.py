"""Pictures without a viewer: planes through a point, a montage. The only user of matplotlib.

    volume ── axes_of ──▶ where its voxels are ── planes ──▶ what to draw, its size in mm
    sizes ── fit ──▶ one scale for all panels ── thin ──▶ the voxels worth reading
    read, at once ──▶ images ── chosen_limits ──▶ Figure

Pictures are drawn as image viewers do it: x increases to the right, y and z
downwards, whichever way round the array is stored. Where it is known how a body lies, it
is drawn upright, with letters at the edges: see `brainxr.geometry.orientation`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.contrast import chosen_limits
from brainxr.errors import GeometryError, MissingExtraError
from brainxr.geometry import units as u
from brainxr.lazy.cost import refuse_too_big
from brainxr.pictures.planes import (
    CutPlane,
    axes_of,
    nearest_voxel,
    on_grid,
    planes_along,
    planes_through,
    read_planes,
    refuse_no_volume,
    round_length,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from brainxr.integrity.inspection import DeepReport


BACKGROUND, INK, MARK, HATCH = "black", "0.8", "#ffb000", "0.35"

# Colours of odd slices, by what is odd.
ODD = {"empty": "#d95f02", "constant": "#7570b3", "repeated": "#e6ab02", "outlier": "#d7191c"}

# Inches around a panel for its title, ticks and labels, and for the minus of -100; the
# least width that a title needs, which may reach over the margins; the longest side of a
# panel, one alone and three beside each other; and the room that two ticks need.
LEFT, RIGHT, TOP, BOTTOM = 0.65, 0.15, 0.4, 0.55
MINUS = 0.15
TITLE_WIDTH = 1.5
ALONE, TOGETHER = 5.5, 3.6
TWO_TICKS = 0.5

# Inches between the panels of a montage, the least width that a label needs, and the
# longest side of the figure; and its width relative to its height.
GAP, LABEL_WIDTH, MONTAGE_SIDE = 0.04, 0.8, 10.0
MONTAGE_ASPECT = 1.6


def plot_planes(
    volume: xr.DataArray, at: Mapping[str, u.Length] | None = None, *, crosshair: bool = True,
    cmap: str = "gray", vmin: float | None = None, vmax: float | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Axial, coronal and sagittal plane through a point, in mm, as a matplotlib figure.

    Only the planes shown are read, all at once. Of planes much larger than their
    panel only every second, third, ... voxel is read, so that at least two for
    every pixel remain along each axis: for finer pictures of big volumes give a
    larger `figsize`, or set ``rcParams["figure.dpi"]``.

    All panels have one scale, whatever the shape of the voxels. Missing slices
    leave a hatched strip where they should be. A plane that is already selected
    (``vol.sel(y="8 cm", method="nearest")``) is drawn alone, and so is a slab of
    one slice, whose other planes would be lines.

    Parameters
    ----------
    volume : xarray.DataArray, dims z, y, x or two of them, in any order
        With coordinates in a unit of length.
    at : mapping of str to float, str or pint.Quantity, optional
        The point, by axis: ``{"z": "62 mm", "y": 80_000}``. A plain number is in
        the unit of the coordinate, which is µm wherever brainxr made it. The
        nearest voxel is shown. Default, for each axis: the middle.
    crosshair : bool
        Whether to mark the point. In a panel that is alone, only the axes that
        `at` names are marked.
    cmap : str
        Name of a matplotlib colour map.
    vmin, vmax : float, optional
        Limits of contrast, the same for all panels. Default: robust percentiles of
        what is shown, see `brainxr.contrast.contrast_limits`.
    figsize : tuple of float, optional
        Width and height of the figure, in inches. Default: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        Made by pyplot; one Axes a plane, with limits in mm.

    Raises
    ------
    GeometryError
        When a coordinate has no unit of length or is irregular; when the selection
        is empty, or has other axes than z, y and x, or less than two; when `at`
        lies outside of the volume or names another axis.
    LengthError
        When a value of `at` is no length.
    TooBigError
        When the planes would not fit in memory.
    TypeError
        When it is no DataArray, or its values are neither bool nor int nor float.
    MissingExtraError
        When matplotlib is not installed.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> figure = plot_planes(vol, at={"z": "62 mm"})
    >>> figure.axes[0].get_title()
    'axial, z = 62 mm'
    """
    axes = axes_of(volume)
    refuse_too_big(
        volume, sorted(axes, key=volume.sizes.__getitem__)[-2:], 3 if len(axes) == 3 else 1
    )
    point = nearest_voxel(volume, axes, at or {})
    planes = planes_through(volume, axes, point)
    sizes = [plane.size for plane in planes]
    left = LEFT + MINUS * any(min(plane.down.edges) < -100 for plane in planes)
    layout = _Layout.fit(
        partial(_place, sizes, len(sizes), (left, RIGHT, TOP, BOTTOM), TITLE_WIDTH),
        (TOGETHER if len(sizes) > 1 else ALONE) / np.max(sizes),
        figsize,
    )
    figure = _paint(volume, planes, layout, _Style(cmap, vmin, vmax))
    marked = {dim: place for dim, place in point.items() if len(planes) > 1 or dim in (at or {})}
    for panel, plane in zip(figure.axes, planes, strict=True):
        _draw_frame(panel, plane, layout.scale)
        draw_letters(panel, plane, 11)
        if crosshair:
            _draw_crosshair(panel, plane, marked)
    return figure


def montage(
    volume: xr.DataArray, axis: str = "z", n: int = 12, *, columns: int | None = None,
    cmap: str = "gray", vmin: float | None = None, vmax: float | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Evenly spaced planes along one axis, side by side, as a matplotlib figure.

    Only these planes are read, all at once, and thinned as in `plot_planes`. Each
    shows its coordinate in mm; contrast and scale are the same for all.

    Parameters
    ----------
    volume : xarray.DataArray, dims z, y, x in any order
        With coordinates in a unit of length.
    axis : {"z", "y", "x"}
        Axis along which the planes lie: axial, coronal or sagittal ones.
    n : int
        Number of planes: the middles of `n` equal parts of the axis. There are
        fewer where the axis has fewer voxels, or gaps.
    columns : int, optional
        Panels in a row. Default: what makes the figure a landscape.
    cmap, vmin, vmax, figsize
        As in `plot_planes`.

    Returns
    -------
    matplotlib.figure.Figure
        Made by pyplot; one Axes a plane, with limits in mm.

    Raises
    ------
    GeometryError, TypeError, MissingExtraError
        As in `plot_planes`; also when the volume has no such axis.
    ValueError
        When `n` or `columns` is less than 1.
    TooBigError
        When the planes would not fit in memory.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> len(montage(vol, "y", n=6).axes)
    6
    """
    for name, count in {"n": n, "columns": 1 if columns is None else columns}.items():
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name}={count!r}: give a whole number of 1 or more.")
    axes = axes_of(volume)
    refuse_no_volume(axes, axis, "A montage")
    across = [name for name in axes if name != axis]
    refuse_too_big(volume, across, min(int(n), volume.sizes[axis]))
    planes = planes_along(volume, axes, axis, n)
    columns = min(columns or _columns_for_landscape(len(planes), planes[0].size), len(planes))
    rows = math.ceil(len(planes) / columns)
    width, height = planes[0].size
    layout = _Layout.fit(
        partial(_place, [planes[0].size] * len(planes), columns, (GAP / 2,) * 4, LABEL_WIDTH),
        MONTAGE_SIDE / max(columns * width, rows * height),
        figsize,
    )
    figure = _paint(volume, planes, layout, _Style(cmap, vmin, vmax))
    for panel, plane in zip(figure.axes, planes, strict=True):
        _draw_label(panel, plane)
        draw_letters(panel, plane, 9)
    return figure


# --- how large to draw it ---------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Where panels lie on a figure, in inches, at a scale in inches per mm.

    Boxes are left, bottom, width and height, one a panel.
    """

    scale: float
    figsize: tuple[float, float]
    boxes: Sequence[tuple[float, float, float, float]]

    @classmethod
    def fit(
        cls, place: Callable[[float], _Layout], scale: float,
        figsize: tuple[float, float] | None,
    ) -> _Layout:  # fmt: skip
        """Layout at a scale; or, for a figure of a given size, at the largest that it holds."""
        if figsize is None:
            return place(scale)
        if not place(0).fits(figsize):
            width, height = place(0).figsize
            raise ValueError(
                f"figsize={figsize!r} has no room for the panels: titles and labels alone take "
                f"{width:.1f} x {height:.1f} inches."
            )
        low, high = 0.0, scale
        while place(high).fits(figsize):
            high *= 2
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if place(middle).fits(figsize) else (low, middle)
        return place(low)._centred_on(figsize)

    def fits(self, figsize: tuple[float, float]) -> bool:
        return all(size <= room for size, room in zip(self.figsize, figsize, strict=True))

    def _centred_on(self, figsize: tuple[float, float]) -> _Layout:
        dx, dy = ((room - size) / 2 for size, room in zip(self.figsize, figsize, strict=True))
        boxes = [(left + dx, bottom + dy, w, h) for left, bottom, w, h in self.boxes]
        return _Layout(self.scale, figsize, boxes)


def plot_profile(report: DeepReport, *, figsize: tuple[float, float] = (9.0, 4.5)) -> Figure:
    """Mean, spread and percentiles of every slice along the stack, odd slices marked.

    Costs nothing but the drawing: the numbers are those of the report.

    Parameters
    ----------
    report : DeepReport
        What `brainxr.check` with ``deep=True`` gives.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GeometryError
        When no slice could be decoded.

    Examples
    --------
    >>> report = brainxr.check(brainxr.sample("phantom"), deep=True)
    >>> figure = plot_profile(report)
    """
    if not report.profile:
        raise GeometryError(
            f"No slice of {report.folder!r} could be decoded, so there is nothing to draw. Print "
            "the report: it says what is wrong."
        )
    figure: Figure
    figure, panel = import_pyplot().subplots(figsize=figsize, layout="constrained")
    _draw_profile(panel, report)
    _mark_odd(panel, report)
    panel.set(xlabel=f"{report.axis} [mm]", ylabel="intensity")
    panel.margins(x=0.01)
    panel.set_title(f"{os.path.basename(report.folder)}: {len(report.profile)} slices", loc="left")
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    _show_once_in_notebooks(figure)
    return figure


def _draw_profile(panel: Axes, report: DeepReport) -> None:
    """Lines and bands, broken where slices are missing."""
    at = np.array([one.z_mm for one in report.profile])
    steps = np.abs(np.diff(at))
    breaks = np.flatnonzero(steps > 1.5 * (np.median(steps) if steps.size else 0)) + 1
    at = np.insert(at, breaks, np.nan)
    column = {
        name: np.insert([getattr(one, name) for one in report.profile], breaks, np.nan)
        for name in ("mean", "std", "p1", "p50", "p99")
    }
    mean, std = column["mean"], column["std"]
    panel.fill_between(at, column["p1"], column["p99"], color="0.88", label="1 to 99 %")
    panel.fill_between(at, mean - std, mean + std, color="#9ecae1", alpha=0.7, label="mean ± std")
    panel.plot(at, column["p50"], color="0.45", lw=1, ls=":", label="median")
    panel.plot(at, mean, color="#08519c", lw=1.5, label="mean")


def _mark_odd(panel: Axes, report: DeepReport) -> None:
    """A line at each odd slice, in the colour of what is odd, and at each that is broken."""
    across: Any = {"transform": panel.get_xaxis_transform()}  # in mm, and parts of the height
    for kind, colour in ODD.items():
        shown = [f.z_mm for f in report.odd if f.kind == kind]
        if shown:
            label = f"{kind} ({len(shown)})"
            panel.vlines(shown, 0, 1, colour, lw=1, **across)
            panel.plot(
                shown, [1.02] * len(shown), "v", c=colour, clip_on=False, label=label, **across
            )
    ends = [f.z_mm for f in set(report.findings) - set(report.odd)]
    if ends:
        panel.plot(ends, [0.01] * len(ends), "|", c="0.5", label="empty at the ends", **across)


def _place(
    sizes: Sequence[tuple[float, float]], columns: int,
    margins: tuple[float, float, float, float], least_width: float, scale: float,
) -> _Layout:  # fmt: skip
    """Put panels of these widths and heights in mm into rows, at one scale."""
    left, right, top, bottom = margins
    count = len(sizes)
    widths = [max(sizes[i][0] for i in range(c, count, columns)) for c in range(columns)]
    heights = [max(h for _, h in sizes[i : i + columns]) for i in range(0, count, columns)]
    cells = [max(width * scale, least_width) + left + right for width in widths]
    rows = [height * scale + top + bottom for height in heights]
    boxes = []
    for i, (width, height) in enumerate(sizes):
        row, column = divmod(i, columns)
        spare = cells[column] - left - right - width * scale
        x = sum(cells[:column]) + left + spare / 2
        y = sum(rows) - sum(rows[:row]) - top - height * scale
        boxes.append((x, y, width * scale, height * scale))
    return _Layout(scale, (sum(cells), sum(rows)), boxes)


def _columns_for_landscape(count: int, size: tuple[float, float]) -> int:
    """Columns of panels of one size that come nearest to the shape of a screen."""
    width, height = size

    def misfit(columns: int) -> float:
        rows = math.ceil(count / columns)
        empty = rows * columns / count
        return abs(math.log(columns * width / (rows * height) / MONTAGE_ASPECT)) + math.log(empty)

    return min(range(1, count + 1), key=misfit)


# --- reading and drawing ----------------------------------------------------------


@dataclass(frozen=True)
class _Style:
    """Colours, and limits of contrast where they are given."""

    cmap: str
    vmin: float | None
    vmax: float | None


def _paint(
    volume: xr.DataArray, planes: Sequence[CutPlane], layout: _Layout, style: _Style
) -> Figure:
    """A figure with one panel a plane and a scale bar; reads the planes."""
    plt = import_pyplot()
    cmap = plt.get_cmap(style.cmap)  # an unknown name is told before anything is read
    pixels_per_mm = layout.scale * plt.rcParams["figure.dpi"]
    planes = [plane.thin(pixels_per_mm) for plane in planes]
    images = read_planes(volume.variable, planes)
    low, high = chosen_limits(images, style.vmin, style.vmax)
    # the panels are placed by hand, whatever layout the user's settings ask for
    figure: Figure = plt.figure(figsize=layout.figsize, facecolor=BACKGROUND, layout="none")
    for box, plane, image in zip(layout.boxes, planes, images, strict=True):
        panel = figure.add_axes(_fractions(box, layout.figsize))
        panel.imshow(
            on_grid(image, plane), cmap=cmap, vmin=low, vmax=high,
            extent=(*plane.across.part_edges, *plane.down.part_edges[::-1]),
            interpolation=interpolation_for(planes, pixels_per_mm),
        )  # fmt: skip
        _finish_panel(panel, plane)
    areas = [box[2] * box[3] for box in layout.boxes]
    largest = max(reversed(range(len(areas))), key=lambda i: areas[i])
    draw_scale_bar(figure.axes[largest], planes[largest], layout.scale)
    _show_once_in_notebooks(figure)
    return figure


def interpolation_for(planes: Sequence[CutPlane], pixels_per_mm: float) -> str | None:
    """One look for all panels: voxels that are large on the screen have edges in each of them.

    Left to itself, matplotlib blurs those that are not a whole number of pixels, a
    panel at a time. What is smaller than a pixel is left to its antialiasing.
    """
    pixels = [axis.part_length * pixels_per_mm for plane in planes for axis in plane.axes]
    return "nearest" if max(pixels) > 3 and min(pixels) >= 1 else None


def _fractions(box: tuple[float, float, float, float], figsize: tuple[float, float]) -> Any:
    left, bottom, width, height = box
    return left / figsize[0], bottom / figsize[1], width / figsize[0], height / figsize[1]


def _finish_panel(panel: Axes, plane: CutPlane) -> None:
    """Limits at the outer edges of the voxels, one scale both ways, and what is missing."""
    left, right, top, bottom = plane.frame
    panel.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", facecolor=BACKGROUND)
    panel.spines[:].set_visible(False)
    panel.set(xticks=[], yticks=[])
    hatched: dict[str, Any] = {"hatch": "////", "edgecolor": HATCH, "linewidth": 0}
    for low, high in plane.down.missing:
        panel.axhspan(low, high, facecolor=BACKGROUND, label="missing", **hatched)
    for low, high in plane.across.missing:
        panel.axvspan(low, high, facecolor=BACKGROUND, label="missing", **hatched)


def _draw_frame(panel: Axes, plane: CutPlane, scale: float) -> None:
    """Title, and axes in mm."""
    from matplotlib.ticker import AutoLocator, FixedLocator, ScalarFormatter

    title = ", ".join(filter(None, (plane.name, plane.label)))
    panel.set_title(title, color=INK, fontsize=11)
    panel.set_xlabel(f"{plane.across.name} [mm]", color=INK)
    panel.set_ylabel(f"{plane.down.name} [mm]", color=INK)
    panel.tick_params(colors=INK, labelsize=9)
    for ticks, axis in ((panel.xaxis, plane.across), (panel.yaxis, plane.down)):
        narrow = axis.length * scale < TWO_TICKS
        middle = sum(axis.edges) / 2
        ticks.set_major_locator(FixedLocator([middle]) if narrow else AutoLocator())
        ticks.set_major_formatter(ScalarFormatter(useOffset=False))


def _draw_crosshair(panel: Axes, plane: CutPlane, marked: Mapping[str, int]) -> None:
    line: dict[str, Any] = {"color": MARK, "linewidth": 0.8, "alpha": 0.7, "label": "crosshair"}
    if plane.across.name in marked:
        panel.axvline(plane.across.position(marked[plane.across.name]), **line)
    if plane.down.name in marked:
        panel.axhline(plane.down.position(marked[plane.down.name]), **line)


def _draw_label(panel: Axes, plane: CutPlane) -> None:
    """Where the plane lies, in the panel's corner."""
    panel.annotate(
        plane.label, (0, 1), (4, -4), xycoords="axes fraction", textcoords="offset points",
        color="white", fontsize=8, va="top", path_effects=_outlined(2),
    )  # fmt: skip


def draw_letters(panel: Axes, plane: CutPlane, size: float) -> None:
    """Write what of a body lies at the edges, where it is known."""
    places: dict[str, tuple[Any, Any, str, str]] = {
        "left": ((0, 0.5), (4, 0), "left", "center"),
        "right": ((1, 0.5), (-4, 0), "right", "center"),
        "top": ((0.5, 1), (0, -4), "center", "top"),
        "bottom": ((0.5, 0), (0, 4), "center", "bottom"),
    }
    for edge, letter in plane.letters.items():
        at, shift, ha, va = places[edge]
        panel.annotate(
            letter, at, shift, xycoords="axes fraction", textcoords="offset points", ha=ha, va=va,
            color="white", fontsize=size, weight="bold", path_effects=_outlined(2),
        )  # fmt: skip


def draw_scale_bar(panel: Axes, plane: CutPlane, inches_per_mm: float) -> None:
    """Draw a bar of a round length, up to a third of the panel, in its lower right corner."""
    width, height = plane.size
    length = round_length(width / 3)
    margin = min(0.12 / inches_per_mm, width / 10, height / 5)
    left, right, top, bottom = plane.frame
    inwards, upwards = math.copysign(1, left - right), math.copysign(1, top - bottom)
    right, bottom = right + inwards * margin, bottom + upwards * margin
    panel.plot(
        [right + inwards * length, right], [bottom, bottom], color="white", linewidth=2.5,
        solid_capstyle="butt", label="scale bar", path_effects=_outlined(4.5),
    )  # fmt: skip
    panel.annotate(
        u.show_micrometers(length * 1000), (right + inwards * length / 2, bottom), (0, 4),
        textcoords="offset points", color="white", fontsize=8, ha="center", va="bottom",
        path_effects=_outlined(2),
    )  # fmt: skip


def _outlined(width: float) -> Any:
    """White on a black rim can be read on bright images, too."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]


def colour_table(cmap: str) -> npt.NDArray[np.uint8]:
    """The 256 colours of a map, from dark to bright: shape (256, 3).

    Raises
    ------
    ValueError
        When there is no map of this name.
    MissingExtraError
        When matplotlib is not installed.
    """
    colours = import_pyplot().get_cmap(cmap).resampled(256)(np.arange(256), bytes=True)
    return np.ascontiguousarray(colours[:, :3])


def font_file() -> str:
    """The typeface that comes with matplotlib, for those who write without it."""
    import matplotlib as mpl

    return os.path.join(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def draw_without_window() -> None:
    """Draw into memory from now on: a picture in a file needs no display."""
    import_pyplot().switch_backend("agg")


def import_pyplot() -> Any:
    """Import pyplot, which is an extra.

    Raises
    ------
    MissingExtraError
    """
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("matplotlib"):
            raise  # it is installed, and something that it needs is not
        raise MissingExtraError(
            'matplotlib is not installed. Install it: pip install "brainxr[plot]".'
        ) from None
    return plt


def _show_once_in_notebooks(figure: Figure) -> None:
    """Let a figure that ends a cell appear once.

    IPython's inline backend shows every open figure when the cell has run, and so
    a figure that is the cell's value a second time. Asked for its value, a figure
    of ours leaves the open ones.
    """
    if "inline" in import_pyplot().get_backend():
        figure._repr_mimebundle_ = partial(_leave_open_figures, figure)  # type: ignore[attr-defined]


def _leave_open_figures(figure: Figure, **_: object) -> dict[str, object]:
    import_pyplot().close(figure)
    return {}
