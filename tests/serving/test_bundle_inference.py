"""What the configuration of a bundle names, and what it leaves to the task."""

from __future__ import annotations

import pytest

from medkd.serving.bundle_inference import inference_config
from tests.serving.bundled import bundled


def config_of(builder, size, bias=(0.5, 0.25, 0.0), *, has_maps=True, **task):
    return inference_config(bundled(builder, size, **task).checkpoint.task, bias if builder == "unet" else None, has_maps=has_maps)


@pytest.mark.parametrize(("builder", "size"), [("unet", (16, 16, 24)), ("unet", (32, 48)), ("resnet", (16, 16, 24)), ("resnet", (32, 32))])
def test_every_configuration_has_the_names_that_monai_expects(builder, size):
    found = config_of(builder, size)
    assert {"bundle_root", "dataset_dir", "output_dir", "device", "network_def", "network", "preprocessing", "dataset", "run"} <= set(found)
    assert "medkd" not in str(found)


def test_the_class_maps_are_written_where_there_are_any():
    assert config_of("unet", (32, 48))["head_bias"] == [0.5, 0.25, 0.0]
    assert "save_maps" in config_of("unet", (32, 48))
    assert "save_maps" not in config_of("unet", (32, 48), has_maps=False)
    assert "map_network" in config_of("resnet", (32, 32))
    assert "map_network" not in config_of("resnet", (32, 32), has_maps=False)


def test_intensity_and_windows_are_the_tasks():
    def transforms(config):
        return {one["_target_"]: one for one in config["preprocessing"]["transforms"]}

    windowed = config_of("unet", (16, 16, 24), window=(-100.0, 300.0), overlap=0.25)
    assert (transforms(windowed)["ScaleIntensityRanged"]["a_min"], transforms(windowed)["ScaleIntensityRanged"]["a_max"]) == (-100.0, 300.0)
    assert "overlap=0.25" in windowed["predict"]
    standard = transforms(config_of("unet", (16, 16, 24), intensity="standardised"))
    assert (standard["ClipIntensityPercentilesd"]["lower"], standard["ClipIntensityPercentilesd"]["upper"]) == (0.5, 99.5)
    assert "NormalizeIntensityd" in standard
