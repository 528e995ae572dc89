from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.wording import FORBIDDEN, FORBIDDEN_IN_CHINESE, require_neutral


@pytest.mark.parametrize("word", FORBIDDEN)
def test_words_that_persuade_are_refused(word):
    with pytest.raises(DataError, match=word.upper()) as caught:
        require_neutral(f"It is so {word.upper()} it seems.")
    assert caught.value.code == "WORDING"


@pytest.mark.parametrize("word", FORBIDDEN_IN_CHINESE)
def test_chinese_words_that_persuade_are_refused(word):
    with pytest.raises(DataError, match=word):
        require_neutral(f"该处{word}如此")


@pytest.mark.parametrize("said", ["The map is trustworthy.", "This safely excludes it.", "Confirmed."])
def test_words_made_of_them_are_refused_too_wherever_they_stand(said):
    with pytest.raises(DataError, match="it says"):
        require_neutral(said)


@pytest.mark.parametrize("text", ["mass 0.41 of 1 inside, source cam", "an unsafe name", "p = 0.03; benign: 0.7, malignant: 0.3", ""])
def test_quantities_pass(text):
    assert require_neutral(text) == text
