"""Write a stack as a microscope would, open it, and draw a profile through it."""

import tempfile
from pathlib import Path

import numpy as np
import tifffile

import brainxr

with tempfile.TemporaryDirectory() as root:
    folder = Path(root, "bead_5um_iso_axial")
    folder.mkdir()
    # a bright bead of 40 µm radius, its centre at z = 100, y = 150, x = 200 µm
    z, y, x = np.meshgrid(*(np.arange(n) * 5.0 for n in (41, 61, 81)), indexing="ij")
    distance = np.sqrt((z - 100) ** 2 + (y - 150) ** 2 + (x - 200) ** 2)
    bead = np.where(distance <= 40, 1000, 100).astype("uint16")
    for number, image in enumerate(bead, start=1):
        tifffile.imwrite(folder / f"bead_{number:03d}.tif", image)

    vol = brainxr.open(folder)  # 5 µm, by the folder's name
    profile = vol.sel(y="150 µm", x="200 µm").compute()
    inside = profile.z.where(profile > 500, drop=True)
    print("spacing by", vol.attrs["spacing_source"])
    print(f"the bead reaches from {inside.min().item():g} to {inside.max().item():g} µm along z")
