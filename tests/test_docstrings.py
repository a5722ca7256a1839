"""Every example in a docstring runs, offline, and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import brainxr

MODULES = [
    module.name
    for module in pkgutil.walk_packages(brainxr.__path__, "brainxr.")
    if "__" not in module.name and not module.ispkg
]


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory):
    """The examples share one sample, and not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINXR_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MPLBACKEND", "agg")
        yield


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"brainxr": brainxr}, verbose=False)
    assert result.failed == 0


def test_every_public_name_says_what_it_is() -> None:
    for name in brainxr.__all__:
        assert getattr(brainxr, name).__doc__, name
    documented = "open", "view", "sample", "check"
    for name in documented:
        text = getattr(brainxr, name).__doc__
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert section in text, (name, section)
