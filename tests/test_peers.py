"""Stores in the hands of others: they open ours and see the same, and we open theirs.

What has to come out is written down here by hand, in µm; nothing of brainxr's own
reading of metadata is used for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import MakeStack, open_data, unique_values
from stores import make_store

import brainxr

# the others' own warnings, of their own dependencies, are not ours to mend
pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE = (16, 20, 24)
# alike enough that each level halves all three axes
SPACING = {"z": 60.0, "y": 55.0, "x": 50.0}
ORIGIN = {"z": 1000.0, "y": 0.0, "x": -5.0}
# of each level: factor, and the centre of its first voxel, half a block less half a voxel on
FACTORS = (1, 2, 4)
ORIGINS = [ORIGIN, {"z": 1030.0, "y": 27.5, "x": 20.0}, {"z": 1090.0, "y": 82.5, "x": 70.0}]
UNITS = dict.fromkeys("zyx", "micrometer")


@dataclass(frozen=True)
class Ours:
    """A store that brainxr wrote, what has to be in each level, and its window as written."""

    path: str
    version: str
    levels: list[np.ndarray]
    window: list[float]


@pytest.fixture(params=["0.5", "0.4"])
def ours(request: pytest.FixtureRequest, make_stack: MakeStack, tmp_path: Path) -> Ours:
    made = make_stack(SHAPE)
    target = tmp_path / "ours.ome.zarr"
    volume = brainxr.open(made.path, spacing=SPACING, origin=ORIGIN)
    volume.brain.to_ome_zarr(target, version=request.param, levels=3, chunks=4, progress=False)
    levels = [made.values]
    for _ in FACTORS[1:]:
        z, y, x = (n // 2 for n in levels[-1].shape)
        blocks = levels[-1].reshape(z, 2, y, 2, x, 2)
        levels.append(np.rint(blocks.mean((1, 3, 5))).astype(made.values.dtype))
    name = "zarr.json" if request.param == "0.5" else ".zattrs"
    text = json.loads((target / name).read_text())
    attributes = text["attributes"]["ome"] if request.param == "0.5" else text
    window = attributes["omero"]["channels"][0]["window"]
    return Ours(str(target), request.param, levels, [window["start"], window["end"]])


# --- others open ours -------------------------------------------------------------


def test_ome_zarr_models_finds_it_valid(ours: Ours) -> None:
    models = pytest.importorskip("ome_zarr_models")
    group = models.open_ome_zarr(zarr.open_group(ours.path, mode="r"))
    assert type(group).__name__ == "Image"
    assert group.ome_zarr_version == ours.version
    steps = group.ome_attributes.multiscales[0].datasets if ours.version == "0.5" else (
        group.attributes.multiscales[0].datasets
    )  # fmt: skip
    assert [d.path for d in steps] == ["0", "1", "2"]


def test_ome_zarr_py_opens_ours(ours: Ours) -> None:
    pytest.importorskip("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (node,) = Reader(parse_url(ours.path))()
    for level, values in enumerate(ours.levels):
        np.testing.assert_array_equal(node.data[level], values)
        scale, translation = node.metadata["coordinateTransformations"][level]
        assert scale["scale"] == [SPACING[d] * FACTORS[level] for d in "zyx"]
        assert translation["translation"] == [ORIGINS[level][d] for d in "zyx"]
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["micrometer"] * 3
    assert node.metadata["contrast_limits"] == [ours.window]


def test_ngff_zarr_opens_ours(ours: Ours) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    multiscales = ngff_zarr.from_ngff_zarr(ours.path)
    for level, image in enumerate(multiscales.images):
        np.testing.assert_array_equal(image.data, ours.levels[level])
        assert image.scale == {d: SPACING[d] * FACTORS[level] for d in "zyx"}
        assert image.translation == ORIGINS[level]
        assert image.axes_units == UNITS


@pytest.fixture
def tensorstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """tensorstore, whose threads give a result before they close the file that it is from."""
    before, end = open_data(tmp_path_factory), time.monotonic() + 60
    yield pytest.importorskip("tensorstore")
    while open_data(tmp_path_factory) - before and time.monotonic() < end:
        time.sleep(0.01)


def test_tensorstore_opens_ours(ours: Ours, tensorstore: Any) -> None:
    for level, values in enumerate(ours.levels):
        array = tensorstore.open(
            {
                "driver": "zarr3" if ours.version == "0.5" else "zarr",
                "kvstore": {"driver": "file", "path": f"{ours.path}/{level}"},
            },
            read=True,
        ).result()
        np.testing.assert_array_equal(array.read().result(), values)
        if ours.version == "0.5":
            assert array.domain.labels == ("z", "y", "x")


def test_bioio_opens_ours(ours: Ours) -> None:
    bioio = pytest.importorskip("bioio_ome_zarr")
    reader = bioio.Reader(ours.path)
    for level, values in enumerate(ours.levels):
        reader.set_resolution_level(level)
        np.testing.assert_array_equal(reader.get_image_dask_data("ZYX"), values)
        sizes = reader.physical_pixel_sizes
        assert tuple(SPACING[d] * FACTORS[level] for d in "zyx") == (sizes.Z, sizes.Y, sizes.X)
        assert str(reader.dimension_properties.Z.unit) == "micrometer"


def test_napari_ome_zarr_opens_ours(ours: Ours) -> None:
    """It takes the scale, and leaves out the translation (0.10): of volumes at 0, all is right."""
    pytest.importorskip("napari_ome_zarr")
    from napari.layers import Image
    from napari_ome_zarr._reader import napari_get_reader

    reader = napari_get_reader(ours.path)
    assert reader is not None
    ((levels, kwargs, kind),) = reader(ours.path)
    assert kind == "image"
    for level, values in enumerate(ours.levels):
        np.testing.assert_array_equal(levels[level], values)
    layer = Image(levels, **kwargs)
    first, last = layer.extent.world
    expected = [SPACING[d] * (n - 1) for d, n in zip("zyx", SHAPE, strict=True)]
    assert (last - first).tolist() == expected
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert layer.contrast_limits == ours.window


# --- we open theirs ---------------------------------------------------------------

Writer = Callable[[Path, np.ndarray], None]


def by_ome_zarr(version: str) -> Writer:
    def write(path: Path, values: np.ndarray) -> None:
        pytest.importorskip("ome_zarr")
        from ome_zarr.format import format_from_version
        from ome_zarr.writer import write_image

        form = format_from_version(version)
        group = zarr.open_group(path, mode="w", zarr_format=form.zarr_format)
        write_image(
            values, group, fmt=form, axes="zyx", scale=SPACING, axes_units=UNITS,
            scale_factors=[{"z": f, "y": f, "x": f} for f in FACTORS[1:]],
        )  # fmt: skip

    return write


def by_ngff_zarr(version: str) -> Writer:
    """In millimetres, with its own origin."""

    def write(path: Path, values: np.ndarray) -> None:
        ngff_zarr = pytest.importorskip("ngff_zarr")
        image = ngff_zarr.to_ngff_image(
            values, dims=["z", "y", "x"], axes_units=dict.fromkeys("zyx", "millimeter"),
            scale={d: SPACING[d] / 1000 for d in "zyx"},
            translation={d: ORIGIN[d] / 1000 for d in "zyx"},
        )  # fmt: skip
        levels = ngff_zarr.to_multiscales(image, scale_factors=list(FACTORS[1:]))
        ngff_zarr.to_ngff_zarr(str(path), levels, version=version)

    return write


def by_bioio(zarr_format: int) -> Writer:
    """With axes t and c, and without translations."""

    def write(path: Path, values: np.ndarray) -> None:
        writers = pytest.importorskip("bioio_ome_zarr.writers")
        shapes = [(1, 1, *(n // factor for n in values.shape)) for factor in FACTORS]
        writer = writers.OMEZarrWriter(
            str(path), shapes, values.dtype, zarr_format=zarr_format,
            axes_names=list("tczyx"), axes_types=["time", "channel", "space", "space", "space"],
            axes_units=[None, None, "micrometer", "micrometer", "micrometer"],
            physical_pixel_size=[1.0, 1.0, *SPACING.values()],
        )  # fmt: skip
        writer.write_full_volume(values[None, None])

    return write


THEIRS: dict[str, tuple[Writer, dict[str, float]]] = {
    "ome-zarr-py 0.4": (by_ome_zarr("0.4"), dict.fromkeys("zyx", 0.0)),
    "ome-zarr-py 0.5": (by_ome_zarr("0.5"), dict.fromkeys("zyx", 0.0)),
    "ngff-zarr 0.4": (by_ngff_zarr("0.4"), ORIGIN),
    "ngff-zarr 0.5": (by_ngff_zarr("0.5"), ORIGIN),
    "bioio 0.4": (by_bioio(2), dict.fromkeys("zyx", 0.0)),
    "bioio 0.5": (by_bioio(3), dict.fromkeys("zyx", 0.0)),
}


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("who", THEIRS)
def test_we_open_theirs(tmp_path: Path, who: str, dtype: str) -> None:
    write, origin = THEIRS[who]
    values = unique_values(SHAPE, dtype)
    write(tmp_path / "theirs.zarr", values)
    tree = brainxr.open_pyramid(tmp_path / "theirs.zarr")
    np.testing.assert_array_equal(tree["0"].intensity, values)
    for level, factor in enumerate(FACTORS):
        volume = tree[str(level)].intensity
        assert volume.shape == tuple(n // factor for n in SHAPE)
        for dim, size in zip("zyx", volume.shape, strict=True):
            step = SPACING[dim] * factor
            first = origin[dim] + (factor - 1) / 2 * SPACING[dim]
            np.testing.assert_allclose(volume[dim], first + step * np.arange(size))
            assert volume[dim].attrs["spacing"] == pytest.approx(step)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_we_read_what_tensorstore_writes(
    tmp_path: Path, tensorstore: Any, driver: str, byteorder: str
) -> None:
    """Chunks and shards that it wrote, under metadata of ours."""
    made = make_store(tmp_path / "a.zarr", SHAPE, zarr_format=2 if driver == "zarr" else 3)
    values = unique_values(SHAPE, "u2")[::-1]
    endian = {"name": "bytes", "configuration": {"endian": {"<": "little", ">": "big"}[byteorder]}}
    inner = [endian, {"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}]
    sharding = {"chunk_shape": [8, 5, 8], "codecs": inner, "index_location": "start"}
    metadata: dict[str, Any] = {
        "zarr": {"dtype": f"{byteorder}u2", "chunks": [8, 5, 8], "dimension_separator": "."},
        "zarr3": {
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [16, 10, 16]}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        },
    }[driver]
    array = tensorstore.open(
        {
            "driver": driver,
            "kvstore": {"driver": "file", "path": f"{made.path}/0"},
            "metadata": {"shape": list(SHAPE), **metadata},
        },
        create=True, delete_existing=True,
    ).result()  # fmt: skip
    array.write(np.ascontiguousarray(values)).result()
    volume = brainxr.open(made.path)
    np.testing.assert_array_equal(volume, values)
    np.testing.assert_array_equal(volume[3, ::2, 5:9], values[3, ::2, 5:9])
