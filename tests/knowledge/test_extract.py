from __future__ import annotations

import pytest
import torch

from data_contracts import ExtractionConfig, KnowledgeError, MapSpec, NetworkSpec, Task, TrainingConfig
from medkd.knowledge.extract import Extraction, ExtractionQuery, divergence, map_key, sample_digest
from medkd.models._build import build_network
from medkd.trace import layer_map_of

SEGMENTATION = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16))
FIT = TrainingConfig(epochs=1)


def query(**changes):
    fields = {"teacher_digest": "a" * 64, "task": SEGMENTATION, "config": ExtractionConfig(), "views": None}
    return ExtractionQuery(**(fields | changes))


def segmenter(**options):
    return build_network(NetworkSpec(builder="unet", options={"channels": (4, 8), **options}), seed=0)


def test_the_same_image_is_the_same_whatever_holds_it_and_another_shape_is_another():
    image = torch.arange(12.0).view(1, 3, 4)
    assert sample_digest(image) == sample_digest(image.double().transpose(1, 2).contiguous().transpose(1, 2))
    assert sample_digest(image) != sample_digest(image.view(1, 4, 3))
    assert sample_digest(image) != sample_digest(image + 1)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"config": ExtractionConfig(resolution="half")}, True),
        ({"config": ExtractionConfig(class_map={"lesion": ("a",)})}, True),
        ({"config": ExtractionConfig(doubt=1.0)}, False),
        ({"teacher_digest": "b" * 64}, False),
        ({"task": SEGMENTATION.model_copy(update={"window": (0.0, 1.0)})}, False),
        ({"views": FIT}, False),
    ],
)
def test_a_question_is_another_where_its_answers_would_be(changes, same):
    assert (query(**changes).digest() == query().digest()) is same


def test_of_how_views_are_drawn_only_what_draws_them_is_asked():
    assert query(views=FIT).digest() == query(views=FIT.model_copy(update={"epochs": 9})).digest()
    assert query(views=FIT).digest() != query(views=FIT.model_copy(update={"augment": "affine"})).digest()


def test_each_view_of_an_image_has_an_entry_of_its_own():
    keys = {query().key(sample, view) for sample in ("s", "t") for view in (None, 0, 1)}
    assert len(keys) == 6


def test_maps_of_one_explainer_with_other_options_are_others():
    assert map_key(MapSpec(explainer="cam")) == "cam"
    assert map_key(MapSpec(explainer="lime", options={"b": 1, "a": 2})) == 'lime:{"a": 2, "b": 1}'


def test_replayed_logits_are_as_far_away_as_their_probabilities():
    live = torch.tensor([[0.0, 2.0, 3.0], [1.0, -2.0, 0.0]])
    assert divergence(live, live + 3.0) == (pytest.approx(0.0, abs=1e-12), 1.0)
    kl, agreement = divergence(live, live.flip(1))
    p = torch.softmax(live.double(), 0)
    q = torch.softmax(live.flip(1).double(), 0)
    assert kl == pytest.approx(float((p * (p / q).log()).sum(0).mean()))
    assert agreement == pytest.approx(1 / 3)
    assert divergence(live.T, live.flip(1).T, first=1)[0] == pytest.approx(kl)


def test_the_bias_of_a_head_is_kept_where_class_maps_are_logits_less_that_bias():
    network = segmenter()
    with torch.no_grad():
        network.get_submodule(layer_map_of(network).head).bias.copy_(torch.tensor([0.5, -0.25]))
    assert Extraction(network, query()).head_bias() == pytest.approx((0.5, -0.25))
    classifier = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}), seed=0)
    classes = SEGMENTATION.model_copy(update={"kind": type(SEGMENTATION.kind)("classification")})
    assert Extraction(classifier, query(task=classes)).head_bias() == ()


def test_stored_layers_are_as_fine_as_was_asked_and_no_finer_than_they_are():
    coarse, fine = (Extraction(segmenter(), query(config=ExtractionConfig(features={"last": cells}))) for cells in (4, 64))
    assert coarse.shapes()["last"][2:] == (4, 4)
    assert fine.shapes()["last"][2:] == (16, 16)
    assert coarse.ask(torch.zeros(2, 1, 16, 16))["features/last"].shape == (2, *coarse.shapes()["last"][1:])


def test_maps_of_whole_volumes_are_not_stored():
    extraction = Extraction(segmenter(), query(config=ExtractionConfig(maps=(MapSpec(explainer="saliency"),))))
    with pytest.raises(KnowledgeError, match=r"set knowledge\.views to 1 or more") as caught:
        extraction.ask_volume(torch.zeros(1, 16, 16))
    assert caught.value.code == "KNOWLEDGE_MAPS"
