from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import DataError
from medkd.attribution._attribute import attribute
from medkd.distillation.right_for_the_right_reasons import right_for_the_right_reasons
from medkd.targets import class_margin, lesion_margin
from medkd.trace import layer_map_of, trace


def traced(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


def forbid(sample, percent=100):
    """Forbid the left half of every image."""
    forbidden = torch.zeros_like(sample.masks)
    forbidden[..., : forbidden.shape[-1] // 2] = percent
    return replace(sample, forbidden=forbidden)


@pytest.fixture
def explained(make_network, make_sample, task):
    """Return network, sample and the map that its readers saw, by the explainer itself."""
    network, sample = make_network().eval(), forbid(make_sample(3))
    target = class_margin(sample.labels) if task == "classification" else lesion_margin(sample.masks)
    return network, sample, attribute(network, sample.image, target, explainer="cam")


def test_it_is_the_mean_squared_forbidden_attribution_of_maps_of_unit_mean_square(explained):
    network, sample, maps = explained
    unit = maps / maps.square().flatten(1).mean(1).sqrt().view(-1, *(1,) * (maps.ndim - 1))
    by_hand = (unit * (sample.forbidden > 0)).square().flatten(1).mean(1).mean()
    assert float(right_for_the_right_reasons(traced(network, sample), None, sample)) == pytest.approx(float(by_hand), abs=1e-5)


def test_half_the_strength_costs_half(explained):
    network, sample, _ = explained
    whole = right_for_the_right_reasons(traced(network, sample), None, sample)
    half = right_for_the_right_reasons(traced(network, sample), None, forbid(sample, percent=50))
    assert float(half) == pytest.approx(float(whole) / 2, rel=1e-5)


def test_cases_of_which_nothing_was_said_do_not_count(explained):
    network, sample, _ = explained
    first = replace(sample.rows(slice(1)))
    silent = sample.forbidden.clone()
    silent[1:] = 0
    mixed = right_for_the_right_reasons(traced(network, sample), None, replace(sample, forbidden=silent))
    assert float(mixed) == pytest.approx(float(right_for_the_right_reasons(traced(network, first), None, first)), abs=1e-5)
    nothing = right_for_the_right_reasons(traced(network, sample), None, replace(sample, forbidden=torch.zeros_like(silent)))
    assert float(nothing) == 0.0


def test_a_case_without_a_label_is_explained_by_its_own_answer(make_network, make_sample, task):
    network, sample = make_network().eval(), forbid(make_sample(3))
    kept = traced(network, sample)
    answer = kept.logits.argmax(1)
    own = replace(sample, labels=answer) if task == "classification" else replace(sample, masks=(answer > 0).to(torch.uint8))
    unknown = replace(sample, labels=torch.full_like(sample.labels, -1), masks=torch.zeros_like(sample.masks))
    for blind in (unknown, replace(unknown, labels=None, masks=None)):
        assert float(right_for_the_right_reasons(kept, None, blind)) == pytest.approx(
            float(right_for_the_right_reasons(kept, None, own)), abs=1e-6
        )


@pytest.mark.parametrize("explainer", ["cam", "saliency"])
def test_it_moves_attribution_off_the_forbidden_voxels(make_network, make_sample, explainer):
    network, sample = make_network(), forbid(make_sample(4))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    course = []
    for _ in range(25):
        value = right_for_the_right_reasons(traced(network, sample), None, sample, explainer=explainer)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        course.append(float(value))
    assert course[-1] < 0.5 * course[0]


def test_a_batch_without_feedback_is_an_error(make_network, make_sample):
    sample = make_sample(2)
    with pytest.raises(DataError) as caught:
        right_for_the_right_reasons(traced(make_network(), sample), None, sample)
    assert caught.value.code == "FEEDBACK_MISSING"
