"""Rules of the planner: nnU-Net's plan of the hippocampus, anisotropic CT, small lesions, and the size of students."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.planning.decide import MOST_VOXELS, decide, levels_of
from medkd.planning.fingerprint import Fingerprint


def volumes(shape, spacing, cases=260, **more):
    classes = {"background": cases, "structure": cases}
    return Fingerprint("volume_folder", cases, cases, np.array([shape] * cases), np.array([spacing] * cases, dtype=float), classes, **more)


def pictures(shape, cases=200, sides=(), **more):
    classes = {"benign": cases // 2, "malignant": cases // 2}
    return Fingerprint("image_folder", cases, cases, np.array([shape] * cases), np.zeros((0, 3)), classes, lesion_sides=sides, **more)


def test_the_hippocampus_gets_the_plan_that_nnunet_makes():
    """Isensee et al. 2021: patch 40 x 56 x 40, spacing 1 mm, batch 9 of 260 training cases."""
    plan = decide(volumes((36, 50, 35), (1, 1, 1), modality="MRI"), minutes=60)
    assert plan.image_size.value == [40, 56, 40]
    assert plan.spacing.value == [1, 1, 1]
    assert plan.batch.value == 9
    assert plan.intensity.value == "standardised"
    assert plan.window is None


def test_anisotropic_ct_keeps_its_coarse_axis_and_gets_the_window_of_its_foreground():
    found = volumes(
        (30, 400, 400), (5, 0.8, 0.8), percentiles=(-80.3, 60, 210.5), whole=(-1024, 1500), modality="CT", frequencies={"structure": 0.001}
    )
    plan = decide(found, minutes=60)
    assert plan.spacing.value == [5, 0.8, 0.8]
    assert "6.2 times coarser" in plan.spacing.why
    assert plan.window.value == [-81, 211]
    assert math.prod(plan.image_size.value) <= 1.3 * MOST_VOXELS
    assert plan.image_size.value[1] > plan.image_size.value[0]
    step = 2 ** (len(plan.teacher.value["channels"]) - 1)
    assert not any(extent % step for extent in plan.image_size.value)
    assert plan.foreground.value == 0.5
    assert plan.gate.value == {"min_dice": 0.3}


def test_without_a_modality_air_tells_ct_from_mr():
    assert decide(volumes((20, 40, 40), (3, 1, 1), whole=(-1000, 900), percentiles=(0, 1, 2)), minutes=9).intensity.value == "window"
    assert decide(volumes((20, 40, 40), (3, 1, 1), whole=(0, 900)), minutes=9).intensity.value == "standardised"


@pytest.mark.parametrize(("size", "levels"), [([40, 56, 40], 4), ([8, 64, 64], 2), ([64, 64], 5), ([16, 16, 16], 3)])
def test_levels_leave_four_voxels_at_the_bottom(size, levels):
    assert levels_of(size) == levels
    assert min(size) // 2 ** (levels - 1) >= 4


def test_pictures_stay_small_unless_lesions_would_vanish():
    assert decide(pictures((400, 300), sides=(60,) * 40), minutes=60).image_size.value == [128, 128]
    assert decide(pictures((400, 300), sides=(15,) * 40), minutes=60).image_size.value == [208, 208]
    assert decide(pictures((64, 64)), minutes=60).image_size.value == [64, 64]
    assert "keeps" in decide(pictures((400, 300), sides=(15,) * 40), minutes=60).image_size.why


@pytest.mark.parametrize(
    "found", [volumes((36, 50, 35), (1, 1, 1)), pictures((400, 300)), pictures((48, 48))], ids=["volumes", "large", "small"]
)
def test_a_student_has_at_most_a_tenth_of_the_parameters(found):
    plan = decide(found, minutes=60)
    sizes = [
        sum(
            p.numel()
            for p in build_network(
                NetworkSpec(builder=plan.builder, spatial_dims=len(plan.image_size.value), out_channels=2, options=one.value), seed=0
            ).parameters()
        )
        for one in (plan.teacher, plan.student)
    ]
    assert sizes[1] <= sizes[0] / 10


def test_time_decides_the_epochs_within_bounds():
    found = pictures((400, 300), cases=1000)
    few, more = (decide(found, minutes=minutes).epochs.value for minutes in (1, 600))
    assert few == 8 < more <= 60
    assert decide(pictures((400, 300), cases=60), minutes=60).batch.value == 4


def test_the_gate_asks_for_more_of_the_map_than_the_lesions_share():
    found = pictures((64, 64), frequencies={"lesion": 0.1})
    assert decide(found, minutes=9).gate.value == {"min_auc": 0.65, "min_relevance_mass_accuracy": 0.12}
    assert decide(pictures((64, 64), masks=False), minutes=9).gate.value == {"min_auc": 0.65}
