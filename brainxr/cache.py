"""Where brainxr keeps what it made and can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder, or where the environment variable ``BRAINXR_CACHE`` says."""
    import platformdirs

    said = os.environ.get("BRAINXR_CACHE")
    return Path(said).expanduser() if said else platformdirs.user_cache_path("brainxr", False)
