"""A composed study: what is counted, what is left to the reader, and when the study is not what the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Geometry, ReportModel, Task, TrainingDomain, VolumeRef
from medkd.review.compose_study import Panel, compose_study
from medkd.storage.store import Store
from medkd.trace import LayerMap

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))


class Threshold(nn.Module):
    """Calls bright what is bright: its answer is known at every voxel."""

    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


class Choosy(Threshold):
    """Calls bright what is brightest, and what is a little too dark for :class:`Threshold`."""

    def forward(self, image):
        marked = (image > 0.8) | ((image > -0.6) & (image < -0.1))
        return super().forward(0.0 * image + torch.where(marked, 1.0, -1.0))


@pytest.fixture
def studied(tmp_path):
    def compose(boxes, brightness=(), teacher=None, **panel):
        values = torch.zeros(20, 24, 28)
        for number, box in enumerate(boxes):
            values[box] = brightness[number] if brightness else 1.0
        affine = ((0.0, 0.0, 2.0, -28.0), (0.0, 2.0, 0.0, -24.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        geometry = Geometry(shape=(20, 24, 28), affine_lps_mm=affine, spacing_mm=(2.0, 2.0, 2.0), residual_mm=0.0)
        source = Store(tmp_path / "source", "source")
        keys = {"patient_key": "p1", "study_key": "t1", "series_key": "s1", "frame_of_reference_key": "f1"}
        volume = VolumeRef(
            array=source.write_tensors("v.safetensors", {"volume": values}), geometry=geometry, unit="HU", modality="CT", **keys
        )
        model = ReportModel(role="student", name="m", version=1, manifest_digest="a" * 64, parameters=2)
        networks = {"student": Threshold(), **({"teacher": teacher} if teacher is not None else {})}
        return compose_study(volume, source, Store(tmp_path / "out", "study"), Panel(TASK, networks, (model,), **panel))

    return compose


def boxes(n):
    return [np.s_[2:5, 2:5, 2 + 5 * i : 5 + 5 * i] for i in range(n)]


def codes(result):
    return {caveat.code for caveat in result.report.caveats}


def test_components_are_found_measured_and_their_maps_lie_on_them(studied):
    result = studied(boxes(2))
    assert [finding.lesion.voxels for finding in result.report.findings] == [27, 27]
    assert {m.role for finding in result.report.findings for m in finding.maps} == {"student"}
    inside = [v.value for f in result.report.findings for m in f.maps for v in m.measures if v.name == "relevance_mass_accuracy"]
    # each map supports its own component and not the other one
    assert inside == pytest.approx([1.0] * 4, abs=1e-3)
    assert result.report.mass == "positive"
    assert int(result.segmentation.sum()) == 54


def test_more_components_than_are_explained_are_counted(studied):
    result = studied(boxes(5))
    assert len(result.report.findings) == 3
    assert "NOT_EXPLAINED" in codes(result)
    assert "NOT_EXPLAINED" not in codes(studied(boxes(3)))


def test_nothing_found_is_a_report(studied):
    result = studied([])
    assert result.report.findings == ()
    assert int(result.segmentation.sum()) == 0


@pytest.mark.parametrize(("largest", "warned"), [(None, False), ((40.0, 48.0, 56.0), False), ((30.0, 48.0, 56.0), False), ((20.0, 48.0, 56.0), True), ((40.0, 48.0, 30.0), True)])  # fmt: skip
def test_a_study_much_larger_than_any_of_the_training_is_said(studied, largest, warned):
    assert ("FIELD_OF_VIEW" in codes(studied(boxes(1), largest_extent_mm=largest))) is warned


@pytest.mark.parametrize(("modality", "code"), [("MR", "MODALITY_UNTRAINED"), ("CT", None)])
def test_a_study_of_a_modality_that_the_model_never_saw_is_said_first(studied, modality, code):
    result = studied(boxes(2), domain=TrainingDomain(modalities=(modality,), units=("HU",)), teacher=Choosy())
    first = result.report.caveats[0]
    assert (first.code == "MODALITY_UNTRAINED") is (code is not None)
    assert first.severity == 3 or code is None
    assert "TRAINING_DATA_UNKNOWN" not in codes(result)


def test_of_a_model_from_before_it_is_said_that_its_training_is_unknown(studied):
    assert "TRAINING_DATA_UNKNOWN" in codes(studied(boxes(1)))


def test_a_finding_of_the_student_alone_never_stands_before_one_that_the_teacher_shares(studied):
    large = [np.s_[2:8, 2:8, 2 + 5 * i : 6 + 5 * i] for i in range(3)]
    small, missed = np.s_[2:5, 12:15, 22:25], np.s_[12:16, 12:16, 2:6]
    result = studied([*large, small, missed], brightness=(0.7, 0.7, 0.7, 1.0, 0.3), teacher=Choosy())
    findings = result.report.findings
    assert [finding.lesion.voxels for finding in findings] == [27, 144, 144]
    assert [(finding.share_in_teacher, finding.dice_to_teacher) for finding in findings] == [(1.0, 1.0), (0.0, 0.0), (0.0, 0.0)]
    assert [lesion.voxels for lesion in result.report.teacher_only] == [64]
    assert [caveat.code for caveat in result.report.caveats][:3] == ["STUDENT_ONLY", "STUDENT_ONLY", "TEACHER_ONLY"]


def test_without_a_teacher_nothing_is_said_of_one(studied):
    result = studied(boxes(1))
    assert result.report.findings[0].share_in_teacher is None
    assert not {"STUDENT_ONLY", "TEACHER_ONLY"} & codes(result)
