"""All that there is to look at, in a real window: ``python -m benchmarks.looking FOLDER``.

Nine things a person does with a volume, each as that person would (drops, clicks, drags of
a slider), and each compared with what tifffile and numpy make of the same slices. Prints a
table in Markdown. The exit code is 1 where anything is wrong, never because it is slow.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile
import xarray as xr

import brainxr
from benchmarks import window
from benchmarks.measure import Cell
from benchmarks.memory import bytes_read, difference
from benchmarks.results import describe_machine
from benchmarks.stacks import paths_of

AXES = window.AXES
LONGEST = 600.0  # seconds that anything may take
TICK = 20  # milliseconds from which to which a living window answers
SAMPLED = 12  # planes of which all voxels are compared
FRAMES = 128  # of a movie, at most
NAPARI_FILLS = 0.95  # of a picture, as it resets its view
STEPS, STEPS_BUDGET = 3, 10.0  # of the slider along each axis; seconds for a peer

DESCRIPTION = """\
Look at a stack of slices in every way that there is, in a real window, and compare it with
what tifffile and numpy make of the slices. Without a folder it is a small phantom; with
"mni152" the MNI152 brain; and a phantom of full size is made by
brainxr sample phantom FOLDER --shape 1280 1760 1760 (4 GB).
"""


class WrongError(Exception):
    """Something is not what the slices say."""


def check(is_right: bool, what: str) -> None:
    if not is_right:
        raise WrongError(what)


@dataclass(frozen=True)
class Seen:
    """One line of the table."""

    point: str
    what: str
    found: str
    seconds: float | None = None


@dataclass(frozen=True)
class Oracle:
    """The slices, read by tifffile."""

    folder: str
    scratch: Path
    repeats: int = window.FIRST_REPEATS

    @cached_property
    def paths(self) -> list[str]:
        return [path for path in paths_of(self.folder) if path.lower().endswith((".tif", ".tiff"))]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        return len(self.paths), *tifffile.imread(self.paths[0]).shape

    @cached_property
    def spacing(self) -> float:
        """In µm along each axis, by ImageJ's words in the first slice."""
        with tifffile.TiffFile(self.paths[0]) as file:
            return float((file.imagej_metadata or {})["spacing"])

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * tifffile.imread(self.paths[0]).itemsize

    def plane(self, axis: int, place: int) -> np.ndarray:
        if axis == 0:
            return np.asarray(tifffile.imread(self.paths[place]))
        key = (place,) if axis == 1 else (slice(None), place)
        return np.stack([self._mapped(path)[key] for path in self.paths])

    def part(self, z: Sequence[int], rest: Any = ...) -> np.ndarray:
        return np.stack([self._mapped(self.paths[place])[rest] for place in z])

    def _mapped(self, path: str) -> np.ndarray:
        try:
            return np.asarray(tifffile.memmap(path, mode="r"))
        except ValueError:  # compressed
            return np.asarray(tifffile.imread(path))


# --- a living window --------------------------------------------------------------


@dataclass
class Pulse:
    """When the window answered, and so how long it stood still."""

    ticks: list[float] = field(default_factory=list)

    @property
    def longest(self) -> float:
        return max(b - a for a, b in itertools.pairwise(self.ticks))


def until(condition: Callable[[], object], *steps: Callable[[], object]) -> Pulse:
    """Do these things in napari's event loop, one after the other, and wait; feel its pulse."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer, pulse, todo = QEventLoop(), QTimer(), Pulse([time.perf_counter()]), [*steps]
    failures: list[BaseException] = []

    def tick() -> None:
        pulse.ticks.append(time.perf_counter())
        try:
            if todo:
                todo.pop(0)()
            elif condition() or pulse.ticks[-1] - pulse.ticks[0] > LONGEST:
                loop.quit()
        except BaseException as error:
            failures.append(error)
            loop.quit()

    timer.timeout.connect(tick)
    timer.start(TICK)
    loop.exec()
    timer.stop()
    pulse.ticks.append(time.perf_counter())
    if failures:
        raise failures[0]
    check(bool(condition()), "it never came")
    return pulse


def settle() -> None:
    until(lambda: True, *[lambda: None] * 5)


@contextmanager
def viewed(data: xr.DataArray, **kwargs: Any) -> Iterator[Any]:
    viewer = brainxr.view(data, block=False, **kwargs)
    viewer.window.resize(*window.WINDOW)
    try:
        settle()
        yield viewer
    finally:
        viewer.close()
        settle()


def drawn(layer: Any) -> np.ndarray:
    return np.asarray(layer._slice.image.raw)  # napari has no public way to what it drew


def picture(viewer: Any) -> np.ndarray:
    return np.asarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3], np.int16)


def check_layer(layer: Any, oracle: Oracle) -> None:
    check(np.allclose(layer.scale, oracle.spacing), f"scale {layer.scale}")
    check({str(unit) for unit in layer.units} == {"micrometer"}, f"units {layer.units}")
    check(tuple(layer.axis_labels) == AXES, f"axes {layer.axis_labels}")
    values = oracle.plane(0, oracle.shape[0] // 2)
    low, high = layer.contrast_limits
    inside = ((values > low) & (values < high)).mean()
    check(values.min() <= low < high <= values.max() and inside > 0.2, f"contrast {low}, {high}")


# --- the nine points --------------------------------------------------------------


def from_napari(oracle: Oracle) -> Iterator[Seen]:
    """A reader by name, and a folder that is dropped."""
    import napari
    from napari.settings import get_settings

    get_settings().plugins.extension2reader = {f"{oracle.folder}*": "brainxr"}
    for what, add in (("viewer.open(plugin=…)", open_folder), ("a folder dropped", drop_folder)):
        viewer = napari.Viewer()
        start = time.perf_counter()
        until(lambda viewer=viewer: viewer.layers, lambda add=add, v=viewer: add(v, oracle.folder))
        picture(viewer)
        taken = time.perf_counter() - start
        check_layer(viewer.layers[0], oracle)
        check_plane(viewer, oracle)
        viewer.close()
        settle()
        yield Seen("1 plugin", what, "scale, unit, axes, contrast and plane are right", taken)


def open_folder(viewer: Any, folder: str) -> None:
    viewer.open(folder, plugin="brainxr")


def drop_folder(viewer: Any, folder: str) -> None:
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(folder)])
    event = QDropEvent(
        QPointF(9, 9), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    viewer.window._qt_viewer.dropEvent(event)


def check_plane(viewer: Any, oracle: Oracle) -> None:
    """The plane at the slider is the one that is drawn."""
    settle()  # napari chooses a level, and the part of it in sight, as it draws
    axis = viewer.dims.not_displayed[0]
    place = round(viewer.dims.point[axis] / oracle.spacing)
    wanted = oracle.plane(axis, place)
    displayed = [a for a in range(3) if a != axis]
    wanted = wanted if list(viewer.dims.displayed) == displayed else wanted.T
    found = drawn(viewer.layers[0])
    check(np.array_equal(found, wanted), f"another plane than {place} across {AXES[axis]}")


def three_dimensions(oracle: Oracle) -> Iterator[Seen]:
    """The button for three dimensions is pressed."""
    for preview in ("default", "512 MB"):
        size = None if preview == "default" else preview
        with viewed(brainxr.open(oracle.folder), preview=size) as viewer:
            yield from press_for_volume(viewer, oracle, preview)


def press_for_volume(viewer: Any, oracle: Oracle, preview: str) -> Iterator[Seen]:
    layer, before = viewer.layers[0], bytes_read()
    times: list[tuple[float, int]] = []
    watched = viewer.window._qt_viewer.canvas._scene_canvas.events.draw
    watched.connect(
        lambda event: times.append((time.perf_counter(), shown_size(layer))), position="last"
    )
    button = viewer.window._qt_viewer.viewerButtons.ndisplayButton
    start = time.perf_counter()
    pulse = until(lambda: is_complete(layer, times), button.click)
    read, size = difference(bytes_read(), before) or 0, times[-1][1]
    check(read <= oracle.nbytes * 0.75 or size == oracle.nbytes, f"{read} bytes were read")
    check_preview(drawn(layer), oracle)
    first, last = (next(t for t, s in times if s >= least) - start for least in (2, size))
    what = f"3-D ({preview}), {' x '.join(map(str, drawn(layer).shape))}"
    yield Seen("2 preview", f"{what}: whole", "every voxel within half of one", last)
    yield Seen("2 preview", f"{what}: first picture", "", first)
    yield Seen("2 preview", f"{what}: longest standstill", "", pulse.longest)
    yield Seen("2 preview", f"{what}: turned, a picture", "", turn_volume(viewer))


def shown_size(layer: Any) -> int:
    values = drawn(layer)
    return values.size if values.ndim == 3 else 0


def is_complete(layer: Any, times: list[tuple[float, int]]) -> bool:
    """Whether the last volume is drawn, and none is read any more."""
    from napari.utils import progress

    if progress._all_instances or not times or times[-1][1] < 2:
        return False
    return times[-1][1] == shown_size(layer) and time.perf_counter() - times[-1][0] > 0.5


def turn_volume(viewer: Any) -> float:
    from qtpy.QtWidgets import QApplication
    from vispy.gloo import gl

    seconds = []
    for angle in range(4):
        start = time.perf_counter()
        viewer.scene.camera.angles = (0, 10 * angle, 90 - 7 * angle)
        QApplication.processEvents()
        gl.glFinish()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def check_preview(values: np.ndarray, oracle: Oracle) -> None:
    """Each voxel is the one that is nearest to the middle of its part, or one of two."""
    pairs = [nearest(n, m) for n, m in zip(oracle.shape, values.shape, strict=True)]
    for number in np.unique(np.linspace(0, len(values) - 1, SAMPLED).astype(int)):
        found = [
            oracle.plane(0, int(z[number]))[np.ix_(y, x)] for z, y, x in itertools.product(*pairs)
        ]
        same = np.any([values[number] == one for one in found], axis=0)
        check(bool(same.all()), f"plane {number} of the preview has other voxels")


def nearest(size: int, parts: int) -> list[np.ndarray]:
    middles = (np.arange(parts) + 0.5) * size / parts - 0.5
    return [np.floor(middles + 0.5).astype(int), np.ceil(middles - 0.5).astype(int)]


def right_plane(oracle: Oracle) -> Iterator[Seen]:
    """Every axis across, both ways round, at several places; and a pyramid's levels."""
    with viewed(brainxr.open(oracle.folder), contrast_limits=(0, 255)) as viewer:
        for order in itertools.permutations(range(3)):
            viewer.dims.order = order
            for place in places_of(oracle.shape[order[0]]):
                viewer.dims.set_current_step(order[0], place)
                check_plane(viewer, oracle)
        yield Seen("3 right plane", "6 orders of the axes, 5 planes each", "each is the slider's")
    start = time.perf_counter()
    some = None if max(oracle.shape) > 512 else 3  # what is small has one by itself
    store = brainxr.open(oracle.folder).brain.to_ome_zarr(
        oracle.scratch / "a.ome.zarr", levels=some, progress=False
    )
    yield Seen("3 right plane", "converted to a pyramid", "", time.perf_counter() - start)
    with viewed(brainxr.open(store), contrast_limits=(0, 255)) as viewer:
        levels = sum(check_levels(viewer, str(store), order)
                     for order in itertools.permutations(range(3)))  # fmt: skip
    yield Seen("3 right plane", f"{levels} views of it at every level", "each is its block's")


def places_of(size: int) -> list[int]:
    return [0, size // 3, size // 2, size // 2 + 1, size - 1]


def check_levels(viewer: Any, store: str, order: tuple[int, ...]) -> int:
    """Planes of each level, compared with those that zarr-python reads; how many there were."""
    import zarr

    viewer.dims.order = order
    layer, axis = viewer.layers[0], order[0]
    group = zarr.open_group(store, mode="r")
    ome: Any = group.attrs["ome"]
    scales = [
        (d["path"], d["coordinateTransformations"][0]["scale"][axis])
        for d in ome["multiscales"][0]["datasets"]
    ]
    count = len(layer.data)
    for level, (path, scale) in list(enumerate(scales))[:count]:
        layer.locked_data_level = level
        values: Any = group[path]
        for place in places_of(layer.data[0].shape[axis]):
            viewer.dims.set_current_step(axis, place)
            number = min(int(place / round(scale / scales[0][1])), values.shape[axis] - 1)
            key: list[Any] = [slice(None)] * 3
            key[axis] = number
            wanted = values[tuple(key)]
            wanted = wanted if order[1] < order[2] else wanted.T
            found = drawn(layer)
            rows, columns = found.shape  # a level's last block may be an incomplete one
            same = np.array_equal(found, wanted[:rows, :columns])
            check(same, f"level {level}, plane {place} across {AXES[axis]}")
    layer.locked_data_level = None
    return count * len(places_of(1))


def three_planes(oracle: Oracle) -> Iterator[Seen]:
    """A click in one view moves the others."""
    start = time.perf_counter()
    with viewed(brainxr.open(oracle.folder), planes=True) as viewer:
        views = window.linked_views(viewer)
        taken = time.perf_counter() - start
        until(lambda: all(view.layers[0].loaded for view in views))
        for fraction in (0.5, 0.4):
            for axis, size in enumerate(oracle.shape):
                viewer.dims.set_current_step(axis, int(size * fraction))
            until(lambda: all(view.layers[0].loaded for view in views))
            settle()
            for view in views:
                check_plane(view, oracle)
        yield Seen("4 linked planes", "axial, coronal, sagittal at two points", "right", taken)


def dock_widget(oracle: Oracle) -> Iterator[Seen]:
    """A part is chosen in mm, copied as Python, saved, and a second save is cancelled."""
    from qtpy.QtGui import QGuiApplication

    vol = brainxr.open(oracle.folder)
    with viewed(vol) as viewer:
        _, widget = viewer.window.add_plugin_dock_widget("brainxr", "Brain volume")
        settle()
        low, high = oracle.shape[0] // 2, oracle.shape[0] // 2 + 7
        widget.ranges["z"].low.setValue(low * oracle.spacing / 1000)
        widget.ranges["z"].high.setValue(high * oracle.spacing / 1000)
        widget.copy.click()
        copied: Any = eval(QGuiApplication.clipboard().text(), {"vol": vol, "brainxr": brainxr})
        wanted = oracle.part(range(low, high + 1))
        check(np.array_equal(copied.values, wanted), "what was copied is another part")
        yield Seen("5 widget", "8 slices chosen in mm, copied as Python", "the same voxels")
        target, start = oracle.scratch / "part_slices", time.perf_counter()
        pulse = until(lambda: widget.job is None, lambda: widget.save_part(str(target)))
        taken = time.perf_counter() - start
        saved = np.stack([tifffile.imread(path) for path in sorted(target.glob("*.tif"))])
        check(np.array_equal(saved, wanted), "what was saved is another part")
        yield Seen("5 widget", "saved as TIFF slices", "the same voxels", taken)
        yield Seen("5 widget", "saving: longest standstill", "", pulse.longest)
        yield cancelled(widget, oracle)


def cancelled(widget: Any, oracle: Oracle) -> Seen:
    """A save of everything that is called off as soon as it has begun."""
    widget.take_whole()
    target = oracle.scratch / "all.ome.zarr"
    begun = time.perf_counter()
    until(lambda: widget.job is None, lambda: widget.save_part(str(target)), widget.cancel.click)
    taken = time.perf_counter() - begun
    left = sorted(path.name for path in oracle.scratch.glob("*all*"))
    check(not left, f"{left} is left behind")
    return Seen("5 widget", "a save of everything, cancelled", "nothing is left", taken)


def back_again(oracle: Oracle) -> Iterator[Seen]:
    """What was drawn, painted and marked comes back where it was."""
    from napari._app_model.actions._file import new_labels, new_points, new_shapes

    vol = brainxr.open(oracle.folder)
    z, y, x = (size // 2 for size in oracle.shape)
    step = oracle.spacing
    with viewed(vol) as viewer:
        viewer.dims.set_current_step(0, z)
        seen = brainxr.selection(viewer)
        check(float(seen.z) == z * step, f"the plane on screen is at {float(seen.z)} µm")
        check(np.array_equal(seen.values, oracle.part([z])[0]), "the plane is another")
        for make in (new_shapes, new_labels, new_points):
            viewer.layers.selection.active = viewer.layers[0]
            make(viewer)
        shapes, labels, points = viewer.layers[1:]
        corners = [[z, y, x], [z, y, x + 9], [z, y + 6, x + 9], [z, y + 6, x]]
        shapes.add_rectangles(np.array(corners, float))
        box = brainxr.selection(shapes)
        wanted = oracle.part([z])[0][y : y + 7, x : x + 10]
        check(np.array_equal(np.squeeze(box.values), wanted), "the rectangle's part is another")
        check(box.y.values[0] == vol.y.values[y], "the rectangle is elsewhere")
        labels.paint((z, y, x), 1)
        mask = brainxr.labels(labels).sel(z=vol.z[z])
        mean = float(vol.sel(z=vol.z[z]).where(mask == 1).mean())
        painted = np.asarray(labels.data[z]) == 1
        check(np.isclose(mean, oracle.part([z])[0][painted].mean()), f"the mean is {mean}")
        points.add([z, y, x])
        place = brainxr.points(points).iloc[0][[*AXES]].to_numpy(float)
        check(np.array_equal(place, np.array([z, y, x]) * step), f"the point is at {place}")
        yield Seen("6 back again", "plane, rectangle, labels, point", "exact")
        yield one_unit(viewer)


def one_unit(viewer: Any) -> Seen:
    units = {str(unit) for layer in viewer.layers for unit in layer.units}
    check(units == {"micrometer"}, f"the layers are in {units}")
    overlays = viewer.canvas.overlays
    check(overlays.scale_bar.visible, "there is no scale bar")
    check(overlays.text.text.endswith(" mm"), f"the corner says {overlays.text.text!r}")
    return Seen("7 one unit", "4 layers, scale bar, place in mm", f"µm; “{overlays.text.text}”")


def first_picture(oracle: Oracle) -> Iterator[Seen]:
    """Each in a process of its own, in turn, beside the repaired tutorial."""
    middle = oracle.paths[len(oracle.paths) // 2]
    cells = [Cell(window.FIRST_ROW, way, role) for way, (role, _) in window.OPENING.items()]
    for _ in range(oracle.repeats):
        for cell in cells:
            window.time_first(cell, oracle.folder, middle)
    yield from told(cells)


def slider_steps(oracle: Oracle) -> Iterator[Seen]:
    """In one window each, in turn, beside the repaired tutorial."""
    rows = [window.step_row(axis) for axis in AXES]
    yield from told(window.measure_steps(oracle.folder, rows, STEPS, STEPS_BUDGET))


def told(cells: Sequence[Cell]) -> Iterator[Seen]:
    for cell in cells:
        check(cell.role != "brainxr" or not cell.failed, f"{cell.row}: {cell.problem}")
        yield Seen("8 time to look", f"{cell.row}: {cell.way}", cell.problem or "", cell.median)


def standstill(oracle: Oracle) -> Iterator[Seen]:
    """How long the window stands still while a person moves the sliders of every axis."""
    with viewed(brainxr.open(oracle.folder)) as viewer:
        layer = viewer.layers[0]
        for axis, size in enumerate(oracle.shape):
            order = (axis, *(a for a in range(3) if a != axis))
            until(lambda: layer.loaded, lambda order=order: setattr(viewer.dims, "order", order))
            steps = [
                (lambda axis=axis, n=n: viewer.dims.set_current_step(axis, n))
                for n in range(size // 2, size // 2 + 10)
            ]
            pulse = until(lambda: layer.loaded, *steps)
            check_plane(viewer, oracle)
            what = f"10 steps along {AXES[axis]}: longest standstill"
            yield Seen("8 time to look", what, "", pulse.longest)


def pictures(oracle: Oracle) -> Iterator[Seen]:
    """A movie whose frames are the planes, and napari's picture without a window."""
    import av

    vol = brainxr.open(oracle.folder)
    first = max(0, oracle.shape[0] // 2 - FRAMES // 2)
    part = vol[first : first + FRAMES]
    start = time.perf_counter()
    path = brainxr.movie(part, oracle.scratch / "axial.mp4", axis="z", size=400, progress=False)
    taken = time.perf_counter() - start
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray8") for frame in container.decode(video=0)]
    check(len(frames) == part.sizes["z"], f"{len(frames)} frames of {part.sizes['z']} planes")
    for number in (len(frames) // 3, len(frames) // 2, 2 * len(frames) // 3):
        check_alike(frames[number], oracle.plane(0, first + number), f"frame {number}")
    yield Seen("9 pictures", f"movie of {len(frames)} planes", "each is its plane", taken)
    start = time.perf_counter()
    place = oracle.shape[2] // 2
    at = {"x": place * oracle.spacing}
    path = brainxr.screenshot(vol, oracle.scratch / "sagittal.png", axis="x", at=at)
    taken = time.perf_counter() - start
    check_alike(read_png(path), oracle.plane(2, place), "the picture", NAPARI_FILLS)
    yield Seen("9 pictures", "screenshot of a sagittal plane", "it is the plane", taken)


def read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as found:
        return np.asarray(found.convert("L"))


def check_alike(found: np.ndarray, plane: np.ndarray, what: str, fill: float = 1.0) -> None:
    """A picture is bright where the plane is that fills so much of it along one side."""
    height, width = found.shape
    scale = fill * min(height / plane.shape[0], width / plane.shape[1])
    rows, columns = (
        ((np.arange(n) - (n - 1) / 2) / scale + (m - 1) / 2).round().astype(int)
        for n, m in zip(found.shape, plane.shape, strict=True)
    )
    keep = [(p >= 0) & (p < m) for p, m in zip((rows, columns), plane.shape, strict=True)]
    wanted = plane[np.ix_(rows[keep[0]], columns[keep[1]])].astype(float)
    check(wanted.std() > 0, f"{what} is of a plane that is empty")
    seen = found[np.ix_(*keep)].astype(float)
    likeness = np.corrcoef(blurred(seen).ravel(), blurred(wanted).ravel())[0, 1]
    check(likeness > 0.8, f"{what} is like the plane by {likeness:.2f} only")


def blurred(values: np.ndarray, edge: int = 4) -> np.ndarray:
    """Means of blocks, to which noise of single voxels and their rounding add nothing."""
    rows, columns = (n // edge for n in values.shape)
    whole = values[: rows * edge, : columns * edge]
    return whole.reshape(rows, edge, columns, edge).mean((1, 3))


POINTS: dict[str, Callable[[Oracle], Iterator[Seen]]] = {
    "plugin": from_napari,
    "preview": three_dimensions,
    "planes": right_plane,
    "linked": three_planes,
    "widget": dock_widget,
    "back": back_again,
    "first": first_picture,
    "steps": slider_steps,
    "standstill": standstill,
    "pictures": pictures,
}


# --- the command ------------------------------------------------------------------


def look(oracle: Oracle, points: Sequence[str]) -> Iterator[Seen]:
    """Each line of the table as it is known; what goes wrong is one, too."""
    for name in points:
        try:
            yield from POINTS[name](oracle)
        except Exception as error:
            yield Seen(name, "WRONG", f"{type(error).__name__}: {error}")


def table(seen: Sequence[Seen]) -> str:
    lines = ["| point | what | found | seconds |", "|---|---|---|--:|"]
    for one in seen:
        seconds = "" if one.seconds is None else f"{one.seconds:.3g}"
        lines.append(f"| {one.point} | {one.what} | {one.found} | {seconds} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.looking", description=DESCRIPTION)
    parser.add_argument("folder", nargs="?", help='of slices; or "mni152"')
    parser.add_argument("--only", nargs="+", choices=list(POINTS), default=list(POINTS))
    parser.add_argument("--repeats", type=int, default=window.FIRST_REPEATS, metavar="N",
                        help="first pictures of each kind (default: %(default)s)")  # fmt: skip
    options = parser.parse_args(arguments)
    reason = window.no_window()
    if reason is not None:
        parser.error(f"No window can be opened: {reason}.")
    with tempfile.TemporaryDirectory() as scratch:
        # no preferences of a person's are read, or changed
        os.environ["NAPARI_CONFIG"] = os.path.join(scratch, "settings.yaml")
        folder = folder_of(options.folder)
        os.environ["BRAINXR_CACHE"] = os.path.join(scratch, "cache")  # and no levels of a stack
        warnings.simplefilter("ignore")
        seen = []
        for one in look(Oracle(folder, Path(scratch), options.repeats), options.only):
            print(table([one]).splitlines()[-1], file=sys.stderr, flush=True)
            seen.append(one)
    print(described(options.folder), table(seen), sep="\n\n")
    return int(any(one.what == "WRONG" for one in seen))


def folder_of(name: str | None) -> str:
    if name is None or name == "mni152":
        return str(brainxr.sample(name or "phantom", progress=False))
    return os.path.abspath(name)


def described(folder: str | None) -> str:
    machine = describe_machine()
    kept = ("processor", "cores", "memory", "system", "Python", "napari")
    facts = ", ".join(f"{key} {machine[key]}" for key in kept if key in machine)
    return f"{os.path.basename(folder or 'phantom')}, {time.strftime('%Y-%m-%d')}: {facts}"


if __name__ == "__main__":
    sys.exit(main())
