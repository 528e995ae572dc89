from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.review_server.pages import render, sentence_of


@pytest.mark.parametrize(("language", "word", "tag"), [("en", "Log in", "en"), ("zh", "登录", "zh-Hans")])
def test_a_page_is_in_one_language_and_escapes_what_it_is_given(language, word, tag):
    text = render("login.html", language, session=None, here="/", own_login=True, csrf='"><script>', next="/", problem=None)
    assert f'<html lang="{tag}">' in text
    assert word in text
    assert '"><script>' not in text


def test_an_error_is_said_in_the_reader_s_language_where_the_catalogue_has_it():
    assert sentence_of(DataError("CSRF", "x"), "zh")[1] == "zh-Hans"
    assert sentence_of(DataError("LOGIN_LOCKED", "x"), "en", {"seconds": "9"}) == ("Too many failed logins. Try again in 9 seconds.", "en")
    assert sentence_of(DataError("STUDY_FILE", "expected a, got b"), "zh") == ("STUDY_FILE: expected a, got b", "en")
