"""Lengths, grids and coordinates: where voxels are."""
