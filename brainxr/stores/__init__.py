"""OME-Zarr, and what xarray wrote: found, understood, and read chunk by chunk."""
