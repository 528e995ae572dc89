"""Properties that every measure of the catalogue keeps."""

from __future__ import annotations

import pytest
import torch

from medkd.catalogue import MEASURES
from medkd.measures._guided import Guided
from medkd.measures._neighbours import Neighbours
from medkd.measures._perturb import Perturbation
from tests.properties.applies import holds_where

NAMES = MEASURES.names()
CATALOGUE = MEASURES
KINDS = {
    "classification",
    "segmentation",
    "localisation",
    "agreement",
    "faithfulness",
    "sanity",
    "counterfactual",
    "detection",
    "complexity",
    "robustness",
    "axiom",
    "guided",
    "repeated",
    "network",
    "shift",
}


@pytest.fixture(params=NAMES)
def entry(request):
    return MEASURES.entry(request.param)


def part_of(reference, rows):
    """Return some cases of a reference, whatever it is made of."""
    if isinstance(reference, torch.Tensor):
        return reference[rows]
    return type(reference)(*(value[rows] for value in vars(reference).values()))


def arguments(entry, n: int = 6, seed: int = 0):
    """Return a valid prediction and reference for the entry's kind."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, 12, 12, generator=generator)
    masks = (torch.rand(n, 12, 12, generator=generator) > 0.7).to(torch.uint8)
    probabilities = torch.rand(n, generator=generator)
    if entry.fact("KIND") == "classification":
        return probabilities, torch.arange(n) % 2
    if entry.fact("KIND") == "counterfactual":
        return probabilities, torch.rand(n, generator=generator)
    if entry.fact("KIND") == "detection":
        return torch.rand(n, 12, 12, generator=generator), masks
    if entry.fact("KIND") == "segmentation":
        return (torch.rand(n, 12, 12, generator=generator) > 0.6).to(torch.uint8), masks
    if entry.fact("KIND") == "localisation":
        return maps, masks
    if entry.fact("KIND") == "faithfulness":
        image = torch.rand(n, 1, 12, 12, generator=generator)
        return maps, Perturbation(lambda changed, _: changed.flatten(1).mean(1).sigmoid(), image, image * 0, points=8, mask=masks)
    if entry.fact("KIND") == "robustness":
        return maps, Neighbours(
            maps[:, None] + 0.1 * torch.randn(n, 3, 12, 12, generator=generator), 1 + torch.rand(n, 3, generator=generator)
        )
    if entry.fact("KIND") == "guided":
        return maps, Guided(torch.randn(n, 12, 12, generator=generator), masks)
    if entry.fact("KIND") == "repeated":
        return maps, torch.randn(n, 2, 12, 12, generator=generator)
    if entry.fact("KIND") == "shift":
        return probabilities, torch.rand(n, generator=generator)
    if entry.name == "completeness":
        return maps, torch.randn(n, generator=generator)
    return maps, torch.randn(n, 12, 12, generator=generator)


def test_a_measure_declares_its_direction_range_and_convention(entry):
    assert isinstance(entry.fact("HIGHER_IS_BETTER"), bool)
    assert entry.fact("RANGE")[0] < entry.fact("RANGE")[1]
    assert isinstance(entry.fact("UNIT"), str)
    assert entry.fact("KIND") in KINDS
    assert entry.fact("LEVEL") in {"case", "cohort"}
    assert entry.fact("EMPTY")
    assert entry.fact("SOURCE")


@holds_where(lambda entry, *_: entry.fact("KIND") != "network")
def test_a_measure_stays_within_its_range_and_has_one_value_per_case(entry):
    prediction, reference = arguments(entry)
    value = entry.function(prediction, reference)
    assert value.shape == (() if entry.fact("LEVEL") == "cohort" else (len(prediction),))
    assert value.dtype == torch.float64 or value.dtype == torch.float32
    low, high = entry.fact("RANGE")
    assert bool(((value >= low - 1e-9) & (value <= high + 1e-9)).all())


@holds_where(lambda entry, *_: entry.fact("KIND") != "network")
def test_a_measure_changes_nothing_it_is_given(entry):
    prediction, reference = arguments(entry)
    before = prediction.clone()
    entry.function(prediction, reference)
    assert torch.equal(before, prediction)


# One value per cohort, a perturbation that holds the batch, a comparison of cases: none of them has single cases.
@holds_where(lambda entry, *_: entry.fact("LEVEL") == "case" and entry.fact("KIND") not in {"faithfulness", "repeated", "network"})
def test_a_case_does_not_depend_on_its_batch(entry):
    prediction, reference = arguments(entry)
    whole = entry.function(prediction, reference)
    torch.testing.assert_close(whole[2:3], entry.function(prediction[2:3], part_of(reference, slice(2, 3))), equal_nan=True)


@holds_where(lambda entry, *_: entry.fact("LEVEL") == "cohort" and entry.fact("KIND") != "network")
def test_the_order_of_cases_does_not_matter_to_a_cohort(entry):
    prediction, reference = arguments(entry, n=20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(entry.function(prediction, reference), entry.function(prediction[order], reference[order]))


@holds_where(lambda entry, *_: entry.fact("KIND") in {"localisation", "segmentation", "detection"})
def test_an_empty_mask_follows_the_declared_convention(entry):
    prediction, reference = arguments(entry, n=2)
    empty = torch.zeros_like(reference)
    value = entry.function(prediction * 0 if entry.fact("KIND") == "segmentation" else prediction, empty)
    assert "NaN" in entry.fact("EMPTY")
    assert bool(value.isnan().all())
