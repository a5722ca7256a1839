"""A movie that scrolls through the planes of a volume. The only user of PyAV.

volume ── every_plane ──▶ planes ── blocks of them, one read ahead ──▶ images
images ── Frames.draw ──▶ frames ── _encoder ──▶ a hidden file ── whole_file ──▶ the movie
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from brainxr.contrast import chosen_limits
from brainxr.errors import GeometryError, MissingExtraError
from brainxr.lazy.ahead import one_ahead
from brainxr.lazy.cost import refuse_beyond_memory
from brainxr.pictures.planes import (
    CutPlane,
    axes_of,
    every_plane,
    planes_along,
    read_planes,
    refuse_no_volume,
)
from brainxr.progress import with_progress
from brainxr.stacks.slices import PathLike
from brainxr.writing.wholefile import checked_target, whole_file

if TYPE_CHECKING:
    from brainxr.pictures.frames import RGB, Frames

SUFFIXES = (".mp4", ".gif")

# The encoder of H.264, and its quality: 0 is lossless, 23 the usual, and at 18 hardly
# anybody sees a difference.
H264, QUALITY = "libx264", "18"

# A GIF's frames last a whole number of hundredths of a second, and browsers play those
# of a single one ten times slower.
FASTEST_GIF = 50

# Planes are read together, since a slice on disk may have a row of each: as many as this
# holds. While one block is drawn the next is read, so memory holds two or three of them.
BLOCK_BYTES, BLOCKS_AT_ONCE = 64_000_000, 3

# Planes from which the contrast is estimated.
SAMPLED_PLANES = 9


def movie(
    volume: xr.DataArray, path: PathLike, axis: str = "z", *, fps: float = 25, size: int = 720,
    cmap: str = "gray", vmin: float | None = None, vmax: float | None = None,
    overwrite: bool = False, progress: bool | None = None,
) -> Path:  # fmt: skip
    """Scroll through the planes of a volume, in a movie.

    One frame a plane, in the order in which they are stored, with its place in mm and a
    scale bar; select first what should be in it: ``vol.sel(z=slice("6 cm", "8 cm"))``,
    ``vol[::4]``. Rows and columns lie as in `brainxr.pictures.plot.plot_planes`. Missing slices
    are left out along `axis`, and hatched within a plane.

    Reads some planes to find the contrast, then every plane once, in blocks that are
    read ahead: memory holds three of 64 MB (or three planes, where one is larger), not
    the volume. Of planes much larger than the movie only every second, third, ... voxel
    is read.

    Parameters
    ----------
    volume : xarray.DataArray, dims z, y, x in any order
        With coordinates in a unit of length.
    path : path-like
        What to write: ``.mp4`` (H.264, which every program plays) or ``.gif``. It
        appears when it is whole.
    axis : {"z", "y", "x"}
        Axis along which to scroll: through axial, coronal or sagittal planes.
    fps : float
        Planes in a second.
    size : int
        Pixels of the planes' longer side, 64 to 4096; less, down to a half, where voxels
        are larger than pixels, so that each gets a whole number of them.
    cmap : str
        Name of a matplotlib colour map.
    vmin, vmax : float, optional
        Limits of contrast. Default: robust percentiles of nine planes, see
        `brainxr.contrast.contrast_limits`.
    overwrite : bool
        Replace a movie that is there, once the new one is whole.
    progress : bool, optional
        Whether to show a bar. Default: in a terminal, after two seconds.

    Returns
    -------
    pathlib.Path
        Of the movie.

    Raises
    ------
    GeometryError
        When it is no volume, or has one plane along `axis`; when a coordinate has no
        unit of length or is irregular.
    ValueError
        When `path` ends otherwise, or `fps`, `size`, `cmap` or the contrast make no sense.
    TypeError
        When it is no DataArray, or its values are neither bool nor int nor float.
    OSError
        When the folder is not there, or the disk is full.
    FileExistsError
        When there is something at `path`, and `overwrite` was not said.
    TooBigError
        When the planes that are read ahead would not fit in memory.
    MissingExtraError
        When PyAV, Pillow or matplotlib is not installed, or PyAV without H.264.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> path = brainxr.movie(vol, "axial.mp4")  # doctest: +SKIP
    """
    target = checked_target(path, SUFFIXES, "a movie", overwrite)
    _refuse_without_extra()
    _check_numbers(fps, size, target)
    planes = _planes(volume, axis)
    frames = _frames(volume, planes, axis, size, (cmap, vmin, vmax))
    drawn = _draw_all(volume, planes, axis, frames)
    with (
        whole_file(target, overwrite) as partial_path,
        _encoder(partial_path, frames.frame_size, fps) as add,
    ):
        for frame in with_progress(drawn, target.name, "plane", progress, len(planes)):
            add(frame)
    return target


def _check_numbers(fps: float, size: int, target: Path) -> None:
    from brainxr.pictures.frames import LARGEST, SMALLEST

    if not isinstance(size, int | np.integer) or not SMALLEST <= size <= LARGEST:
        raise ValueError(
            f"size={size!r}: give the pixels of the longer side, a whole number from {SMALLEST} "
            f"to {LARGEST}."
        )
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0.1 <= fps <= 240:
        raise ValueError(f"fps={fps!r}: give the planes in a second, a number from 0.1 to 240.")
    if target.suffix.lower() == ".gif" and fps > FASTEST_GIF:
        raise ValueError(
            f"fps={fps:g} is too fast for a GIF, which has {FASTEST_GIF} planes in a second at the "
            "most. Choose fewer, or write an .mp4."
        )


def _planes(volume: xr.DataArray, axis: str) -> list[CutPlane]:
    axes = axes_of(volume)
    refuse_no_volume(axes, axis, "A movie")
    if volume.sizes[axis] < 2:
        raise GeometryError(
            f"A movie needs two planes or more; along {axis!r} there is one. Choose another axis, "
            "or draw it by plot_planes."
        )
    return every_plane(volume, axes, axis)


def _frames(
    volume: xr.DataArray, planes: list[CutPlane], axis: str, size: int,
    style: tuple[str, float | None, float | None],
) -> Frames:  # fmt: skip
    """How to draw them; reads a few planes for the contrast, and refuses what is too big."""
    from brainxr.pictures.frames import Frames, scale_of
    from brainxr.pictures.plot import colour_table, font_file

    cmap, vmin, vmax = style
    colours = colour_table(cmap)  # an unknown name is told before anything is read
    scale = scale_of(planes[0], size)
    _refuse_too_big(planes[0].thin(scale), len(planes), volume.dtype.itemsize)
    if vmin is None or vmax is None:
        some = planes_along(volume, axes_of(volume), axis, SAMPLED_PLANES)
        images = read_planes(volume.variable, [plane.thin(scale) for plane in some])
    else:
        images = [np.zeros(1)]
    return Frames.of(planes, size, chosen_limits(images, vmin, vmax), colours, font_file())


def _refuse_too_big(plane: CutPlane, planes: int, itemsize: int) -> None:
    """Refuse planes of which not even the few that are read ahead fit in memory."""
    shape = _shape(plane)
    together = min(planes, BLOCKS_AT_ONCE * _planes_of_block(plane, itemsize))
    refuse_beyond_memory(
        together * math.prod(shape) * itemsize,
        f"{together} planes of {shape[0]} x {shape[1]}, which a movie reads ahead,",
        "Draw smaller ones: select a part, or every second row and column.",
    )


# --- reading ahead ----------------------------------------------------------------


def _shape(plane: CutPlane) -> list[int]:
    """Rows and columns of it that are read."""
    return [len(np.arange(a.lattice.k.size)[a.indexer]) for a in plane.axes]


def _planes_of_block(plane: CutPlane, itemsize: int) -> int:
    return max(1, BLOCK_BYTES // (math.prod(_shape(plane)) * itemsize))


def _draw_all(
    volume: xr.DataArray, planes: Sequence[CutPlane], axis: str, frames: Frames
) -> Iterator[RGB]:
    from brainxr.pictures.frames import text_of

    many = _planes_of_block(frames.plane, volume.dtype.itemsize)
    parts = [slice(i, i + many) for i in range(0, len(planes), many)]
    read = partial(_read_block, volume.variable, axis, frames.plane)
    places = iter(planes)
    for block in one_ahead(read, parts):
        for image in block:
            yield frames.draw(image, text_of(next(places)))


def _read_block(variable: xr.Variable, axis: str, plane: CutPlane, part: slice) -> Any:
    """Planes one behind the other, shape (n, rows, columns), read in one go."""
    chosen = variable.isel({axis: part, **{a.name: a.indexer for a in plane.axes}})
    return chosen.transpose(axis, *(a.name for a in plane.axes)).values


# --- encoding ---------------------------------------------------------------------


@contextmanager
def _encoder(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[RGB], None]]:
    """A function that adds a frame to a movie, which is complete when the block is left."""
    import av

    rate = Fraction(fps).limit_denominator(1000)
    is_gif = path.suffix.lower() == ".gif"
    # faststart: a browser plays it while it loads
    options = {} if is_gif else {"movflags": "+faststart"}
    with av.open(str(path), "w", format=path.suffix[1:].lower(), options=options) as container:
        stream: Any = (_gif_stream if is_gif else _h264_stream)(container, rate)
        stream.width, stream.height = size
        prepare = _palettes(size, rate) if is_gif else _in_broadcast_colours
        yield lambda frame: container.mux(stream.encode(prepare(frame)))
        container.mux(stream.encode())


def _h264_stream(container: Any, rate: Fraction) -> Any:
    import av

    try:
        stream = container.add_stream(H264, rate=rate, options={"crf": QUALITY})
    except (av.error.EncoderNotFoundError, av.codec.codec.UnknownCodecError) as error:
        raise MissingExtraError(
            f"This PyAV was built without the encoder {H264}, which an .mp4 needs. Write a .gif, "
            "or install PyAV's own wheel: pip install --force-reinstall --only-binary av av."
        ) from error
    stream.pix_fmt = "yuv420p"  # the one that every player knows
    # said in the file, or a player would guess the colours by the size of the picture
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


# FFmpeg's numbers for the colours of HD television, and for its range, 16 to 235.
_BT709, _LIMITED = 1, 1


def _in_broadcast_colours(frame: RGB) -> Any:
    import av

    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    return picture.reformat(format="yuv420p", dst_colorspace="ITU709")


def _gif_stream(container: Any, rate: Fraction) -> Any:
    stream = container.add_stream("gif", rate=rate)
    stream.pix_fmt = "pal8"
    return stream


def _palettes(size: tuple[int, int], rate: Fraction) -> Callable[[RGB], Any]:
    """A function that gives a frame its own 256 colours: greys are exact, nothing is dithered.

    One palette for all would need all frames in memory.
    """
    import av

    graph: Any = av.filter.Graph()
    source = graph.add_buffer(width=size[0], height=size[1], format="rgb24", time_base=1 / rate)
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=none")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    numbers = count()

    def coloured(frame: RGB) -> Any:
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts = next(numbers)
        graph.push(picture)
        return graph.pull()

    return coloured


def _refuse_without_extra() -> None:
    """Before anything is read."""
    missing = [name for name in ("av", "matplotlib", "PIL") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"A movie needs {' and '.join(missing)}, which is not installed: "
            "pip install 'brainxr[movie]'."
        )
