"""The command ``brainxr``: parse, call one verb, print."""

from __future__ import annotations

import codecs
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import xarray as xr

import brainxr
from brainxr.errors import shortlist
from brainxr.find import find_volume
from brainxr.geometry.grid import DIMS
from brainxr.lazy.cost import show_bytes
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.volume import Volume
from brainxr.stacks.positions import are_by_name
from brainxr.stacks.slices import by_number, is_slice_name
from brainxr.stacks.stack import PLANES, Plane, Stack, find_stack
from brainxr.stacks.tables import read_positions
from brainxr.stores.ngff import VERSIONS
from brainxr.stores.omezarr import StoredImage
from brainxr.stores.storesource import StoreSource
from brainxr.writing.pyramid import METHODS
from brainxr.writing.shards import CODECS
from brainxr.writing.tiffstack import COMPRESSIONS
from brainxr.writing.wholefile import checked_target, whole_file

# What is written: by which method, and which options it takes.
FORMS = {
    "ome-zarr": (
        "to_ome_zarr", ("levels", "method", "chunks", "shards", "codec", "version", "memory"),
    ),
    "tiff": ("to_tiff", ("along", "compression", "memory")),
    "nifti": ("to_nifti", ("memory",)),
}  # fmt: skip
ENDINGS = {".zarr": "ome-zarr", ".nii": "nifti", ".nii.gz": "nifti"}

# What a person did or their data are, as opposed to a mistake of ours.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError, KeyError)


# How a character is spelled on a console whose encoding lacks it: cp932 and gbk have no µ.
_SPELLINGS = str.maketrans({"µ": "u", "μ": "u", "°": " deg", "±": "+-", "…": "...", "▶": ">"})


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: ``um`` for µm, and an escape for what has no spelling."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SPELLINGS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _let_every_console_print() -> None:
    """Make this process's own output spell out what its encoding lacks, instead of failing."""
    codecs.register_error("brainxr.spell_out", _spell_out)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="brainxr.spell_out")


class _Main(click.Group):
    """Errors on one line of stderr with exit code 1, unless ``--debug`` is given."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False  # in which click prints three lines and exits with 2
        _let_every_console_print()
        try:
            code = super().main(*args, **kwargs)
        except click.ClickException as error:
            click.echo(f"brainxr: {_one_line(error)} Try 'brainxr --help'.", err=True)
            code = 1
        except click.Abort as error:
            notes = " ".join(["interrupted.", *getattr(error.__cause__, "__notes__", [])])
            click.echo(f"brainxr: {notes}", err=True)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # click's own, which are RuntimeErrors
            raise
        except _EXPECTED as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            else:
                click.echo(f"brainxr: {_one_line(error)}", err=True)
            ctx.exit(1)


@click.group(
    cls=_Main,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="brainxr")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Open a stack of image slices as one volume, and look at it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_OF_STACKS = (
    "spacing", "origin", "plane", "missing", "number", "positions", "inside", "taken",
)  # fmt: skip
_PATHS = click.argument("paths", metavar="PATH", nargs=-1, required=True)
_NUMBER = click.option("--number", help="Number of a slice in its name: 'z', or '_(\\d+)_488'.")
_POSITIONS = click.option(
    "--positions", help="Places of the slices: a .csv, or an expression, 'z(.*)mm'."
)
_INSIDE = click.option("--inside", help="Of a zip: a folder, pattern or slice in it.")
_TAKE = click.option(
    "--take", "taken", help="Of a file or store with more axes: 't=0', or by label 'c=DAPI'."
)

# What the demo draws, into a picture of this name; its own, so it is drawn anew each time.
DEMO = "brainxr-demo.png"

_overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace what is there, once the new one is complete."
)


def _stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a stack's files don't."""
    for option in (
        click.option("--spacing", help="'100 um', or per axis: 'z=50um,y=25um,x=25um'."),
        click.option("--origin", help="Coordinate of the first voxel's centre, as --spacing."),
        click.option("--plane", type=click.Choice(list(PLANES)), help="Default: by the name."),
        click.option(
            "--missing", type=click.Choice(["keep", "fill", "raise"]), default="keep",
            help="What to do about missing slices.", show_default=True,
        ),
        _NUMBER,
        _POSITIONS,
        _INSIDE,
        _TAKE,
    ):  # fmt: skip
        command = option(command)
    return command


@main.command(short_help="Print what a stack, store or file is: shape, spacing, extent, gaps.")
@_PATHS
@_stack_options
def info(paths: tuple[str, ...], **options: Any) -> None:
    """Print what brainxr opens: shape, spacing and where it came from, extent, size, gaps."""
    parsed = _parsed(options)
    for label, value in _facts_at(_source(paths, parsed), parsed).items():
        click.echo(f"{label:<12}{value}")


@main.command(short_help="Report all that is wrong with a stack, store or file.")
@_PATHS
@click.option("--deep", is_flag=True, help="Decode every slice, too, and find odd ones.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("-o", "--output", help="Picture of the values along the stack; looks deeply.")
@click.option("--no-progress", is_flag=True, help="Without a bar.")
@_overwrite_option
@_NUMBER
@_POSITIONS
@_INSIDE
@_TAKE
def check(
    paths: tuple[str, ...], number: str | None, positions: str | None, inside: str | None,
    taken: str | None, deep: bool, as_json: bool, output: str | None, no_progress: bool,
    overwrite: bool,
) -> None:  # fmt: skip
    """Read the header of every slice and report all that is wrong.

    With --deep every slice is decoded, and those are listed that are empty, constant, the
    same as the one before, or outliers; so they always are of a store or a file of a volume.
    The exit code is 1 when something is wrong or odd.
    """
    target = None if output is None else _picture_target(output, overwrite)
    names = {"number": number, "positions": _positions(positions)}
    report = brainxr.check(
        _source(paths, names),
        **names,
        inside=inside,
        at=_places(taken),
        deep=deep or target is not None,
        progress=False if no_progress else None,
    )
    if target is not None:
        _save_profile(report, target, overwrite)
    click.echo(
        json.dumps(report.as_dict()) if as_json else str(report), err=not report.ok and not as_json
    )
    if not report.ok:
        sys.exit(1)


@main.command(short_help="Print a fingerprint of the voxels and their places.")
@_PATHS
@click.option("--no-progress", is_flag=True, help="Without a bar.")
@_stack_options
def checksum(paths: tuple[str, ...], no_progress: bool, **options: Any) -> None:
    """Print a fingerprint of the voxels and where they are, the same for a stack and its copies."""
    volume = _opened(paths, options)
    click.echo(
        f"{brainxr.checksum(volume, progress=False if no_progress else None)}  {' '.join(paths)}"
    )


@main.command()
@_PATHS
@click.option("-o", "--output", default="planes.png", show_default=True, help="Picture to write.")
@click.option("--at", help="Point of the cuts, for example 'z=62mm,y=8cm'. Default: the middle.")
@_overwrite_option
@_stack_options
def plot(
    paths: tuple[str, ...], output: str, at: str | None, overwrite: bool, **options: Any
) -> None:
    """Draw the three planes through a point into a picture."""
    volume = _opened(paths, options)
    _save_planes(volume, output, None if at is None else _per_axis(at), overwrite)


@main.command()
@_PATHS
@click.option("-o", "--output", default="movie.mp4", show_default=True, help="An .mp4 or .gif.")
@click.option("--axis", type=click.Choice(DIMS), default="z", show_default=True)
@click.option("--sel", "selection", help="A part, for example 'z=6cm:6.4cm'.")
@click.option("--fps", type=float, default=25, show_default=True, help="Planes in a second.")
@click.option("--size", type=int, default=720, show_default=True, help="Pixels, longer side.")
@click.option("--cmap", default="gray", show_default=True, help="A matplotlib colour map.")
@_overwrite_option
@_stack_options
def movie(
    paths: tuple[str, ...], output: str, axis: str, selection: str | None, fps: float, size: int,
    cmap: str, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Make a movie that scrolls through the planes.

    Along any axis, with a scale bar and places in mm.
    """
    volume = _select(_opened(paths, options), selection)
    written = brainxr.movie(
        volume, output, axis, fps=fps, size=size, cmap=cmap, overwrite=overwrite
    )
    click.echo(f"Wrote {written}")


@main.command()
@_PATHS
@click.option("--sel", "selection", help="A part, for example 'z=6cm:6.4cm,y=8cm'.")
@click.option("--planes", is_flag=True, help="Three linked planes: axial, coronal, sagittal.")
@click.option("--preview", help="Bytes of what is shown in 3-D, at most, as '512 MB'.")
@_stack_options
def view(
    paths: tuple[str, ...], selection: str | None, planes: bool, preview: str | None, **options: Any
) -> None:  # fmt: skip
    """Open a stack, or a part of it, in napari."""
    volume = _opened(paths, options)
    brainxr.view(_select(volume, selection), planes=planes, preview=preview, block=True)


@main.command(short_help="Write a stack, or a part of it: as a pyramid, slices or NIfTI.")
@click.argument("sources", metavar="SRC", nargs=-1, required=True)
@click.argument("target", metavar="DST")
@click.option("--to", "form", type=click.Choice(list(FORMS)), help="Default: by DST's ending.")
@click.option("--sel", "selection", help="A part, for example 'z=6cm:6.4cm,y=8cm'.")
@click.option("--along", type=click.Choice(DIMS), help="Of slices: their axis. Default: z.")
@click.option("--compression", type=click.Choice(COMPRESSIONS), help="Of slices. Default: none.")
@click.option("--levels", type=int, help="How many. Default: until the coarsest is small.")
@click.option(
    "--method", type=click.Choice(METHODS), help="Of levels. Default: mode of labels, else mean."
)
@click.option("--chunks", help="Voxels: '64', or per axis: 'z=32,y=64,x=64'. Default: 64.")
@click.option("--shards", help="Voxels in a file, as --chunks. Default: by the memory.")
@click.option("--codec", type=click.Choice(CODECS), help="Of chunks. Default: lz4.")
@click.option("--version", type=click.Choice(VERSIONS), help="Of OME-Zarr. Default: 0.5.")
@click.option("--memory", help="What it may take at a time. Default: 1 GiB.")
@click.option("--overwrite", is_flag=True, help="Replace DST once the new one is complete.")
@click.option("--no-progress", is_flag=True, help="Without a bar.")
@_stack_options
def convert(sources: tuple[str, ...], target: str, form: str | None, **options: Any) -> None:
    """Write SRC, a stack, store or file, or a part of it, to DST.

    DST is by its ending an OME-Zarr store, NAME.ome.zarr, or a NIfTI file, NAME.nii.gz or
    .nii; with --to tiff a folder of TIFF slices. A store or folder that was interrupted
    goes on when the same is typed again.
    """
    method, known = FORMS[form or _form_of(target)]
    own = {name: options.pop(name) for name in _OF_STACKS}
    options |= {name: _voxels(options[name]) for name in ("chunks", "shards")}
    shared = {"progress": not options.pop("no_progress"), "overwrite": options.pop("overwrite")}
    selection = options.pop("selection")
    asked = {name: value for name, value in options.items() if value is not None}
    if others := [f"--{name}" for name in asked if name not in known]:
        raise ValueError(
            f"{others[0]} says nothing of what is written to {target!r}: leave it out."
        )
    volume = _select(_opened(sources, own), selection)
    click.echo(f"Wrote {getattr(volume.brain, method)(target, **shared, **asked)}")


@main.command(short_help="Make coarser levels beside a stack, to look at it.")
@_PATHS
@click.option("--beside", is_flag=True, help="Next to the stack, and not in the user's cache.")
@click.option("--levels", type=int, help="How many, with the stack. Default: until it is small.")
@click.option("--method", type=click.Choice(METHODS), help="Default: mode of labels, else mean.")
@click.option("--codec", type=click.Choice(CODECS), default="lz4", show_default=True)
@click.option("--memory", help="What it may take at a time. Default: 1 GiB.")
@click.option("--no-progress", is_flag=True, help="Without a bar.")
@_stack_options
def levels(paths: tuple[str, ...], **options: Any) -> None:
    """Make the coarser levels of a stack, by which the viewer zooms; the stack stays as it is."""
    own = {name: options.pop(name) for name in _OF_STACKS}
    progress = not options.pop("no_progress")
    asked = {name: value for name, value in options.items() if value is not None}
    volume = _opened(paths, own)
    click.echo(f"Wrote {volume.brain.build_levels(progress=progress, **asked)}")


@main.command(short_help="Make a sample: phantom or mni152.")
@click.argument("name", default="phantom")
@click.argument("folder", required=False)
@click.option("--shape", help="Voxels of the phantom, for example 'z=1280,y=1760,x=1760'.")
def sample(name: str, folder: str | None, shape: str | None) -> None:
    """Make the sample NAME (phantom, mni152), in FOLDER where one is given."""
    voxels = None if shape is None else {d: _whole(d, n) for d, n in _pairs(shape).items()}
    click.echo(brainxr.sample(name, shape=voxels, folder=folder))


@main.command(short_help="Download a dataset, or find the one that is here.")
@click.argument("name", default="edlow-100um")
@click.option("--plane", type=click.Choice(list(PLANES)), default="axial", show_default=True)
@click.option("--to", help="Folder to keep it in. Default: the user's cache.")
@click.option("--no-progress", is_flag=True, help="Without a bar.")
def fetch(name: str, plane: Plane, to: str | None, no_progress: bool) -> None:
    """Download the dataset NAME, go on where that was interrupted, and print its path."""
    click.echo(brainxr.fetch(name, plane=plane, to=to, progress=False if no_progress else None))


@main.command(short_help="List the datasets that can be downloaded.")
def datasets() -> None:
    """List the datasets that 'brainxr fetch' downloads, with size, licence and citation."""
    click.echo(repr(brainxr.datasets()))


@main.command(short_help="Make a sample, print, draw and show it.")
@click.option("-o", "--output", default=DEMO, show_default=True)
@click.option("--show/--no-show", default=None, help="Open the viewer. Default: where it can be.")
def demo(output: str, show: bool | None) -> None:
    """Make a sample, print what it is, draw its planes and open it in napari."""
    name = "mni152" if _can_import("nibabel", "nilearn") else "phantom"
    path = brainxr.sample(name)
    click.echo(f">>> vol = brainxr.open({str(path)!r})")
    for label, value in _facts(find_stack(path)).items():
        click.echo(f"{label:<12}{value}")
    volume = brainxr.open(path)
    _save_planes(volume, output, None, overwrite=output == DEMO)  # a picture of its own
    if show or (show is None and _can_show()):
        click.echo(">>> brainxr.view(vol)   # close the window to go on")
        brainxr.view(volume, block=True)
    else:
        click.echo("No viewer is opened (no display, or napari is not installed).")


# --- what is printed --------------------------------------------------------------


def _facts_at(path: str | list[str], options: Mapping[str, Any]) -> dict[str, str]:
    volume = find_volume(path, **options)
    if isinstance(volume, Stack):
        return _facts(volume)
    source = volume.array.source
    if isinstance(source, StoreSource) and isinstance(source.pyramid, StoredImage):
        return _store_facts(source.pyramid)
    return _file_facts(volume)


def _facts(stack: Stack) -> dict[str, str]:
    array = stack.array
    missing = stack.attrs.get("missing_slices")
    facts = {
        "source": stack.attrs["source"],
        "shape": f"{_shape(array)} (stacked along {array.source.axes[0]}: {stack.attrs['plane']})",
        "dtype": f"{array.dtype}, {_compression(stack)}",
        "spacing": f"{_spacing(stack)} (from {stack.spacing})",
        "extent": _extent(stack),
        "size": f"{show_bytes(array.nbytes)} in {len(stack.files)} files",
        **_costs(array),
        "gaps": "none" if missing is None else f"numbers {missing} are missing",
    }
    return facts | {key: stack.attrs[key] for key in ("citation", "license") if key in stack.attrs}


def _file_facts(volume: Volume) -> dict[str, str]:
    array, attrs = volume.array, volume.attrs
    rule = f" (from {attrs['spacing_source']})" if "spacing_source" in attrs else ""
    scaled = f", scaled {attrs['stored_dtype']}" if "scl_slope" in attrs else ""
    facts = {
        "source": attrs.get("source", array.source.place),
        "shape": _shape(array),
        "dtype": f"{array.dtype}{scaled}",
        "spacing": f"{_spacing(volume)}{rule}",
        "extent": _extent(volume),
        "size": show_bytes(array.nbytes),
        **_costs(array),
    }
    if "space" in attrs:
        axes = attrs.get("stored_orientation", "unknown")
        facts["space"] = f"{attrs['space']}, axes in the file: {axes}"
    return facts


def _store_facts(found: StoredImage) -> dict[str, str]:
    levels = found.volumes()
    finest = levels[0]
    facts = {
        "store": f"{found.location.path}, OME-Zarr {found.image.version}",
        "shape": _shape(finest.array),
        "dtype": f"{finest.array.dtype}, chunks of {' x '.join(map(str, _chunk(finest.array)))}",
        "spacing": _spacing(finest),
        "extent": _extent(finest),
        "size": show_bytes(finest.array.nbytes),
        **_costs(finest.array),
    }
    for number, level in enumerate(levels[1:], 1):
        facts[f"level {number}"] = f"{_shape(level.array)}, spacing {_spacing(level)}"
    known = ("source", "citation", "license")
    return facts | {key: str(finest.attrs[key]) for key in known if key in finest.attrs}


def _chunk(array: StackArray) -> list[int]:
    return [array.source.grain[axis] for axis in array.order]


def _shape(array: StackArray) -> str:
    return " x ".join(f"{dim} {n}" for dim, n in zip(array.dims, array.shape, strict=True))


def _spacing(volume: Volume) -> str:
    steps = {d: volume.coordinates[d].attrs.get("spacing") for d in volume.array.dims}
    shown = (f"{d} {'uneven' if step is None else f'{step:g}'}" for d, step in steps.items())
    return f"{', '.join(shown)} µm"


def _costs(array: StackArray) -> dict[str, str]:
    """What a plane across each axis, and the whole, takes to read."""
    middle = [slice(None) if n == 0 else n // 2 for n in array.shape]
    planes = {
        dim: array.select((slice(None),) * axis + (middle[axis],)).bytes_to_read
        for axis, dim in enumerate(array.dims)
    }
    parts = ", ".join(f"{show_bytes(count)} for a plane across {d}" for d, count in planes.items())
    return {"to read": f"{parts}; {show_bytes(array.bytes_to_read)} for all"}


def _compression(stack: Stack) -> str:
    name = stack.header.facts.compression.lower()
    stored = "uncompressed" if name == "none" else f"compressed ({name})"
    return f"{stored}, deflated by the zip" if stack.files.unpacks else stored


def _extent(volume: Volume) -> str:
    """Outer edges along each axis, half a voxel beyond the first and last centre."""
    spans = []
    for dim in volume.array.dims:
        values = volume.coordinates[dim].values
        half = volume.coordinates[dim].attrs.get("spacing", 0.0) / 2
        low, high = min(values[0], values[-1]) - half, max(values[0], values[-1]) + half
        spans.append(f"{dim} {low / 1000:g} to {high / 1000:g}")
    return ", ".join(spans) + " mm"


def _picture_target(output: str, overwrite: bool) -> Path:
    path = Path(output)
    if path.is_dir() or not path.suffix:
        raise ValueError(
            f"{output!r} is no name for a picture: give one that ends in .png or .svg."
        )
    return checked_target(path, (path.suffix.lower(),), "a picture", overwrite)


def _save_planes(
    volume: xr.DataArray, output: str, at: Mapping[str, str] | None, overwrite: bool
) -> None:
    target = _picture_target(output, overwrite)
    from brainxr.pictures.plot import draw_without_window

    draw_without_window()
    _save(volume.brain.plot_planes(at=at), target, overwrite)
    click.echo(f"Wrote {target}")


def _save_profile(report: Any, target: Path, overwrite: bool) -> None:
    from brainxr.pictures.plot import draw_without_window, plot_profile

    draw_without_window()
    _save(plot_profile(report), target, overwrite)
    click.echo(f"Wrote {target}", err=True)


def _save(figure: Any, target: Path, overwrite: bool) -> None:
    with whole_file(target, overwrite) as partial:
        figure.savefig(partial, dpi=150)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"brainxr: warning: {' '.join(str(message).split())}", err=True)


def _one_line(error: Exception) -> str:
    text: object = error
    if isinstance(error, KeyError) and error.args:
        text = error.args[0]
    elif isinstance(error, click.ClickException):
        text = error.format_message()
    lines = [str(text) or type(error).__name__, *getattr(error, "__notes__", [])]
    return " ".join(" ".join(lines).split())


# --- what is typed ----------------------------------------------------------------


def _parsed(options: Mapping[str, Any]) -> dict[str, Any]:
    lengths = {key: _lengths(options[key]) for key in ("spacing", "origin")}
    others = {key: value for key, value in options.items() if key != "taken"}
    told = {"positions": _positions(options["positions"]), "at": _places(options["taken"])}
    return {**others, **lengths, **told}


def _opened(paths: tuple[str, ...], options: Mapping[str, Any]) -> xr.DataArray:
    parsed = _parsed(options)
    return brainxr.open(_source(paths, parsed), **parsed)


def _source(paths: tuple[str, ...], options: Mapping[str, Any]) -> str | list[str]:
    """What is opened: one path, or the slices that a shell made of a pattern, in their order."""
    if len(paths) == 1:
        return paths[0]
    if not all(os.path.isfile(path) and is_slice_name(os.path.basename(path)) for path in paths):
        raise ValueError(
            f"{len(paths)} paths are given ({shortlist(paths, 3)}), and only files of slices make "
            "one volume. Give one folder, file or store, or a pattern in quotes: 'folder/*.tif'."
        )
    said = options["number"] is not None or are_by_name(options["positions"])
    return list(paths) if said else by_number(paths)


def _positions(text: str | None) -> Any:
    """The positions that a .csv holds, or the regular expression as it is."""
    return read_positions(text) if text is not None and text.lower().endswith(".csv") else text


def _places(text: str | None) -> dict[str, int | str] | None:
    """``"t=0,c=DAPI"`` as what is taken along axes besides z, y and x."""
    if text is None:
        return None
    pairs = _pairs(text, bool, "AXIS=PLACE, such as t=0 or c=DAPI")
    return {axis: int(at) if at.isdecimal() else at for axis, at in pairs.items()}


def _lengths(text: str | None) -> Any:
    if text is None or "=" not in text:
        return _number_or_text(text)
    return _per_axis(text)


def _per_axis(text: str) -> dict[str, Any]:
    return {dim: _number_or_text(value) for dim, value in _pairs(text).items()}


def _pairs(
    text: str, is_axis: Callable[[str], bool] = DIMS.__contains__,
    expected: str = "AXIS=VALUE with the axis z, y or x",
) -> dict[str, str]:  # fmt: skip
    """``"z=62mm,y=8cm"`` as a mapping."""
    pairs = [part.partition("=") for part in text.split(",")]
    for axis, sign, value in pairs:
        if not is_axis(axis.strip()) or not value.strip():
            raise ValueError(f"{axis + sign + value!r} in {text!r} is no {expected}.")
    found = {axis.strip(): value.strip() for axis, _, value in pairs}
    if len(found) < len(pairs):
        raise ValueError(f"{text!r} names an axis twice.")
    return found


def _number_or_text(text: str | None) -> Any:
    """A bare number is in µm, as in Python."""
    try:
        return None if not text else float(text)
    except ValueError:
        return text


def _form_of(target: str) -> str:
    """What is written, by the ending of its name."""
    name = target.rstrip("/\\").lower()
    for ending, form in ENDINGS.items():
        if name.endswith(ending):
            return form
    raise ValueError(
        f"{target!r} doesn't end like anything that is written. Name it NAME.ome.zarr for a store, "
        "NAME.nii.gz for NIfTI, or add --to tiff for a folder of TIFF slices."
    )


def _voxels(text: str | None) -> Any:
    """``"64"``, or ``"z=32,y=64"`` as a mapping."""
    if text is None or "=" not in text:
        return None if text is None else _whole("--chunks or --shards", text)
    return {dim: _whole(dim, count) for dim, count in _pairs(text).items()}


def _whole(dim: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{dim}={text!r} is no number of voxels.")
    return int(text)


def _select(volume: xr.DataArray, selection: str | None) -> xr.DataArray:
    """``z=6cm:6.4cm`` is a slab, ``y=8cm`` the nearest plane."""
    for dim, text in _pairs(selection).items() if selection else ():
        if ":" in text:
            start, _, stop = text.partition(":")
            ends = slice(_number_or_text(start), _number_or_text(stop))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", brainxr.EmptySelectionWarning)
                    volume = volume.sel({dim: ends})
            except brainxr.EmptySelectionWarning as nothing:
                raise ValueError(f"{dim}={text} selects nothing. {nothing}") from None
        else:
            volume = _nearest_plane(volume, dim, text)
    return volume


def _nearest_plane(volume: xr.DataArray, dim: str, text: str) -> xr.DataArray:
    try:
        spacing = volume[dim].attrs.get("spacing")
        return volume.sel({dim: _number_or_text(text)}, method="nearest", tolerance=spacing)
    except KeyError:
        first, last = (float(end) / 1000 for end in volume[dim][[0, -1]])
        raise ValueError(
            f"{dim}={text} is no plane: {dim} goes from {first:g} to {last:g} mm."
        ) from None


def _can_import(*modules: str) -> bool:
    import importlib.util

    return all(importlib.util.find_spec(module) is not None for module in modules)


def _can_show() -> bool:
    from brainxr.viewing.display import has_display

    return _can_import("napari") and has_display()
