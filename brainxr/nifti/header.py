"""What the header of a NIfTI or MGH file says, and headers to write. The only user of nibabel."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import EmptyStackError, MissingExtraError, VolumeError, VolumeReadError
from brainxr.files.annex import not_fetched
from brainxr.geometry.grid import OFF_GRID_IN_VOXELS
from brainxr.nifti.affine import OBLIQUE_IN_VOXELS, apart
from brainxr.stacks.calls import lines_of
from brainxr.stacks.slices import PathLike

ENDINGS = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz", ".mgh", ".mgz")

# Micrometres of the units that NIfTI has a code for.
_UNITS = {"meter": 1e6, "mm": 1e3, "micron": 1.0}

_MGH = (".mgh", ".mgz")
_GZIP = b"\x1f\x8b"

# Voxels along an axis that NIfTI-1 can count.
_MOST_OF_1 = 32767


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says.

    Attributes
    ----------
    path : str
        Of the file that has the voxels.
    kind : str
        ``"NIfTI-1"``, ``"NIfTI-2"``, ``"MGH"``.
    shape : tuple of int
        In the file's order: the first axis is the fastest.
    stored : numpy.dtype
        As in the file, byte order included.
    offset : int
        Bytes before the first voxel, once they are unpacked.
    slope, inter : float
        A voxel's value is ``slope * stored + inter``.
    scaled : numpy.dtype
        Type of such a value, as nibabel gives it.
    affine : numpy.ndarray, shape (4, 4), or None
        None where nothing tells where the axes point.
    other : numpy.ndarray, shape (4, 4), or None
        A second affine for the same space.
    sizes : tuple of float
        Of a voxel, along the first three axes.
    told_by, space : str
        Which part of the header the affine is from, and which space it leads to.
    unit : float or None
        Micrometres that one of affine and sizes is; None where the header doesn't say.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    scaled: np.dtype[Any]
    affine: npt.NDArray[np.float64] | None
    other: npt.NDArray[np.float64] | None
    sizes: tuple[float, ...]
    told_by: str
    space: str
    unit: float | None
    is_labels: bool = False

    @property
    def is_gzipped(self) -> bool:
        return self.path.lower().endswith((".gz", ".mgz"))

    @property
    def is_scaled(self) -> bool:
        return (self.slope, self.inter) != (1.0, 0.0)


def is_nifti(path: object) -> bool:
    """Whether it is a NIfTI or MGH file, by its name.

    >>> is_nifti("brain.nii.gz"), is_nifti("brain.ome.zarr")
    (True, False)
    """
    return isinstance(path, str | os.PathLike) and os.fspath(path).lower().endswith(ENDINGS)


# NIFTI_INTENT_LABEL of nifti1.h.
_INTENT_LABEL = 1002


def read_nifti_header(path: PathLike) -> NiftiHeader:
    """Read the header of a file; of a compressed one its first few kB are unpacked.

    Raises
    ------
    EmptyStackError
        When there is no such file.
    VolumeReadError
        When it can't be read, or ends before its last voxel.
    VolumeError
        When it is of a kind that isn't read here.
    MissingExtraError
        When nibabel is not installed.
    """
    name = os.path.abspath(os.path.expanduser(os.fspath(path)))
    _refuse_misnamed(name)
    image = _load(name)
    proxy, header = image.dataobj, image.header
    stored = np.dtype(proxy.dtype)
    if stored.kind not in "iufc":
        raise VolumeError(
            f"{name!r} has values of type {header.get_value_label('datatype')!r}; a volume has one "
            "number a voxel. Write the channel that you want into a file of its own."
        )
    slope, inter = float(proxy.slope), float(proxy.inter)
    found = NiftiHeader(
        image.file_map["image"].filename, _kind(image), tuple(map(int, proxy.shape)), stored,
        int(proxy.offset), slope, inter, _scaled(stored, slope, inter), *_placed(image),
        is_labels=_is_labels(header),
    )  # fmt: skip
    _refuse_short(found)
    return found


def _is_labels(header: Any) -> bool:
    """True where NIfTI's intent is NIFTI_INTENT_LABEL; MGH has none."""
    return hasattr(header, "get_intent") and int(header["intent_code"]) == _INTENT_LABEL


def load_nibabel() -> Any:
    """nibabel itself, which takes as long to import as the rest of brainxr."""
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError(
            "NIfTI and MGH files are read and written by nibabel, which is not installed: "
            'pip install "brainxr[nifti]".'
        ) from error
    return nibabel


def _load(name: str) -> Any:
    nibabel = load_nibabel()
    try:
        image = _load_mgh(name) if name.lower().endswith(_MGH) else nibabel.load(name)
    except Exception as error:  # whatever a parser makes of damaged headers
        raise VolumeReadError(
            f"The header of {name!r} can't be read ({type(error).__name__}: {error}). Restore the "
            "file from its source."
        ) from error
    known = (nibabel.Nifti1Pair, nibabel.MGHImage)
    if not isinstance(image, known):
        raise VolumeError(
            f"{name!r} is a file of {type(image).__name__.removesuffix('Image')}, which doesn't "
            "say left from right; NIfTI and MGH are read here. Convert it by a program that knows "
            "where it comes from."
        )
    return image


def _load_mgh(name: str) -> Any:
    """As nibabel.load, which leaves the file open (nibabel 5.4: MGHImage.from_file_map)."""
    nibabel = load_nibabel()
    with nibabel.openers.ImageOpener(name) as file:
        holder = nibabel.fileholders.FileHolder(name, file)
        return nibabel.MGHImage.from_file_map({"image": holder})


def _kind(image: Any) -> str:
    if isinstance(image, load_nibabel().MGHImage):
        return "MGH"
    return "NIfTI-2" if int(image.header["sizeof_hdr"]) == 540 else "NIfTI-1"


def _scaled(stored: np.dtype[Any], slope: float, inter: float) -> np.dtype[Any]:
    from nibabel.volumeutils import apply_read_scaling

    none = np.zeros(1, stored.newbyteorder("="))
    scaled: np.dtype[Any] = apply_read_scaling(none, np.float64(slope), np.float64(inter)).dtype
    return scaled


def _placed(image: Any) -> tuple[Any, Any, tuple[float, ...], str, str, float | None]:
    """Affine, a second one, sizes of a voxel, what told it, to which space, in which unit."""
    header = image.header
    sizes = tuple(_shortest(header.get_zooms()[:3]).tolist())
    if _kind(image) == "MGH":
        told = bool(header["goodRASFlag"])
        affine = _shortest(image.affine.astype(np.float32)) if told else None
        return affine, None, sizes, "header", "scanner", 1e3
    space = load_nibabel().nifti1.xform_codes.label
    unit = _unit(header)
    found = [
        (read(header), name, space[int(header[f"{name}_code"])])
        for name, read in (("sform", _sform), ("qform", _qform))
        if int(header[f"{name}_code"]) > 0
    ]
    if not found:
        return None, None, sizes, "voxel sizes", "unknown", unit
    affine, told_by, where = found[0]
    same = len(found) > 1 and found[1][2] == where
    return affine, found[1][0] if same else None, sizes, told_by, where, unit


def _sform(header: Any) -> npt.NDArray[np.float64]:
    rows = [_shortest(header[f"srow_{axis}"]) for axis in "xyz"]
    return np.array([*rows, [0, 0, 0, 1]], np.float64)


def _qform(header: Any) -> npt.NDArray[np.float64]:
    affine: npt.NDArray[np.float64] = np.array(header.get_qform(), np.float64)
    affine[:3, 3] = [_shortest(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _shortest(values: Any) -> npt.NDArray[np.float64]:
    """Numbers as they were meant: the shortest that the file's type rounds to what is there.

    A file that says 0.1 in four bytes has 0.10000000149; over a thousand voxels, that is
    far enough from 0.1 for a position not to be found.
    """
    array = np.asarray(values)
    plain = array.astype(array.dtype.newbyteorder("="))
    return np.array([float(str(v)) for v in plain.ravel()], np.float64).reshape(array.shape)


def _unit(header: Any) -> float | None:
    try:
        return _UNITS.get(header.get_xyzt_units()[0])
    except KeyError:  # a code that nobody defined
        return None


def _refuse_misnamed(name: str) -> None:
    """Refuse a file that is not there, or of which name and content say different things."""
    try:
        with open(name, "rb") as file:
            packed = file.read(2) == _GZIP
    except FileNotFoundError as error:
        raise EmptyStackError(not_fetched(name) or _nowhere(name)) from error
    except OSError as error:
        raise VolumeReadError(f"{name!r} can't be read: {error.strerror}. Restore it.") from error
    if not packed and (pointer := not_fetched(name)) is not None:
        raise VolumeReadError(pointer)
    named = name.lower().endswith((".gz", ".mgz"))
    if packed != named:
        found, expected = ("gzip", "none") if packed else ("no gzip", "gzip")
        raise VolumeReadError(
            f"{name!r} has {found} in it, and by its name {expected} is expected. It is broken, or "
            "has another's name: restore it, or name it by what is in it."
        )


def _nowhere(name: str) -> str:
    """Why there is no file of a name: it may be a pattern."""
    matches = sorted(glob.glob(name)) if glob.has_magic(name) else []
    if not matches:
        return f"There is no file {name!r}. Check its path."
    calls = lines_of([(f"brainxr.open({path!r})", "") for path in matches])
    return (
        f"{name!r} is a pattern, and matches {len(matches)} files that are volumes by themselves. "
        f"Open the one you mean, or each of them:\n{calls}"
    )


def _refuse_short(found: NiftiHeader) -> None:
    """Refuse a file without room for the voxels that its header promises."""
    if not os.path.isfile(found.path):
        raise EmptyStackError(f"There is no file {found.path!r}, which has the voxels. Restore it.")
    needed = found.offset + int(np.prod(found.shape)) * found.stored.itemsize
    size = os.path.getsize(found.path)
    if size < needed and not found.is_gzipped:
        raise VolumeReadError(
            f"{found.path!r} is truncated: {size} bytes found, {needed} expected by its header "
            f"({' x '.join(map(str, found.shape))} {found.stored.name}). Restore it from its "
            "source."
        )


# --- headers to write ---


def can_hold(dtype: np.dtype[Any]) -> bool:
    """Whether NIfTI has a code for values of this type."""
    return dtype.name in (
        "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
        "float32", "float64", "complex64", "complex128",
    )  # fmt: skip


def new_header(
    shape: Sequence[int], dtype: np.dtype[Any], affine: npt.NDArray[np.float64], *,
    space: str, description: str, note: str, version: int | None = None,
) -> bytes:  # fmt: skip
    """All of a ``.nii`` before its first voxel.

    Parameters
    ----------
    shape : sequence of int
        Along x, y and z.
    dtype : numpy.dtype
        The voxels follow in little-endian order.
    affine : numpy.ndarray, shape (4, 4)
        In millimetres.
    space : str
        Which one the affine leads to; one that NIfTI has no code for is "aligned".
    description : str
        Up to 79 bytes.
    note : str
        A comment of any length.
    version : {1, 2}, optional
        Default: 1, unless it can't count the voxels, or place them to a thousandth of one.

    Raises
    ------
    VolumeError
        When version 1 is asked for and can't hold it.
    """
    nibabel = load_nibabel()
    best = 1 if max(shape) <= _MOST_OF_1 and _fits_float32(affine, shape) else 2
    if version == 1 and best == 2:
        raise VolumeError(
            f"NIfTI-1 can't hold {' x '.join(map(str, shape))} voxels at their places: it counts "
            f"to {_MOST_OF_1} along an axis, and its numbers have 7 digits. Leave version out, "
            "or say version=2."
        )
    kind = nibabel.Nifti2Header if (version or best) == 2 else nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_dtype(dtype.newbyteorder("<"))
    header.set_data_shape(shape)
    code = space if space in ("scanner", "talairach", "mni", "template") else "aligned"
    header.set_sform(affine, code)
    header.set_qform(affine, code)
    if apart(affine, header.get_qform(), shape) > OBLIQUE_IN_VOXELS:  # it has no words for shears
        header["qform_code"] = 0
    header.set_xyzt_units("mm")
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header["scl_slope"], header["scl_inter"] = 1, 0
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", note.encode()))
    content = io.BytesIO()
    header.write_to(content)
    return content.getvalue().ljust(int(header["vox_offset"]), b"\0")


def _fits_float32(affine: npt.NDArray[np.float64], shape: Sequence[int]) -> bool:
    rounded = affine.astype(np.float32).astype(np.float64)
    return apart(affine, rounded, shape) < OFF_GRID_IN_VOXELS
