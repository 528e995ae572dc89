from __future__ import annotations

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medkd.phantom.render import (
    CUE_AWAY_PX,
    CUE_HU,
    SLICES,
    cue_regions,
    draw_cases,
    place_cues,
    render_key_slices,
    render_volume,
    study_cases,
)
from medkd.seeds import derive_seed


def test_the_same_seed_gives_the_same_pictures_and_another_does_not():
    first, second, other = (render_key_slices(draw_cases(4, seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_case_does_not_depend_on_how_many_are_drawn():
    few, many = draw_cases(3, 5), draw_cases(9, 5)
    assert torch.equal(render_key_slices(few)[0], render_key_slices(many)[0][:3])


def test_the_global_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    render_key_slices(draw_cases(2, 1))
    assert torch.equal(before, torch.get_rng_state())


def test_the_marker_is_the_only_difference_of_a_pair():
    cases = draw_cases(6, 3)
    with_marker, without = (render_key_slices(cases.with_marker(flag))[0] for flag in (True, False))
    changed = (with_marker != without).flatten(1).sum(1)
    assert bool((changed > 0).all())
    assert bool((changed <= 2 * 7 + 2 * 5).all())
    assert bool((with_marker != without)[:, 12:, :].logical_not().all())


@pytest.mark.parametrize(("rates", "bounds"), [((0.05, 0.95), (0.0, 0.12)), ((0.5, 0.5), (0.4, 0.6))])
def test_the_marker_has_the_rate_of_its_class(rates, bounds):
    cases = draw_cases(800, 7, marker_rates=rates)
    benign = float(cases.marker[cases.label == 0].float().mean())
    malignant = float(cases.marker[cases.label == 1].float().mean())
    assert bounds[0] <= benign <= bounds[1]
    assert bounds[0] <= 1 - malignant <= bounds[1]


def test_area_contrast_and_place_do_not_tell_the_class():
    cases = draw_cases(1200, 11)
    _, masks = render_key_slices(cases)
    area = masks.flatten(1).sum(1).float()
    facts = torch.cat([area[:, None], cases.lesion[:, :2], cases.lesion[:, 5:], cases.body], dim=1).numpy()
    facts = (facts - facts.mean(0)) / facts.std(0)
    half = 600
    model = LogisticRegression().fit(facts[:half], cases.label[:half].numpy())
    assert abs(roc_auc_score(cases.label[half:].numpy(), model.decision_function(facts[half:])) - 0.5) < 0.06


def test_a_volume_holds_its_key_slice():
    cases = draw_cases(3, 2)
    images, masks = render_key_slices(cases)
    for index in range(3):
        hu, mask = render_volume(cases, index)
        assert hu.shape == (SLICES, 64, 64)
        assert torch.equal(hu[int(cases.key_slice[index])], images[index])
        assert torch.equal(mask[int(cases.key_slice[index])], masks[index])


def test_the_mask_is_where_the_contrast_is():
    cases = draw_cases(40, 2, contrast=(0.4, 0.45))
    images, masks = render_key_slices(cases.with_marker(False))
    inside = torch.stack([image[mask > 0].float().mean() for image, mask in zip(images, masks, strict=True)])
    outside = torch.stack([image[(mask == 0) & (image > -300)].float().mean() for image, mask in zip(images, masks, strict=True)])
    assert float((inside - outside).mean()) > 80


def test_patients_with_several_studies_keep_their_class():
    cases, patients = study_cases(48, 7)
    assert len(set(patients)) < 48
    for patient in set(patients):
        labels = {int(cases.label[i]) for i, own in enumerate(patients) if own == patient}
        assert len(labels) == 1


def test_harder_means_more_noise_and_shorter_lobes():
    easy, hard = draw_cases(4, 1, difficulty=1.0), draw_cases(4, 1, difficulty=2.0)
    assert torch.allclose(hard.noise, 2 * easy.noise)
    assert torch.allclose(hard.lobes[..., 1], easy.lobes[..., 1] / 2)


def test_seeds_of_different_purposes_differ():
    assert derive_seed("a", 1) != derive_seed("b", 1)
    assert 0 <= derive_seed("a", math.pi) < 2**62


@pytest.mark.parametrize("kind", ["ring", "caliper"])
def test_a_cue_lies_round_the_lesion_or_away_from_it_and_changes_nothing_else(kind):
    cases = draw_cases(40, 5)
    plain, masks = render_key_slices(cases)
    beside, elsewhere, balanced = (place_cues(cases, kind, where, 9) for where in ("beside", "elsewhere", "balanced"))
    for placed, far in ((beside, False), (elsewhere, True)):
        images, again = render_key_slices(placed)
        assert torch.equal(masks, again)
        changed = images != plain
        assert bool(changed.flatten(1).any(1).all())
        assert bool((images[changed] == CUE_HU).all())
        distance = (placed.cue[:, :2] - cases.lesion[:, :2]).norm(dim=1)
        assert bool((distance >= CUE_AWAY_PX).all()) if far else float(distance.max()) == 0
    inside = (cue_regions(beside).bool() & (masks > 0)).flatten(1).sum(1) / (masks > 0).flatten(1).sum(1)
    assert float(inside.mean()) > 0.95
    counts = [int((balanced.cue_kind == 0).sum()), int((balanced.cue[:, :2] == cases.lesion[:, :2]).all(1).sum())]
    assert all(3 <= count <= 30 for count in counts)


def test_the_cue_of_a_case_does_not_depend_on_how_many_there_are():
    cases = draw_cases(12, 5)
    assert torch.equal(place_cues(cases, "ring", "balanced", 2).cue[:4], place_cues(cases[slice(0, 4)], "ring", "balanced", 2).cue)
    assert not bool(cue_regions(cases).any())
