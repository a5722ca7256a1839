"""Data that are made to do harm do none, and what was said in confidence is shown to nobody.

Names that lead out of a zip, and bombs: `test_zipped`. Secrets in URLs of slices and zips:
`test_farslices`.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from conftest import MakeStack
from servers import Web, serving

import brainxr
from brainxr.integrity.inspection import check
from brainxr.lazy.unloaded import stack_of
from brainxr.writing.target import Note

# --- nothing in data is run -----------------------------------------------------------


class Bomb:
    """What is run when it is unpickled: it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A folder that is there if anything was run, which it is where pickle is asked."""
    probe = tmp_path / "probe"
    pickle.loads(pickle.dumps(Bomb(probe)))
    assert probe.is_dir()
    return tmp_path / "mark"


def poison(array: Path, mark: Path, **meta: Any) -> None:
    """Have an array of Zarr 2 say that pickle packed it, and have it packed so."""
    described = array / ".zarray"
    described.write_text(json.dumps(json.loads(described.read_text()) | meta))
    for path in array.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            path.write_bytes(pickle.dumps(Bomb(mark)))


PICKLE = {"id": "pickle", "protocol": 5}
POISONS: dict[str, dict[str, Any]] = {
    "filter": {"filters": [PICKLE], "compressor": None},
    "compressor": {"filters": None, "compressor": PICKLE},
    "objects": {"dtype": "|O", "filters": [PICKLE], "compressor": None, "fill_value": None},
}


@pytest.mark.parametrize("how", POISONS)
@pytest.mark.parametrize("which", ["head", "z", "file"])
def test_no_pickle_in_a_group_of_xarrays(tmp_path: Path, mark: Path, how: str, which: str) -> None:
    path = tmp_path / "a.zarr"
    units = {"units": "mm"}
    sizes = {"z": 3, "y": 4, "x": 5}
    coords: dict[str, Any] = {d: (d, np.arange(n) * 1.0, units) for d, n in sizes.items()}
    coords["file"] = ("z", np.array([7, 8, 9]))
    data = xr.DataArray(np.arange(60, dtype="i2").reshape(3, 4, 5), coords, list("zyx"), "head")
    data.to_zarr(path, zarr_format=2, consolidated=False)
    assert brainxr.open(path).sum().values == 1770
    poison(path / which, mark, **POISONS[how])
    for act in (lambda: brainxr.open(path).compute(), lambda: check(path)):
        with pytest.raises(ValueError, match=r"a\.zarr"):
            act()
    assert not mark.exists()


@pytest.mark.parametrize("how", POISONS)
def test_no_pickle_in_a_store(make_stack: MakeStack, tmp_path: Path, mark: Path, how: str) -> None:
    store = tmp_path / "a.ome.zarr"
    brainxr.open(make_stack().path).brain.to_ome_zarr(
        store, version="0.4", levels=1, progress=False
    )
    poison(store / "0", mark, **POISONS[how])
    with pytest.raises(brainxr.StoreError, match=r"a\.ome\.zarr"):
        brainxr.open(store).compute()
    assert not mark.exists()


def test_no_pickle_in_a_note(tmp_path: Path, mark: Path) -> None:
    """Which is an npz, and asked what was finished: one with objects in it is none."""
    path = tmp_path / "note.npz"
    np.savez(path, sample=np.array([Bomb(mark)], object), source="")
    assert Note.from_bytes(path.read_bytes()) is None
    assert not mark.exists()


# --- nothing that data name is gone after -----------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were looked up, and places that were connected to."""
    import socket

    found: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        found.append(str(arguments[:2]))
        raise OSError("nobody may be asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return found


@pytest.mark.parametrize(
    "elsewhere", ["http://127.0.0.1:9/a.zarr/0", "../other.ome.zarr/0", "/{0}/other.ome.zarr/0",
                  "file:///{0}/other.ome.zarr/0"],
)  # fmt: skip
def test_levels_are_inside_their_store(
    make_stack: MakeStack, tmp_path: Path, asked: list[str], elsewhere: str
) -> None:
    volume = brainxr.open(make_stack().path)
    stores = [tmp_path / "a.ome.zarr", tmp_path / "other.ome.zarr"]
    for store in stores:
        volume.brain.to_ome_zarr(store, levels=1, progress=False)
    described = stores[0] / "zarr.json"
    text = described.read_text()
    assert '"path": "0"' in text or '"path":"0"' in text
    place = elsewhere.format(str(tmp_path).lstrip("/"))
    described.write_text(text.replace('"path": "0"', f'"path": "{place}"')
                         .replace('"path":"0"', f'"path":"{place}"'))  # fmt: skip
    with pytest.raises(brainxr.StoreError, match=r"a\.ome\.zarr"):
        brainxr.open(stores[0]).compute()
    assert asked == []


def test_other_files_of_an_ome_tiff_are_not_opened(tmp_path: Path, asked: list[str]) -> None:
    values = np.arange(2 * 7 * 9, dtype="u2").reshape(2, 7, 9)
    path = tmp_path / "a_100um_iso.ome.tif"
    tifffile.imwrite(tmp_path / "b.ome.tif", values[1:], metadata=None)
    for name in ("http://127.0.0.1:9/b.ome.tif", "b.ome.tif"):
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="9" SizeY="7" '
            'SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f'<TiffData IFD="0" FirstZ="0" PlaneCount="1"/><TiffData IFD="0" FirstZ="1" '
            f'PlaneCount="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData></Pixels></Image>'
            "</OME>"
        )
        tifffile.imwrite(path, values[:1], description=xml, metadata=None)
        np.testing.assert_array_equal(brainxr.open(path).values, values[:1])
    assert asked == []


# --- secrets ----------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serving(tmp_path) as server:
        yield server


def test_secrets_of_stores_are_shown_to_nobody(
    web: Web, make_stack: MakeStack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("aiohttp")
    caplog.set_level(logging.INFO)
    made = make_stack()
    brainxr.open(made.path).brain.to_ome_zarr(tmp_path / "a.ome.zarr", levels=1, progress=False)
    url = web.url.replace("://", "://me:SECRETWORD@") + "/a.ome.zarr"
    options = {"headers": {"X-Key": "SECRETKEY"}}
    volume = brainxr.open(url, storage_options=options)
    np.testing.assert_array_equal(volume.values, made.values)
    stack = stack_of(volume)
    assert stack is not None
    texts = [repr(volume), str(volume.attrs), volume._repr_html_(), repr(stack), str(stack.source),
             repr(stack.source), str(dict(volume.__dask_graph__())), str(volume.data)]  # fmt: skip
    web.signature = "nobody knows it"
    wrong: list[Callable[[], Any]] = [
        lambda: volume[:, 3].compute(),
        lambda: brainxr.open(url, storage_options=options),
        lambda: brainxr.open(f"{url}?token=SECRETSIGN", storage_options=options),
        lambda: brainxr.open("http://me:SECRETWORD@127.0.0.1:9/b.zarr?token=SECRETSIGN"),
        lambda: brainxr.open("nosuch://me:SECRETWORD@host/b.zarr?token=SECRETSIGN"),
        lambda: volume.brain.to_ome_zarr("nosuch://me:SECRETWORD@host/c.zarr", progress=False),
    ]
    for act in wrong:
        with pytest.raises((ValueError, OSError, ImportError)) as raised:
            act()
        trace = "".join(traceback.format_exception(raised.value)).splitlines()
        texts += [line for line in trace if "lambda: " not in line]  # which are lines of this test
    assert not [text for text in texts if "SECRET" in text]
    assert "SECRET" not in caplog.text
