"""What a bundle's preprocessing says in plain values."""

from __future__ import annotations

import pytest

from medkd.foreign.bundle_transforms import seen_by_bundle


def of(*steps, **more):
    return seen_by_bundle({"preprocessing": {"_target_": "Compose", "transforms": list(steps)}, **more})


def test_a_range_is_a_window_and_an_affine():
    step = {
        "_target_": "monai.transforms.ScaleIntensityRanged",
        "keys": "image",
        "a_min": -100,
        "a_max": 300,
        "b_min": -1,
        "b_max": 3,
        "clip": False,
    }
    seen = of(step)
    assert (seen.intensity, seen.window, seen.scale, seen.shift) == ("window", (-100.0, 300.0), 2.0, 1.0)
    assert any("clipped" in caveat for caveat in seen.caveats)


def test_steps_that_are_not_done_here_are_said_and_harmless_ones_are_not():
    seen = of(
        {"_target_": "LoadImaged"},
        {"_target_": "EnsureTyped"},
        {"_target_": "RandGaussianNoised"},
        {"_target_": "NormalizeIntensityd", "nonzero": True},
    )
    assert seen.intensity == "z_score"
    assert len(seen.caveats) == 2
    assert "RandGaussianNoise" in seen.caveats[0]
    assert any("not said in plain values" in caveat for caveat in of().caveats)
    assert not of({"_target_": "RandGaussianNoised", "_disabled_": True}, {"_target_": "NormalizeIntensityd"}).caveats


@pytest.mark.parametrize("step", [{"_target_": "ScaleIntensityRanged", "a_min": "$0"}, {"_target_": "Orientationd", "axcodes": "RRR"}, {"_target_": "Orientationd", "axcodes": "$x"}, {"_target_": "Spacingd", "pixdim": "@spacing"}])  # fmt: skip
def test_a_step_whose_values_are_expressions_is_a_caveat(step):
    seen = of(step, {"_target_": "NormalizeIntensityd"})
    assert seen.pointing == ("R", "A", "S")
    assert len(seen.caveats) == 1


def test_windows_and_axes():
    seen = of({"_target_": "Orientationd", "axcodes": "LPS"}, inferer={"roi_size": [96, 96, 64], "overlap": 0.625})
    assert (seen.pointing, seen.roi, seen.overlap) == (("L", "P", "S"), (96, 96, 64), 0.625)
    assert of(inferer={"roi_size": "@patch", "overlap": 2}).roi == ()
