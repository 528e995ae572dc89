"""A classifier's answers about a study: why this class, on which slices, and whether the map may be believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Calibration, ConformalBound, Entry, ExplanationError, ExplanationRequest, Task
from medkd.explanation.artefact import find_kept, keep, read_explanation, replay
from medkd.explanation.explain_study import StudyImages, explain_study
from medkd.inference.nearest_cases import FEATURES
from medkd.inference.predict import averaged_over_flips
from medkd.trace import LayerMap

PICTURES = Task(kind="classification", classes=("dark", "bright"), image_size=(24, 28), window=(0.0, 1.0))
VOLUMES = Task(kind="classification", classes=("dark", "bright"), image_size=(8, 12, 40), window=(0.0, 1.0))
BRIGHT = np.s_[12:16, :, :]


class Brightness(nn.Module):
    """Calls bright what is bright on average: the margin is twice the weighted mean, so every voxel's share of it is known."""

    def __init__(self, space: int, slope: bool = False):
        super().__init__()
        convolution = nn.Conv3d if space == 3 else nn.Conv2d
        self.features = convolution(1, 1, 3, padding=1, bias=False)
        self.features.weight.data.zero_()
        self.features.weight.data.view(-1)[self.features.weight.numel() // 2] = 1.0
        if slope:  # not the same when mirrored
            self.features.weight.data.view(-1)[0] = 0.5
        self.head = nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([[-1.0], [1.0]])
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image).flatten(2).mean(2))


@pytest.fixture
def classifier(loaded):
    def make(task, **changes):
        space = task.spatial_dims
        spec = loaded.checkpoint.network.model_copy(
            update={"builder": "resnet", "spatial_dims": space, "options": {"channels": (4, 4, 4, 4)}}
        )
        checkpoint = loaded.checkpoint.model_copy(update={"task": task, "network": spec})
        return loaded.__class__(loaded.model, checkpoint, Brightness(space, **changes))

    return make


def request(*names, **changes):
    entries = tuple(name if isinstance(name, Entry) else Entry(name=name) for name in names)
    return ExplanationRequest(explainers=entries, **changes)


def test_the_features_of_an_answer_are_those_of_its_key_slice_and_of_a_volume_those_of_its_patch(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    made = explain_study(StudyImages(values, volume), classifier(PICTURES), request("saliency"))
    assert [float(made.arrays[FEATURES.format(number)]) for number in (1, 2, 3)] == pytest.approx([-1.0, 1.0, -1.0])
    whole = explain_study(StudyImages(values, volume), classifier(VOLUMES), request("saliency"))
    patch = values[6:14, 6:18]  # the middle of the volume; the patch is wider than it and padded with dark
    padded = (float((patch * 2 - 1).sum()) - 8 * 12 * 12) / (8 * 12 * 40)
    assert float(whole.arrays[FEATURES.format(1)]) == pytest.approx(padded, rel=1e-5)


def test_neighbouring_slices_with_one_answer_are_explained_together(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    made = explain_study(StudyImages(values, volume), classifier(PICTURES), request("input_times_gradient", "cam"))
    record = made.record
    assert record.lesions == ()
    payload = [(one.number, one.class_name, one.first_slice, one.last_slice) for one in record.answers]
    assert payload == [(1, "dark", 0, 11), (2, "bright", 12, 15), (3, "dark", 16, 19)]
    assert record.answers[1].probability == pytest.approx(float(torch.sigmoid(torch.tensor(2.0))))
    # The margin is +-2 mean(x) with x = 1 on bright and -1 on dark slices, where -1 is the baseline: every bright pixel has the same share.
    share = 2 * 2.0 / (24 * 28)
    for answer in record.answers:
        expected = torch.zeros(values.shape)
        expected[answer.first_slice : answer.last_slice + 1] = share if answer.class_name == "bright" else 0.0
        torch.testing.assert_close(made.arrays[f"map/{answer.number}/student/input_times_gradient"], expected)
    targets = {ref.target.options["index"] for ref in record.maps if ref.tensor.startswith("map/2/")}
    assert (targets, record.maps[0].target.kind) == ({1}, "class_margin")


def test_the_longest_run_is_the_first_answer_and_its_surest_slice_is_shown(classifier, make_volume):
    values, volume = make_volume([np.s_[4:14, :, :]])
    values *= 0.8
    values[9] = 1.0
    made = explain_study(StudyImages(values, volume), classifier(PICTURES), request("saliency"))
    payload = [(one.number, one.class_name, one.first_slice, one.last_slice) for one in made.record.answers]
    assert payload == [(1, "bright", 4, 13), (2, "dark", 14, 19), (3, "dark", 0, 3)]
    assert made.record.answers[0].key_slice == 9


def test_the_patch_in_the_middle_of_a_volume_is_what_is_explained(classifier, make_volume):
    """The network sees (8, 12, 40) in the middle of (20, 24, 28): cut along two axes, padded along one. Elsewhere the map is 0."""
    values, volume = make_volume([np.s_[:, :, :]])
    values[9, 11, 13] = 0.9
    made = explain_study(StudyImages(values, volume), classifier(VOLUMES), request("input_times_gradient"))
    (answer,) = made.record.answers
    assert (answer.class_name, answer.first_slice, answer.last_slice, answer.key_slice) == ("bright", 0, 19, 9)
    attribution = made.arrays["map/1/student/input_times_gradient"]
    share, inside = 2.0 / (8 * 12 * 40), torch.zeros(values.shape, dtype=torch.bool)
    inside[6:14, 6:18, :] = True
    assert float(attribution[~inside].abs().max()) == 0
    assert float(attribution[9, 11, 13]) == pytest.approx(1.8 * share)  # 0.9 of the window is 1.8 above its low end in [-1, 1]
    inside[9, 11, 13] = False
    torch.testing.assert_close(attribution[inside], torch.full((int(inside.sum()),), 2 * share))


@pytest.mark.parametrize("turn", [((0, 0, -2.0), (0, -2.0, 0), (2.0, 0, 0)), ((2.0, 0, 0), (0, 0, 2.0), (0, 2.0, 0))])
def test_a_landmark_in_a_classified_volume_is_found_where_it_is(classifier, make_volume, turn):
    values, volume = make_volume([np.s_[:, :, :]], shape=(20, 20, 20), turn=turn)
    values *= 0.6
    values[10, 9, 11] = 1.0
    task = VOLUMES.model_copy(update={"image_size": (16, 16, 16)})
    made = explain_study(StudyImages(values, volume), classifier(task), request("input_times_gradient"))
    attribution = made.arrays["map/1/student/input_times_gradient"]
    assert tuple(int(v) for v in torch.unravel_index(attribution.argmax(), attribution.shape)) == (10, 9, 11)


def test_maps_of_mirrorings_add_up_to_the_averaged_margin(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    values += torch.rand(values.shape, generator=torch.Generator().manual_seed(0)) * 0.2
    flipped = PICTURES.model_copy(update={"test_time_flips": (0, 1)})
    method = Entry(name="integrated_gradients", options={"steps": 4, "baseline": 0.0})
    made = explain_study(StudyImages(values, volume), classifier(flipped, slope=True), request(method))
    plain = explain_study(StudyImages(values, volume), classifier(PICTURES, slope=True), request(method))
    (check,) = (check for check in made.record.sanity_reports[0].checks if check.name == "completeness")
    assert check.passed
    assert check.value < 1e-4
    name = "map/2/student/integrated_gradients"
    assert not torch.allclose(made.arrays[name], plain.arrays[name])
    # The network is linear: the map is the image times the gradient of the answer that is averaged over the mirrorings.
    image = (values.clamp(0, 1) * 2 - 1)[12:16, None].requires_grad_()
    logits = averaged_over_flips(Brightness(2, slope=True), (0, 1))(image)
    (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), image)
    torch.testing.assert_close(made.arrays[name][12:16], (image * slope).detach()[:, 0], rtol=1e-4, atol=1e-7)


def test_the_studys_own_label_says_where_a_map_should_lie(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    label = torch.zeros(values.shape, dtype=torch.uint8)
    label[13, 4:8, 4:8] = 1
    with_label = explain_study(StudyImages(values, volume, label=label), classifier(PICTURES), request("saliency", lesion=1))
    measured = {value.name: value.value for value in with_label.record.maps[0].measures}
    assert measured["relevance_mass_accuracy"] == pytest.approx(16 / (4 * 24 * 28))
    assert 0 <= measured["deletion"] <= 1
    # What is marked is asked about first, however short its run of slices.
    assert [one.class_name for one in with_label.record.answers] == ["bright", "dark", "dark"]
    assert torch.equal(with_label.arrays["mask/1"], label)
    assert with_label.record.answers[0].outside.share_outside == pytest.approx(1 - 16 / (4 * 24 * 28))
    without = explain_study(StudyImages(values, volume), classifier(PICTURES), request("saliency", lesion=2))
    assert {value.name for value in without.record.maps[0].measures} == {"gini", "entropy", "effective_complexity", "deletion", "insertion"}


def test_the_gate_tries_what_a_whole_picture_can_be_tried_on(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    made = explain_study(StudyImages(values, volume), classifier(PICTURES), request("integrated_gradients", "occlusion", lesion=2))
    for sanity_report in made.record.sanity_reports:
        checks = {check.name: check for check in sanity_report.checks}
        assert checks["random_lesion"].passed is None
        assert "nowhere else" in checks["random_lesion"].reason
        assert checks["additivity"].passed
    assert checks["completeness"].reason == "not claimed"
    assert next(c for c in made.record.sanity_reports[0].checks if c.name == "completeness").passed


def test_an_answer_that_is_not_there_is_one_sentence(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    with pytest.raises(ExplanationError) as caught:
        explain_study(StudyImages(values, volume), classifier(PICTURES), request("saliency", lesion=4))
    assert caught.value.code == "LESION_UNKNOWN"
    assert str(caught.value).startswith("expected one of the findings 1 (dark, slices 1 to 12), 2 (bright, slices 13 to 16)")


def test_it_is_kept_shown_and_made_again_to_the_bit(classifier, make_volume, tmp_path):
    values, volume = make_volume([BRIGHT])
    one = classifier(PICTURES)
    both = one.__class__(one.model, one.checkpoint, one.network, one.model.model_copy(update={"name": "t"}), one.network)
    made = explain_study(StudyImages(values, volume), both, request("saliency", Entry(name="smooth_grad", options={"samples": 2})))
    place = keep(made, tmp_path / "explanations")
    record, arrays = read_explanation(place)
    assert record == made.record
    assert {path.name for path in (place / "previews").iterdir()} == {
        f"answer-{number}-{name}.png" for number in (1, 2, 3) for name in ("saliency", "smooth_grad")
    }
    teacher, student = record.maps[:2]
    assert student.parent == teacher.digest()
    assert {value.name: value.value for value in student.measures}["cosine_agreement"] == pytest.approx(1.0)
    assert find_kept(tmp_path, student.digest()[:20]) == place
    assert replay(place, values, both).same
    assert all(torch.equal(arrays[name], value) for name, value in made.arrays.items())


def test_of_a_long_answer_the_slices_round_the_surest_are_explained(classifier, make_volume):
    values, volume = make_volume([np.s_[4:14, :, :]])
    values *= 0.8
    values[12] = 1.0
    made = explain_study(StudyImages(values, volume), classifier(PICTURES), request("cam", slices=5, most=1))
    assert made.record.answers[0].key_slice == 12
    assert made.arrays["map/1/student/cam"].flatten(1).any(1).nonzero()[:, 0].tolist() == [9, 10, 11, 12, 13]
    whole = explain_study(StudyImages(values, volume), classifier(PICTURES), request("cam", most=1))
    torch.testing.assert_close(made.arrays["map/1/student/cam"][9:14], whole.arrays["map/1/student/cam"][9:14])


def test_probabilities_of_both_networks_are_kept_class_by_class(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    one = classifier(PICTURES)
    both = one.__class__(one.model, one.checkpoint, one.network, one.model.model_copy(update={"name": "t"}), one.network)
    answer = explain_study(StudyImages(values, volume), both, request("cam", lesion=2)).record.answers[1]
    bright = float(torch.sigmoid(torch.tensor(2.0)))
    assert answer.probabilities == pytest.approx({"dark": 1 - bright, "bright": bright})
    assert answer.teacher_probabilities == pytest.approx(answer.probabilities)


def test_it_is_made_again_where_what_is_marked_lies_outside_the_slices_that_were_explained(classifier, make_volume, tmp_path):
    values, volume = make_volume([np.s_[4:14, :, :]])
    values *= 0.8
    values[12] = 1.0
    label = torch.zeros(values.shape, dtype=torch.uint8)
    label[4, 4:8, 4:8] = 1
    made = explain_study(StudyImages(values, volume, label=label), classifier(PICTURES), request("cam", slices=3, most=1))
    assert made.record.answers[0].class_name == "bright"
    assert not made.arrays["mask/1"].any()
    # Of a panel the mark is a segmenter's: there is none in the study.
    assert replay(keep(made, tmp_path / "explanations"), values, classifier(PICTURES)).same


def calibrated(loaded, **changes):
    """Return a model with a calibration: logits are halved unless the changes say otherwise."""
    bound = ConformalBound(alpha=0.1, unit="positive", patients=40, units=40, threshold=0.3, missed=0.08)
    fields = {"method": "temperature", "temperature": 2.0, "scales": (0.5, 0.5), "biases": (0.0, 0.0), **changes}
    of = {"weights_digest": "a" * 64, "cohort_digest": "b" * 64, "subset": "student_validation"}
    calibration = Calibration(**of, patients=90, cases=90, samples=90, bound=bound, **fields)
    return replace(loaded, calibration=calibration)


def test_a_calibrated_models_probabilities_are_calibrated_and_its_maps_are_what_they_were(classifier, make_volume, tmp_path):
    values, volume = make_volume([BRIGHT])
    one = calibrated(classifier(PICTURES))
    made, plain = (
        explain_study(StudyImages(values, volume), model, request("input_times_gradient", "cam")) for model in (one, classifier(PICTURES))
    )
    assert made.record.answers[1].probability == pytest.approx(float(torch.sigmoid(torch.tensor(1.0))))
    assert [answer.class_name for answer in made.record.answers] == [answer.class_name for answer in plain.record.answers]
    assert made.arrays.keys() == plain.arrays.keys()
    assert all(torch.equal(made.arrays[name], plain.arrays[name]) for name in plain.arrays)
    added = [caveat for caveat in made.record.caveats if caveat not in plain.record.caveats]
    assert [caveat.code for caveat in added] == ["CALIBRATED", "MISSED_BOUND"]
    assert "0.3 before calibration" in added[1].text
    assert replay(keep(made, tmp_path), values, one).same


def test_where_a_calibration_changes_the_answer_what_it_answers_is_explained(classifier, make_volume):
    values, volume = make_volume([BRIGHT])
    one = calibrated(classifier(PICTURES), method="vector", temperature=1.0, scales=(1.0, 1.0), biases=(5.0, -5.0))
    made = explain_study(StudyImages(values, volume), one, request("input_times_gradient"))
    assert [(answer.class_name, answer.first_slice, answer.last_slice) for answer in made.record.answers] == [("dark", 0, 19)]
    assert {ref.target.options["index"] for ref in made.record.maps} == {0}
