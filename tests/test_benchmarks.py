# ruff: noqa: RUF001, the sign of multiplication is meant
"""The benchmarks: that they would notice, and that they say what they measured."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import ByteCounter, MakeStack

from benchmarks import __main__ as command
from benchmarks import (
    conversion,
    doors,
    limits,
    looking,
    measure,
    memory,
    oracle,
    report,
    window,
    work,
)
from benchmarks.graphs import Graph, graphs
from benchmarks.measure import Cell, Job
from benchmarks.peers import PEERS, Peer
from benchmarks.results import Results
from benchmarks.stacks import MNI152, PLAIN, Size, Stacks, layouts, paths_of, store_of
from benchmarks.targets import Target, Verdict, judge
from benchmarks.way import Row, Way

TINY = Size(
    "tiny", "phantom_tiny_axial", {"z": 12, "y": 48, "x": 40},
    recoded=5, tile=16, box=6, counts=(12, 30),
)  # fmt: skip
ALL = slice(None)


def quiet(what: str) -> None:
    """No progress."""


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    made = Stacks(str(tmp_path_factory.mktemp("benchmarks")), TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brainxr.sample", write_noise)
        made.make([PLAIN, "30 slices", made.tenfold, *layouts(TINY), store_of(PLAIN)], quiet)
    return made


def write_noise(name: str, *, shape: Mapping[str, int], folder: Path) -> Path:
    """Noise in place of the phantom, whose drawing takes seconds; runs of it can be compressed."""
    if folder.exists():
        return folder
    folder.mkdir()
    for i in range(shape["z"]):
        image = np.random.default_rng(i).integers(0, 256, (shape["y"], shape["x"] // 2), np.uint8)
        tifffile.imwrite(folder / f"noise_{i:03d}.tif", image.repeat(2, axis=1))
    return folder


@pytest.fixture
def volume(stacks: Stacks) -> np.ndarray:
    return np.stack([tifffile.imread(path) for path in paths_of(stacks.path(PLAIN))])


@pytest.fixture
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where none of the peers is installed."""
    for name, peer in PEERS.items():
        absent = dataclasses.replace(peer, modules=("not_there",))
        monkeypatch.setitem(PEERS, name, absent)


def results(*cells: Cell, slices: int = 12) -> Results:
    machine = {"processor": "P", "cores": "2", "memory": "8 GB", "system": "L", "dask": "1.0"}
    return Results("tiny", slices, 1920, 5, machine, list(cells), [])


def cell(row: str, way: str, role: Any, *seconds: float, **facts: Any) -> Cell:
    return Cell(row, way, role, list(seconds), **facts)


# --- stacks -----------------------------------------------------------------------


def test_many_slices_are_links_to_few(stacks: Stacks, volume: np.ndarray) -> None:
    paths = paths_of(stacks.path("30 slices"))
    assert len(paths) == 30
    assert len({Path(path).stat().st_ino for path in paths}) == 12
    np.testing.assert_array_equal(tifffile.imread(paths[17]), volume[5])


@pytest.mark.parametrize("layout", layouts(TINY))
def test_a_layout_holds_the_central_slices(stacks: Stacks, volume: np.ndarray, layout: str) -> None:
    paths = paths_of(stacks.path(layout))
    found = np.stack([tifffile.imread(path) for path in paths])
    np.testing.assert_array_equal(found, volume[3:8])
    with tifffile.TiffFile(paths[0]) as tif:
        page: Any = tif.pages.first
        assert page.is_tiled == layout.endswith("tiles")
        assert (len(page.dataoffsets) > 1) == (not layout.endswith("one strip"))
        assert page.compression.name.lower() in ("none", *layout.split(", "), "adobe_deflate")


def test_what_is_there_is_not_made_again(stacks: Stacks) -> None:
    before = Path(paths_of(stacks.path("strips"))[0]).stat().st_mtime_ns
    stacks.make(["strips"], quiet)
    assert Path(paths_of(stacks.path("strips"))[0]).stat().st_mtime_ns == before


def test_the_brain_has_more_voxels_along_straight_lines(
    stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    small = np.random.default_rng(0).integers(0, 256, (3, 5, 4), np.uint8)
    monkeypatch.setattr("benchmarks.stacks.MNI152_SHAPE", small.shape)
    folder = Path(stacks.root, "small")
    folder.mkdir()
    for i, image in enumerate(small):
        tifffile.imwrite(folder / f"{i}.tif", image)
    monkeypatch.setattr("brainxr.sample", lambda name: folder)
    zoomed = dataclasses.replace(stacks, size=dataclasses.replace(TINY, zoom=3))
    zoomed = dataclasses.replace(zoomed, root=str(Path(stacks.root, "zoomed")))
    zoomed.make([MNI152], quiet)
    found = np.stack([tifffile.imread(path) for path in paths_of(zoomed.path(MNI152))])
    assert found.shape == zoomed.shape(MNI152) == (9, 15, 12)
    wanted = ndimage.zoom(small.astype(float), 3, order=1, mode="nearest", grid_mode=True)
    assert np.abs(found - wanted).max() < 0.501


# --- limits -----------------------------------------------------------------------


def test_the_limit_reads_the_rows_and_nothing_else(stacks: Stacks, bytes_read: ByteCounter) -> None:
    folder, shape = stacks.path(PLAIN), (12, 48, 40)
    for key, rows in (((3, ALL, ALL), 48), ((ALL, 7, ALL), 12), ((slice(0, 12, 5),) * 3, 3 * 3)):
        for threads in (1, 2):
            run = limits.reader(folder, limits.need(key, shape), threads)
            with bytes_read() as total:
                run()
            assert total.count == rows * 40


@pytest.mark.parametrize("layout", [name for name in layouts(TINY) if name != "strips"])
def test_the_limit_decodes_what_is_in_the_file(stacks: Stacks, layout: str) -> None:
    path = paths_of(stacks.path(layout))[2]
    whole = limits.need((0, ALL, ALL), (5, 48, 40))
    codec = limits.Codec.of(path)
    found = [codec.pixels(segment).copy() for segment in limits.segments_of(path, whole)]
    if layout.endswith("tiles"):
        found = [np.hstack(found[i : i + 3])[:, :40] for i in range(0, len(found), 3)]
    np.testing.assert_array_equal(np.vstack(found), tifffile.imread(path))


def test_the_limit_decodes_one_strip_for_one_row(stacks: Stacks) -> None:
    path = paths_of(stacks.path("deflate, strips"))[0]
    (segment,) = limits.segments_of(path, limits.need((0, 7, ALL), (5, 48, 40)))
    pixels = limits.Codec.of(path).pixels(segment)
    np.testing.assert_array_equal(pixels, tifffile.imread(path)[6:8])


def test_a_limit_that_fails_in_a_thread_fails(stacks: Stacks) -> None:
    wanted = limits.need((ALL, ALL, ALL), (12, 48, 40))
    run = limits.reader(stacks.path(PLAIN), wanted._replace(rows=range(48)), 2)
    run()

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        limits._together([fail, fail])()


def test_two_threads_are_a_limit_where_there_is_work_for_them(stacks: Stacks) -> None:
    ways = {row.name: [way.name for way in row.ways] for row in work.rows(stacks)}
    two = "limit, 2 threads"
    for name in ("sagittal plane", 'max("z")', "coronal plane (deflate, strips)"):
        assert two in ways[name], name
    for name in ("axial plane", "coronal plane", "coronal plane (strips)"):
        assert two not in ways[name], name


# --- what is right ----------------------------------------------------------------


def test_the_oracle_is_numpy_in_memory(stacks: Stacks, volume: np.ndarray) -> None:
    for name, times in ((PLAIN, 1), (stacks.tenfold, 10)):
        whole = np.tile(volume, (times, 1, 1))
        keys = doors.selections(stacks, name)
        wanted = (*doors.REDUCTIONS, *doors.COMPUTATIONS)
        found = oracle.expected(stacks.path(name), keys, wanted)
        for key_name, key in keys.items():
            np.testing.assert_array_equal(found[key_name], whole[key], err_msg=key_name)
        np.testing.assert_array_equal(found['max("z")'], whole.max(0))
        np.testing.assert_allclose(found['mean("z")'], whole.mean(0), rtol=1e-14)
        assert math.isclose(found["mean()"], whole.mean(), rel_tol=1e-14)
        assert math.isclose(found["std()"], whole.std(), rel_tol=1e-12)
        np.testing.assert_array_equal(found["histogram"], np.bincount(whole.ravel(), minlength=256))
        np.testing.assert_array_equal(found['(v // 2).max("z")'], (whole // 2).max(0))
        assert math.isclose(found["where(v > 100).mean()"], whole[whole > 100].mean())
        assert math.isclose(found['(v - mean("z")).std()'], (whole - whole.mean(0)).std())


def test_sizes_differ_so_that_no_swapped_axis_passes(stacks: Stacks) -> None:
    box = doors.selections(stacks, PLAIN)["6³ box"]
    assert len({part.start for part in box if isinstance(part, slice)}) == 3


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.zeros((3, 2), "u1"), "wrong shape (3, 2), expected (2, 3)"),
        (np.zeros((2, 3), "f8"), "wrong dtype float64, expected uint8"),
        (np.eye(2, 3).astype("u1"), "2 of 6 values are wrong"),
        (np.zeros((2, 3), "u1"), None),
    ],
)
def test_a_difference_is_told(found: np.ndarray, message: str | None) -> None:
    assert oracle.difference(found, np.zeros((2, 3), "u1")) == message


def test_numbers_with_a_point_may_differ_by_rounding_only() -> None:
    wanted = np.array([1.0, 2.0])
    assert oracle.difference(wanted * (1 + 1e-9), wanted) is None
    assert oracle.difference(wanted * (1 + 1e-4), wanted) == "2 of 2 values are wrong"
    assert oracle.difference(np.array([1.0, np.nan]), wanted) == "1 of 2 values are wrong"


def way(name: str, role: Any, result: Any) -> work.Way:
    def run() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return Way(name, role, lambda: run)


def test_a_wrong_way_and_a_failing_one_are_not_timed(stacks: Stacks) -> None:
    right, wrong = np.arange(4), np.arange(4)[::-1]
    row = Row(
        "a row", None,
        (way("good", "brainxr", right), way("bad", "peer", wrong),
         way("worse", "peer", OSError("no\nsuch file"))),
        lambda: lambda result: oracle.difference(result, right),
    )  # fmt: skip
    good, bad, worse = measure.prove(row, stacks, (5, 1.0), quiet, elsewhere=False)
    assert isinstance(good, Job)
    assert isinstance(bad, Cell)
    assert isinstance(worse, Cell)
    assert (bad.problem, bad.failed, bad.seconds) == ("4 of 4 values are wrong", True, [])
    assert worse.problem == "OSError: no such file"


def test_a_result_of_brainxr_that_is_wrong_ends_in_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = command._parser().parse_args([])
    fine = cell("a", "brainxr, dask", "brainxr", 0.1)
    peer = cell("a", "dask-image", "peer", problem="failed", failed=True)
    assert command._tell(results(fine, peer), options) == 0
    broken = cell("b", "brainxr, dask", "brainxr", problem="2 of 6 values are wrong", failed=True)
    assert command._tell(results(fine, broken), options) == 1
    assert "WRONG: b, brainxr, dask: 2 of 6" in capsys.readouterr().err


# --- measuring --------------------------------------------------------------------


def test_ways_run_in_turn_each_as_often_as_it_may() -> None:
    order: list[str] = []

    def job(name: str, times: int) -> Job:
        return Job(cell("r", name, "peer"), lambda: lambda: order.append(name), lambda: None, times)

    jobs = [job("a", 3), job("b", 1), job("c", 2), job("never", 0)]
    measure.interleave(jobs, 3, lambda: order.append("warm"), quiet)
    assert order == ["warm", "a", "b", "c", "warm", "c", "a", "warm", "a"]
    assert [len(j.cell.seconds) for j in jobs] == [3, 1, 2, 0]


def test_the_time_of_the_trial_counts_where_there_is_no_other() -> None:
    timed = Job(cell("r", "w", "peer", 7.0), lambda: lambda: None, lambda: None, 2)
    untimed = Job(cell("r", "slow", "peer", 7.0), lambda: lambda: None, lambda: None, 0)
    measure.interleave([timed, untimed], 5, lambda: None, quiet)
    assert len(timed.cell.seconds) == 2
    assert max(timed.cell.seconds) < 1
    assert untimed.cell.seconds == [7.0]


def test_what_is_slow_is_run_less_often() -> None:
    assert measure.how_often(0.1, "peer", 5, 1.0) == 5
    assert measure.how_often(0.4, "peer", 5, 1.0) == 2
    assert measure.how_often(7.0, "peer", 5, 1.0) == 0
    assert measure.how_often(2.0, "brainxr", 5, 1.0) == 5


def test_the_cache_is_dropped_before_each_time_and_not_timed() -> None:
    order: list[str] = []
    prepare = lambda: lambda: order.append("run")  # noqa: E731
    cold = Job(cell("r", "w", "peer"), prepare, lambda: order.append("drop"), 2)
    measure.interleave([cold], 2, lambda: None, quiet)
    assert order == ["drop", "run", "drop", "run"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells on Linux only")
@pytest.mark.slow
def test_a_process_of_its_own_tells_result_bytes_and_memory(
    stacks: Stacks, volume: np.ndarray
) -> None:
    trial = memory.try_elsewhere(stacks, "coronal plane", "brainxr, napari")
    assert trial.problem is None
    np.testing.assert_array_equal(trial.result, volume[:, 24])
    assert trial.read is not None
    assert trial.peak is not None
    assert trial.read >= 12 * 40
    assert 0 <= trial.peak < 50e6


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells on Linux only")
def test_the_peak_is_what_was_taken_at_most() -> None:
    def take() -> None:
        np.ones(50_000_000, np.uint8).copy()

    peak = memory.try_once(lambda: take, lambda result: None).peak
    assert peak is not None
    assert 90e6 < peak < 120e6


def test_a_graph_is_counted_in_tasks_and_bytes(stacks: Stacks, without_peers: None) -> None:
    found = graphs(dataclasses.replace(stacks, size=dataclasses.replace(TINY, counts=(12,))))
    ours = found[0]
    assert (ours.slices, ours.way) == (12, "brainxr")
    assert 1 <= ours.tasks <= 12
    assert 100 < ours.largest <= ours.whole


@pytest.mark.slow
def test_everything_runs_where_no_peer_is_installed(
    stacks: Stacks, without_peers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    wanted = command.chosen(stacks, ["^open", "^axial", "max", "std", "hist", "cold", "slider"])
    found = command.run(stacks, wanted, command.Effort(1, 1.0), quiet, lambda found: found)
    assert found.wrong == []
    assert not [c for c in found.cells if c.role == "limit" and c.failed]
    tutorial = found.of("axial plane", "tutorial")
    assert tutorial is not None
    assert tutorial.problem == "not installed (not_there)"
    text = report.describe(found, judge(found))
    assert "not installed (not_there)" in text
    assert "there is no display" in text
    assert found.limit("axial plane") is not None
    assert found.best_peer("axial plane") is None


def test_a_peer_that_is_not_there_is_named() -> None:
    peer = Peer("p", ("numpy", "surely_not_installed"), lambda folder: None)
    assert peer.missing == "surely_not_installed"


def test_what_was_found_is_kept_as_it_goes(stacks: Stacks, without_peers: None) -> None:
    kept: list[dict[str, list[int]]] = []

    def keep(found: Results) -> Results:
        rows = found.rows().items()
        kept.append({row: [len(c.seconds) for c in cells] for row, cells in rows})
        return found

    wanted = command.chosen(stacks, ["^axial plane$", "^line along z$"])
    command.run(stacks, wanted, command.Effort(2, 1.0), quiet, keep)
    assert list(kept[0]) == ["axial plane"]
    assert list(kept[1]) == ["axial plane", "line along z"]
    ours = [found["line along z"][1] for found in kept[1:]]
    assert ours == [1, 1, 2, 2]  # the trial, each round, the end


def test_the_trial_of_what_is_slow_is_one_of_its_runs(
    stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SLOW", 0.0)
    row = Row("r", None, (way("p", "peer", 1), way("b", "brainxr", 1)), lambda: lambda r: None)
    jobs = measure.prove(row, stacks, (3, 9.0), quiet, elsewhere=False)
    measure.interleave([j for j in jobs if isinstance(j, Job)], 3, lambda: None, quiet)
    assert [(j.times, len(j.cell.seconds)) for j in jobs if isinstance(j, Job)] == [(2, 3), (3, 3)]


# --- what is said -----------------------------------------------------------------

ROW = [
    cell("max", "limit, 1 thread", "limit", 0.010, 0.012, 0.5),
    cell("max", "limit, 2 threads", "limit", 0.008, 0.006, 0.007),
    cell("max", "brainxr, dask", "brainxr", 0.014, 0.9, 0.013, read=2_000_000, peak=30_000_000),
    cell("max", "slow", "peer", 2.0),
    cell("max", "fast", "peer", 0.070),
    cell("max", "wrong", "peer", problem="1 of 2 values are wrong", failed=True),
]


def test_ratios_are_of_medians_to_the_best_limit_and_the_best_peer() -> None:
    found = results(*ROW)
    assert found.median("max", "limit, 1 thread") == 0.012
    assert found.limit("max") == 0.007
    assert found.best_peer("max") == 0.070
    ours = report._lines(found, ROW)[2]
    assert ours == ["brainxr, dask", "14.0 ms", "3", "2.00", "0.20", "2.00", "30", "", ""]


def test_targets_are_judged_by_the_slowest_way() -> None:
    row = "sagittal plane"
    ways = ["brainxr, dask", "brainxr, chunks=None", "brainxr, napari"]
    ours = [cell(row, name, "brainxr", t) for name, t in zip(ways, (1.2, 1.4, 1.6), strict=True)]
    found = results(cell(row, "limit, 1 thread", "limit", 1.0), *ours, cell(row, "p", "peer", 4.0))
    said = {(v.target.what, v.target.claim): (v.found, v.word) for v in judge(found)}
    assert said[row, "≤ 1.5 × limit"] == (1.6, "missed")
    assert said[row, "≥ 2.5 × faster than any peer"] == (2.5, "met")
    assert said['max("z")', "≤ 3 × limit"] == (None, "not measured")


def test_ten_times_the_slices_are_judged_against_the_same_row() -> None:
    tenfold = "axial plane (tenfold)"
    found = results(
        cell("axial plane", "brainxr, dask", "brainxr", 1.0),
        cell(tenfold, "brainxr, dask", "brainxr", 1.3),
    )
    said = {v.target.what: v for v in judge(found)}
    assert (said[tenfold].found, said[tenfold].word) == (1.3, "missed")


def test_figures_survive_being_saved(tmp_path: Path) -> None:
    found = dataclasses.replace(results(*ROW), graphs=[Graph(12, "brainxr", 2, 900, 800)])
    found.save(tmp_path / "run.json")
    assert Results.load(tmp_path / "run.json") == found


def test_rows_that_are_measured_again_take_the_place_of_their_own() -> None:
    graph = Graph(12, "brainxr", 2, 900, 800)
    old = dataclasses.replace(
        results(
            cell("a", "w", "brainxr", 1.0), cell("b", "w", "brainxr", 2.0), cell("z", "w", "peer")
        ),
        graphs=[graph],
    )
    new = results(cell("c", "w", "brainxr", 3.0), cell("b", "w", "brainxr", 4.0))
    found = old.with_rows_of(new, ["a", "b", "c"])
    assert list(found.rows()) == ["a", "b", "c", "z"]
    assert (found.median("a", "w"), found.median("b", "w")) == (1.0, 4.0)
    assert found.graphs == [graph]


def test_a_run_of_another_size_is_not_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    results(*ROW).save(path)
    with pytest.raises(SystemExit):
        command.main(["--load", str(path), "--only", "max", "--folder", str(tmp_path)])
    assert "is of the size 'tiny'" in capsys.readouterr().err


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page, picture = tmp_path / "docs" / "page.md", tmp_path / "docs" / "_static" / "picture.png"
    page.parent.mkdir()
    page.write_text(f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nRemarks.\n", "utf-8")
    found = results(*[dataclasses.replace(c, row='max("z")') for c in ROW])
    verdicts = [Verdict(Target("a", "≤", 3, "× limit", lambda r: 2.0), 2.0)]
    report.write_page(page, picture, found, verdicts)
    once = page.read_text("utf-8")
    report.write_page(page, picture, found, verdicts)
    assert page.read_text("utf-8") == once
    assert once.startswith("# Title\n")
    assert once.endswith("\n\nRemarks.\n")
    assert "old" not in once
    assert "| a | ≤ 3 × limit | 2.00 | met |" in once
    assert "| brainxr, dask | 14.0 ms | 3 | 2.00 | 0.20 |" in once
    assert "](_static/picture.png)" in once
    assert picture.stat().st_size > 1000


def test_a_page_without_the_block_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n", "utf-8")
    with pytest.raises(ValueError, match=r"has no block to write to: expected one line"):
        report.write_page(page, tmp_path / "p.png", results(*ROW), [])
    assert page.read_text("utf-8") == "# Title\n"


def test_the_page_of_the_documents_has_the_block() -> None:
    text = command.PAGE.read_text("utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1


# --- the command line -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing like it"], "No row matches"),
        (["--only", "max("], "no regular expression"),
        (["--repeats", "0"], "--repeats is 0; it has to be 1 or more"),
        (["--load", "not_there.json"], "not_there.json"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_rows_are_listed_without_being_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--list", "--folder", str(tmp_path), "--only", "coronal.*cold"]) == 0
    assert capsys.readouterr().out == "coronal plane (cold cache)\n"
    assert not any(tmp_path.iterdir())


def test_planes_of_a_store_by_everybody(stacks: Stacks) -> None:
    """Compared with the slices that the store was made of."""
    rows = [row for row in work.rows(stacks) if row.name.endswith("(store)")]
    assert len(rows) == 4
    for row in rows:
        found = measure.prove(row, stacks, (1, 1e9), quiet, elsewhere=False)
        assert [each for each in found if isinstance(each, Cell)] == []
        assert len(found) == 5


def test_going_on_after_a_kill_gives_the_same_every_time(stacks: Stacks) -> None:
    row = next(row for row in work.rows(stacks) if "after a kill" in row.name)
    for job in measure.prove(row, stacks, (2, 1e9), quiet, elsewhere=False):
        assert isinstance(job, Job)
        job.before()
        made = conversion.look(job.run())
        assert row.checker()(made) is None
        assert made.size_on_disk == job.cell.size


@pytest.mark.filterwarnings("ignore")  # the others' own, of their own code
def test_conversion_by_everybody_gives_the_same(stacks: Stacks) -> None:
    row = next(row for row in work.rows(stacks) if row.name == "convert")
    found = measure.prove(row, stacks, (1, 1e9), quiet, elsewhere=False)
    cells = [each.cell if isinstance(each, Job) else each for each in found]
    assert {cell.way: cell.problem for cell in cells} == dict.fromkeys([
        "limit, 2 threads", "brainxr", "ngff-zarr", "ome-zarr-py", "ngff-zarr, defaults",
        "ome-zarr-py, defaults",
    ])  # fmt: skip


# --- looking ----------------------------------------------------------------------


def looked(*arguments: str) -> tuple[int, str]:
    """Exit code and table of the command, in a process as a person has it."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.looking", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=window.REPOSITORY
    )
    assert "| point |" in done.stdout, done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def placed(make_stack: MakeStack) -> str:
    """Slices whose place is told by ImageJ's words, as the samples' are."""
    options: dict[str, Any] = {
        "imagej": True, "resolution": (1 / 50, 1 / 50), "metadata": {"unit": "um", "spacing": 50.0},
    }  # fmt: skip
    values = np.random.default_rng(0).integers(1, 255, (24, 36, 42), "u1").repeat(2, 2)
    return make_stack(folder="looked_50um_iso", shape=values.shape, values=values, **options).path


@pytest.mark.window
@pytest.mark.slow
def test_what_is_seen_is_compared_with_the_slices(placed: str) -> None:
    code, text = looked(placed, "--only", "preview", "back")
    assert code == 0, text
    assert "every voxel within half of one" in text
    assert re.search(r"6 back again .* exact", text)
    assert re.search(r"7 one unit .* mm”", text)


@pytest.mark.slow
@pytest.mark.window
def test_all_nine_points_are_looked_at(placed: str) -> None:
    code, text = looked(placed)
    assert code == 0, text
    assert {line.split()[1] for line in text.splitlines() if re.match(r"\| \d", line)} == set(
        "123456789"
    )


def test_another_plane_is_noticed(placed: str, tmp_path: Path) -> None:
    oracle = looking.Oracle(placed, tmp_path)
    assert oracle.spacing == 50
    values = oracle.part(range(24))
    looking.check_preview(values[::2, 1::3, 1::3], oracle)
    with pytest.raises(looking.WrongError, match="other voxels"):
        looking.check_preview(values[1::2, :, ::3][::-1], oracle)
    looking.check_alike(values[3].repeat(3, 0).repeat(3, 1), values[3], "it")
    with pytest.raises(looking.WrongError, match="like the plane"):
        looking.check_alike(values[4].repeat(3, 0).repeat(3, 1), values[3], "it")
