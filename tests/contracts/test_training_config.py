"""What cannot be fitted is refused, and says what it is."""

from __future__ import annotations

import pytest

from data_contracts import LearnedTemperature, LossTerm, Schedule, TrainingConfig


def test_a_schedule_does_not_end_before_it_begins():
    assert Schedule(kind="linear", begin=0.5, end=0.5).end == 0.5
    with pytest.raises(ValueError, match=r"got begin 0.6 and end 0.4"):
        Schedule(kind="linear", begin=0.6, end=0.4)


@pytest.mark.parametrize("first", [1.0, 10.0, 0.5])
def test_a_learnt_temperature_begins_between_its_bounds(first):
    with pytest.raises(ValueError, match=r"between 1.0 and 10.0, got"):
        LearnedTemperature(kind="learned", first=first)


def test_the_kind_says_whether_a_temperature_is_scheduled_or_learnt():
    scheduled, learnt = (
        LossTerm.model_validate({"loss": "logit_kd", "temperature": value}).temperature
        for value in ({"kind": "cosine", "first": 8.0, "last": 1.0}, {"kind": "learned", "first": 4.0})
    )
    assert (type(scheduled), type(learnt)) == (Schedule, LearnedTemperature)
    with pytest.raises(ValueError, match="union_tag"):
        LossTerm.model_validate({"loss": "logit_kd", "temperature": {"kind": "guessed"}})


@pytest.mark.parametrize("layers", ["each", "cross", (("a", "b"), ("c", "d"))])
def test_layers_are_named_in_pairs_or_by_a_rule(layers):
    assert LossTerm(loss="hint", feature_layers=layers).feature_layers == layers


@pytest.mark.parametrize("layers", ["some", (("a",),), ("a", "b")])
def test_other_layers_are_refused(layers):
    with pytest.raises(ValueError, match="feature_layers"):
        LossTerm.model_validate({"loss": "hint", "feature_layers": layers})


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 1}, {"ema": 1.0}, {"learning_rate": 0.0}, {"patience": 0}])
def test_a_fit_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        TrainingConfig(**({"epochs": 1} | changes))
