from __future__ import annotations

import pytest

from data_contracts import Arm, LossBalancing, LossTerm, NetworkSpec, Task
from medkd.knowledge.interface import LAST
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.training.requirements import Requirements, requirements_of

CLASSES = Task(kind="classification", classes=("a", "b"), image_size=(32, 32))
MASKS = Task(kind="segmentation", classes=("background", "a"), image_size=(32, 32))
CLASSIFIER = NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)})
SEGMENTER = NetworkSpec(builder="unet", options={"channels": (4, 8, 8)})


def needed(*terms, task=CLASSES, **changes):
    spec = CLASSIFIER if task is CLASSES else SEGMENTER
    student, teacher = (build_network(spec, seed=seed).eval() for seed in (0, 1))
    return requirements_of(Arm(terms=tuple(terms), **changes), task, student, LiveSource(teacher))


def term(loss, **changes):
    return LossTerm(loss=loss, **changes)


def test_parts_are_called_as_a_store_calls_them():
    assert Requirements().parts() == ()
    assert Requirements(True, {LAST: 8}, {"cam": 4}).parts() == ("logits", "features/last", "maps/cam")


def test_terms_over_labels_ask_a_teacher_nothing():
    assert needed(term("cross_entropy")) == Requirements()


def test_soft_labels_read_logits_only():
    assert needed(term("logit_kd"), term("cross_entropy")) == Requirements(logits=True)


def test_a_layer_is_read_as_finely_as_the_finest_term_compares_it():
    found = needed(term("hint", options={"grid": 4}), term("hint", options={"grid": 16}))
    assert list(found.layers.values()) == [16]


def test_maps_of_a_classifier_are_read_and_those_of_a_segmentation_follow_from_its_logits():
    assert needed(term("attribution_transfer", options={"grid": 6})).maps == {"cam": 6}
    assert needed(term("attribution_transfer"), task=MASKS).maps == {}
    assert needed(term("attribution_transfer", options={"explainer": "saliency"}), task=MASKS).maps.keys() == {"saliency"}


@pytest.mark.parametrize("balance", [{"agreement_weight": 1.0}, {"agreement_rate": 1.0}])
def test_a_balance_that_follows_agreement_reads_maps_too(balance):
    found = needed(term("logit_kd"), balance=LossBalancing(**balance))
    assert found.logits
    assert list(found.maps) == ["cam"]
    assert needed(term("logit_kd"), balance=LossBalancing(norms=True)).maps == {}
