"""Show three planes of a volume in napari, each where it was cut.

Waits until the window is closed. Without a display the layers are made all the
same, and their places printed, as a viewer on a server would.
"""

import sys

from napari.components import ViewerModel

import brainxr

vol = brainxr.open(brainxr.sample("phantom"))
cuts = {"z": "62 mm", "y": "8 cm", "x": "9 cm"}

viewer = None
try:
    for dim, place in cuts.items():
        viewer = brainxr.view(vol.sel({dim: place}, method="nearest"), viewer, block=False)
except brainxr.DisplayError as error:
    print(error, file=sys.stderr)
    viewer = ViewerModel()
    for dim, place in cuts.items():
        brainxr.view(vol.sel({dim: place}, method="nearest"), viewer)

for layer in viewer.layers:
    print(layer.name, "lies at", layer.translate.tolist(), "µm")

if not isinstance(viewer, ViewerModel) and "--close" not in sys.argv:
    import napari

    viewer.dims.ndisplay = 3
    napari.run()
