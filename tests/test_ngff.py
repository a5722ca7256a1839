"""Coordinates of levels as OME-Zarr's attributes, and back."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import brainxr
from brainxr.errors import GeometryError, StoreError
from brainxr.stores.extras import Coordinate, Extra
from brainxr.stores.ngff import (
    Channel,
    Image,
    Level,
    coarser,
    from_attributes,
    to_attributes,
)

lengths = st.floats(1e-3, 1e6, allow_nan=False)
places = st.floats(-1e7, 1e7, allow_nan=False)


def per_dim(values: Any) -> Any:
    return st.fixed_dictionaries({"z": values, "y": values, "x": values})


levels = st.lists(st.builds(Level, st.just("0"), per_dim(lengths), per_dim(places)), min_size=1)


def through_json(attributes: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(json.dumps(attributes, allow_nan=False))
    return decoded


def attributes(version: str = "0.5", **changes: Any) -> dict[str, Any]:
    """Of two levels of a factor of 2, with every part that is read."""
    finest = Level("0", {"z": 50.0, "y": 20.0, "x": 10.0}, {"z": 5.0, "y": 0.0, "x": -1.0})
    coarse = coarser(finest, "1", {"z": 2, "y": 2, "x": 2})
    image = Image(("z", "y", "x"), (finest, coarse), version=version)  # type: ignore[arg-type]
    return copy.deepcopy(to_attributes(image)) | changes


def multiscale(made: dict[str, Any]) -> dict[str, Any]:
    return made.get("ome", made)["multiscales"][0]


# --- there and back ---------------------------------------------------------------


@given(levels, st.permutations("zyx"), st.sampled_from(["0.4", "0.5"]))
def test_levels_come_back_to_the_last_bit(made: list[Level], dims: list[str], version: Any) -> None:
    image = Image(tuple(dims), tuple(made), "head", "mean", version=version)
    assert from_attributes(through_json(to_attributes(image)), "store") == image


def test_the_two_versions_put_it_where_they_say() -> None:
    newer, older = attributes("0.5"), attributes("0.4")
    assert newer["ome"]["version"] == "0.5"
    assert older["multiscales"][0].pop("version") == "0.4"
    assert newer["ome"]["multiscales"] == older["multiscales"]
    assert multiscale(newer)["axes"][0] == {"name": "z", "type": "space", "unit": "micrometer"}
    assert multiscale(newer)["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [100, 40, 20]},
        {"type": "translation", "translation": [30, 10, 4]},
    ]


def test_windows() -> None:
    level = Level("0", {"y": 1.0, "x": 1.0}, {"y": 0.0, "x": 0.0})
    image = Image(("c", "y", "x"), (level,), channels=(Channel("DAPI", (3, 40)),))
    made = through_json(to_attributes(image, "u2"))
    window = made["ome"]["omero"]["channels"][0]["window"]
    assert window == {"min": 0, "max": 65535, "start": 3, "end": 40}
    assert from_attributes(made, "store").channels == (Channel("DAPI", (3.0, 40.0)),)
    assert to_attributes(image, "f4")["ome"]["omero"]["channels"][0]["window"]["max"] == 40


def test_what_has_no_words(make_stack: Any) -> None:
    vol = brainxr.open(make_stack(numbers=range(2, 7)).path)
    vol = vol.assign_coords(file=vol.brain.files)
    extra = Extra.of(vol, provenance={"method": "mean"}, every_shard=True)
    # regular coordinates are told by origin and spacing, to the last bit
    assert set(extra.coordinates) == {"file"}
    image = Image(("z", "y", "x"), from_attributes(attributes(), "").levels, extra=extra)
    back = from_attributes(through_json(to_attributes(image)), "store").extra
    assert back is not None
    assert (back.name, back.attrs, back.provenance) == ("intensity", vol.attrs, extra.provenance)
    assert back.every_shard
    assert back.coordinates["file"].values.dtype == vol.file.dtype
    np.testing.assert_array_equal(back.coordinates["file"].values, vol.file)


def test_a_falling_axis_is_stored_upwards(make_stack: Any) -> None:
    vol = brainxr.open(make_stack().path)
    vol = vol.assign_coords(file=vol.brain.files)
    extra = Extra.of(vol[::-1, ::2])
    assert extra.falling == ("z",)
    np.testing.assert_array_equal(extra.coordinates["file"].values, vol.file)
    # the attribute says 100, and the coordinate 200: both come back
    assert extra.coordinates["y"] == Coordinate(("y",), None, dict(vol.y.attrs))


def test_coordinates_that_rounding_would_move(make_stack: Any) -> None:
    vol = brainxr.open(make_stack(folder="a", shape=(40, 7, 11)).path, spacing=0.1)[3:]
    assert np.array_equal(Extra.of(vol).coordinates["z"].values, vol.z)


@pytest.mark.parametrize(
    "value",
    [1, 2.5, "text", None, True, [1, "a", [2.5]], {"a": {"b": 1}}, float("inf"),
     np.float32(2.5), np.arange(3, dtype="u2"), np.datetime64("2026-11-22T10:00", "s"),
     np.array(["a", "bc"]), np.array([1.5, -np.inf])],
)  # fmt: skip
def test_attributes_come_back_as_they_were(value: Any) -> None:
    extra = Extra("a", {"key": value}, {"other": Coordinate((), np.asarray(1.5))})
    image = Image(("x",), (Level("0", {"x": 1.0}, {"x": 0.0}),), extra=extra)
    back = from_attributes(through_json(to_attributes(image)), "store").extra
    assert back is not None
    assert type(back.attrs["key"]) is type(value)
    xr.testing.assert_identical(xr.Dataset(attrs=back.attrs), xr.Dataset(attrs=extra.attrs))
    assert back.coordinates["other"].values == 1.5


def test_what_json_does_not_have() -> None:
    image = Image(("x",), (Level("0", {"x": 1.0}, {"x": 0.0}),), extra=Extra("a", {"k": object()}))
    with pytest.raises(StoreError, match=r"attribute 'k' is object.*drop_attrs"):
        to_attributes(image)


# --- of others --------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["millimeter", "mm"])
def test_units_and_order_of_others(unit: str) -> None:
    made = attributes("0.4")
    axes = [{"name": "t", "type": "time", "unit": "second"}] + [
        {"name": dim, "type": "space", "unit": unit} for dim in "XYZ"
    ]
    steps = [{"type": "scale", "scale": [3, 0.01, 0.02, 0.05]}]
    multiscale(made).update(
        axes=axes,
        datasets=[{"path": "s0", "coordinateTransformations": steps}],
        coordinateTransformations=[
            {"type": "scale", "scale": [1, 2, 2, 2]},
            {"type": "translation", "translation": [0, 0, 0, 1.5]},
        ],
    )
    image = from_attributes(made, "store")
    assert image.dims == ("t", "x", "y", "z")
    assert image.spatial == ("z", "y", "x")
    level = image.levels[0]
    assert level.spacing == pytest.approx({"z": 100, "y": 40, "x": 20})
    assert level.origin == pytest.approx({"z": 1500, "y": 0, "x": 0})


def test_levels_without_translations_cover_one_extent() -> None:
    made = attributes()
    for dataset in multiscale(made)["datasets"]:
        del dataset["coordinateTransformations"][1]
    assert from_attributes(made, "").levels[1].origin == {"z": 25, "y": 10, "x": 5}
    # one that is there is believed, be it zero
    for dataset in multiscale(made)["datasets"]:
        zero = {"type": "translation", "translation": [0, 0, 0]}
        dataset["coordinateTransformations"].append(zero)
    assert from_attributes(made, "").levels[1].origin == {"z": 0, "y": 0, "x": 0}


def test_numbers_without_a_unit() -> None:
    assert from_attributes(attributes(), "").unitless == {}
    made = attributes()
    del multiscale(made)["axes"][1]["unit"]
    multiscale(made)["axes"][2]["unit"] = "pixel"
    assert from_attributes(made, "").unitless == {"y": None, "x": "pixel"}


@pytest.mark.parametrize("unit", ["Micrometer", "MICRON", " um", "µm"])
def test_units_are_read_whatever_their_letters(unit: str) -> None:
    made = attributes()
    multiscale(made)["axes"][0]["unit"] = unit
    assert from_attributes(made, "") == from_attributes(attributes(), "")


def test_a_unit_that_is_not_a_text_is_damage() -> None:
    made = attributes()
    multiscale(made)["axes"][0]["unit"] = ["micrometer"]
    with pytest.raises(StoreError, match=r"'brain.zarr' are damaged: TypeError"):
        from_attributes(made, "brain.zarr")


@pytest.mark.parametrize("steps", [[], [{"type": "scale", "scale": [0, 1, 1]}]])
def test_voxels_without_a_size(steps: list[Any]) -> None:
    made = attributes()
    multiscale(made)["datasets"][0]["coordinateTransformations"] = steps
    with pytest.raises(GeometryError, match=r"'brain.zarr' has a level whose scale is"):
        from_attributes(made, "brain.zarr")


# --- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, r"no image of OME-Zarr.*there are: none"),
        ({"a": 1}, r"'brain.zarr' is a Zarr group, but no image.*there are: a"),
        ({"ome": {"plate": {}}}, r"plate of many images.*A/1/0"),
        ({"bioformats2raw.layout": 3}, r"collection of images.*brainxr.open\('brain.zarr/0'\)"),
        ({"ome": {"plate": {"wells": [{"path": "B/2"}]}}}, r"brainxr.open\('brain.zarr/B/2/0'\)"),
        ({"labels": ["cells"]}, r"group of labels.*Open one of them: cells"),
        ({"ome": {"version": "0.6", "multiscales": [{}]}}, r"is OME-Zarr 0.6; .* newer brainxr"),
        ({"multiscales": [{"version": "0.2"}]}, r"is OME-Zarr 0.2; .*Convert it"),
        ({"ome": {"version": "0.5", "multiscales": []}}, r"metadata of 'brain.zarr' are damaged"),
        ({"ome": {"version": "0.5", "multiscales": [{}, {}]}}, r"2 images in one group"),
        ({"ome": {"version": "0.5", "multiscales": [{"axes": [], "datasets": []}]}}, r"no level"),
    ],
)
def test_what_is_no_image(found: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        from_attributes(found, "brain.zarr")


def test_damaged_transformations() -> None:
    made = attributes()
    multiscale(made)["datasets"][0]["coordinateTransformations"][0]["scale"].pop()
    with pytest.raises(StoreError, match=r"a transformation 'scale' of \[50.0, 20.0\], expected"):
        from_attributes(made, "brain.zarr")
    made = attributes()
    del multiscale(made)["datasets"][1]["path"]
    with pytest.raises(StoreError, match=r"damaged: KeyError 'path'"):
        from_attributes(made, "brain.zarr")


def test_axes_of_other_names_and_units() -> None:
    made = attributes()
    multiscale(made)["axes"][0]["name"] = "depth"
    with pytest.raises(GeometryError, match=r"axis of space named 'depth'; z, y and x"):
        from_attributes(made, "brain.zarr")


def test_a_newer_form_of_ours() -> None:
    made = attributes(brainxr={"form": 99})
    with pytest.raises(StoreError, match=r"newer brainxr \(form 99, 1 is known"):
        from_attributes(made, "brain.zarr")
