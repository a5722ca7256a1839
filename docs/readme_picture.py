"""Draw the README's picture: python docs/readme_picture.py (needs a display, or xvfb-run)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from cells import photograph
from PIL import Image

import brainxr

WIDTH = 1400
HEIGHT = 560  # of the windows


def draw() -> Image.Image:
    """Three planes by plot_planes above, two windows of napari below."""
    vol = brainxr.open(brainxr.sample("mni152"))
    point = {"z": "90 mm", "y": "12 cm", "x": "103 mm"}
    buffer = BytesIO()
    vol.brain.plot_planes(at=point).savefig(buffer, dpi=150)
    above = Image.open(buffer).convert("RGB")
    above = above.resize(
        (WIDTH, round(above.height * WIDTH / above.width)), Image.Resampling.LANCZOS
    )

    plane = vol.sel(y="12 cm")
    window = photograph(brainxr.view(plane, block=False), WIDTH * 11 // 20, HEIGHT)

    viewer = None
    for dim, place in point.items():
        cut = vol.sel({dim: place})
        viewer = brainxr.view(cut, viewer, block=False, blending="translucent")
    viewer.dims.ndisplay = 3
    viewer.scene.camera.set_view_direction((0.5, 0.7, 0.6), up_direction=(-1, 0, 0))
    space = photograph(viewer, WIDTH, HEIGHT, zoom=1.8, canvas_only=True)

    picture = Image.new("RGB", (WIDTH, above.height + HEIGHT))
    picture.paste(above, (0, 0))
    rest = WIDTH - window.width
    left = (space.width - rest) // 2
    picture.paste(space.crop((left, 0, left + rest, space.height)), (window.width, above.height))
    picture.paste(window, (0, above.height))
    return picture


if __name__ == "__main__":
    target = Path(__file__).parent / "_static" / "brain.png"
    # grey pictures and a few buttons: a palette halves the file
    draw().quantize(192, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"wrote {target}, {target.stat().st_size / 1000:.0f} kB")
