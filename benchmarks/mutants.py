"""Files and stores that are nearly right: honest ones of many families, with some bytes changed.

Every mutant is a function of the seed, its family and its number, so that one that was
found can be made again.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

# Slices, rows and columns; tiles of 16 don't fit into them.
SHAPE = (2, 37, 52)

# What headers are given in place of what they say.
INTERESTING = (0, 1, 2, 3, 5, 7, 8, 9, 16, 32, 64, 255, 256, 4096, 65535, 1 << 16, (1 << 31) - 1,
               1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
WORDS = ("0", "-1", "1e308", "nan", "999999999999", "", "'", "\u00b5", "2147483648", "0.0000001")
JSON_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 3, 2**31, 2**63, 10**30, 0.5, -2.5, float("nan"), float("inf"),
    "", "x", "bytes", "micrometer", "uint16", "float64", "blosc", [], {}, [0], [None], [1, 2, 3],
)  # fmt: skip

Rng = np.random.Generator
Mutate = Callable[[bytearray, "Sequence[Place]", Rng], str]


@dataclass(frozen=True)
class Place:
    """Some bytes that mean something: ``"tag 273, value"``."""

    name: str
    offset: int
    size: int


class Mutant(NamedTuple):
    """A stack or store of which something was changed.

    Attributes
    ----------
    path : str
        What is opened.
    changed : str
        The file that was changed; it may be gone.
    how : str
        What was done to it.
    honest : numpy.ndarray, shape (z, y, x)
        What was in it before.
    is_sealed : bool
        Whether checksums were all that was to be trusted: it is an error, or as it was.
    """

    path: str
    changed: str
    how: str
    honest: npt.NDArray[Any]
    is_sealed: bool = False


@dataclass(frozen=True)
class Family:
    """Honest files of one kind.

    Attributes
    ----------
    write : callable
        Writes them into a folder, of these values.
    dtype : str
    mutate : callable
        Changes something of a copy in a folder.
    """

    write: Callable[[Path, npt.NDArray[Any]], None]
    dtype: str
    mutate: Callable[[Path, npt.NDArray[Any], Rng], Mutant]


def make_mutant(folder: Path, family: str, number: int, seed: int) -> Mutant:
    """Make one mutant in a new folder."""
    rng = np.random.default_rng([seed, zlib.crc32(family.encode()), number])
    kind = FAMILIES[family]
    honest = honest_folder(folder.parent, family)
    values = values_of(kind.dtype)
    if not honest.exists():
        honest.mkdir(parents=True)
        kind.write(honest, values)
    shutil.copytree(honest, folder)
    return kind.mutate(folder, values, rng)


def honest_folder(folder: Path, family: str) -> Path:
    """Where the honest files of a family are kept, beside their mutants."""
    return folder / f"honest-{zlib.crc32(family.encode()):08x}"


@cache
def values_of(dtype: str) -> npt.NDArray[Any]:
    """Smooth, so that codecs have something to do, and no two rows alike."""
    z, y, x = np.indices(SHAPE)
    values = (7 * z + 3 * y + x // 4) % 251 * (1 if dtype == "u1" else 101)
    return values.astype(dtype)


# --- stacks of TIFF ---------------------------------------------------------------


def _slices(**options: Any) -> Callable[[Path, npt.NDArray[Any]], None]:
    def write(folder: Path, values: npt.NDArray[Any]) -> None:
        (folder / "stack_100um_iso").mkdir()
        for number, image in enumerate(values, 1):
            path = folder / "stack_100um_iso" / f"slice_{number}.tif"
            tifffile.imwrite(path, image, photometric="minisblack", **options)

    return write


def _pages(**options: Any) -> Callable[[Path, npt.NDArray[Any]], None]:
    def write(folder: Path, values: npt.NDArray[Any]) -> None:
        name = "stack_100um_iso.ome.tif" if options.get("ome") else "stack_100um_iso.tif"
        with tifffile.TiffWriter(folder / name, **_of_writer(options)) as writer:
            if options.get("ome") or options.get("imagej"):
                axes = {"axes": "ZYX"}
                writer.write(values, photometric="minisblack", metadata=axes, **_of_pages(options))
                return
            for image in values:  # one page after another, each described by itself
                writer.write(
                    image,
                    photometric="minisblack",
                    metadata=None,
                    contiguous=False,
                    **_of_pages(options),
                )

    return write


_WRITER = ("ome", "imagej", "bigtiff", "byteorder")


def _of_writer(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in _WRITER}


def _of_pages(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _WRITER}


def _by_pillow(compression: str) -> Callable[[Path, npt.NDArray[Any]], None]:
    def write(folder: Path, values: npt.NDArray[Any]) -> None:
        (folder / "stack_100um_iso").mkdir()
        for number, image in enumerate(values, 1):
            path = folder / "stack_100um_iso" / f"slice_{number}.tif"
            Image.fromarray(image).save(path, compression=compression)

    return write


def _mutate_tiff(folder: Path, values: npt.NDArray[Any], rng: Rng) -> Mutant:
    files = sorted(folder.rglob("*.tif"))
    changed = files[rng.integers(len(files))]
    # one in three slices is opened by itself
    alone = len(files) > 1 and rng.random() < 1 / 3
    content = bytearray(changed.read_bytes())
    how = [_change(content, tiff_places(bytes(content)), rng) for _ in range(rng.integers(1, 4))]
    changed.write_bytes(content)
    path = changed if alone or len(files) == 1 else changed.parent
    honest = values[files.index(changed)][None] if alone else values
    return Mutant(str(path), str(changed), "; ".join(how), honest)


def tiff_places(content: bytes) -> list[Place]:
    """Fields of a TIFF's header and directories, as far as they can be followed."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or len(content) < 16:
        return [Place("header", 0, min(8, len(content)))]
    is_big = content[2:4] in (b"+\0", b"\0+")
    pointer, counter, at = ("Q", "Q", 8) if is_big else ("I", "H", 4)
    width = struct.calcsize(pointer)
    found = [Place("version", 2, 2), Place("first directory", at, width)]
    try:
        (start,) = struct.unpack_from(f"{order}{pointer}", content, at)
        for page in range(4):
            found += _directory_places(content, order, pointer, counter, start, page)
            (start,) = struct.unpack_from(f"{order}{pointer}", content, found[-1].offset)
            if not start:
                break
    except (struct.error, IndexError, OverflowError):  # of one that was changed already
        pass
    return found


def _directory_places(
    content: bytes, order: str, pointer: str, counter: str, start: int, page: int
) -> list[Place]:
    width = struct.calcsize(pointer)
    (count,) = struct.unpack_from(f"{order}{counter}", content, start)
    found = [Place(f"page {page}, tags", start, struct.calcsize(counter))]
    at = start + struct.calcsize(counter)
    for _ in range(min(count, 64)):
        tag, kind, length = struct.unpack_from(f"{order}HH{pointer}", content, at)
        name = f"page {page}, tag {tag}"
        found += [
            Place(f"{name}, code", at, 2), Place(f"{name}, type", at + 2, 2),
            Place(f"{name}, count", at + 4, width), Place(f"{name}, value", at + 4 + width, width),
        ]  # fmt: skip
        if length * _SIZES.get(kind, 1) > width:
            (value,) = struct.unpack_from(f"{order}{pointer}", content, at + 4 + width)
            size = min(length * _SIZES.get(kind, 1), max(0, len(content) - value))
            found.append(Place(f"{name}, values", value, size))
        at += 4 + 2 * width
    return [*found, Place(f"page {page}, next", at, width)]


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 11: 4, 12: 8, 16: 8, 17: 8, 18: 8}


# --- changing bytes ---------------------------------------------------------------


def _change(content: bytearray, places: list[Place], rng: Rng) -> str:
    """Change something, most often what means something; what was done."""
    ways: list[tuple[float, Mutate]] = [
        (0.55, _set_field), (0.1, _flip_in_text), (0.15, _flip), (0.08, _cut), (0.06, _remove),
        (0.06, _insert),
    ]  # fmt: skip
    chosen = ways[rng.choice(len(ways), p=[share for share, _ in ways])][1]
    return chosen(content, places, rng) if content else "nothing is left"


def _set_field(content: bytearray, places: list[Place], rng: Rng) -> str:
    place = places[rng.integers(len(places))]
    size = min(place.size, 8)
    # of a table one of its values
    room = max(0, place.size - size)
    offset = place.offset + int(rng.integers(room + 1))
    old = int.from_bytes(content[offset : offset + size], "little")
    choices = [*INTERESTING, old + 1, old - 1, 2 * old, old // 2, len(content), int(old ^ 1)]
    value = choices[rng.integers(len(choices))] % (1 << 8 * size) if size else 0
    order = "little" if content[:1] == b"I" or rng.random() < 0.2 else "big"
    content[offset : offset + size] = value.to_bytes(size, order)
    return f"{place.name} at {offset}: {value:#x}"


def _flip_in_text(content: bytearray, places: list[Place], rng: Rng) -> str:
    """Put another word in place of a number in a description."""
    numbers = list(re.finditer(rb"(?<=[\"=:>])[0-9.]+", bytes(content)))
    if not numbers:
        return _flip(content, places, rng)
    found = numbers[rng.integers(len(numbers))]
    word = WORDS[rng.integers(len(WORDS))].encode()[: found.end() - found.start()]
    content[found.start() : found.end()] = word.ljust(found.end() - found.start(), b" ")
    return f"text at {found.start()}: {word!r}"


def _flip(content: bytearray, places: list[Place], rng: Rng) -> str:
    at = rng.integers(len(content), size=rng.integers(1, 5)).tolist()
    for place in at:
        content[place] ^= 1 << int(rng.integers(8))
    return f"bits at {at}"


def _cut(content: bytearray, places: list[Place], rng: Rng) -> str:
    size = int(rng.integers(len(content)))
    del content[size:]
    return f"cut after {size} bytes"


def _remove(content: bytearray, places: list[Place], rng: Rng) -> str:
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 64))
    del content[at : at + size]
    return f"{size} bytes removed at {at}"


def _insert(content: bytearray, places: list[Place], rng: Rng) -> str:
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 64))
    content[at:at] = rng.bytes(size)
    return f"{size} bytes inserted at {at}"


# --- stores of OME-Zarr -----------------------------------------------------------


def _store(**options: Any) -> Callable[[Path, npt.NDArray[Any]], None]:
    def write(folder: Path, values: npt.NDArray[Any]) -> None:
        import xarray as xr

        from brainxr.writing.convert import to_ome_zarr

        coordinates = {
            dim: xr.Variable(dim, 100.0 * np.arange(n), {"units": "micrometer", "spacing": 100.0})
            for dim, n in zip("zyx", values.shape, strict=True)
        }
        volume = xr.DataArray(values, coordinates, ("z", "y", "x"), "intensity")
        to_ome_zarr(volume, folder / "made.ome.zarr", progress=False, levels=2, **options)

    return write


def _mutate_store(folder: Path, values: npt.NDArray[Any], rng: Rng) -> Mutant:
    store = folder / "made.ome.zarr"
    files = sorted(path for path in store.rglob("*") if path.is_file())
    described = [path for path in files if path.name.startswith(".z") or path.suffix == ".json"]
    kinds = described, [path for path in files if path not in described and "/0/" in str(path)]
    is_chunk = rng.random() < 0.5
    changed = kinds[is_chunk][rng.integers(len(kinds[is_chunk]))]
    how = _change_chunk(changed, rng) if is_chunk else _change_description(changed, rng)
    sealed = is_chunk and (store / "zarr.json").exists()
    return Mutant(str(store), str(changed), how, values, sealed)


def _change_description(path: Path, rng: Rng) -> str:
    if rng.random() < 0.25:
        content = bytearray(path.read_bytes())
        how = _change(content, [Place("text", 0, len(content))], rng)
        path.write_bytes(content)
        return how
    described = json.loads(path.read_text("utf-8"))
    how = "; ".join(_change_json(described, rng) for _ in range(rng.integers(1, 3)))
    path.write_text(json.dumps(described), "utf-8")
    return how


def _change_json(described: Any, rng: Rng) -> str:
    """Give something in it another value, or remove it."""
    inner = list(_containers(described, ""))
    where, container = inner[rng.integers(len(inner))]
    keys = list(container) if isinstance(container, dict) else list(range(len(container)))
    if not keys:
        return "nothing"
    key = keys[rng.integers(len(keys))]
    if rng.random() < 0.2:
        del container[key]
        return f"{where}/{key} removed"
    old = container[key]
    choices = [*JSON_VALUES, [old], *([2 * old, -old, old + 1] if isinstance(old, int) else [])]
    container[key] = copy.deepcopy(choices[rng.integers(len(choices))])  # else they were shared
    return f"{where}/{key}: {container[key]!r}"


def _containers(value: Any, where: str) -> Any:
    if isinstance(value, dict | list):
        yield where, value
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(items):
            yield from _containers(inner, f"{where}/{key}")


def _change_chunk(path: Path, rng: Rng) -> str:
    """Change a chunk or shard: its header, its index at the end, or any of it."""
    if rng.random() < 0.05:
        path.unlink()
        return "removed"
    content = bytearray(path.read_bytes())
    index = [Place("index", max(0, len(content) - 36 - 8 * k), 8) for k in range(4)]
    header = [Place("header", k, 4) for k in (0, 4, 8, 12, 16, 20)]
    how = _change(content, [*index, *header], rng)
    path.write_bytes(content)
    return how


_DEFLATE = {"compression": "zlib", "rowsperstrip": 5}
_FLOATS = {"compression": "zlib", "predictor": 3, "rowsperstrip": 5}

FAMILIES: Mapping[str, Family] = {
    name: Family(write, dtype, _mutate_tiff)
    for name, write, dtype in [
        ("one strip", _slices(), "u2"),
        ("strips", _slices(rowsperstrip=5), "u2"),
        ("strips, big-endian", _slices(rowsperstrip=5, byteorder=">"), "u2"),
        ("BigTIFF", _slices(rowsperstrip=5, bigtiff=True), "u1"),
        ("tiles", _slices(tile=(16, 16)), "u2"),
        ("deflate", _slices(**_DEFLATE), "u2"),
        ("deflate, predictor", _slices(**_DEFLATE, predictor=True), "u2"),
        ("deflate, predictor, floats", _slices(**_FLOATS), "f4"),
        ("deflate, tiles, BigTIFF", _slices(compression="zlib", tile=(16, 16), bigtiff=True), "u2"),
        ("LZW", _slices(compression="lzw", rowsperstrip=5), "u1"),
        ("LZW, predictor, big-endian",
         _slices(compression="lzw", predictor=True, byteorder=">"), "u2"),
        ("PackBits", _slices(compression="packbits", rowsperstrip=5), "u1"),
        ("Zstandard", _slices(compression="zstd", rowsperstrip=5), "u2"),
        ("LZMA", _slices(compression="lzma"), "u1"),
        ("JPEG", _slices(compression="jpeg", tile=(16, 16)), "u1"),
        ("by libtiff: deflate", _by_pillow("tiff_adobe_deflate"), "u1"),
        ("by libtiff: LZW", _by_pillow("tiff_lzw"), "u1"),
        ("pages", _pages(rowsperstrip=5), "u2"),
        ("pages, deflate", _pages(**_DEFLATE), "u2"),
        ("OME-TIFF", _pages(ome=True), "u2"),
        ("OME-TIFF, deflate, tiles", _pages(ome=True, compression="zlib", tile=(16, 16)), "u2"),
        ("ImageJ", _pages(imagej=True), "u2"),
    ]
} | {
    name: Family(_store(**options), dtype, _mutate_store)
    for name, options, dtype in [
        ("OME-Zarr 0.5", {"chunks": 16, "shards": 32}, "u2"),
        ("OME-Zarr 0.5, zstd", {"chunks": 16, "shards": 32, "codec": "zstd"}, "u1"),
        ("OME-Zarr 0.5, no codec", {"chunks": 16, "shards": 32, "codec": "none"}, "u2"),
        ("OME-Zarr 0.4", {"chunks": 16, "version": "0.4"}, "u2"),
    ]
}  # fmt: skip
