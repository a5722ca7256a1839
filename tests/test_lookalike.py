"""A class that passes for its base, and for nothing else."""

from __future__ import annotations

import pickle

from brainxr.geometry.lookalike import Lookalike


class Base:
    pass


class Double(Base, metaclass=Lookalike):
    pass


class Other(Base, metaclass=Lookalike):
    pass


def test_equals_its_base_alone() -> None:
    assert Double == Base
    assert Base == Double
    assert len({Base, Double}) == 1
    assert Double != Other
    assert len({Double, Other, object}) == 3
    assert Double is not Base


def test_instances_are_what_they_are() -> None:
    assert type(pickle.loads(pickle.dumps(Double()))) is Double
    assert type(pickle.loads(pickle.dumps(Base()))) is Base
    assert isinstance(Double(), Base)
    assert not isinstance(Base(), Double)
