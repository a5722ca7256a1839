"""The members of a zip, each read where it lies; nothing is extracted.

    directory ── members ──▶ Member (name, place, sizes) ── ZipMembers ──▶ OpenFile

A stored member is a stretch of the zip's file, and as good as a file of its own. A
deflated one is unpacked into memory as a whole, its checksum compared, and kept for a
while. What a zip says of itself is not believed: a name is a label and never a path, a
size is a limit and never an order.

Layout of a zip: APPNOTE.TXT 6.3.10 (PKWARE), sections 4.3.7 (local headers) and 4.4.5 (methods).
"""

from __future__ import annotations

import os
import struct
import uuid
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError, StackError
from brainxr.files.decoders import crc32, inflate
from brainxr.files.fingerprint import digest_of, fingerprint_of
from brainxr.files.forks import lock_that_survives_a_fork
from brainxr.files.openfile import FarStretch, Held, OpenFile, Stretch, open_file, read_into
from brainxr.files.urls import Address, far_file

# Unpacked members that are kept, in all: a band of rows of a slice is often followed by the
# next band of the same. Larger ones aren't kept.
KEPT_BYTES = 64 << 20

# A deflated member has to be unpacked as a whole to read a row of it, so a larger one is
# refused; and so is one that grows beyond the second size by more than that. A black slice
# grows a thousandfold, which deflate can't exceed, so the ratio alone doesn't tell a bomb.
MOST_BYTES, SUSPECT_BYTES, SUSPECT_RATIO, DEFLATE_RATIO = 1 << 30, 256 << 20, 300, 1032

# Bytes of a member's own header beyond what it always has: its name, and what programs add.
_SURPLUS = 1 << 10

# The directory is at the end of a zip; of one that is far away, so much is fetched at once.
TAIL_BYTES = 1 << 16

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz",
    98: "PPMd", 99: "AES encryption",
}  # fmt: skip


class Member(NamedTuple):
    """What the directory of a zip says of a member.

    Attributes
    ----------
    name : str
        With slashes, whatever the zip has.
    at : int
        Where its own header begins.
    packed, size : int
        Bytes in the zip, and bytes unpacked.
    checksum, method, flags : int
    """

    name: str
    at: int
    packed: int
    size: int
    checksum: int
    method: int
    flags: int


def members(path: str, address: Address | None = None) -> list[Member]:
    """All members of a zip but its folders.

    Costs the zip's directory, 10 µs a member.

    Raises
    ------
    SliceReadError
        When it is no zip, or damaged.
    """
    # which says it, where that can't be done
    with open_file(path) if address is None else far_file(address) as file:
        infos = _directory(file)
    return [
        Member(i.orig_filename.replace("\\", "/"), i.header_offset, i.compress_size, i.file_size,
               i.CRC, i.compress_type, i.flag_bits)
        for i in infos
    ]  # fmt: skip


def _directory(file: OpenFile) -> list[zipfile.ZipInfo]:
    path, size = file.path, file.size
    try:
        file.expect([(max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))])
        with zipfile.ZipFile(file.for_a_parser()) as archive:
            return [info for info in archive.infolist() if not info.is_dir()]
    except StackError:
        raise
    except Exception as error:  # whatever a damaged file makes of a parser
        raise SliceReadError(
            f"{path!r} can't be read as a zip ({error}). It is truncated, damaged or no zip "
            f"({size} bytes found): download it again, or restore it from its source."
        ) from error


@dataclass(frozen=True, eq=False)
class ZipMembers:
    """The slices of a stack in a zip.

    Attributes
    ----------
    path : str
        Absolute path of the zip, or its URL as it may be shown.
    address : Address, optional
        Where it is, if not on this disk.
    opening : str
        Different for each opening of a zip that is far away, where not all servers tell that it
        changed.
    table : numpy.ndarray of int64, shape (slices, 5)
        Of each: where its own header begins, bytes packed, bytes unpacked, checksum, and
        whether it is deflated. Stored ones have no checksum, as only rows of them are read.
    """

    path: str
    table: npt.NDArray[np.int64]
    address: Address | None = None
    opening: str = ""

    @classmethod
    def of(cls, path: str, chosen: Sequence[Member], address: Address | None = None) -> ZipMembers:
        """The members that are slices, in order.

        Raises
        ------
        SliceReadError
            When one of them is encrypted, packed by a method that isn't read here, or a
            bomb; or when two of them overlap.
        """
        for member in chosen:
            _refuse_unreadable(path, member)
        deflated = zipfile.ZIP_DEFLATED
        rows = [
            (m.at, m.packed, m.size, m.checksum * (m.method == deflated), m.method == deflated)
            for m in chosen
        ]
        table = np.array(rows, np.int64)
        _refuse_overlap(path, chosen, table)
        return cls(path, table, address, "" if address is None else uuid.uuid4().hex)

    @property
    def is_far(self) -> bool:
        return self.address is not None

    @cached_property
    def unpacks(self) -> bool:
        return bool(self.table[:, 4].any())

    @cached_property
    def _starts(self) -> list[int]:
        """Where the bytes of each begin, -1 where nobody has looked; and -1 for none, -1."""
        return [-1] * (len(self.table) + 1)

    def open(self, number: int, path: str) -> OpenFile:
        """Open a slice; a deflated one is unpacked, and needs no closing.

        Raises
        ------
        SliceReadError
            When the zip can't be read, or the slice is damaged.
        """
        at, packed, size, checksum, is_deflated = self.table[number].tolist()
        with ExitStack() as stack:
            whole = stack.enter_context(self._whole())
            if is_deflated:
                whole.expect([(at, _LOCAL_HEADER.size + _SURPLUS + packed)])
            start = self._start(whole, number, at, path)
            if is_deflated:
                key = self.path, whole.times, whole.size, at, self.opening
                data = _RECENT.get(key) or _unpacked(whole, path, start, packed, size, checksum)
                _RECENT.keep(key, data)
                return Held(whole, path, memoryview(data))
            stack.pop_all()  # who reads the stretch closes it
            return (FarStretch if self.is_far else Stretch)(whole, path, start, size)

    def _whole(self) -> OpenFile:
        return open_file(self.path) if self.address is None else far_file(self.address)

    def _start(self, whole: OpenFile, number: int, at: int, path: str) -> int:
        """Where the bytes of a member begin, by its own header, which has to be there."""
        name = path[len(self.path) + 1 :].replace(os.sep, "/")
        head = whole.read(at, _LOCAL_HEADER.size + 4 * len(name))  # in any encoding
        if len(head) >= _LOCAL_HEADER.size:
            mark, _, flags, *_, length, extra = _LOCAL_HEADER.unpack_from(head)
            end = _LOCAL_HEADER.size + length
            if mark == b"PK\3\4" and _text(head[_LOCAL_HEADER.size : end], flags) == name:
                self._starts[number] = at + end + extra
                return self._starts[number]
        raise SliceReadError(
            f"{path!r} is not at byte {at} of {self.path!r}, where the zip's directory says: the "
            "zip is damaged, or was replaced. Restore it from its source, or open the stack again."
        )

    def read_each(
        self, numbers: Sequence[int], path: Callable[[int], str], offset: int, flat: memoryview,
        size: int, opened_at: int,
    ) -> list[int]:  # fmt: skip
        if self.address is not None:
            return self._fetch_each(self.address, numbers, offset, flat, size)
        with open_file(self.path) as whole:
            if max(whole.times) > opened_at:
                return list(range(len(numbers)))
            descriptor, starts, left = whole.descriptor, self._starts, []
            for i, number in enumerate(numbers):
                start = starts[number]
                if start < 0 or size != read_into(
                    descriptor, flat[i * size : i * size + size], start + offset
                ):
                    left.append(i)
            # one look for all of them: what was written meanwhile shows in it
            return left if whole.is_unchanged() else list(range(len(numbers)))

    def _fetch_each(
        self, address: Address, numbers: Sequence[int], offset: int, flat: memoryview, size: int
    ) -> list[int]:
        starts, path = [self._starts[number] for number in numbers], address.path()
        return address.read_each(
            [(path, at + offset, at + offset + size) if at >= 0 else None for at in starts],
            flat, size,
        )  # fmt: skip

    def fingerprint(self, names: Sequence[str]) -> str:
        if self.address is not None:
            return digest_of([self.path, *names, self.table.tolist()])
        return fingerprint_of(names, [self.path] * len(names))

    def __reduce__(self) -> Any:
        # a row is nearly the one before: 10,000 stored ones travel in a few bytes
        steps = np.diff(self.table, axis=0, prepend=0)
        steps[1:, 0] -= self.table[:-1, 1]
        planes = np.ascontiguousarray(steps.T).view(np.uint8).reshape(5, -1, 8).transpose(0, 2, 1)
        return _restored, (
            self.path, len(self.table), zlib.compress(planes.tobytes(), 6), self.address,
            self.opening,
        )  # fmt: skip


def _restored(
    path: str, count: int, packed: bytes, address: Address | None, opening: str
) -> ZipMembers:
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(5, 8, count)
    steps = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(np.int64)[..., 0].T.copy()
    sizes = np.cumsum(steps[:, 1])
    steps[1:, 0] += sizes[:-1]
    return ZipMembers(path, np.cumsum(steps, axis=0), address, opening)


# --- one member ---------------------------------------------------------------------


def _unpacked(
    whole: OpenFile, path: str, start: int, packed: int, size: int, checksum: int
) -> bytes:
    data = whole.read(start, packed)
    try:
        if len(data) < packed:
            raise ValueError(f"{len(data)} of {packed} bytes found")
        unpacked = inflate(data, size)
    except Exception as error:  # whatever a codec makes of damaged data
        raise SliceReadError(
            f"{path!r} can't be unpacked ({error}): the zip is damaged. Restore it from its source."
        ) from error
    if (found := crc32(unpacked)) != checksum:
        raise SliceReadError(
            f"The checksum of {path!r} is {found:08x}, expected {checksum:08x}: the zip is "
            "damaged. Restore it from its source."
        )
    return unpacked


def _text(name: bytes, flags: int) -> str:
    text = name.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
    return text.replace("\\", "/")


# Held for a moment, whichever archive it is.
_LOCK = lock_that_survives_a_fork()


class _Recent:
    """What was unpacked last, up to so many bytes; safe in several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> bytes | None:
        with _LOCK:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def keep(self, key: Hashable, data: bytes) -> None:
        if len(data) > self._most:
            return
        with _LOCK:
            self._bytes += len(data) - len(self._held.pop(key, b""))
            self._held[key] = data
            while self._bytes > self._most:
                self._bytes -= len(self._held.popitem(last=False)[1])


_RECENT = _Recent(KEPT_BYTES)


# --- what is refused ----------------------------------------------------------------


def _refuse_unreadable(path: str, member: Member) -> None:
    """Refuse what can't be read, and what nobody should try to."""
    where = f"{path}{os.sep}{member.name}"
    if member.flags & _ENCRYPTED:
        raise SliceReadError(
            f"{where!r} is encrypted, and brainxr asks for no passwords. Unzip it with a program "
            "that does, and open the folder."
        )
    if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(member.method, f"number {member.method}")
        raise SliceReadError(
            f"{where!r} is packed by {method}, and of a zip's methods brainxr reads stored and "
            "deflated. Unzip it and open the folder, or zip the slices anew."
        )
    if member.method == zipfile.ZIP_STORED and member.packed != member.size:
        raise SliceReadError(
            f"{where!r} is stored as it is, in {member.packed} bytes of {member.size}: the zip is "
            "damaged. Restore it from its source."
        )
    if member.method == zipfile.ZIP_DEFLATED:
        _refuse_bomb(where, member)


def _refuse_bomb(where: str, member: Member) -> None:
    ratio = member.size / max(1, member.packed)
    grown = f"{where!r} would grow from {member.packed} bytes to {member.size}"
    if member.size > DEFLATE_RATIO * member.packed + 64:
        raise SliceReadError(
            f"{grown}, and deflate packs {DEFLATE_RATIO} times at most: the zip is damaged, or "
            "made to do harm. Get it from a source that you trust."
        )
    if member.size > MOST_BYTES or (member.size > SUSPECT_BYTES and ratio > SUSPECT_RATIO):
        raise SliceReadError(
            f"{grown}, which is refused: every row of it that is read would take that much memory, "
            f"and {MOST_BYTES} bytes are the limit ({SUSPECT_BYTES} where they grow more than "
            f"{SUSPECT_RATIO} times). If you trust it, unzip it and open the folder."
        )


def _refuse_overlap(path: str, chosen: Sequence[Member], table: npt.NDArray[np.int64]) -> None:
    """Refuse members that share bytes: one of a bomb's ways to be small."""
    order = np.argsort(table[:, 0], kind="stable")
    ends = table[order, 0] + _LOCAL_HEADER.size + table[order, 1]
    shared = np.flatnonzero(ends[:-1] > table[order[1:], 0])
    if shared.size:
        names = [chosen[order[i]].name for i in (shared[0], shared[0] + 1)]
        raise SliceReadError(
            f"{names[0]!r} and {names[1]!r} share bytes of {path!r}: the zip is damaged, or made "
            "to do harm. Get it from a source that you trust."
        )
