from __future__ import annotations

import pytest
import torch

from data_contracts import Geometry
from medkd.explanation.describe import MASS, MOST_PEAKS, agreement_of, mass_of, measures_of, outside_focus, peaks_in

SPACING = (4.0, 2.0, 2.0)
AFFINE = ((0.0, 0.0, 2.0, -10.0), (0.0, 2.0, 0.0, -20.0), (4.0, 0.0, 0.0, 30.0), (0.0, 0.0, 0.0, 1.0))
GEOMETRY = Geometry(shape=(6, 16, 16), affine_lps_mm=AFFINE, spacing_mm=SPACING, residual_mm=0.0)


@pytest.fixture
def region():
    mask = torch.zeros(6, 16, 16, dtype=torch.uint8)
    mask[2:4, 4:8, 4:8] = 1
    return mask


def values_of(measures):
    return {one.name: one.value for one in measures}


def test_of_a_segmented_volume_what_speaks_against_the_structure_is_no_mass():
    attribution = torch.tensor([[[2.0, -3.0]]])
    assert mass_of(attribution, "positive").tolist() == [[[2.0, 0.0]]]
    assert mass_of(attribution, "absolute") is attribution
    assert {kind.value: mass for kind, mass in MASS.items()} == {"segmentation": "positive", "classification": "absolute"}


def test_a_map_that_lies_on_its_lesion_has_all_its_mass_there_whatever_speaks_against_it_elsewhere(region):
    attribution = region.float()
    attribution[5] = -9.0
    found = values_of(measures_of(attribution, region, SPACING, "positive"))
    assert found["relevance_mass_accuracy"] == pytest.approx(1.0)
    assert values_of(measures_of(attribution, region, SPACING, "absolute"))["relevance_mass_accuracy"] < 0.1
    assert {"gini", "entropy", "effective_complexity", "pointing_game", "map_auprc", "otsu_iou"} <= set(found)


def test_shells_round_a_lesion_are_named_by_their_mm_and_share_the_mass_outside(region):
    attribution = torch.zeros(6, 16, 16)
    attribution[2, 4, 9] = 1.0
    found = values_of(measures_of(attribution, region, SPACING, "absolute"))
    shells = {name: value for name, value in found.items() if name.startswith("mass_")}
    assert sum(shells.values()) == pytest.approx(1.0)
    assert any(name.endswith("_mm") and "beyond" in name for name in shells)


def test_without_a_region_only_what_needs_none_is_measured(region):
    assert set(values_of(measures_of(torch.rand(6, 16, 16), region * 0, SPACING, "absolute"))) == {
        "gini",
        "entropy",
        "effective_complexity",
    }
    assert "inside_mass_gap" not in values_of(agreement_of(region.float(), region.float(), region * 0, SPACING, "absolute"))


def test_a_map_agrees_with_itself(region):
    attribution = torch.rand(6, 16, 16, generator=torch.Generator().manual_seed(0))
    found = values_of(agreement_of(attribution, attribution, region, SPACING, "positive"))
    assert found["cosine_agreement"] == pytest.approx(1.0, abs=1e-6)
    assert found["inside_mass_gap"] == pytest.approx(0.0, abs=1e-6)
    assert found["peak_distance"] == 0.0


def test_peaks_are_apart_in_mm_and_named_in_the_patient():
    attribution = torch.zeros(6, 16, 16)
    for column, value in ((1, 5.0), (2, 4.0), (6, 3.0), (10, 2.0), (14, 1.0)):
        attribution[1, 3, column] = value
    peaks = peaks_in(attribution, GEOMETRY)
    assert [peak.voxel for peak in peaks] == [(1, 3, 1), (1, 3, 6), (1, 3, 10)]
    assert len(peaks) == MOST_PEAKS
    assert peaks[0].position_lps_mm == (-10.0 + 2, -20.0 + 6, 30.0 + 4)


def test_the_focus_outside_is_the_largest_attribution_where_nothing_was_found(region):
    attribution = region.float() * 3
    attribution[5, 1, 2], attribution[0, 0, 0] = 2.0, -16.0
    focus = outside_focus(attribution, region == 0, GEOMETRY, "positive", explainer="cam")
    assert (focus.slice_index, focus.row, focus.column, focus.explainer) == (5, 1, 2, "cam")
    assert focus.share_outside == pytest.approx(2 / (32 * 3 + 2))
    absolute = outside_focus(attribution, region == 0, GEOMETRY, "absolute", explainer="cam")
    assert (absolute.slice_index, absolute.row, absolute.column) == (0, 0, 0)
    assert outside_focus(-region.float(), region == 0, GEOMETRY, "positive", explainer="cam") is None
