from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.explanation.wording import failed_mark
from medkd.wording import FORBIDDEN, require_neutral


@pytest.mark.parametrize("word", FORBIDDEN)
def test_words_that_persuade_are_refused(word):
    with pytest.raises(DataError, match=word.upper()):
        require_neutral(f"It is so {word.upper()} it seems.")


def test_quantities_pass():
    text = "mass 0.41 of 1 inside, source cam"
    assert require_neutral(text) == text


def test_a_map_says_what_its_explainer_failed_and_nothing_when_it_passed():
    assert failed_mark(()) == ""
    assert failed_mark(("randomisation", "additivity")) == "failed: randomisation, additivity"
