"""Every use of what napari and napari-orthogonal-views call private, each with a fallback.

napari has no public name for some things that a window needs: when layers are sliced, the
Qt window, the canvas. Each function here asks for one of them. Where it is not there, as in
another version of napari, the function does without, and one warning says what is missing.
Nothing is replaced in napari's modules or classes: hooks are kept by the one object (a
viewer's slicer, the manager of a window) that they are for. The exception is one function
of the plugin, `replace_check_of_sight`.

Written for napari 0.9; its next version is allowed because of the fallbacks.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

from brainxr.errors import ViewerWarning, warn

if TYPE_CHECKING:
    from napari.components import ViewerModel

Hook: TypeAlias = Callable[[], object]

# A slicer keeps its hooks itself, so that they end together.
_HOOKS = "_brainxr_hooks"

# Names that were not found; each is told once.
_missing: set[str] = set()


def _tell_missing(name: str, consequence: str) -> None:
    if name in _missing:
        return
    _missing.add(name)
    from napari import __version__

    warn(
        f"napari {__version__} has no {name}, which brainxr uses: {consequence}. Everything else "
        "works; update brainxr, or use napari 0.9.",
        ViewerWarning,
    )


# --- slicing ------------------------------------------------------------------------


def slicer_of(viewer: ViewerModel) -> Any:
    """The object that slices the layers of a viewer, or None where napari has none like it."""
    slicer: Any = getattr(viewer, "_layer_slicer", None)
    if hasattr(slicer, "submit") and hasattr(slicer, "_force_sync"):
        return slicer
    _tell_missing(
        "ViewerModel._layer_slicer",
        "planes that take long to read stop the window, and layers turn after they were read once",
    )
    return None


def before_slicing(viewer: ViewerModel, hook: Hook) -> Hook:
    """Call a hook before layers are sliced, and before older hooks; returns what ends that.

    Callbacks of ``viewer.dims`` come after napari's own, which have read by then.
    """
    slicer = slicer_of(viewer)
    if slicer is None:
        return lambda: None
    if not hasattr(slicer, _HOOKS):
        setattr(slicer, _HOOKS, [])
        _wrap(slicer)
    hooks: list[Hook] = getattr(slicer, _HOOKS)
    hooks.insert(0, hook)

    def end() -> None:
        if hook in hooks:
            hooks.remove(hook)

    return end


def _wrap(slicer: Any) -> None:
    submit, hooks = slicer.submit, getattr(slicer, _HOOKS)

    def submit_after_hooks(**request: Any) -> Any:
        for hook in tuple(hooks):
            hook()
        return submit(**request)

    slicer.submit = submit_after_hooks


def slice_in_foreground(slicer: Any, in_foreground: bool) -> None:
    """Read planes while the window waits, or in a thread of napari's."""
    slicer._force_sync = in_foreground


def is_slicing(slicer: Any) -> bool:
    """True while a plane is being read in a thread."""
    return bool(getattr(slicer, "_layers_to_task", None))


def stop_slicing(viewer: ViewerModel) -> None:
    """End what the slicer of a view still reads."""
    slicer = slicer_of(viewer)
    if hasattr(slicer, "shutdown"):
        slicer.shutdown()


def without_refresh(layer: Any) -> AbstractContextManager[None]:
    """Hold back the slicing of a layer whose data are exchanged; does nothing where it can't."""
    block: Callable[[], AbstractContextManager[None]] = getattr(
        layer, "_block_refresh", nullcontext
    )
    return block()


# --- windows ------------------------------------------------------------------------


def open_viewers() -> list[Any]:
    """All open viewers; where napari does not list them, the current one."""
    import napari

    known = getattr(napari.Viewer, "_instances", None)
    if known is not None:
        return list(known)
    _tell_missing("Viewer._instances", "only the current window takes care of layers it opens")
    current = napari.current_viewer()
    return [] if current is None else [current]


def unwrapped(viewer: Any) -> Any:
    """The viewer itself, of which napari hands a wrapper to plugins that hides private names."""
    return getattr(viewer, "__wrapped__", viewer)


def qt_window(viewer: ViewerModel) -> Any:
    """The QMainWindow of a viewer; None of a model without a window."""
    window: Any = getattr(viewer, "window", None)
    found = getattr(window, "_qt_window", None)
    if window is None or found is not None:
        return found
    _tell_missing("Window._qt_window", "the window is found by its title")
    from qtpy.QtWidgets import QApplication, QMainWindow

    title = viewer.title
    mains = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]
    return next((w for w in mains if title in w.windowTitle()), None)


def canvas_of(viewer: ViewerModel) -> Any:
    """The canvas of a window; None of a model without one, or where napari hides it."""
    window: Any = getattr(viewer, "window", None)
    if window is None:
        return None
    found = getattr(getattr(window, "_qt_viewer", None), "canvas", None)
    if found is None:
        _tell_missing(
            "Window._qt_viewer.canvas",
            "volumes in three dimensions are as large as any graphics card takes",
        )
    return found


def hide_sliders(viewer: ViewerModel) -> None:
    """Hide the sliders under the canvas of a window."""
    sliders = getattr(getattr(viewer.window, "_qt_viewer", None), "dims", None)
    if sliders is None:
        _tell_missing("Window._qt_viewer.dims", "small pictures may be larger than asked for")
        return
    sliders.hide()


def is_chosen_reader() -> bool:
    """True while napari opens a path with the reader that it chose, whose error it would hide."""
    frames = traceback.walk_stack(None)
    return any(frame.f_code.co_name == "_open_or_raise_error" for frame, _ in frames)


# --- linked planes ------------------------------------------------------------------


def linked_manager(plugin: Any, viewer: Any) -> Any:
    """The manager that napari-orthogonal-views has for a window; None where it has none."""
    make = getattr(plugin, "_get_manager", None)
    if make is not None:
        return make(viewer)
    managers: Any = getattr(plugin, "OrthoViewManager", None)
    return None if managers is None else managers(viewer)


def replace_check_of_sight(check: Callable[[Any, Any], tuple[float, float]]) -> None:
    """Have napari-orthogonal-views ask this function where a view's camera should look.

    Its own takes the number of a voxel for a place, within the event that moves all views, where
    no callback comes between; this is the one function of another library that is replaced,
    once somebody asks for linked planes. To go when the plugin uses ``dims.point``.
    """
    from napari_orthogonal_views import ortho_view_widget

    if hasattr(ortho_view_widget, "check_center"):
        ortho_view_widget.check_center = check


def overlay_nodes(canvas: Any, overlay: Any) -> list[Any]:
    """What draws an overlay on a canvas."""
    visuals = getattr(canvas, "_viewer_overlay_to_visual", None)
    if visuals is None:
        _tell_missing("canvas._viewer_overlay_to_visual", "linked planes have no crosshair")
        return []
    return [visual.node for visual in visuals.get(overlay, ())]
