"""What is planted is known: regions, labels, falls; and what is judged is judged against it."""

from __future__ import annotations

import pytest
import torch

from medkd.experiment.explainer_benchmark import _accuracy, benchmark_scores, render, share_error


def test_with_and_without_differ_in_the_region_and_nowhere_else():
    both, plain, unmarked = (
        render(3, 5, lesion=True, marker=True),
        render(3, 5, lesion=False, marker=True),
        render(3, 5, lesion=True, marker=False),
    )
    for other, region in ((plain, 0), (unmarked, 1)):
        changed = (both.images - other.images).abs()[:, 0] > 0.05
        assert bool(changed.any())
        near = torch.nn.functional.max_pool3d(both.regions[:, region].float()[:, None], 5, 1, 2)[:, 0] > 0
        assert not bool((changed & ~near).any())
    assert not bool((both.regions[:, 0] & both.regions[:, 1]).any())


def test_the_four_kinds_come_in_equal_parts():
    drawn = render(16, 1, lesion=None, marker=None)
    assert drawn.lesion.sum() == drawn.marker.sum() == 8
    assert drawn.labels("both").sum() == 4
    assert torch.equal(drawn.labels("marker").bool(), drawn.marker)


def test_a_map_of_what_is_used_is_perfect_and_a_map_of_the_other_is_not():
    regions = render(4, 2, lesion=True, marker=True).regions
    falls = {"lesion": torch.tensor([3.0, 2.0, 4.0, 1.0]), "marker": torch.zeros(4)}
    right, wrong = (
        benchmark_scores(regions[:, 0].float(), regions, "lesion", falls),
        benchmark_scores(regions[:, 1].float(), regions, "lesion", falls),
    )
    assert right["map_auprc"].mean == pytest.approx(1.0)
    assert (right["share_error"].mean, wrong["share_error"].mean) == (0.0, 1.0)
    assert wrong["relevance_mass_accuracy"].mean == 0.0


def test_the_gap_of_two_networks_is_the_marker_and_its_accuracy_is_where_they_part():
    held = render(16, 3, lesion=None, marker=None)

    def constant_answer(wanted):
        class Constant(torch.nn.Module):
            def forward(self, image):
                return torch.stack([-wanted, wanted], 1)[: len(image)]

        return Constant()

    answers = {name: held.labels(name).float() * 2 - 1 for name in ("both", "lesion")}
    assert _accuracy("gap", {name: constant_answer(answer) for name, answer in answers.items()}, held) == 1.0
    assert _accuracy("gap", {"both": constant_answer(answers["lesion"]), "lesion": constant_answer(answers["lesion"])}, held) == 0.75
    regions = render(4, 2, lesion=True, marker=True).regions
    falls = {"lesion": torch.zeros(4), "marker": torch.ones(4)}
    assert benchmark_scores(regions[:, 1].float(), regions, "gap", falls)["map_auprc"].mean == pytest.approx(1.0)


def test_the_share_of_the_attribution_is_held_against_the_share_of_the_falls():
    regions = torch.zeros(1, 2, 2, 4, 4, dtype=torch.bool)
    regions[0, 0, 0, 0, :2], regions[0, 1, 1, 3, 2:] = True, True
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, :2], maps[0, 1, 3, 2:], maps[0, 0, 3, 3] = 3.0, 1.0, -9.0
    assert float(share_error(maps, regions, torch.tensor([1.0]), torch.tensor([1.0]))) == pytest.approx(0.25)
    assert bool(share_error(-maps.abs(), regions, torch.tensor([1.0]), torch.tensor([1.0])).isnan().all())
