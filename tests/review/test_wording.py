from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.review.wording import FORBIDDEN, MARKING, require_neutral


@pytest.mark.parametrize("word", FORBIDDEN)
def test_words_that_persuade_are_refused(word):
    with pytest.raises(DataError, match=word.upper()):
        require_neutral(f"It is so {word.upper()} it seems.")


def test_quantities_and_the_fixed_marking_pass():
    text = f"mass 0.41 of 1 inside, source cam; {MARKING}"
    assert require_neutral(text) == text
