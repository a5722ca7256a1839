"""Convert a stack into a pyramid in OME-Zarr, open it again, and find both alike."""

import sys
from pathlib import Path

import xarray as xr

import brainxr

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
vol = brainxr.open(brainxr.sample("phantom"))

# a bar shows how far it is; what is interrupted goes on when it is asked for again
store = vol.brain.to_ome_zarr(folder / "phantom.ome.zarr", overwrite=True)

again = brainxr.open(store)
xr.testing.assert_identical(again.compute(), vol.compute())

tree = brainxr.open_pyramid(store)
for name, level in tree.children.items():
    spacing = float(level.z.attrs["spacing"])
    print(f"level {name}: {dict(level.intensity.sizes)}, {spacing:g} µm along z")
