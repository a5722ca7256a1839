"""Open a stack of image slices as one lazy, labelled volume, and show it in place."""

from __future__ import annotations

from brainxr.api import open

__all__ = ["open"]
