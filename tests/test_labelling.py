"""Labels stay labels: no level, preview or window has an id that the volume has not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import scipy.ndimage
import xarray as xr
import zarr
from napari.components import ViewerModel

import brainxr
from brainxr.labelling import are_labels, look_like_labels
from brainxr.viewing.layers import layer_of

SPACING = {"z": 50.0, "y": 20.0, "x": 10.0}


def regions(shape: tuple[int, ...] = (24, 40, 56)) -> np.ndarray:
    """Blobs with ids that are far apart, as an atlas has them."""
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(3).random(shape), 3)
    found, _ = scipy.ndimage.label(noise > np.quantile(noise, 0.6))
    return found * 1000


@pytest.fixture
def atlas() -> xr.DataArray:
    data = brainxr.volume(regions().astype("u2"), spacing=SPACING, name="atlas")
    return data.assign_attrs(kind="labels")


def ids(values: Any) -> set[int]:
    return set(np.unique(np.asarray(values)).tolist())


# --- which values are labels -----------------------------------------------------------


def test_what_is_known_to_be_labels(atlas: xr.DataArray) -> None:
    assert are_labels(atlas)
    assert are_labels(atlas > 0)
    assert not are_labels(atlas.drop_attrs(deep=False))
    assert not are_labels(atlas * 0.5)


def test_what_looks_like_labels() -> None:
    found = regions()
    grey = np.random.default_rng(0).integers(0, 4000, (5, 200, 200))
    assert look_like_labels(found.astype("i4"))
    assert look_like_labels(found.astype("u8")[:, ::2, ::2])
    assert not look_like_labels(found.astype("u2"))
    assert not look_like_labels(grey.astype("i4"))
    assert not look_like_labels(np.zeros((5, 50, 50), "i4"))
    assert not look_like_labels(found.astype("f4"))


def test_nifti_says_so(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(regions().astype("i2"), np.eye(4))
    image.header.set_intent("label")
    nibabel.save(image, tmp_path / "a.nii")
    assert brainxr.open(tmp_path / "a.nii", spacing=1000).attrs["kind"] == "labels"


def test_ome_zarr_says_so(tmp_path: Path, atlas: xr.DataArray) -> None:
    path = atlas.brain.to_ome_zarr(tmp_path / "a.ome.zarr", progress=False)
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    assert attributes["ome"]["image-label"] == {"version": "0.5"}
    del attributes["brainxr"]
    group = zarr.open_group(path, mode="r+")
    group.attrs.put(attributes)
    foreign = brainxr.open(path)
    assert foreign.attrs["kind"] == "labels"
    assert foreign.name == "intensity"


# --- levels ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_have_no_other_ids(tmp_path: Path, atlas: xr.DataArray, version: Any) -> None:
    path = atlas.brain.to_ome_zarr(
        tmp_path / "a.ome.zarr", levels=3, version=version, progress=False
    )
    tree = brainxr.open_pyramid(path)
    assert len(tree.children) == 3
    for level in tree.children.values():
        assert ids(level["atlas"]) <= ids(atlas)
    group = zarr.open_group(path, mode="r")
    assert ids(group["2"][:]) <= ids(atlas)  # type: ignore[index]


def test_masks_are_majorities(tmp_path: Path, atlas: xr.DataArray) -> None:
    mask = atlas > 0
    path = mask.brain.to_ome_zarr(tmp_path / "a.ome.zarr", levels=2, progress=False)
    level = brainxr.open_pyramid(path)["1"].to_dataset()["atlas"]
    factors = [a // b for a, b in zip(mask.shape, level.shape, strict=True)]
    blocks = mask.values.reshape(
        level.shape[0], factors[0], level.shape[1], factors[1], level.shape[2], factors[2]
    )
    np.testing.assert_array_equal(level.values, blocks.mean((1, 3, 5)) > 0.5)


def test_what_may_be_labels_is_said(tmp_path: Path, atlas: xr.DataArray) -> None:
    unknown = atlas.drop_attrs(deep=False).where(atlas < 9000, 0).astype("u2")
    with pytest.warns(brainxr.LabelWarning, match=r"values in the sample .*method='mode'"):
        unknown.brain.to_ome_zarr(tmp_path / "a.ome.zarr", levels=2, progress=False)
    for method in ("mean", "mode", "nearest"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            unknown.brain.to_ome_zarr(
                tmp_path / f"{method}.ome.zarr", levels=2, method=method, progress=False
            )


def test_grey_images_are_means_without_a_word(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 60000, (24, 40, 56)).astype("u2")
    volume = brainxr.volume(grey, spacing=SPACING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume.brain.to_ome_zarr(tmp_path / "a.ome.zarr", levels=2, progress=False)


def test_means_beside_a_stack_are_not_shown_of_labels(
    make_stack: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    made = make_stack(values=regions((24, 40, 56)).astype("u2"), numbers=range(1, 25))
    volume = brainxr.open(made.path, spacing=SPACING)
    first = volume.brain.build_levels(method="mean", levels=2, progress=False)
    labels = volume.assign_attrs(kind="labels")
    assert layer_of(volume)[1]["multiscale"]
    assert not layer_of(labels)[1]["multiscale"]
    again = labels.brain.build_levels(levels=2, progress=False)
    assert again == first
    values, kwargs, kind = layer_of(labels)
    assert (kind, kwargs["multiscale"]) == ("labels", True)
    for level in values:
        assert ids(level) <= ids(volume)


# --- layers ----------------------------------------------------------------------------


def test_layers_of_labels(atlas: xr.DataArray) -> None:
    viewer = brainxr.view(atlas, ViewerModel())
    brainxr.view((atlas > 5000).rename("part"), viewer)
    brainxr.view(atlas.drop_attrs(deep=False).astype("i4").rename("found"), viewer)
    brainxr.view(atlas.drop_attrs(deep=False).rename("grey"), viewer)
    brainxr.view(atlas.drop_attrs(deep=False).rename("said"), viewer, labels=True)
    brainxr.view((atlas > 0).rename("not"), viewer, labels=False)
    kinds = [(layer.name, type(layer).__name__) for layer in viewer.layers]
    assert kinds == [
        ("atlas", "Labels"), ("part", "Labels"), ("found", "Labels"), ("grey", "Image"),
        ("said", "Labels"), ("not", "Image"),
    ]  # fmt: skip
    for layer in viewer.layers:
        assert layer.scale.tolist() == [50, 20, 10]
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_array_equal(np.asarray(viewer.layers[0].data), atlas.values)
    with pytest.raises(TypeError, match="Labels are whole numbers; the values are float64"):
        brainxr.view(atlas * 0.5, viewer, labels=True)


def test_a_stored_mask_is_a_layer_of_labels(tmp_path: Path, atlas: xr.DataArray) -> None:
    mask = atlas > 0
    stored = brainxr.open(mask.brain.to_ome_zarr(tmp_path / "m.ome.zarr", progress=False))
    folder = brainxr.open(mask.brain.to_tiff(tmp_path / "m", progress=False))
    for volume in (stored, folder, folder[::-1], folder.isel(z=3)):
        viewer = brainxr.view(volume, ViewerModel())
        layer = viewer.layers[0]
        assert type(layer).__name__ == "Labels"
        assert layer.dtype.itemsize == 1
        viewer.dims.ndisplay = 3
        viewer.dims.ndisplay = 2
        shown = layer.data[0] if layer.multiscale else layer.data
        expected = volume.values if volume.ndim == 3 else volume.values[None]
        step = -1 if volume.ndim == 3 and volume.z[0] > volume.z[-1] else 1
        np.testing.assert_array_equal(np.asarray(shown).astype(bool), expected[::step])


def test_labels_in_three_dimensions(make_stack: Any) -> None:
    found = regions((40, 60, 80)).astype("u2")
    made = make_stack(values=found, numbers=range(1, 41))
    volume = brainxr.open(made.path, spacing=SPACING).assign_attrs(kind="labels")
    viewer = brainxr.view(volume, ViewerModel(), preview=20_000)
    viewer.dims.ndisplay = 3
    layer = viewer.layers[0]
    coarse = np.asarray(layer.data[-1] if layer.multiscale else layer.data)
    assert coarse.dtype == np.uint16
    assert 1 < coarse.size <= 10_000
    assert ids(coarse) <= ids(found)


def test_labels_come_back(atlas: xr.DataArray) -> None:
    viewer = brainxr.view(
        brainxr.volume(np.zeros((24, 40, 56), "u1"), spacing=SPACING), ViewerModel()
    )
    brainxr.view(atlas, viewer)
    back = brainxr.labels(viewer.layers["atlas"])
    np.testing.assert_array_equal(back.values, atlas.values)
    assert [float(back[d][1]) for d in "zyx"] == [50, 20, 10]


# --- names and colours -------------------------------------------------------------------


def test_names(make_stack: Any) -> None:
    made = make_stack(folder="brain_100um")
    volume = brainxr.open(made.path, spacing=10)
    viewer = ViewerModel()
    for data, kwargs in (
        (volume, {}), (volume.rename("mine"), {}), (volume.rename(None), {}),
        (volume.rename("mine"), {"name": "yours"}), (volume.rename("cut").isel(z=2), {}),
    ):  # fmt: skip
        brainxr.view(data, viewer, **kwargs)
    assert [layer.name for layer in viewer.layers] == [
        "brain_100um", "mine", "brain_100um [1]", "yours", "cut, z = 20 µm",
    ]  # fmt: skip


def test_a_second_image_is_additive(atlas: xr.DataArray) -> None:
    grey = [brainxr.volume(np.full((4, 5, 6), n, "u1"), spacing=1, name=f"v{n}") for n in range(4)]
    viewer = ViewerModel()
    for data in grey[:3]:
        brainxr.view(data, viewer)
    brainxr.view(grey[3], viewer, colormap="magma", blending="translucent")
    assert [(layer.colormap.name, str(layer.blending)) for layer in viewer.layers] == [
        ("gray", "translucent_no_depth"), ("green", "additive"), ("magenta", "additive"),
        ("magma", "translucent"),
    ]  # fmt: skip


def test_planes_of_one_volume_are_not_coloured(make_stack: Any) -> None:
    volume = brainxr.open(make_stack().path, spacing=10)
    viewer = ViewerModel()
    for cut in ({"z": 2}, {"y": 3}):
        brainxr.view(volume.isel(cut), viewer)
    assert [layer.colormap.name for layer in viewer.layers] == ["gray", "gray"]


def test_several_at_once(atlas: xr.DataArray) -> None:
    one = brainxr.volume(np.zeros((24, 40, 56), "u1"), spacing=SPACING)
    for both in ({"a": one, "b": one}, xr.Dataset({"a": one, "b": one})):
        viewer = brainxr.view(both, ViewerModel(), labels={"regions": atlas})
        assert [layer.name for layer in viewer.layers] == ["a", "b", "regions"]
        assert type(viewer.layers[2]).__name__ == "Labels"
        assert str(viewer.layers[1].blending) == "additive"
    with pytest.raises(ValueError, match="the mapping or Dataset is empty"):
        brainxr.view({}, ViewerModel())
