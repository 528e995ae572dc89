"""A composed study: what is counted, what is left to the reader, and when the study is not what the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Geometry, ReportModel, Task, VolumeRef
from medkd.review.compose_study import Panel, compose_study
from medkd.trace import Anatomy
from medkd.volumes.store import Store

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))


class Threshold(nn.Module):
    """Calls bright what is bright: its answer is known at every voxel."""

    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.anatomy = Anatomy(taps=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


@pytest.fixture
def studied(tmp_path):
    def compose(boxes, **panel):
        values = torch.zeros(20, 24, 28)
        for box in boxes:
            values[box] = 1.0
        affine = ((0.0, 0.0, 2.0, -28.0), (0.0, 2.0, 0.0, -24.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        geometry = Geometry(shape=(20, 24, 28), affine_lps_mm=affine, spacing_mm=(2.0, 2.0, 2.0), residual_mm=0.0)
        source = Store(tmp_path / "source", "source")
        keys = {"patient_key": "p1", "study_key": "t1", "series_key": "s1", "frame_of_reference_key": "f1"}
        volume = VolumeRef(
            array=source.write_tensors("v.safetensors", {"volume": values}), geometry=geometry, unit="HU", modality="CT", **keys
        )
        model = ReportModel(role="student", name="m", version=1, manifest_digest="a" * 64, parameters=2)
        return compose_study(volume, source, Store(tmp_path / "out", "study"), Panel(TASK, {"student": Threshold()}, (model,), **panel))

    return compose


def boxes(n):
    return [np.s_[2:5, 2:5, 2 + 5 * i : 5 + 5 * i] for i in range(n)]


def codes(result):
    return {caveat.code for caveat in result.report.caveats}


def test_components_are_found_measured_and_their_maps_lie_on_them(studied):
    result = studied(boxes(2))
    assert [finding.lesion.voxels for finding in result.report.findings] == [27, 27]
    assert {m.role for finding in result.report.findings for m in finding.maps} == {"student"}
    inside = [v.value for f in result.report.findings for m in f.maps for v in m.measures if v.name == "mass_in_lesion"]
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
