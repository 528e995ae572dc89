"""What candidates, bounds and tables of compression may say."""

from __future__ import annotations

import pytest

from data_contracts import Candidate, CompressionBounds, CompressionRecipe, LossTerm, Pruning, Quantisation, TrainingConfig, Tuning

TUNE = Tuning(fit=TrainingConfig(epochs=1), terms=(LossTerm(loss="cross_entropy"),))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quantise": Quantisation(by="onnx")}, "expected runtime 'onnx'"),
        ({"quantise": Quantisation(by="onnx"), "runtime": "torch"}, "got 'torch'"),
        ({"quantise": Quantisation(method="aware")}, "expected `tune` beside quantisation-aware"),
        ({"prune": Pruning(share=0.5, dynamic=True)}, "expected `tune` beside dynamic pruning"),
        ({"rank_ratio": 0.0}, "greater than 0"),
    ],
)
def test_a_candidate_that_cannot_be_carried_out_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        Candidate(**fields)


def test_a_hybrid_of_everything_is_one_candidate():
    made = Candidate(rank_ratio=0.5, prune=Pruning(share=0.5), tune=TUNE, quantise=Quantisation(method="aware"))
    assert made.runtime == "openvino"


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_of_all_channels_or_of_none_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        Pruning(share=share)


def test_a_candidate_may_not_be_called_as_the_version_itself_is():
    for name in ("torch", "onnx", "openvino"):
        with pytest.raises(ValueError, match="other names of candidates"):
            CompressionRecipe(name="r", recipe="hippocampus", model="models:/m/1", candidates={name: Candidate()})


def test_a_recipe_needs_a_candidate():
    with pytest.raises(ValueError, match="candidates"):
        CompressionRecipe(name="r", recipe="hippocampus", model="models:/m/1", candidates={})


def test_what_is_slower_is_refused_where_nobody_says_otherwise():
    assert (CompressionBounds().speed, CompressionBounds().speed_same_runtime) == (1.0, 1.0)
    with pytest.raises(ValueError, match="greater than 0"):
        CompressionBounds(speed=0.0)
