"""What the pages' hidden cells need: a tidy start, and screenshots of napari."""

from __future__ import annotations

import base64
import os
import tempfile
import time
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from IPython import get_ipython
from IPython.display import HTML
from PIL import Image

if TYPE_CHECKING:
    import napari


# napari as it comes out of the box, whatever its settings are here, and without a hand
# on the notebook's event loop, which a closed window would stop
os.environ["NAPARI_CONFIG"] = ""
os.environ["NAPARI_APPLICATION_IPY_INTERACTIVE"] = "0"
os.environ["MATPLOTLIBRC"] = str(Path(__file__).parent)


def start() -> None:
    """Work in a folder of its own; show warnings and errors as one line, without a traceback."""
    os.chdir(tempfile.mkdtemp())
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
    get_ipython().run_line_magic("xmode", "Minimal")


def screenshot(
    viewer: napari.Viewer, width: int = 1100, height: int = 760, *, zoom: float = 1
) -> HTML:
    """Take a picture of the whole window, then close it."""
    picture = photograph(viewer, width, height, zoom=zoom)
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return HTML(f'<img class="window" alt="napari" src="data:image/png;base64,{data}">')


def photograph(
    viewer: napari.Viewer, width: int, height: int, *, zoom: float = 1, canvas_only: bool = False
) -> Image.Image:
    """Resize a window, let it settle, take its picture and close it."""
    from qtpy.QtWidgets import QApplication

    viewer.window.resize(width, height)
    # the canvas follows the window, the scale bar and the camera follow the canvas
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    viewer.reset_view(reset_camera_angle=False)
    viewer.scene.camera.zoom *= zoom
    QApplication.processEvents()  # the scale bar follows the camera
    picture = viewer.screenshot(canvas_only=canvas_only, flash=False)
    viewer.close()
    return Image.fromarray(picture[..., :3])
