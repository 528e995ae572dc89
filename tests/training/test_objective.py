from __future__ import annotations

import pytest

from data_contracts import LossTerm
from medkd.training.objective import Objective


def test_an_objective_is_the_weighted_sum_of_its_terms(make_network, make_sample):
    from medkd.knowledge.interface import LiveKnowledge
    from medkd.trace import layer_map_of, trace

    terms = (LossTerm(loss="cross_entropy", weight=0.5), LossTerm(loss="logit_kd", weight=2.0, options={"temperature": 2.0}))
    objective, sample = Objective(terms), make_sample(3)
    network = make_network().eval()
    kept = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    total, values = objective(kept, LiveKnowledge(make_network(1).eval(), sample.inputs), sample)
    assert float(total) == pytest.approx(0.5 * float(values["cross_entropy"]) + 2 * float(values["logit_kd"]), rel=1e-6)
    assert not values["logit_kd"].requires_grad
    assert objective.needs == {"labels", "teacher"}
