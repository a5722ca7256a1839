"""The command ``brainxr``, as it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from conftest import MadeStack, MakeStack
from PIL import Image
from zips import zip_of

from brainxr import open as open_volume
from brainxr.cli import main


def brainxr(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brainxr", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "", **environment},
    )


@pytest.mark.parametrize("encoding", ["cp932", "gbk", "cp437", "utf-8"])
def test_a_console_without_a_character_prints_it_in_others(
    make_stack: MakeStack, encoding: str
) -> None:
    made = make_stack((3, 4, 5), folder="brain_50um_iso")
    done = subprocess.run(
        [sys.executable, "-m", "brainxr", "info", made.path],
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "", "PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    unit = "um" if encoding in ("cp932", "gbk") else "µm"
    assert f" 50 {unit} (" in done.stdout.decode(encoding)


def test_a_name_that_a_console_lacks_is_escaped(make_stack: MakeStack) -> None:
    made = make_stack((3, 4, 5), folder="Gehirn_ä_50um_iso")
    arguments = [sys.executable, "-m", "brainxr", "info", made.path]
    environment = {**os.environ, "PYTHONWARNINGS": "", "PYTHONIOENCODING": "cp932"}
    done = subprocess.run(arguments, capture_output=True, env=environment)
    assert done.returncode == 0
    assert "Gehirn_\\xe4_50um_iso" in done.stdout.decode("cp932").replace("¥", "\\")


def test_info(make_stack: MakeStack) -> None:
    numbers = [1, 2, 3, 6, 7]
    made = make_stack((5, 7, 11), numbers=numbers, folder="coronal_50um_iso")
    done = brainxr("info", made.path, "--spacing", "y=0.1mm")
    assert done.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["source"] == made.path
    assert lines["shape"] == "z 7 x y 5 x x 11 (stacked along y: coronal)"
    assert lines["dtype"] == "uint16, uncompressed"
    assert lines["spacing"] == "z 50, y 100, x 50 µm (from y: argument; z, x: name '50um')".replace(
        "y: argument; z, x: name '50um'", "z, x: name '50um'; y: argument"
    )
    assert lines["extent"] == "z -0.025 to 0.325, y -0.05 to 0.65, x -0.025 to 0.525 mm"
    assert lines["size"] == "770 B in 5 files"
    assert lines["gaps"] == "numbers 4-5 are missing"
    assert "2 of 7 slices are missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_info_of_a_store(make_stack: MakeStack, tmp_path: Path) -> None:
    volume = open_volume(make_stack((8, 10, 12)).path, origin={"z": "1 mm"})
    store = volume.brain.to_ome_zarr(tmp_path / "a.ome.zarr", levels=2, chunks=4, progress=False)
    done = brainxr("info", store)
    assert done.returncode == 0
    lines = {line[:12].strip(): line[12:] for line in done.stdout.splitlines()}
    assert lines["store"] == f"{store}, OME-Zarr 0.5"
    assert lines["shape"] == "z 8 x y 10 x x 12"
    assert lines["dtype"] == "uint16, chunks of 4 x 4 x 4"
    assert lines["spacing"] == "z 100, y 100, x 100 µm"
    assert lines["extent"] == "z 0.95 to 1.75, y -0.05 to 0.95, x -0.05 to 1.15 mm"
    assert lines["to read"].startswith("1.15 kB for a plane across z, 768 B for a plane across y")
    assert lines["level 1"] == "z 4 x y 5 x x 6, spacing z 200, y 200, x 200 µm"
    assert lines["source"] == volume.attrs["source"]
    refused = brainxr("info", store, "--plane", "axial")
    assert refused.returncode == 1
    assert "is a Zarr store, whose axes have names and which has no slices" in refused.stderr


@pytest.fixture(params=["a.nii.gz", "a.mgz", "a.nc", "group.zarr", "a.ome.zarr", "zip", "memory"])
def anything(make_stack: MakeStack, tmp_path: Path, request: Any) -> Iterator[str]:
    """One volume in each form that is opened, of values that are nowhere odd."""
    values = np.random.default_rng(0).integers(50, 99, (12, 7, 11)).astype("i2")
    made = make_stack((12, 7, 11), values=values)
    vol = open_volume(made.path)
    target = str(tmp_path / request.param)
    if request.param == "a.nii.gz":
        vol.brain.to_nifti(target, progress=False)
    elif request.param == "a.mgz":
        affine = np.diag([0.1, 0.1, 0.1, 1])
        nibabel.save(nibabel.MGHImage(np.ascontiguousarray(values.T), affine), target)
    elif request.param == "a.nc":
        vol.to_netcdf(target)
    elif request.param == "group.zarr":
        vol.to_zarr(target, zarr_format=2, consolidated=False)
    elif request.param == "a.ome.zarr":
        vol.brain.to_ome_zarr(target, levels=1, progress=False)
    elif request.param == "zip":
        target = str(zip_of(made, tmp_path / "a.zip"))
    else:
        memory = fsspec.filesystem("memory")
        memory.put(made.path, "/lab/stack_100um_iso", recursive=True)
        target = "memory://lab/stack_100um_iso"
    yield target
    if request.param == "memory":
        memory.rm("/lab", recursive=True)


def test_info_and_check_take_what_open_takes(anything: str) -> None:
    told = CliRunner().invoke(main, ["info", anything])
    lines = {line[:12].strip(): line[12:] for line in told.stdout.splitlines()}
    assert lines["shape"].startswith("z 12 x y 7 x x 11"), told.output
    assert lines["dtype"].startswith("int16")
    assert lines["spacing"].startswith("z 100, y 100, x 100 µm")
    for deep in ([], ["--deep"]):
        looked = CliRunner().invoke(main, ["check", *deep, anything])
        assert looked.exit_code == 0, looked.output
        assert looked.stdout.startswith("12 slices in ")
        assert ("12 slices decoded, none of them odd." in looked.stdout) or not deep


@pytest.mark.parametrize("anything", ["a.nii.gz", "a.mgz", "group.zarr", "a.ome.zarr"],
                         indirect=True)  # fmt: skip
def test_what_is_broken_in_it_is_found(anything: str) -> None:
    files = [Path(anything)] if Path(anything).is_file() else sorted(Path(anything).rglob("*"))
    largest = max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2 :] = data[: len(data) - len(data) // 2][::-1]
    largest.write_bytes(data)
    looked = CliRunner().invoke(main, ["check", "--deep", anything])
    assert looked.exit_code == 1
    assert "Traceback" not in looked.output


def test_one_of_several_volumes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(50, 99, (11, 7, 12, 3)).astype("i2")
    path = str(tmp_path / "four.nii")
    image = nibabel.Nifti1Image(values, np.diag([1, 1, 1, 1]))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    for command in ("info", "check"):
        refused = CliRunner().invoke(main, [command, path])
        assert refused.exit_code == 1
        assert "3 along 't'" in refused.stderr
        assert CliRunner().invoke(main, [command, path, "--take", "t=2"]).exit_code == 0
    wrong = CliRunner().invoke(main, ["info", path, "--take", "2"])
    assert "'2' in '2' is no AXIS=PLACE, such as t=0" in wrong.stderr
    twice = CliRunner().invoke(main, ["info", path, "--take", "t=0,t=1"])
    assert "'t=0,t=1' names an axis twice" in twice.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "There is no file or folder 'nowhere'"),
        (["info", "{stack}", "--spacing", "5 kg"], "'5 kg' is no length"),
        (["info", "{stack}", "--spacing", "q=5mm"], "no AXIS=VALUE"),
        (["view", "{stack}", "--sel", "z=9mm:8mm"], "selects nothing"),
        (["view", "{stack}", "--sel", "z=1,z=2"], "names an axis twice"),
        (["view", "{stack}", "--sel", "y=9mm"], "y=9mm is no plane: y goes from 0 to 0.6 mm"),
        (["plot", "{stack}", "-o", "{stack}"], "is no name for a picture"),
        (["plot", "{stack}", "--at", "z=5 mn"], "'mn' is not defined"),
        (["movie", "{stack}", "-o", "a.avi"], "ends with '.avi'"),
        (["movie", "{stack}", "--sel", "z=0.1mm"], "A movie needs a volume"),
        (["sample", "phantm"], "phantom"),
    ],
)
def test_errors_are_one_line(stack: MadeStack, arguments: list[str], message: str) -> None:
    done = brainxr(*(a.format(stack=stack.path) for a in arguments))
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("brainxr: ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["view", "--help"], ["--version"]])
def test_help_is_no_error(arguments: list[str]) -> None:
    done = brainxr(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "brainxr" in done.stdout


def test_a_wrong_option_is_an_error_of_use(stack: MadeStack) -> None:
    done = brainxr("info", stack.path, "--spacings", "5")
    assert done.returncode == 1
    assert "No such option" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    done = brainxr("--debug", "info", "nowhere")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_check(make_stack: MakeStack) -> None:
    made = make_stack((5, 7, 11))
    assert brainxr("check", made.path).returncode == 0
    tifffile.imwrite(made.paths[2], np.zeros((7, 12), "u2"))
    made.paths[3].write_bytes(b"II")
    done = brainxr("check", made.path)
    assert done.returncode == 1
    assert "slice_003.tif: has shape (7, 12)" in done.stderr
    assert "slice_004.tif" in done.stderr


def test_a_zip(make_stack: MakeStack, tmp_path: Path) -> None:
    """Every command opens it alike; in one process, which saves most of the time."""
    path, store = tmp_path / "brain_100um_iso.zip", tmp_path / "b.ome.zarr"
    made = [make_stack((n, 7, 11), folder=name) for n, name in ((5, "a"), (6, "b"))]
    zip_of(made[0], path, "deflated", "a/")
    zip_of(made[1], path, "stored", "b/", mode="a", debris=False)

    def run(command: str, *arguments: object) -> str:
        done = CliRunner().invoke(main, [command, str(path), *map(str, arguments)])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    refused = CliRunner().invoke(main, ["info", str(path)])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "inside='a') # 5 slices" in refused.stderr
    lines = dict(line.split(maxsplit=1) for line in run("info", "--inside", "a").splitlines())
    assert lines["source"] == f"{path}{os.sep}a"
    assert lines["dtype"] == "uint16, uncompressed, deflated by the zip"
    assert run("check", "--inside", "b").startswith("6 slices in")
    run("convert", store, "--inside", "b", "--no-progress")
    np.testing.assert_array_equal(open_volume(store).values, made[1].values)
    run("plot", "-o", tmp_path / "p.png", "--inside", "a")
    assert np.asarray(Image.open(tmp_path / "p.png").convert("L")).std() > 10
    run("movie", "-o", tmp_path / "m.gif", "--inside", "b", "--size", 64)
    with Image.open(tmp_path / "m.gif") as opened:
        assert opened.n_frames == 6


def test_plot(stack: MadeStack, tmp_path: Path) -> None:
    picture = tmp_path / "planes.png"
    done = brainxr("plot", stack.path, "-o", picture, "--at", "z=0.2mm,y=300")
    assert done.returncode == 0, done.stderr
    assert str(picture) in done.stdout
    assert np.asarray(Image.open(picture).convert("L")).std() > 10


@pytest.mark.slow
def test_movie(stack: MadeStack, tmp_path: Path) -> None:
    target = tmp_path / "a.gif"
    done = brainxr("movie", stack.path, "-o", target, "--sel", "z=0.1mm:0.3mm", "--size", 64)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(target) in done.stdout
    with Image.open(target) as picture:
        assert picture.n_frames == 3


def test_sample_and_demo(tmp_path: Path) -> None:
    folder = tmp_path / "head_1mm_iso"
    done = brainxr("sample", "phantom", folder, "--shape", "z=8,y=12,x=10")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    assert "z 8 x y 12 x x 10" in brainxr("info", folder).stdout
    picture = tmp_path / "demo.png"
    demo = brainxr("demo", "--no-show", "-o", picture, BRAINXR_CACHE=str(tmp_path / "cache"))
    assert demo.returncode == 0, demo.stderr
    assert picture.exists()


def test_view_without_a_display(stack: MadeStack) -> None:
    done = brainxr("view", stack.path, DISPLAY="", WAYLAND_DISPLAY="", QT_QPA_PLATFORM="")
    assert done.returncode == 1
    assert "plot_planes" in done.stderr


def test_convert(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((12, 20, 18))
    store = tmp_path / "brain.ome.zarr"
    arguments = ["convert", made.path, store, "--sel", "z=0.2mm:0.9mm", "--spacing", "z=50um"]
    cut = ["--levels", "2", "--chunks", "4", "--shards", "z=8,y=8,x=16", "--codec", "zstd"]
    done = brainxr(*arguments, *cut, "--method", "nearest")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Wrote {store}\n"
    assert "slabs=3/3" in done.stderr
    array = zarr.open_array(store / "0", mode="r")
    assert array.chunks == (4, 4, 4)
    assert array.shards == (8, 8, 16)
    np.testing.assert_array_equal(array[...], made.values[4:])
    coarser = zarr.open_array(store / "1", mode="r")
    np.testing.assert_array_equal(coarser[...], made.values[4::2])  # the only axis that is finer
    again = brainxr(*arguments, "--no-progress")
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    old = brainxr("convert", store, tmp_path / "old.zarr", "--version", "0.4", "--no-progress")
    assert old.stdout == f"Wrote {tmp_path / 'old.zarr'}\n"
    assert old.stderr == ""
    assert zarr.open_array(tmp_path / "old.zarr" / "0", mode="r").metadata.zarr_format == 2


@pytest.mark.slow
def test_convert_to_slices(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((12, 20, 18))
    folder = tmp_path / "coronal"
    arguments = ["convert", made.path, folder, "--sel", "y=0.2mm:0.9mm", "--along", "y"]
    unclear = brainxr(*arguments)
    assert unclear.returncode == 1
    assert "coronal' doesn't end like anything" in unclear.stderr
    assert "add --to tiff for a folder of TIFF slices" in unclear.stderr
    done = brainxr(*arguments, "--to", "tiff", "--compression", "deflate")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Wrote {folder}\n"
    assert "slabs=1/1" in done.stderr
    images = [tifffile.imread(path) for path in sorted(folder.iterdir())]
    np.testing.assert_array_equal(images, made.values[:, 2:10].transpose(1, 0, 2))
    foreign = brainxr(*arguments, "--to", "tiff", "--codec", "zstd")
    assert "--codec says nothing of what is written to" in foreign.stderr
    assert brainxr("info", folder).stdout.count("stacked along y: coronal") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
@pytest.mark.slow
def test_nifti_in_and_out(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((5, 7, 11))
    target = tmp_path / "part.nii.gz"
    done = brainxr("convert", made.path, target, "--sel", "z=0.1mm:0.3mm")
    assert (done.returncode, done.stdout) == (0, f"Wrote {target}\n")
    np.testing.assert_array_equal(open_volume(target).values, made.values[1:4])
    lines = {line[:12].strip(): line[12:] for line in brainxr("info", target).stdout.splitlines()}
    assert lines["shape"] == "z 3 x y 7 x x 11"
    assert lines["spacing"] == "z 100, y 100, x 100 µm (from NIfTI-1 sform)"
    assert lines["extent"].startswith("z 0.05 to 0.35, ")
    assert lines["space"] == "aligned, axes in the file: RAS"
    again = brainxr("convert", made.path, target)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert brainxr("convert", made.path, target, "--overwrite", "--no-progress").returncode == 0
    np.testing.assert_array_equal(open_volume(target).values, made.values)
    wrong = brainxr("convert", target, tmp_path / "b.nii", "--codec", "zstd")
    assert "--codec says nothing of what is written" in wrong.stderr
    open_volume(target).to_netcdf(tmp_path / "a.nc")
    facts = brainxr("info", tmp_path / "a.nc").stdout.splitlines()
    assert facts[1:3] == ["shape       z 5 x y 7 x x 11", "dtype       uint16"]
    store = tmp_path / "a.ome.zarr"
    assert brainxr("convert", target, store, "--no-progress").returncode == 0
    np.testing.assert_array_equal(open_volume(store).values, made.values)


# The command as it is, but for a Ctrl-C that comes as soon as a part is finished: one that is
# sent from here may come too late on a busy machine. And it counts also where the tests run in
# the background, of which shells say that Ctrl-C is to be ignored.
INTERRUPTED = """
import itertools, os, signal, sys, time
from brainxr.writing import unfinished
from brainxr.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
finish, calls = unfinished.Unfinished.finish, itertools.count()

def finish_and_interrupt(*args):
    finish(*args)
    if next(calls) == 0:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)

unfinished.Unfinished.finish = finish_and_interrupt
main(sys.argv[1:])
"""


def test_convert_interrupted(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((160, 30, 40))
    store = tmp_path / "brain.ome.zarr"
    cut = ["--chunks", "16", "--shards", "16", "--levels", "3"]
    command = ["convert", made.path, str(store), *cut]
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command], stderr=subprocess.PIPE, text=True
    )
    last = stopped.stderr.splitlines()[-1]
    assert stopped.returncode == 1
    assert last.startswith(f"brainxr: interrupted. What is finished of '{store}' stays in")
    assert last.endswith("Ask for the same again to go on; remove that folder to give up.")
    assert any((tmp_path / ".brain.ome.zarr.partial" / "finished").iterdir())
    assert not store.exists()
    assert brainxr(*command, "--no-progress").stdout == f"Wrote {store}\n"
    np.testing.assert_array_equal(zarr.open_array(store / "0", mode="r")[...], made.values)


def test_levels(make_stack: MakeStack) -> None:
    made = make_stack((12, 20, 18))
    store = f"{made.path}.levels.ome.zarr"
    done = brainxr("levels", made.path, "--beside", "--levels", "2", "--no-progress")
    assert done.stdout == f"Wrote {store}\n", done.stderr
    assert zarr.open_array(f"{store}/1", mode="r").shape == (6, 10, 9)


# --- names, numbers and positions ------------------------------------------------------


def test_a_pattern_that_the_shell_expands(make_stack: MakeStack, tmp_path: Path) -> None:
    """Slices in the order of their numbers, though a shell lists 10 before 2."""
    made = make_stack((12, 5, 6), name="s_{}.tif")
    paths = sorted(map(str, made.paths))
    assert paths[1].endswith("s_10.tif")
    store = tmp_path / "a.ome.zarr"
    done = CliRunner().invoke(main, ["convert", *paths, str(store), "--no-progress"])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(open_volume(store).values, made.values)
    info = CliRunner().invoke(main, ["info", *paths])
    assert "size        720 B in 12 files" in info.output
    assert "gaps        none" in info.output
    assert "12 slices" in CliRunner().invoke(main, ["check", *paths]).output
    checked = CliRunner().invoke(main, ["checksum", *paths]).output.split()[0]
    assert checked == CliRunner().invoke(main, ["checksum", made.path]).output.split()[0]


def test_paths_that_make_no_volume(make_stack: MakeStack) -> None:
    done = CliRunner().invoke(main, ["info", make_stack().path, "other"])
    assert done.exit_code == 1
    assert "2 paths are given" in done.output
    assert "or a pattern in quotes: 'folder/*.tif'" in done.output


def test_number_and_positions(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((3, 5, 6), name="a_{}.tif")
    for path, name in zip(made.paths, ("s3_x1", "s1_x2", "s2_x3"), strict=True):
        path.rename(path.with_name(f"{name}.tif"))
    refused = CliRunner().invoke(main, ["info", made.path])
    assert refused.exit_code == 1
    assert "can be read in 2 ways" in refused.output
    several = CliRunner().invoke(main, ["info", *sorted(map(str, made.folder.iterdir()))])
    assert several.exit_code == 1
    assert "can be read in 2 ways" in several.output
    paths = sorted(map(str, made.folder.iterdir()))
    assert CliRunner().invoke(main, ["info", *paths, "--number", "x"]).exit_code == 0
    done = CliRunner().invoke(main, ["checksum", made.path, "--number", "x"])
    expected = CliRunner().invoke(main, ["checksum", made.path, "--number", r"_x(\d+)"])
    assert done.output.split()[0] == expected.output.split()[0]
    other = CliRunner().invoke(main, ["checksum", made.path, "--number", "s"])
    assert done.output.split()[0] != other.output.split()[0]
    table = tmp_path / "places.csv"
    table.write_text("file,z (mm)\ns3_x1.tif,0.5\ns1_x2.tif,1\ns2_x3.tif,1.5\n")
    told = CliRunner().invoke(main, ["info", made.path, "--positions", str(table)])
    assert (
        "spacing     z 500, y 100, x 100 µm (from z: positions; y, x: name '100um')" in told.output
    )
    assert "extent      z 0.25 to 1.75" in told.output
    said = CliRunner().invoke(main, ["info", made.path, "--positions", "x(.*)"])
    assert "spacing     z 1, y 100, x 100 µm" in said.output
    assert CliRunner().invoke(main, ["check", made.path, "--number", "x"]).exit_code == 0
    assert CliRunner().invoke(main, ["check", made.path, "--positions", str(table)]).exit_code == 0
    output = tmp_path / "planes.png"
    drawn = CliRunner().invoke(main, ["plot", made.path, "--number", "x", "-o", str(output)])
    assert drawn.exit_code == 0, drawn.output
    assert output.exists()


def test_a_file_of_paths(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack()
    (tmp_path / "list.txt").write_text("\n".join(map(str, made.paths)))
    done = CliRunner().invoke(main, ["info", str(tmp_path / "list.txt")])
    assert f"source      {made.path}" in done.output
    assert "shape       z 5 x y 7 x x 11" in done.output
