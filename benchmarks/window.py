"""napari in a real window: a step of the slider, and the time to the first picture.

Both run in processes of their own: ``python -m benchmarks.window`` measures the
steps and prints them as JSON, and each first picture is a script of a few lines.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.measure import Cell, Tick, how_often
from benchmarks.peers import PEERS
from benchmarks.stacks import paths_of
from benchmarks.way import Role
from brainxr.lazy.memory import available_memory

REPOSITORY = Path(__file__).resolve().parent.parent
AXES = ("z", "y", "x")
WAYS: dict[str, Role] = {"numpy in memory": "limit", "brainxr": "brainxr", "tutorial": "peer"}
WINDOW = (900, 700)
SETTLED = 0.15  # seconds until a window that was moved stands still
STORE_STEPS = ("store", "store, zoomed out")
FIRST_ROW = "first picture in napari"
FIRST_REPEATS = 3  # a process takes seconds

OPENING: dict[str, tuple[Role, str]] = {
    "one slice": ("limit", "viewer.add_image(tifffile.imread(middle), contrast_limits=(0, 255))"),
    "brainxr": ("brainxr", "brainxr.view(brainxr.open(folder), viewer)"),
    "tutorial": ("peer", "viewer.add_image(tutorial(folder), contrast_limits=(0, 255))"),
    "napari reader": ("peer", "viewer.open(folder, plugin='napari', contrast_limits=(0, 255))"),
}
IMPORTS = {
    "one slice": "import tifffile",
    "brainxr": "import brainxr",
    "tutorial": "from benchmarks.peers import tutorial",
    "napari reader": "",
}
SCRIPT = """
import sys
import napari
{imports}
folder, middle = sys.argv[1:]
viewer = napari.Viewer()
{opening}
picture = viewer.screenshot(flash=False)
print("drawn" if picture[..., :3].std() > 1 else "empty", flush=True)
viewer.close()
"""


def step_row(axis: str) -> str:
    return f"slider step along {axis}"


def store_row(axis: str, name: str) -> str:
    return f"slider step along {axis} ({name})"


def row_names() -> list[str]:
    of_stores = [store_row(axis, name) for name in STORE_STEPS for axis in AXES]
    return [*map(step_row, AXES), *of_stores, FIRST_ROW]


def no_window() -> str | None:
    """Why no window can be opened, in words; None where one can."""
    import importlib.util

    if importlib.util.find_spec("napari") is None:
        return "napari is not installed"
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display"
    return None


def measure_window(
    folder: str, store: str, names: list[str], repeats: int, budget: float, tick: Tick
) -> list[Cell]:
    """Cells of the rows in a window that are asked for; with a reason where there is none."""
    reason = no_window()
    if reason is not None:
        skipped = [(row, way, role) for row in names for way, role in _roles(row).items()]
        return [Cell(row, way, role, problem=reason) for row, way, role in skipped]
    cells = []
    for measured, place, rows in (
        (measure_steps, folder, [step_row(axis) for axis in AXES]),
        (measure_store_steps, store, [*_store_steps()]),
    ):
        wanted = [row for row in rows if row in names]
        if wanted:
            tick("slider steps in a window")
            cells += _elsewhere(measured.__name__, place, wanted, repeats, budget)
    if FIRST_ROW in names:
        cells += _first_pictures(folder, repeats, tick)
    return cells


def _roles(row: str) -> dict[str, Role]:
    if row in _store_steps():
        return {"brainxr": "brainxr"}
    return {way: role for way, (role, _) in OPENING.items()} if row == FIRST_ROW else WAYS


# --- the first picture ------------------------------------------------------------


def _first_pictures(folder: str, repeats: int, tick: Tick) -> list[Cell]:
    cells = [Cell(FIRST_ROW, way, role) for way, (role, _) in OPENING.items()]
    paths = paths_of(folder)
    middle = paths[len(paths) // 2]
    for _ in range(min(repeats, FIRST_REPEATS)):
        for cell in cells:
            tick(f"{FIRST_ROW}: {cell.way}")
            if cell.problem is None:
                time_first(cell, folder, middle)
    return cells


def time_first(cell: Cell, folder: str, middle: str) -> None:
    """Time a process of its own until it has drawn; `middle` is a slice of the folder."""
    script = SCRIPT.format(imports=IMPORTS[cell.way], opening=OPENING[cell.way][1])
    command = [sys.executable, "-W", "ignore", "-c", script, folder, middle]
    start = time.perf_counter()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=REPOSITORY) as process:
        assert process.stdout is not None  # for mypy: both are pipes
        assert process.stderr is not None
        said = process.stdout.readline().decode().strip()
        taken = time.perf_counter() - start
        errors = process.stderr.read().decode().strip().splitlines()
    if said == "drawn":
        cell.seconds.append(taken)
    else:
        cell.problem, cell.failed = said or (errors or ["no picture"])[-1][:200], True


# --- steps of the slider ----------------------------------------------------------


def _elsewhere(what: str, place: str, rows: list[str], repeats: int, budget: float) -> list[Cell]:
    """Cells that a function of this module measures in a process of its own."""
    arguments = json.dumps([what, place, rows, repeats, budget])
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.window", arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode == 0:
        return [Cell(**cell) for cell in json.loads(done.stdout.splitlines()[-1])]
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
    cells = [(row, way, role) for row in rows for way, role in _roles(row).items()]
    return [Cell(row, way, role, problem=reason, failed=True) for row, way, role in cells]


def measure_steps(folder: str, rows: list[str], repeats: int, budget: float) -> list[Cell]:
    """Time steps in one window for each way, in turn; compare what they show."""
    windows = {way: _Window(values) for way, values in _stacks(folder).items()}
    cells = []
    for axis in (axis for axis in AXES if step_row(axis) in rows):
        row = [Cell(step_row(axis), way, role) for way, role in WAYS.items()]
        for cell in row:
            if cell.way not in windows:
                cell.problem = "not enough memory, or not installed"
        run = [(cell, windows[cell.way]) for cell in row if cell.way in windows]
        _take_steps(run, AXES.index(axis), repeats, budget)
        cells += row
    for window in windows.values():
        window.viewer.close()
    return cells


def _take_steps(run: list[tuple[Cell, _Window]], axis: int, repeats: int, budget: float) -> None:
    middle = run[0][1].size(axis) // 2
    times = {}
    for cell, window in run:
        window.turn(axis)
        times[cell.way] = max(1, how_often(window.step(axis, middle), cell.role, repeats, budget))
    for repeat in range(repeats):
        for cell, window in run:
            if repeat < times[cell.way]:
                # planes not seen before: napari remembers those of dask
                cell.seconds.append(window.step(axis, middle + 1 + repeat))
    _compare(run, axis, middle)


def _compare(run: list[tuple[Cell, _Window]], axis: int, place: int) -> None:
    """The pictures of one plane have to be alike, pixel by pixel."""
    pictures = []
    for _, window in run:
        window.step(axis, place)
        pictures.append(window.picture())
    first = pictures[0]  # numpy's, where there was memory for it
    if first.std() < 1:
        raise RuntimeError("The window shows nothing to compare with.")
    for (cell, _), picture in zip(run, pictures, strict=True):
        if picture.shape != first.shape or np.abs(picture - first).max() > 1:
            cell.problem, cell.failed = "the picture is wrong", True


def _stacks(folder: str) -> dict[str, Callable[[Any], Any]]:
    """How each way adds its layer, all with one scale and one contrast."""
    import brainxr

    vol = brainxr.open(folder)
    scale = [float(vol[dim].attrs["spacing"]) for dim in AXES]
    kwargs = {"scale": scale, "contrast_limits": (0, 255)}
    ways: dict[str, Callable[[Any], Any]] = {}
    if 2 * vol.nbytes < available_memory():
        values = np.stack(list(_images(folder)))
        ways["numpy in memory"] = lambda viewer: viewer.add_image(values, **kwargs)
    ways["brainxr"] = lambda viewer: brainxr.view(vol, viewer, contrast_limits=(0, 255))
    if PEERS["tutorial"].missing is None:
        stack = PEERS["tutorial"].open(folder)
        ways["tutorial"] = lambda viewer: viewer.add_image(stack, **kwargs)
    return ways


def _images(folder: str) -> Iterator[Any]:
    for path in paths_of(folder):
        if path.endswith(".tif"):  # and no notice of where a brain comes from
            yield tifffile.imread(path)


class _Window:
    """A window with one layer, and a clock that stops when it has been drawn."""

    def __init__(self, add: Callable[[Any], Any]) -> None:
        import napari
        from qtpy.QtWidgets import QApplication
        from vispy.gloo import gl

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*WINDOW)
        add(self.viewer)
        self._events = QApplication.processEvents
        self._drawn = 0
        # napari has no public sign that a frame is complete
        canvas = self.viewer.window._qt_viewer.canvas

        def count(event: Any) -> None:
            gl.glFinish()
            self._drawn += 1

        canvas.events.draw.connect(count, position="last")

    def size(self, axis: int) -> int:
        return int(self.viewer.layers[0].data.shape[axis])

    def turn(self, axis: int) -> None:
        """Look along an axis, at its first plane, and wait until nothing moves.

        Of an odd number napari shows the one in the middle, and a step to that draws nothing.
        """
        self.viewer.dims.order = (axis, *(a for a in range(3) if a != axis))
        self.viewer.dims.set_current_step(axis, 0)
        self.viewer.reset_view()
        self._settle()

    def zoom(self, pixels_per_um: float) -> None:
        """Zoom, and wait until nothing moves."""
        self.viewer.camera.zoom = pixels_per_um
        self._settle()

    def _settle(self) -> None:
        end = time.perf_counter() + SETTLED
        while time.perf_counter() < end:
            self._events()

    def step(self, axis: int, place: int) -> float:
        """Seconds from moving the slider until the new picture has been drawn."""
        self._settle()
        before, start = self._drawn, time.perf_counter()
        self.viewer.dims.set_current_step(axis, place)
        while self._drawn == before:
            self._events()
            if time.perf_counter() - start > 600:
                raise TimeoutError("The window was not drawn for ten minutes.")
        return time.perf_counter() - start

    def picture(self) -> np.ndarray:
        return np.asarray(self.viewer.screenshot(flash=False)[..., :3], np.int16)


# --- a store ----------------------------------------------------------------------


def _store_steps() -> dict[str, tuple[str, bool]]:
    """Rows of a store: the axis, and whether a pixel on screen has four voxels, or one."""
    return {
        store_row(axis, name): (axis, name.endswith("zoomed out"))
        for name in STORE_STEPS for axis in AXES
    }  # fmt: skip


def measure_store_steps(store: str, rows: list[str], repeats: int, budget: float) -> list[Cell]:
    """Time steps in a window that shows a store, at its finest level and at a coarse one."""
    import brainxr

    volume = brainxr.open(store)
    window = _Window(lambda viewer: brainxr.view(volume, viewer, contrast_limits=(0, 255)))
    voxel = float(volume["x"].attrs["spacing"])
    cells = []
    for row in rows:
        dim, is_out = _store_steps()[row]
        cell, axis = Cell(row, "brainxr", "brainxr"), AXES.index(dim)
        window.turn(axis)
        window.zoom(1 / (4 * voxel if is_out else voxel))
        middle = window.size(axis) // 2
        window.step(axis, middle)
        for repeat in range(repeats):
            cell.seconds.append(window.step(axis, middle + 1 + repeat))
        cell.problem = _wrong_plane(window, store, axis, middle + repeats, is_out)
        cell.failed = cell.problem is not None
        cells.append(cell)
    window.viewer.close()
    return cells


def _wrong_plane(window: _Window, store: str, axis: int, place: int, is_out: bool) -> str | None:
    """What is wrong with what is shown, compared with zarr-python's plane of that level."""
    import zarr

    layer = window.viewer.layers[0]
    if (layer.data_level > 0) != is_out:
        return f"level {layer.data_level} is shown"
    group = zarr.open_group(store, mode="r")
    ome: Any = group.attrs["ome"]
    level, finest = (ome["multiscales"][0]["datasets"][i] for i in (layer.data_level, 0))
    finer, coarser = (d["coordinateTransformations"][0]["scale"][axis] for d in (finest, level))
    key: list[Any] = [slice(a, b + 1) for a, b in layer.corner_pixels.T.tolist()]
    key[axis] = place // round(coarser / finer)
    values: Any = group[level["path"]]
    # napari has no public way to what it drew
    found, wanted = np.asarray(layer._slice.image.raw), np.asarray(values[tuple(key)])
    if window.picture().std() < 1:
        return "the window shows nothing"
    return None if np.array_equal(found, wanted) else "the plane is wrong"


def linked_views(viewer: Any) -> list[Any]:
    """The three views of a window that was parted, its own first; else that one alone."""
    from napari_orthogonal_views.ortho_view_manager import _VIEWER_MANAGERS

    manager = _VIEWER_MANAGERS.get(viewer)
    if manager is None or not manager.is_shown():
        return [viewer]
    others = (manager.right_widget, manager.bottom_widget)
    return [viewer, *(widget.vm_container.viewer_model for widget in others)]


MEASURED = {function.__name__: function for function in (measure_steps, measure_store_steps)}

if __name__ == "__main__":
    what, *arguments = json.loads(sys.argv[1])
    cells = MEASURED[what](*arguments)
    print(json.dumps([dataclasses.asdict(cell) for cell in cells]))
