"""A results folder of nnU-Net 2.8.1: made by it, rebuilt here, with its own answers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from data_contracts import SourceError, TeacherDescription
from medkd.foreign.nnunet_folder import looks_like_nnunet, read_nnunet
from medkd.foreign.source_files import SourceFiles, open_source
from medkd.inference.predict import predict_volume
from medkd.inference.segment import prepare_study
from medkd.trace import has_closed_form, layer_map_of, trace
from medkd.volumes.orientation import read_nifti
from tests.foreign.conftest import NNUNET, Malicious

RAS = TeacherDescription(orientation="SAR")


def of(folder):
    return SourceFiles(folder, folder.name)


@pytest.fixture(scope="module")
def ensemble(nnunet):
    return read_nnunet(of(nnunet), RAS)


def test_one_fold_gives_nnunets_logits(nnunet, answer):
    found = read_nnunet(of(nnunet), RAS, ("0",))
    with torch.no_grad():
        logits = found.network(answer["patch"])
    torch.testing.assert_close(logits, answer["patch_logits"], atol=1e-5, rtol=0)
    assert (found.members, found.task.classes) == (1, ("background", "small", "large"))
    assert layer_map_of(found.network).feature_layers[0] == "members.0.encoder.stages.0"


def test_the_whole_way_gives_what_nnunets_own_pipeline_gives(nnunet, answer, ensemble):
    """Preprocessing, windows, mirrorings and both folds, beside ``nnUNetPredictor`` on one volume."""
    values, grid = read_nifti(nnunet / "image.nii.gz")
    study = prepare_study(torch.from_numpy(np.array(values)), grid, ensemble.task)
    torch.testing.assert_close(study.image, answer["preprocessed"], atol=1e-4, rtol=0)
    logits = predict_volume(ensemble.network, study.image, ensemble.task)
    # nnU-Net sums windows in half precision, with Gaussian weights down to 6e-8 at their corners: there its own logits are rounded coarsely.
    apart = (logits - answer["logits"]).abs().flatten()
    assert float(apart.median()) < 1e-3
    assert float(apart.quantile(0.9)) < 0.05
    assert float((logits.argmax(0) == answer["logits"].argmax(0)).float().mean()) > 0.998


def test_folds_become_one_network_whose_class_map_is_closed_form(nnunet, answer, ensemble):
    singles = [read_nnunet(of(nnunet), RAS, (fold,)).network for fold in ("0", "1")]
    with torch.no_grad():
        mean = torch.stack([network(answer["patch"]) for network in singles]).mean(0)
        kept = trace(ensemble.network, answer["patch"], layers=("features",))
    torch.testing.assert_close(kept.logits, mean, atol=1e-5, rtol=0)
    assert has_closed_form(ensemble.network)
    assert kept.head_weight().shape == (3, 8)
    assert ensemble.members == 2
    assert any("mean of the logits of 2 networks" in caveat for caveat in ensemble.caveats)


def test_a_zip_is_read_as_a_folder_is():
    with open_source(NNUNET) as files:
        assert looks_like_nnunet(files)
        found = read_nnunet(files, TeacherDescription())
    assert any("RAS" in caveat for caveat in found.caveats)
    assert len(files.read) == 4


@pytest.fixture
def changed(nnunet, tmp_path):
    """Return a changer of the plans or the data set in a copy of the folder."""

    def change(file, edit):
        place = tmp_path / "copy"
        shutil.copytree(nnunet, place)
        path = next(place.rglob(file))
        fields = json.loads(path.read_text())
        edit(fields)
        path.write_text(json.dumps(fields))
        return of(place)

    return change


def of_3d(edit):
    return lambda plans: edit(plans["configurations"]["3d_fullres"])


@pytest.mark.parametrize(
    ("file", "edit", "code", "sentence"),
    [
        ("dataset.json", lambda d: d["labels"].update(small=[1, 2]), "TEACHER_UNSUPPORTED", "regions that overlap"),
        ("dataset.json", lambda d: d["channel_names"].update({"1": "T2"}), "TEACHER_UNSUPPORTED", "2 channels"),
        ("dataset.json", lambda d: d["labels"].update(large=5), "TEACHER_UNSUPPORTED", "without a gap"),
        ("dataset.json", lambda d: d.pop("labels"), "SOURCE_UNREADABLE", "labels"),
        ("plans.json", of_3d(lambda c: c.update(normalization_schemes=["RescaleTo01Normalization"])), "TEACHER_UNSUPPORTED", "RescaleTo01"),
        ("plans.json", of_3d(lambda c: c["architecture"].update(network_class_name="os.system")), "TEACHER_UNSUPPORTED", "'system'"),
        ("plans.json", of_3d(lambda c: c["architecture"]["arch_kwargs"].update(norm_op=None)), "TEACHER_UNSUPPORTED", "normalisation"),
        ("plans.json", of_3d(lambda c: c["architecture"]["arch_kwargs"].update(features_per_stage=[4, 6, 16])), "WEIGHTS_MISMATCH", "another shape"),
        ("plans.json", of_3d(lambda c: c.update(previous_stage="3d_lowres")), "TEACHER_UNSUPPORTED", "cascade"),
        ("plans.json", lambda p: p.pop("configurations"), "SOURCE_UNREADABLE", "configurations"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_here_is_one_sentence(changed, file, edit, code, sentence):
    with pytest.raises(SourceError, match=sentence) as caught:
        read_nnunet(changed(file, edit), RAS)
    assert caught.value.code == code


def test_ct_normalisation_is_a_window_and_an_affine(changed, answer):
    def edit(plans):
        plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["CTNormalization"]
        plans["foreground_intensity_properties_per_channel"] = {
            "0": {"mean": 40.0, "std": 20.0, "percentile_00_5": -50.0, "percentile_99_5": 110.0}
        }

    found = read_nnunet(changed("plans.json", edit), RAS, ("0",))
    assert found.task.window == (-50.0, 110.0)
    hounsfield = torch.linspace(-200, 300, answer["patch"].numel()).reshape(answer["patch"].shape)
    windowed = ((hounsfield + 50) / 160).clamp(0, 1) * 2 - 1
    scaled = found.network.seen.to_network(windowed)
    torch.testing.assert_close(scaled, (hounsfield.clamp(-50, 110) - 40) / 20, atol=1e-5, rtol=0)


def test_folds_that_are_not_there_and_folders_that_are_none(nnunet, tmp_path):
    with pytest.raises(SourceError, match="got '7'") as caught:
        read_nnunet(of(nnunet), RAS, ("7",))
    assert caught.value.code == "SOURCE_INCOMPLETE"
    with pytest.raises(SourceError) as caught:
        read_nnunet(of(tmp_path), RAS)
    assert caught.value.code == "SOURCE_INCOMPLETE"


def test_a_checkpoint_that_would_run_code_is_refused(nnunet, tmp_path):
    shutil.copytree(nnunet, tmp_path / "copy")
    torch.save({"network_weights": {}, "init_args": Malicious(tmp_path / "ran")}, next((tmp_path / "copy").rglob("fold_1/*.pth")))
    with pytest.raises(SourceError) as caught:
        read_nnunet(of(tmp_path / "copy"), RAS)
    assert caught.value.code == "WEIGHTS_UNSAFE"
    assert not (tmp_path / "ran").exists()
