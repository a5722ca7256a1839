"""Bytes of files: on this disk, in a zip, at a URL; unpacked and checked."""
