"""Without torch a study has the findings that torch finds, and the class maps that torch makes; what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Entry, ExplanationRequest
from medkd.explanation.explain_served import CAM, CLASS_MAP, ServedVersion, dice_to_parts, explain_served
from medkd.explanation.explain_study import LoadedModel, StudyImages, explain_study
from medkd.inference.segment import logits_of, prepare_study
from medkd.review.texts import recognise, text_of
from medkd.serving.export_onnx import export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import OpenVinoNetwork, convert_to_openvino
from medkd.volumes.orientation import grid_of
from tests.explanation.pictures import bright_picture, model_of_pictures
from tests.explanation.studies import TASK, bright_model, bright_volume
from tests.serving.bundled import bundled

BOXES = [np.s_[12:16, 4:8, 18:22], np.s_[3:6, 14:20, 3:9]]


def served(loaded, runtime="onnx"):
    task = loaded.checkpoint.task
    onnx = export_onnx(loaded.network, task).payload
    network = OnnxNetwork(onnx, task) if runtime == "onnx" else OpenVinoNetwork(convert_to_openvino(onnx), task)
    return ServedVersion(loaded.model, loaded.checkpoint, network, depth=2)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("turn", [((0, 0, 2.0), (0, 2.0, 0), (2.0, 0, 0)), ((0, 0, 2.0), (0, -2.0, 0), (-2.0, 0, 0))])
def test_lesions_and_class_maps_of_a_volume_are_those_of_torch(tmp_path, runtime, turn):
    loaded = bright_model()
    values, volume = bright_volume(tmp_path, BOXES, turn=turn)
    label = np.zeros(values.shape, np.uint8)
    label[BOXES[0]] = 1
    request = ExplanationRequest(explainers=(Entry(name="cam"),))
    wanted = explain_study(StudyImages(values, volume, label=torch.from_numpy(label)), loaded, request)
    found = explain_served(values.numpy(), volume, served(loaded, runtime), request, label)
    left_out = {"outside", "dice_to_reference"}
    assert [one.model_dump(exclude=left_out) for one in found.record.lesions] == [
        one.model_dump(exclude=left_out) for one in wanted.record.lesions
    ]
    assert [one.dice_to_reference for one in found.record.lesions] == pytest.approx(
        [one.dice_to_reference for one in wanted.record.lesions]
    )
    np.testing.assert_array_equal(found.arrays["segmentation/student"], wanted.arrays["segmentation/student"].numpy())
    study = prepare_study(values, grid_of(volume.geometry), TASK)
    logits = study.to_study(logits_of(loaded.network, study)).numpy()  # the head has no bias: its logits are the class maps
    for one in found.record.lesions:
        np.testing.assert_array_equal(found.arrays[f"mask/{one.number}"], wanted.arrays[f"mask/{one.number}"].numpy())
        own, other = found.arrays[f"map/{one.number}/student/{CLASS_MAP}"], logits[1] - logits[0]
        elsewhere = (found.arrays["segmentation/student"] == 1) & (found.arrays[f"mask/{one.number}"] == 0)
        assert np.abs(own - np.where(elsewhere, 0, other)).max() <= 1e-4 * max(1.0, float(np.abs(other).max()))
        (row,) = [ref for ref in found.record.maps if ref.number == one.number]
        assert row.measure("relevance_mass_accuracy") == pytest.approx(
            np.maximum(own, 0)[found.arrays[f"mask/{one.number}"] > 0].sum() / np.maximum(own, 0).sum(), rel=1e-5
        )
        assert row.peaks[0].value == own.max()


@pytest.mark.parametrize("size", [(32, 48), (16, 16, 24)])
@pytest.mark.parametrize("flips", [(), (1,)])
def test_answers_and_maps_of_a_classifier_are_those_of_torch(tmp_path, size, flips):
    one = bundled("resnet", size, window=(0.0, 1.0), test_time_flips=flips)
    loaded = LoadedModel(one.model, one.checkpoint, one.network)
    boxes = [np.s_[0:3, 4:20, 8:30], np.s_[7:9, 2:30, 2:40]]
    values, volume = bright_volume(tmp_path, boxes, shape=(10, 32, 48))
    request = ExplanationRequest(explainers=(Entry(name="cam"),), slices=5)
    wanted = explain_study(StudyImages(values, volume), loaded, request)
    found = explain_served(values.numpy(), volume, served(loaded), request)
    assert [(a.number, a.class_name, a.first_slice, a.last_slice, a.key_slice) for a in found.record.answers] == [
        (a.number, a.class_name, a.first_slice, a.last_slice, a.key_slice) for a in wanted.record.answers
    ]
    for own, other in zip(found.record.answers, wanted.record.answers, strict=True):
        assert own.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    names = [name for name in wanted.arrays if name.startswith("map/")]
    assert names == [name for name in found.arrays if name.startswith("map/")]
    assert all(name.endswith(CAM) for name in names)
    for name in names:
        other = wanted.arrays[name].numpy()
        assert np.abs(found.arrays[name] - other).max() <= 1e-4 * max(1.0, float(np.abs(other).max()))


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_a_picture_is_answered_as_by_torch(kind):
    """Frames of 48 x 64 pixels, of a network that sees 24 x 32: a picture lies nowhere in the patient."""
    shown, volume = bright_picture(frames=2)
    loaded = model_of_pictures(kind)
    request = ExplanationRequest(explainers=(Entry(name="cam"),))
    wanted, found = (
        explain_study(StudyImages(shown, volume), loaded, request),
        explain_served(shown.numpy(), volume, served(loaded), request),
    )
    assert [one.model_dump(exclude={"outside"}) for one in found.record.lesions] == [
        one.model_dump(exclude={"outside"}) for one in wanted.record.lesions
    ]
    assert [one.class_name for one in found.record.answers] == [one.class_name for one in wanted.record.answers]
    assert len(found.record.maps) >= 1
    # Features of findings are of torch alone, and maps of a segmentation differ by the explainer.
    shared = [
        name for name in wanted.arrays if not name.startswith("features/") and (not name.startswith("map/") or kind == "classification")
    ]
    assert shared
    for name in shared:
        other = wanted.arrays[name].float().numpy()
        assert np.abs(found.arrays[name].astype(np.float32) - other).max() <= 1e-4 * max(1.0, float(np.abs(other).max()))


def test_what_is_left_out_and_who_answered_is_in_the_record(tmp_path):
    values, volume = bright_volume(tmp_path, BOXES)
    record = explain_served(values.numpy(), volume, served(bright_model()), ExplanationRequest(explainers=())).record
    (caveat,) = [one for one in record.caveats if one.code == "RUNTIME"]
    assert caveat.text.startswith("asked by onnxruntime ")
    assert text_of(recognise(caveat.text), "zh") != caveat.text
    assert record.libraries.keys() == {"medkd", "onnxruntime"}
    assert record.sanity_reports == ()
    assert record.teacher is None
    assert [one.name for one in record.request.explainers] == [CLASS_MAP]


def test_a_study_without_a_finding_is_an_answer(tmp_path):
    values, volume = bright_volume(tmp_path, [])
    found = explain_served(values.numpy(), volume, served(bright_model()), ExplanationRequest(explainers=()))
    assert found.record.lesions == found.record.maps == ()
    assert "NO_CLASS_MAP" not in {one.code for one in found.record.caveats}


def test_dice_is_to_what_is_touched():
    own, other = np.zeros((2, 9, 9), np.uint8), np.zeros((2, 9, 9), np.uint8)
    own[0, :4, :4], other[0, 2:4, :4], other[1, 7:, 7:] = 1, 1, 1
    assert dice_to_parts(own, other) == pytest.approx(2 * 8 / (16 + 8))
    assert dice_to_parts(own, np.zeros_like(own)) == 0
