from __future__ import annotations

import pytest
import torch

from medkd.distillation.encoder_alignment import encoder_alignment
from medkd.trace import Sample


def case(made_trace, features):
    """Return a trace whose network answers a lesion in the upper left quarter, and a batch."""
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0], logits[:, 1, :4, :4] = 4.0, 8.0
    kept = made_trace(logits, features)
    return kept, Sample(inputs=kept.inputs)


def test_an_encoder_that_marks_the_predicted_lesion_costs_nothing(made_trace):
    features = torch.zeros(1, 1, 8, 8)
    features[:, :, :4, :4] = 1
    assert float(encoder_alignment(*case(made_trace, features)[:1], None, case(made_trace, features)[1], layer="layer")) == pytest.approx(
        0, abs=1e-5
    )


def test_an_encoder_that_marks_something_else_costs_more_and_is_moved(made_trace, draw):
    features = draw(1, 3, 8, 8).requires_grad_()
    kept, sample = case(made_trace, features)
    value = encoder_alignment(kept, None, sample, layer="layer")
    value.backward()
    assert float(value) > 0.1
    assert float(features.grad.abs().max()) > 0


def test_a_case_without_a_predicted_lesion_does_not_count(made_trace, draw):
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0] = 4
    kept = made_trace(logits, draw(1, 3, 8, 8).requires_grad_())
    assert float(encoder_alignment(kept, None, Sample(inputs=kept.inputs), layer="layer")) == 0
