"""Which file each slice came from, whatever was done to the volume."""

from __future__ import annotations

import copy
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import MadeStack
from hypothesis import given
from hypothesis import strategies as st
from xarray.testing.strategies import basic_indexers

import brainxr
from brainxr.stacks.provenance import FileTable

DATA = Path(__file__).parent / "data"


def names_of(made: MadeStack) -> np.ndarray:
    """The name at each position of the grid, by the files that were written."""
    names = np.zeros(len(made.values), "U20")
    names[made.present] = [path.name for path in made.paths]
    return names


@pytest.fixture
def gapped(make_stack: Any) -> MadeStack:
    made: MadeStack = make_stack((4, 7, 11), numbers=[2, 3, 5, 9])
    return made


@pytest.mark.parametrize("chunks", ["auto", None])
def test_names_of_slices(shared_stack: MadeStack, chunks: Any) -> None:
    volume = brainxr.open(shared_stack.path, chunks=chunks)
    files = volume.brain.files
    assert files.dims == ("z",)
    assert files.values.tolist() == names_of(shared_stack).tolist()
    xr.testing.assert_identical(files.z, volume.z)
    assert files.sel(z="0.2 mm").item() == "slice_003.tif"
    assert volume.attrs["files"] == "slice_001.tif ... slice_005.tif (5 slices)"


def test_slices_that_are_missing(gapped: MadeStack) -> None:
    filled = brainxr.open(gapped.path, missing="fill")
    assert filled.brain.files.values.tolist() == names_of(gapped).tolist()
    with pytest.warns(brainxr.SliceGapWarning):
        kept = brainxr.open(gapped.path)
    assert kept.brain.files.values.tolist() == [path.name for path in gapped.paths]


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_other_planes(shared_stack: MadeStack, plane: Any) -> None:
    volume = brainxr.open(shared_stack.path, plane=plane)
    dim = {"coronal": "y", "sagittal": "x"}[plane]
    assert volume.brain.files.dims == (dim,)
    assert volume.isel({dim: 3}).brain.files.item() == "slice_004.tif"


@given(data=st.data())
def test_names_survive_any_chain_of_selections(
    data: st.DataObject, shared_stack: MadeStack
) -> None:
    volume = brainxr.open(shared_stack.path)
    names = xr.DataArray(names_of(shared_stack), dims="z")
    for _ in range(data.draw(st.integers(1, 3))):
        if volume.ndim == 0 or volume.size == 0:
            break
        index = data.draw(basic_indexers(sizes=dict(volume.sizes)))
        volume = volume.isel(index)
        names = names.isel({d: i for d, i in index.items() if d == "z"}) if names.ndim else names
        change = data.draw(st.sampled_from(["nothing", "transpose", "compute", "arithmetic"]))
        volume = {
            "nothing": lambda v: v, "transpose": lambda v: v.T,
            "compute": lambda v: v.compute(), "arithmetic": lambda v: v * 2.5,
        }[change](volume)  # fmt: skip
    np.testing.assert_array_equal(volume.brain.files.values, names.values)


WORK = {
    "coarsen": lambda v: v.coarsen(z=2, boundary="trim").mean(),
    "interp": lambda v: v.interp(z=[50.0, 100.0]),
    "groupby": lambda v: v.groupby(v.z // 200).mean(),
    "groupby_bins": lambda v: v.groupby_bins("z", [-1, 150, 401]).mean(),
    "rolling": lambda v: v.rolling(z=3).mean(),
    "construct": lambda v: v.rolling(z=3).construct("w").sum("w"),
    "to_dataframe": lambda v: v.to_dataframe(),
    "Dataset of two stacks": lambda v: xr.Dataset({"red": v, "green": v * 2}).sum(),
    "concat": lambda v: xr.concat([v[:2], v[2:]], "z").sum(),
    "mean": lambda v: v.mean(["y", "x"]).to_series(),
}  # fmt: skip


@pytest.mark.parametrize("work", WORK)
def test_nothing_stands_in_the_way_of_work(shared_stack: MadeStack, work: str) -> None:
    volume = brainxr.open(shared_stack.path)
    twin = shared_stack.twin()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, expected = WORK[work](volume), WORK[work](twin)
    if isinstance(found, xr.DataArray | xr.Dataset):
        xr.testing.assert_allclose(found.compute(), expected)
    else:
        assert found.equals(expected)


def test_stacks_of_other_names_share_a_dataset(make_stack: Any) -> None:
    red, green = (
        brainxr.open(make_stack(folder=f"{n}_100um_iso", name=n + "_{:02d}.tif").path)
        for n in ("red", "green")
    )
    both = xr.Dataset({"red": red, "green": green})
    assert both.green.brain.files[1].item() == "green_02.tif"


def test_positions_between_slices_have_no_file(shared_stack: MadeStack) -> None:
    volume = brainxr.open(shared_stack.path)
    names = volume.interp(z=[50.0, 100.0, 900.0]).brain.files.values.tolist()
    assert names == ["", "slice_002.tif", ""]


def test_a_coordinate_in_another_unit(shared_stack: MadeStack) -> None:
    volume = brainxr.open(shared_stack.path).compute()
    z = volume.z / 1000
    millimetres = volume.assign_coords(z=z.assign_attrs(units="mm"))
    assert millimetres.brain.files[2].item() == "slice_003.tif"


def test_plots_have_no_names_in_their_titles(shared_stack: MadeStack) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    volume = brainxr.open(shared_stack.path)
    volume.isel(z=2).plot()
    assert "slice_" not in plt.gca().get_title()
    plt.close("all")


def test_an_attribute_that_is_a_short_text(make_stack: Any, tmp_path: Path) -> None:
    made = make_stack((300, 4, 5), folder="many_100um_iso")
    volume = brainxr.open(made.path)
    table = volume.attrs["files"]
    assert isinstance(table, FileTable)
    assert copy.deepcopy(table) is table
    assert volume.copy(deep=True).attrs["files"] is table
    again = pickle.loads(pickle.dumps(table))
    assert again == table
    assert again.names == table.names
    np.testing.assert_array_equal(again.positions, table.positions)
    # names and coordinates: 12 kB of coordinates, which a pickle keeps as they are
    assert len(pickle.dumps(volume)) < 14_000


@pytest.mark.parametrize("form", ["netcdf", "zarr", "ome-zarr"])
def test_what_was_saved_and_opened_again(
    shared_stack: MadeStack, tmp_path: Path, form: str
) -> None:
    volume = brainxr.open(shared_stack.path)
    if form == "netcdf":
        volume.compute().to_netcdf(tmp_path / "a.nc", engine="netcdf4")
        again = brainxr.open(tmp_path / "a.nc")
    elif form == "zarr":
        volume.to_zarr(tmp_path / "a.zarr", zarr_format=2)
        again = brainxr.open(tmp_path / "a.zarr")
    else:
        again = brainxr.open(volume.brain.to_ome_zarr(tmp_path / "a.ome.zarr", progress=False))
    assert again.attrs["files"] == "slice_001.tif ... slice_005.tif (5 slices)"
    with pytest.raises(brainxr.GeometryError, match=r"only 'slice_001.tif ... .*brainxr.open\("):
        _ = again.brain.files


def test_an_array_that_was_not_opened() -> None:
    with pytest.raises(brainxr.GeometryError, match="it has no attribute 'files'"):
        _ = xr.DataArray([1, 2], dims="z").brain.files


def test_a_coordinate_that_was_dropped(shared_stack: MadeStack) -> None:
    volume = brainxr.open(shared_stack.path)
    with pytest.raises(brainxr.GeometryError, match="stacked along 'z', which the array has no"):
        _ = volume.compute().isel(z=0, drop=True).brain.files


# --- volumes of 0.1.0, which had a coordinate "file" ---------------------------------------


NAMES = [f"slice_{n:03d}.tif" for n in range(1, 6)]
VALUES = np.arange(5 * 7 * 11, dtype="u2").reshape(5, 7, 11)


@pytest.mark.parametrize("name", ["volume_0_1_0.ome.zarr", "volume_0_1_0.nc"])
def test_files_that_0_1_0_saved(tmp_path: Path, name: str) -> None:
    source = DATA / name
    copied = tmp_path / name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, copied)
    volume = brainxr.open(copied)
    np.testing.assert_array_equal(volume.values, VALUES)
    assert volume.brain.files.values.tolist() == NAMES
    assert volume.sel(z="0.2 mm").brain.files.item() == NAMES[2]


def test_pickles_of_0_1_0() -> None:
    volume = pickle.loads((DATA / "volume_0_1_0.pickle").read_bytes())
    assert volume.sizes == {"z": 5, "y": 7, "x": 11}
    assert volume[::2].brain.files.values.tolist() == NAMES[::2]
    with pytest.raises(brainxr.SliceReadError, match=r"slice_001\.tif"):
        volume.compute()
