"""Arrays that read when they are asked: for numpy, dask and xarray."""
