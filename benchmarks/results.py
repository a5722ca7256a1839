"""Everything that one run found, and the questions that are asked of it."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.graphs import Graph
from benchmarks.measure import Cell

PACKAGES = (
    "brainxr", "numpy", "xarray", "dask", "tifffile", "imagecodecs", "zarr", "scikit-image",
    "dask-image", "bioio", "bioio-tiff-glob", "napari", "PyQt6",
    "tensorstore", "ngff-zarr", "ome-zarr",
)  # fmt: skip


@dataclass
class Results:
    """One run.

    Attributes
    ----------
    size : str
    slices, bytes_per_slice : int
    repeats : int
    machine : dict of str
    cells : list of Cell
    graphs : list of Graph
    """

    size: str
    slices: int
    bytes_per_slice: int
    repeats: int
    machine: dict[str, str]
    cells: list[Cell]
    graphs: list[Graph]

    # --- keeping ---

    def save(self, path: str | Path) -> None:
        """Write everything, beside the file and renamed: an older one is whole until then."""
        path = Path(path)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(dataclasses.asdict(self), indent=1), "utf-8")
        beside.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Results:
        found = json.loads(Path(path).read_text("utf-8"))
        found["cells"] = [Cell(**cell) for cell in found["cells"]]
        found["graphs"] = [Graph(**graph) for graph in found["graphs"]]
        return cls(**found)

    def with_rows_of(self, other: Results, order: Sequence[str]) -> Results:
        """The same, with the rows that another run measured, too, in the place of its own."""
        again = other.rows()
        rows = {**self.rows(), **again}
        names = sorted(rows, key=lambda row: order.index(row) if row in order else len(order))
        cells = [cell for name in names for cell in rows[name]]
        return dataclasses.replace(other, cells=cells, graphs=other.graphs or self.graphs)

    # --- asking ---

    def rows(self) -> dict[str, list[Cell]]:
        """Cells by row, in the order of the table."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.row, []).append(cell)
        return found

    def of(self, row: str, way: str) -> Cell | None:
        return next((cell for cell in self.cells if (cell.row, cell.way) == (row, way)), None)

    def median(self, row: str, way: str) -> float | None:
        cell = self.of(row, way)
        return None if cell is None else cell.median

    def limit(self, row: str) -> float | None:
        """The fastest that the machine itself was, on as many threads as it liked best."""
        return self._least(row, "limit")

    def best_peer(self, row: str) -> float | None:
        """The fastest of the peers that gave the right result."""
        return self._least(row, "peer")

    def _least(self, row: str, role: str) -> float | None:
        cells = (cell for cell in self.cells if cell.row == row and cell.role == role)
        return min((cell.median for cell in cells if cell.median is not None), default=None)

    @property
    def wrong(self) -> list[Cell]:
        """What brainxr itself got wrong."""
        return [cell for cell in self.cells if cell.role == "brainxr" and cell.failed]


def describe_machine() -> dict[str, str]:
    """The machine and the versions of the packages, in words."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    except (AttributeError, ValueError):  # not on Windows
        return "unknown"
