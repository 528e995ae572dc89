"""Maps of lesions on the study's own voxels, whatever its orientation; and what is refused before anything is computed."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from data_contracts import CatalogueError, DataError, Entry, ExplanationError, ExplanationRequest
from medkd.explanation import lesion_subjects
from medkd.explanation.explain_study import Decided, StudyImages, explain_study
from medkd.explanation.sanity_checks import RUNS
from medkd.inference.nearest_cases import FEATURES
from medkd.inference.segment import prepare_study
from medkd.volumes.orientation import grid_of

BOX = np.s_[12:16, 4:8, 18:22]
FAR = np.s_[3:6, 16:20, 2:6]


def request(*names, **changes):
    return ExplanationRequest(explainers=tuple(Entry(name=name) for name in names), **changes)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_a_landmark_is_found_where_it_is_in_the_patient(loaded, make_volume, order, signs):
    """One voxel of the lesion is brighter than all others: input times gradient peaks there, in voxels and in mm, in every orientation."""
    turn = 2.0 * np.diag(signs).astype(float)[list(order)]
    values, volume = make_volume([BOX], turn=turn.tolist())
    values *= 0.7  # the window ends at 1
    values[14, 5, 20] = 1.0
    made = explain_study(StudyImages(values, volume), loaded, request("input_times_gradient"))
    attribution = made.arrays["map/1/student/input_times_gradient"]
    assert attribution.shape == values.shape
    assert tuple(int(v) for v in torch.unravel_index(attribution.argmax(), attribution.shape)) == (14, 5, 20)
    ref = made.record.maps[0]
    assert ref.geometry == volume.geometry
    assert ref.geometry.position_lps_mm(14, 5, 20) == pytest.approx(tuple(turn.T @ (14, 5, 20) + (-28.0, -24.0, 5.0)))
    assert ref.peaks[0].voxel == (14, 5, 20)
    assert ref.peaks[0].position_lps_mm == pytest.approx(tuple(turn.T @ (14, 5, 20) + (-28.0, -24.0, 5.0)))
    assert ref.peaks[0].value == pytest.approx(float(attribution.max()))


def test_a_resampled_map_lies_on_the_lesion_in_mm(loaded, make_volume):
    values, volume = make_volume([BOX], turn=((0, 0, 3.0), (0, 1.0, 0), (1.0, 0, 0)))
    task = loaded.checkpoint.task.model_copy(update={"spacing_mm": (2.0, 1.25, 1.25)})
    coarse = loaded.__class__(loaded.model, loaded.checkpoint.model_copy(update={"task": task}), loaded.network)
    made = explain_study(StudyImages(values, volume), coarse, request("input_times_gradient"))
    attribution, mask = made.arrays["map/1/student/input_times_gradient"], made.arrays["mask/1"]
    weight = attribution.clamp_min(0)
    centre = [
        float((weight.sum([a for a in range(3) if a != axis]) * torch.arange(weight.shape[axis])).sum() / weight.sum()) for axis in range(3)
    ]
    assert centre == pytest.approx([13.5, 5.5, 19.5], abs=0.3)
    assert mask.shape == values.shape


def test_lesions_are_explained_apart_and_only_the_asked_one_where_one_is(loaded, make_volume):
    values, volume = make_volume([BOX, FAR])
    made = explain_study(StudyImages(values, volume), loaded, request("saliency", "integrated_gradients"))
    assert [lesion.voxels for lesion in made.record.lesions] == [64, 48]
    for number, box in ((1, BOX), (2, FAR)):
        attribution = made.arrays[f"map/{number}/student/integrated_gradients"]
        assert float(attribution[box].sum() / attribution.sum()) > 0.9
    one = explain_study(StudyImages(values, volume), loaded, request("saliency", lesion=2))
    assert [lesion.tracking_id for lesion in one.record.lesions] == ["lesion-1", "lesion-2"]
    assert one.record.explained == (2,)
    torch.testing.assert_close(one.arrays["map/2/student/saliency"], made.arrays["map/2/student/saliency"])
    inside = {m.name: m.value for m in made.record.maps[0].measures}
    assert inside["relevance_mass_accuracy"] + inside["mass_0_to_5_mm"] + inside["mass_5_to_20_mm"] + inside[
        "mass_beyond_20_mm"
    ] == pytest.approx(1.0)


def test_a_teachers_map_is_the_parent_of_its_students(loaded, make_volume):
    values, volume = make_volume([BOX])
    both = loaded.__class__(loaded.model, loaded.checkpoint, loaded.network, loaded.model.model_copy(update={"name": "t"}), loaded.network)
    made = explain_study(StudyImages(values, volume), both, request("saliency"))
    teacher, student = made.record.maps
    assert (teacher.model_role, student.model_role) == ("teacher", "student")
    assert student.parent == teacher.digest()
    agreed = {m.name: m.value for m in student.measures}
    assert agreed["cosine_agreement"] == pytest.approx(1.0)
    assert agreed["inside_mass_gap"] == pytest.approx(0.0)


def test_nothing_found_is_an_answer(loaded, make_volume):
    values, volume = make_volume([])
    made = explain_study(StudyImages(values, volume), loaded, request("saliency", lesion=3))
    assert (made.record.lesions, made.record.maps, made.record.sanity_reports) == ((), (), ())


@pytest.mark.parametrize(
    ("asks", "code"),
    [
        (request("nobody"), "CATALOGUE_UNKNOWN"),
        (ExplanationRequest(explainers=(Entry(name="grad_cam", options={"layer": "nowhere"}),)), "LAYER_UNKNOWN"),
        (ExplanationRequest(explainers=(Entry(name="grad_cam", options={"colour": 1}),)), "CATALOGUE_OPTION"),
        (request("gap_attribution"), "EXPLAINER_NEEDS"),
        (request("attention_rollout"), "EXPLAINER_TASK"),
        (request("saliency", lesion=7), "LESION_UNKNOWN"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(loaded, make_volume, asks, code):
    values, volume = make_volume([BOX])
    with pytest.raises((CatalogueError, ExplanationError)) as caught:
        explain_study(StudyImages(values, volume), loaded, asks)
    assert caught.value.code == code
    assert str(caught.value).startswith("expected")


def test_a_volume_with_nan_is_refused(loaded, make_volume):
    values, volume = make_volume([BOX])
    values[0, 0, 0] = float("nan")
    with pytest.raises(DataError) as caught:
        explain_study(StudyImages(values, volume), loaded, request("saliency"))
    assert caught.value.code == "IMAGE_NOT_FINITE"


@pytest.fixture
def counted(monkeypatch):
    """Return the list of (network, explainer) that maps were made with, still made as they are."""
    from medkd.explanation import explain_windows

    calls, make = [], explain_windows.attribute

    def counting(model, image, target, *, explainer, **asks):
        calls.append((id(model), explainer))
        return make(model, image, target, explainer=explainer, **asks)

    monkeypatch.setattr(explain_windows, "attribute", counting)
    return calls


def test_each_explainer_runs_once_for_all_findings_and_once_for_its_tests(loaded, make_volume, counted):
    values, volume = make_volume([np.s_[2:6, 2:6, 2:6], np.s_[2:6, 10:14, 10:14]], shape=(16, 16, 16))
    both = loaded.__class__(loaded.model, loaded.checkpoint, loaded.network, loaded.model.model_copy(update={"name": "t"}), twin_of(loaded))
    made = explain_study(StudyImages(values, volume), both, request("saliency", "input_times_gradient"))
    tested = sorted(name for model, name in counted if model == id(loaded.network))
    # The student: all lesions in one pass, and the pieces of the first one that additivity and the other lesion are tested with in another.
    assert tested == ["input_times_gradient"] * 2 + ["saliency"] * 2
    assert [name for model, name in counted if model == id(both.teacher_network)] == ["saliency", "input_times_gradient"]
    assert len(counted) == 2 * (1 + 1 + RUNS)
    before = len(counted)
    known = Decided(sanity_reports={sanity_report.explainer: sanity_report for sanity_report in made.record.sanity_reports})
    again = explain_study(StudyImages(values, volume), both, request("saliency", "input_times_gradient"), decided=known)
    assert len(counted) - before == 2 * 2, "tested on the cohort: once by each network, and no more"
    assert again.record.tested_on_cohort == ("saliency", "input_times_gradient")
    assert all(torch.equal(again.arrays[name], value) for name, value in made.arrays.items())


def twin_of(loaded):
    """Return a teacher that sees as the student does."""
    return copy.deepcopy(loaded.network)


def test_the_features_of_each_finding_are_kept_by_which_it_is_compared_with_training_cases(loaded, make_volume):
    """The network's only layer is a sum over neighbours: within the box its mean is known, whatever lies elsewhere in the volume."""
    values, volume = make_volume([BOX, FAR])
    values[FAR] = 0.8
    made = explain_study(StudyImages(values, volume), loaded, request("saliency"))
    image = torch.nn.functional.conv3d((values * 2 - 1)[None, None], loaded.network.features.weight, padding=1)[0, 0]
    for number in (1, 2):
        inside = made.arrays[f"mask/{number}"] > 0
        found = made.arrays[FEATURES.format(number)]
        assert (found.shape, found.dtype) == ((1,), torch.float32)
        assert float(found) == pytest.approx(float(image[inside].mean()), rel=1e-5)
    asked = explain_study(StudyImages(values, volume), loaded, request("saliency", place=(14, 5, 20)))
    assert not [name for name in asked.arrays if name.startswith("features/")]
    without = explain_study(StudyImages(values, volume), loaded, request("saliency"), decided=Decided(features=False))
    assert made.arrays.keys() - without.arrays.keys() == {"features/1", "features/2"}


def test_a_finding_of_which_nothing_is_left_on_the_networks_grid_has_no_numbers(loaded, make_volume, monkeypatch):
    values, volume = make_volume([BOX])
    real = lesion_subjects.on_network
    monkeypatch.setattr(lesion_subjects, "on_network", lambda study, regions: real(study, regions) * 0)
    explainer = lesion_subjects.LesionStudyExplainer(
        loaded.networks(), prepare_study(values, grid_of(volume.geometry), loaded.checkpoint.task), volume, request("saliency"), None
    )
    assert torch.isnan(explainer.features(loaded.network)).all()
