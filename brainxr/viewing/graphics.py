"""What draws a window: how large a volume it takes, and whether it is the processor itself.

The only user of vispy and OpenGL, which has a name for the card. Nothing is asked where there is no
window.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from brainxr.viewing.napari_private import canvas_of
from brainxr.viewing.preview import Budget, bytes_drawn

if TYPE_CHECKING:
    from napari.components import ViewerModel

# What OpenGL calls itself where there is no graphics card for it: Mesa's, and those of
# Chromium, Windows and macOS.
_PROCESSORS = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "gdi generic",
               "microsoft basic render")  # fmt: skip

# Voxels of a volume that a processor draws: a head in voxels of a millimetre. The time of
# a picture grows with the edge, and it is drawn anew at each move of the mouse.
PROCESSOR_VOXELS = 256**3


def budget_for(viewer: ViewerModel, dtype: np.dtype[Any], size: int | str | None) -> Budget:
    """What a volume in three dimensions may be in this window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    dtype : numpy.dtype
        Of the volume.
    size : int or str, optional
        Bytes that somebody asked for; they count wherever it is drawn.

    Raises
    ------
    ValueError
        For what is no number of bytes.
    """
    canvas = canvas_of(viewer)
    if size is None and canvas is not None and is_processor(renderer()):
        size = PROCESSOR_VOXELS * bytes_drawn(dtype)
    return Budget.of(size, _largest_side(canvas))


def is_processor(name: str) -> bool:
    """Whether OpenGL of this name draws without a graphics card.

    >>> is_processor("llvmpipe (LLVM 15.0.6, 256 bits)"), is_processor("NVIDIA GeForce RTX 4070")
    (True, False)
    """
    return any(processor in name.lower() for processor in _PROCESSORS)


@cache
def renderer() -> str:
    """What OpenGL calls that which draws; nothing where it doesn't tell.

    A window of its own is asked, which nobody sees: another's may not be drawn yet, or no more.
    """
    from OpenGL.GL import GL_RENDERER, glGetString
    from vispy.app import Canvas

    canvas = Canvas(show=False)
    try:
        canvas.set_current()
        name = glGetString(GL_RENDERER)
    finally:
        canvas.close()
    return "" if name is None else name.decode(errors="replace")


def _largest_side(canvas: Any) -> int | None:
    """Voxels of a volume along each axis that the graphics card takes, as napari asked it."""
    sizes = getattr(canvas, "max_texture_sizes", None)
    return None if not sizes or not sizes[1] else int(sizes[1])
