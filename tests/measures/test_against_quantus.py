"""Measures of maps against Quantus, which knows pictures: the same numbers to four decimals.

Quantus is asked in a test extra (``pip install -e .[oracles]``): its dependencies are not wanted at run time.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from medkd.catalogue import MEASURES
from medkd.measures._perturb import Perturbation, curve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed: pip install -e .[oracles]")

QUIET = {"disable_warnings": True, "display_progressbar": False}
PAIRS = {
    "pointing_game": ("PointingGame", {}),
    "relevance_rank_accuracy": ("RelevanceRankAccuracy", {}),
    "map_auroc": ("AUC", {}),
    "relevance_mass_accuracy": ("RelevanceMassAccuracy", {"abs": True}),
    "gini": ("Sparseness", {}),
    "entropy": ("Complexity", {}),
}


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(5, 24, 20, generator=generator)
    masks = torch.zeros(5, 24, 20, dtype=torch.uint8)
    for case in range(5):
        masks[case, 3 + case : 12 + case, 5:14] = 1
    return maps + masks, masks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAIRS)
def test_the_measure_is_quantus(drawn, name):
    maps, masks = drawn
    kind, options = PAIRS[name]
    teacher_values = getattr(quantus, kind)(**options, **QUIET)(
        model=None,
        x_batch=torch.zeros(5, 1, 24, 20).numpy(),
        y_batch=[0] * 5,
        a_batch=maps[:, None].numpy().copy(),
        s_batch=masks[:, None].numpy(),
    )
    ours = MEASURES.load(name)(maps, masks)
    assert ours.tolist() == pytest.approx([float(value) for value in teacher_values], abs=5e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_deletion_curve_is_quantus_pixel_flipping(drawn, make_network, task):
    if task != "classification":
        pytest.skip("Quantus knows classifiers")
    maps, _ = drawn
    network, images = make_network().eval(), torch.rand(5, 1, 24, 20, generator=torch.Generator().manual_seed(1))
    steps = 24
    flipping = quantus.PixelFlipping(
        features_in_step=24 * 20 // steps, perturb_baseline="black", normalise=False, abs=False, return_aggregate=False, **QUIET
    )
    teacher_values = flipping(
        model=network,
        x_batch=images.numpy(),
        y_batch=torch.ones(5, dtype=torch.long).numpy(),
        a_batch=maps[:, None].numpy(),
        softmax=True,
        device="cpu",
    )

    def score(changed, _):
        with torch.no_grad():
            return network(changed).softmax(1)[:, 1]

    ours = curve(maps, Perturbation(score, images, torch.full_like(images, float(images.min())), points=steps + 1), insert=False)
    assert ours[:, 1:].flatten().tolist() == pytest.approx(torch.as_tensor(teacher_values).flatten().tolist(), abs=2e-3)
