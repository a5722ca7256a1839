"""Something to be done each time before napari slices its layers.

The only place that leans on napari's private slicer, which has no public sign of that:
callbacks of ``viewer.dims`` come after napari's own, which have read then what was to be
read in another manner. Nothing is done where there is no such slicer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from napari.components import ViewerModel

Hook: TypeAlias = Callable[[], object]

# The slicer itself keeps its hooks, so that they end together.
_HOOKS = "_brainxr_hooks"


def slicer_of(viewer: ViewerModel) -> Any:
    """napari's slicer of a window, or None where it has none like those that we know."""
    slicer: Any = getattr(viewer, "_layer_slicer", None)
    return slicer if hasattr(slicer, "submit") and hasattr(slicer, "_force_sync") else None


def before_slicing(viewer: ViewerModel, hook: Hook) -> Hook:
    """Call a hook before layers are sliced, and before older hooks; gives what ends that."""
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
