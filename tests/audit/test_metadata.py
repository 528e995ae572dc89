"""What metadata predict: a device that tells the class, one that does not, and what is no metadata of the acquisition."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.audit.metadata import metadata_shortcuts

RNG = np.random.default_rng(0)
LABELS = [row // 2 % 2 for row in range(80)]
PATIENTS = [f"p{row // 2}" for row in range(80)]


def asked(**columns):
    lines = [{name: str(values[row]) for name, values in columns.items()} for row in range(80)]
    return {found.columns: found for found in metadata_shortcuts(lines, LABELS, PATIENTS)}


def test_a_device_that_goes_with_the_class_predicts_it_and_chance_does_not():
    telling = ["AB"[label if row > 8 else 0] for row, label in enumerate(LABELS)]
    found = asked(Device=telling, PixelSpacing=RNG.normal(0, 1, 80), finding=LABELS)
    assert found[("Device",)].predicts
    assert not found[("PixelSpacing",)].predicts
    assert set(found) == {("Device",), ("PixelSpacing",), ("Device", "PixelSpacing")}


@pytest.mark.parametrize(
    "name",
    ["tumor_size", "TumourSize", "lesion_width", "Lesions depth", "nodule-height", "massView", "cyst_size", "finding.side", "masses_size"],
)
def test_the_size_of_what_is_seen_is_no_setting_of_the_scanner(name):
    telling = [20.0 + 30 * label + row % 3 for row, label in enumerate(LABELS)]
    assert asked(**{name: telling}) == {}
    # Of the picture itself it is one.
    assert asked(**{name: telling, "image_size": telling})[("image_size",)].predicts


def test_a_column_that_names_each_patient_predicts_nothing_of_others():
    found = asked(site=[int(patient[1:]) * 37 % 40 for patient in PATIENTS])
    assert not found[("site",)].predicts


def test_what_is_the_same_everywhere_and_labels_that_are_missing_are_left_out():
    assert asked(device=["A"] * 80) == {}
    assert metadata_shortcuts([{"device": "AB"[row % 2]} for row in range(80)], [-1] * 80, PATIENTS) == ()
    assert metadata_shortcuts([{"device": "AB"[row % 2]} for row in range(80)], LABELS, ["one"] * 80) == ()
