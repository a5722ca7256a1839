"""Stacks made to measure, their twins in memory, and two watchmen.

Every oracle here is made without brainxr: files by tifffile or by hand, twins by
numpy and xarray (they share only the type of the index), bytes counted by the kernel.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import settings

from brainxr.geometry.index import UnitIndex
from brainxr.viewing.display import has_display

# the time of an example says nothing where the machine is shared
settings.register_profile("brainxr", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("brainxr")

# Axes of a stored stack: along it, down the rows, across the columns.
STORED_AXES = {
    "axial": ("z", "y", "x"),
    "coronal": ("y", "z", "x"),
    "sagittal": ("x", "z", "y"),
}


def unique_values(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Values of which no two neighbours, rows, columns or slices are alike.

    All of them differ where the type has room for it; a type of one byte repeats
    itself in an order that no swap of axes or slices survives.
    """
    dtype = np.dtype(dtype)
    count = np.arange(int(np.prod(shape)), dtype=np.uint64).reshape(shape)
    if dtype.kind == "b":
        return np.random.default_rng(0).random(shape) < 0.5
    if dtype.kind in "fc":
        return (count + np.float64(0.5)).astype(dtype)
    if count.size >= 2 ** (8 * dtype.itemsize):
        count = count * 2654435761 >> 7
    offset = count.size // 2 if dtype.kind == "i" else 0  # negative numbers, too
    with np.errstate(over="ignore"):
        return (count.astype(np.int64) - offset).astype(dtype)


@dataclass(frozen=True)
class MadeStack:
    """A stack on disk and what is in it.

    ``values`` has the axes of the stored stack and holds what is on the regular
    grid of the slice numbers; ``present`` tells which of its slices have a file.
    """

    folder: Path
    paths: list[Path]
    values: np.ndarray
    present: np.ndarray
    numbers: list[int]

    @property
    def path(self) -> str:
        return str(self.folder)

    def twin(
        self, *, spacing: float | Mapping[str, float] = 100.0, plane: str = "axial",
        origin: float | Mapping[str, float] = 0.0, fill: bool = False, **attrs: str,
    ) -> xr.DataArray:  # fmt: skip
        """What brainxr has to make of the stack, made in memory."""
        axes = STORED_AXES[plane]
        steps = {d: spacing[d] if isinstance(spacing, Mapping) else spacing for d in axes}
        zero = {d: origin.get(d, 0.0) if isinstance(origin, Mapping) else origin for d in axes}
        coords: dict[str, Any] = {
            dim: (dim, zero[dim] + steps[dim] * np.arange(n), self._unit(steps[dim]))
            for dim, n in zip(axes, self.values.shape, strict=True)
        }
        names = [path.name for path in self.paths]
        files = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]} ({len(names)} slices)"
        attrs = {"source": self.path, "files": files, "plane": plane, **attrs}
        whole = xr.DataArray(
            self.values.astype(self.values.dtype.newbyteorder("=")),
            coords, axes, "intensity", attrs,
        )  # fmt: skip
        kept = whole if fill else whole.isel({axes[0]: self.present})
        # the one thing of brainxr's that a twin has: indexes of another type are no twins
        kept = kept.drop_indexes(axes)
        for dim in ("z", "y", "x"):
            kept = kept.set_xindex(dim, UnitIndex)
        return kept.transpose("z", "y", "x")

    @staticmethod
    def _unit(spacing: float) -> dict[str, Any]:
        return {"units": "micrometer", "spacing": spacing}


MakeStack = Callable[..., MadeStack]


def make_stack_in(
    parent: Path, shape: tuple[int, int, int] = (5, 7, 11), dtype: Any = "u2", *,
    folder: str = "stack_100um_iso", name: str = "slice_{:03d}.tif",
    numbers: Sequence[int] | None = None, values: Any = None, like_libtiff: bool = False,
    described: bool = False, **options: Any,
) -> MadeStack:  # fmt: skip
    """Write a stack; the options are those of `tifffile.imwrite` or `write_like_libtiff`.

    With `numbers`, the shape tells only rows and columns. With `described`, each
    file carries texts of another length.
    """
    numbers = list(numbers or range(1, shape[0] + 1))
    step = int(np.gcd.reduce(np.diff(numbers))) if len(numbers) > 1 else 1
    present = (np.array(numbers) - numbers[0]) // step
    stored = unique_values((int(present[-1]) + 1, *shape[1:]), dtype)
    stored = stored if values is None else np.array(values)
    stored[np.setdiff1d(np.arange(len(stored)), present)] = 0
    where = parent / folder
    where.mkdir(parents=True)
    paths = [where / name.format(number) for number in numbers]
    write = write_like_libtiff if like_libtiff else tifffile.imwrite
    for i, (path, position) in enumerate(zip(paths, present, strict=True)):
        texts = {"description": f"exposure {'x' * i}", "datetime": "2026:11:22 10:00:00"}
        write(path, stored[position], **options, **(texts if described else {}))
    return MadeStack(where, paths, stored, present, numbers)


@pytest.fixture
def make_stack(tmp_path: Path) -> MakeStack:
    """A factory of stacks, each in a folder of its own."""
    return partial(make_stack_in, tmp_path)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> MadeStack:
    """Five slices of 7 x 11 uint16, 100 µm by the folder's name; to be read only."""
    return make_stack_in(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def stack(make_stack: MakeStack) -> MadeStack:
    """Five slices of 7 x 11 uint16, 100 µm by the folder's name."""
    return make_stack()


# --- TIFF by hand -----------------------------------------------------------------


def write_like_libtiff(
    path: os.PathLike[str], image: np.ndarray, *, byteorder: str = "<", rowsperstrip: int = 4,
    deflate: bool = False, apart: int = 0, description: str = "", datetime: str = "",
) -> None:  # fmt: skip
    """Write a TIFF as libtiff does: pixels first, then texts, the directory last.

    With `apart`, so many bytes that belong to nothing lie behind each strip.
    """
    image = np.ascontiguousarray(image.astype(image.dtype.newbyteorder(byteorder)))
    rows = range(0, len(image), rowsperstrip)
    strips = [image[i : i + rowsperstrip].tobytes() for i in rows]
    strips = [zlib.compress(s) for s in strips] if deflate else strips
    offsets = (8 + np.cumsum([0, *(len(s) + apart for s in strips)])).tolist()
    end = offsets.pop()
    text = f"{description}\0".encode()
    counts = [len(s) for s in strips]
    tables = struct.pack(f"{byteorder}{2 * len(strips)}I", *offsets, *counts)
    where = {"text": end, "offsets": end + len(text), "counts": end + len(text) + 4 * len(strips)}
    single = len(strips) == 1
    inline = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(f"{byteorder}I", where["text"])
    height, width = image.shape
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, image.itemsize * 8),
        (259, 3, 1, 8 if deflate else 1), (262, 3, 1, 1), (270, 2, len(text), inline),
        (273, 4, len(strips), offsets[0] if single else where["offsets"]), (277, 3, 1, 1),
        (278, 4, 1, rowsperstrip), (279, 4, len(strips), counts[0] if single else where["counts"]),
        (339, 3, 1, {"u": 1, "i": 2, "f": 3}[image.dtype.kind]),
    ]  # fmt: skip
    ifd = struct.pack(f"{byteorder}H", len(tags))
    for code, kind, count, value in tags:
        form = "Hxx" if kind == 3 else "I"
        packed = value if isinstance(value, bytes) else struct.pack(f"{byteorder}{form}", value)
        ifd += struct.pack(f"{byteorder}HHI", code, kind, count) + packed
    start = end + len(text) + len(tables)
    magic = b"II*\0" if byteorder == "<" else b"MM\0*"
    head = magic + struct.pack(f"{byteorder}I", start)
    gap = b"\xa5" * apart
    Path(path).write_bytes(
        head + b"".join(s + gap for s in strips) + text + tables + ifd + bytes(4)
    )


# --- watchmen ---------------------------------------------------------------------


@pytest.fixture(autouse=True)
def only_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may connect to another machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else None
        here = host in (None, "localhost", "::1") or str(host).startswith("127.")
        # UDP's connect sends nothing: dask asks by it which address this machine has
        if not here and self.type != socket.SOCK_DGRAM:
            raise AssertionError(f"a test asks {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def display(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a display to tests that are marked `window`, and hide it from all others.

    So no test can open a window without the mark, and with it none runs where there is no
    display: it is skipped, or fails where BRAINXR_REQUIRE_WINDOW is set.
    """
    if request.node.get_closest_marker("window") is None:
        forbid_windows(monkeypatch)
    elif not has_display():
        complain = pytest.fail if os.environ.get("BRAINXR_REQUIRE_WINDOW") else pytest.skip
        complain(NO_DISPLAY)


NO_DISPLAY = "there is no display to open a window on"


def forbid_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the display, and refuse windows of a Qt that has found it before."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    module = sys.modules.get("napari.viewer")

    def refused(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a test opens a window, and is not marked: pytest.mark.window")

    if module is not None:
        monkeypatch.setattr(module.Viewer, "__init__", refused)


@pytest.fixture(autouse=True)
def nothing_left_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may leave a file of data open. Nothing is collected first: that would hide it.

    zarr's threads may still be reading beside what was an error: they are waited for.
    """
    before = open_data(tmp_path_factory)
    yield
    end = time.monotonic() + 10
    while (left := open_data(tmp_path_factory) - before) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, f"left open: {sorted(left)}"


def open_data(factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Descriptors of this process, and the files of data that they are of."""
    if not os.path.isdir("/proc/self/fd"):
        return set()
    here, found = str(factory.getbasetemp()), set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that listed the folder
            continue
        if target.startswith(here) or target.lower().endswith((".tif", ".tiff", ".nii", ".zip")):
            found.add((number, target))
    return found


class Bytes:
    """Bytes that were read from files, and how many reads it took."""

    count = 0
    calls = 0


ByteCounter = Callable[[], AbstractContextManager[Bytes]]


@pytest.fixture
def bytes_read() -> ByteCounter:
    """Count what this process reads, by the kernel's own account (Linux)."""
    if sys.platform != "linux":
        pytest.skip("the kernel counts the bytes read by a process on Linux only")

    def account() -> tuple[int, int]:
        text = Path("/proc/self/io").read_text()
        numbers = dict(line.split(": ") for line in text.splitlines())
        return int(numbers["rchar"]), int(numbers["syscr"])

    @contextmanager
    def counting() -> Iterator[Bytes]:
        # what asking costs by itself
        start = account()
        again = account()
        total = Bytes()
        begin = account()
        yield total
        end = account()
        total.count = end[0] - begin[0] - (again[0] - start[0])
        total.calls = end[1] - begin[1] - (again[1] - start[1])

    return counting


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and no right to read what its owner forbids, be the tester root or not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


# --- what was left out, in a line each ----------------------------------------------

HOW_TO_RUN = {
    NO_DISPLAY: "with a display, or under a virtual one: xvfb-run -a pytest",
    "is not installed": "once the programs are installed (Debian: libtiff-tools imagemagick)",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests were left out, and how to have them run."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        kind = next((known for known in HOW_TO_RUN if known in reason), "other reasons")
        counts[kind] = counts.get(kind, 0) + 1
    for kind, count in counts.items():
        how = f"; they run {HOW_TO_RUN[kind]}" if kind in HOW_TO_RUN else " (pytest -rs lists them)"
        terminalreporter.write_line(f"{count} skipped, as {kind}{how}")
    slow = len(terminalreporter.stats.get("deselected", []))
    if slow:
        terminalreporter.write_line(
            f"{slow} left out, as they take longer or were not asked for; pytest -m slow runs those"
        )
