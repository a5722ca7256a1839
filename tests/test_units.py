"""Lengths: what is one, what is none, and what is said then."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pint
import pytest
from hypothesis import given

from brainxr import GeometryError, LengthError
from brainxr.geometry import units as u

FACTORS = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4,
           "m": 1e6, "micrometer": 1.0, "millimeters": 1e3, "inch": 25400.0}  # fmt: skip


@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("text", ["5", "0.5", "-5", "1e2", ".5", "+3.25"])
@pytest.mark.parametrize("gap", [" ", ""])
def test_strings(unit: str, text: str, gap: str) -> None:
    expected = pytest.approx(float(text) * FACTORS[unit], rel=1e-12)
    assert u.to_micrometers(f"{text}{gap}{unit}") == expected


@pytest.mark.parametrize(
    "length", [100, 100.0, np.float32(100), np.int16(100), np.array(100.0), "100 um", "0.1 mm",
               pint.Quantity(100, "um"), pint.Quantity("0.01 cm"),
               pint.UnitRegistry().Quantity(0.1, "mm")],
)  # fmt: skip
def test_one_length_in_many_ways(length: Any) -> None:
    assert u.to_micrometers(length) == pytest.approx(100.0, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5 kg", r"'5 kg' is no length: it can't be expressed in micrometer"),
        ("5 mn", r"'5 mn' can't be read as a quantity .*'mn' is not defined.*for example '5 mm'"),
        ("5", r"'5' has no unit\. Write for example '5 mm', or give the plain number"),
        ("", r"'' can't be read as a quantity\. Write one number"),
        ("mm", r"'mm' can't be read as a quantity\. Write one number"),
        ("five mm", "Write one number"),
        ("12,5 mm", r"'12,5 mm' can't be read .* with a decimal point .* '12\.5 mm'"),
        ("1,000 um", "with a decimal point"),
        ("5 mm mm", "is no length"),
        ("5 mm2", "can't be read|is no length"),
        ("5 mm/s", "is no length"),
        ("20 degC", "can't be read as a quantity"),
        ("5 m (", "can't be read as a quantity"),
        ("__import__('os') 5 mm", "can't be read as a quantity"),
        (pint.Quantity(5, "kg"), r"'5 kilogram' is no length"),
        (pint.Quantity(5, ""), "is no length"),
        (float("nan"), "is not a finite length"),
        (float("inf"), "is not a finite length"),
        (None, "None is no length. Give a number of micrometres, a string such as '100 µm'"),
        ([1, 2], "is no length"),
        (pint.Quantity([1, 2], "um"), "is no length"),
        (object(), "is no length"),
    ],
)
def test_what_is_no_length(text: Any, message: str) -> None:
    with pytest.raises(LengthError, match=message) as raised:
        u.to_micrometers(text, "spacing['z']")
    assert str(raised.value).startswith("spacing['z']: ")
    assert isinstance(raised.value, GeometryError)
    assert isinstance(raised.value, ValueError)


def test_to_unit_keeps_what_has_no_unit() -> None:
    moment = np.datetime64("2026-11-22")
    for value in (5, 2.5, None, np.float32(1), moment):
        assert u.to_unit(value, "mm") is value
    array = np.arange(3.0)
    assert u.to_unit(array, "mm") is array


def test_to_unit_converts_collections() -> None:
    assert u.to_unit(["1 mm", 5, pint.Quantity(1, "cm")], "micrometer") == [1000, 5, 10000]
    assert u.to_unit(("1 mm",), "centimeter") == pytest.approx([0.1])
    texts = np.array([["1 mm", "2 mm"], ["3 mm", "4 um"]])
    np.testing.assert_allclose(u.to_unit(texts, "micrometer"), [[1000, 2000], [3000, 4]])
    quantity = pint.Quantity(np.array([1.0, 2.0]), "mm")
    np.testing.assert_allclose(u.to_unit(quantity, "micrometer"), [1000, 2000])


@given(st.floats(-1e9, 1e9), st.sampled_from(["nm", "um", "mm", "cm", "m"]))
def test_factor_agrees_with_conversion(number: float, unit: str) -> None:
    expected = pytest.approx(number * u.factor(unit, to="micrometer"), rel=1e-9, abs=1e-300)
    assert u.to_micrometers(f"{number!r} {unit}") == expected


def test_unit_is_its_name_and_shows_its_symbol() -> None:
    assert u.MICROMETER == "micrometer"
    assert {u.MICROMETER: 1}["micrometer"] == 1
    assert json.dumps(u.MICROMETER) == '"micrometer"'
    assert f"[{u.MICROMETER}] {u.MICROMETER:>3}" == "[µm]  µm"
    assert f"{u.Unit('second')}" == "second"
    for again in (pickle.loads(pickle.dumps(u.MICROMETER)), copy.deepcopy(u.MICROMETER)):
        assert (again, f"{again}", type(again)) == ("micrometer", "µm", u.Unit)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("mm", True), ("inch", True), ("second", False), ("pixel", False), ("", False),
     ("no unit", False), (None, False), (3, False), (u.MICROMETER, True)],
)  # fmt: skip
def test_is_length(unit: Any, expected: bool) -> None:
    assert u.is_length(unit) is expected


@pytest.mark.parametrize(
    ("micrometers", "shown"),
    [
        (0, "0 µm"),
        (0.004, "4 nm"),
        (-0.0325, "-32.5 nm"),
        (0.1, "0.1 µm"),
        (0.5, "0.5 µm"),
        (999.5, "999.5 µm"),
        (-1000, "-1 mm"),
        (123456, "123.456 mm"),
    ],
)
def test_show_micrometers(micrometers: float, shown: str) -> None:
    assert u.show_micrometers(micrometers) == shown


@pytest.mark.parametrize(
    "text", ["62 000 µm", "5:7 mm", "5 mm + 3 um", "12,5 mm", "mm", "5 mm 3", ""]
)
def test_what_pint_would_make_another_number_of(text: str) -> None:
    with pytest.raises(LengthError, match="can't be read as a quantity"):
        u.to_micrometers(text)


@pytest.mark.parametrize(
    ("text", "micrometers"),
    [("5mm", 5000), (" 5 \u00b5m ", 5), ("5 \u03bcm", 5), ("0.5cm", 5000), ("5e3 um", 5000),
     (".5 mm", 500), ("\u22123 mm", -3000), ("1_000 um", 1000), ("4 micron", 4), ("2 in", 50800)],
)  # fmt: skip
def test_spellings(text: str, micrometers: float) -> None:
    assert u.to_micrometers(text) == pytest.approx(micrometers, rel=1e-12)


@pytest.mark.parametrize("text", ["5 px", "5 pixel", "3 pixels"])
def test_pixels_are_no_length(text: str) -> None:
    with pytest.raises(LengthError, match=r"pixel|counts"):
        u.to_micrometers(text)


@pytest.mark.parametrize("unit", u._MICROMETERS)
def test_the_lengths_that_are_known_without_pint_are_those_of_pint(unit: str) -> None:
    quantity = pint.application_registry.Quantity(1, unit)
    assert u.factor(unit, to="micrometer") == pytest.approx(quantity.m_as("micrometer"), rel=1e-14)
