"""`brainxr.check` with ``deep=True``: every slice decoded, what is odd named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import MadeStack, MakeStack

import brainxr
from brainxr.cli import main
from brainxr.integrity.inspection import DeepReport
from brainxr.integrity.slicestats import PERCENTILES, describe, find_odd

SHAPE = (20, 31, 23)


def brain(dtype: str = "u2", seed: int = 0) -> np.ndarray:
    """Noise that becomes brighter and darker again, as a brain from end to end."""
    noise = np.random.default_rng(seed).normal(100, 10, SHAPE)
    brightness = 1 + np.sin(np.linspace(0, np.pi, SHAPE[0]))[:, None, None]
    return (noise * brightness).astype(dtype)


def damaged() -> np.ndarray:
    values = brain()
    values[[0, 1, 19]] = 0  # as volumes begin and end
    values[4] = 0
    values[7] = 55
    values[10] = values[9]
    values[14] = values[14] // 4
    values[16, ::2] = values[16, ::2] * 3
    return values


ODD = {4: "empty", 7: "constant", 10: "repeated", 14: "outlier", 16: "outlier"}


@pytest.fixture(params=[{}, {"compression": "zlib"}], ids=["plain", "deflate"])
def odd(make_stack: MakeStack, request: Any) -> MadeStack:
    return make_stack(SHAPE, values=damaged(), **request.param)


def test_what_is_odd_is_named_with_its_place(odd: MadeStack) -> None:
    report: Any = brainxr.check(odd.path, deep=True, progress=False)
    assert not report.ok
    assert {f.number - 1: f.kind for f in report.odd} == ODD
    for finding in report.odd:
        assert finding.file == f"slice_{finding.number:03d}.tif"
        assert finding.z_mm == pytest.approx((finding.number - 1) * 0.1)
        assert f"{finding.file} (number {finding.number}, at {finding.z_mm:g} mm)" in str(report)
    assert "3 more are empty at the ends" in str(report)


def test_numbers_are_those_of_numpy(odd: MadeStack) -> None:
    report: Any = brainxr.check(odd.path, deep=True)
    for one, values in zip(report.profile, odd.values, strict=True):
        percentiles = np.percentile(values, PERCENTILES, method="lower")
        expected = [values.min(), values.max(), values.mean(), values.std(), *percentiles]
        found = [one.min, one.max, one.mean, one.std, one.p1, one.p50, one.p99]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert one.not_finite == 0


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", ">f8", "?", "c8"])
def test_numbers_of_any_type(dtype: str) -> None:
    values = brain("u1", 3)[5].astype(dtype)
    one = describe(1, "a", 0.0, values)
    magnitudes = np.abs(values) if dtype == "c8" else values.astype("f8")
    np.testing.assert_allclose(
        [one.min, one.max, one.mean, one.std, one.p50],
        [magnitudes.min(), magnitudes.max(), magnitudes.mean(), magnitudes.std(),
         np.percentile(magnitudes, 50, method="lower")],
        rtol=1e-6,
    )  # fmt: skip


def test_nan_is_counted_and_left_out() -> None:
    values = brain("f4")[3]
    values[:4] = np.nan
    values[4, 0] = np.inf
    one = describe(1, "a", 0.0, values)
    assert one.not_finite == pytest.approx((4 * 23 + 1) / (31 * 23))
    assert one.mean == pytest.approx(values[np.isfinite(values)].mean(dtype="f8"))
    nothing = describe(2, "b", 0.0, values * np.nan)
    assert [f.kind for f in find_odd([nothing])] == ["empty"]


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_volume_has_nothing_odd(make_stack: MakeStack, seed: int) -> None:
    report: Any = brainxr.check(make_stack(SHAPE, values=brain(seed=seed)).path, deep=True)
    assert report.ok
    assert report.findings == ()
    assert "none of them odd" in str(report)


@pytest.mark.parametrize("name", ["phantom", "mni152"])
def test_the_samples_have_nothing_odd(name: str, tmp_path: Path) -> None:
    report: Any = brainxr.check(brainxr.sample(name, folder=tmp_path / f"{name}_axial"), deep=True)
    assert report.ok
    assert {f.kind for f in report.findings} == {"empty"}


def test_what_cannot_be_decoded_is_a_problem(make_stack: MakeStack) -> None:
    made = make_stack(SHAPE, values=brain(), compression="zlib")
    path = made.paths[6]
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    assert brainxr.check(made.path).ok, "its header is sound"
    report: Any = brainxr.check(made.path, deep=True)
    assert [p.file for p in report.problems] == [path.name]
    assert "page" not in report.problems[0].message or "page 0" in report.problems[0].message
    assert len(report.profile) == 19
    assert report.findings == ()


def test_headers_come_first(make_stack: MakeStack) -> None:
    """A slice whose header is wrong is one problem, not two; a broken first one ends the rest."""
    made = make_stack(SHAPE, values=brain())
    tifffile.imwrite(made.paths[3], np.zeros((5, 6), "u2"))
    report: Any = brainxr.check(made.path, deep=True)
    assert [p.file for p in report.problems] == [made.paths[3].name]
    assert len(report.profile) == 19
    made.paths[0].write_bytes(b"no TIFF")
    report = brainxr.check(made.path, deep=True)
    assert isinstance(report, DeepReport)
    assert {p.file for p in report.problems} == {made.paths[0].name, made.paths[3].name}
    assert report.profile == ()
    assert not report.ok


def test_gaps_keep_their_places(make_stack: MakeStack) -> None:
    numbers = [n for n in range(5, 26) if n != 9]
    values = np.zeros((21, 31, 23), "u2")
    values[[n - 5 for n in numbers]] = damaged()
    made = make_stack((0, 31, 23), numbers=numbers, values=values, compression="zlib")
    report: Any = brainxr.check(made.path, deep=True)
    assert report.missing == (9,)
    found = {f.number: (f.kind, round(f.z_mm, 3)) for f in report.odd}
    assert found == {numbers[i]: (kind, (numbers[i] - 5) / 10) for i, kind in ODD.items()}


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_of_one_file(tmp_path: Path, compression: Any) -> None:
    path = tmp_path / "brain_100um_iso.tif"
    tifffile.imwrite(path, damaged(), compression=compression, photometric="minisblack")
    report: Any = brainxr.check(path, deep=True)
    assert {f.number: f.kind for f in report.odd} == ODD
    assert report.odd[0].file == "brain_100um_iso.tif#4"


def test_a_coronal_stack(make_stack: MakeStack) -> None:
    report: Any = brainxr.check(
        make_stack(SHAPE, values=damaged(), folder="coronal_100um_iso").path, deep=True
    )
    assert report.axis == "y"
    assert {f.number - 1: f.kind for f in report.odd} == ODD


def test_a_store(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack(SHAPE, values=damaged())
    store = brainxr.open(made.path).brain.to_ome_zarr(
        tmp_path / "a.ome.zarr", chunks=8, progress=False
    )
    report: Any = brainxr.check(store)
    assert {f.number: (f.kind, round(f.z_mm, 3)) for f in report.odd} == {
        i: (kind, i / 10) for i, kind in ODD.items()
    }
    files = [p for p in Path(store, "0").rglob("*") if p.is_file() and p.name != "zarr.json"]
    biggest = max(files, key=lambda p: p.stat().st_size)
    data = bytearray(biggest.read_bytes())
    data[40] ^= 0xFF
    biggest.write_bytes(data)
    report = brainxr.check(store)
    assert report.problems
    assert not report.ok


def test_the_command(odd: MadeStack, tmp_path: Path) -> None:
    picture = tmp_path / "odd.png"
    result = CliRunner().invoke(main, ["check", odd.path, "--json", "-o", str(picture)])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found == json.loads(json.dumps(brainxr.check(odd.path, deep=True).as_dict()))
    assert not found["ok"]
    assert {f["number"] - 1 for f in found["findings"]} >= set(ODD)
    assert picture.read_bytes().startswith(b"\x89PNG")
    shallow = CliRunner().invoke(main, ["check", odd.path, "--json"])
    assert json.loads(shallow.stdout)["ok"]
    text = CliRunner().invoke(main, ["check", "--deep", odd.path, "--no-progress"])
    assert text.exit_code == 1
    assert "slice_005.tif (number 5, at 0.4 mm): empty: all 0" in text.stderr


def test_the_command_checksum(shared_stack: MadeStack) -> None:
    result = CliRunner().invoke(main, ["checksum", shared_stack.path])
    assert result.exit_code == 0
    assert result.stdout.split() == [
        brainxr.checksum(brainxr.open(shared_stack.path)), shared_stack.path,
    ]  # fmt: skip


def test_the_picture_marks_what_is_odd(odd: MadeStack) -> None:
    import matplotlib.pyplot as plt

    from brainxr.pictures.plot import ODD as COLOURS
    from brainxr.pictures.plot import plot_profile

    report: Any = brainxr.check(odd.path, deep=True)
    figure = plot_profile(report)
    panel = figure.axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    np.testing.assert_allclose(lines["mean"].get_ydata(), odd.values.mean((1, 2)))
    np.testing.assert_allclose(lines["mean"].get_xdata(), np.arange(20) / 10)
    for kind in COLOURS:
        places = [i / 10 for i, k in ODD.items() if k == kind]
        np.testing.assert_allclose(lines[f"{kind} ({len(places)})"].get_xdata(), places)
    assert lines["empty at the ends"].get_xdata().size == 3
    plt.close(figure)
    nothing = DeepReport("folder", 3, (), ())
    with pytest.raises(brainxr.GeometryError, match="nothing to draw"):
        plot_profile(nothing)
