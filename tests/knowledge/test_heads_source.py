"""Teachers of one head each answer as one teacher of both would: each term hears the teacher that has its head."""

from __future__ import annotations

import pytest
import torch

from data_contracts import ExplanationError, NetworkSpec
from medkd.knowledge.heads_source import HeadsSource
from medkd.knowledge.interface import LiveKnowledge, knowledge_of_head
from medkd.knowledge.mixture_source import MixtureSource, parts_of
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.targets import class_margin
from medkd.trace import Sample


@pytest.fixture(scope="module")
def teachers():
    segments = build_network(NetworkSpec(builder="unet", options={"channels": (4, 6, 8)}), seed=0).eval()
    classify = [build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=seed).eval() for seed in (1, 2)]
    return segments, classify


@pytest.fixture(scope="module")
def sample():
    image = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    masks = (image[:, 0] > 1).to(torch.uint8)
    return Sample(inputs={"image": image}, labels=masks.long(), masks=masks, case_labels=torch.tensor([0, 1, 1, -1]))


def test_each_head_is_answered_by_the_teacher_that_has_it(teachers, sample):
    segments, (classifies, _) = teachers
    source = HeadsSource(LiveSource(segments), LiveSource(classifies)).prepared(torch.device("cpu"), channels_last=False)
    answers = source.for_batch(sample)
    with torch.no_grad():
        torch.testing.assert_close(answers.logits(), segments(sample.inputs["image"]))
        of_cases = knowledge_of_head(answers, "classification")
        torch.testing.assert_close(of_cases.logits(), classifies(sample.inputs["image"]))
        other = sample.inputs["image"].flip(-1)
        torch.testing.assert_close(knowledge_of_head(answers.for_batch(other), "classification").logits(), classifies(other))
        torch.testing.assert_close(answers.response(other), segments(sample.inputs["image"]) - segments(other))
    own = LiveKnowledge(classifies, sample.inputs).attribution("cam", class_margin(1))
    torch.testing.assert_close(of_cases.attribution("cam", class_margin(1)), own)
    assert source.layers() == LiveSource(segments).layers()
    assert source.shape(source.layers()[0], sample.inputs["image"][:1])[0] == 1
    with pytest.raises(ExplanationError, match="boxes"):
        answers.of_head("boxes")


def test_several_that_classify_are_weighed_by_the_labels_of_cases(teachers, sample):
    segments, classify = teachers
    mixture = MixtureSource({"a": LiveSource(classify[0]), "b": LiveSource(classify[1])}, "confidence", classes=("benign", "malignant"))
    source = HeadsSource(LiveSource(segments), mixture).prepared(torch.device("cpu"), channels_last=False)
    mixed = source.for_batch(sample).of_head("classification")
    errors = torch.stack([one.logits() for one in mixed._teachers]).log_softmax(2)
    labels = sample.case_labels
    for row in range(3):
        wrong = -errors[:, row, labels[row]]
        expected = 1 - wrong.softmax(0)  # CA-MKD with two teachers, each label its own
        torch.testing.assert_close(mixed.weights()[:, row, 0], expected)
    entropy = -(errors[:, 3].exp() * errors[:, 3]).sum(1)
    torch.testing.assert_close(mixed.weights()[:, 3, 0], (-entropy).softmax(0))  # a case without a label


def test_its_parts_are_found_and_both_are_ready(teachers):
    segments, (classifies, _) = teachers
    source = HeadsSource(LiveSource(segments.train()), LiveSource(classifies.train()))
    assert [one.network for one in parts_of(source, LiveSource)] == [segments, classifies]
    source.prepared(torch.device("cpu"), channels_last=False).ask_for([source.layers()[0]])
    assert not segments.training
    assert not classifies.training
    assert source.dense._layers == (source.layers()[0],)
    assert source.of_cases._layers == ()
