from __future__ import annotations

from medkd.explanation.wording import MEASURES_IN_WORDS, failed_mark, measures_in_words, noun_of


def test_a_map_says_what_its_explainer_failed_and_nothing_when_it_passed():
    assert failed_mark(()) == ""
    assert failed_mark(("randomisation", "additivity")) == "failed: randomisation, additivity"


def test_what_everybody_has_is_called_a_structure_and_not_a_lesion():
    assert (noun_of("lesion"), noun_of("anatomy")) == ("lesion", "structure")
    anatomy = measures_in_words("anatomy")
    assert anatomy["relevance_mass_accuracy"] == ("inside", "share of the map that lies inside the structure (1: all of it)")
    assert not [meaning for _, meaning in anatomy.values() if "lesion" in meaning]
    assert measures_in_words("lesion") == MEASURES_IN_WORDS
