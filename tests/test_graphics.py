"""What draws a window decides how much of a volume is shown, and a person before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import MakeStack
from test_viewer import shown  # noqa: F401

import brainxr
from brainxr.viewing import graphics
from brainxr.viewing.following import BUDGET
from brainxr.viewing.preview import Budget

pytest.importorskip("napari")

from napari.components import ViewerModel


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("softpipe", True),
        ("Software Rasterizer", True),
        ("Google SwiftShader", True),
        ("GDI Generic", True),
        ("Apple Software Renderer", True),
        ("D3D12 (Microsoft Basic Render Driver)", True),
        ("NVIDIA GeForce RTX 4070/PCIe/SSE2", False),
        ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
        ("AMD Radeon RX 7900 XTX (radeonsi, navi31, LLVM 19.1.0, DRM 3.61)", False),
        ("Apple M3 Pro", False),
        ("D3D12 (NVIDIA GeForce RTX 3080)", False),
        ("virgl (Mesa Intel(R) Xe Graphics)", False),
        ("", False),
    ],
)
def test_who_draws(name: str, expected: bool) -> None:
    assert graphics.is_processor(name) is expected


def test_a_model_without_a_window_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "renderer", lambda: pytest.fail("somebody was asked"))
    assert graphics.budget_for(ViewerModel(), np.dtype("u1"), None) == Budget()


@pytest.mark.window
@pytest.mark.parametrize(("dtype", "voxel"), [("u1", 1), ("u2", 2), ("i2", 4), ("f8", 8)])
def test_a_window_asks_what_draws_it(
    make_stack: MakeStack, shown: Any, monkeypatch: pytest.MonkeyPatch, dtype: str, voxel: int  # noqa: F811
) -> None:  # fmt: skip
    vol = brainxr.open(make_stack((5, 7, 11), "u2").path).astype(dtype)
    assert graphics.renderer()
    side = shown(vol).layers[0].metadata[BUDGET].side
    assert side >= 512
    monkeypatch.setattr(graphics, "renderer", lambda: "llvmpipe (LLVM 15.0.6, 256 bits)")
    assert shown(vol).layers[0].metadata[BUDGET] == Budget(256**3 * voxel, side)
    assert shown(vol, preview="1 GB").layers[0].metadata[BUDGET] == Budget(10**9, side)
    monkeypatch.setattr(graphics, "renderer", lambda: "NVIDIA GeForce RTX 4070/PCIe/SSE2")
    assert shown(vol).layers[0].metadata[BUDGET] == Budget(512_000_000, side)
