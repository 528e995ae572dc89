from __future__ import annotations

import pytest


@pytest.mark.parametrize("path", ["/study/series-000/asked/x", "/study/series-000/asked/x/student/0"])
def test_who_is_not_logged_in_is_led_to_the_login(address, path):
    import httpx

    answer = httpx.get(address + path)
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")


def test_a_question_without_a_token_is_refused(anna):
    anna.read("series-000")
    assert anna.client.post("/study/series-000/ask", data={"slice": "1", "row": "1", "column": "1"}).status_code == 403


def test_a_study_that_is_not_there_is_unknown(anna):
    anna.get("/")
    assert anna.client.post("/study/nothing/ask", data={"csrf": anna.token}).status_code == 404
