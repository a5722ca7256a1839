"""Selections as napari layers: place and size in µm, axes, contrast, and what napari reads."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from conftest import MadeStack, MakeStack

import brainxr
from brainxr.errors import GeometryError
from brainxr.geometry.grid import VoxelGrid
from brainxr.lazy.laidout import LaidOut
from brainxr.lazy.lazyarray import StackArray
from brainxr.viewing.layers import layer_of

SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}
ORIGIN = {"z": 1000.0, "y": 0.0, "x": -75.0}


@pytest.fixture
def vol(stack: MadeStack) -> xr.DataArray:
    return brainxr.open(stack.path, spacing=SPACING, origin=ORIGIN)


def drawn(layer: tuple) -> dict[tuple[float, float, float], int]:
    """Each voxel that napari would draw: its place in µm and its value."""
    values, kwargs, _ = layer
    assert kwargs["axis_labels"] == ["z", "y", "x"]
    assert kwargs["units"] == ["micrometer"] * 3
    array = np.asarray(values[:, :, :])
    where = np.indices(array.shape).reshape(3, -1).T * kwargs["scale"] + kwargs["translate"]
    return dict(zip(map(tuple, where.round(6).tolist()), array.ravel().tolist(), strict=True))


def true_places(data: xr.DataArray) -> dict[tuple[float, float, float], int]:
    """The same from the coordinates of the data, by xarray and numpy alone."""
    full = data.expand_dims([d for d in "zyx" if d not in data.dims]).transpose("z", "y", "x")
    places = np.stack(np.meshgrid(*(full[d].values for d in "zyx"), indexing="ij"), -1)
    keys = map(tuple, places.reshape(-1, 3).round(6).tolist())
    return dict(zip(keys, full.values.ravel().tolist(), strict=True))


SELECTIONS = {
    "all": lambda v: v,
    "slab": lambda v: v.sel(z=slice(1100, 1300)),
    "one slice by list": lambda v: v.isel(z=[2]),
    "axial plane": lambda v: v.sel(z=1200),
    "coronal plane": lambda v: v.sel(y=110, method="nearest"),
    "sagittal plane": lambda v: v.isel(x=-2),
    "line": lambda v: v.isel(z=1, x=3),
    "reversed": lambda v: v[::-1, :, ::-1],
    "strided": lambda v: v[::2, 1::3],
    "transposed": lambda v: v[1:, ::2].transpose("x", "z", "y"),
    "transposed, then cut": lambda v: v.transpose("x", "z", "y")[::-2],
    "box, twice cut": lambda v: v[1:4].isel(y=slice(2, 6))[::-1, 1:3],
    "in mm": lambda v: v.assign_coords(z=("z", v.z.values / 1000, {"units": "mm"}))[1:],
    "changed": lambda v: v.astype("i4") * 3 - 7,
    "averaged": lambda v: v.coarsen(y=2, x=3, boundary="trim").mean(),
}


@pytest.mark.parametrize("chunks", ["auto", None], ids=["dask", "no dask"])
@pytest.mark.parametrize("name", SELECTIONS)
def test_every_voxel_lies_where_its_coordinate_says(
    stack: MadeStack, name: str, chunks: str | None
) -> None:
    select = SELECTIONS[name]
    volume = brainxr.open(stack.path, spacing=SPACING, origin=ORIGIN, chunks=chunks)
    twin = stack.twin(spacing=SPACING, origin=ORIGIN)
    in_micrometers = select(twin)
    if in_micrometers.z.attrs.get("units") == "mm":
        in_micrometers = in_micrometers.assign_coords(z=in_micrometers.z * 1000)
    assert drawn(layer_of(select(volume))) == true_places(in_micrometers)


PURE = [name for name in SELECTIONS if name not in ("in mm", "changed", "averaged")]


@pytest.mark.parametrize("chunks", ["auto", None], ids=["dask", "no dask"])
@pytest.mark.parametrize("name", PURE)
def test_napari_reads_the_stack_itself(stack: MadeStack, name: str, chunks: str | None) -> None:
    volume = brainxr.open(stack.path, spacing=SPACING, origin=ORIGIN, chunks=chunks)
    values, *_ = layer_of(SELECTIONS[name](volume))
    # xarray keeps no trace of the axes once its lazy transpose is indexed
    lost = name == "transposed, then cut" and chunks is None
    assert isinstance(values, np.ndarray if lost else StackArray)


def test_without_a_place_the_stack_is_still_read_lazily(stack: MadeStack) -> None:
    volume = brainxr.open(stack.path, chunks=None)
    assert isinstance(layer_of(volume.isel(z=2, drop=True))[0], StackArray)
    assert isinstance(layer_of(volume.rename(x="u"))[0], StackArray)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v + 0,
        lambda v: v.where(v > 3, 0),
        lambda v: v.astype("f4"),
        lambda v: v.compute(),
        lambda v: v.persist(),
        lambda v: xr.concat([v[2:], v[:2]], "z"),
    ],
)
def test_changed_data_are_shown_as_they_are(vol: xr.DataArray, change) -> None:
    changed = change(vol)
    values, *_ = layer_of(changed.sortby("z"))
    assert not isinstance(values, StackArray)
    np.testing.assert_array_equal(np.asarray(values), changed.sortby("z").values)


def test_assignment_ends_the_proof(vol: xr.DataArray) -> None:
    mine = vol.copy()
    mine[0] = 0
    assert np.asarray(layer_of(mine)[0])[0].max() == 0
    assert isinstance(layer_of(vol)[0], StackArray)


def test_mixed_units_become_one(vol: xr.DataArray) -> None:
    in_mm = vol.assign_coords(y=("y", vol.y.values / 1000, {"units": "mm"}))
    _, kwargs, _ = layer_of(in_mm)
    assert kwargs["scale"] == pytest.approx([100, 50, 25])
    assert set(kwargs["units"]) == {"micrometer"}


def test_projection_has_the_axes_that_are_left(vol: xr.DataArray) -> None:
    values, kwargs, _ = layer_of(vol.max("z"))
    assert kwargs["axis_labels"] == ["y", "x"]
    assert kwargs["translate"] == [0, -75]
    np.testing.assert_array_equal(np.asarray(values), vol.values.max(0))


def test_other_axes_come_first(vol: xr.DataArray) -> None:
    times = xr.concat([vol, vol + 1], "t").transpose("x", "t", "z", "y")
    values, kwargs, _ = layer_of(times)
    assert kwargs["axis_labels"] == ["t", "z", "y", "x"]
    assert kwargs["units"] == ["pixel", "micrometer", "micrometer", "micrometer"]
    assert values.shape == (2, 5, 7, 11)


@pytest.mark.parametrize("order", ["up", "down"])
@pytest.mark.parametrize("chunks", ["auto", None], ids=["dask", "no dask"])
def test_gaps_stay_empty(make_stack: MakeStack, chunks: str | None, order: str) -> None:
    made = make_stack((6, 5, 4), numbers=[3, 4, 5, 8, 9, 13])
    with pytest.warns(brainxr.SliceGapWarning):
        volume = brainxr.open(made.path, spacing=SPACING, chunks=chunks)
    volume = volume[::-1] if order == "down" else volume
    values, kwargs, _ = layer_of(volume)
    assert isinstance(values, LaidOut)
    assert values.shape == (11, 5, 4)
    assert kwargs["scale"][0] == 100
    np.testing.assert_array_equal(np.asarray(values), made.values)
    for key in [6, 4, (slice(2, 7), 1), (slice(None), slice(None), 2), (..., 3), (10, 1, 2)]:
        np.testing.assert_array_equal(values[key], made.values[key])


def test_a_picked_slice_between_others_is_not_invented(vol: xr.DataArray) -> None:
    values, *_ = layer_of(vol.isel(z=[0, 1, 4]))
    shown = np.asarray(values)
    assert shown[2:4].max() == 0
    np.testing.assert_array_equal(shown[[0, 1, 4]], vol.values[[0, 1, 4]])


# --- contrast ---------------------------------------------------------------------


@pytest.mark.parametrize("chunks", ["auto", None], ids=["dask", "no dask"])
def test_contrast_of_a_stack_with_dark_ends(make_stack: MakeStack, chunks: str | None) -> None:
    made = make_stack((40, 30, 20))
    made.values[:12] = made.values[28:] = 0
    for path, image in zip(made.paths, made.values, strict=True):
        image.tofile(path.with_suffix(".raw"))
    dark = make_stack((40, 30, 20), folder="dark_100um_iso", values=made.values)
    _, kwargs, _ = layer_of(brainxr.open(dark.path, chunks=chunks))
    low, high = kwargs["contrast_limits"]
    assert made.values[12:28].min() <= low < high <= made.values.max()
    assert high > 0.5 * made.values.max()


def test_contrast_when_the_middle_is_empty(make_stack: MakeStack) -> None:
    values = np.zeros((41, 6, 5), "u2")
    values[2:6] = np.arange(120).reshape(4, 6, 5) + 100
    made = make_stack(values.shape, values=values)
    low, high = layer_of(brainxr.open(made.path))[1]["contrast_limits"]
    assert (low, high) != (0, 1)
    assert 100 <= high <= 219


def test_contrast_reads_a_few_planes_only(make_stack: MakeStack, monkeypatch) -> None:
    made = make_stack((60, 8, 9))
    volume = brainxr.open(made.path)
    read = set()
    original = StackArray.read

    def recording(self: StackArray):
        along = self.choices[0]
        read.update([along] if isinstance(along, int) else list(along))
        return original(self)

    monkeypatch.setattr(StackArray, "read", recording)
    layer_of(volume)
    assert len(read) <= 6
    assert all(20 < place < 40 for place in read)


def test_own_arguments_win_and_spare_the_reading(vol: xr.DataArray, monkeypatch) -> None:
    monkeypatch.setattr(StackArray, "read", lambda self: pytest.fail("nothing may be read"))
    _, kwargs, _ = layer_of(vol, contrast_limits=(3, 9), name="mine", colormap="magma")
    assert (kwargs["contrast_limits"], kwargs["name"]) == ((3, 9), "mine")
    assert kwargs["colormap"] == "magma"


def test_name_tells_stack_and_place(vol: xr.DataArray) -> None:
    assert layer_of(vol)[1]["name"] == "stack_100um_iso"
    assert layer_of(vol.sel(z="1.2 mm"))[1]["name"] == "stack_100um_iso, z = 1.2 mm"


def test_gaps_along_two_axes(vol: xr.DataArray) -> None:
    values, *_ = layer_of(vol.isel(z=[0, 1, 4], x=[0, 3, 4]))
    assert values.shape == (5, 7, 5)
    shown = np.asarray(values)
    there = np.ix_([0, 1, 4], range(7), [0, 3, 4])
    np.testing.assert_array_equal(shown[there], vol.isel(z=[0, 1, 4], x=[0, 3, 4]).values)
    shown[there] = 0
    assert shown.max() == 0


def test_contrast_of_floats_that_are_nan_in_the_middle(vol: xr.DataArray) -> None:
    holes = vol.astype("f4").where(vol.z < 1100)
    low, high = layer_of(holes)[1]["contrast_limits"]
    assert 0 <= low < high <= float(holes.max())


# --- what can't be shown ----------------------------------------------------------


def test_refusals(vol: xr.DataArray) -> None:
    with pytest.raises(TypeError, match=r"dataset\['intensity'\]"):
        layer_of(vol.to_dataset())  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match="no unit"):
        layer_of(vol.assign_coords(z=np.arange(5.0)))
    with pytest.raises(GeometryError, match="not a length"):
        layer_of(vol.assign_coords(z=("z", np.arange(5.0), {"units": "second"})))
    with pytest.raises(GeometryError, match="Coordinate 'z' has no unit"):
        layer_of(vol.max("z").assign_coords(z=1200))
    with pytest.raises(GeometryError, match="empty"):
        layer_of(vol.isel(y=slice(0, 0)))
    with pytest.raises(GeometryError, match="not evenly spaced"):
        layer_of(vol.isel(z=[0, 1, 2]).assign_coords(z=("z", [0, 1, 2.5], {"units": "mm"})))
    with pytest.raises(GeometryError, match="none is z, y or x"):
        layer_of(vol.isel(z=0, y=0, x=0))


def test_one_position_without_a_thickness_is_an_error() -> None:
    grid = VoxelGrid(
        {"z": 3, "y": 4, "x": 5}, dict.fromkeys("zyx", 10.0), dict.fromkeys("zyx", 0.0)
    )
    data = xr.DataArray(np.zeros((3, 4, 5)), grid.coordinates(), ["z", "y", "x"])
    slab = data.isel(z=[1])
    del slab.z.attrs["spacing"]
    with pytest.raises(GeometryError, match=r"attrs\['spacing'\] = 100"):
        layer_of(slab)
