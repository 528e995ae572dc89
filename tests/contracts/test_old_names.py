"""Recipes and names of before are read for this version, and one line says the new name."""

from __future__ import annotations

import logging

import pytest

from data_contracts import old_names
from data_contracts.old_names import current_entry, current_path, current_recipe


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(old_names, "_SAID", set())


OLD = {
    "teacher": {"terms": [{"loss": "hard_label"}], "gate": {"min_mass_in_lesion": 0.1}},
    "arms": {
        "evidence": {
            "begin": "compressed",
            "evidence": "shuffled",
            "terms": [
                {
                    "loss": "contrastive",
                    "taps": "each",
                    "options": {"tap": "a", "teacher_tap": "b"},
                    "schedule": {"kind": "healing", "begin": 0.5},
                }
            ],
        }
    },
    "knowledge": {"replay": "half"},
    "data": {"pair_by": "odd-even", "where": {"tap": "evidence"}},
    "explain": {"measures": [{"name": "mass_in_lesion"}], "randomisation": True},
    "experiment": {
        "search": {"evidence": [{"evidence": "teacher", "terms.0.options.tap": "c", "student.fit.epochs": 2}]},
        "conditions": {"begin": {"overrides": {"data.pair_by": "x", "arms.evidence.begin": "fresh"}}},
    },
}
NEW = {
    "teacher": {"terms": [{"loss": "cross_entropy"}], "gate": {"min_relevance_mass_accuracy": 0.1}},
    "arms": {
        "evidence": {
            "init": "compressed_teacher",
            "attribution_source": "shuffled",
            "terms": [
                {
                    "loss": "crd",
                    "feature_layers": "each",
                    "options": {"layer": "a", "teacher_layer": "b"},
                    "schedule": {"kind": "exponential", "begin": 0.5},
                }
            ],
        }
    },
    "knowledge": {"resolution": "half"},
    "data": {"patient_pattern": "odd-even", "where": {"tap": "evidence"}},
    "explain": {"measures": [{"name": "relevance_mass_accuracy"}], "randomisation": True},
    "experiment": {
        "search": {"evidence": [{"attribution_source": "teacher", "terms.0.options.layer": "c", "student.fit.epochs": 2}]},
        "conditions": {"begin": {"overrides": {"data.patient_pattern": "x", "arms.evidence.init": "fresh"}}},
    },
}


def test_a_recipe_of_before_is_read_under_the_names_of_now():
    """Names of arms, conditions and columns are nobody's but the recipe's: they stay, whatever they are."""
    assert current_recipe(OLD) == NEW
    assert current_recipe(NEW) == NEW


def test_each_old_name_is_said_once_with_its_new_one(caplog):
    with caplog.at_level(logging.WARNING, "medkd"):
        assert current_entry("losses", "hard_label") == current_entry("losses", "hard_label") == "cross_entropy"
        assert current_entry("measures", "hard_label") == "hard_label"
    assert [record.getMessage() for record in caplog.records] == [
        "the entry of the losses 'hard_label' is called 'cross_entropy' now; the old name is read for this version only"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("arms.kd.terms.1.options.tap", "arms.kd.terms.1.options.layer"),
        ("arms.kd.begin", "arms.kd.init"),
        ("arms.begin.unlabelled", "arms.begin.unlabelled"),
        ("knowledge.replay", "knowledge.resolution"),
        ("arms.kd.terms.0.schedule.begin", "arms.kd.terms.0.schedule.begin"),
    ],
)
def test_an_override_may_use_either_name(old, new):
    assert current_path(old) == current_path(new) == new


def test_a_field_given_by_both_names_is_left_to_be_refused():
    assert current_recipe({"knowledge": {"replay": "half", "resolution": "full"}}) == {
        "knowledge": {"replay": "half", "resolution": "full"}
    }
