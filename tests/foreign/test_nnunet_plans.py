"""Plans of nnU-Net in words of a task."""

from __future__ import annotations

import json

import pytest

from data_contracts import SourceError
from medkd.foreign.nnunet_plans import network_options, read_plans
from medkd.foreign.source_files import SourceFiles

OLD = {
    "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32, "unet_max_num_features": 60, "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "n_conv_per_stage_encoder": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2],
    "patch_size": [8, 16, 24], "spacing": [3.0, 1.0, 2.0], "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True],
}  # fmt: skip


def plans_of(tmp_path, configurations, name="nnUNetTrainer__nnUNetPlans__3d_fullres", **more):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps({"dataset_name": "D", "configurations": configurations, **more}))
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": {"b": 1, "background": 0, "ignore": 2}}))
    return read_plans(SourceFiles(folder, "source"))


def test_plans_from_before_there_were_architectures_are_read(tmp_path):
    plans = plans_of(tmp_path, {"3d_fullres": OLD}, transpose_forward=[1, 0, 2])
    options = network_options(plans)
    assert (options["features"], options["kernel_sizes"][:3], options["strides"][3:6]) == ((32, 60, 60), (1, 3, 3), (1, 2, 2))
    assert (plans.classes, plans.transpose, plans.builder) == (("background", "b"), (1, 0, 2), "plain_conv_unet")
    assert any("not zero" in caveat for caveat in plans.caveats)


def test_a_configuration_inherits(tmp_path):
    plans = plans_of(tmp_path, {"3d_fullres": OLD, "own": {"inherits_from": "3d_fullres", "patch_size": [4, 4, 4]}}, name="a__b__own")
    assert (plans.patch, plans.spacing) == ((4, 4, 4), (3.0, 1.0, 2.0))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"patch_size": [16, 24]}, "TEACHER_UNSUPPORTED"),
        ({"UNet_class_name": "ResidualUNet"}, "TEACHER_UNSUPPORTED"),
        ({"normalization_schemes": ["A", "B"]}, "SOURCE_UNREADABLE"),
        ({"normalization_schemes": ["CTNormalization"]}, "SOURCE_UNREADABLE"),
    ],
)
def test_what_has_no_word_here_is_refused(tmp_path, change, code):
    with pytest.raises(SourceError) as caught:
        plans_of(tmp_path, {"3d_fullres": {**OLD, **change}})
    assert caught.value.code == code


def test_values_from_0_to_255_are_a_window(tmp_path):
    plans = plans_of(tmp_path, {"3d_fullres": {**OLD, "normalization_schemes": ["RGBTo01Normalization"]}})
    assert (plans.window, plans.scale_and_shift) == ((0.0, 255.0), (0.5, 0.5))
