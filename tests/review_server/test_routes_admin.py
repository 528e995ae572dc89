from __future__ import annotations

import pytest
from review_clients import Browser

from data_contracts.feedback import ScaleAnswers


@pytest.fixture
def chief(address):
    return Browser(address, "chief")


def test_an_administrator_sees_progress_reliance_and_agreement(chief, address, anna):
    for name, answer in (("anna", "present"), ("ben", "absent")):
        reader = anna if name == "anna" else Browser(address, name)
        for key in ("series-000", "series-001"):
            reader.read(key, answer)
            reader.sign(key, reader.filled(own_read={"answer": answer, "seconds": 1}))
    text = chief.get("/admin").text
    assert "2 / 3" in text
    assert "100 %" in text, "of the genuine maps"
    assert "8 entries" in text
    chief.get("/language/zh?next=/admin")
    assert "依赖程度" in chief.page.text
    assert "Reliance" not in chief.page.text


def test_a_round_begins_once_however_often_it_is_asked_for(chief, anna, services):
    anna.read("series-000")
    chief.get("/admin")
    token = chief.token
    for _ in range(2):
        chief.client.post("/admin/round", data={"csrf": token, "after": "1"})
    assert services.database.round == 2
    assert "3 unread" in anna.get("/").text
    assert services.log.verify().entries == 1, "what was read stays"


def test_the_scale_is_answered_once_a_round_and_says_whether_its_wording_was_validated(anna, services):
    anna.get("/scale")
    assert "The English wording is the published one" in anna.page.text
    lacking = anna.post("/scale", **{f"answer.{number}": "4" for number in range(1, 10)})
    assert lacking.status_code == 422
    assert "statements 10" in lacking.text
    assert lacking.text.count(" checked") == 9, "what was answered stays"
    anna.get("/language/zh?next=/scale")
    assert "未经效度验证" in anna.page.text
    token = anna.token
    for points in ("4", "1"):
        anna.client.post("/scale", data={"csrf": token, **{f"answer.{number}": points for number in range(1, 11)}})
    (record,) = [entry.record for entry in services.log.entries()]
    assert isinstance(record, ScaleAnswers)
    assert (record.answers, record.language, record.validated) == ((4,) * 10, "zh", False)
    assert "0.80" in anna.get("/scale").text


def test_answers_out_of_range_are_none(anna, services):
    anna.get("/scale")
    assert anna.post("/scale", **{f"answer.{number}": "6" for number in range(1, 11)}).status_code == 422
    assert anna.client.post("/scale", data={"csrf": "x"}).status_code == 403
    assert len(services.log) == 0
