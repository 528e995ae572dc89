"""Where reasons lie, on planted maps."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import distance_transform_edt

from data_contracts import map_name
from medkd.drift.attribution_profile import attribution_profile, region_shares
from medkd.explanation.describe import MASS
from tests.drift.phantom_drift import GEOMETRY, TASK


def test_shares_of_the_nine_ninths_are_counted():
    attribution = torch.zeros(2, 9, 12)
    attribution[0, 1, 1] = 3.0
    attribution[1, 8, 11] = -1.0
    found = region_shares(attribution)
    assert found["upper left"] == 0.75
    assert found["lower right"] == 0.25
    assert sum(found.values()) == pytest.approx(1.0)
    assert set(region_shares(torch.zeros(2, 9, 12)).values()) == {None}


@pytest.fixture(scope="module")
def explained(student):
    return student[1]


def test_features_are_the_maps_own_measures_and_the_shells_are_those_of_a_distance_in_mm(explained):
    record, arrays = explained
    found = attribution_profile(record, arrays)
    name = record.request.explainers[0].name
    inside = arrays["mask/1"].numpy() > 0
    mass = arrays[map_name(1, "student", name)].clamp_min(0).double().numpy()
    assert MASS[TASK.kind] == "positive"
    distance = distance_transform_edt(~inside, sampling=GEOMETRY.spacing_mm)
    assert len(record.explained) == 1
    assert found[f"{name}/relevance_mass_accuracy"] == pytest.approx(mass[inside].sum() / mass.sum())
    assert found[f"{name}/mass_5_to_20_mm"] == pytest.approx(mass[(distance > 5) & (distance <= 20)].sum() / mass.sum())
    assert found[f"{name}/share middle centre"] == pytest.approx(mass[:, 21:43, 21:43].sum() / mass.sum())
    assert found["explained_findings"] == 1


def test_without_a_finding_all_but_their_number_is_undefined(explained):
    record, arrays = explained
    none = record.model_copy(update={"maps": (), "lesions": ()})
    found = attribution_profile(none, arrays)
    assert found.pop("explained_findings") == 0
    assert set(found.values()) == {None}


def test_of_several_findings_the_mean_counts(explained):
    record, arrays = explained
    twice = record.model_copy(
        update={
            "maps": (
                *record.maps,
                *(
                    one.model_copy(update={"measures": tuple(m.model_copy(update={"value": 0.0}) for m in one.measures)})
                    for one in record.maps
                ),
            )
        }
    )
    once, both = attribution_profile(record, arrays), attribution_profile(twice, arrays)
    assert both["input_times_gradient/gini"] == pytest.approx(once["input_times_gradient/gini"] / 2)
