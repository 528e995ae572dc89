from __future__ import annotations

import time

import pytest

from data_contracts import DataError
from medkd.review_server.sessions import Session
from medkd.review_server.web import STATUS, local_path, new_form, require_token


def test_only_places_of_this_server_are_led_to():
    assert [local_path(place) for place in ("/study/x?slice=1", "//x", "/a b", "x", "/" + "x" * 3000)] == ["/study/x?slice=1", *["/"] * 4]


def test_a_token_is_compared_as_a_whole():
    require_token("abc", "abc")
    for given in ("", "ab", "abcd", "中"):
        with pytest.raises(DataError) as caught:
            require_token("abc", given)
        assert STATUS[caught.value.code] == 403


def test_how_long_a_page_was_open_is_known_by_a_signature(services):
    session = Session(services.accounts.find("anna"), "token")
    opened = services.opened(session)
    assert -0.1 <= services.since(session, opened) < 5
    later = f"{time.time() - 999:.1f}." + opened.rpartition(".")[2]
    for forged in (later, "", "x", opened + "0"):
        with pytest.raises(ValueError, match="ours"):
            services.since(session, forged)


def test_forms_have_ids_of_their_own():
    assert len({new_form() for _ in range(100)}) == 100
