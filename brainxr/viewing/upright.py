"""A viewer whose body stands upright, with letters at its edges, where that is known.

Nothing of a layer is changed: napari's camera is turned, so places, sliders and selections are
what they were. There is one camera for all layers. So one volume that knows how it lies turns
it for all; and letters are left out where two volumes contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from brainxr.errors import OrientationWarning, warn
from brainxr.geometry.orientation import Way, edge_letters, towards_viewer, way_of
from brainxr.viewing.added import shown_by
from brainxr.viewing.layers import layer_dims

if TYPE_CHECKING:
    from napari.components import ViewerModel

# napari's positions of texts at the edges of a canvas.
_PLACES = {
    "left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center",
}  # fmt: skip

_kept: WeakSet[Any] = WeakSet()

# Ways by axis, counted from the last one, as napari aligns layers.
Ways = Mapping[int, Way]


def keep_upright(viewer: ViewerModel, *, warns: bool = True) -> None:
    """Turn a viewer so that right, front and top are where they belong, and keep it so.

    What isn't known stays as napari's preferences have it, and so does a camera that
    somebody else turned. Does nothing a second time.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    warns : bool
        Whether to warn of volumes that are added and lie otherwise.
    """
    if viewer.layers in _kept:
        return
    _kept.add(viewer.layers)
    camera, dims = viewer.scene.camera, viewer.dims
    ours = camera.orientation

    def turn(event: Any = None) -> None:
        nonlocal ours
        if camera.orientation == ours:
            camera.orientation = _orientation(known_ways(viewer)[0], tuple(dims.order))
            ours = camera.orientation
        _write_letters(viewer)

    for emitter in (
        viewer.layers.events.inserted, viewer.layers.events.removed, dims.events.order,
        dims.events.ndisplay, camera.events.orientation,
    ):  # fmt: skip
        emitter.connect(turn)
    if warns:
        viewer.layers.events.inserted.connect(_warn_of_others)
    turn()


def known_ways(viewer: ViewerModel) -> tuple[Ways, set[int]]:
    """Where the coordinates along the viewer's axes grow to, and axes of which layers disagree.

    Of those the first layer counts.
    """
    ways: dict[int, Way] = {}
    disagreeing = set()
    for layer in viewer.layers:
        for axis, way in _ways_of(layer).items():
            if ways.setdefault(axis, way) != way:
                disagreeing.add(axis)
    return ways, disagreeing


def _ways_of(layer: Any) -> Ways:
    data = shown_by(layer)
    if data is None:
        return {}
    names = layer_dims(data)
    found = {axis - len(names): way_of(data, name) for axis, name in enumerate(names)}
    return {axis: way for axis, way in found.items() if way is not None}


def _orientation(ways: Ways, order: tuple[int, ...]) -> tuple[str, str, str]:
    """Of napari's camera: where the depth, the rows and the columns grow to on the screen."""
    depth, vertical, horizontal = preferred = _preferred()
    towards, down, across = [None, *(ways.get(axis - len(order)) for axis in order)][-3:]
    if across is not None:
        horizontal = "right" if across.sign > 0 else "left"
    if down is not None:
        vertical = "up" if down.sign > 0 else "down"
    is_near = towards_viewer(towards, down, across)
    if is_near is None:  # no body is known, but napari's own must not be mirrored
        is_mirrored = (vertical != preferred[1]) != (horizontal != preferred[2])
        is_near = (depth == "towards") != is_mirrored
    return "towards" if is_near else "away", vertical, horizontal


def _preferred() -> tuple[str, str, str]:
    from napari.settings import get_settings

    chosen = get_settings().application
    names = ("depth_axis_orientation", "vertical_axis_orientation", "horizontal_axis_orientation")
    depth, vertical, horizontal = (str(getattr(chosen, name)) for name in names)
    return depth, vertical, horizontal


# --- letters ----------------------------------------------------------------------


def _letters(viewer: ViewerModel) -> dict[str, str]:
    """What of a body lies at the edges of the canvas.

    Nothing in three dimensions, where the camera turns, and along an axis that isn't
    known, or of which layers disagree.
    """
    if viewer.dims.ndisplay != 2:
        return {}
    ways, disagreeing = known_ways(viewer)
    sure = {axis: way for axis, way in ways.items() if axis not in disagreeing}
    down, across = (sure.get(axis - viewer.dims.ndim) for axis in viewer.dims.displayed[-2:])
    _, vertical, horizontal = viewer.scene.camera.orientation
    return edge_letters(down, across, (vertical == "down", horizontal == "right"))


def leave_out_letters(viewer: ViewerModel, edges: Iterable[str]) -> None:
    """Hide letters at some edges of a canvas that is too small, as long as nothing turns it."""
    for edge in edges:
        if _name(edge) in viewer.canvas.overlays:
            viewer.canvas.overlays[_name(edge)].visible = False


def _write_letters(viewer: ViewerModel) -> None:
    """Into texts of ours, which are there once they are needed."""
    letters, overlays = _letters(viewer), viewer.canvas.overlays
    for edge, place in _PLACES.items():
        name, letter = _name(edge), letters.get(edge, "")
        if letter and name not in overlays:
            overlays[name] = _text_at(place)
        if name in overlays:
            overlays[name].text, overlays[name].visible = letter, bool(letter)


def _name(edge: str) -> str:
    """Of a text, among those of napari and of others."""
    return f"brainxr_{edge}"


def _text_at(place: str) -> Any:
    from napari.components.overlays import TextOverlay

    return TextOverlay(position=place, font_size=13)


# --- what is worth a warning ------------------------------------------------------


def _warn_of_others(event: Any) -> None:
    """Warn of a volume that was added to others that lie otherwise, or nobody knows how."""
    added, layers = event.value, event.source
    if shown_by(added) is None:
        return
    others = [layer for layer in layers if layer is not added and shown_by(layer) is not None]
    own = _ways_of(added)
    for other in others:
        ways = _ways_of(other)
        if any(ways[axis] != own[axis] for axis in ways.keys() & own.keys()):
            _warn_of_mirrored(added, other)
            return
        if bool(ways) != bool(own):
            _warn_of_unknown(*((other, added) if ways else (added, other)))
            return


def _warn_of_mirrored(added: Any, other: Any) -> None:
    warn(
        f"The coordinates of {added.name!r} and {other.name!r} grow to opposite sides of the body "
        "along an axis (the attribute 'orientation'), and napari draws both by their coordinates: "
        "one is a mirror image of the other, and there are no letters along that axis. Show them "
        "in windows of their own, or bring one onto the other's coordinates.",
        OrientationWarning,
    )


def _warn_of_unknown(known: Any, unknown: Any) -> None:
    warn(
        f"{unknown.name!r} doesn't say how it lies in the body, and {known.name!r} does: the view "
        f"is turned to how {known.name!r} lies, and the letters are of that one only. Say it, for "
        "example vol.z.attrs['orientation'] = 'inferior-to-superior', or show it in a window of "
        "its own.",
        OrientationWarning,
    )
