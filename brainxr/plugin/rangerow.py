"""A row of a window in which a range along one axis is chosen, in mm."""

from __future__ import annotations

from typing import Any

import xarray as xr
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel
from superqt import QDoubleRangeSlider

from brainxr.plugin.part import centres_in_mm, spacing_in_mm


class RangeRow(QObject):
    """A range along one axis in mm: a slider with two handles, and a box for each end.

    Attributes
    ----------
    changed : signal of (float, float)
        First and last place in mm.
    """

    changed = Signal(float, float)

    def __init__(self, dim: str, volume: xr.DataArray) -> None:
        super().__init__()
        centres = centres_in_mm(volume, dim)
        first, last, step = float(centres.min()), float(centres.max()), spacing_in_mm(volume, dim)
        self.label = QLabel(dim)
        self.slider: Any = QDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(first, last if last > first else first + step)
        self.slider.setSingleStep(step)
        self.slider.setAccessibleName(f"Range along {dim} in mm")
        self.slider.setEnabled(last > first)
        self.low, self.high = (_box(dim, end, first, last, step) for end in ("First", "Last"))
        self.slider.valueChanged.connect(self._slid)
        for box in (self.low, self.high):
            box.valueChanged.connect(self._typed)

    def add_to(self, grid: QGridLayout, number: int) -> None:
        """Put the widgets into the rows of a grid that are the number's: boxes, then the slider."""
        grid.addWidget(self.label, 2 * number, 0)
        grid.addWidget(self.low, 2 * number, 1)
        grid.addWidget(self.high, 2 * number, 2)
        grid.addWidget(self.slider, 2 * number + 1, 1, 1, 2)

    def remove(self, grid: QGridLayout) -> None:
        """Take the widgets out of a grid again."""
        for widget in (self.label, self.slider, self.low, self.high):
            grid.removeWidget(widget)
            widget.deleteLater()

    def put(self, low: float, high: float) -> None:
        """Show a range without saying that it changed."""
        widgets: tuple[Any, ...] = (self.slider, self.low, self.high)
        for widget, value in zip(widgets, ((low, high), low, high), strict=True):
            widget.blockSignals(True)
            widget.setValue(value)
            widget.blockSignals(False)

    def _slid(self, ends: tuple[float, float]) -> None:
        self.put(*ends)
        self.changed.emit(*ends)

    def _typed(self) -> None:
        ends = sorted((self.low.value(), self.high.value()))
        self.slider.blockSignals(True)
        self.slider.setValue(tuple(ends))
        self.slider.blockSignals(False)
        self.changed.emit(*ends)


def _box(dim: str, end: str, first: float, last: float, step: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    decimals = next((n for n in range(6) if round(step, n) == round(step, 6)), 6)
    box.setDecimals(max(decimals, 1))
    box.setRange(first, last)
    box.setSingleStep(step)
    box.setSuffix(" mm")
    box.setKeyboardTracking(False)  # one change for a number that is typed
    box.setAccessibleName(f"{end} place along {dim} in mm")
    box.setToolTip(f"{end} place along {dim}, of voxels' centres, in mm")
    return box
