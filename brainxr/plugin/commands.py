"""What napari's menus and its command palette call; named in ``napari.yaml``."""

from __future__ import annotations

from brainxr.errors import GeometryError


def show_linked_planes() -> None:
    """Part the current window into three linked planes."""
    from napari import current_viewer

    from brainxr.viewing.orthoviews import link_planes

    # of its own accord: the viewer that napari would pass hides what the plugin needs
    viewer = current_viewer()
    if viewer is None:
        raise GeometryError("There is no window of napari to show three planes in. Open one.")
    link_planes(viewer)
