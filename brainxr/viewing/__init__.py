"""napari: layers at their true place, and the way back to the script."""
