"""Identifiers in free text, over sentences of both languages: ordinary ones pass, and planted ones are found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from data_contracts import FeedbackError
from medkd.feedback.scan import find_identifiers, require_no_identifiers

HERE = Path(__file__).parent
ORDINARY = (HERE / "comments_ordinary.txt").read_text(encoding="utf-8").splitlines()
PLANTED = [line.split("\t") for line in (HERE / "comments_planted.txt").read_text(encoding="utf-8").splitlines()]


def is_chinese(text):
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def test_there_are_enough_sentences_in_both_languages():
    for texts in (ORDINARY, [text for _, text in PLANTED]):
        assert len(texts) >= 60
        assert 20 <= sum(map(is_chinese, texts)) <= len(texts) - 20


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_sentences_of_radiology_pass(text):
    assert find_identifiers(text) == ()


@pytest.mark.parametrize(("kind", "text"), PLANTED)
def test_what_identifies_is_found_as_what_it_is(kind, text):
    assert kind in find_identifiers(text)


@pytest.mark.parametrize(("kind", "text"), PLANTED[::6])
def test_what_was_found_is_said_and_never_repeated(kind, text):
    with pytest.raises(FeedbackError) as caught:
        require_no_identifiers("comment", text)
    assert caught.value.code == "IDENTIFIER_IN_TEXT"
    assert "comment" in str(caught.value)
    assert kind in str(caught.value)
    assert not [word for word in text.split() if len(word) > 5 and word.strip(".,;:") in str(caught.value)]


def test_letters_of_full_width_hide_nothing():
    assert find_identifiers("电话：１３８１２３４５６７８") != ()
    assert find_identifiers("２０２４－０３－１２") == ("a date",)


def test_a_long_comment_is_scanned_at_once():
    """No pattern takes more than linear time on what a reader, or an attacker, may send."""
    started = time.process_time()
    for text in ("A" * 2000, "1." * 1000, "王" * 2000, "Patient " * 250, "a@" * 1000, "12 " * 660, "Aa " * 660, "of the " * 280):
        find_identifiers(text)
    assert time.process_time() - started < 10  # milliseconds; a pattern that goes back over what it read takes minutes


def test_text_without_identifiers_is_returned():
    assert require_no_identifiers("comment", "The map lies on the rib.") == "The map lies on the rib."
