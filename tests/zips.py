"""Zips made by the standard library, and by hand where it is too honest."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from conftest import MadeStack

METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}


def zip_of(
    made: MadeStack, path: Path, how: str = "stored", folder: str = "brain_100um_iso/", *,
    debris: bool = True, mode: str = "w", zip64: bool = False,
) -> Path:  # fmt: skip
    """Zip a stack as a Mac does; ``"mixed"`` stores every second slice."""
    with zipfile.ZipFile(path, mode) as archive:  # type: ignore[arg-type]
        for i, slice_ in enumerate(made.paths):
            info = zipfile.ZipInfo(f"{folder}{slice_.name}", (2019, 10, 30, 12, 0, 0))
            info.compress_type = METHODS[how if how != "mixed" else ("stored", "deflated")[i % 2]]
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(slice_.read_bytes())
            if debris:
                archive.writestr(f"__MACOSX/{folder}._{slice_.name}", b"\0\5\26\7")
        if debris:
            archive.mkdir("empty")
            archive.writestr(f"{folder}.DS_Store", b"Bud1")
            archive.writestr(f"{folder}.hidden/slice_999.tif", b"nothing")
            archive.writestr("README.txt", b"Edlow et al.")
    return path


def zip_files(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def patch_directory(path: Path, name: str, at: int, form: str, value: int) -> None:
    """Write a number into what the zip's directory says of a member, ``at`` bytes from its mark."""
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    start = struct.unpack_from("<I", data, end + 16)[0]
    place = data.index(name.encode(), start) - 46
    assert data[place : place + 4] == b"PK\1\2"
    struct.pack_into(f"<{form}", data, place + at, value)
    path.write_bytes(data)


# Where in a directory's entry they are (APPNOTE 4.3.12).
FLAGS, METHOD, CHECKSUM, PACKED, SIZE, OFFSET = 8, 10, 16, 20, 24, 42
