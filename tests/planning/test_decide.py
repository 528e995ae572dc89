"""Rules of the planner: nnU-Net's plan of the hippocampus, anisotropic CT, small lesions, and the size of students."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.planning.decide import MOST_VOXELS, decide, pooling, sided_classes
from medkd.planning.fingerprint import Fingerprint
from medkd.trace import Sample
from medkd.volumes.augment import View, apply_view


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
    # Three levels, by the shortest axis, was all that one number for all axes allowed.
    assert len(plan.teacher.value["channels"]) == 5
    assert plan.teacher.value["strides"] == plan.student.value["strides"] == [1, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert "coarse axes wait" in plan.teacher.why
    assert plan.foreground.value == 0.5
    assert plan.gate.value == {"min_dice": 0.3}


def test_without_a_modality_air_tells_ct_from_mr():
    assert decide(volumes((20, 40, 40), (3, 1, 1), whole=(-1000, 900), percentiles=(0, 1, 2)), minutes=9).intensity.value == "window"
    assert decide(volumes((20, 40, 40), (3, 1, 1), whole=(0, 900)), minutes=9).intensity.value == "standardised"


@pytest.mark.parametrize(
    ("size", "spacing", "strides"),
    [
        ([40, 56, 40], [1, 1, 1], [(2, 2, 2)] * 3),
        ([64, 64], [1, 1], [(2, 2)] * 4),
        ([16, 16, 16], [1, 1, 1], [(2, 2, 2)] * 2),
        # Short along one axis: it stays at four, the others go on.
        ([8, 64, 64], [1, 1, 1], [(2, 2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)]),
        # Coarse along one axis: it waits until the others are within a factor of two. 5 / .8, 5 / 1.6, then 5 / 3.2 mm.
        ([32, 192, 192], [5, 0.8, 0.8], [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]),
        # The prostate of nnU-Net's plan (Isensee et al. 2021): 20 x 320 x 256 at 3.6 x .62 x .62 mm, of which this U-Net takes the first four steps.
        ([20, 320, 256], [3.6, 0.62, 0.62], [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]),
    ],
)
def test_each_axis_is_halved_as_nnunet_halves_it(size, spacing, strides):
    found = pooling(size, spacing)
    assert list(found) == strides
    for extent, along in zip(size, zip(*found, strict=True), strict=True):
        assert extent / math.prod(along) >= 4


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


@pytest.mark.parametrize("shape", [(9, 50, 70), (30, 400, 400), (120, 40, 61), (8, 8, 8), (17, 33, 65)])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.8, 0.8), (0.8, 5, 0.8), (3, 1, 0.4)])
def test_networks_of_any_plan_take_its_patch(shape, spacing):
    plan = decide(volumes(shape, spacing), minutes=60)
    options = plan.student.value
    strides = np.array(options.get("strides", [2] * 3 * (len(options["channels"]) - 1))).reshape(-1, 3)
    assert not any(extent % step for extent, step in zip(plan.image_size.value, strides.prod(0), strict=True))
    network = build_network(NetworkSpec(builder="unet", spatial_dims=3, out_channels=2, options=options), seed=0).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *plan.image_size.value)).shape == (1, 2, *plan.image_size.value)


def test_time_decides_the_epochs_within_bounds():
    found = pictures((400, 300), cases=1000)
    few, more = (decide(found, minutes=minutes).epochs.value for minutes in (1, 600))
    assert few == 8 < more
    assert decide(pictures((64, 64), cases=60)).epochs.value == 60


def test_who_asks_for_minutes_gets_the_epochs_that_they_hold():
    found = pictures((64, 64), cases=60)
    asked = decide(found, minutes=60).epochs
    assert 60 < asked.value <= 1000
    assert "60 asked for" in asked.why
    assert decide(found, minutes=10_000).epochs.value == 1000  # what nnU-Net trains


def test_answers_are_mirrored_along_the_axis_that_training_mirrors():
    """Along all axes the released hippocampus teacher falls from .87 / .86 to .08 / .04: nothing showed it such images."""
    volume, picture = decide(volumes((36, 50, 35), (1, 1, 1))), decide(pictures((64, 64)))
    assert (volume.flips.value, picture.flips.value) == ([2], [1])
    assert volume.augment.value == "affine"
    assert "doubles its time" in volume.flips.why
    sample = Sample(inputs={"image": torch.arange(64.0).reshape(1, 1, 4, 4, 4)})
    mirrored = apply_view(sample, View(torch.tensor([True]))).image
    assert torch.equal(mirrored, sample.image.flip(2 + volume.flips.value[0]))


@pytest.mark.parametrize(
    ("names", "sided"),
    [
        (("background", "left kidney", "right kidney"), ("left kidney", "right kidney")),
        (("background", "LeftLung", "tumour"), ("LeftLung",)),
        (("background", "kidney_l", "kidney_r"), ("kidney_l", "kidney_r")),
        (("background", "左肾", "tumour"), ("左肾",)),
        (("background", "L1", "L2"), ()),
        (("benign", "bright"), ()),
    ],
)
def test_classes_with_a_side_are_never_mirrored(names, sided):
    assert sided_classes(names) == sided
    found = volumes((36, 50, 35), (1, 1, 1))
    found.classes.clear()
    found.classes.update(dict.fromkeys(names, 9))
    plan = decide(found)
    assert (plan.flips.value, plan.augment.value) == (([], "none") if sided else ([2], "affine"))
    assert decide(pictures((400, 300), cases=60), minutes=60).batch.value == 4


def test_the_gate_asks_for_more_of_the_map_than_the_lesions_share():
    found = pictures((64, 64), frequencies={"lesion": 0.1})
    assert decide(found, minutes=9).gate.value == {"min_auc": 0.65, "min_relevance_mass_accuracy": 0.12}
    assert decide(pictures((64, 64), masks=False), minutes=9).gate.value == {"min_auc": 0.65}
