from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from data_contracts import KnowledgeError
from medkd.attribution._attribute import attribute
from medkd.distillation.consistency import _moved, consistency
from medkd.distillation.logit_kd import logit_kd
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
from medkd.knowledge.mixture_source import MixtureSource
from medkd.knowledge.source import LiveSource
from medkd.targets import class_margin, lesion_margin
from medkd.trace import Sample, trace


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
    weights = weigher(kind, [{"a": 0.5, "b": None}] * 3, ("a", "b"))(log_p, torch.tensor([0, 1, -1, 1]))
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(0).expand(4, 2).numpy(), 1, atol=1e-6)


def knowledge(make_network, sample, weigh=mean_weights, seeds=(1, 2), labels=None):
    networks = [make_network(seed).eval().requires_grad_(False) for seed in seeds]
    return networks, MixtureKnowledge([LiveKnowledge(network, sample.inputs) for network in networks], weigh, labels)


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


def test_layers_are_the_first_teachers_and_hidden_parts_move_nothing(make_network, make_sample):
    sample = make_sample()
    networks, mixed = knowledge(make_network, sample, confidence_weights, labels=sample.labels)
    torch.testing.assert_close(mixed.features("last"), LiveKnowledge(networks[0], sample.inputs).features("last"))
    torch.testing.assert_close(mixed.response(sample.image), torch.zeros_like(mixed.logits()))
    assert float(mixed.response(sample.image.flip(-1)).abs().max()) > 0


MOVES = {"mirror": lambda values: values.flip(-1), "zoom": lambda values: values[..., 4:28, 4:28].repeat_interleave(2, -1)[..., :24]}


@pytest.mark.parametrize("weigh", [entropy_weights, confidence_weights])
@pytest.mark.parametrize("move", sorted(MOVES))
def test_answers_about_other_images_are_weighed_by_what_teachers_say_of_those(make_network, make_sample, weigh, move):
    """As if the moved images were the batch: the weights of voxels, and the labels that they follow, lie where the image shows them."""
    sample, moved = make_sample(), MOVES[move]
    labels = None if weigh is entropy_weights else sample.labels
    shown = labels if labels is None or labels.ndim == 1 else moved(labels)
    networks, mixed = knowledge(make_network, sample, weigh, labels=labels)
    other = mixed.for_batch(moved(sample.image), shown)
    wanted = MixtureKnowledge([LiveKnowledge(network, {"image": moved(sample.image)}) for network in networks], weigh, shown)
    torch.testing.assert_close(other.weights(), wanted.weights())
    torch.testing.assert_close(other.logits(), wanted.logits())
    if mixed.weights().shape == other.weights().shape:
        assert float((other.weights() - mixed.weights()).abs().max()) > 1e-4


@pytest.mark.parametrize("task", ["segmentation"])
def test_networks_that_know_no_left_nor_right_have_mirrored_weights_of_a_mirrored_image(make_sample):
    """Each voxel of the mirrored image has the weight of the voxel it came from: networks of one voxel each see no difference."""
    sample = make_sample()
    networks = [torch.nn.Conv2d(1, 2, 1).requires_grad_(False) for _ in range(2)]
    for weigh, labels in ((entropy_weights, None), (confidence_weights, sample.labels)):
        mixed = MixtureKnowledge([_Voxelwise(network, sample.image) for network in networks], weigh, labels)
        other = mixed.for_batch(sample.image.flip(-1), None if labels is None else labels.flip(-1))
        torch.testing.assert_close(other.weights(), mixed.weights().flip(-1))
        torch.testing.assert_close(other.logits(), mixed.logits().flip(-1))


class _Voxelwise:
    """What a network says that sees one voxel at a time."""

    def __init__(self, network, image):
        self._network, self._image = network, image

    def logits(self):
        return self._network(self._image)

    def for_batch(self, image, labels=None):
        return _Voxelwise(self._network, image)


@pytest.mark.parametrize("task", ["classification"])
def test_a_cases_label_is_that_of_each_of_its_views(make_network, make_sample):
    sample = make_sample()
    _, mixed = knowledge(make_network, sample, confidence_weights, labels=sample.labels)
    image = sample.image.flip(-1)
    torch.testing.assert_close(mixed.for_batch(image).weights(), mixed.for_batch(image, sample.labels).weights())


@pytest.mark.parametrize("task", ["segmentation"])
def test_voxels_that_are_weighed_by_labels_need_those_of_the_images_that_are_shown(make_network, make_sample):
    sample = make_sample()
    _, mixed = knowledge(make_network, sample, confidence_weights, labels=sample.labels)
    with pytest.raises(KnowledgeError, match=r"expected the labels of 4 other images beside them") as caught:
        mixed.for_batch(sample.image.flip(-1))
    assert caught.value.code == "LABELS_NOT_MOVED"


@pytest.mark.parametrize("task", ["segmentation"])
@pytest.mark.parametrize("weighting", ["entropy", "confidence"])
@pytest.mark.parametrize("view", ["mirror", "zoom", "gain"])
def test_a_second_view_is_weighed_where_it_shows_its_voxels(make_network, make_sample, weighting, view):
    """The loss on a view is that of teachers asked about a batch of that view, with its labels."""
    sample = make_sample()
    student = make_network(5).eval()
    networks = [make_network(seed).eval().requires_grad_(False) for seed in (1, 2)]
    source = MixtureSource({str(index): LiveSource(network) for index, network in enumerate(networks)}, weighting)
    value = consistency(trace(student, sample.inputs), source.for_batch(sample), sample, view=view, strength=0.5)
    places = torch.arange(32 * 32).view(1, 1, 32, 32).float().expand(len(sample.image), -1, -1, -1)
    order = places if view == "gain" else _moved(places, view, 0.5)
    image = sample.image * 1.5 if view == "gain" else sample.image.flatten(2).gather(2, order.flatten(2).long()).view_as(sample.image)
    labels = sample.labels.flatten(1).gather(1, order.flatten(1).long()).view_as(sample.labels)
    seen = Sample(inputs={"image": image}, labels=labels)
    wanted = logit_kd(trace(student, seen.inputs), source.for_batch(seen), seen)
    torch.testing.assert_close(value, wanted)
