from __future__ import annotations

import math

import pytest
import torch

from data_contracts import ExplanationError, KnowledgeError, LearnedTemperature, LossTerm, NetworkSpec, RecipeError
from medkd.distillation.hint import hint
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.trace import Sample, trace
from medkd.training.adapters import DistillationAdapters, Temperature, require_matching, resolve_pairs
from medkd.training.objective import Objective

STUDENT = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=0)
TEACHER = build_network(NetworkSpec(builder="resnet", options={"channels": (6, 8, 8, 12)}), seed=1).eval()
IMAGE = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def connected(*terms):
    objective, source = Objective(tuple(LossTerm(**term) for term in terms)), LiveSource(TEACHER)
    adapters = objective.connect(STUDENT, source, torch.zeros(1, 1, 32, 32))
    sample = Sample(inputs={"image": IMAGE})
    layers = [layer for layer in adapters.student_layers() if layer != "last"]
    kept = trace(STUDENT, sample.inputs, layers=("layer4", *layers))
    return objective, adapters, kept, source.for_batch(sample), sample


def test_layer_by_layer_is_the_mean_of_the_pairs_each_with_a_projection_of_its_own():
    pairs = [["layer1", "layer2"], ["layer3", "layer4"]]
    objective, adapters, kept, knowledge, sample = connected({"loss": "hint", "feature_layers": pairs})
    assert [tuple(p.weight.shape[:2]) for p in adapters.projectors.values()] == [(8, 4), (12, 6)]
    total, values = objective(kept, knowledge, sample, adapters)
    by_hand = [
        hint(kept, knowledge, sample, layer=a, teacher_layer=b, projector=adapters.projectors[f"hint:{i}"])
        for i, (a, b) in enumerate(pairs)
    ]
    assert float(total) == pytest.approx(float(sum(by_hand)) / 2, rel=1e-6)
    assert float(values["hint"]) == pytest.approx(float(total), rel=1e-6)


def test_each_layer_finds_the_teachers_of_the_nearest_grid_and_cross_takes_all_that_are_no_deeper():
    shapes = {"a": (1, 4, 32, 32), "b": (1, 4, 8, 8)}
    others = {"x": (1, 9, 64, 64), "y": (1, 9, 30, 30), "z": (1, 9, 4, 4)}
    assert resolve_pairs("each", ("last", "last"), shapes, others) == (("a", "y"), ("b", "z"))
    assert resolve_pairs("cross", ("last", "last"), shapes, others) == (("a", "x"), ("b", "x"), ("b", "y"), ("b", "z"))
    assert resolve_pairs(None, ("last", "y"), shapes, others) == (("last", "y"),)


@pytest.mark.parametrize("feature_layers", ["each", "cross"])
@pytest.mark.parametrize("loss", ["hint", "attention_transfer", "relational_kd", "crd", "wavelet_kd"])
def test_every_term_over_features_compares_any_pairs_of_layers(loss, feature_layers):
    objective, adapters, kept, knowledge, sample = connected({"loss": loss, "feature_layers": feature_layers})
    total, _ = objective(kept, knowledge, sample, adapters)
    total.backward()
    assert bool(total.isfinite())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in adapters.parameters())
    STUDENT.zero_grad()


def test_layers_that_cannot_be_compared_are_refused_before_training_naming_both():
    with pytest.raises(KnowledgeError, match=r"'layer4'.*1 x 8.*'fc'.*1 x 2") as caught:
        connected({"loss": "hint", "feature_layers": [["layer4", "fc"]]})
    assert caught.value.code == "TAP_SHAPES"
    with pytest.raises(KnowledgeError) as caught:
        require_matching("hint", ("a", "b"), (1, 4, 8, 8), (1, 4, 8, 8, 8))
    assert caught.value.code == "TAP_SHAPES"


def test_a_layer_that_does_not_exist_is_refused_naming_those_that_do():
    with pytest.raises(ExplanationError, match="layer1") as caught:
        connected({"loss": "hint", "feature_layers": [["layer9", "last"]]})
    assert caught.value.code == "LAYER_UNKNOWN"


def test_taps_and_temperatures_of_terms_that_have_none_are_refused():
    for term in ({"loss": "logit_kd", "feature_layers": "each"}, {"loss": "hint", "temperature": {"kind": "linear", "first": 4.0}}):
        with pytest.raises(RecipeError) as caught:
            Objective((LossTerm(**term),))
        assert caught.value.code == "RECIPE_NEEDS"


def test_a_loss_that_is_there_twice_has_two_names():
    objective = Objective((LossTerm(loss="hint"), LossTerm(loss="logit_kd"), LossTerm(loss="hint", options={"grid": 2})))
    assert [term.label for term in objective.terms] == ["hint", "logit_kd", "hint_2"]


def test_schedules_scale_weights_and_set_temperatures_over_training():
    weight = {"kind": "linear", "first": 1.0, "last": 0.0}
    hot = {"kind": "linear", "first": 8.0, "last": 2.0}
    objective, adapters, kept, knowledge, sample = connected({"loss": "logit_kd", "weight": 3.0, "schedule": weight, "temperature": hot})
    plain = Objective((LossTerm(loss="logit_kd", options={"temperature": 5.0}),))
    half, _ = objective(kept, knowledge, sample, adapters, share=0.5)
    assert float(half) == pytest.approx(1.5 * float(plain(kept, knowledge, sample)[0]), rel=1e-5)
    assert float(objective(kept, knowledge, sample, adapters, share=1.0)[0]) == 0.0


def test_a_term_of_every_third_step_counts_three_times_there():
    objective, adapters, kept, knowledge, sample = connected({"loss": "logit_kd", "every": 3})
    plain = float(Objective((LossTerm(loss="logit_kd"),))(kept, knowledge, sample)[0])
    assert [float(objective(kept, knowledge, sample, adapters, step=step)[0]) for step in range(4)] == pytest.approx(
        [3 * plain, 0, 0, 3 * plain]
    )


def test_a_learned_temperature_begins_where_it_is_told_and_climbs_against_the_student():
    config = LearnedTemperature(kind="learned", first=4.0, low=1.0, high=10.0)
    assert float(Temperature(config)(0.0)) == pytest.approx(4.0, rel=1e-5)
    gradients = {}
    for share in (0.0, 0.5, 1.0):
        temperature = Temperature(config)
        objective = Objective((LossTerm(loss="logit_kd", temperature=config),))
        kept, knowledge = trace(STUDENT, IMAGE, layers=("layer4",)), LiveKnowledge(TEACHER, {"image": IMAGE})
        value, _ = objective(
            kept, knowledge, Sample(inputs={"image": IMAGE}), DistillationAdapters(temperatures={"logit_kd": temperature}), share=share
        )
        value.backward()
        gradients[share] = float(temperature.raw.grad)
    # The slope of the loss along the temperature, by finite differences, turned round and scaled by half a cosine of the share.
    plain = []
    for t in (3.9, 4.1):
        objective = Objective((LossTerm(loss="logit_kd", options={"temperature": t}),))
        plain.append(
            float(
                objective(
                    trace(STUDENT, IMAGE, layers=("layer4",)), LiveKnowledge(TEACHER, {"image": IMAGE}), Sample(inputs={"image": IMAGE})
                )[0]
            )
        )
    share = (4 - 1) / 9
    slope = (plain[1] - plain[0]) / 0.2 * 9 * share * (1 - share)
    assert gradients[0.0] == 0.0
    assert gradients[1.0] == pytest.approx(-slope, rel=0.05)
    assert gradients[0.5] == pytest.approx(gradients[1.0] * 0.5 * (1 - math.cos(math.pi / 2)), rel=1e-3)
    STUDENT.zero_grad()


def test_a_loss_over_features_that_names_no_layers_is_handed_none(monkeypatch):
    """As third parties write them: the layer that class maps are read from, and nothing else."""
    from dataclasses import replace

    objective, adapters, kept, knowledge, sample = connected({"loss": "attention_transfer"})

    def plain(student, teacher, sample):
        return (student.feature("layer4").mean() - teacher.features("last").mean()).square()

    objective.terms = (replace(objective.terms[0], function=plain),)
    assert float(objective(kept, knowledge, sample, adapters)[0]) == pytest.approx(float(plain(kept, knowledge, sample)))
