"""Open a stack, and select parts of it in physical units."""

import brainxr

vol = brainxr.open(brainxr.sample("phantom"))
print(vol.dims, vol.shape, vol.dtype, vol.z.attrs["units"])

# a point, a range, and whatever is nearest; nothing is read yet
plane = vol.sel(z="62 mm", method="nearest")
slab = vol.sel(z=slice("6 cm", "6.4 cm"))
corner = vol.sel(y=slice(None, "5 cm"), x=slice("8 cm", None))
print("plane from", plane.brain.files.item(), "at", plane.z.item(), "µm")
print("slab", dict(slab.sizes), "corner", dict(corner.sizes))

# now the slab is read, and no more
brightest = slab.max("z").compute()
print("brightest value between 6 and 6.4 cm:", int(brightest.max()))
