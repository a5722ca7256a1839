"""The checksum of chunks and shards. The only user of google_crc32c."""

from __future__ import annotations

from typing import Any

import google_crc32c


def crc32c(data: Any) -> int:
    """Checksum of bytes, as Zarr 3 has it (RFC 3720)."""
    found: int = google_crc32c.value(data)
    return found
