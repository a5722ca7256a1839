"""`.brain.plot()`: a plane, a line or a volume, in mm, in whatever axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

import brainxr
from brainxr.contrast import contrast_limits

mpl.use("agg")

SPACING = {"z": 3000.0, "y": 2000.0, "x": 1000.0}


@pytest.fixture(autouse=True)
def closed_figures() -> Any:
    yield
    plt.close("all")


@pytest.fixture
def volume() -> xr.DataArray:
    values = np.arange(6 * 9 * 14, dtype="u2").reshape(6, 9, 14)
    return brainxr.volume(values, spacing=SPACING, name="T1")


@pytest.mark.parametrize(
    ("cut", "title", "down", "across"),
    [
        ({"z": 2}, "axial, z = 6 mm", "y", "x"),
        ({"y": 3}, "coronal, y = 6 mm", "z", "x"),
        ({"x": 5}, "sagittal, x = 5 mm", "z", "y"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_plane(
    volume: xr.DataArray, cut: Any, title: str, down: str, across: str, turned: bool
) -> None:
    plane = volume.isel(cut)
    image = (plane.T[::-1] if turned else plane).brain.plot()
    assert isinstance(image, AxesImage)
    ax = image.axes
    assert ax is plt.gca()
    assert (ax.get_title(), ax.get_aspect()) == (title, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (f"{across} [mm]", f"{down} [mm]")
    edges = {d: (-SPACING[d] / 2000, (n - 0.5) * SPACING[d] / 1000) for d, n in plane.sizes.items()}
    assert ax.get_xlim() == edges[across]
    assert ax.get_ylim() == edges[down][::-1]
    shown = np.asarray(image.get_array())
    left, _, _, top = image.get_extent()
    shown = shown[:: 1 if top < edges[down][1] else -1, :: 1 if left < edges[across][1] else -1]
    np.testing.assert_array_equal(shown, plane.values)
    assert image.get_clim() == contrast_limits(plane.values)
    assert len(plt.gcf().axes) == 1


def test_what_a_caller_says_wins(volume: xr.DataArray) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(7, 5))
    for k, ax in enumerate(axes.flat):
        style = {"cmap": "magma", "vmin": 5, "vmax": 70, "alpha": 0.5, "scale_bar": False}
        image = volume[k].brain.plot(ax=ax, **style)
        assert image.axes is ax
        assert (image.get_cmap().name, image.get_alpha()) == ("magma", 0.5)
        assert image.get_clim() == (5, 70)
        assert not [text for text in ax.texts if "mm" in text.get_text()]
    assert tuple(figure.get_size_inches()) == (7, 5)
    assert len(figure.axes) == 4


def test_a_scale_of_values(volume: xr.DataArray) -> None:
    volume.attrs["units"] = "HU"
    image = volume[0].brain.plot(add_colorbar=True)
    assert image.colorbar.ax.get_ylabel() == "T1 [HU]"


def test_the_scale_bar_is_as_long_as_it_says(volume: xr.DataArray) -> None:
    ax = volume[0].brain.plot().axes
    (bar,) = [line for line in ax.lines if line.get_label() == "scale bar"]
    length = float(np.ptp(bar.get_xdata()))
    assert [text.get_text() for text in ax.texts] == [f"{length:g} mm"]


def test_a_big_plane_is_read_no_finer_than_its_axes(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((2, 1500, 1100), "u2")
    plane = brainxr.open(made.path)[1]
    axes = plt.subplots(4, 4, figsize=(6, 6))[1]
    box = axes[0, 0].get_window_extent()
    pixels = min(box.width / 1100, box.height / 1500)
    plane[:9, :9].brain.plot(ax=axes[1, 1])  # imports what it needs
    with bytes_read() as count:
        image = plane.brain.plot(ax=axes[0, 0])
    assert 2 * 1100 * pixels <= image.get_array().shape[1] < 1100
    assert count.count < 1500 * 1100 * 2


def test_missing_slices_are_gaps(volume: xr.DataArray) -> None:
    gapped = volume.isel(z=[0, 1, 4, 5])
    ax = gapped.isel(x=2).brain.plot().axes
    (gap,) = [patch for patch in ax.patches if patch.get_label() == "missing"]
    low, high = sorted(ax.transData.inverted().transform(gap.get_extents())[:, 1])
    assert (low, high) == pytest.approx((4.5, 10.5))
    line = gapped.isel(x=2, y=3).brain.plot(ax=plt.figure().gca())
    np.testing.assert_array_equal(line.get_xdata(), [0, 3, np.nan, 12, 15])


def test_a_line(volume: xr.DataArray) -> None:
    line = volume.isel(z=1, y=4).brain.plot(color="red", vmin=0, vmax=900)
    assert isinstance(line, Line2D)
    np.testing.assert_array_equal(line.get_xdata(), np.arange(14))
    np.testing.assert_array_equal(line.get_ydata(), volume.values[1, 4])
    ax = line.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [mm]", "T1")
    assert ax.get_title() == "z = 3 mm, y = 8 mm"
    assert (line.get_color(), ax.get_ylim()) == ("red", (0, 900))
    times = xr.DataArray([1.0, 2.0], {"t": ("t", [0, 5], {"units": "s"})}, ["t"])
    assert times.brain.plot(ax=plt.figure().gca()).axes.get_xlabel() == "t [s]"


def test_a_volume_and_a_slab(volume: xr.DataArray) -> None:
    figure = volume.brain.plot(cmap="magma")
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3
    slab = volume[2:3].brain.plot(ax=plt.figure().gca())
    assert slab.axes.get_title() == "axial, z = 6 mm"
    with pytest.raises(brainxr.GeometryError, match=r"three planes .*plot\(ax=ax\)"):
        volume.brain.plot(ax=plt.figure().gca())


@pytest.mark.parametrize(
    "change",
    {
        "mask": lambda v: v > 100, "NaN": lambda v: v.where(v > 100), "constant": lambda v: v * 0,
        "float": lambda v: v / 7, "projection": lambda v: v.max("z").expand_dims("w")[0],
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_other_values(volume: xr.DataArray, change: Any) -> None:
    data = change[1](volume)
    plane = data if data.ndim == 2 else data[2]
    np.testing.assert_array_equal(np.ma.getdata(plane.brain.plot().get_array()), plane.values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: v[0, 0, 0], "one value to draw"),
        (lambda v: v[:0], "no voxel"),
        (lambda v: v.expand_dims("c"), "this array has 'c', too"),
        (lambda v: xr.DataArray(v.values[0], dims=["y", "x"]), "has no unit, so its voxels"),
        (lambda v: xr.DataArray(v.values[0, 0], dims=["x"]), "has no unit, so its voxels"),
    ],
)
def test_what_can_not_be_drawn(volume: xr.DataArray, make: Any, message: str) -> None:
    data = make(volume)
    data = data if "c" not in data.dims else xr.concat([data, data], "c")
    with pytest.raises(brainxr.GeometryError, match=message):
        data.brain.plot()


def test_a_plain_number_on_axes_in_mm() -> None:
    head = brainxr.volume(np.zeros((150, 160, 170), "u1"), spacing=1000)
    with pytest.warns(brainxr.UnitWarning, match=r"at\['z'\] = 62 is taken as 62 µm.*'62 mm'"):
        head.brain.plot_planes(at={"z": 62})
    head.brain.plot_planes(at={"z": 62_000, "y": "62 µm"})
    with pytest.raises(brainxr.GeometryError, match="is outside"):
        head.brain.plot_planes(at={"z": 200_000})
