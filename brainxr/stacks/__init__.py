"""Folders, zips and URLs of image slices: found, checked, and read where they lie."""
