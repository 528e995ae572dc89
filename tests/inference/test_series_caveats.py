"""A model that is asked about another series than it is for says so; where nothing is known of the series, nothing is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import DataError, SeriesRecord, SeriesRule, StoreManifest
from medkd.inference.series_caveats import require_rules, rules_of, series_caveats
from medkd.storage.sealed import write_sealed
from tests.dicom.invented import volume

T1, T2 = (volume(name).model_copy(update={"modality": "MR"}) for name in ("one", "two"))
RULES = {"t1": SeriesRule(words=("T1",), without=("with contrast",))}


@pytest.fixture
def store(tmp_path):
    said = {T1.series_key: "T1, spin echo", T2.series_key: "T2"}
    keys = {name: getattr(T1, name) for name in ("patient_key", "study_key", "frame_of_reference_key")}
    series = tuple(SeriesRecord(series_key=key, modality="MR", slices=2, acquisition=words, **keys) for key, words in sorted(said.items()))
    volumes = tuple(sorted((T1, T2), key=lambda one: one.series_key))
    write_sealed(StoreManifest(volumes=volumes, series=series), tmp_path / "manifest.json")
    return tmp_path


def test_the_series_that_a_model_is_for_needs_no_word(store):
    assert series_caveats(RULES, (T1,), store) == ()


def test_another_one_is_said_with_what_was_asked_for_and_what_it_is(store):
    (found,) = series_caveats(RULES, (T2,), store)
    assert (found.code, found.severity) == ("SERIES_OTHER", 3)
    assert "the model is for T1, not with contrast as t1, it was asked about another series (" in found.text
    assert "T2" in found.text


def test_each_image_is_held_against_its_own_rule(store):
    both = {**RULES, "t2": SeriesRule(words=("T2",))}
    assert series_caveats(both, (T1, T2), store) == ()
    assert [one.text.partition(" as ")[2][:2] for one in series_caveats(both, (T2, T1), store)] == ["t1", "t2"]


def test_nothing_is_said_where_nothing_is_known(store, tmp_path):
    assert series_caveats({"t1": None}, (T2,), store) == ()
    assert series_caveats(RULES, (T2,), tmp_path / "elsewhere") == ()
    assert series_caveats(RULES, (volume("three"),), store) == ()


def test_the_rules_of_a_card_are_those_of_the_images_that_its_network_sees():
    card = SimpleNamespace(task=SimpleNamespace(image_names=("t2", "flair")), series={"t1": 1, "t2": 2})
    assert list(rules_of(card).items()) == [("t2", 2), ("flair", None)]
    assert rules_of(None) == {}


def test_a_network_of_several_images_needs_a_rule_for_each_and_of_one_image_for_none():
    both = {"t2": SeriesRule(words=("T2",)), **RULES}
    assert list(require_rules(("t1", "t2"), both, "kd/1").items()) == [("t1", both["t1"]), ("t2", both["t2"])]
    assert require_rules(("flair",), both, "kd/1") == {}
    assert require_rules(("t1",), both, "kd/1") == RULES
    with pytest.raises(DataError, match="expected the card of kd/1 to say which volume of a study is 'flair', one of 2 images") as caught:
        require_rules(("t1", "flair"), {**both, "flair": None}, "kd/1")
    assert caught.value.code == "TASK_INPUTS"
