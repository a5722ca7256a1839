"""Pictures, checked by what they contain: values against numpy's planes, places in mm
by hand, shapes on the rendered pixels."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib as mpl
import matplotlib.pyplot as plt
import nibabel
import nilearn
import numpy as np
import pint
import pytest
import xarray as xr
from conftest import MadeStack, MakeStack
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import brainxr
from brainxr.contrast import contrast_limits
from brainxr.errors import GeometryError, LengthError, MissingExtraError, SliceGapWarning
from brainxr.geometry.grid import VoxelGrid
from brainxr.lazy.lazyarray import StackArray
from brainxr.pictures.plot import montage, plot_planes

# What each panel shows: the axis that is cut, then rows, then columns.
PANELS = {"axial": ("z", "y", "x"), "coronal": ("y", "z", "x"), "sagittal": ("x", "z", "y")}


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def volume_of(
    values: np.ndarray, spacing: Mapping[str, float] | float = 1000.0,
    origin: Mapping[str, float] | float = 0.0,
) -> xr.DataArray:  # fmt: skip
    shape = dict(zip("zyx", values.shape, strict=True))
    steps = spacing if isinstance(spacing, Mapping) else dict.fromkeys(shape, spacing)
    start = origin if isinstance(origin, Mapping) else dict.fromkeys(shape, origin)
    return xr.DataArray(values, VoxelGrid(shape, steps, start).coordinates(), tuple(shape))


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(6 * 9 * 13, dtype="uint16").reshape(6, 9, 13)


@pytest.fixture
def volume(values: np.ndarray) -> xr.DataArray:
    """6 x 9 x 13 voxels of 3 x 2 x 1 mm, the first at 10, 20 and 30 mm."""
    return volume_of(
        values, {"z": 3000.0, "y": 2000.0, "x": 1000.0}, {"z": 1e4, "y": 2e4, "x": 3e4}
    )


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def image(axes: Axes) -> Any:
    return axes.images[0].get_array()


def labelled(axes: Axes, label: str) -> list[Any]:
    return [a for a in (*axes.lines, *axes.patches) if a.get_label() == label]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def pixels(figure: Figure) -> np.ndarray:
    """What is on the screen, shape (height, width, 3)."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)  # type: ignore[attr-defined]


# --- the right voxels at the right place ------------------------------------------


def test_three_planes_through_the_middle(volume: xr.DataArray, values: np.ndarray) -> None:
    figure = plot_planes(volume)
    axial, coronal, sagittal = figure.axes
    np.testing.assert_array_equal(image(axial), values[3])
    np.testing.assert_array_equal(image(coronal), values[:, 4])
    np.testing.assert_array_equal(image(sagittal), values[:, :, 6])
    assert titles(figure) == ["axial, z = 19 mm", "coronal, y = 28 mm", "sagittal, x = 36 mm"]
    assert [a.get_xlabel() for a in figure.axes] == ["x [mm]", "x [mm]", "y [mm]"]
    assert [a.get_ylabel() for a in figure.axes] == ["y [mm]", "z [mm]", "z [mm]"]


def test_panels_end_at_the_outer_edges_of_their_voxels(volume: xr.DataArray) -> None:
    axial, coronal, sagittal = plot_planes(volume).axes
    x, y, z = (29.5, 42.5), (37.0, 19.0), (26.5, 8.5)  # y and z grow downwards
    assert (axial.get_xlim(), axial.get_ylim()) == (x, y)
    assert (coronal.get_xlim(), coronal.get_ylim()) == (x, z)
    assert (sagittal.get_xlim(), sagittal.get_ylim()) == (y[::-1], z)
    assert axial.images[0].get_extent() == [*x, *y]


@pytest.mark.parametrize(
    ("at", "index", "title"),
    [
        ({"z": "22 mm"}, {"z": 4}, "axial, z = 22 mm"),
        ({"z": "2.3 cm"}, {"z": 4}, "axial, z = 22 mm"),
        ({"z": 22_900}, {"z": 4}, "axial, z = 22 mm"),
        ({"z": np.float32(10_000)}, {"z": 0}, "axial, z = 10 mm"),
        ({"z": pint.Quantity(26.5, "mm")}, {"z": 5}, "axial, z = 25 mm"),
        ({"z": "8.5 mm", "y": 20_000}, {"z": 0, "y": 0}, "axial, z = 10 mm"),
        ({"x": "42 mm", "y": "36000 µm"}, {"x": 12, "y": 8}, "axial, z = 19 mm"),
    ],
)
def test_planes_through_a_point(
    volume: xr.DataArray, at: dict[str, Any], index: dict[str, int], title: str
) -> None:
    figure = plot_planes(volume, at)
    where = {"z": 3, "y": 4, "x": 6} | index
    for axes, (cut, down, across) in zip(figure.axes, PANELS.values(), strict=True):
        expected = volume.isel({cut: where[cut]})
        np.testing.assert_array_equal(image(axes), expected.values)
        vertical, horizontal = labelled(axes, "crosshair")
        assert vertical.get_xdata()[0] == volume[across].values[where[across]] / 1000
        assert horizontal.get_ydata()[0] == volume[down].values[where[down]] / 1000
    assert titles(figure)[0] == title


def test_crosshair_can_be_left_out(volume: xr.DataArray) -> None:
    figure = plot_planes(volume, crosshair=False)
    assert not any(labelled(axes, "crosshair") for axes in figure.axes)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.isel(z=slice(None, None, -1)),
        lambda v: v.isel(x=slice(None, None, -1), y=slice(None, None, -1)),
        lambda v: v.transpose("x", "z", "y"),
        lambda v: v.transpose("y", "x", "z").isel(y=slice(None, None, -1)),
        lambda v: v.chunk(z=2, y=4, x=5),
    ],
)
def test_one_picture_however_it_is_stored(volume: xr.DataArray, change: Any) -> None:
    at = {"z": "16 mm", "y": "30 mm", "x": "32 mm"}
    np.testing.assert_array_equal(
        pixels(plot_planes(change(volume), at)), pixels(plot_planes(volume, at))
    )


@pytest.mark.parametrize(
    "at", [{}, {"z": "75 mm", "y": "100 mm"}, {"z": "0 mm", "y": "0 mm", "x": "0 mm"}]
)
def test_a_strided_volume_lies_where_the_whole_does(at: Mapping[str, str]) -> None:
    volume = volume_of(np.zeros((160, 220, 180)))
    axial, _, sagittal = plot_planes(volume.isel(z=slice(None, None, 5), y=slice(3, None, 2))).axes
    assert axial.get_ylim() == (220, 2)
    assert sagittal.get_ylim() == (157.5, -2.5)


def test_units_other_than_micrometres(volume: xr.DataArray, values: np.ndarray) -> None:
    """A plain number is in the unit of the coordinate, as it is for ``.sel``."""
    in_mm = volume.assign_coords(
        {d: (d, volume[d].values / 1000, {"units": "millimeter"}) for d in volume.dims}
    )
    figure = plot_planes(in_mm, {"z": 22, "y": "3.2 cm"})
    np.testing.assert_array_equal(image(figure.axes[0]), values[4])
    np.testing.assert_array_equal(image(figure.axes[1]), values[:, 6])
    assert figure.axes[0].get_ylim() == (37, 19)


def test_a_coarsened_volume(volume: xr.DataArray) -> None:
    coarse = volume.coarsen(z=2, y=3, x=4, boundary="trim").mean()
    axial, coronal, _ = plot_planes(coarse, {"z": "18 mm"}).axes
    np.testing.assert_array_equal(image(axial), coarse.values[1])
    assert (axial.get_xlim(), axial.get_ylim()) == ((29.5, 41.5), (37, 19))
    assert coronal.get_ylim() == (26.5, 8.5)
    assert axial.get_title() == "axial, z = 17.5 mm"


def test_places_are_written_without_noise() -> None:
    volume = volume_of(np.zeros((4, 5, 6)), 0.1 * 3 * 1000, -0.1 * 3 * 2000)
    figure = plot_planes(volume, {"z": 0, "y": "-0.3 mm", "x": "0.3 mm"})
    assert titles(figure) == ["axial, z = 0 mm", "coronal, y = -0.3 mm", "sagittal, x = 0.3 mm"]


# --- parts of a volume ------------------------------------------------------------


@pytest.mark.parametrize("name", PANELS)
def test_a_selected_plane_is_drawn_alone(volume: xr.DataArray, name: str) -> None:
    cut, down, across = PANELS[name]
    plane = volume.isel({cut: 2})
    (axes,) = plot_planes(plane).axes
    np.testing.assert_array_equal(image(axes), plane.values)
    assert axes.get_title() == f"{name}, {cut} = {float(plane[cut]) / 1000:g} mm"
    assert (axes.get_xlabel(), axes.get_ylabel()) == (f"{across} [mm]", f"{down} [mm]")
    assert not labelled(axes, "crosshair")


def test_a_selected_plane_by_length(volume: xr.DataArray, values: np.ndarray) -> None:
    (axes,) = plot_planes(volume.sel(y="2.45 cm", method="nearest"), {"x": "31 mm"}).axes
    np.testing.assert_array_equal(image(axes), values[:, 2])
    assert axes.get_title() == "coronal, y = 24 mm"
    (line,) = labelled(axes, "crosshair")
    assert list(line.get_xdata()) == [31, 31]


def test_a_projection_has_no_place_to_tell(volume: xr.DataArray, values: np.ndarray) -> None:
    (axes,) = plot_planes(volume.max("z")).axes
    np.testing.assert_array_equal(image(axes), values.max(axis=0))
    assert axes.get_title() == "axial"


def test_a_slab_of_one_slice_is_drawn_as_a_plane(volume: xr.DataArray, values: np.ndarray) -> None:
    (axes,) = plot_planes(volume.isel(z=[2])).axes
    np.testing.assert_array_equal(image(axes), values[2])
    assert axes.get_title() == "axial, z = 16 mm"


def test_a_line_of_voxels_is_drawn_as_it_is(volume: xr.DataArray) -> None:
    figure = plot_planes(volume.isel(z=[2], y=[3]))
    assert len(figure.axes) == 3
    assert figure.axes[0].get_ylim() == (27, 25)


def test_one_voxel_of_a_plane(volume: xr.DataArray, values: np.ndarray) -> None:
    (axes,) = plot_planes(volume.isel(z=2, y=[3], x=[4])).axes
    np.testing.assert_array_equal(image(axes), values[2, 3:4, 4:5])


def test_missing_slices_leave_a_gap_where_they_should_be(make_stack: MakeStack) -> None:
    stack = make_stack(shape=(5, 17, 11), numbers=[1, 2, 5, 6, 8])
    with pytest.warns(SliceGapWarning):
        volume = brainxr.open(stack.folder)
    figure = plot_planes(volume, {"z": "0.2 mm", "y": 300, "x": 200})  # z: missing, 0.1 is nearest
    axial, coronal, sagittal = figure.axes
    np.testing.assert_array_equal(image(axial), stack.values[1])
    assert axial.get_title() == "axial, z = 0.1 mm"
    absent = [2, 3, 6]
    for axes, plane in ((coronal, stack.values[:, 3]), (sagittal, stack.values[:, :, 2])):
        shown = image(axes)
        assert shown.mask.any(axis=1).nonzero()[0].tolist() == absent
        np.testing.assert_array_equal(np.delete(shown.data, absent, 0), np.delete(plane, absent, 0))
        assert axes.get_ylim() == pytest.approx((0.75, -0.05))
        spans = [(p.get_y(), p.get_y() + p.get_height()) for p in labelled(axes, "missing")]
        assert spans == [pytest.approx((0.15, 0.35)), pytest.approx((0.55, 0.65))]
    assert not labelled(axial, "missing")


def test_a_gap_across_the_picture(values: np.ndarray) -> None:
    volume = volume_of(values).isel(x=[0, 1, 2, 5, 6])
    axial, _, sagittal = plot_planes(volume).axes
    assert image(axial).mask.any(axis=0).nonzero()[0].tolist() == [3, 4]
    (span,) = labelled(axial, "missing")
    assert (span.get_x(), span.get_width()) == (2.5, 2)
    assert not np.ma.isMaskedArray(image(sagittal)) or not image(sagittal).mask.any()


def test_missing_parts_are_not_drawn_as_values(values: np.ndarray) -> None:
    """Rows of the screen in the gap show the hatch; those beside it the slices."""
    volume = volume_of(np.full((40, 50, 60), 200, "uint8")).isel(z=np.r_[0:10, 20:40])
    figure = plot_planes(volume, crosshair=False, vmin=0, vmax=255)
    coronal = figure.axes[1]
    shown = pixels(figure)[::-1]
    x, _ = coronal.transData.transform((30, 0)).astype(int)
    rows = [int(coronal.transData.transform((0, z))[1]) for z in (5, 15, 30)]
    bright = [int(np.median(shown[row, x - 40 : x + 40])) for row in rows]
    assert bright == [200, 0, 200]


def test_a_real_brain(tmp_path: Path) -> None:
    path = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    stored = nibabel.load(os.path.join(os.path.dirname(nilearn.__file__), path))
    brain = np.asarray(stored.dataobj)  # x, y, z
    volume = volume_of(brain.transpose(2, 1, 0))
    figure = plot_planes(volume, {"z": "62 mm", "y": "80 mm", "x": "90 mm"})
    axial, coronal, sagittal = map(image, figure.axes)
    np.testing.assert_array_equal(axial, brain[:, :, 62].T)
    np.testing.assert_array_equal(coronal, brain[:, 80].T)
    np.testing.assert_array_equal(sagittal, brain[90].T)
    figure.savefig(tmp_path / "planes.png")
    assert plt.imread(tmp_path / "planes.png")[0, 0].tolist() == [0, 0, 0, 1]


# --- on the screen ----------------------------------------------------------------


def bright_box(shown: np.ndarray, axes: Axes) -> tuple[int, int]:
    """Width and height in pixels of what is bright in a panel."""
    box = axes.get_window_extent().padded(-2)  # without the ticks at its edges
    inside = shown[::-1][int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    bright = (inside > 127).all(axis=-1)
    return int(bright.any(axis=0).sum()), int(bright.any(axis=1).sum())


@pytest.mark.parametrize("figsize", [None, (9, 7), (14, 3)])
def test_a_cube_is_a_square_in_every_panel(figsize: tuple[float, float] | None) -> None:
    """A cube of 24 mm has one size on the screen, whatever the shape of the voxels."""
    values = np.zeros((20, 30, 160), "uint8")
    values[6:14, 8:20, 40:88] = 255  # voxels of 3 x 2 x 0.5 mm
    volume = volume_of(values, {"z": 3000.0, "y": 2000.0, "x": 500.0})
    figure = plot_planes(volume, crosshair=False, figsize=figsize)
    for artist in [a for axes in figure.axes for a in (*axes.lines, *axes.texts)]:
        artist.remove()  # the scale bar is white, too
    shown = pixels(figure)
    sides = [side for axes in figure.axes for side in bright_box(shown, axes)]
    expected = 24 * abs(np.diff(figure.axes[0].transData.transform([(0, 0), (1, 0)])[:, 0])[0])
    assert expected > 30
    assert sides == pytest.approx([expected] * 6, abs=2)


@pytest.mark.parametrize("shape", [(90, 110, 100), (4, 110, 100), (90, 110, 3), (50, 2, 60)])
@pytest.mark.parametrize("figsize", [None, (8, 4), (10, 10)])
def test_panels_lie_on_the_figure_and_apart(
    shape: tuple[int, ...], figsize: tuple[float, float] | None
) -> None:
    figure = plot_planes(volume_of(np.zeros(shape, "uint8")), figsize=figsize)
    if figsize:
        assert tuple(figure.get_size_inches()) == figsize
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for box in boxes:
        assert box is not None
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1
    for first, second in itertools.pairwise(boxes):
        assert first.x1 <= second.x0


@pytest.mark.parametrize(
    ("spacing", "width", "length", "label"),
    [(1000.0, 197, 50, "50 mm"), (100.0, 1760, 50, "50 mm"), (25.0, 100, 0.5, "500 µm"),
     (1000.0, 60, 20, "20 mm"), (0.5, 100, 0.01, "10 µm")],
)  # fmt: skip
def test_scale_bar(spacing: float, width: int, length: float, label: str) -> None:
    """A round length, written beside it, as long in pixels as it says."""
    figure = plot_planes(volume_of(np.zeros((3, width, width), "uint8"), spacing))
    ((bar, axes),) = [(b, a) for a in figure.axes for b in labelled(a, "scale bar")]
    left, right = bar.get_xdata()
    assert right - left == pytest.approx(length)
    assert label in texts(axes)
    on_screen = axes.get_window_extent().width
    drawn = np.ptp(bar.get_transform().transform(bar.get_xydata())[:, 0])
    assert drawn / on_screen == pytest.approx(length * 1000 / (width * spacing))
    assert left > axes.get_xlim()[0]
    assert right < axes.get_xlim()[1]


def test_bad_figsize(volume: xr.DataArray) -> None:
    with pytest.raises(ValueError, match=r"no room for the panels.* 6\.9 x 1\.0 inches"):
        plot_planes(volume, figsize=(5, 4))
    assert plt.get_fignums() == []


def test_the_figure_is_pyplots_own_and_the_settings_are_left_alone(volume: xr.DataArray) -> None:
    before = dict(mpl.rcParams)
    figure = plot_planes(volume)
    assert plt.gcf() is figure
    assert dict(mpl.rcParams) == before


# --- contrast ---------------------------------------------------------------------


def test_contrast_follows_from_all_that_is_shown(volume: xr.DataArray, values: np.ndarray) -> None:
    shown = [values[3], values[:, 4], values[:, :, 6]]
    expected = contrast_limits(np.concatenate([plane.ravel() for plane in shown]))
    assert [axes.images[0].get_clim() for axes in plot_planes(volume).axes] == [expected] * 3


def test_contrast_by_hand(volume: xr.DataArray) -> None:
    assert plot_planes(volume, vmin=5, vmax=60).axes[2].images[0].get_clim() == (5, 60)
    assert plot_planes(volume, vmin=5).axes[0].images[0].get_clim()[0] == 5
    assert montage(volume, vmax=50).axes[0].images[0].get_clim()[1] == 50


@pytest.mark.parametrize("limits", [{"vmin": 5, "vmax": 5}, {"vmin": 1e9}, {"vmax": float("nan")}])
def test_bad_contrast(volume: xr.DataArray, limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shows nothing: vmin has to be less than vmax"):
        plot_planes(volume, **limits)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((3, 4, 5), bool), (0, 1)),
        (np.zeros((3, 4, 5), "uint8"), (0, 255)),
        (np.full((3, 4, 5), 7.5, "float32"), (7.5, 8.5)),
        (np.full((3, 4, 5), np.nan), (0, 1)),
        (np.arange(60, dtype="float16").reshape(3, 4, 5), (20, 59)),
        (np.arange(60, dtype="int64").reshape(3, 4, 5) - 30, (-10, 29)),
        (np.arange(60, dtype=">i2").reshape(3, 4, 5), (20, 59)),
    ],
)
def test_values_of_every_kind(values: np.ndarray, expected: tuple[float, float]) -> None:
    figure = plot_planes(volume_of(values), {"z": "2 mm", "y": "3 mm", "x": "4 mm"})
    low, high = figure.axes[0].images[0].get_clim()
    assert high == expected[1]
    assert low <= expected[0] or values.dtype.kind in "b"
    pixels(figure)


def test_the_colour_map(volume: xr.DataArray) -> None:
    assert montage(volume, cmap="magma").axes[0].images[0].get_cmap().name == "magma"
    with pytest.raises(ValueError, match="no_such_map"):
        plot_planes(volume, cmap="no_such_map")


# --- how much is read -------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all that is read from stacks."""
    shapes: list[tuple[int, ...]] = []
    original = StackArray.read

    def read(self: StackArray) -> Any:
        shapes.append(self.shape)
        return original(self)

    monkeypatch.setattr(StackArray, "read", read)
    return shapes


CHUNKS = pytest.mark.parametrize("chunks", ["auto", {"z": 2}, None])


@CHUNKS
def test_only_the_planes_are_read(
    stack: MadeStack, read: list[tuple[int, ...]], chunks: Any
) -> None:
    volume = brainxr.open(stack.folder, chunks=chunks)
    figure = plot_planes(volume, {"z": 300})
    assert sum(map(np.prod, read)) == 7 * 11 + 5 * 11 + 5 * 7
    twin = stack.values
    for axes, plane in zip(figure.axes, (twin[3], twin[:, 3], twin[:, :, 5]), strict=True):
        np.testing.assert_array_equal(image(axes), plane)


@CHUNKS
def test_a_montage_reads_its_planes_only(
    stack: MadeStack, read: list[tuple[int, ...]], chunks: Any
) -> None:
    figure = montage(brainxr.open(stack.folder, chunks=chunks), n=2)
    assert sum(map(np.prod, read)) == 2 * 7 * 11
    for axes, plane in zip(figure.axes, stack.values[[1, 3]], strict=True):
        np.testing.assert_array_equal(image(axes), plane)


def test_planes_of_an_opened_dataset_leave_the_rest_on_disk(
    stack: MadeStack, read: list[tuple[int, ...]]
) -> None:
    volume = xr.open_dataarray(stack.folder, engine="brainxr", chunks=None)
    plot_planes(volume)
    assert sum(map(np.prod, read)) == 7 * 11 + 5 * 11 + 5 * 7
    assert not volume.variable._in_memory


def test_planes_share_what_dask_computes() -> None:
    """Planes through one chunk compute it once, not once each."""
    computed: list[int] = []

    def block(block_id: Sequence[int] | None = None) -> np.ndarray:
        computed.append(block_id[0])  # type: ignore[index]
        return np.ones((4, 5, 6))

    lazy = da.map_blocks(block, chunks=((4, 4), (5,), (6,)), dtype=float, meta=np.ones((0, 0, 0)))
    volume = volume_of(np.zeros((8, 5, 6))).copy(data=lazy)
    plot_planes(volume)
    assert sorted(computed) == [0, 1]


@CHUNKS
def test_big_planes_are_thinned_to_what_can_be_seen(
    make_stack: MakeStack, read: list[tuple[int, ...]], chunks: Any
) -> None:
    made = make_stack(shape=(31, 200, 230), dtype="u1")
    volume = brainxr.open(made.folder, chunks=chunks)
    with mpl.rc_context({"figure.dpi": 10}):
        axial, coronal, sagittal = plot_planes(volume).axes
    scale = np.ptp(axial.transData.transform([(0, 0), (0.1, 0)])[:, 0])  # pixels a voxel
    step = int(1 / (2 * scale))
    assert step == 3
    np.testing.assert_array_equal(image(axial), made.values[15, ::step, ::step])
    np.testing.assert_array_equal(image(coronal), made.values[::step, 100, ::step])
    np.testing.assert_array_equal(image(sagittal), made.values[::step, ::step, 115])
    assert sum(map(np.prod, read)) == 67 * 77 + 11 * 77 + 11 * 67
    assert axial.get_xlim() == pytest.approx((-0.05, 22.95))
    # 77 columns of 3 voxels, of which the last is not full
    assert axial.images[0].get_extent()[:2] == pytest.approx([-0.05, 23.05])


def test_a_gap_in_a_thinned_plane() -> None:
    values = np.arange(300 * 4 * 400, dtype="float32").reshape(300, 4, 400)
    kept = np.r_[0:50, 51:100, 200:300]
    volume = volume_of(values).isel(z=kept)
    with mpl.rc_context({"figure.dpi": 10}):
        coronal = plot_planes(volume).axes[1]
    step = 5
    shown = image(coronal)
    assert shown.shape == (60, 80)
    # the first slice there is of each five: the 50th is missing, a neighbour stands in
    first = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 51, *range(55, 100, 5), *range(200, 300, 5)]
    np.testing.assert_array_equal(shown.data[~shown.mask.any(axis=1)], values[first, 2, ::step])
    (span,) = labelled(coronal, "missing")
    assert (span.get_y(), span.get_height()) == (99.5, 100)


# --- montage ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "n", "expected"),
    [
        ("z", 3, [1, 3, 5]),
        ("z", 6, range(6)),
        ("z", 12, range(6)),
        ("z", 1, [3]),
        ("y", 3, [1, 4, 7]),
        ("x", 4, [1, 4, 8, 11]),
    ],
)
def test_montage(volume: xr.DataArray, axis: str, n: int, expected: Sequence[int]) -> None:
    figure = montage(volume, axis, n)
    assert len(figure.axes) == len(expected)
    for axes, place in zip(figure.axes, expected, strict=True):
        plane = volume.isel({axis: place})
        np.testing.assert_array_equal(image(axes), plane.values)
        assert texts(axes)[-1] == f"{axis} = {float(plane[axis]) / 1000:g} mm"
    assert len({axes.images[0].get_clim() for axes in figure.axes}) == 1
    assert [len(labelled(axes, "scale bar")) for axes in figure.axes[:-1]] == [0] * (
        len(expected) - 1
    )
    assert len(labelled(figure.axes[-1], "scale bar")) == 1


def test_a_montage_of_what_is_stored_another_way(volume: xr.DataArray) -> None:
    changed = volume.transpose("x", "z", "y").isel(y=slice(None, None, -1)).chunk()
    np.testing.assert_array_equal(pixels(montage(changed, "x")), pixels(montage(volume, "x")))


def test_the_parts_of_a_montage_are_parts_of_space(volume: xr.DataArray) -> None:
    """Where slices are missing the nearest ones are shown, each once."""
    gappy = volume_of(np.arange(40.0).repeat(20).reshape(40, 4, 5)).isel(z=np.r_[0:10, 30:40])
    shown = [float(image(axes)[0, 0]) for axes in montage(gappy, n=4).axes]
    assert shown == [5, 9, 30, 35]


@pytest.mark.parametrize("columns", [None, 1, 3, 7, 100])
def test_a_montage_is_a_grid_with_little_between(columns: int | None) -> None:
    volume = volume_of(np.zeros((7, 110, 90), "uint8"))
    figure = montage(volume, n=7, columns=columns)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    across = len({round(box.x0) for box in boxes})
    assert across == (4 if columns is None else min(columns, 7))
    assert boxes[0].y0 >= boxes[-1].y0
    covered = sum(box.width * box.height for box in boxes)
    cells = across * -(-7 // across)
    assert covered * cells / 7 > 0.9 * figure.bbox.width * figure.bbox.height
    for box in boxes:
        assert box.width / box.height == pytest.approx(90 / 110)


@CHUNKS
def test_a_montage_across_a_gap_in_a_thinned_stack(make_stack: MakeStack, chunks: Any) -> None:
    """Places along two axes are lists then."""
    made = make_stack(shape=(59, 60, 70), dtype="u1", numbers=[*range(1, 21), *range(31, 70)])
    with pytest.warns(SliceGapWarning):
        volume = brainxr.open(made.folder, chunks=chunks)
    with mpl.rc_context({"figure.dpi": 3}):
        figure = montage(volume, "y", n=3)
    for axes, place in zip(figure.axes, (10, 30, 50), strict=True):
        shown = image(axes)
        assert shown.shape == (23, 24)
        assert shown.mask.any(axis=1).nonzero()[0].tolist() == [7, 8, 9]
        np.testing.assert_array_equal(shown.data[10:], made.values[30::3, place, ::3])


@CHUNKS
def test_parallel_planes_are_read_together(
    stack: MadeStack, read: list[tuple[int, ...]], chunks: Any
) -> None:
    """Each slice is opened once for all of the sagittal planes."""
    montage(brainxr.open(stack.folder, chunks=chunks), "x", n=4)
    assert sum(shape[0] for shape in read) == 5
    assert sum(map(np.prod, read)) == 4 * 5 * 7


def test_a_montage_of_a_given_size(volume: xr.DataArray) -> None:
    figure = montage(volume, n=5, figsize=(7, 3))
    assert tuple(figure.get_size_inches()) == (7, 3)
    for axes in figure.axes:
        box = axes.get_position()
        assert min(box.x0, box.y0) >= 0
        assert max(box.x1, box.y1) <= 1


def test_a_montage_of_a_thin_slab_has_room_for_its_labels() -> None:
    figure = montage(volume_of(np.zeros((40, 60, 1), "uint8")), "y", n=5, columns=5)
    figure.canvas.draw()
    boxes = [axes.texts[0].get_window_extent() for axes in figure.axes]
    assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n": 0}, "n=0: give a whole number of 1 or more"),
        ({"n": 2.5}, "n=2.5: give a whole number"),
        ({"columns": 0}, "columns=0: give a whole number"),
        ({"axis": "q"}, "found 'z', 'y', 'x' and axis='q'"),
    ],
)
def test_bad_montage(volume: xr.DataArray, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        montage(volume, **bad)
    assert plt.get_fignums() == []


def test_a_plane_is_no_montage(volume: xr.DataArray) -> None:
    with pytest.raises(GeometryError, match=r"found 'y', 'x' .* drawn by plot_planes"):
        montage(volume.isel(z=0))
    with pytest.raises(GeometryError, match="and axis='y'"):
        montage(volume.isel(z=0), "y")


# --- what can't be drawn ----------------------------------------------------------


@pytest.mark.parametrize("draw", [plot_planes, montage])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v: v.values, TypeError, "not of a ndarray"),
        (lambda v: v.to_dataset(name="a"), TypeError, r"Dataset.* choose a variable"),
        (lambda v: v.astype(complex), TypeError, "type complex128 can't be drawn"),
        (lambda v: v.astype(str), TypeError, "can't be drawn"),
        (lambda v: v.expand_dims(channel=3), GeometryError, r"'channel', too.*isel\(channel=0\)"),
        (lambda v: v.rename(z="depth"), GeometryError, "'depth', too"),
        (lambda v: v[0, 0], GeometryError, r"two of the axes.* has 'x'\. A line"),
        (lambda v: v[0, 0, 0], GeometryError, "has none"),
        (lambda v: v[:0], GeometryError, "the selection is empty"),
        (lambda v: v.drop_vars("y"), GeometryError, "'y' has no unit"),
        (lambda v: v.assign_coords(y=range(9)), GeometryError, "'y' has no unit"),
        (lambda v: v.isel(y=[0, 1, 1]), GeometryError, "not evenly spaced"),
    ],
)
def test_what_can_not_be_drawn(
    volume: xr.DataArray, draw: Any, change: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        draw(change(volume))
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("at", "error", "message"),
    [
        ({"z": "27 mm"}, GeometryError,
         r"at\['z'\] = 27 mm is outside: the array extends from 8\.5 mm to 26\.5 mm along 'z'"),
        ({"x": 0}, GeometryError, r"at\['x'\] = 0 mm is outside: .* 29\.5 mm to 42\.5 mm"),
        ({"q": 1}, GeometryError, "at names 'q'; the axes of this array are 'z', 'y', 'x'"),
        ({"z": "5 kg"}, LengthError, r"at\['z'\]: .*is no length"),
        ({"z": "5"}, LengthError, "has no unit"),
        ({"z": None}, LengthError, "is no length"),
        ({"z": float("nan")}, LengthError, "not a finite length"),
    ],
)  # fmt: skip
def test_a_point_that_is_none(
    volume: xr.DataArray, at: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_planes(volume, at)


def test_a_point_on_an_axis_already_cut(volume: xr.DataArray) -> None:
    with pytest.raises(GeometryError, match="at names 'z'; the axes of this array are 'y', 'x'"):
        plot_planes(volume.isel(z=2), {"z": "16 mm"})


def test_a_broken_slice_is_told_and_leaves_no_figure(stack: MadeStack) -> None:
    volume = brainxr.open(stack.folder)
    stack.paths[2].write_bytes(b"no picture")
    with pytest.raises(brainxr.errors.SliceReadError, match=stack.paths[2].name):
        plot_planes(volume)
    assert plt.get_fignums() == []


# --- around it --------------------------------------------------------------------


def test_without_matplotlib(volume: xr.DataArray, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "brainxr\[plot\]"'):
        plot_planes(volume)


def test_matplotlib_is_imported_on_use() -> None:
    code = "import sys, brainxr.pictures.plot; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_figure_appears_once_in_a_notebook(
    volume: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPython asks the value of a cell for its bundle, and then shows all open figures."""
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    figure = plot_planes(volume)
    assert plt.get_fignums() == [figure.number]  # type: ignore[attr-defined]
    assert figure._repr_mimebundle_(include=None, exclude=None) == {}  # type: ignore[attr-defined]
    assert plt.get_fignums() == []


def test_a_figure_stays_open_elsewhere_and_pickles(volume: xr.DataArray) -> None:
    figure = plot_planes(volume)
    assert not hasattr(figure, "_repr_mimebundle_")
    again = pickle.loads(pickle.dumps(figure))
    assert titles(again) == titles(figure)


def test_the_layout_of_the_users_settings_is_left_out(volume: xr.DataArray) -> None:
    with mpl.rc_context({"figure.constrained_layout.use": True}):
        figure = plot_planes(volume)
        figure.canvas.draw()
    # None, or a placeholder that lays out nothing
    assert "Constrained" not in type(figure.get_layout_engine()).__name__
