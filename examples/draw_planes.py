"""Draw three planes through a point, and twelve through the whole volume, into pictures."""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import brainxr

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
vol = brainxr.open(brainxr.sample("phantom"))

vol.brain.plot_planes(at={"z": "62 mm"}).savefig(folder / "planes.png", dpi=150)
vol.brain.montage(axis="y", n=12).savefig(folder / "montage.png", dpi=150)
print("wrote planes.png and montage.png in", folder.resolve())
