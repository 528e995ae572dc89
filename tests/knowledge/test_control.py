"""Controls: what a teacher says stays, what it explains is replaced, and each replacement is what its name says."""

from __future__ import annotations

import pytest
import torch

from data_contracts import AttributionSource
from medkd.knowledge.control import ControlledKnowledge, another_patient, centred, shuffled
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_logit

CONTROLS = [kind for kind in AttributionSource if kind is not AttributionSource.TEACHER]


@pytest.fixture
def asked(make_network, make_sample):
    sample, teacher, random_teacher = make_sample(4), make_network(1).eval(), make_network(5).eval()
    live = LiveKnowledge(teacher, sample.inputs)
    return sample, live, LiveKnowledge(random_teacher, sample.inputs), lambda kind: ControlledKnowledge(live, kind, sample, random_teacher)


@pytest.mark.parametrize("kind", CONTROLS)
def test_answers_stay_and_explanations_change(asked, kind):
    sample, live, _, control = asked
    torch.manual_seed(0)
    controlled = control(kind)
    assert torch.equal(controlled.logits(), live.logits())
    assert torch.equal(controlled.for_batch(sample.image.flip(-1)).logits(), live.for_batch(sample.image.flip(-1)).logits())
    for student_values, teacher_values in [
        (controlled.attribution("cam", class_logit(1)), live.attribution("cam", class_logit(1))),
        (controlled.features("last"), live.features("last")),
        (controlled.response(sample.image * 0.5), live.response(sample.image * 0.5)),
    ]:
        assert student_values.shape == teacher_values.shape
        assert bool(student_values.isfinite().all())
        assert not torch.allclose(student_values, teacher_values, atol=1e-4)


def test_another_patients_maps_are_those_of_the_next_case(asked):
    _, live, _, control = asked
    own = live.attribution("cam", class_logit(1))
    assert torch.equal(control(AttributionSource.ANOTHER_PATIENT).attribution("cam", class_logit(1)), own[[1, 2, 3, 0]])


def test_cases_of_one_patient_are_skipped():
    assert another_patient(torch.tensor([7, 7, 8, 7]), 4).tolist() == [2, 2, 3, 2]
    assert another_patient(torch.tensor([7, 7]), 2).tolist() == [0, 1]
    assert another_patient(None, 3).tolist() == [1, 2, 0]


def test_the_random_teacher_explains_and_the_true_one_answers(asked):
    _, live, random_teacher, control = asked
    controlled = control(AttributionSource.RANDOM_TEACHER)
    assert torch.equal(controlled.attribution("cam", class_logit(1)), random_teacher.attribution("cam", class_logit(1)))
    assert torch.equal(controlled.logits(), live.logits())


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 8, 16, 16)])
def test_a_centred_map_keeps_its_sum_and_has_its_peak_and_its_balance_in_the_middle(shape):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 0.2
    moved = centred(values)
    assert moved.flatten(1).sum(1) == pytest.approx(values.flatten(1).sum(1), rel=1e-4)
    share = moved[0] / moved[0].sum()
    for axis, extent in enumerate(shape[1:]):
        place = torch.arange(extent) - (extent - 1) / 2
        profile = share.sum(tuple(k for k in range(share.ndim) if k != axis))
        assert float((profile * place).sum()) == pytest.approx(0, abs=1e-4)
        assert float((profile * place.square()).sum().sqrt()) == pytest.approx(extent / 8, rel=0.05)


def test_shuffling_keeps_the_cells_and_gives_every_case_an_order_of_its_own():
    values = torch.arange(64.0).reshape(1, 8, 8).repeat(3, 1, 1)
    torch.manual_seed(0)
    mixed = shuffled(values, 3)
    assert all(sorted(m.flatten().tolist()) == list(range(64)) for m in mixed)
    assert not torch.equal(mixed[0], mixed[1])
    torch.manual_seed(0)
    channels = shuffled(values[:2].repeat_interleave(2, 0), 2)
    assert torch.equal(channels[0], channels[1])
    assert not torch.equal(channels[0], channels[2])
