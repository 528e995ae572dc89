from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from data_contracts import Entry, Explain, ExplainSpec, Shift, Task, TaskKind
from medkd.explanation.baselines import BASELINES
from medkd.explanation.measures_of_maps import (
    ask,
    check_of,
    class_perturbation,
    compared,
    key_of,
    margin_parts,
    measure_value,
    measured_baseline,
    perturbation_of,
)  # fmt: skip
from medkd.targets import class_margin, lesion_margin


class Means(nn.Module):
    """Three logits: the mean of the left half, of the right half, and nothing."""

    def forward(self, image):
        left, right = (half.flatten(1).mean(1) for half in image.chunk(2, -1))
        return torch.stack([left, right, torch.zeros_like(left)], 1)


class Bright(nn.Module):
    """Calls a lesion what is above zero."""

    def forward(self, image):
        return torch.cat([-image, image], 1)


def query(kind, images, masks=None, network=None):
    masks = torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8) if masks is None else masks
    return ask(network or (Means() if kind is TaskKind.CLASSIFICATION else Bright()), images, masks, kind)


def spec(*measures, **changes):
    task = Task(kind="classification", classes=("a", "b", "c"), image_size=(4, 4))
    return ExplainSpec(name="r", task=task, explain=Explain(measures=measures, **changes))


def test_logits_with_their_signs_add_up_to_the_margin():
    logits, answer = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    summed = sum(sign * part(logits) for sign, part in margin_parts(answer, 3))
    assert torch.allclose(summed, class_margin(answer)(logits), atol=1e-6)
    assert len(margin_parts(answer, 3)) == 3


def test_both_halves_of_a_region_add_up_to_it():
    images = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    asked = query(TaskKind.SEGMENTATION, images)
    whole, parts = asked.whole_and_parts()
    logits = Bright()(images)
    assert torch.allclose(whole(logits), sum(sign * part(logits) for sign, part in parts), atol=1e-5)
    assert torch.allclose(whole(logits), lesion_margin((asked.answer > 0).to(torch.uint8))(logits))


def test_both_networks_are_asked_about_what_the_teacher_answers():
    images = torch.zeros(2, 1, 4, 4)
    images[0, ..., :2] = images[1, ..., 2:] = 1.0
    asked = query(TaskKind.CLASSIFICATION, images)
    assert asked.answer.tolist() == [0, 1]
    assert asked.classes == 3
    assert asked.target(torch.tensor([[1.0, 0.0, 0.0]] * 2)).tolist() == pytest.approx([1.0, -0.5])


def test_a_measure_is_told_from_others_of_its_name_by_its_options():
    assert key_of(Entry(name="gini")) == "gini"
    assert key_of(Entry(name="mass_in_shell", options={"inner": 5.0, "outer": 20.0})) == "mass_in_shell:inner=5.0,outer=20.0"


@pytest.mark.parametrize(("value", "passed"), [(0.5, True), (0.51, False), (None, None), (math.nan, None), (torch.tensor(0.1), True)])
def test_a_value_up_to_the_limit_passes_and_one_that_is_missing_neither_passes_nor_fails(value, passed):
    check = check_of("randomisation", value, 0.5, "a constant map")
    assert check.passed is passed
    assert check.reason == ("a constant map" if passed is None else "")


def test_an_undefined_value_is_kept_with_the_measures_own_convention():
    defined, undefined = (measure_value("relevance_mass_accuracy", value) for value in (0.25, math.nan))
    assert (defined.value, defined.reason) == (0.25, "")
    assert undefined.value is None
    assert undefined.reason
    lost = measure_value("off_distribution:peak_distance", 1.0)
    assert (lost.name, lost.unit, lost.higher_is_better) == ("off_distribution:peak_distance", "mm", False)
    assert measure_value("mass_in_shell:inner=5.0,outer=20.0", 0.5).name == "mass_in_shell:inner=5.0,outer=20.0"


def test_a_classifiers_score_is_its_probability_of_the_explained_class():
    images = torch.randn(2, 1, 4, 4)
    change = class_perturbation(Means(), images, torch.tensor([1, 0]))
    rows = torch.tensor([1, 0, 0])
    assert torch.allclose(change.score(images[rows], rows), Means()(images[rows]).softmax(1)[torch.arange(3), torch.tensor([0, 1, 1])])


def test_a_segmenters_score_is_the_mean_probability_of_lesion_over_what_is_explained():
    images = torch.tensor([[[[2.0, -1.0], [1.0, -3.0]]]])
    asked = query(TaskKind.SEGMENTATION, images)
    change = perturbation_of(Bright(), asked)
    by_hand = torch.sigmoid(torch.tensor([4.0, 2.0])).mean()
    assert float(change.score(images, torch.tensor([0]))) == pytest.approx(float(by_hand))
    assert torch.equal(change.mask, asked.answer > 0)


def test_what_compares_with_a_teacher_is_left_out_where_there_is_none():
    maps = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0))
    asked = query(TaskKind.CLASSIFICATION, torch.rand(2, 1, 4, 4))
    entries = tuple(Entry(name=name) for name in ("gini", "cosine_agreement", "inside_mass_gap", "relevance_mass_accuracy"))
    assert set(compared(spec(*entries), maps, None, Means(), asked)) == {"gini", "relevance_mass_accuracy"}
    with_teacher = compared(spec(*entries), maps, maps, Means(), asked)
    assert set(with_teacher) == {entry.name for entry in entries}
    assert with_teacher["cosine_agreement"].tolist() == pytest.approx([1.0, 1.0], abs=1e-6)


def test_a_baseline_is_measured_on_images_of_another_acquisition_too():
    asked = query(TaskKind.CLASSIFICATION, torch.rand(2, 1, 8, 8))
    found = measured_baseline(
        spec(Entry(name="gini"), shift=Shift(kind="noise", strength=0.1)), BASELINES["baseline_centre"], Means(), asked
    )
    assert set(found) == {"gini", "off_distribution:gini"}
    # The centre is where it is, whatever the image shows.
    assert found["off_distribution:gini"].abs().max() == 0


@pytest.mark.parametrize("kind", [TaskKind.SEGMENTATION, TaskKind.CLASSIFICATION])
def test_a_lesion_in_the_padding_is_no_evidence_but_a_classifier_that_looks_there_is_seen_to(kind):
    images, valid = torch.ones(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    valid[..., 2:] = False
    masks = valid.to(torch.uint8)
    network = Means() if kind is TaskKind.CLASSIFICATION else Bright()
    asked = ask(network, images, masks, kind, valid)
    found = compared(spec(Entry(name="relevance_mass_accuracy")), torch.ones(1, 4, 4), None, network, asked)
    if kind is TaskKind.SEGMENTATION:
        assert torch.equal(asked.answer, masks.long())
        assert found["relevance_mass_accuracy"].item() == 1.0
    else:
        assert found["relevance_mass_accuracy"].item() == 0.5
