"""Project slabs of a volume: the brightest value of each centimetre, along any axis."""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import brainxr

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
vol = brainxr.open(brainxr.sample("phantom"))

centimetre = vol.sel(y=slice("8 cm", "9 cm"))
projection = centimetre.max("y")
projection.brain.plot().figure.savefig(folder / "projection.png", dpi=150)
print("a slab of", centimetre.sizes["y"], "planes projected to", dict(projection.sizes))
