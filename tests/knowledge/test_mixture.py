from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from medkd.attribution._attribute import attribute
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.mixture import (
    LEAST_FIGURE,
    MixtureKnowledge,
    confidence_weights,
    entropy_weights,
    mean_weights,
    mixture_log_probabilities,
    validation_weights,
    weigher,
)
from medkd.targets import class_margin, lesion_margin


def log_p_of(*shape, seed=0, scale=2.0):
    logits = np.random.default_rng(seed).normal(size=shape) * scale
    return logits - logsumexp(logits, axis=2, keepdims=True)


def test_the_mixture_is_the_log_of_the_average_of_probabilities():
    log_p = log_p_of(3, 4, 5)
    weights = softmax(np.random.default_rng(1).normal(size=(3, 4, 1)), axis=0)
    expected = np.log((weights * np.exp(log_p)).sum(0))
    found = mixture_log_probabilities(torch.from_numpy(log_p), torch.from_numpy(weights))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def test_log_space_survives_probabilities_that_float32_cannot_hold():
    log_p = torch.tensor([[[-200.0, 0.0]], [[-300.0, 0.0]]])
    found = mixture_log_probabilities(log_p, mean_weights(log_p))
    assert found[0, 0].item() == pytest.approx(-200 - np.log(2), abs=1e-4)  # the average of e^-200 and e^-300 is half of the first


def test_the_divergence_from_an_average_is_less_than_the_average_of_divergences():
    """And equal to it only where the teachers agree: the gap is the Jensen-Shannon divergence of the teachers."""
    log_p, log_q = log_p_of(3, 6, 4), log_p_of(1, 6, 4, seed=5)[0]
    mixed = np.log(np.exp(log_p).mean(0))
    of_average = (np.exp(mixed) * (mixed - log_q)).sum(1)
    average = (np.exp(log_p) * (log_p - log_q)).sum(2).mean(0)
    found = mixture_log_probabilities(torch.from_numpy(log_p), mean_weights(torch.from_numpy(log_p))).numpy()
    np.testing.assert_allclose((np.exp(found) * (found - log_q)).sum(1), of_average, atol=1e-6)
    assert (of_average < average - 0.01).all()
    same = np.repeat(log_p[:1], 3, axis=0)
    np.testing.assert_allclose(
        mixture_log_probabilities(torch.from_numpy(same), mean_weights(torch.from_numpy(same))).numpy(), log_p[0], atol=1e-6
    )


def test_confidence_is_one_less_the_share_of_a_teachers_error():
    """CA-MKD, 2201.00007, eq. 3: w_k = (1 - exp(CE_k) / sum_j exp(CE_j)) / (K - 1)."""
    log_p, labels = log_p_of(3, 5, 4), np.array([0, 3, 2, 1, 1])
    errors = np.stack([[-log_p[k, b, labels[b]] for b in range(5)] for k in range(3)])
    expected = (1 - np.exp(errors) / np.exp(errors).sum(0)) / 2
    found = confidence_weights(torch.from_numpy(log_p), torch.from_numpy(labels))
    np.testing.assert_allclose(found[..., 0].numpy(), expected, atol=1e-10)
    np.testing.assert_allclose(found.sum(0).numpy(), 1, atol=1e-10)
    assert (found[..., 0].argmax(0) == torch.from_numpy(errors).argmin(0)).all()  # who errs least counts most


def test_a_case_without_a_label_is_weighed_by_entropy():
    log_p = log_p_of(2, 3, 4)
    p = np.exp(log_p)
    expected = softmax((p * log_p).sum(2), axis=0)
    np.testing.assert_allclose(entropy_weights(torch.from_numpy(log_p))[..., 0].numpy(), expected, atol=1e-10)
    found = confidence_weights(torch.from_numpy(log_p), torch.tensor([-1, 2, -1]))[..., 0].numpy()
    np.testing.assert_allclose(found[:, [0, 2]], expected[:, [0, 2]], atol=1e-10)
    assert abs(found[:, 1] - expected[:, 1]).max() > 1e-3
    np.testing.assert_allclose(confidence_weights(torch.from_numpy(log_p), None)[..., 0].numpy(), expected, atol=1e-10)


def test_a_segmentation_is_weighed_region_by_region_and_not_voxel_by_voxel():
    log_p = log_p_of(2, 2, 3, 4, 5)
    labels = np.random.default_rng(2).integers(-1, 3, (2, 4, 5))
    found = confidence_weights(torch.from_numpy(log_p), torch.from_numpy(labels)).numpy()
    assert found.shape == (2, 2, 1, 4, 5)
    unsure = entropy_weights(torch.from_numpy(log_p)).numpy()
    for case in range(2):
        for label in range(3):
            where = labels[case] == label
            errors = np.array([-log_p[k, case, label][where].mean() for k in range(2)])
            expected = 1 - softmax(errors)
            np.testing.assert_allclose(found[:, case, 0][:, where], np.repeat(expected[:, None], where.sum(), 1), atol=1e-10)
        nowhere = labels[case] == -1
        np.testing.assert_allclose(found[:, case, 0][:, nowhere], unsure[:, case, 0][:, nowhere], atol=1e-10)


def test_validation_weighs_each_class_by_who_knows_it():
    log_p = torch.from_numpy(log_p_of(2, 3, 2))
    figures = torch.tensor([[0.9, float("nan")], [0.3, 0.5]])
    weights = validation_weights(log_p, figures)
    np.testing.assert_allclose(
        weights[:, 0].numpy(), [[0.75, LEAST_FIGURE / (LEAST_FIGURE + 0.5)], [0.25, 0.5 / (LEAST_FIGURE + 0.5)]], rtol=1e-5
    )
    p = log_p.exp()
    product = (weights * p).sum(0)
    found = mixture_log_probabilities(log_p, weights).exp()
    np.testing.assert_allclose(found.numpy(), (product / product.sum(1, keepdim=True)).numpy(), atol=1e-6)
    per_voxel = torch.from_numpy(log_p_of(2, 3, 2, 4, 4))
    assert validation_weights(per_voxel, figures).shape == (2, 3, 2, 1, 1)


@pytest.mark.parametrize("kind", ["mean", "confidence", "entropy", "validation"])
def test_every_weighting_is_a_share_of_one(kind):
    log_p = torch.from_numpy(log_p_of(3, 4, 2))
    weigh = weigher(kind, torch.tensor([0, 1, -1, 1]), [{"a": 0.5, "b": None}] * 3, ("a", "b"))
    weights = weigh(log_p)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(0).expand(4, 2).numpy(), 1, atol=1e-6)


def knowledge(make_network, sample, weigh=mean_weights, seeds=(1, 2)):
    networks = [make_network(seed).eval().requires_grad_(False) for seed in seeds]
    return networks, MixtureKnowledge([LiveKnowledge(network, sample.inputs) for network in networks], weigh)


@pytest.mark.parametrize("task", ["classification"])
def test_maps_are_mixed_by_the_weights_of_the_answers(make_network, make_sample):
    sample = make_sample()
    networks, mixed = knowledge(make_network, sample, entropy_weights)
    target = class_margin(0)
    maps = [attribute(network, sample.image, target, explainer="cam") for network in networks]
    weights = mixed.weights()[..., 0]
    expected = sum(w.view(-1, 1, 1) * m for w, m in zip(weights, maps, strict=True))
    torch.testing.assert_close(mixed.attribution("cam", target), expected)
    # What the sum explains: the weighted mean of the margins, each in its teacher's own units.
    cells = mixed.attribution("cam", target, max_cells=4)
    assert cells.shape == (len(sample.image), 4, 4)


@pytest.mark.parametrize("task", ["segmentation"])
def test_a_voxels_map_has_the_voxels_weight(make_network, make_sample):
    sample = make_sample()
    networks, mixed = knowledge(make_network, sample, entropy_weights)
    target = lesion_margin(sample.masks)
    maps = [attribute(network, sample.image, target, explainer="cam") for network in networks]
    expected = sum(w * m for w, m in zip(mixed.weights()[:, :, 0], maps, strict=True))
    torch.testing.assert_close(mixed.attribution("cam", target), expected)


def test_layers_are_the_first_teachers_and_other_images_keep_the_weights(make_network, make_sample):
    sample = make_sample()
    networks, mixed = knowledge(make_network, sample, lambda log_p: confidence_weights(log_p, sample.labels))
    torch.testing.assert_close(mixed.features("last"), LiveKnowledge(networks[0], sample.inputs).features("last"))
    other = mixed.for_batch(sample.image.flip(-1))
    torch.testing.assert_close(other.weights(), mixed.weights())
    torch.testing.assert_close(mixed.response(sample.image), torch.zeros_like(mixed.logits()))
    assert float(mixed.response(sample.image.flip(-1)).abs().max()) > 0
