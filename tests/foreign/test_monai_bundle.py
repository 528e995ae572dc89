"""A MONAI Bundle is read as data."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, ScaleIntensityRange

from data_contracts import SourceError, TaskKind, TeacherDescription
from medkd.foreign.monai_bundle import read_bundle
from medkd.foreign.source_files import SourceFiles
from medkd.trace import has_closed_form, layer_map_of, trace
from tests.foreign.conftest import ARGUMENTS, Malicious, monai_source, write_bundle_folder

PLAIN = TeacherDescription()


def read(folder, description=PLAIN):
    return read_bundle(SourceFiles(folder, folder.name), description)


@pytest.fixture(scope="module")
def source():
    return monai_source()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, source):
    return write_bundle_folder(tmp_path_factory.mktemp("bundle") / "liver", source)


@pytest.fixture(scope="module")
def found(folder):
    return read(folder)


def test_the_whole_way_gives_the_bundles_own_logits(found, source):
    """The bundle's transforms by MONAI itself on a volume that lies askew, beside ours, logits on the same voxels."""
    from medkd.inference.segment import prepare_study
    from medkd.volumes.orientation import grid_of_ras

    values = np.random.default_rng(0).normal(50, 90, (32, 24, 16)).astype(np.float32)
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    image = MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(affine))
    scaled = ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)(Orientation(axcodes="RAS", labels=None)(image))
    task = found.task.model_copy(update={"spacing_mm": (2.0, 1.5, 1.5)})
    assert found.task.spacing_mm == (2.0, 1.5, 1.5)
    study = prepare_study(torch.from_numpy(values.transpose(2, 1, 0).copy()), grid_of_ras(affine, (32, 24, 16)[::-1]), task)
    with torch.no_grad():
        expected = source(scaled.as_tensor()[None])[0].permute(0, 3, 2, 1)
        ours = found.network(study.image[None])[0]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_what_the_bundle_says_is_kept(found, folder):
    assert found.task.kind is TaskKind.SEGMENTATION
    assert found.task.classes == ("background", "liver", "tumour")
    assert found.task.image_size == (32, 24, 16)  # its own order is (x, y, z)
    assert (found.task.window, found.task.overlap) == ((-57.0, 164.0), 0.25)
    assert (found.name, found.version, found.authors, found.licence) == ("Liver Tumour", "0.3.1", "somebody", "CC-BY-4.0")
    assert any("CropForeground" in caveat for caveat in found.caveats)
    assert not (folder / "ran").exists()


def test_the_class_map_is_closed_form_on_the_images_own_grid(found):
    image = torch.randn(1, 1, 32, 24, 16)
    kept = trace(found.network, image, layers=("features",))
    assert has_closed_form(found.network)
    head = found.network.get_submodule(layer_map_of(found.network).head)
    maps = torch.einsum("cf,bfxyz->bcxyz", kept.head_weight(), kept.feature("features")) + head.bias.reshape(1, -1, 1, 1, 1)
    torch.testing.assert_close(maps, kept.logits, atol=1e-5, rtol=1e-5)


def test_a_network_without_a_linear_head_has_gradients_alone(tmp_path):
    from monai.networks.nets import UNet

    given = {"channels": [4, 8], "strides": [2], "num_res_units": 0}
    torch.manual_seed(0)
    network = UNet(spatial_dims=3, in_channels=1, out_channels=3, **given).eval()
    definition = {"_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, **given}
    found = read(write_bundle_folder(tmp_path / "unet", network, definition=definition))
    assert not has_closed_form(found.network)
    image = torch.randn(1, 1, 32, 24, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            found.network(image), network((image / 2 + 0.5).permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"_target_": "os.system"}, "BUNDLE_TARGET"),
        ({"_target_": "monai.apps.download_url"}, "BUNDLE_TARGET"),
        ({"_target_": "NoSuchNetwork"}, "TEACHER_UNSUPPORTED"),
        ({"_target_": "../SegResNet"}, "BUNDLE_TARGET"),
        ({"init_filters": "$__import__('os').getpid()"}, "BUNDLE_EXPRESSION"),
        ({"act": {"_target_": "torch.nn.ReLU"}}, "BUNDLE_EXPRESSION"),
        ({"init_filters": "@nowhere"}, "BUNDLE_EXPRESSION"),
        ({"in_channels": 4}, "TEACHER_UNSUPPORTED"),
        ({"out_channels": 1}, "TEACHER_UNSUPPORTED"),
        ({"init_filters": 8}, "WEIGHTS_MISMATCH"),
    ],
)
def test_a_definition_that_would_run_or_does_not_fit_is_one_sentence(tmp_path, source, change, code):
    definition = {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, **ARGUMENTS, **change}
    with pytest.raises(SourceError, match="expected") as caught:
        read(write_bundle_folder(tmp_path / "b", source, definition=definition))
    assert caught.value.code == code
    assert not (tmp_path / "b" / "ran").exists()


def test_safetensors_are_taken_first_and_a_pickle_with_code_is_refused(tmp_path, source, found):
    folder = write_bundle_folder(tmp_path / "b", source, weights="model.safetensors")
    torch.save({"model": Malicious(tmp_path / "ran")}, folder / "models" / "model.pt")
    safe = read(folder)
    assert all(torch.equal(a, b) for a, b in zip(safe.network.state_dict().values(), found.network.state_dict().values(), strict=True))
    (folder / "models" / "model.safetensors").unlink()
    with pytest.raises(SourceError) as caught:
        read(folder)
    assert caught.value.code == "WEIGHTS_UNSAFE"
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_said(tmp_path, source):
    folder = write_bundle_folder(tmp_path / "b", source)
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    del metadata["network_data_format"]
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(SourceError, match="--task") as caught:
        read(folder)
    assert caught.value.code == "SOURCE_UNREADABLE"
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "b" / "models")
    assert caught.value.code == "SOURCE_INCOMPLETE"
