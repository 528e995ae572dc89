"""Answers of a network, and where its maps lie."""

from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec, Task
from medkd.audit.answers import AuditedModel
from medkd.models._build import build_network
from tests.audit.conftest import TASK

SEGMENTS = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16), window=(0, 255))


def test_a_classifier_answers_probabilities_and_its_map_does_not_change_them(folder, networks):
    model, images = AuditedModel(TASK, networks.clean), [case.image for case in folder.cases[:3]]
    plain, explained = model.ask(images), model.ask(images, maps=True)
    assert plain.probability.sum(1) == pytest.approx(1)
    assert explained.probability == pytest.approx(plain.probability, abs=1e-6)
    assert [tuple(heat.shape) for heat in explained.maps] == [(48, 48)] * 3
    assert plain.maps == ()
    assert all(float(heat.min()) >= 0 for heat in explained.maps)
    chosen = explained.of([2, 0])
    assert chosen.probability[0] == pytest.approx(explained.probability[2])
    assert torch.equal(chosen.maps[1], explained.maps[0])


@pytest.mark.parametrize("space", [2, 3])
def test_a_segmenter_answers_label_maps(space):
    task = SEGMENTS.model_copy(update={"image_size": (16,) * space})
    spec = NetworkSpec(builder="unet", spatial_dims=space, options={"channels": (4, 8)})
    model = AuditedModel(task, build_network(spec, seed=0).eval())
    image = torch.rand((16,) * space) - 0.5
    (labels,) = model.ask([image], maps=model.has_maps).labels
    assert labels.shape == image.shape
    assert model.has_maps is (space == 2)
