"""What docs/other_domains.md shows is run: a table and a text go through losses and explainers that were made for images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from data_contracts import AttributionSource
from medkd.attribution._attribute import attribute
from medkd.catalogue import EXPLAINERS, LOSSES
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_margin
from medkd.trace import Sample, trace

PAGE = Path(__file__).parents[1] / "docs" / "other_domains.md"
#: What says in one sentence that it needs more than these networks have.
REFUSING = ("attention_rollout",)
CONTROLS = [kind for kind in AttributionSource if kind is not AttributionSource.TEACHER]


@pytest.fixture(scope="module")
def page():
    """Return what the page's code leaves."""
    space = {"__name__": "other_domains"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(PAGE), "exec"), space)
    return space


@pytest.fixture(scope="module")
def text(page):
    """Return a student, a teacher and a batch of sentences."""
    torch.manual_seed(1)
    inputs, labels, place = page["sentences"](6)
    masks = torch.zeros(6, 12, dtype=torch.uint8)
    masks[torch.arange(6), place] = 1
    sample = Sample(inputs={"image": inputs}, labels=labels, masks=masks, forbidden=(masks == 0).to(torch.uint8) * 100)
    return page["TextNetwork"](6).eval(), page["TextNetwork"](6).eval(), sample


def test_a_table_is_taught_and_explained(page):
    assert page["table_figures"]["teacher"] > 0.93
    assert page["table_figures"]["student"] > 0.93
    assert all(found.shape == (4, 30) for found in page["table_maps"].values())
    gradients, shap = page["table_maps"]["integrated_gradients"], page["table_maps"]["kernel_shap"]
    # Two independent ways to share out the same score over the columns.
    assert float(torch.corrcoef(torch.stack([gradients.flatten(), shap.flatten()]))[0, 1]) > 0.7
    assert len(page["columns"]) == 3


def test_a_text_is_taught_without_labels_and_its_denials_are_pointed_at(page):
    assert min(page["text_figures"].values()) > 0.95
    assert page["on_the_denial"] > 0.8


@pytest.mark.parametrize("name", [name for name in LOSSES.names() if "classification" in LOSSES.entry(name).fact("TASKS")])
def test_every_loss_reaches_a_student_of_sentences(text, name):
    student, teacher, sample = text
    student.zero_grad()
    LOSSES.load(name)(trace(student, sample.inputs, layers=("embedding", "body")), LiveKnowledge(teacher, sample.inputs), sample).backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize(
    "name", [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("RETURNS", "map") == "map" and name not in REFUSING]
)
def test_every_explainer_gives_a_map_of_sentences(text, name):
    student, teacher, sample = text
    options = {"teacher": teacher} if "teacher" in EXPLAINERS.entry(name).fact("NEEDS", ()) else {}
    found = attribute(student, sample.image[:2], class_margin(sample.labels[:2]), explainer=name, options=options)
    assert found.shape == (2, 12)
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) > 0


@pytest.mark.parametrize("kind", CONTROLS)
def test_every_control_replaces_maps_of_sentences(text, kind):
    student, teacher, sample = text
    own = LiveKnowledge(teacher, sample.inputs)
    control = ControlledKnowledge(own, kind, sample, student)
    maps = [knowledge.attribution("cam", class_margin(sample.labels)) for knowledge in (own, control)]
    assert maps[0].shape == maps[1].shape
    assert not torch.equal(*maps)
