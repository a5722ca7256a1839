"""Work in a thread beside a window, with a bar in napari's activity dock and a way to stop it.

Qt is touched in the window's thread only: what the work has to say goes there by signals.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from brainxr.plugin.saving import Report, Stopped


class _Bar(cancelable_progress):  # type: ignore[misc]
    """A bar whose cross in the activity dock acts at once, and not at its next step."""

    def cancel(self) -> None:
        super().cancel()
        self.cancel_callback()


class Job(QObject):
    """Something that takes a while.

    Parameters
    ----------
    what : str
        For the bar: ``"Saving slab.ome.zarr"``.
    work : callable
        Is given a function to report progress with, which raises `Stopped` once the job
        is to end. Runs in a thread of its own.

    Attributes
    ----------
    told : signal of (object, object)
        How much is done, and of how much.
    done, failed, ended : signals
        With the result of the work; with its error, unless it was stopped; in any case.
    stopping : signal
        When it was asked to end.
    """

    told = Signal(object, object)
    done = Signal(object)
    failed = Signal(object)
    ended = Signal()
    stopping = Signal()
    _returned = Signal(object, object)

    def __init__(self, what: str, work: Callable[[Report], Any]) -> None:
        super().__init__()
        self.what = what
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"brainxr: {what}")
        self._bar: Any = None
        self.told.connect(self._show)
        self._returned.connect(self._finish)

    def start(self) -> None:
        """Begin; returns at once."""
        self._bar = _Bar(total=0, desc=self.what, cancel_callback=self.stop)
        self._thread.start()

    def stop(self) -> None:
        """End it as soon as the work next says how far it is."""
        self._stop.set()
        self.stopping.emit()

    @property
    def is_unwanted(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    def wait(self) -> None:
        """Wait for the thread, not for what its signals do."""
        self._thread.join()

    # --- in the thread ---

    def _run(self) -> None:
        result, error = None, None
        try:
            result = self._work(self._report)
        except BaseException as raised:  # whatever it is belongs into the window
            error = raised
        with contextlib.suppress(RuntimeError):  # Qt is gone
            self._returned.emit(result, error)

    def _report(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped
        with contextlib.suppress(RuntimeError):
            self.told.emit(done, total)

    # --- in the window's thread ---

    def _show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._bar.close()
        self.ended.emit()
        if error is None:
            self.done.emit(result)
        elif not isinstance(error, Stopped):
            self.failed.emit(error)
