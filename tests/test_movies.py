"""Movies, decoded by other programs and compared with planes made by numpy."""

from __future__ import annotations

import re
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, MakeStack
from PIL import Image
from test_plot import volume_of

import brainxr
from brainxr.errors import GeometryError, MissingExtraError, SliceReadError
from brainxr.pictures import movies

SPACING = {"z": 2000.0, "y": 1000.0, "x": 1000.0}
SHAPE = (12, 40, 50)


@pytest.fixture
def values() -> np.ndarray:
    """Slopes of which no two planes are alike, whatever the axis or direction."""
    z, y, x = np.indices(SHAPE)
    return (20 + 6 * z + 2 * y + x + 3 * (x > 33) * z).astype("u1")


@pytest.fixture
def vol(values: np.ndarray) -> xr.DataArray:
    return volume_of(values, SPACING, {"z": 5000.0, "y": 0.0, "x": 0.0})


def decoded(path: Path) -> tuple[float, np.ndarray]:
    """Frames a second, and frames: by an FFmpeg of its own, a GIF's by Pillow."""
    if path.suffix == ".gif":
        with Image.open(path) as picture:
            frames = []
            for number in range(picture.n_frames):
                picture.seek(number)
                frames.append(np.asarray(picture.convert("RGB")))
            return 1000 / picture.info["duration"], np.stack(frames)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo"]
    done = subprocess.run([*ffmpeg, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    width, height, fps = re.search(
        r"Video: h264.*, (\d+)x(\d+).*, ([\d.]+) fps", done.stderr.decode()
    ).groups()
    frames = np.frombuffer(done.stdout, "u1").reshape(-1, int(height), int(width), 3)
    return float(fps), frames


def unwritten(frame: np.ndarray) -> np.ndarray:
    """The part of a frame in which there is neither a text nor the scale bar."""
    return frame[30 : len(frame) // 2]


PLANES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    # 8 pixels a mm: 400 for 50 mm
    "z": lambda v, i: v[i].repeat(8, 0).repeat(8, 1),
    # a sagittal plane is 40 x 24 mm
    "x": lambda v, i: v[:, :, i].repeat(20, 0).repeat(10, 1),
    "y": lambda v, i: v[:, i].repeat(16, 0).repeat(8, 1),
}


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_frames_are_the_planes(
    vol: xr.DataArray, values: np.ndarray, tmp_path: Path, axis: str, suffix: str
) -> None:
    path = brainxr.movie(vol, tmp_path / f"a{suffix}", axis, size=400, fps=10, vmin=0, vmax=255)
    fps, frames = decoded(path)
    assert fps == pytest.approx(10)
    assert len(frames) == vol.sizes[axis]
    for number, frame in enumerate(frames):
        expected = PLANES[axis](values, number)[..., np.newaxis].repeat(3, -1)
        assert frame.shape == expected.shape
        error = np.abs(unwritten(frame).astype(int) - unwritten(expected))
        # a GIF keeps greys exactly, but for a 257th one; H.264 keeps them nearly
        assert (error.max() <= (1 if suffix == ".gif" else 12), error.mean() < 1) == (True, True)


@pytest.mark.parametrize(
    "select",
    [
        lambda v: v[:, ::-1, ::-1],
        lambda v: v.transpose("x", "z", "y"),
        lambda v: v.chunk({"z": 5}),
        lambda v: v.assign_coords({d: v[d].assign_attrs(units="nm") for d in v.dims}),
    ],
    ids=["reversed", "transposed", "dask", "another unit"],
)
def test_planes_lie_as_in_a_viewer(vol, values, tmp_path: Path, select) -> None:
    """x to the right and y downwards, whichever way it is stored."""
    path = brainxr.movie(select(vol), tmp_path / "a.gif", size=400, vmin=0, vmax=255)
    for number, frame in enumerate(decoded(path)[1]):
        expected = PLANES["z"](values, number)[..., np.newaxis]
        assert np.abs(unwritten(frame).astype(int) - unwritten(expected)).max() <= 1


def test_the_order_is_the_stored_one(vol, values, tmp_path: Path) -> None:
    path = brainxr.movie(vol[::-2], tmp_path / "a.gif", size=400, vmin=0, vmax=255)
    frames = decoded(path)[1]
    assert len(frames) == 6
    expected = PLANES["z"](values, 11)[..., np.newaxis]
    assert np.abs(unwritten(frames[0]).astype(int) - unwritten(expected)).max() <= 1


def test_large_planes_are_thinned(tmp_path: Path, bytes_read: ByteCounter) -> None:
    """Four voxels a pixel: two of them are read along each axis, and their mean is shown."""
    big = np.arange(2 * 400 * 480, dtype="u4").reshape(2, 400, 480) % 251
    path = brainxr.movie(
        volume_of(big.astype("u1")), tmp_path / "a.gif", size=120, vmin=0, vmax=255
    )
    frames = decoded(path)[1]
    thin = big[:, ::2, ::2].astype(float)
    expected = thin.reshape(2, 100, 2, 120, 2).mean((2, 4))
    assert frames.shape == (2, 100, 120, 3)
    assert np.abs(unwritten(frames[1])[..., 0] - unwritten(expected[1])).max() <= 1.5


def test_the_place_and_the_bar_are_written(tmp_path: Path) -> None:
    dark = volume_of(np.zeros((3, 60, 90), "u1"), 100.0)
    frames = decoded(brainxr.movie(dark, tmp_path / "a.gif", size=720))[1]
    text = frames[:, : frames.shape[1] // 2, :, 0]
    assert (text[0] != text[1]).any()  # z = 0.0 mm, z = 0.1 mm
    columns = np.flatnonzero((text[0] != text[1]).any(0))
    assert np.ptp(columns) < 30  # and nothing but a digit
    # 9 mm are 720 pixels: a third of them holds a bar of 2 mm
    rows = (frames[0, frames.shape[1] // 2 :, :, 0] > 250).sum(1)
    assert rows.max() == 160


def test_missing_voxels_are_hatched_and_slices_left_out(make_stack: MakeStack, tmp_path) -> None:
    numbers = [1, 2, 3, 7, 8, 9]
    made = make_stack((0, 40, 50), numbers=numbers, folder="gap_1mm_iso", dtype="u1")
    with pytest.warns(brainxr.SliceGapWarning):
        vol = brainxr.open(made.path)
    assert len(decoded(brainxr.movie(vol, tmp_path / "z.gif", size=100))[1]) == 6
    frames = decoded(brainxr.movie(vol, tmp_path / "y.gif", "y", size=500, vmin=0, vmax=255))[1]
    gap = frames[7, 35:55]  # z = 3, 4 and 5 mm are pixels 30 to 60
    assert set(np.unique(gap)) == {0, 90}
    assert frames[7, 65:85].max() > 90


def test_no_value_is_black_in_any_colours(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 3 * 40 * 50, dtype="f4").reshape(3, 40, 50)
    values[1, 5:10] = np.nan
    frames = decoded(brainxr.movie(volume_of(values), tmp_path / "a.gif", cmap="viridis"))[1]
    per_voxel = frames.shape[1] // 40
    assert frames[1, 5 * per_voxel : 10 * per_voxel, :, 0].max() == 0
    assert frames[0, 5 * per_voxel : 10 * per_voxel].max() > 50


def test_contrast_is_one_for_all(vol: xr.DataArray, tmp_path: Path) -> None:
    """A plane that is brighter than the others looks brighter."""
    frames = decoded(brainxr.movie(vol.astype("f4") * 100, tmp_path / "a.gif", size=400))[1]
    means = [unwritten(frame).mean() for frame in frames]
    assert means == sorted(means)
    assert means[0] < 100 < 130 < means[-1]


# --- memory, reads, files ---------------------------------------------------------


def test_memory_holds_blocks_and_not_the_volume(vol, tmp_path: Path, monkeypatch) -> None:
    plane = vol.sizes["z"] * vol.sizes["y"]
    monkeypatch.setattr(movies, "BLOCK_BYTES", 5 * plane)
    alive, most, sizes = weakref.WeakSet(), [], []
    read = movies._read_block

    class Watched(np.ndarray):
        pass

    def watched(*arguments):
        block = read(*arguments).copy().view(Watched)
        alive.add(_Token(block))
        sizes.append(block.nbytes)
        most.append(len(alive))
        return block

    class _Token:
        def __init__(self, block: np.ndarray) -> None:
            weakref.finalize(block, list, [self])

    monkeypatch.setattr(movies, "_read_block", watched)
    brainxr.movie(vol, tmp_path / "a.gif", "x", size=100)
    assert sizes == [5 * plane] * 10
    assert max(most) <= 3


def test_a_slice_is_read_once_for_many_planes(
    make_stack: MakeStack, tmp_path: Path, bytes_read: ByteCounter
) -> None:
    made = make_stack((40, 100, 120), dtype="u2")
    vol = brainxr.open(made.path)
    brainxr.movie(vol[:2], tmp_path / "warm.gif", size=64)  # modules are imported
    with bytes_read() as read:
        brainxr.movie(vol, tmp_path / "a.gif", "x", size=120, vmin=0, vmax=9)
    # once, and what the encoder reads; one plane after the other would be 120 times
    assert vol.nbytes <= read.count < 2 * vol.nbytes


def test_nothing_is_left_of_an_error(make_stack: MakeStack, tmp_path: Path, monkeypatch) -> None:
    made = make_stack((9, 40, 50))
    made.paths[5].write_bytes(made.paths[5].read_bytes()[:-3])
    vol = brainxr.open(made.path)
    monkeypatch.setattr(movies, "BLOCK_BYTES", 1)  # the first frames are encoded
    older = tmp_path / "a.mp4"
    older.write_bytes(b"an older movie")
    with pytest.raises(SliceReadError, match=r"slice_006.tif' is truncated"):
        brainxr.movie(vol, older, vmin=0, vmax=9, overwrite=True)
    assert older.read_bytes() == b"an older movie"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.mp4"]


def test_an_older_movie_is_replaced_where_that_is_said(vol: xr.DataArray, tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"an older movie")
    with pytest.raises(FileExistsError, match=r"a\.gif' is there already.*overwrite=True"):
        brainxr.movie(vol, tmp_path / "a.gif", size=64)
    assert (tmp_path / "a.gif").read_bytes() == b"an older movie"
    path = brainxr.movie(vol, tmp_path / "a.gif", size=64, overwrite=True)
    assert len(decoded(path)[1]) == 12
    assert vol.brain.movie(str(path), "y", size=64, overwrite=True) == path
    assert len(decoded(path)[1]) == 40


# --- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "a.avi"}, ValueError, r"ends with '.avi'; a movie .* '.mp4' or '.gif'|\.mp4 or"),
        ({"path": "movie"}, ValueError, r"'movie' has no ending; .* for example 'movie.mp4'"),
        ({"path": "none/a.mp4"}, FileNotFoundError, "There is no folder"),
        ({"path": "folder.gif"}, IsADirectoryError, "is a folder"),
        ({"axis": "t"}, GeometryError, r"A movie needs a volume .* axis='t'"),
        ({"size": 8}, ValueError, "from 64 to 4096"),
        ({"size": 100.5}, ValueError, "a whole number"),
        ({"fps": 0}, ValueError, "the planes in a second"),
        ({"path": "a.gif", "fps": 60}, ValueError, r"60 is too fast for a GIF"),
        ({"cmap": "grey-ish"}, ValueError, "grey-ish"),
        ({"vmin": 9, "vmax": 3}, ValueError, "shows nothing"),
    ],
)
def test_what_makes_no_movie_is_refused(
    vol: xr.DataArray, tmp_path: Path, monkeypatch, arguments, error, message
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.gif").mkdir()
    with pytest.raises(error, match=message):
        brainxr.movie(vol, **{"path": "a.mp4", **arguments})
    assert [p.name for p in tmp_path.iterdir()] == ["folder.gif"]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (lambda v: v[3], GeometryError, "needs a volume"),
        (lambda v: v[3:4], GeometryError, "along 'z' there is one"),
        (lambda v: v.values, TypeError, "made of a DataArray"),
        (lambda v: v.drop_vars("z"), GeometryError, "'z' has no unit"),
        (lambda v: v[:0], GeometryError, "the selection is empty"),
    ],
)
def test_what_is_no_volume_is_refused(vol, tmp_path: Path, data, error, message) -> None:
    with pytest.raises(error, match=message):
        brainxr.movie(data(vol), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra(vol: xr.DataArray, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(movies, "find_spec", lambda name: None if name == "av" else name)
    with pytest.raises(MissingExtraError, match=r"needs av, .* pip install 'brainxr\[movie\]'"):
        brainxr.movie(vol, tmp_path / "a.mp4")


def test_without_an_encoder(vol: xr.DataArray, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(movies, "H264", "libnone")
    with pytest.raises(MissingExtraError, match=r"without the encoder libnone.*Write a \.gif"):
        brainxr.movie(vol, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_the_bar_counts_planes(vol: xr.DataArray, tmp_path: Path, capsys) -> None:
    brainxr.movie(vol, tmp_path / "a.gif", size=64, progress=True)
    assert "a.gif: 100%" in (shown := capsys.readouterr().err)
    assert "12/12" in shown
    brainxr.movie(vol, tmp_path / "b.gif", size=64)
    assert capsys.readouterr().err == ""
