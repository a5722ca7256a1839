"""A stack of 180 TB: what is asked of it takes time and memory of the answer, not of the stack.

Its folder is real (links to files of which only the header is there); its pixels are made of
their places, so every answer can be checked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import brainxr
from benchmarks import giant
from benchmarks.memory import status
from brainxr.errors import TooBigError
from brainxr.lazy import daskfold
from brainxr.viewing.layers import layer_of

# Tall and wide as the real one, and thin, so that its folder is made at once.
THIN = (40, *giant.GIANT[1:])


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> xr.DataArray:
    return giant.opened(giant.make_folder(tmp_path_factory.mktemp("giant") / "slices", THIN))


def made(volume: xr.DataArray) -> np.ndarray:
    """What the voxels of a part have to be; its coordinates are whole µm."""
    z, y, x = (volume[dim].values.astype(int) for dim in ("z", "y", "x"))
    return giant.value_at(z[:, None, None], y[:, None], x)


def test_files_are_read_as_they_are_made(tmp_path: Path) -> None:
    folder = giant.make_folder(tmp_path / "slices", (5, 7, 11))
    real, volume = brainxr.open(folder, spacing=1), giant.opened(folder)
    assert real.sizes == volume.sizes
    assert not real.values.any()
    np.testing.assert_array_equal(volume.values, made(volume))
    np.testing.assert_array_equal(volume.sum("z").values, made(volume).sum(0))


def test_large_planes_are_reduced_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daskfold, "STATE_BYTES", 4000)
    volume = giant.opened(giant.make_folder(tmp_path / "slices", (70, 90, 40)))
    values = made(volume)
    for name in ("max", "sum", "std"):
        lazy, expected = getattr(volume, name)("z"), getattr(values, name)(0)
        assert lazy.data.npartitions > 1
        np.testing.assert_allclose(lazy.values, expected, rtol=1e-12)
        turned = getattr(volume.transpose("x", "z", "y")[::-1, :, 3:], name)("z")
        np.testing.assert_allclose(turned.values, expected[3:, ::-1].T, rtol=1e-12)
    np.testing.assert_array_equal(volume.max(["z", "x"]).values, values.max((0, 2)))


def test_a_plane_of_900_megapixels_is_drawn_or_refused(volume: xr.DataArray) -> None:
    pytest.importorskip("matplotlib")
    figure = volume.isel(z=7).brain.plot_planes()
    (image,) = figure.axes[0].get_images()
    drawn = np.asarray(image.get_array())
    assert 200 < min(drawn.shape) <= max(drawn.shape) < 3000
    stride = -(-30_000 // drawn.shape[0])
    part = volume.isel(z=[7], y=slice(None, None, stride), x=slice(None, None, stride))
    np.testing.assert_array_equal(drawn, made(part)[0])
    with pytest.raises(TooBigError, match=r"30000 x 30000 voxels takes 1\.8 GB.*isel\(z=slice"):
        layer_of(volume)
    assert layer_of(volume.isel(y=slice(None, None, 4), x=slice(None, None, 4)))


# What each step may take beyond Python, its libraries and what was opened before, in MB.
STEPS = """
import sys
from benchmarks import giant
from benchmarks.memory import status
import brainxr.pictures.plot, matplotlib.pyplot

def peak():
    return status("VmHWM") / 1e6

volume = giant.opened(giant.make_folder(__import__("pathlib").Path(sys.argv[1])))
assert volume.shape == giant.GIANT
opened = peak()
plane = volume.sel(z="5 cm", method="nearest")
plane.brain.plot_planes()
volume.brain.plot_planes()
print("plot", peak() - opened)
before = peak()
crop = volume.sel(z=slice("5 cm", "5.02 cm"), y=slice("1 cm", "1.1 cm"), x=slice("1 cm", "1.1 cm"))
assert crop.size > 200 * 1000 * 1000
found = crop.max("z").compute()
assert found.shape == crop.shape[1:]
print("crop", peak() - before)
before = peak()
whole = volume.max("z")
print("whole", peak() - before, len(whole.__dask_graph__()))
"""


@pytest.mark.slow
def test_memory_of_180_terabytes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(tmp_path / "slices")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert float(found["plot"]) < 200
    assert float(found["crop"]) < 200
    megabytes, tasks = found["whole"].split()
    assert float(megabytes) < 200
    assert int(tasks) < 4 * daskfold.MOST_PARTS


def _peak() -> float:
    return (status("VmHWM") or 0) / 1e6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_reduce_a_crop_of_180_terabytes(tmp_path: Path) -> None:
    """Two processes, which have the plan and make the pixels; 5 GB of them in less than 300 MB."""
    volume = giant.opened(giant.make_folder(tmp_path / "slices"))
    assert volume.shape == giant.GIANT
    crop = volume.sel(z=slice("5 cm", "5.0599 cm"), y=slice("1 cm", "1.1999 cm"))
    crop = crop.sel(x=slice("2 cm", "2.1999 cm"))
    assert crop.shape == (600, 2000, 2000)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(lambda: __import__("brainxr.lazy.daskfold"))
        before = client.run(_peak)
        found = crop.max("z").compute()
        after = client.run(_peak)
    whole = [made(crop[i : i + 50]).max(0) for i in range(0, len(crop), 50)]
    np.testing.assert_array_equal(found.values, np.max(whole, axis=0))
    taken = [after[worker] - before[worker] for worker in before]
    assert min(taken) > 0  # both of them were at work
    assert max(taken) < 300
