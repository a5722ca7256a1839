"""The dock widget "Brain volume": open, choose a part in mm, and take it somewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import xarray as xr
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from brainxr.api import open as open_volume
from brainxr.errors import GeometryError
from brainxr.plugin.jobs import Job
from brainxr.plugin.part import Part, facts
from brainxr.plugin.rangerow import RangeRow
from brainxr.plugin.saving import Report, formats, save
from brainxr.viewing.added import shown_by
from brainxr.viewing.background import keep_responsive
from brainxr.viewing.fromviewer import selection
from brainxr.viewing.napari_private import qt_window, unwrapped
from brainxr.viewing.viewer import add_prepared, prepare_layer

# What a person does that can't be, as opposed to a mistake of ours.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError, KeyError, MemoryError)


class VolumeWidget(QWidget):
    """Open a volume, choose a part of it by ranges in mm, and show, copy or save that.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = unwrapped(napari_viewer)
        self.part: Part | None = None
        self.job: Job | None = None
        self.ranges: dict[str, RangeRow] = {}
        self._lay_out()
        self.viewer.layers.selection.events.active.connect(self._take_active)
        qt_window(self.viewer).installEventFilter(self)
        keep_responsive(self.viewer)
        self._show_part()
        self._take_active()

    # --- what is in it ---

    def _lay_out(self) -> None:
        # no key of a button is one of napari's menus: F, V, L, P, W, H
        layout = QVBoxLayout(self)
        layout.addWidget(self._opening())
        self.facts = QGridLayout()
        self.facts.setColumnStretch(1, 1)
        layout.addWidget(_group("Volume", self.facts))
        layout.addWidget(self._choosing())
        layout.addLayout(self._actions())
        layout.addWidget(self._waiting())
        layout.addStretch()
        self.setMinimumWidth(340)

    def _opening(self) -> QWidget:
        self.path = QLineEdit()
        self.path.setPlaceholderText("Folder, store, file or pattern")
        self.path.setToolTip("What brainxr.open takes; Return opens it")
        self.path.setAccessibleName("Path of a volume")
        self.path.returnPressed.connect(lambda: self.open(self.path.text()))
        line = QHBoxLayout()
        line.addWidget(self.path, 1)
        line.addWidget(_button("F&older…", "A folder of slices, or a store", self._ask_folder))
        line.addWidget(_button("Fil&e…", "A volume in one file", self._ask_file))
        return _group("Open", line)

    def _choosing(self) -> QWidget:
        self.rows = QGridLayout()
        self.rows.setColumnStretch(1, 1)
        self.rows.setColumnStretch(2, 1)
        self.size_text, self.cost_text = _text("Size of the part"), _text("What reading it takes")
        line = QHBoxLayout()
        self.from_view = _button("F&rom view", "Take the ranges that are on screen", self.take_view)
        self.all = _button("All of i&t", "Take the whole volume", self.take_whole)
        line.addWidget(self.from_view)
        line.addWidget(self.all)
        line.addStretch()
        column = QVBoxLayout()
        for part in (self.rows, line):
            column.addLayout(part)
        for label in (self.size_text, self.cost_text):
            column.addWidget(label)
        return _group("Part", column)

    def _actions(self) -> QHBoxLayout:
        self.add = _button("A&dd as layer", "Show the part at its true place", self.add_part)
        self.copy = _button("&Copy as Python", "Put the selection on the clipboard", self.copy_code)
        endings = ", ".join(each.name for each in formats())
        self.save = _button("&Save…", f"Write the part: {endings}", self._ask_target)
        line = QHBoxLayout()
        for button in (self.add, self.copy, self.save):
            line.addWidget(button, 1)
        return line

    def _waiting(self) -> QWidget:
        self.bar, self.cancel = QProgressBar(), _button("Cancel", "Stop, and leave nothing", None)
        self.cancel.clicked.connect(self.stop)
        self.wait = QWidget()
        line = QHBoxLayout(self.wait)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.bar, 1)
        line.addWidget(self.cancel)
        self.wait.hide()
        return self.wait

    # --- the volume ---

    def open(self, path: str) -> None:
        """Open a volume in the background."""
        name = os.path.basename(path.rstrip("/")) or path
        self._begin(f"Opening {name}", lambda report: Part.whole(open_volume(path)), self._take)

    def take_volume(self, volume: xr.DataArray) -> None:
        """Choose from this volume from now on; of the one that is there, nothing changes."""
        if self.part is None or self.part.volume is not volume:
            self._take(Part.whole(volume))

    def take_whole(self) -> None:
        """Take all of the volume."""
        if self.part is not None:
            self._take(Part.whole(self.part.volume))

    def take_view(self) -> None:
        """Take the ranges that are on screen."""
        if self.part is not None:
            part = self.part
            self._try(lambda: self._take(part.like(selection(self.viewer, part.volume))))

    def _take_active(self, event: Any = None) -> None:
        volume = shown_by(self.viewer.layers.selection.active)
        if volume is not None and self.job is None:
            self._try(lambda: self.take_volume(volume))

    def _take(self, part: Part) -> None:
        is_new = self.part is None or self.part.volume is not part.volume
        self.part = part
        if is_new:
            self._make_rows(part)
        for dim, row in self.ranges.items():
            row.put(*part.ranges[dim])
        self._show_part()

    def _make_rows(self, part: Part) -> None:
        for row in self.ranges.values():
            row.remove(self.rows)
        self.ranges = {dim: RangeRow(dim, part.volume) for dim in part.ranges}
        for number, (dim, row) in enumerate(self.ranges.items()):
            row.add_to(self.rows, number)
            row.changed.connect(lambda low, high, dim=dim: self._change(dim, low, high))
        while item := self.facts.takeAt(0):
            _discard(item.widget())
        for number, (name, value) in enumerate(facts(part.volume).items()):
            self.facts.addWidget(QLabel(name), number, 0, Qt.AlignmentFlag.AlignTop)
            self.facts.addWidget(_text(name, value), number, 1)

    def _change(self, dim: str, low: float, high: float) -> None:
        if self.part is not None:
            self.part = self.part.within(dim, low, high)
            self._show_part()

    def _show_part(self) -> None:
        """What the part is and costs; or why there is none."""
        size, cost, is_there = self._told()
        self.size_text.setText(size)
        self.cost_text.setText(cost)
        for button in (self.add, self.copy, self.save):
            button.setEnabled(is_there and self.job is None)
        for button in (self.from_view, self.all):
            button.setEnabled(self.part is not None)

    def _told(self) -> tuple[str, str, bool]:
        if self.part is None:
            return "Nothing is open yet.", "", False
        try:
            return self.part.size, self.part.cost, True
        except GeometryError as error:
            return str(error), "", False

    # --- where it goes ---

    def add_part(self) -> None:
        """Add the part to the viewer; what it reads for the contrast is read beside the window."""
        if self.part is None:
            return
        data = self.part.data
        self._begin(
            "Adding a layer",
            lambda report: prepare_layer(data),
            lambda layer: self._try(lambda: add_prepared(self.viewer, data, layer)),
        )

    def copy_code(self) -> None:
        """Put Python that makes the selection onto the clipboard."""
        if self.part is not None:
            code = self.part.code
            clipboard: Any = QGuiApplication.clipboard()
            clipboard.setText(code)
            show_info(f"Copied: {code}")

    def save_part(self, path: str) -> None:
        """Write the part in the background, whole or not at all."""
        if self.part is None:
            return
        data = self.part.data
        self._begin(
            f"Saving {os.path.basename(path)}",
            lambda report: save(data, path, report),
            lambda there: show_info(f"Wrote {there}"),
            can_stop=True,
        )

    def stop(self) -> None:
        """Cancel what is going on."""
        if self.job is not None:
            self.job.stop()

    def _begin(
        self, what: str, work: Callable[[Report], Any], then: Callable[[Any], object],
        can_stop: bool = False,
    ) -> None:  # fmt: skip
        if self.job is not None:
            show_error(f"{self.job.what} goes on still. Wait until it is finished, or cancel it.")
            return
        self.job = job = Job(what, work)
        self.job.told.connect(self._progress)
        self.job.stopping.connect(lambda: self.cancel.setEnabled(False))
        self.job.ended.connect(self._ended)
        # what can't be stopped may come when its window is closed
        job.done.connect(lambda result: then(result) if can_stop or not job.is_unwanted else None)
        self.job.failed.connect(_notify)
        self.bar.setRange(0, 0)
        self.bar.setFormat(f"{what}: %p %")
        self.cancel.setEnabled(can_stop)
        self.wait.show()
        self._show_part()
        self.job.start()

    def _progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * done / max(total, 1)))

    def _ended(self) -> None:
        self.job = None
        self.wait.hide()
        self._show_part()

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except _EXPECTED as error:
            _notify(error)

    # --- questions ---

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of slices, or a store")
        self._open_asked(path)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a file")
        self._open_asked(path)

    def _open_asked(self, path: str) -> None:
        if path:
            self.path.setText(path)
            self.open(path)

    def _ask_target(self) -> None:
        filters = ";;".join(each.filter for each in formats())
        path, chosen = QFileDialog.getSaveFileName(self, "Save the part", "part", filters)
        if path:
            self._try(lambda: self.save_part(_with_ending(path, chosen)))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Cancel what is going on when the window is closed."""
        if event is not None and event.type() == QEvent.Type.Close and self.job is not None:
            self.job.stop()
        return False


def _button(text: str, tip: str, action: Callable[[], object] | None) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    if action is not None:
        button.clicked.connect(lambda checked=False: action())
    return button


def _text(name: str, text: str = "") -> QLabel:
    label = QLabel(os.path.basename(text) if name == "source" else text)
    label.setWordWrap(True)
    label.setToolTip(text or name)
    label.setAccessibleName(name)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _discard(widget: Any) -> None:
    widget.deleteLater()


def _group(title: str, layout: Any) -> QGroupBox:
    group = QGroupBox(title)
    group.setLayout(layout)
    return group


def _notify(error: BaseException) -> None:
    """The whole message in napari's corner."""
    show_error("\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", [])]))


def _with_ending(path: str, chosen: str) -> str:
    """A path with the ending of the filter that was chosen, if it has none that is known."""
    if path.lower().endswith(tuple(end for each in formats() for end in each.endings)):
        return path
    for each in formats():
        if each.filter == chosen and each.endings:
            return path + each.endings[0]
    return path
